"""The interactions of two factors: how far the effect of one on an outcome depends on the level of another.

The model is that of main effects and of the interactions of every two factors, with seeds as blocks. The share of an
interaction is what the residual sum of squares rises by if it is left out and all others stay. Interactions that a
design cannot tell apart, as in a fraction, are one entry with the share of them together.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import networkx as nx
import numpy as np
import pandas as pd

from repunet_model.report.blocks import BlockModel, Floats, Share, products
from repunet_model.report.statistics import LEVEL, Contrast, Estimate, contrast, estimate, holm
from repunet_model.report.variance import Factor, codes_of, columns_of, p_of

MOST_COLUMNS = 200
"""The largest number of columns of a model with interactions; more are not estimated."""

_NOTHING = 1e-6
"""A smaller product of columns of length 1 is rounding error and counts as 0."""

type Levels = tuple[Hashable, Hashable]
"""A level of the first and one of the second factor."""


@dataclass(frozen=True, slots=True)
class Change:
    """The change of the difference between two levels of a factor from one level of another factor to another.

    Attributes:
        first: The levels of the first factor; the difference is the second minus the first.
        second: The levels of the second factor; the change is the difference at the second minus that at the first.
        contrast: The change over seeds.
        adjusted: Its p-value, adjusted by Holm's method for all changes of all interactions; None without one.
    """

    first: Levels
    second: Levels
    contrast: Contrast
    adjusted: float | None = None

    @property
    def is_shown(self) -> bool:
        """Whether the effect changes at the 5 % level of all changes together."""
        return self.adjusted is not None and self.adjusted < 1 - LEVEL

    @property
    def cells(self) -> list[Levels]:
        """The four combinations of levels."""
        return [(one, other) for one in self.first for other in self.second]


@dataclass(frozen=True, slots=True)
class Interaction:
    """The interaction of two factors.

    Attributes:
        factors: The factors.
        others: Further pairs of factors whose interactions cannot be told apart from it.
        share: The share of the variance of all these interactions together.
        cells: The mean outcome at each combination of levels, the other factors at their mean.
        changes: The changes of the effect of one factor by the other; none if they cannot be estimated within seeds.
    """

    factors: tuple[Factor, Factor]
    others: Sequence[tuple[Factor, Factor]]
    share: Share
    cells: Mapping[Levels, Estimate]
    changes: Sequence[Change]

    @property
    def largest(self) -> Change | None:
        """The largest change; None if none can be estimated."""
        return max(self.changes, key=lambda each: abs(each.contrast.difference.mean), default=None)

    @property
    def is_shown(self) -> bool:
        """Whether a change is shown."""
        return any(each.is_shown for each in self.changes)


@dataclass(frozen=True, slots=True)
class Interactions:
    """All interactions of two factors on an outcome.

    Attributes:
        found: The interactions; empty if the model would have more than `MOST_COLUMNS` columns.
        rest: The share of the variance that main effects, seeds and these interactions leave; None without a model.
    """

    found: Sequence[Interaction]
    rest: float | None


def interactions(
    table: pd.DataFrame, factors: Sequence[Factor], outcome: str, seed: str = "seed"
) -> Interactions | None:
    """Return the interactions of every two factors on an outcome.

    Args:
        table: A row for each run, as for `variance.audit`.
        factors: The factors, columns of the table.
        outcome: The column of the outcome.
        seed: The column of the seeds.

    Returns:
        None for fewer than two factors, or if no seed has two runs.
    """
    blocks = pd.factorize(table[seed])[0]
    if len(factors) < 2 or np.bincount(blocks).max() < 2:
        return None
    own = [columns_of(table, factor) for factor in factors]
    pairs = list(combinations(range(len(factors)), 2))
    width = sum(each.shape[1] for each in own)
    if width + sum(own[one].shape[1] * own[other].shape[1] for one, other in pairs) > MOST_COLUMNS:
        return Interactions([], None)
    values = table[outcome].to_numpy(dtype=float)
    crossed = [products(own[one], own[other]) for one, other in pairs]
    whole = BlockModel([*own, *crossed], values, blocks)
    groups = list(_groups(whole, len(factors), len(pairs)))
    shares = whole.shares([[len(factors) + number for number in group.members] for group in groups])
    # Of interactions that cannot be told apart one stands for all.
    kept = [number for group in groups for number in (group.members[:1] if group.is_one else group.members)]
    model = _Crossed(factors, [pairs[number] for number in kept], BlockModel(
        [*own, *(crossed[number] for number in kept)], values, blocks
    ))  # fmt: skip
    found = []
    for group, share in zip(groups, shares, strict=True):
        first, *others = (pairs[number] for number in group.members)
        named = [(factors[one], factors[other]) for one, other in others]
        changes = list(model.changes(*first)) if group.is_one and share.share is not None else []
        cells = model.cells(*first) if changes else {}
        found.append(Interaction((factors[first[0]], factors[first[1]]), named, share, cells, changes))
    adjusted = iter(holm([p_of(change.contrast) for each in found for change in each.changes]))
    found = [
        replace(each, changes=[replace(change, adjusted=next(adjusted)) for change in each.changes]) for each in found
    ]
    return Interactions(found, whole.rest)


@dataclass(frozen=True, slots=True)
class _Group:
    """Numbers of interactions that cannot be told apart; `is_one` if they have the same columns, beside factors."""

    members: Sequence[int]
    is_one: bool


def _groups(model: BlockModel, factors: int, pairs: int) -> Iterator[_Group]:
    """Yield the groups of interactions in a model whose terms are factors and then interactions."""
    beside = model.beside(range(factors))
    length = np.sqrt(np.maximum(np.diag(beside), _NOTHING))
    places = [model.places[factors + number] for number in range(pairs)]

    def rank(members: Iterable[int]) -> int:
        own = [place for number in members for place in places[number]]
        return int(np.linalg.matrix_rank(beside[np.ix_(own, own)], tol=_NOTHING, hermitian=True)) if own else 0

    alone = [rank([number]) for number in range(pairs)]
    every = range(pairs)
    together = rank(every)
    unclear = [
        number for number in every if together - rank([each for each in every if each != number]) < alone[number]
    ]
    related: nx.Graph[int] = nx.Graph()
    related.add_nodes_from(every)
    related.add_edges_from(
        (one, other)
        for one, other in combinations([number for number in unclear if alone[number]], 2)
        if np.abs(beside[np.ix_(places[one], places[other])] / length[places[other]]).max()
        > _NOTHING * length[places[one]].max()
    )
    for group in nx.connected_components(related):
        members = sorted(group)
        yield _Group(members, is_one=rank(members) == alone[members[0]])


class _Crossed:
    """A model with the interactions of some pairs of factors."""

    def __init__(self, factors: Sequence[Factor], pairs: Sequence[tuple[int, int]], model: BlockModel) -> None:
        self.levels = [codes_of(factor) for factor in factors]
        self.pairs, self.model = pairs, model

    def changes(self, one: int, other: int) -> Iterator[Change]:
        """Yield the changes of the effects of a factor by another one that can be estimated within seeds."""
        for (low, a), (high, b) in combinations(self.levels[one], 2):
            for (left, c), (right, d) in combinations(self.levels[other], 2):
                code = np.zeros(self.model.width)
                code[self._places(one, other)] = products(b - a, d - c)
                values = self.model.within_seeds(code)
                found = contrast(values, dict.fromkeys(values, 0.0))
                if found is not None:
                    yield Change((low, high), (left, right), found)

    def cells(self, one: int, other: int) -> dict[Levels, Estimate]:
        """Return the mean outcome at each combination of levels, where the other factors have their mean."""
        found = {}
        for level, first in self.levels[one]:
            for across, second in self.levels[other]:
                values = self.model.within_seeds(self._code({one: first, other: second}) - self.model.centre[:-1])
                if values:
                    found[level, across] = estimate([self.model.mean(block) + own for block, own in values.items()])
        return found

    def _code(self, given: Mapping[int, Floats]) -> Floats:
        """Return the columns of a run whose factors have the given values, and the others their mean."""
        count = len(self.levels)
        own = [given.get(number, self.model.centre[self.model.places[number]]) for number in range(count)]
        return np.concatenate([*own, *(products(own[one], own[other]) for one, other in self.pairs)])

    def _places(self, one: int, other: int) -> list[int]:
        return self.model.places[len(self.levels) + self.pairs.index((one, other))]
