"""Parameters of games: each changes what it should and nothing else, by every way of giving it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import mesa
import pandas as pd
import pytest

from repunet_model import RepuNetModel, load_run
from repunet_model.cli import main
from repunet_model.errors import ConfigurationError
from repunet_model.games import find
from repunet_model.report.evidence import read
from repunet_model.report.response import responses
from repunet_model.results.tables import identity, table_of
from repunet_model.storage import StepReader
from tests.conftest import complaint
from tests.societies.test_identity import as_format_3

STORED = Path("sim_storage")

EVERY = [
    (game, name)
    for game in ("prisoners_dilemma", "investment", "sign_up", "donation")
    for name in find(game).parameters.stored()
]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def society(game: str, steps: int = 3, **parameters: Any) -> RepuNetModel:
    model = RepuNetModel(game=game, n_agents=6, rng=1, **parameters)
    for _ in range(steps):
        model.step()
    return model


def payoffs(model: RepuNetModel) -> list[float]:
    table = model.datacollector.get_table_dataframe("interactions")
    return [*table["first_payoff"], *table["second_payoff"]]


# What each changes


def test_start_resources_are_what_agents_own_at_first_and_change_nothing_else() -> None:
    for game in ("prisoners_dilemma", "sign_up"):
        ten, seven = society(game), society(game, game_parameters="start_resources=7.5")
        assert payoffs(ten) == payoffs(seven)
        assert ten.measures | {"gini": 0} == seven.measures | {"gini": 0}
        for one, other in zip(ten.agents, seven.agents, strict=True):
            assert one.resources - other.resources == Decimal("2.5")
        assert ten._prompts.system == seven._prompts.system
    poor = society("investment", game_parameters={"start_resources": 0})
    assert set(poor.datacollector.tables["interactions"]["course"]) == {"not held"}


@pytest.mark.parametrize(
    ("name", "backend", "beside"),
    [
        ("reward", "always_cooperate", "always_defect"),
        ("punishment", "always_defect", "always_cooperate"),
        ("temptation", None, "always_defect"),
        ("sucker", None, "always_cooperate"),
    ],
)
def test_a_payoff_is_paid_for_its_moves_alone_and_said(name: str, backend: str | None, beside: str) -> None:
    """In societies of cooperators or defectors alone one payoff counts; between them, temptation and sucker do."""
    changed = {name: 4.25}
    assert payoffs(society("prisoners_dilemma", backend=beside)) == payoffs(
        society("prisoners_dilemma", backend=beside, game_parameters=changed)
    )
    if backend is not None:
        model = society("prisoners_dilemma", backend=backend, game_parameters=changed)
        assert set(payoffs(model)) == {4.25}
        assert "Points: you 4.25, they 4.25." in model.agents.to_list()[0].memory.snapshot()[0].text
    else:
        mixed: dict[str, Any] = {"backend": "always_cooperate", "backend_for": {"Aisha Ibrahim": "always_defect"}}
        before, after = (
            society("prisoners_dilemma", **mixed),
            society("prisoners_dilemma", game_parameters=changed, **mixed),
        )
        was, expected = {"temptation": 5, "sucker": 0}[name], payoffs(before)
        assert was in expected
        assert payoffs(after) == [4.25 if payoff == was else payoff for payoff in expected]
    assert f"Points: both cooperate, {4.25 if name == 'reward' else 3} each" in (
        society("prisoners_dilemma", 0, game_parameters=changed)._prompts.system
    )


def test_growth_is_what_an_investment_becomes_to_the_hundredth() -> None:
    model = society("investment", backend="always_cooperate", game_parameters="growth=1.333")
    table = model.datacollector.get_table_dataframe("interactions")
    deals = table[table["accepted"]]
    assert len(deals)
    for deal in deals.itertuples():
        outcome = Decimal(repr(deal.outcome))
        assert outcome == (Decimal("1.333") * Decimal(repr(deal.amount))).quantize(Decimal("0.01"), "ROUND_DOWN")
        assert Decimal(repr(deal.first_payoff)) + Decimal(repr(deal.second_payoff)) == outcome - Decimal(
            repr(deal.amount)
        )
    assert "become 1.333 times as many" in model._prompts.system
    assert "then double" in society("investment", 0)._prompts.system
    assert payoffs(society("investment", backend="always_defect", game_parameters="growth=9")) == payoffs(
        society("investment", backend="always_defect")
    )


def test_comfort_and_relief_move_the_offline_choice_and_no_prompt() -> None:
    def yes(**parameters: Any) -> float | None:
        return society("sign_up", 1, **parameters).measures["cooperation_rate"]

    assert yes(game_parameters="comfort=1000") == 0
    assert yes(game_parameters="relief=1000") == 1
    assert yes(backend="always_cooperate", game_parameters="comfort=1000") == 1
    systems = {society("sign_up", 0, game_parameters=each)._prompts.system for each in (None, "comfort=9,relief=0")}
    assert len(systems) == 1


@pytest.mark.parametrize(("game", "name"), EVERY)
def test_each_is_in_the_manifest_in_the_identity_and_in_no_other_parameter(game: str, name: str) -> None:
    default = find(game).parameters.stored()
    with society(game, 0, storage="sim_storage", run_name="it", game_parameters={name: 0.25}):
        pass
    run = StepReader.open(STORED / "it")
    assert run.manifest.game_parameters == default | {name: 0.25}
    columns = identity(run, run.manifest)
    assert {each: columns[f"game.{each}"] for each in default} == default | {name: 0.25}


# How they are given


def run(words: str) -> None:
    assert main(words.split()) == 0


def test_commands_files_forks_and_tables_take_them(capsys: pytest.CaptureFixture[str]) -> None:
    run("run -n 4 --steps 1 --game-set temptation=4 --game-set reward=2.5 --sim-name it")
    assert "no prisoner's dilemma" not in capsys.readouterr().err
    run("resume it --steps 1")
    run("fork it --set game.temptation=1.5 --sim-name tame")
    run("resume tame --steps 1")
    assert "no prisoner's dilemma, which needs temptation > reward" in capsys.readouterr().err
    run("show tame")
    assert "1.5 > 2.5 > 1 > 0 is false" in capsys.readouterr().out
    tame = StepReader.open(STORED / "tame")
    described = identity(tame, tame.manifest)
    assert (described["game.temptation"], described["game.reward"]) == (1.5, 2.5)
    assert described["before_fork"] == "game.temptation=4"
    run("run --backend replay:it --sim-name again")
    assert StepReader.open(STORED / "again").manifest.game_parameters["temptation"] == 4
    run("run --from it/step_1 --game-set punishment=0.5 --steps 1 --sim-name harsh")
    assert load_run("harsh").manifest.game_parameters | {"punishment": 1} == load_run("it").manifest.game_parameters
    run("seed -n 4 --game-set temptation=7 --sim-name seed")
    run("run --from seed --game-set sucker=-1 --steps 1 --sim-name grown")
    grown = load_run("grown").manifest.game_parameters
    assert (grown["temptation"], grown["sucker"]) == (7, -1)
    run("run --from seed --scenario investment --steps 1 --sim-name other")
    assert load_run("other").manifest.game_parameters == {"start_resources": 10, "growth": 2}
    Path("jobs.toml").write_text('[[jobs]]\nsim_name = "job"\nn_agents = 4\nsteps = 1\n[jobs.game]\ntemptation = 6\n')
    run("batch jobs.toml")
    run("batch jobs.toml")
    assert load_run("job").manifest.game_parameters["temptation"] == 6


def test_a_sweep_varies_them_for_the_games_that_have_them(capsys: pytest.CaptureFixture[str]) -> None:
    Path("it.toml").write_text(
        'steps = 1\n[grid]\nscenario = ["pd", "investment"]\nn_agents = 4\n'
        "[grid.game]\ntemptation = [2.5, 5, 8]\ngrowth = 3\n"
    )
    run("sweep it.toml")
    assert "Note: prisoners_dilemma: no prisoner's dilemma" in capsys.readouterr().err
    results = pd.read_parquet("sim_storage/it/results.parquet")
    assert results[["game", "game.temptation", "game.growth"]].fillna(0).values.tolist() == [
        ["prisoners_dilemma", 2.5, 0],
        ["prisoners_dilemma", 5, 0],
        ["prisoners_dilemma", 8, 0],
        ["investment", 0, 3],
    ]
    run("sweep --scenario pd -n 4 --steps 1 --game-set temptation=4,5 --name options")
    run("sweep --scenario pd -n 4 --steps 1 --game-set temptation=4,5,6 --name options")
    assert sorted(pd.read_parquet("sim_storage/options/results.parquet")["game.temptation"]) == [4, 5, 6]
    panels = read([StepReader.open(path) for path in (STORED / "options" / "runs").iterdir()]).panels
    assert sorted(panel.title for panel in panels) == [
        f"Prisoner's dilemma, temptation {number}" for number in (4, 5, 6)
    ]


def test_what_varies_in_two_parameters_has_no_response_and_a_bad_place_is_said_before_any_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run("sweep --scenario pd -n 4 --steps 1 --game-set temptation=3,4 --game-set reward=2,3 --name both")
    assert responses(read([StepReader.open(path) for path in (STORED / "both" / "runs").iterdir()])) == []
    Path("kept").mkdir()
    (Path("kept") / "mine.txt").touch()
    assert main(["sweep", "--scenario", "pd", "--report", "kept"]) == 2
    assert "kept is there and is no report" in capsys.readouterr().err


def test_batch_run_takes_texts_and_lists_of_mappings() -> None:
    given: list[Any] = ["temptation=4", {"temptation": 6.5}]
    rows = mesa.batch_run(
        RepuNetModel, {"n_agents": 4, "game_parameters": given}, rng=[1], max_steps=1, display_progress=False
    )
    assert len(rows) == 2 * 4


def test_runs_of_earlier_formats_have_the_defaults() -> None:
    run("run -n 4 --steps 1 --sim-name old")
    new = StepReader.open(STORED / "old")
    columns = identity(new, new.manifest)
    as_format_3(STORED / "old")
    old = StepReader.open(STORED / "old")
    assert identity(old, old.manifest) == columns | {"population": "", "mechanism": "published"}
    run("fork old --set game.temptation=4 --sim-name fork")
    run("resume fork --steps 1")
    fork = StepReader.open(STORED / "fork")
    assert table_of(fork)["game.temptation"].tolist() == [5, 4]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("run --game-set temptation", "--game-set 'temptation': must read NAME=VALUE"),
        (
            "run --game-set temptatio=4",
            "game.temptatio: unknown; prisoners_dilemma has the parameters start_resources, ",
        ),
        ("run --game-set temptation=much", "game.temptation is 'much': must be a number from -1000 to 1000"),
        ("run --game-set temptation=nan", "game.temptation is 'nan': must be a number"),
        ("run --game-set temptation=1001", "game.temptation is '1001': must be a number from -1000 to 1000"),
        ("run --game-set temptation=1.1234567", "with at most 6 decimal places"),
        ("run --game-set start_resources=1.005", "number from 0 to 1000000 with at most 2 decimal places"),
        ("run --game-set temptation=4 --game-set temptation=5", "temptation is 4 already"),
        ("run --scenario sign_up --game-set growth=4", "game.growth: unknown; sign_up has the parameters"),
        ("sweep --scenario pd --game-set growth=4,5", "game.growth: unknown; prisoners_dilemma has the parameters"),
        ("sweep --scenario pd --game-set temptation=a,b", "--game-set 'temptation=a,b': must read NAME=NUMBER,NUMBER"),
        ("batch jobs.toml", "job 1 ('it'): game: must be a table of its parameters"),
        ("fork it --set game.growth=4", "game.growth: unknown; prisoners_dilemma has the parameters"),
        ("fork it --set game.start_resources=4", "game.start_resources: the agents have theirs already"),
        ("fork it --set temptation=4", "temptation=4: set reputation, gossip"),
        (
            "run --backend replay:it --game-set temptation=4",
            "was made with game.temptation=5, a replay with game.tempt",
        ),
    ],
)
def test_what_cannot_be_is_told_in_one_line(words: str, problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("jobs.toml").write_text('[[jobs]]\nsim_name = "it"\ngame = "pd"\n')
    if "it" in words.split() or "replay" in words:
        run("run -n 4 --steps 1 --sim-name it")
    capsys.readouterr()
    assert problem in complaint(words.split(), capsys)


@pytest.mark.parametrize(
    "value", [4, ["temptation"], "temptation=4,temptation=5", {"temptation": True}, {"temptation": []}]
)
def test_what_is_no_set_of_parameters_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="game"):
        RepuNetModel(game_parameters=value, n_agents=4, rng=1)
