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

from repunet_model.report.statistics import LEVEL, Contrast, Estimate, contrast, estimate, holm

RESAMPLES = 1000
"""The number of bootstrap samples of the seeds."""

LEAST_SEEDS = 3
"""The smallest number of seeds with intervals of shares."""

STRAIGHT_ABOVE = 3
"""Numeric columns that vary together over more values than this are lines, as in a Latin hypercube."""

_TOLERANCE = 1e-9

Floats = NDArray[np.float64]


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
class Share:
    """A share of the total sum of squares (eta squared).

    Attributes:
        share: The share; None for a factor that cannot be told apart from others together.
        low: The lower end of its 95 % interval, by percentiles of a bootstrap over seeds; None for too few seeds.
        high: The upper end.
        chance: The share that a factor without any effect would have on average.
    """

    share: float | None
    low: float | None = None
    high: float | None = None
    chance: float | None = None


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
    model = _Model(table, factors, outcome, blocks)
    shares = model.shares()
    pairs = [list(model.differences(factor)) for factor in factors]
    adjusted = iter(holm([_p(each.contrast) for own in pairs for each in own]))
    effects = [
        Effects(factor, share, model.means(factor), [replace(each, adjusted=next(adjusted)) for each in own])
        for factor, share, own in zip(factors, shares, pairs, strict=False)
    ]
    explained = [each.share for each in shares]
    rest = None if None in explained else model.rest
    return Audit(effects, shares[-1], rest, len(table), int(blocks.max()) + 1)


def _p(found: Contrast) -> float | None:
    """Return the p-value of a contrast; for equal differences in enough seeds 0 or 1."""
    if found.p is None and found.difference.low is not None:
        return 1.0 if abs(found.difference.mean) < _TOLERANCE else 0.0
    return found.p


