"""Designs: which combinations of the values of a grid are run.

full        every combination
fraction    a two-level fractional factorial of resolution IV (folded Hadamard matrices, by SALib): no main effect is
            confounded with another one, or with an interaction of two parameters
lhs         a Latin hypercube over the parameters of games and of rules, whose two values are the ends of a range; other
            parameters are combined with every point in full

Every cell of a design has the same seeds. Parameters may stand apart from a design; they are combined with every cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from repunet_model.errors import ConfigurationError

type Kind = Literal["full", "fraction", "lhs"]

TABLES = ("game", "rules")
"""The tables of a grid whose values are numbers."""

POINTS = 20
"""The number of points of a Latin hypercube if none is given."""

_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Designed:
    """The cells of a design.

    Attributes:
        grids: A grid for each cell, or for each point, in the form that `Grid` takes.
        notes: What is confounded, in sentences.
    """

    grids: Sequence[Mapping[str, Any]]
    notes: Sequence[str]


def designed(grid: Mapping[str, Any], kind: Kind, points: int | None = None, apart: Sequence[str] = ()) -> Designed:
    """Return the cells of a design.

    Args:
        grid: All values of a grid, as `Grid.stored` returns them.
        kind: The design.
        points: The number of points of a Latin hypercube.
        apart: Parameters that are combined with every cell, whatever the design is.

    Raises:
        ConfigurationError: If the grid does not allow for the design.
    """
    if points is not None and kind != "lhs":
        raise ConfigurationError("points: only the design lhs has points")
    if kind == "fraction":
        return _fraction(grid, apart)
    if kind == "lhs":
        return _hypercube(grid, POINTS if points is None else points)
    return Designed([grid], ["Every combination is run, so that nothing is confounded."])


def _varied(grid: Mapping[str, Any]) -> dict[tuple[str, ...], Sequence[Any]]:
    """Return the values of each parameter that has several, by its place in the grid."""
    own = {(name,): values for name, values in grid.items() if name not in TABLES}
    of_tables = {(table, name): values for table in TABLES for name, values in grid[table].items()}
    return {place: values for place, values in (own | of_tables).items() if len(values) > 1}


def _with(grid: Mapping[str, Any], chosen: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    """Return a grid in which some parameters have one value."""
    cell = {name: dict(values) if name in TABLES else values for name, values in grid.items()}
    for (*table, name), value in chosen.items():
        (cell[table[0]] if table else cell)[name] = [value]
    return cell


def _fraction(grid: Mapping[str, Any], apart: Sequence[str]) -> Designed:
    from SALib.sample import ff  # noqa: PLC0415 - takes seconds

    varied = {place: values for place, values in _varied(grid).items() if place[0] not in apart}
    if len(varied) < 2:
        raise ConfigurationError("design fraction: give at least two parameters with two values each")
    for place, values in varied.items():
        if len(values) != 2:
            raise ConfigurationError(
                f"design fraction: {'.'.join(place)} has {len(values)} values: it needs two of each that varies"
            )
    names = [".".join(place) for place in varied]
    problem = {"num_vars": len(names), "names": list(names), "bounds": [[-1, 1]] * len(names)}
    signs = ff.sample(problem)[:, : len(names)].astype(int)  # Further columns are SALib's dummies.
    signs = signs[np.sort(np.unique(signs, axis=0, return_index=True)[1])]
    cells = [
        _with(grid, {place: values[int(sign > 0)] for (place, values), sign in zip(varied.items(), row, strict=True)})
        for row in signs
    ]
    return Designed(cells, _aliases(names, signs))


def _aliases(names: Sequence[str], signs: NDArray[np.int_]) -> list[str]:
    """Say which interactions of two parameters cannot be told apart."""
    groups: dict[tuple[int, ...], list[str]] = {}
    for first, second in combinations(range(len(names)), 2):
        column = signs[:, first] * signs[:, second]
        groups.setdefault(tuple((column * column[0]).tolist()), []).append(f"{names[first]} × {names[second]}")
    confounded = [" = ".join(group) for group in groups.values() if len(group) > 1]
    notes = ["No main effect is confounded with another one, or with an interaction of two parameters."]
    if confounded:
        notes.append(f"Interactions that are confounded with each other: {'; '.join(confounded)}.")
    return notes


def _hypercube(grid: Mapping[str, Any], points: int) -> Designed:
    from SALib.sample import latin  # noqa: PLC0415 - takes seconds

    ranges = {place: values for place, values in _varied(grid).items() if place[0] in TABLES}
    if not ranges:
        raise ConfigurationError(
            "design lhs: give the ends of the range of at least one parameter of the game or the rules, such as "
            "temptation=3,8"
        )
    for place, values in ranges.items():
        if len(values) != 2 or values[0] >= values[1]:
            raise ConfigurationError(
                f"design lhs: {'.'.join(place)} is {', '.join(f'{value:g}' for value in values)}: give the lower "
                "and the upper end of its range"
            )
    if points < 2:
        raise ConfigurationError("design lhs: points: give at least two")
    names = [".".join(place) for place in ranges]
    problem = {"num_vars": len(names), "names": names, "bounds": [list(values) for values in ranges.values()]}
    drawn = np.round(latin.sample(problem, points, seed=1), _DIGITS)
    cells = [_with(grid, dict(zip(ranges, row, strict=True))) for row in drawn.tolist()]
    if len(names) == 1:
        return Designed(cells, ["One range: nothing is confounded."])
    related = np.abs(np.corrcoef(drawn, rowvar=False)[np.triu_indices(len(names), 1)]).max()
    note = f"The parameters of the points are correlated by {related:.2f} at most; interactions are not told apart."
    return Designed(cells, [note])
