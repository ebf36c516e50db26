"""Statistics over observations of agents, with intervals that allow for several observations of an agent.

Observations of one agent are not independent, so an interval comes from leaving out one agent at a time: the jackknife
over agents with Student's t (Efron & Stein 1981; of regressions: MacKinnon, Nielsen & Webb 2023). Equal observations
give an interval without width; the number of observations says how much that is worth.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEVEL = 0.95
"""The confidence level of every interval."""

METHOD = "Student's t, jackknife over agents"
"""The method of every interval."""

LEAST_AGENTS = 5
"""The smallest number of agents with an interval."""

Floats = NDArray[np.float64]


class Clustered(ABC):
    """A statistic over observations of agents.

    Attributes:
        kind: What the value is called.
        n: The number of observations.
        agents: The number of agents.
        chance: The value that no relation at all would have; None if there is no such value.
        bounds: The smallest and largest possible value.
    """

    kind: ClassVar[str]
    chance: float | None = None
    bounds: tuple[float, float] = (0.0, 1.0)

    def __init__(self, agents: Sequence[str]) -> None:
        """Group observations by the names of their agents."""
        names = sorted(set(agents))
        place = {name: number for number, name in enumerate(names)}
        self.n, self.agents = len(agents), len(names)
        self._agent = np.array([place[name] for name in agents], dtype=np.intp)

    @abstractmethod
    def _values(self, weights: Floats) -> Floats:
        """Return the statistic for each row of a matrix of weights of agents; NaN where it is undefined."""

    def _sums(self, values: Sequence[float] | Floats) -> Floats:
        """Return the sum of a number of each observation, by agent."""
        return np.bincount(self._agent, weights=np.asarray(values, dtype=float), minlength=self.agents)

    @cached_property
    def value(self) -> float | None:
        """The statistic; None where it is undefined, as with observations that are all alike."""
        if not self.n:
            return None
        (value,) = self._values(np.ones((1, self.agents)))
        return None if np.isnan(value) else float(value)

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """The interval (`METHOD`); None for too few agents, or where all depends on one agent."""
        if self.value is None or self.agents < LEAST_AGENTS:
            return None
        without = self._values(1.0 - np.eye(self.agents))
        if np.isnan(without).any():
            return None
        spread = float(np.sqrt((self.agents - 1) * np.mean((without - without.mean()) ** 2)))
        half = float(stats.t.ppf((1 + LEVEL) / 2, self.agents - 1)) * spread
        low, high = self.bounds
        return max(low, self.value - half), min(high, self.value + half)


class Share(Clustered):
    """The share of observations that are true."""

    kind = "share"

    def __init__(self, agents: Sequence[str], true: Sequence[bool], chance: float | None = None) -> None:
        """Take observations with the names of their agents."""
        super().__init__(agents)
        self.true, self.chance = sum(true), chance
        self._true, self._all = self._sums([float(each) for each in true]), self._sums(np.ones(self.n))

    def _values(self, weights: Floats) -> Floats:
        return np.asarray(weights @ self._true / (weights @ self._all))


class Auc(Clustered):
    """The area under the ROC curve: the share of pairs of a true and a false case in which the true one scores higher.

    Equal scores count one half.
    """

    kind = "AUC"
    chance = 0.5

    def __init__(self, agents: Sequence[str], scores: Sequence[float], true: Sequence[bool]) -> None:
        """Take the score of each case, and whether it is true, with the names of the agents."""
        super().__init__(agents)
        self.true = sum(true)
        distinct, place = np.unique(np.asarray(scores, dtype=float), return_inverse=True)
        counts = np.zeros((2, self.agents, len(distinct)))
        np.add.at(counts, (np.array(true, dtype=np.intp), self._agent, place), 1.0)
        self._false, self._true = counts

    def _values(self, weights: Floats) -> Floats:
        false, true = weights @ self._false, weights @ self._true
        below = np.cumsum(false, axis=1) - false / 2
        pairs = false.sum(axis=1) * true.sum(axis=1)
        won = (true * below).sum(axis=1)
        values: Floats = np.divide(won, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)
        return values


class RankCorrelation(Clustered):
    """Spearman's rank correlation of two numbers of each observation; ranks are those among all observations."""

    kind = "correlation"
    chance = 0.0
    bounds = (-1.0, 1.0)

    def __init__(self, agents: Sequence[str], first: Sequence[float], second: Sequence[float]) -> None:
        """Take two numbers of each observation, with the names of the agents."""
        super().__init__(agents)
        x, y = (stats.rankdata(each) - (self.n + 1) / 2 for each in (first, second))
        self._moments = np.stack([self._sums(each) for each in (np.ones(self.n), x, y, x * x, y * y, x * y)], axis=1)

    def _values(self, weights: Floats) -> Floats:
        n, x, y, xx, yy, xy = (weights @ self._moments).T
        spread = (n * xx - x * x) * (n * yy - y * y)
        covered = n * xy - x * y
        values: Floats = np.divide(covered, np.sqrt(spread), out=np.full(len(weights), np.nan), where=spread > 1e-9)
        return values
