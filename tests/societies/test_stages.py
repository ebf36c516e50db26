"""Stages: docs/examples/punishment.py through the contract of games, and what registered stages may do."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypedDict
from weakref import WeakKeyDictionary

import pytest

from repunet_model import RepuNetModel, extensions, load_run
from repunet_model.chronicle import Chronicle
from repunet_model.cli import main
from repunet_model.errors import ConfigurationError
from repunet_model.stages import register, registry
from repunet_model.stages.base import EncounterStage, PopulationStage, SideStage
from repunet_model.stages.encounter import Encounter, Side
from repunet_model.stages.step import in_order
from repunet_model.storage.schema import TABLES, Table
from tests import EXAMPLES
from tests.conftest import complaint, contents
from tests.contract import GameContract
from tests.golden import step_hashes
from tests.societies import test_games
from tests.societies.test_steps import Reading
from visualization import drawing

PUNISHMENT = str(EXAMPLES / "punishment.py")


def forget() -> None:
    """Forget the example, as if it had not been loaded."""
    extensions._LOADED.clear()
    registry._OWN.clear()
    TABLES.pop("punishments", None)
    sys.modules.pop("punishment", None)


@pytest.fixture
def _punishment() -> Iterator[None]:
    """Load the example, and forget it afterwards."""
    extensions.load([PUNISHMENT])
    yield
    forget()


@pytest.fixture
def _no_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the stages of a test to the test."""
    monkeypatch.setattr(registry, "_OWN", {})


@pytest.mark.usefixtures("_punishment")
@pytest.mark.thorough
class TestPunishment(GameContract):
    game = "investment"
    published = test_games.TestInvestment.published
    punishments: ClassVar[WeakKeyDictionary[RepuNetModel, list[dict[str, Any]]]] = WeakKeyDictionary()

    def run(self, steps: int, **parameters: Any) -> RepuNetModel:
        model = super().run(0, **parameters)
        rows: list[dict[str, Any]] = []
        self.punishments[model] = rows
        model.watchers.append(lambda step: rows.extend(step.rows(TABLES["punishments"])))
        for _ in range(steps):
            model.step()
        return model

    def gained(self, model: RepuNetModel) -> Decimal:
        lost = [row[units] for row in self.punishments[model] for units in ("paid", "taken")]
        return super().gained(model) - sum((Decimal(repr(units)) for units in lost), Decimal(0))

    def check_payoffs(self, model: RepuNetModel) -> None:
        completed = {
            (row.step, *names)
            for row in model.datacollector.get_table_dataframe("interactions").itertuples()
            if row.course == "completed"
            for names in ((row.first, row.second), (row.second, row.first))
        }
        rows = self.punishments[model]
        assert len({(row["step"], row["punisher"]) for row in rows}) == len(rows)
        for row in rows:
            assert (row["step"], row["punisher"], row["punished"]) in completed
            assert row["paid"] == 1
            assert 0 <= row["taken"] <= 3


def run(steps: int, **parameters: Any) -> RepuNetModel:
    model = RepuNetModel(**{"rng": 1, **parameters})
    for _ in range(steps):
        model.step()
    return model


@pytest.mark.usefixtures("_punishment")
def test_punishment_takes_what_is_left_and_both_remember_it(tmp_path: Path) -> None:
    model = run(6, game="sign_up", storage=str(tmp_path), run_name="it")
    table = load_run(tmp_path / "it").table(TABLES["punishments"])
    assert len(table) > 0
    assert set(table["taken"]) >= {3.0}
    row = table.iloc[-1]
    told = [event.text for event in model.agent(row["punished"]).memory.snapshot()]
    assert f"Round {row['step']}: {row['punisher']} paid 1 to take {row['taken']:g} from you." in told
    lost = table.groupby("punished")["taken"].sum().add(table.groupby("punisher")["paid"].sum(), fill_value=0)
    interactions = model.datacollector.get_table_dataframe("interactions")
    for agent in model.agents:
        own = [
            payoff
            for side in ("first", "second")
            for payoff in interactions.loc[interactions[side] == agent.name, f"{side}_payoff"]
        ]
        assert float(agent.resources) == pytest.approx(10 + sum(own) - lost.get(agent.name, 0))


