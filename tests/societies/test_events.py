"""Events: agents that become something else, enter, leave and whitewash."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from repunet_model import RepuNetModel, load_run
from repunet_model.backends.setup import respondents
from repunet_model.chronicle import Chronicle
from repunet_model.config import RunConfig
from repunet_model.errors import ConfigurationError
from repunet_model.events import canonical
from repunet_model.jobs.resume import fork_changes, resumed, start
from repunet_model.reference_layout.writer import export_step
from repunet_model.results.describe import of_agent, of_step
from repunet_model.storage import StepReader
from repunet_model.storage.schema import TURNOVER, TurnoverRow
from repunet_model.sweep.grid import Grid, Sweep
from tests.conftest import complaint
from tests.contract import EVENTS
from visualization import drawing


def society(events: object, steps: int = 0, **parameters: Any) -> RepuNetModel:
    model = RepuNetModel(**{"n_agents": 8, "rng": 1, "events": events, **parameters})
    for _ in range(steps):
        model.step()
    return model


def happened(path: Path) -> list[TurnoverRow]:
    run = StepReader.open(path)
    return [row for step in run.steps(1) for row in step.rows(TURNOVER)]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("", ()),
        (" step=10   share=0.20 becomes=tit_for_tat ", ("step=10 share=0.2 becomes=tit_for_tat",)),
        ("becomes=leave agents=3 step=2", ("step=2 agents=3 becomes=leave",)),
        (
            {"step": 2, "names": ["Ann Lee", "Bo"], "becomes": "openai:small"},
            ("step=2 names=Ann Lee,Bo becomes=openai:small",),
        ),
        (
            "step=3 agents=1 becomes=rules:learning_rate=0.3; step=2 agents=0 becomes=enter",
            ("step=2 agents=0 becomes=enter", "step=3 agents=1 becomes=rules:learning_rate=0.3"),
        ),
    ],
)
def test_an_event_has_one_canonical_form(given: object, meant: tuple[str, ...]) -> None:
    assert canonical(given) == canonical(list(meant)) == meant
    config = RunConfig.checked({"events": given})
    assert config.events == RunConfig.of_manifest(config.stored()).events == meant
    assert canonical(config.keywords()["events"]) == meant


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "events is 3: must be a text, a table, or a list of these"),
        ([3], "event 3: must read as in"),
        ("leave", "event 'leave': must read as in"),
        ("step=2 becomes=leave", "needs one of agents, share and names, and has 0"),
        ("step=2 agents=1 share=1 becomes=leave", "needs one of agents, share and names, and has 2"),
        ("agents=1 becomes=leave", "step is missing"),
        ("step=2 agents=1", "becomes is missing"),
        ("step=2 agents=1 agents=2 becomes=leave", "agents is there twice"),
        ("step=2 agents=1 becomes=leave then=3", "'then': unknown; known are step, agents, share, names, becomes"),
        ("step=0 agents=1 becomes=leave", "step is '0': must be a whole number, at least 1"),
        ("step=1 agents=-1 becomes=leave", "agents is '-1': must be a whole number, at least 0"),
        ("step=1 share=1.1 becomes=leave", "share is '1.1': must be a share from 0 to 1"),
        ("step=1 names=Ann,Ann becomes=leave", "a name is there twice"),
        ("step=1 names=Ann,,Ben becomes=leave", "'' cannot name an agent"),
        ({"step": 1, "names": 3, "becomes": "leave"}, "names is 3: must be names of agents"),
        ("step=1 names=Ann becomes=enter", "agents that enter have new names; give their number as agents"),
        ({"step": 1, "agents": 1, "becomes": "a;b"}, "becomes is 'a;b': must be enter, leave, whitewash or the name"),
    ],
)
def test_a_malformed_event_is_refused_in_one_line(given: object, message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        RunConfig.checked({"events": given})
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ("step=2 agents=1 becomes=always_lie", "unknown backend 'always_lie'"),
        ("step=2 agents=9 becomes=leave", "concerns 9 agents, and 8 are there"),
        ("step=2 agents=7 becomes=leave", "would leave 1 of the agents; at least 2 are needed to meet"),
        ("step=2 agents=1 becomes=rules", "concerns 1 agents, and 0 are not rules yet"),
        ("step=2 names=Nobody becomes=leave", "'Nobody' is no agent"),
        (
            "step=2 names=Akiko Sato becomes=leave; step=3 names=Akiko Sato becomes=whitewash",
            "'Akiko Sato' left before",
        ),
    ],
)
def test_an_event_that_cannot_happen_is_refused_before_the_first_step(event: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        society(event, storage=tmp_path)
    assert message in str(refused.value)
    assert not any(tmp_path.iterdir())


def test_a_policy_that_the_game_lacks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["run", "--scenario", "sign_up", "--event", "step=2 agents=1 becomes=tit_for_tat"]
    assert "has no meaning in the game 'sign_up'" in complaint(words, capsys)


def test_events_do_what_they_say(tmp_path: Path) -> None:
    model = society(EVENTS, 4, storage=tmp_path, run_name="run")
    first = {persona["name"]: persona for persona in model.personas()}
    rows = happened(tmp_path / "run")
    planted = [row["agent"] for row in rows[:2]]
    assert [(row["kind"], row["becomes"]) for row in rows[:2]] == [("becomes", "always_defect")] * 2
    assert (rows[2]["kind"], rows[2]["agent"]) == ("leaves", planted[0]), "whom an event turned comes first in others"
    entered = [row["agent"] for row in rows[3:9]]
    assert {row["kind"] for row in rows[3:9]} == {"enters"}
    assert set(entered).isdisjoint(first)
    washed = {row["former"]: row for row in rows if row["former"]}
    assert (next(iter(washed)), washed[planted[1]]["becomes"]) == (planted[1], "always_defect")
    gone = {planted[0], *washed}
    names = [name for name in [*first, *entered] if name not in gone] + [row["agent"] for row in washed.values()]
    assert [agent.name for agent in model.agents] == list(model.graph) == names
    assert set(model.scores) <= set(names)
    for row in washed.values():
        agent = model.agent(row["agent"])
        assert agent.encounters == agent.memory.snapshot()[0].step - 3 == 1
        assert agent.persona.name == row["agent"]
    assert any(record.subject in gone for agent in model.agents for record in agent.ledger.present())
    model.step()
    met = model.datacollector.get_table_dataframe("interactions")
    late = met[met["step"] > 4]
    assert gone.isdisjoint([*late["first"], *late["second"]])


def test_a_smaller_number_is_part_of_a_larger_one_and_names_stand_for_persons() -> None:
    def planted(event: str) -> list[str]:
        return [row["agent"] for row in society(event)._turnover.get(2, [])]

    assert planted("step=2 agents=0 becomes=always_defect") == []
    four = planted("step=2 agents=4 becomes=always_defect")
    assert planted("step=2 share=0.25 becomes=always_cooperate") == four[:2]
    again = society("step=2 names=Akiko Sato becomes=whitewash; step=3 names=Akiko Sato becomes=whitewash")._turnover
    assert again[3][0]["agent"] == again[2][1]["agent"] != again[3][1]["agent"]


def test_without_personas_left_newcomers_have_new_names() -> None:
    model = society("step=1 agents=3 becomes=enter; step=1 agents=1 becomes=whitewash", 1, n_agents=20)
    assert len({agent.name for agent in model.agents}) == 23
    one = [{"name": name, "disposition": "altruistic", "learned": "You play."} for name in ("Ann", "Ben")]
    model = society("step=1 agents=2 becomes=enter", 1, n_agents=None, personas=one)
    assert {agent.name.split()[0] for agent in model.agents} <= {"Ann", "Ben"}
    assert len(model.agents) == 4


def test_agents_leave_in_events_alone() -> None:
    with pytest.raises(ConfigurationError, match="cannot be removed: agents leave in events"):
        society("").agent("Akiko Sato").remove()


def test_a_step_without_events_has_no_file_of_them(tmp_path: Path) -> None:
    society(EVENTS, 2, storage=tmp_path, run_name="run").close()
    assert [(tmp_path / "run" / f"step_{step}" / "turnover.jsonl").exists() for step in (1, 2)] == [False, True]


def test_a_fork_changes_events_of_the_steps_to_come_and_no_others(tmp_path: Path) -> None:
    society(EVENTS, 4, storage=tmp_path, run_name="run").close()
    run = StepReader.open(tmp_path / "run", 3)
    changed = fork_changes(run, {"events": "step=4 share=1 becomes=always_cooperate"}, tmp_path)
    assert changed["events"] == [*canonical(EVENTS)[:3], "step=4 share=1.0 becomes=always_cooperate"]
    run.folder.fork(3, tmp_path, "fork", changed)
    model = resumed(tmp_path / "fork", None, tmp_path).model
    model.step()
    assert model.measures["cooperation_rate"] == 1
    assert {agent["planted"] for agent in model.state["agents"]} == {"always_cooperate"}
    assert happened(tmp_path / "fork")[:9] == happened(tmp_path / "run")[:9]
    before = list(tmp_path.iterdir())
    for setting, message in (
        ("step=3 agents=2 becomes=leave", "step 3 of .*run is stored already; name a step after 3"),
        ("step=4 agents=12 becomes=leave", "would leave 1 of the agents"),
        ("step=4 agents=1 becomes=always_lie", "unknown backend 'always_lie'"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            fork_changes(run, {"events": setting}, tmp_path)
    again = resumed(tmp_path / "run", 3, tmp_path, config=RunConfig.checked({"events": ""}))
    assert again.is_fork
    assert again.model.config.events == canonical(EVENTS)[:3]
    with pytest.raises(ConfigurationError, match="would leave 1 of the agents"):
        resumed(tmp_path / "run", 3, tmp_path, config=RunConfig.checked({"events": "step=9 agents=12 becomes=leave"}))
    assert len(list(tmp_path.iterdir())) == len(before) + 1


def test_a_replay_repeats_events(tmp_path: Path) -> None:
    society(EVENTS, 4, storage=tmp_path, run_name="run").close()
    config = RunConfig.checked({"backend": f"replay:{tmp_path / 'run'}"})
    begun = start(config, tmp_path)
    with begun.make(begun.who(), None, tmp_path, "again") as model:
        for _ in range(4):
            model.step()
    for step in range(1, 5):
        one, other = (StepReader.open(tmp_path / name).step(step) for name in ("run", "again"))
        assert one.state == other.state
        assert one.rows(TURNOVER) == other.rows(TURNOVER)


def test_readers_know_who_is_present_and_planted(tmp_path: Path) -> None:
    society(EVENTS, 5, storage=tmp_path, run_name="run").close()
    run, rows = StepReader.open(tmp_path / "run"), happened(tmp_path / "run")
    planted, gone, newest = rows[1]["agent"], rows[2]["agent"], rows[-1]["agent"]
    washed = next(row["agent"] for row in rows if row["former"] == planted)
    stored = load_run(tmp_path / "run")
    agents: Any = stored.agents.set_index(["step", "name"])
    assert agents.groupby("step").size().tolist() == [8, 8, 8, 13, 13, 13]
    assert agents.loc[(1, planted), "backend"] == "rules"
    for key in ((2, planted), (4, washed)):
        assert agents.loc[key, "backend"] == agents.loc[key, "planted"] == "always_defect"
        assert agents.loc[key, "person"] == planted
    assert stored.turnover["agent"].tolist() == [row["agent"] for row in rows]
    assert len(stored.personas) == 8 + 6 + 2
    assert stored.manifest.described(run.population)["planted.always_defect"] == "always_defect"

    shown = "\n".join(of_step(run, 4))
    assert f"\nEvents\n  {planted} leaves (step=4 agents=2 becomes=whitewash)\n  {washed}, who was {planted}" in shown
    assert "first in the run as" in "\n".join(of_agent(run, washed, 5))
    assert "answered for by always_defect, since an event" in "\n".join(of_agent(run, planted, 3))
    with pytest.raises(ConfigurationError, match=f"{gone} left .*run in step 3: name an earlier step"):
        list(of_agent(run, gone, 5))
    with pytest.raises(ConfigurationError, match="agents entered or left, and the published layout has no place"):
        export_step(run, 5, tmp_path / "published")

    chronicle = Chronicle.of_run(run)
    drawn = drawing.network(chronicle, 5)
    assert [node["planted"] for node in drawn["nodes"] if node["name"] == washed] == [True]
    assert {node["name"] for node in drawn["nodes"]} == set(chronicle.present(5))
    assert [mark[0] for mark in drawing.chart([chronicle], "ties", 5)["marks"]] == [2, 3, 4]
    assert drawing.matrix(chronicle, 5, "player")["names"] == drawing.ring(chronicle, 5)
    assert f"who was {planted} enters" in drawing.agent(chronicle, 5, washed)["details"]
    assert len(drawing.agent(chronicle, 5, newest)["payoffs"]) == 2
    with pytest.raises(ConfigurationError, match=f"{gone} is not present after step 5"):
        drawing.agent(chronicle, 5, gone)
    assert drawing.agent(chronicle, 2, gone)["tied"] is not None
    for name in chronicle.present(5):
        assert chronicle.score(name, 5, "player") == pytest.approx(chronicle.score(name, 5))
    assert "events: step=2" in drawing.subtitle(chronicle)


def test_a_live_chronicle_follows_events() -> None:
    model = society(EVENTS, 2)
    chronicle = Chronicle.of_model(model)
    model.step()
    model.step()
    assert chronicle.present(4) == [agent.name for agent in model.agents]
    assert len(chronicle.personas) == 8 + 6 + 2


def test_a_table_of_a_sweep_varies_events() -> None:
    text = """
        [[grid.events]]
        step = 5
        agents = [0, 2]
        becomes = "always_defect"
        [[grid.events]]
        step = 8
        names = ["Akiko Sato", "Emma Dubois"]
        becomes = "leave"
    """
    grid = Grid(tomllib.loads(text)["grid"])
    second = "step=8 names=Akiko Sato,Emma Dubois becomes=leave"
    assert [point.events for point in grid.points()] == [
        (f"step=5 agents={dose} becomes=always_defect", second) for dose in (0, 2)
    ]
    assert [point.events for point in Grid(grid.stored()).points()] == [point.events for point in grid.points()]
    listed = {"events": ["", "step=2 agents=1 becomes=leave; step=3 agents=1 becomes=enter"]}
    cells = Sweep.of_values("s", 3, "1", listed).cells()
    assert [len(cell.config.events) for cell in cells] == [0, 2]
    assert len({cell.name for cell in cells}) == 2


def test_backends_of_events_can_be_given() -> None:
    who = respondents("rules", None, {}, ["always_defect"])
    model = RepuNetModel(n_agents=4, rng=1, backend=who, events="step=1 share=1 becomes=always_defect")
    model.step()
    assert model.measures["cooperation_rate"] == 0
