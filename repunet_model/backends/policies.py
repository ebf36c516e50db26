"""Planted agents: fixed policies that make a game's cooperative choice, where one wants to know who cooperates.

The names::

    always_cooperate    cooperates with everybody
    always_defect       cooperates with nobody
    tit_for_tat         cooperates with a partner at first, then does what this partner did last (Axelrod 1984)

A planted agent answers everything else (evaluation, reputation, gossip, ties) as the rules backend does. A policy
draws nothing and sees no more than its question shows. A game names the questions that make its cooperative choice
in `Game.choices`; it has a policy if what the policy answers is registered by `plays` for all of them. Asking for a
policy that a game does not have is an error, since such an agent would follow the rules under another name.
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
    """Register the function below as what a policy answers to a kind of question."""

    def register(plan: Callable[[Q], A]) -> Callable[[Q], A]:
        _PLANS[policy, question] = plan
        return plan

    return register


def reciprocates(partner: str, events: Sequence[Event]) -> bool:
    """Tell whether tit for tat cooperates with a partner.

    It does what the partner did last, as far as the events that a question shows go back: with a partner who is not
    among them, or had no choice in any of them, it cooperates as at a first meeting.

    Args:
        partner: Whom the agent meets.
        events: The encounters that the question shows, oldest first.
    """
    acts = [event.partner_cooperated for event in events if event.partner == partner]
    known = [act for act in acts if act is not None]
    return known[-1] if known else True


class PlantedBackend(RulesBackend):
    """The rules backend with a fixed policy for the cooperative choice.

    Attributes:
        policy: The policy.
        description: Its name, and the parameters of the rules for everything else.
    """

    def __init__(self, policy: FixedPolicy, rules: Rules | None = None) -> None:
        super().__init__(rules)
        self.policy = policy
        self.description = {**self.description, "backend": policy.value}

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Answer at once: by the policy where it has a plan, else by the rules."""
        plan = _PLANS.get((self.policy, type(request.question)))
        if plan is None:
            return await super().answer(request)
        return request.question.as_answer(plan(request.question))


def check(backends: Iterable[Backend], game: str, choices: Sequence[type[Question[Any]]]) -> None:
    """Check that the policies of planted agents mean something in a game.

    Args:
        backends: Who answers.
        game: The name of the game.
        choices: The questions that make its cooperative choice.

    Raises:
        ConfigurationError: If the game does not have a policy.
    """
    known = [policy for policy in FixedPolicy if choices and all((policy, choice) in _PLANS for choice in choices)]
    for backend in backends:
        if isinstance(backend, PlantedBackend) and backend.policy not in known:
            remedy = f"choose {' or '.join(known)}" if known else "it has no fixed policies"
            raise ConfigurationError(f"backend {backend.policy.value!r} has no meaning in the game {game!r}: {remedy}")
