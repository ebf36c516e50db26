from __future__ import annotations

import json
from pathlib import Path

import pytest

from repunet_model import RepuNetModel, testing
from repunet_model.chronicle import Chronicle
from repunet_model.cli import main
from repunet_model.errors import ConfigurationError, StorageError
from repunet_model.network import SocialNetwork
from repunet_model.storage import StepReader
from tests.conftest import complaint
from visualization import drawing

STEPS = 6


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Chronicle, Chronicle]:
    """The same society in memory and on disk."""
    folder = tmp_path_factory.mktemp("runs")
    with RepuNetModel("investment", rng=1, storage=str(folder), run_name="one") as model:
        live = Chronicle.of_model(model, "one")
        for _ in range(STEPS):
            model.step()
    return live, Chronicle.of_run(StepReader.open(folder / "one"))


@pytest.mark.parametrize("step", range(STEPS + 1))
def test_a_society_in_memory_and_on_disk_look_alike(both: tuple[Chronicle, Chronicle], step: int) -> None:
    live, stored = both
    assert drawing.network(live, step, communities=True) == drawing.network(stored, step, communities=True)
    assert drawing.gossip(live, step) == drawing.gossip(stored, step)
    for role in live.roles:
        assert drawing.matrix(live, step, role) == drawing.matrix(stored, step, role)
    for name in list(live.personas)[:4]:
        assert drawing.agent(live, step, name) == drawing.agent(stored, step, name)
    for group in drawing.GROUPS:
        assert drawing.chart([live], group, step) == drawing.chart([stored], group, step)


def test_a_chronicle_at_a_step_is_the_model_loaded_there(both: tuple[Chronicle, Chronicle], tmp_path: Path) -> None:
    with RepuNetModel("investment", rng=1, storage=str(tmp_path), run_name="two") as model:
        for _ in range(STEPS):
            model.step()
    loaded = RepuNetModel.load(tmp_path / "two", step=3)
    chronicle = both[1]
    for agent in loaded.agents.to_list():
        histories = chronicle.opinions_of(agent.name, 3).values()
        assert [history[-1].record for history in histories] == list(agent.ledger.present())
        assert chronicle.memory(agent.name, 3) == agent.memory.snapshot()
        assert chronicle.score(agent.name, 3) == loaded.scores.get(agent.name)
        assert chronicle.agent_state(agent.name, 3) == agent.state()
    assert chronicle.network(3).to_dict() == loaded.network.to_dict()


def test_questions_that_were_asked_in_one_call_are_shown_one_by_one() -> None:
    shown = {}
    for questions in ("single", "fused"):
        with RepuNetModel(questions=questions, rng=1) as model:
            chronicle = Chronicle.of_model(model)
            model.step()
        calls = drawing.agent(chronicle, 1, "Emma Dubois")["calls"]
        shown[questions] = {(call["question"], call["about"], str(call["answer"]), *call["options"]) for call in calls}
    assert shown["single"]
    assert shown["single"] == shown["fused"]


def test_what_changed_in_a_step_is_marked(both: tuple[Chronicle, Chronicle]) -> None:
    chronicle = both[0]
    names = drawing.ring(chronicle, chronicle.last)
    for step in range(1, STEPS + 1):
        drawn = drawing.network(chronicle, step)

        def named(flat: list[int]) -> set[tuple[str, str]]:
            return {(names[a], names[b]) for a, b in zip(flat[::2], flat[1::2], strict=True)}

        now, before = (set(chronicle.network(at).graph.edges) for at in (step, step - 1))
        assert named(drawn["made"]) == now - before
        assert named(drawn["cut"]) == before - now
        assert named(drawn["kept"]) == now & before


def test_a_society_taken_up_later_knows_its_past(tmp_path: Path) -> None:
    with RepuNetModel(rng=1) as model:
        for _ in range(3):
            model.step()
        chronicle = Chronicle.of_model(model)
        before = {agent.name: list(agent.ledger.present()) for agent in model.agents.to_list()}
        model.step()
    assert (chronicle.first, chronicle.last) == (3, 4)
    for name, records in before.items():
        assert [history[-1].record for history in chronicle.opinions_of(name, 3).values()] == records
    assert SocialNetwork.from_dict(model.state["network"]).to_dict() == chronicle.network(4).to_dict()


