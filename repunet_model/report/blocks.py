"""Least squares with seeds as blocks: sums of squares of terms, and estimates within seeds.

A model has an outcome and terms, each of some columns. The sum of squares of terms is what the residual sum of squares
rises by if they are left out of the model, seeds staying in it. All estimates come from the cross-products of each
seed, so that a bootstrap of the seeds is one product of matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from repunet_model.report.statistics import LEVEL

RESAMPLES = 1000
"""The number of bootstrap samples of the seeds."""

LEAST_SEEDS = 3
"""The smallest number of seeds with intervals of shares."""

TOLERANCE = 1e-9
"""A smaller sum of squares, or eigenvalue relative to the largest, is rounding error and counts as 0."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Share:
    """A share of the total sum of squares (eta squared).

    Attributes:
        share: The share; None for a term that cannot be told apart from others together.
        low: The lower end of its 95 % interval, by percentiles of a bootstrap over seeds; None for too few seeds.
        high: The upper end.
        chance: The share that a term without any effect would have on average.
    """

    share: float | None
    low: float | None = None
    high: float | None = None
    chance: float | None = None


class BlockModel:
    """A linear model of an outcome with seeds as blocks.

    Attributes:
        places: The numbers of the columns of each term.
        centre: The mean of each column, and last that of the outcome.
        count: The number of seeds.
    """

    def __init__(self, terms: Sequence[Floats], outcome: Floats, blocks: NDArray[np.intp]) -> None:
        """Prepare the cross-products.

        Args:
            terms: A matrix for each term, runs × columns.
            outcome: The outcome of each run.
            blocks: The number of the seed of each run, from 0.
        """
        ends = np.cumsum([0, *(term.shape[1] for term in terms)]).tolist()
        self.places = [list(range(first, last)) for first, last in pairwise(ends)]
        self.width = ends[-1]
        everything = np.hstack([*terms, outcome[:, None]])
        self.centre = everything.mean(axis=0)
        self.count = int(blocks.max()) + 1
        whole = np.hstack([everything, np.ones((len(outcome), 1))])
        self._within = np.zeros((self.count, self.width + 1, self.width + 1))
        self._raw = np.zeros((self.count, self.width + 2, self.width + 2))
        for block in range(self.count):
            own = everything[blocks == block]
            own = own - own.mean(axis=0)
            self._within[block] = own.T @ own
            self._raw[block] = whole[blocks == block].T @ whole[blocks == block]
        self._runs = len(outcome)

    @cached_property
    def rest(self) -> float:
        """The share of the total sum of squares that terms and seeds leave; 0 if the outcome does not vary."""
        total = float(self._total(self._once)[0])
        return 0.0 if total < TOLERANCE else float(self._left(self._once)[0]) / total

    def shares(self, groups: Sequence[Sequence[int]]) -> list[Share]:
        """Return the share of each group of terms."""
        rank, full = self.rank(), self._left(self._resamples)
        found = []
        for group in groups:
            own = self._left(self._once, group) - self._left(self._once)
            again = self._left(self._resamples, group) - full
            found.append(self._share(own, again, rank - self.rank(without=group)))
        return found

    def share_of_seeds(self) -> Share:
        """Return the share of seeds."""
        sums = [self._left_without_seeds(weights) - self._left(weights) for weights in (self._once, self._resamples)]
        return self._share(sums[0], sums[1], self.count - 1)

    def _share(self, own: Floats, again: Floats, freedom: int) -> Share:
        """Return a share from a sum of squares, those of the bootstrap, and its degrees of freedom."""
        total, totals = float(self._total(self._once)[0]), self._total(self._resamples)
        if total < TOLERANCE:
            return Share(0.0, chance=0.0)
        if not freedom:
            return Share(None)
        left = self._runs - self.count - self.rank()
        chance = freedom * self.rest / left if left > 0 else None
        low = high = None
        known = totals > TOLERANCE
        if self.count >= LEAST_SEEDS and known.any():
            tail = 100 * (1 - LEVEL) / 2
            shares = np.maximum(again[known], 0.0) / totals[known]
            low, high = map(float, np.percentile(shares, [tail, 100 - tail]))
        return Share(max(float(own[0]), 0.0) / total, low, high, chance)

    def rank(self, without: Sequence[int] = ()) -> int:
        """Return the degrees of freedom of all terms but some."""
        kept = self._kept(without)
        return int(np.linalg.matrix_rank(self._pooled[np.ix_(kept, kept)], hermitian=True)) if kept else 0

    def beside(self, terms: Sequence[int]) -> Floats:
        """Return the cross-products within seeds of all columns, of length 1, less what some terms explain of them."""
        length = np.sqrt(np.diag(self._pooled))
        length[length == 0] = 1.0
        unit = self._pooled / length / length[:, None]
        places = [place for term in terms for place in self.places[term]]
        inverse = np.linalg.pinv(unit[np.ix_(places, places)], rcond=TOLERANCE, hermitian=True)
        return np.asarray(unit - unit[:, places] @ inverse @ unit[places])

    def within_seeds(self, combination: Floats) -> dict[int, float]:
        """Return the estimate of a combination of coefficients from each seed that allows for it."""
        found = {}
        for block, (projection, coefficients) in enumerate(self._fitted):
            if np.allclose(combination @ projection, combination, atol=1e-6):
                found[block] = float(combination @ coefficients)
        return found

    def mean(self, block: int) -> float:
        """Return the mean outcome of a seed."""
        return float(self._raw[block][self.width, -1] / self._raw[block][-1, -1])

    @cached_property
    def _pooled(self) -> Floats:
        return np.asarray(self._within.sum(axis=0)[: self.width, : self.width])

    @cached_property
    def _fitted(self) -> list[tuple[Floats, Floats]]:
        """The projection on what each seed allows to estimate, and the coefficients from it."""
        found = []
        for own in self._within:
            gram = own[: self.width, : self.width]
            inverse = np.linalg.pinv(gram, rcond=TOLERANCE, hermitian=True)
            found.append((inverse @ gram, inverse @ own[: self.width, self.width]))
        return found

    def _kept(self, without: Sequence[int]) -> list[int]:
        return [place for term, own in enumerate(self.places) if term not in without for place in own]

    @cached_property
    def _once(self) -> Floats:
        return np.ones((1, self.count))

    @cached_property
    def _resamples(self) -> Floats:
        """The number of times that each seed is in each bootstrap sample."""
        draws = np.random.default_rng(1).integers(self.count, size=(RESAMPLES, self.count))
        return np.stack([np.bincount(draw, minlength=self.count) for draw in draws]).astype(float)

    def _total(self, weights: Floats) -> Floats:
        """Return the total sum of squares of each sample."""
        own = np.einsum("rs,sij->rij", weights, self._raw[:, self.width :, self.width :])
        return np.asarray(own[:, 0, 0] - own[:, 0, 1] ** 2 / own[:, 1, 1])

    def _left(self, weights: Floats, without: Sequence[int] = ()) -> Floats:
        """Return what all terms but some, and seeds, leave of the sum of squares of each sample."""
        kept = [*self._kept(without), self.width]
        return _residual(np.einsum("rs,sij->rij", weights, self._within[:, kept][:, :, kept]))

    def _left_without_seeds(self, weights: Floats) -> Floats:
        """Return what all terms leave of the sum of squares of each sample if seeds are left out."""
        raw = np.einsum("rs,sij->rij", weights, self._raw)
        n = raw[:, -1, -1]
        means = raw[:, :-1, -1] / n[:, None]
        return _residual(raw[:, :-1, :-1] - n[:, None, None] * means[:, :, None] * means[:, None, :])


def products(first: Floats, second: Floats) -> Floats:
    """Return the columns of the interaction of two terms: all products of their columns."""
    return np.asarray((first[..., :, None] * second[..., None, :]).reshape(*first.shape[:-1], -1))


def _residual(products: Floats) -> Floats:
    """Return the residual sum of squares of the last variable on the others, from the products of each sample."""
    gram, across = products[:, :-1, :-1], products[:, :-1, -1]
    if (
        gram.size and np.ptp(gram, axis=0).max() < TOLERANCE * np.abs(gram).max()
    ):  # Seeds of equal designs: one inverse for all samples.
        gram = gram[:1]
    inverse = np.linalg.pinv(gram, rcond=TOLERANCE, hermitian=True)
    return np.asarray(products[:, -1, -1] - (across * (inverse @ across[:, :, None])[:, :, 0]).sum(axis=1))
