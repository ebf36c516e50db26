"""What an attack by planted agents does to a run: detection, collateral damage, recovery and the attackers' rent.

A run is attacked if its events give agents another backend, or if agents have one from the start (`backend_for`). The
others that are present are its honest agents. Everything is read from the stored run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import fmean

from repunet_model.events import Event
from repunet_model.storage import Step, StepReader
from repunet_model.storage.roster import Roster
from repunet_model.storage.schema import INTERACTIONS, TURNOVER

NEAR = 0.05
"""Cooperation has recovered when it is at most this much below its mean before the attack."""

WINDOW = 5
"""The number of steps over which cooperation is averaged to find its recovery."""


@dataclass(frozen=True, slots=True)
class Attack:
    """The course of an attack; a value is None where the run has no such thing.

    Attributes:
        dose: The largest number of planted agents that are present at once.
        start: The first step with planted agents, or the step in which they would come at a dose of 0.
        detection: Steps from the start until the mean score of the planted agents is below that of the honest ones and
            stays there to the end: 1 if it is so from the first step of the attack on.
        recovery: Steps from the start until the cooperation rate, averaged over the last `WINDOW` steps, is within
            `NEAR` of its mean before the attack or above and stays there to the end; None without steps before, and
            at a dose of 0.
        honest_cooperation: Share of cooperative choices of honest agents in the final phase.
        honest_payoff: Mean payoff of an honest agent in a step of the final phase, in units.
        honest_isolated: Share of honest agents to which nobody is tied after the last step.
        rent: Mean payoff of a planted agent in a step of the attack, less that of an honest one, in units.
    """

    dose: int
    start: int
    detection: int | None
    recovery: int | None
    honest_cooperation: float | None
    honest_payoff: float | None
    honest_isolated: float | None
    rent: float | None


MEASURES = tuple(field.name for field in fields(Attack) if field.name not in ("dose", "start"))
"""The names of the measures of an attack."""


@dataclass(frozen=True, slots=True)
class _Moment:
    """A step of an attacked run: scores, payoffs and acts of planted and of honest agents."""

    step: int
    planted: frozenset[str]
    scores: Mapping[str, float]
    payoffs: Mapping[str, float]
    acts: Mapping[str, Sequence[bool]]
    cooperation: float | None

    def mean_score(self, *, planted: bool) -> float | None:
        """Return the mean score of the planted or of the honest agents; None without scores."""
        return _mean([score for name, score in self.scores.items() if (name in self.planted) is planted])


def attack_of(run: StepReader, phase: int) -> Attack | None:
    """Return the course of the attack on a run; None if no agent is planted and no event would plant one.

    Args:
        run: The run.
        phase: The number of last steps that form its final phase.

    Raises:
        StorageError: If the run cannot be read.
    """
    planting = [event for event in map(Event.read, run.manifest.config.events) if event.plants]
    from_start = set(run.manifest.backend_for)
    if (not planting and not from_start) or not run.last:
        return None
    start = 1 if from_start else min(event.step for event in planting)
    roster, moments = Roster.of(run.personas), []
    for step in run.steps(1):
        for row in step.rows(TURNOVER):
            roster.turn(row)
        moments.append(_moment(step, roster, from_start))
    since = [moment for moment in moments if moment.step >= start]
    final = moments[-phase:]
    last = run.step(run.last)
    honest = [agent["name"] for agent in last.state["agents"] if agent["name"] not in moments[-1].planted]
    tied = {other for _, other, _ in last.state["network"]["ties"]}
    dose = max(len(moment.planted) for moment in moments)
    return Attack(
        dose=dose,
        start=start,
        detection=_until([_is_detected(moment) for moment in since]),
        recovery=_until(_has_recovered(moments, start)) if dose else None,
        honest_cooperation=_mean([act for each in final for name in each.acts for act in _honest(each, name)]),
        honest_payoff=_payoff(final, planted=False),
        honest_isolated=_mean([name not in tied for name in honest]),
        rent=_difference(_payoff(since, planted=True), _payoff(since, planted=False)),
    )


def _moment(step: Step, roster: Roster, from_start: set[str]) -> _Moment:
    present = [agent["name"] for agent in step.state["agents"]]
    planted = frozenset(name for name in present if name in roster.planted or roster.person(name) in from_start)
    acts: dict[str, list[bool]] = {}
    for row in step.rows(INTERACTIONS):
        for name, act in ((row["first"], row["first_cooperated"]), (row["second"], row["second_cooperated"])):
            if act is not None:
                acts.setdefault(name, []).append(act)
    payoffs = {each["name"]: float(each["payoff"]) for each in step.state["agents"] if each["payoff"] is not None}
    scores = {name: score for name, score in step.state["scores"].items() if name in present}
    return _Moment(step.number, planted, scores, payoffs, acts, step.measures["cooperation_rate"])


def _honest(moment: _Moment, name: str) -> Sequence[bool]:
    return () if name in moment.planted else moment.acts[name]


def _is_detected(moment: _Moment) -> bool | None:
    """Whether the planted agents have a lower mean score than the honest ones; None without scores."""
    planted, honest = moment.mean_score(planted=True), moment.mean_score(planted=False)
    return None if planted is None or honest is None else planted < honest


def _has_recovered(moments: Sequence[_Moment], start: int) -> list[bool | None]:
    """Return for each step of the attack whether cooperation is as it was before; empty without steps before."""
    before = _mean([each.cooperation for each in moments if each.step < start and each.cooperation is not None])
    if before is None:
        return []
    rates = [each.cooperation for each in moments]
    found: list[bool | None] = []
    for number, moment in enumerate(moments):
        if moment.step >= start:
            since = max(number + 1 - WINDOW, start - moments[0].step)
            recent = _mean([rate for rate in rates[since : number + 1] if rate is not None])
            found.append(None if recent is None else recent >= before - NEAR)
    return found


def _until(states: Sequence[bool | None]) -> int | None:
    """Return the position, from 1, from which a state holds to the end; None if it does not hold at the end."""
    if not states or not states[-1]:
        return None
    held = next((back for back, state in enumerate(reversed(states)) if state is False), len(states))
    return len(states) - held + 1


def _payoff(moments: Sequence[_Moment], *, planted: bool) -> float | None:
    gains = [gain for each in moments for name, gain in each.payoffs.items() if (name in each.planted) is planted]
    return _mean(gains)


def _difference(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
