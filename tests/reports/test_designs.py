"""Designs of sweeps: their cells, what is said before they run, and known effects that come back from a fraction."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from repunet_model.cli import main
from repunet_model.report.variance import audit, factors_of
from repunet_model.sweep.folder import SweepFolder
from repunet_model.sweep.grid import Sweep
from tests.conftest import complaint

EIGHT = {
    "reputation": [True, False],
    "gossip": [True, False],
    "activation": ["simultaneous", "sequential"],
    "n_agents": [6, 10],
    "dialogue_turns": [2, 4],
    "game": {"temptation": [4, 6]},
    "rules": {"learning_rate": [0.2, 0.4], "precision": [1, 2]},
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def columns_of(sweep: Sweep) -> pd.DataFrame:
    """Return the eight parameters of every run of the sweep, as −1 and 1, with the seed."""
    rows = []
    for cell in sweep.cells():
        own = cell.config
        rows.append(
            {
                "reputation": own.reputation,
                "gossip": own.gossip,
                "activation": own.activation == "simultaneous",
                "n_agents": own.n_agents == 6,
                "dialogue_turns": own.dialogue_turns == 2,
                "temptation": own.game_parameters == {"temptation": 4},
                "learning_rate": "learning_rate=0.2" in own.backend,
                "precision": "precision=1.0" in own.backend,
            }
        )
    table = pd.DataFrame(rows).astype(int) * 2 - 1
    return table.assign(seed=[cell.config.seed for cell in sweep.cells()])


def test_eight_factors_in_sixteen_cells_are_orthogonal_and_known_effects_come_back() -> None:
    sweep = Sweep.of_values("eight", 3, "1-5", EIGHT, design="fraction")
    table = columns_of(sweep)
    names = list(table.columns[:-1])
    assert len(table) == 16 * 5
    signs = table[table["seed"] == 1][names].to_numpy()
    assert (signs.T @ signs == 16 * np.eye(8)).all()
    for first, second in combinations(range(8), 2):  # No main effect is an interaction of two.
        assert (np.abs(signs.T @ (signs[:, first] * signs[:, second])) == 0).all()

    planted = {"gossip": 0.2, "temptation": -0.1, "precision": 0.05}
    draws = np.random.default_rng(1)
    push = draws.normal(scale=0.05, size=6)
    rate = sum(effect / 2 * table[name] for name, effect in planted.items())
    # An interaction of two parameters biases no main effect.
    rate = rate + 0.03 * table["gossip"] * table["temptation"] + push[table["seed"]] + draws.normal(scale=0.02, size=80)
    found = audit(table.assign(rate=rate), factors_of(table, names), "rate")
    assert found is not None
    assert {each.factor.name for each in found.sensitive_to()} == set(planted)
    for each in found.effects:
        (pair,) = each.differences
        difference = pair.contrast.difference
        sign = 1 if pair.levels == (-1, 1) else -1
        assert sign * difference.mean == pytest.approx(planted.get(each.factor.name, 0.0), abs=0.02)


def test_a_fraction_says_its_size_and_what_is_confounded_and_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    words = (
        "sweep --reputation y,n --gossip y,n --game-set temptation=4,6 --rules precision=1,2 --seeds 1-2 --steps 1 -n 4"
    )
    words += " --workers 1 --design fraction"
    assert main(words.split()) == 0
    said = capsys.readouterr().err
    assert "Design: 8 cells × 2 seeds = 16 runs of 1 step; no request to an endpoint." in said
    assert "No main effect is confounded with another one" in said
    assert "reputation × gossip = game.temptation × rules.precision" in said
    folder = SweepFolder.open(Path("sim_storage/sweep"))
    assert len(folder.whole_runs()) == 16
    assert main(words.split()) == 0
    assert "16 of 16 runs are whole" in capsys.readouterr().out


def test_a_latin_hypercube_has_one_value_in_each_part_of_a_range() -> None:
    grid = {"reputation": [True, False], "game": {"temptation": [4, 8]}, "rules": {"precision": [1, 3]}}
    cells = Sweep.of_values("cube", 3, "1-2", grid, design="lhs", points=8).cells()
    assert len(cells) == 8 * 2 * 2
    values = sorted({cell.config.game_parameters["temptation"] for cell in cells})
    assert [int((value - 4) / 0.5) for value in values] == list(range(8))
    assert {cell.config.seed for cell in cells} == {1, 2}


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("-n 4,6,8 --gossip y,n --design fraction", "design fraction: n_agents has 3 values: it needs two"),
        ("-n 4,6 --design fraction", "design fraction: give at least two parameters with two values each"),
        ("-n 4,6 --design lhs", "design lhs: give the ends of the range of at least one parameter"),
        ("--game-set temptation=4,5,6 --design lhs", "design lhs: game.temptation is 4, 5, 6: give the lower and"),
        ("-n 4,6 --points 5", "points: only the design lhs has points"),
    ],
)
def test_what_cannot_be_designed_is_one_clear_line(
    words: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert problem in complaint(["sweep", *words.split()], capsys)


def test_a_file_names_its_design(capsys: pytest.CaptureFixture[str]) -> None:
    Path("it.toml").write_text('design = "lhs"\npoints = 3\n[grid.game]\ntemptation = [4, 8]\n')
    assert len(Sweep.load(Path("it.toml")).cells()) == 3
    Path("it.toml").write_text('design = "fraction"\n[grid]\ngossip = [true, false]\n')
    assert "it.toml: design fraction: give at least two" in complaint(["sweep", "it.toml"], capsys)