@pytest.mark.usefixtures("_punishment")
def test_a_side_punishes_after_its_encounter_and_before_it_gossips(tmp_path: Path) -> None:
    run(4, storage=str(tmp_path), run_name="it")
    told = 0
    for step in range(1, 5):
        lines = (tmp_path / "it" / f"step_{step}" / "calls.jsonl").read_text().splitlines()
        calls = [json.loads(line) for line in lines]
        ranks = {"pairing": 0, "encounter": 1, "punishment": 2, "gossip": 3}
        assert [ranks[call["stage"]] for call in calls] == sorted(ranks[call["stage"]] for call in calls)
        punishing = {call["agent"]: place for place, call in enumerate(calls) if call["question"] == "punish"}
        assert len(punishing) == 20

        def before(place: int, calls: Sequence[Any] = calls) -> set[int]:
            return {place}.union(*(before(cause) for cause in calls[place]["after"]))

        for agent, place in punishing.items():
            assert {calls[cause]["agent"] for cause in calls[place]["after"]} == {agent}
        for place, call in enumerate(calls):
            if call["question"] == "tell" and " < " not in call["source"]:
                told += 1
                assert punishing[call["agent"]] in before(place)
    assert told


@pytest.mark.usefixtures("_punishment")
@pytest.mark.parametrize("questions", ["single", "fused"])
def test_a_run_with_a_stage_does_not_depend_on_when_answers_come(questions: str, tmp_path: Path) -> None:
    for name, pause in (("at once", None), ("later", 0.003)):
        run(4, n_agents=10, questions=questions, backend=Reading(pause), storage=str(tmp_path), run_name=name)
    assert contents(tmp_path / "at once") == contents(tmp_path / "later")


@pytest.mark.usefixtures("_punishment")
def test_the_page_shows_what_was_asked_and_remembered() -> None:
    model = run(0)
    chronicle = Chronicle.of_model(model)
    model.step()
    name = next(iter(chronicle.personas))
    shown = drawing.agent(chronicle, 1, name)
    assert "punish" in [call["question"] for call in shown["calls"]]
    events = [event for each in chronicle.personas for event in drawing.agent(chronicle, 1, each)["memory"]]
    assert any("to take 3 from" in event["text"] for event in events)


def test_a_run_goes_on_with_its_own_stages_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run(3, n_agents=6, storage="sim_storage", run_name="whole")
    run(2, n_agents=6, storage="sim_storage", run_name="parted")
    extensions.load([PUNISHMENT])
    try:
        with RepuNetModel.load("sim_storage/parted") as model:
            model.step()
        assert contents(Path("sim_storage/whole")) == contents(Path("sim_storage/parted"))
        with run(2, storage="sim_storage", run_name="fines") as model:
            manifest = model.manifest()
        assert manifest.stages == ["punishment"]
        assert "punishment.py" in manifest.data["extensions"]
        assert main(["show", "fines"]) == 0
        assert re.search(r"^Punishments\n  .+ paid 1 to take 3 from .+: «", capsys.readouterr().out, re.MULTILINE)
    finally:
        forget()
    missing = "the run has a stage 'punishment', which is not registered: import the file it is in, or name it by"
    for words in (["resume", "fines"], ["run", "--backend", "replay:fines"], ["fork", "fines", "--set", "seed=2"]):
        assert missing in complaint(words, capsys)
    assert main(["show", "fines"]) == 0
    assert main(["check", "fines"]) == 0


class VisitRow(TypedDict):
    """A note of a stage."""

    stage: Annotated[str, "name of the stage"]
    who: Annotated[str, "names of those it was about"]


