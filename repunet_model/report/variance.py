"""The share of the variance of an outcome that lies between the levels of each factor, and what the outcome hangs on.

The table has a row for each run: its factors, its seed and the outcome. The model is that of main effects by ordinary
least squares, with seeds as blocks. The sum of squares of a factor is of type II: what the residual sum of squares
rises by if the factor is left out. Interactions between factors and noise are in the rest. The effects of a factor are
estimated within each seed, and their intervals are over seeds.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from repunet_model.report.blocks import TOLERANCE, BlockModel, Floats, Share
from repunet_model.report.statistics import LEVEL, Contrast, Estimate, contrast, estimate, holm

STRAIGHT_ABOVE = 3
"""Numeric columns that vary together over more values than this are lines, as in a Latin hypercube."""


@dataclass(frozen=True, slots=True)
class Factor:
    """A factor of a table.

    Attributes:
        name: Its column.
        others: Columns that vary with it and cannot be told apart from it.
        levels: Its values in the order of the table; for a line the smallest and the largest.
        is_line: Whether it enters as a straight line.
    """

    name: str
    others: tuple[str, ...]
    levels: tuple[Hashable, ...]
    is_line: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference between two levels of a factor, the second minus the first, other factors being equal.

    Attributes:
        levels: The levels.
        contrast: The difference over seeds.
        adjusted: Its p-value, adjusted by Holm's method for all pairs of levels of all factors; None without one.
    """

    levels: tuple[Hashable, Hashable]
    contrast: Contrast
    adjusted: float | None = None

    @property
    def is_shown(self) -> bool:
        """Whether the levels differ at the 5 % level of all pairs together."""
        return self.adjusted is not None and self.adjusted < 1 - LEVEL


@dataclass(frozen=True, slots=True)
class Effects:
    """The effects of a factor on an outcome.

    Attributes:
        factor: The factor.
        share: Its share of the variance.
        means: The mean outcome at each level, adjusted for the other factors.
        differences: The differences between the levels, pair by pair.
    """

    factor: Factor
    share: Share
    means: Mapping[Hashable, Estimate]
    differences: Sequence[Difference]

    @property
    def largest(self) -> Difference | None:
        """The largest difference; None if none can be estimated."""
        return max(self.differences, key=lambda each: abs(each.contrast.difference.mean), default=None)


@dataclass(frozen=True, slots=True)
class Audit:
    """The dependence of an outcome on factors and seeds.

    Attributes:
        effects: The effects of each factor.
        seeds: The share of seeds.
        rest: The share that main effects and seeds leave: interactions and noise.
        runs: The number of runs.
        n_seeds: The number of seeds.
    """

    effects: Sequence[Effects]
    seeds: Share
    rest: float | None
    runs: int
    n_seeds: int

    def sensitive_to(self) -> list[Effects]:
        """Return the factors between whose levels a difference is shown."""
        return [each for each in self.effects if any(pair.is_shown for pair in each.differences)]

    def undecided(self) -> list[Effects]:
        """Return the factors without a shown difference for which there is no test, or an unadjusted one shows some."""
        return [
            each
            for each in self.effects
            if not any(pair.is_shown for pair in each.differences)
            and (
                all(pair.adjusted is None for pair in each.differences)
                or any(pair.contrast.p is not None and pair.contrast.p < 1 - LEVEL for pair in each.differences)
            )
        ]


def factors_of(table: pd.DataFrame, columns: Sequence[str]) -> list[Factor]:
    """Return the factors among the columns of a table that vary; columns that determine each other are one factor."""
    codes = {name: pd.factorize(table[name].map(_hashable), use_na_sentinel=False)[0] for name in columns}
    counts = {name: len(set(own)) for name, own in codes.items() if len(set(own)) > 1}
    lines = {
        name
        for name in counts
        for other in counts
        if name != other and counts[name] > STRAIGHT_ABOVE and _determines(codes[name], codes[other])
        and _determines(codes[other], codes[name]) and _is_numeric(table[name]) and _is_numeric(table[other])
    }  # fmt: skip
    # The finest columns first: they carry those which they determine.
    found: list[Factor] = []
    for name in sorted(set(counts) - lines, key=lambda name: (-counts[name], columns.index(name))):
        carrier = next((each for each in found if _determines(codes[each.name], codes[name])), None)
        if carrier is None:
            found.append(Factor(name, (), tuple(dict.fromkeys(table[name].map(_hashable)))))
        else:
            found[found.index(carrier)] = replace(carrier, others=(*carrier.others, name))
    found += [Factor(name, (), (table[name].min(), table[name].max()), is_line=True) for name in lines]
    return sorted(found, key=lambda each: columns.index(each.name))


