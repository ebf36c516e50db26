"""Many runs: a grid of modes and seeds, and the figures that come of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from repunet_model.model import RepuNetModel

if TYPE_CHECKING:
    import pandas as pd

MODES: dict[str, tuple[bool, bool]] = {
    "reputation and gossip": (True, True),
    "reputation only": (True, False),
    "gossip only": (False, True),
    "neither": (False, False),
}
"""The four modes, by name: whether there is reputation, and whether there is gossip."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of a grid."""

    game: str
    mode: str
    seed: int


@dataclass(frozen=True, slots=True)
class CellResult:
    """What came of a run: the measures by step, as the DataCollector has them."""

    cell: Cell
    measures: pd.DataFrame


def cells(game: str, seeds: Iterable[int]) -> list[Cell]:
    """Return every mode of a game with every seed."""
    return [Cell(game, mode, seed) for seed in seeds for mode in MODES]


def run_cell(cell: Cell, steps: int) -> CellResult:
    """Run one cell with the rules backend, in memory."""
    reputation, gossip = MODES[cell.mode]
    model = RepuNetModel(game=cell.game, reputation=reputation, gossip=gossip, rng=cell.seed)
    for _ in range(steps):
        model.step()
    return CellResult(cell, model.datacollector.get_model_vars_dataframe())


def final_cooperation(results: Sequence[CellResult], last: int) -> dict[str, list[float]]:
    """Return the mean cooperation rate of the last steps of each run, by mode, in the order of the runs."""
    means: dict[str, list[float]] = {mode: [] for mode in MODES}
    for result in results:
        means[result.cell.mode].append(float(result.measures["cooperation_rate"].tail(last).mean()))
    return means
