"""What a change does to answers: differences from the recorded ones, with intervals by agent.

Each changed question has its recorded twin, so that a difference is of the same agent in the same place. Answers of one
agent are not independent, so the interval is of the mean over agents (Student's t) of each agent's mean difference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from statistics import fmean
from typing import Any

from repunet_model.questions.base import SCALES, Answer
from repunet_model.report.statistics import LEVEL, METHOD, Estimate, estimate
from repunet_model.what_if.asking import Reply, Variant
from repunet_model.what_if.recorded import Recorded


@dataclass(frozen=True, slots=True)
class Outcome:
    """A number of an answer, and what it is in words."""

    words: str
    of: Callable[[Answer], float]


@dataclass(frozen=True, slots=True)
class Effect:
    """The effect of changes on an outcome.

    Attributes:
        outcome: The outcome in words.
        recorded: Its mean over agents in the recorded answers.
        changed: Its mean over agents in the answers to the changed questions.
        difference: The mean over agents of the difference, changed minus recorded; its n is the number of agents.
        n: The number of questions.
    """

    outcome: str
    recorded: float
    changed: float
    difference: Estimate
    n: int

    @property
    def shown(self) -> tuple[str, ...]:
        """The effect as the cells of a table: outcome, means, difference, interval, questions and agents."""
        low, high = self.difference.low, self.difference.high
        interval = "too few agents" if low is None or high is None else f"{low:+.3f} to {high:+.3f}"
        means = (f"{self.recorded:.3f}", f"{self.changed:.3f}", f"{self.difference.mean:+.3f}")
        return (self.outcome, *means, interval, str(self.n), str(self.difference.n))

    def described(self) -> dict[str, Any]:
        """Return the effect as plain data."""
        low, high = self.difference.low, self.difference.high
        return {
            "outcome": self.outcome,
            "recorded": self.recorded,
            "changed": self.changed,
            "difference": self.difference.mean,
            "interval": None if low is None else [low, high],
            "level": LEVEL,
            "method": f"{METHOD} over agents",
            "n": self.n,
            "agents": self.difference.n,
        }


def outcomes(example: Recorded) -> list[Outcome]:
    """Return the outcomes of a kind of question: its choices, levels and numbers.

    Of a choice between two, it is the share of the one that its enumeration names first, such as cooperation; of other
    choices, the share of each; of a choice among agents, the share that differs from the recorded one is not a number
    of one answer and is left to the table of answers.
    """
    found: list[Outcome] = []
    chosen = example.request.question.candidates()
    for name, field in type(example.answer).model_fields.items():
        kind = field.annotation
        if name in chosen or not isinstance(kind, type):
            continue
        if kind in SCALES:
            ranks = {member: float(rank) for rank, member in enumerate(kind, start=1)}
            found.append(Outcome(f"{name}, 1 to {len(ranks)} ({_ends(kind)})", _ranked(name, ranks)))
        elif issubclass(kind, StrEnum):
            members = list(kind)
            for member in members[:1] if len(members) == 2 else members:
                found.append(Outcome(f"share of {name} {member.value}", _is(name, member)))
        elif issubclass(kind, int | float | Decimal):
            found.append(Outcome(f"mean {name}", _number(name)))
    return found


def _ends(kind: type[StrEnum]) -> str:
    first, *_, last = kind
    return f"{first.value} to {last.value}"


def _ranked(name: str, ranks: Mapping[Any, float]) -> Callable[[Answer], float]:
    return lambda answer: ranks[getattr(answer, name)]


def _is(name: str, member: StrEnum) -> Callable[[Answer], float]:
    return lambda answer: float(getattr(answer, name) is member)


def _number(name: str) -> Callable[[Answer], float]:
    return lambda answer: float(getattr(answer, name))


def effects(variant: Variant) -> list[Effect]:
    """Return the effects of a variant on each outcome of its questions; none without replies."""
    return [_effect(outcome, variant.replies) for outcome in outcomes(variant.asks[0][0])] if variant.replies else []


def _effect(outcome: Outcome, replies: Sequence[Reply]) -> Effect:
    pairs: dict[str, list[tuple[float, float]]] = {}
    for reply in replies:
        agent = reply.recorded.request.persona.name
        pairs.setdefault(agent, []).append((outcome.of(reply.recorded.answer), outcome.of(reply.answer)))
    by_agent = [(fmean(was for was, _ in own), fmean(now for _, now in own)) for own in pairs.values()]
    return Effect(
        outcome.words,
        fmean(was for was, _ in by_agent),
        fmean(now for _, now in by_agent),
        estimate([now - was for was, now in by_agent]),
        len(replies),
    )


def rows_of(variant: Variant) -> list[dict[str, Any]]:
    """Return the replies of a variant as plain data, a row for each question."""
    return [
        {
            "step": reply.recorded.request.coordinates.step,
            "agent": reply.recorded.request.persona.name,
            "about": reply.recorded.request.coordinates.about,
            "source": reply.recorded.request.coordinates.source,
            "was_asked": reply.was_asked,
            "recorded": reply.recorded.answer.model_dump(mode="json"),
            "answer": reply.answer.model_dump(mode="json"),
        }
        for reply in variant.replies
    ]
