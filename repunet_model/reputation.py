"""Reputation records and the ledger in which an agent keeps them. Pure: no agent, no graph, no clock.

A record is an opinion of one subject in one role: a short text and a distribution over five levels, from very bad to
very good (Ren et al. 2026, arXiv 2505.05029). Each agent keeps a ledger of its own, with a record of itself and of
every agent it has heard of. A newer record replaces the older one, which stays in the history with its step and cause.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from repunet_model.util.exact_mean import ExactMean


class Level(StrEnum):
    """The five levels of conduct and reputation."""

    VERY_BAD = "very bad"
    BAD = "bad"
    NEUTRAL = "neutral"
    GOOD = "good"
    VERY_GOOD = "very good"


LEVELS = tuple(Level)


class Cause(StrEnum):
    """The cause of a record."""

    EXPERIENCE = "own experience"
    FIRST_ORDER_GOSSIP = "first-order gossip"
    SECOND_ORDER_GOSSIP = "second-order gossip"
    OBSERVATION = "observation"
    SIGN_UP = "sign-up"
    UNKNOWN = "unknown"  # Of an imported run without causes.


def score_of(distribution: Sequence[float]) -> float:
    """Return the score of a distribution over the five levels, in [-1, 1]: clip(x5 + x4 - x2 - x1)."""
    x1, x2, _, x4, x5 = distribution
    return max(-1.0, min(1.0, x5 + x4 - x2 - x1))


def with_sum_1(numbers: Sequence[float]) -> tuple[float, float, float, float, float]:
    """Return the distribution with the score of five numbers in [0, 1] that may sum to anything.

    Whatever the sum, the neutral level takes the difference to 1. If the other four sum to more than 1, the good and
    the bad ones lose the same amount. So neither side gains.
    """
    x1, x2, x3, x4, x5 = numbers
    bad, good, total = x1 + x2, x4 + x5, math.fsum(numbers)
    if math.isclose(total, 1.0, abs_tol=1e-9):
        return x1, x2, x3, x4, x5
    if bad + good <= 1.0:
        return x1, x2, 1.0 - bad - good, x4, x5
    score = max(-1.0, min(1.0, good - bad))
    low, high = (1 - score) / 2 / bad if bad else 0.0, (1 + score) / 2 / good if good else 0.0
    return x1 * low, x2 * low, 0.0, x4 * high, x5 * high


@dataclass(frozen=True, slots=True)
class ReputationRecord:
    """The opinion of one agent about a subject in a role.

    Attributes:
        subject: Name of the agent the record is about.
        role: The subject's role, such as "player".
        text: The opinion in a few words.
        distribution: Probability of each level, from very bad to very good; five numbers in [0, 1], sum 1.
    """

    subject: str
    role: str
    text: str
    distribution: tuple[float, float, float, float, float]

    def __post_init__(self) -> None:
        """Validate the distribution."""
        if len(self.distribution) != len(LEVELS):
            raise ValueError(f"record of {self.subject}: {len(self.distribution)} numbers, five are needed")
        if min(self.distribution) < 0.0 or max(self.distribution) > 1.0:
            raise ValueError(f"record of {self.subject}: {self.distribution} leaves [0, 1]")
        if not math.isclose(math.fsum(self.distribution), 1.0, abs_tol=1e-9):
            raise ValueError(f"record of {self.subject}: {self.distribution} does not sum to 1")

    @classmethod
    def from_level(cls, subject: str, role: str, text: str, level: Level, certainty: float) -> Self:
        """Create a record from a level and its holder's certainty.

        A share `certainty` of the probability lies on the level, the rest is spread evenly over all five. Certainty 0
        is "no opinion" (0.2 five times); the absolute score of a good or bad level is its certainty.
        """
        rest = (1.0 - certainty) / len(LEVELS)
        x1, x2, x3, x4, x5 = (rest + (certainty if other is level else 0.0) for other in LEVELS)
        return cls(subject, role, text, (x1, x2, x3, x4, x5))

    @property
    def score(self) -> float:
        """The score in [-1, 1]: see `score_of`."""
        return score_of(self.distribution)

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain data."""
        return {
            "subject": self.subject,
            "role": self.role,
            "text": self.text,
            "distribution": list(self.distribution),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Create a record from the data of `to_dict`."""
        x1, x2, x3, x4, x5 = data["distribution"]
        return cls(data["subject"], data["role"], data["text"], (x1, x2, x3, x4, x5))


@dataclass(frozen=True, slots=True)
class RecordUpdate:
    """An entry of a ledger.

    Attributes:
        step: The step in which the record was written.
        cause: The cause of the record.
        source: The names of those who told it; empty for own experience.
        record: The record.
    """

    step: int
    cause: Cause
    source: str
    record: ReputationRecord


class Standings:
    """Running scores of all subjects over the ledgers of a society.

    A score is the mean over all holders of a record of the subject in the role, the subject included. Sums are exact,
    so that the order of updates does not matter.
    """

    def __init__(self) -> None:
        self._means: dict[tuple[str, str], ExactMean] = {}

    def replace(self, subject: str, role: str, old: ReputationRecord | None, new: ReputationRecord | None) -> None:
        """Replace a holder's record of a subject; None stands for no record."""
        mean = self._means.get((subject, role))
        if mean is None:
            mean = self._means[subject, role] = ExactMean()
        mean.replace(None if old is None else old.score, None if new is None else new.score)

    def score(self, subject: str, role: str) -> float | None:
        """Return a subject's score in a role; None without a record."""
        mean = self._means.get((subject, role))
        return None if mean is None else mean.value

    def count(self, subject: str, role: str) -> int:
        """Return the number of agents that hold a record of a subject in a role."""
        mean = self._means.get((subject, role))
        return 0 if mean is None else mean.count

    def over_roles(self, roles: Iterable[str], names: Iterable[str]) -> dict[str, float]:
        """Return the mean score of each named agent over the roles in which it has one; others are left out."""
        distinct = sorted(set(roles))
        return {
            name: sum(known) / len(known)
            for name in names
            if (known := [score for role in distinct if (score := self.score(name, role)) is not None])
        }


@dataclass(slots=True)
class ReputationLedger:
    """The records of one agent, by subject and role, with their history; they contribute to the standings."""

    standings: Standings = field(default_factory=Standings)
    _updates: dict[tuple[str, str], list[RecordUpdate]] = field(default_factory=dict)

    def record(self, subject: str, role: str) -> ReputationRecord | None:
        """Return the present record of a subject in a role; None without one."""
        updates = self._updates.get((subject, role))
        return updates[-1].record if updates else None

    def add(self, update: RecordUpdate) -> None:
        """Add a record, which replaces the present one of its subject and role."""
        key = (update.record.subject, update.record.role)
        updates = self._updates.setdefault(key, [])
        self.standings.replace(*key, updates[-1].record if updates else None, update.record)
        updates.append(update)

    def history(self, subject: str, role: str) -> tuple[RecordUpdate, ...]:
        """Return every record of a subject in a role, oldest first."""
        return tuple(self._updates.get((subject, role), ()))

    def present(self) -> Iterator[ReputationRecord]:
        """Yield the present records, in the order in which their subjects became known."""
        return (updates[-1].record for updates in self._updates.values())

    def withdraw(self) -> None:
        """Take the records out of the standings, since their holder leaves."""
        for record in self.present():
            self.standings.replace(record.subject, record.role, record, None)

    def rejoin(self) -> None:
        """Take the records into the standings again, after `withdraw`."""
        for record in self.present():
            self.standings.replace(record.subject, record.role, None, record)

    def forget(self, step: int) -> None:
        """Remove all records written in the given step, which must be the last one."""
        for key in list(self._updates):
            updates = self._updates[key]
            last = updates[-1].record
            while updates and updates[-1].step == step:
                updates.pop()
            self.standings.replace(*key, last, updates[-1].record if updates else None)
            if not updates:
                del self._updates[key]