def test_a_damaged_run_is_refused(tmp_path: Path) -> None:
    with RepuNetModel(rng=1, storage=str(tmp_path), run_name="one") as model:
        model.step()
    (tmp_path / "one" / "step_1" / "records.jsonl").write_text("{}\n")
    with pytest.raises(StorageError, match="not what was written"):
        Chronicle.of_run(StepReader.open(tmp_path / "one"))


def test_a_chronicle_names_who_is_there(both: tuple[Chronicle, Chronicle]) -> None:
    with pytest.raises(ConfigurationError, match="nobody in one is called 'Nobody': choose Ahmed Hassan"):
        both[0].persona("Nobody")


def test_names_in_small_places_tell_people_apart() -> None:
    names = ["Ann Lee", "Bob", "Ann Wu", "Juan Carlos Reyes 2", "Bob 2", "Maximiliana-Theodora Smith"]
    assert list(drawing.short_names(names).values()) == [
        "Ann Lee",
        "Bob",
        "Ann Wu",
        "Juan 2",
        "Bob 2",
        "Maximiliana-T…",
    ]


# Interviews


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def spoken(tmp_path: Path, local_endpoint: testing.Endpoint, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that a model answers for."""
    monkeypatch.chdir(tmp_path)
    with RepuNetModel(n_agents=4, backend="openai", rng=1, storage="sim_storage", run_name="spoken") as model:
        for _ in range(2):
            model.step()
    return tmp_path / "sim_storage" / "spoken"


def test_an_agent_answers_from_its_state_and_nothing_is_written(
    spoken: Path, local_endpoint: testing.Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    before = everything(spoken)
    prompts = {}
    for step in (1, 2):
        assert main(["ask", f"spoken/step_{step}", "Akiko Sato", "Whom do you trust?"]) == 0
        prompts[step] = local_endpoint.requests[-1]["messages"][1]["content"]
    first, second = capsys.readouterr().out.splitlines()
    assert first
    assert second
    assert everything(spoken) == before
    for step, prompt in prompts.items():
        state = json.loads((spoken / f"step_{step}" / "state.json").read_text())
        (own,) = (agent for agent in state["agents"] if agent["name"] == "Akiko Sato")
        assert own["learned"]["player"] in prompt
        assert f"You own {own['resources']} units" in prompt
        assert "«Whom do you trust?»" in prompt
    assert prompts[1] != prompts[2]


def test_an_interview_does_not_speak_of_what_a_run_does_not_have(
    tmp_path: Path, local_endpoint: testing.Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    with RepuNetModel(
        reputation=False, gossip=False, n_agents=4, backend="openai", rng=1, storage=str(tmp_path), run_name="none"
    ) as model:
        model.step()
    assert main(["ask", str(tmp_path / "none"), "Akiko Sato", "Why?"]) == 0
    asked = json.dumps(local_endpoint.requests[-1]["messages"]).lower()
    assert "reputation" not in asked
    assert "gossip" not in asked


@pytest.mark.parametrize("backend", ["rules", "always_defect"])
def test_rules_and_policies_cannot_talk(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    RepuNetModel(backend=backend, rng=1, storage="sim_storage", run_name="one").close()
    line = complaint(["ask", "one", "Akiko Sato", "Why?"], capsys)
    assert line == (
        f"error: Akiko Sato cannot talk: the backend '{backend}' answers for them, and only a language model can\n"
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["ask", "spoken", "Nobody", "Why?"], "nobody in spoken is called 'Nobody'"),
        (["ask", "spoken", "Akiko Sato", "  "], "the question has 0 characters"),
        (["ask", "spoken", "Akiko Sato", "why " * 600], "the question has 2399 characters"),
        (["ask", "spoken/step_9", "Akiko Sato", "Why?"], "step 9 of"),
        (["ask", "silent", "Akiko Sato", "Why?"], "no run at"),
    ],
)
def test_bad_questions_are_one_line(
    words: list[str], told: str, spoken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told in complaint(words, capsys)


def test_the_page_complains_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no run at sim_storage" in complaint(["viz", "nothing", "--no-browser"], capsys)
