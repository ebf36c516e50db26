"""Planted agents: agents whose cooperative choices follow a fixed policy.

The policies::

    always_cooperate    always cooperates
    always_defect       never cooperates
    tit_for_tat         first cooperates, then repeats the partner's last act (Axelrod 1984)

A planted agent answers all other questions (evaluation, reputation, gossip, ties) by the rules. `Game.choices` names
the questions that make a game's cooperative choice; the game supports a policy if `plays` registers an answer to each
of them. An unsupported policy is an error, since such an agent would only follow the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any

from repunet_model.backends.base import Backend, Request
from repunet_model.backends.mind import Rules
from repunet_model.backends.rules import RulesBackend
from repunet_model.errors import ConfigurationError
from repunet_model.memory import Event
from repunet_model.questions.base import Answer, Question


class FixedPolicy(StrEnum):
    """The policies, by the names of their backends."""

    ALWAYS_COOPERATE = "always_cooperate"
    ALWAYS_DEFECT = "always_defect"
    TIT_FOR_TAT = "tit_for_tat"


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


def reciprocates(partner: str, events: Sequence[Event]) -> bool:
    """Return whether tit for tat cooperates with a partner: its last known act, or True without one.

    Args:
        partner: The name of the partner.
        events: The encounters that the question shows, oldest first.
    """
    acts = (event.partner_cooperated for event in reversed(events) if event.partner == partner)
    return next((act for act in acts if act is not None), True)


class PlantedBackend(RulesBackend):
    """The rules backend with a fixed policy for the cooperative choice."""

    def __init__(self, policy: FixedPolicy, rules: Rules | None = None) -> None:
        super().__init__(rules)
        self.policy = policy
        self.description = {**self.description, "backend": policy.value}

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Answer by the fixed policy if it covers the question, else by the rules."""
        planned = plan_of(self.policy, request.question)
        return await super().answer(request) if planned is None else request.question.as_answer(planned)


def check(backends: Iterable[Backend], game: str, choices: Sequence[type[Question[Any]]]) -> None:
    """Check that a game supports the policies of all planted agents; `choices` are those of the game.

    Raises:
        ConfigurationError: If the game does not support a policy.
    """
    known = [policy for policy in FixedPolicy if choices and all((policy, choice) in _PLANS for choice in choices)]
    for backend in backends:
        if isinstance(backend, PlantedBackend) and backend.policy not in known:
            remedy = f"choose {' or '.join(known)}" if known else "it has no fixed policies"
            raise ConfigurationError(f"backend {backend.policy.value!r} has no meaning in the game {game!r}: {remedy}")