class _Model:
    """Sums of squares and cross-products of each seed, from which all estimates come."""

    def __init__(self, table: pd.DataFrame, factors: Sequence[Factor], outcome: str, blocks: NDArray[np.intp]) -> None:
        y = table[outcome].to_numpy(dtype=float)[:, None]
        columns = [_columns(table, factor) for factor in factors]
        ends = np.cumsum([0, *(part.shape[1] for part in columns)])
        self.places = {
            factor.name: list(range(ends[number], ends[number + 1])) for number, factor in enumerate(factors)
        }
        self.width = int(ends[-1])
        everything = np.hstack([*columns, y])
        self.centre = everything.mean(axis=0)
        count = int(blocks.max()) + 1
        whole = np.hstack([everything, np.ones_like(y)])
        within = np.zeros((count, self.width + 1, self.width + 1))
        raw = np.zeros((count, self.width + 2, self.width + 2))
        for block in range(count):
            own = everything[blocks == block]
            own = own - own.mean(axis=0)
            within[block] = own.T @ own
            raw[block] = whole[blocks == block].T @ whole[blocks == block]
        self.within, self.raw, self.count = within, raw, count
        self.runs = len(table)
        self.rest: float | None = None

    def shares(self) -> list[Share]:
        """Return the share of each factor, and last that of seeds."""
        sums, total, residual, freedom = self._sums(np.ones((1, self.count)))
        if total[0] < _TOLERANCE:
            return [Share(0.0, chance=0.0)] * len(sums)
        self.rest = float(residual[0] / total[0])
        left = self.runs - self.count - sum(freedom[:-1])
        noise = float(residual[0]) / left if left > 0 else math.nan
        draws = np.random.default_rng(1).integers(self.count, size=(RESAMPLES, self.count))
        weights = np.stack([np.bincount(draw, minlength=self.count) for draw in draws]).astype(float)
        resampled, totals, _, _ = self._sums(weights)
        tail = 100 * (1 - LEVEL) / 2
        found = []
        for own, again, df in zip(sums, resampled, freedom, strict=True):
            if not df:
                found.append(Share(None))
                continue
            low = high = None
            known = totals > _TOLERANCE
            if self.count >= LEAST_SEEDS and known.any():
                low, high = map(float, np.percentile(again[known] / totals[known], [tail, 100 - tail]))
            chance = None if math.isnan(noise) else df * noise / float(total[0])
            found.append(Share(float(own[0] / total[0]), low, high, chance))
        return found

    def _sums(self, weights: Floats) -> tuple[list[Floats], Floats, Floats, list[int]]:
        """Return sums of squares of factors and seeds, total and residual ones, by sample; and degrees of freedom."""
        within = np.einsum("rs,sij->rij", weights, self.within)
        raw = np.einsum("rs,sij->rij", weights, self.raw)
        n = raw[:, -1, -1]
        total = raw[:, self.width, self.width] - raw[:, self.width, -1] ** 2 / n
        every = list(range(self.width))
        full = _residual(within, every, self.width)
        ranks = np.linalg.matrix_rank(within[0][: self.width, : self.width], hermitian=True)
        sums, freedom = [], []
        for places in self.places.values():
            kept = [place for place in every if place not in places]
            sums.append(np.maximum(_residual(within, kept, self.width) - full, 0.0))
            freedom.append(int(ranks - np.linalg.matrix_rank(within[0][np.ix_(kept, kept)], hermitian=True)))
        means = raw[:, :-1, -1] / n[:, None]
        around = raw[:, :-1, :-1] - n[:, None, None] * means[:, :, None] * means[:, None, :]
        sums.append(np.maximum(_residual(around, every, self.width) - full, 0.0))
        return sums, total, full, [*freedom, self.count - 1]

    def differences(self, factor: Factor) -> Iterator[Difference]:
        """Yield the differences between levels that can be estimated within seeds."""
        for (low, first), (high, second) in combinations(self._codes(factor), 2):
            values = self._within_seeds(second - first)
            found = contrast(values, dict.fromkeys(values, 0.0))
            if found is not None:
                yield Difference((low, high), found)

    def means(self, factor: Factor) -> dict[Hashable, Estimate]:
        """Return the mean outcome at each level where all other factors have their mean over the runs."""
        found = {}
        places = self.places[factor.name]
        for level, code in self._codes(factor):
            shift = code.copy()
            shift[places] -= self.centre[:-1][places]
            values = self._within_seeds(shift)
            if values:
                found[level] = estimate([float(self._mean(block)) + value for block, value in values.items()])
        return found

    def _mean(self, block: int) -> float:
        return float(self.raw[block][self.width, -1] / self.raw[block][-1, -1])

    def _codes(self, factor: Factor) -> list[tuple[Hashable, Floats]]:
        """Return each level with its values in the columns of the model."""
        places = self.places[factor.name]
        codes = []
        for number, level in enumerate(factor.levels):
            code = np.zeros(self.width)
            if factor.is_line:
                code[places] = cast("float", level)
            elif number:
                code[places[number - 1]] = 1.0
            codes.append((level, code))
        return codes

    def _within_seeds(self, combination: Floats) -> dict[int, float]:
        """Return the estimate of a combination of coefficients from each seed that allows for it."""
        found = {}
        for block in range(self.count):
            gram = self.within[block][: self.width, : self.width]
            inverse = np.linalg.pinv(gram, rcond=_TOLERANCE, hermitian=True)
            if np.allclose(combination @ inverse @ gram, combination, atol=1e-6):
                found[block] = float(combination @ inverse @ self.within[block][: self.width, self.width])
        return found


def _columns(table: pd.DataFrame, factor: Factor) -> Floats:
    """Return the columns of a factor in the model: an indicator for each level but the first, or the values."""
    if factor.is_line:
        return table[factor.name].to_numpy(dtype=float)[:, None]
    values = [_hashable(value) for value in table[factor.name]]
    return np.array([[float(value == level) for level in factor.levels[1:]] for value in values])


def _residual(products: Floats, kept: Sequence[int], outcome: int) -> Floats:
    """Return the residual sum of squares of the outcome on some columns, for each sample."""
    gram = products[:, kept][:, :, kept]
    across = products[:, kept, outcome]
    inverse = np.linalg.pinv(gram, rcond=_TOLERANCE, hermitian=True)
    explained = np.einsum("ri,rij,rj->r", across, inverse, across)
    return np.asarray(products[:, outcome, outcome] - explained)