def _hashable(value: object) -> Hashable:
    """Return a cell as a level: a missing number is None, as a missing text is."""
    if isinstance(value, float) and math.isnan(value):
        return None
    return value if isinstance(value, Hashable) else str(value)


def _determines(first: NDArray[np.intp], second: NDArray[np.intp]) -> bool:
    return len(set(zip(first, second, strict=True))) == len(set(first))


def _is_numeric(values: pd.Series[Any]) -> bool:
    return (
        pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values) and bool(values.notna().all())
    )


def audit(table: pd.DataFrame, factors: Sequence[Factor], outcome: str, seed: str = "seed") -> Audit | None:
    """Return what an outcome hangs on.

    Args:
        table: A row for each run, without missing outcomes.
        factors: The factors, columns of the table.
        outcome: The column of the outcome.
        seed: The column of the seeds.

    Returns:
        None if there is no factor, or no seed has two runs, so that nothing can be compared within seeds.
    """
    blocks = pd.factorize(table[seed])[0]
    if not factors or not len(table) or np.bincount(blocks).max() < 2:
        return None
    model = MainEffects(table, factors, outcome, blocks)
    shares = model.shares([[number] for number in range(len(factors))])
    pairs = [list(model.differences(number)) for number in range(len(factors))]
    adjusted = iter(holm([p_of(each.contrast) for own in pairs for each in own]))
    effects = [
        Effects(factor, share, model.means(number), [replace(each, adjusted=next(adjusted)) for each in own])
        for number, (factor, share, own) in enumerate(zip(factors, shares, pairs, strict=True))
    ]
    rest = None if None in [each.share for each in shares] else model.rest
    return Audit(effects, model.share_of_seeds(), rest, len(table), model.count)


def p_of(found: Contrast) -> float | None:
    """Return the p-value of a contrast; for equal differences in enough seeds 0 or 1."""
    if found.p is None and found.difference.low is not None:
        return 1.0 if abs(found.difference.mean) < TOLERANCE else 0.0
    return found.p


class MainEffects(BlockModel):
    """The model of main effects: a term for each factor."""

    def __init__(self, table: pd.DataFrame, factors: Sequence[Factor], outcome: str, blocks: NDArray[np.intp]) -> None:
        """Prepare the model of a table; `blocks` has the number of the seed of each row."""
        super().__init__([columns_of(table, each) for each in factors], table[outcome].to_numpy(dtype=float), blocks)
        self.factors = factors

    def differences(self, number: int) -> Iterator[Difference]:
        """Yield the differences between levels of a factor that can be estimated within seeds."""
        for (low, first), (high, second) in combinations(self._codes(number), 2):
            values = self.within_seeds(second - first)
            found = contrast(values, dict.fromkeys(values, 0.0))
            if found is not None:
                yield Difference((low, high), found)

    def means(self, number: int) -> dict[Hashable, Estimate]:
        """Return the mean outcome at each level where all other factors have their mean over the runs."""
        found = {}
        places = self.places[number]
        for level, code in self._codes(number):
            shift = code.copy()
            shift[places] -= self.centre[:-1][places]
            values = self.within_seeds(shift)
            if values:
                found[level] = estimate([self.mean(block) + value for block, value in values.items()])
        return found

    def _codes(self, number: int) -> list[tuple[Hashable, Floats]]:
        """Return each level with its values in the columns of the model."""
        found = []
        for level, own in codes_of(self.factors[number]):
            code = np.zeros(self.width)
            code[self.places[number]] = own
            found.append((level, code))
        return found


def columns_of(table: pd.DataFrame, factor: Factor) -> Floats:
    """Return the columns of a factor in the model: an indicator for each level but the first, or the values."""
    if factor.is_line:
        return table[factor.name].to_numpy(dtype=float)[:, None]
    values = [_hashable(value) for value in table[factor.name]]
    return np.array([[float(value == level) for level in factor.levels[1:]] for value in values])


def codes_of(factor: Factor) -> list[tuple[Hashable, Floats]]:
    """Return each level of a factor with its values in the columns of the factor."""
    if factor.is_line:
        return [(level, np.array([cast("float", level)])) for level in factor.levels]
    rows = np.eye(len(factor.levels))[:, 1:]
    return list(zip(factor.levels, rows, strict=True))