@pytest.mark.usefixtures("_no_stages")
@pytest.mark.parametrize("activation", ["simultaneous", "sequential"])
def test_stages_of_all_kinds_are_applied_where_they_stand(activation: str) -> None:
    notes: list[tuple[str, str]] = []

    class OfAll(PopulationStage):
        async def decide(self) -> None:
            self.decided = True

        def apply(self) -> None:
            assert self.decided
            notes.append((self.name, ""))

    @register
    class Weather(OfAll):
        name = "weather"
        after = "opening"

    @register
    class Tax(OfAll):
        name = "tax"
        after = "gossip"

    @register
    class Greeting(EncounterStage):
        name = "greeting"
        after = "pairing"

        async def decide(self, encounter: Encounter) -> None:
            with pytest.raises(AttributeError):  # not played yet
                _ = encounter.outcome

        def apply(self, encounters: Sequence[Encounter]) -> None:
            notes.extend((self.name, encounter.sides[0].name) for encounter in encounters)

    @register
    class Farewell(SideStage):
        name = "farewell"
        after = "encounter"

        async def decide(self, side: Side) -> None:
            assert side.account.text

        def apply(self, encounters: Sequence[Encounter]) -> None:
            notes.extend((self.name, side.name) for encounter in encounters for side in encounter.sides)

    @register
    class Echo(Farewell):
        name = "echo"
        after = "farewell"

    names = [stage.name for stage in in_order([Weather, Tax, Greeting, Farewell, Echo])]
    assert list(dict.fromkeys(names)) == [
        *("turnover", "opening", "weather", "pairing", "greeting", "encounter", "observation"),
        *("farewell", "echo", "gossip", "tax"),
    ]
    model = run(1, n_agents=4, activation=activation)
    assert model.manifest().stages == ["weather", "tax", "greeting", "farewell", "echo"]
    visited = [name for name, _ in notes]
    batches = 1 if activation == "simultaneous" else 2
    pairs = 2 // batches
    batch = ["greeting"] * pairs + ["farewell"] * 2 * pairs + ["echo"] * 2 * pairs
    assert visited == ["weather", *batch * batches, "tax"]


@pytest.mark.usefixtures("_no_stages")
def test_gossip_builds_on_what_a_stage_before_it_decided() -> None:
    @register
    class Solitude(SideStage):
        name = "solitude"
        after = "encounter"

        async def decide(self, side: Side) -> None:
            draft = side.draft(self.name)
            for person in draft.acquaintances(without=()):
                for role in self.world.game.roles:
                    draft.tie(person.name, role, bound=False)

        def apply(self, encounters: Sequence[Encounter]) -> None:
            """Nothing but the ties, which are carried over by themselves."""

    alone = run(3)
    assert alone.graph.number_of_edges() == 0
    assert alone.measures["gossip_told"] == 0
    assert alone.measures["gossip_lapsed"]


@pytest.mark.usefixtures("_no_stages")
@pytest.mark.parametrize(
    ("kind", "name", "after", "problem"),
    [
        (
            SideStage,
            "gossip",
            "encounter",
            "must be a name such as tax, other than encounter, gossip, observation, opening, pairing, turnover",
        ),
        (SideStage, "a tax", "encounter", "must be a name such as tax"),
        (SideStage, "tax", "", "after is ''; SideStage may follow encounter"),
        (SideStage, "tax", "gossip", "SideStage may follow encounter"),
        (EncounterStage, "tax", "encounter", "EncounterStage may follow pairing"),
        (PopulationStage, "tax", "pairing", "PopulationStage may follow opening, gossip"),
    ],
)
def test_a_stage_that_cannot_be_registered(kind: type[Any], name: str, after: str, problem: str) -> None:
    stage = type("Mine", (kind,), {"name": name, "after": after})
    with pytest.raises(ConfigurationError, match=re.escape(problem)):
        register(stage)
    assert registry._OWN == {}


@pytest.mark.parametrize(
    ("name", "problem"), [("gossip", "another table has this name"), ("a/b", "must be a name such as punishments")]
)
def test_a_table_that_cannot_be_made(name: str, problem: str) -> None:
    before = dict(TABLES)
    with pytest.raises(ConfigurationError, match=problem):
        Table(name, VisitRow, "a visit")
    assert before == TABLES


def test_a_table_that_no_stage_uses_changes_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(6, n_agents=4, storage=str(tmp_path), run_name="before")
    monkeypatch.setitem(TABLES, "visits", None)
    del TABLES["visits"]
    Table("visits", VisitRow, "a visit")
    run(6, n_agents=4, storage=str(tmp_path), run_name="after")
    assert step_hashes(tmp_path / "before") == step_hashes(tmp_path / "after")
