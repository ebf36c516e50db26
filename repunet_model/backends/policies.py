"""Planted agents: agents that follow a fixed policy in the choices and the gossip that it covers.

The policies::

    always_cooperate    always cooperates
    always_defect       never cooperates
    tit_for_tat         first cooperates, then repeats the partner's last act (Axelrod 1984)
    trembling           cooperates, and errs at a rate: trembling:rate=0.1
    honest_defector     never cooperates, and tells all that it knows as it believes it
    clique              cooperates with its allies and praises them, defects towards everybody else
    booster             praises its allies
    slanderer           complains of those whose conduct was good, and passes everything on as a complaint
    silent              never gossips

Allies are the agents with the same backend, parameters included, or those that are named, as in
clique:members=Emma Dubois+Akiko Sato. A planted agent answers all other questions (evaluation, reputation, ties, and
the choices or the gossip that its policy does not cover) by the rules.

`Game.choices` names the questions that make a game's cooperative choice. A game supports a policy if `plays` registers
an answer to each of them for the policy, or for the fixed acts of which the policy consists: `trembling` and `clique`
consist of always_cooperate and always_defect, `honest_defector` of always_defect. What a policy says in gossip is in
`backends.planted_gossip`. A policy without meaning in a game or mode is an error, since such an agent would only follow
the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any

from repunet_model.memory import Event
from repunet_model.questions.base import Answer, Question


class FixedPolicy(StrEnum):
    """The policies, by the names of their backends."""

    ALWAYS_COOPERATE = "always_cooperate"
    ALWAYS_DEFECT = "always_defect"
    TIT_FOR_TAT = "tit_for_tat"
    TREMBLING = "trembling"
    HONEST_DEFECTOR = "honest_defector"
    CLIQUE = "clique"
    BOOSTER = "booster"
    SLANDERER = "slanderer"
    SILENT = "silent"


Plan = Callable[[Any], Answer]

_PLANS: dict[tuple[FixedPolicy, type[Question[Any]]], Plan] = {}


def plays[Q: Question[Any], A: Answer](
    policy: FixedPolicy, question: type[Q]
) -> Callable[[Callable[[Q], A]], Callable[[Q], A]]:
    """Register the decorated function as a policy's answer to a class of questions."""

    def register(plan: Callable[[Q], A]) -> Callable[[Q], A]:
        _PLANS[policy, question] = plan
        return plan

    return register


def plan_of(policy: FixedPolicy, question: Question[Any]) -> Answer | None:
    """Return a policy's answer to a question; None if it has none."""
    plan = _PLANS.get((policy, type(question)))
    return None if plan is None else plan(question)


def covers(policy: FixedPolicy, question: type[Question[Any]]) -> bool:
    """Whether a policy has an answer to a class of questions."""
    return (policy, question) in _PLANS


def reciprocates(partner: str, events: Sequence[Event]) -> bool:
    """Return whether tit for tat cooperates with a partner: its last known act, or True without one.

    Args:
        partner: The name of the partner.
        events: The encounters that the question shows, oldest first.
    """
    acts = (event.partner_cooperated for event in reversed(events) if event.partner == partner)
    return next((act for act in acts if act is not None), True)
