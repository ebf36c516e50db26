"""Many runs: a grid of modes and seeds, and the figures that come of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from multiprocessing import get_context
from typing import TYPE_CHECKING

import numpy as np

from repunet_model.model import RepuNetModel

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

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


def cells(games: Iterable[str], seeds: Iterable[int]) -> list[Cell]:
    """Return every mode of some games with every seed."""
    return [Cell(game, mode, seed) for game, mode, seed in product(games, MODES, seeds)]


def run_cell(cell: Cell, steps: int) -> CellResult:
    """Run one cell with the rules backend, in memory."""
    reputation, gossip = MODES[cell.mode]
    model = RepuNetModel(game=cell.game, reputation=reputation, gossip=gossip, rng=cell.seed)
    for _ in range(steps):
        model.step()
    return CellResult(cell, model.datacollector.get_model_vars_dataframe())


def run_cells(wanted: Sequence[Cell], steps: int, processes: int) -> Iterator[CellResult]:
    """Run cells and yield their results in the order of the cells.

    Args:
        wanted: The cells.
        steps: How many steps each.
        processes: Over how many processes to spread them; 1 for this one alone.
    """
    run = partial(run_cell, steps=steps)
    if processes == 1:
        yield from map(run, wanted)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(run, wanted, chunksize=4)


def cooperation_by_step(results: Iterable[CellResult]) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Return the cooperation rate of each run and step, by game and mode: arrays of runs × steps, from step 1."""
    rates: dict[str, dict[str, list[NDArray[np.float64]]]] = {}
    for result in results:
        by_mode = rates.setdefault(result.cell.game, {})
        by_mode.setdefault(result.cell.mode, []).append(
            result.measures["cooperation_rate"].iloc[1:].to_numpy(dtype=float)
        )
    return {game: {mode: np.array(runs) for mode, runs in modes.items()} for game, modes in rates.items()}
