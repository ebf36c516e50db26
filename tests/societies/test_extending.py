"""What docs/extending.md shows: each example is one file that nothing in the package knows, and does what it says."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

import pandas as pd
import pytest

from repunet_model import RepuNetModel, extensions, load_run, measures
from repunet_model.backends import setup
from repunet_model.backends.policies import FixedPolicy
from repunet_model.backends.rules import RulesBackend
from repunet_model.chronicle import Chronicle
from repunet_model.cli import main
from repunet_model.errors import ConfigurationError, RepuNetError
from repunet_model.games import GAMES, register
from repunet_model.personas import Disposition
from repunet_model.storage import StepReader
from repunet_model.util.text import SCENARIOS
from tests import EXAMPLES
from tests.conftest import complaint
from tests.contract import GameContract


@contextmanager
def loaded(example: str) -> Iterator[None]:
    """Load an example, and forget its games afterwards."""
    before = set(GAMES)
    extensions.load([str(EXAMPLES / f"{example}.py")])
    yield
    for game in set(GAMES) - before:
        del GAMES[game], SCENARIOS[game]
    for path in [path for path in extensions._LOADED if Path(path).stem == example]:
        del extensions._LOADED[path]
    del sys.modules[example]


@pytest.fixture(scope="module", autouse=True)
def _public_goods() -> Iterator[None]:
    with loaded("public_goods"):
        yield


@pytest.mark.thorough
class TestPublicGoods(GameContract):
    game = "public_goods"
    refused_policies = tuple(set(FixedPolicy) - {"booster", "slanderer", "silent"})

    def check_payoffs(self, model: RepuNetModel) -> None:
        for row in model.datacollector.get_table_dataframe("interactions").itertuples():
            pot = row.first_units + row.second_units
            both = Decimal(repr(row.first_payoff)) + Decimal(repr(row.second_payoff))
            assert both == (model.game.parameters.stored()["growth"] - 1) * pot

    def test_its_parameters_are_set_like_those_of_a_packaged_game(self) -> None:
        model = self.run(3, game_parameters="growth=2.5,start_resources=7")
        assert model.manifest().game_parameters == {"start_resources": 7, "growth": 2.5}
        assert "grows by the factor 2.5" in model._prompts.system
        assert sum(agent.resources for agent in model.agents) == 7 * 20 + self.gained(model)
        self.check_payoffs(model)
        with pytest.raises(
            ConfigurationError, match="unknown; public_goods has the parameters start_resources, growth"
        ):
            self.run(0, game_parameters={"temptation": 4})


def test_a_measure_is_that_of_the_society_at_the_end_of_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "_OWN", {})

    @measures.register
    def richest(model: RepuNetModel) -> float:
        return max(float(agent.resources) for agent in model.agents)

    model = RepuNetModel(rng=1)
    for _ in range(3):
        model.step()
    by_agent = model.datacollector.get_agent_vars_dataframe()["resources"].groupby("Step").max()
    assert list(model.datacollector.get_model_vars_dataframe()["richest"]) == list(by_agent)
    assert model.measures["richest"] == by_agent.iloc[-1]


@pytest.mark.parametrize(
    ("value", "problem"),
    [(float("nan"), "is nan: must be a finite number or None"), ("x", "cannot be taken: ValueError")],
)
def test_a_measure_that_fails_undoes_the_step(monkeypatch: pytest.MonkeyPatch, value: object, problem: str) -> None:
    monkeypatch.setattr(measures, "_OWN", {})
    given: list[object] = [0.0, 1.0]
    measures.register(lambda model: given[model.steps])
    model = RepuNetModel(n_agents=4, rng=1)
    model.step()
    given.append(value)
    before = dict(model.state)
    with pytest.raises(RepuNetError, match=f"the measure '<lambda>' {problem}"):
        model.step()
    assert model.steps == 1
    assert model.state == before
    given[2] = 2.0
    model.step()
    assert model.steps == 2


@pytest.mark.parametrize("name", ["ties", "cooperation_rate", "rng", "tokens"])
def test_a_measure_takes_no_name_that_is_taken(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(measures, "_OWN", {name: lambda model: 0.0})
    with pytest.raises(ConfigurationError, match=f"measure '{name}': another measure or a parameter has this name"):
        RepuNetModel(n_agents=4, rng=1)


def test_a_backend_may_be_renamed_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "_KINDS", dict(setup._KINDS))
    setup.register("calm", make=lambda detail, _: RulesBackend(), restore=lambda *_: RulesBackend())
    assert RepuNetModel(backend="calm", n_agents=4, rng=1).manifest().data["backend"]["backend"] == "rules"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "no Python file is there"),
        ("import nothing_of_the_kind", "ModuleNotFoundError: No module named 'nothing_of_the_kind'"),
        ("def broken(", "SyntaxError"),
    ],
)
def test_an_extension_that_cannot_be_loaded(
    text: str | None,
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    if text is not None:
        (tmp_path / "mine.py").write_text(text)
    assert problem in complaint(["--extension", "mine.py", "run", "--steps", "1"], capsys)
    assert "mine" not in sys.modules


def test_an_extension_does_not_hide_a_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "json.py").write_text("")
    monkeypatch.setenv("REPUNET_EXTENSIONS", "json.py")
    assert "there is another module 'json'; rename the file" in complaint(["run", "--steps", "1"], capsys)


def test_personas_in_one_file(tmp_path: Path) -> None:
    model = RepuNetModel(personas=str(EXAMPLES / "village.json"), rng=1, storage=str(tmp_path), run_name="village")
    assert [agent.name for agent in model.agents] == ["Ann", "Bob", "Cleo", "Dara"]
    assert "shared your well" in model.agent("Ann").learned["player"]
    model.step()
    assert list(load_run(tmp_path / "village").personas["country"].iloc[:2]) == ["Kenya", "Canada"]


def test_a_stored_run_is_read_without_the_file_of_its_game(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RepuNetModel(game="public_goods", n_agents=4, rng=2, storage=tmp_path, run_name="pot") as model:
        for _ in range(2):
            model.step()
    known = load_run(tmp_path / "pot").interactions
    monkeypatch.delitem(GAMES, "public_goods")
    run = load_run(tmp_path / "pot")
    pd.testing.assert_frame_equal(run.interactions, known)
    chronicle = Chronicle.of_run(StepReader.open(tmp_path / "pot"))
    assert chronicle.roles == ("contributor",)
    assert chronicle.rates == ("cooperation_rate",)
    storage = ["--storage", str(tmp_path)]
    assert main(["show", "pot", *storage]) == 0
    assert main(["export", "pot", str(tmp_path / "out"), "--layout", "csv", *storage]) == 0
    assert "first_units" in pd.read_csv(tmp_path / "out" / "interactions.csv")
    with pytest.raises(ConfigurationError, match=r"unknown game 'public_goods'.*--extension"):
        RepuNetModel.load(tmp_path / "pot")


def test_a_game_draws_by_the_stream_of_an_encounter() -> None:
    with loaded("shock"):
        models = [
            RepuNetModel(game="shocked_dilemma", n_agents=20, rng=seed, game_parameters="shock=0.5")
            for seed in (1, 1, 2)
        ]
        for model in models:
            for _ in range(2):
                model.step()
        assert "With probability 0.5 a shock halves" in (models[0].manifest().system_prompt or "")
    first, again, other = (model.datacollector.get_table_dataframe("interactions") for model in models)
    pd.testing.assert_frame_equal(first, again)
    assert list(first["shock"]) != list(other["shock"])
    assert 0 < first["shock"].mean() < 1
    for row in first.itertuples():
        whole = {("cooperate", "cooperate"): 6, ("defect", "defect"): 2}.get((row.first_move, row.second_move), 5)
        assert row.first_payoff + row.second_payoff == whole / (2 if row.shock else 1)


def test_games_are_for_two_roles() -> None:
    class Trio(GAMES["public_goods"].__class__):  # type: ignore[misc] # the class of the example
        name = "trio"
        roles = ("one", "two", "three")

    with pytest.raises(ConfigurationError, match=r"'trio'.*games are for pairs, so name two"):
        register(Trio())

    class Three(GAMES["public_goods"].__class__):  # type: ignore[misc] # the class of the example
        name = "three"

        async def play(self, first: object, second: object, third: object) -> None: ...

    with pytest.raises(ConfigurationError, match=r"'three': play takes first, second, third; games are for pairs"):
        register(Three())


def test_missing_dispositions_name_the_attribute() -> None:
    class Bare(GAMES["public_goods"].__class__):  # type: ignore[misc] # the class of the example
        name = "bare"
        dispositions: ClassVar[dict[Disposition, str]] = {}

    try:
        register(Bare())
        with pytest.raises(ConfigurationError, match="attribute 'dispositions'"):
            RepuNetModel(game="bare", n_agents=4)
    finally:
        del GAMES["bare"], SCENARIOS["bare"]
