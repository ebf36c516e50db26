"""What docs/extending.md shows: each example is one file that nothing in the package knows, and does what it says."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from repunet_model import RepuNetModel, extensions, load_run, measures
from repunet_model.backends import setup
from repunet_model.backends.policies import FixedPolicy
from repunet_model.backends.rules import RulesBackend
from repunet_model.errors import ConfigurationError, RepuNetError
from repunet_model.games import GAMES
from repunet_model.util.text import SCENARIOS
from tests import EXAMPLES
from tests.conftest import complaint
from tests.contract import GameContract


@pytest.fixture(scope="module", autouse=True)
def _public_goods() -> Iterator[None]:
    """Load the game, and forget it afterwards."""
    extensions.load([str(EXAMPLES / "public_goods.py")])
    yield
    extensions._LOADED.clear()
    del GAMES["public_goods"]
    del SCENARIOS["public_goods"]
    del sys.modules["public_goods"]


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
