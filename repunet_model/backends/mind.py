"""The rules of offline agents: their parameters, what they weigh, and the policies they answer by.

Choices are stochastic, by the logit rule of quantal response (McKelvey & Palfrey 1995): an option that is worth d more
than the other is chosen with probability 1 / (1 + exp(-precision * d)). A policy is registered for each kind of
question by `answers`: those for the questions of all games are in `backends.rules`, where the sources of what they do
are named, and those of a game beside its questions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Any

from repunet_model.errors import ConfigurationError
from repunet_model.memory import Event
from repunet_model.personas import Disposition, Persona
from repunet_model.questions.base import Answer, Candidate, Opinion, Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The parameters of the offline agents.

    Attributes:
        precision: Logit precision of choices between payoffs, in 1/points; 0 is a coin.
        altruism: Weight that an altruist gives to a point of the other's, fully trusting them; 1 is its own.
        altruist_expectation: Cooperation an altruist expects of strangers before any experience, in [0, 1].
        expectation: The same of everybody else.
        expectation_weight: How many encounters that first expectation counts for.
        discount: Weight of the next encounter against the present one, in [0, 0.999].
        learning_rate: Share by which an opinion moves towards what was seen, in (0, 1].
        hearsay: Share of that by which fully believed gossip, or public news, moves it, in [0, 1].
        social_precision: Logit precision of ties, gossip, trust and picks, in 1/points of score.
        tie_threshold: Score from which a tie is worth having, in [-1, 1].
        gossip_threshold: Strength of an impression, in [0, 1], from which it is worth telling.
    """

    precision: float = 2.0
    altruism: float = 1.0
    altruist_expectation: float = 0.9
    expectation: float = 0.5
    expectation_weight: float = 1.0
    discount: float = 0.95
    learning_rate: float = 0.4
    hearsay: float = 0.5
    social_precision: float = 4.0
    tie_threshold: float = 0.0
    gossip_threshold: float = 0.75

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigurationError: If a parameter is outside its range.
        """
        limits = {
            "precision": (0.0, math.inf),
            "altruism": (0.0, math.inf),
            "altruist_expectation": (0.0, 1.0),
            "expectation": (0.0, 1.0),
            "expectation_weight": (1e-9, math.inf),
            "discount": (0.0, 0.999),
            "learning_rate": (1e-9, 1.0),
            "hearsay": (0.0, 1.0),
            "social_precision": (0.0, math.inf),
            "tie_threshold": (-1.0, 1.0),
            "gossip_threshold": (0.0, 1.0),
        }
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ConfigurationError(f"rules.{name} is {getattr(self, name)}: must be from {low} to {high}")


@dataclass(frozen=True)
class Mind:
    """An offline agent that answers a question: its parameters, persona and random stream.

    Attributes:
        rules: The parameters.
        persona: The agent's persona.
        stream: Makes the question's own random stream.
    """

    rules: Rules
    persona: Persona
    stream: Callable[[], Random]

    @cached_property
    def random(self) -> Random:
        """The question's own random stream, seeded when something is drawn: half the questions draw nothing."""
        return self.stream()

    @property
    def is_altruist(self) -> bool:
        """Whether the agent values what others get."""
        return self.persona.disposition is Disposition.ALTRUISTIC

    def chooses(self, advantage: float) -> bool:
        """Choose between two options that differ in points."""
        return self.random.random() < self.accepts(advantage)

    def accepts(self, advantage: float) -> float:
        """Return the probability with which such an agent takes an option that is worth so many points more."""
        return _logistic(self.rules.precision * advantage)

    def feels(self, advantage: float) -> bool:
        """Choose between two options that differ in what one thinks of somebody."""
        return self.random.random() < _logistic(self.rules.social_precision * advantage)

    def picks(self, people: Sequence[Candidate]) -> Candidate:
        """Pick one of several people, the better reputed the more likely."""
        scores = [score_of(person.opinion) for person in people]
        weights = [math.exp(self.rules.social_precision * (score - max(scores))) for score in scores]
        return self.random.choices(people, weights)[0]

    def expects_cooperation(self, opinion: Opinion | None, events: Sequence[Event]) -> float:
        """Return the probability with which a partner is expected to cooperate.

        Args:
            opinion: What the agent thinks of the partner, where it can think anything.
            events: The agent's last encounters.
        """
        if opinion is not None and opinion.record is not None:
            return (1.0 + opinion.score) / 2.0
        first = self.rules.altruist_expectation if self.is_altruist else self.rules.expectation
        seen = [event.partner_cooperated for event in events if event.partner_cooperated is not None]
        weight = self.rules.expectation_weight
        return (weight * first + sum(seen)) / (weight + len(seen))

    def values_reputation(self, stake: float) -> float:
        """Return what one act costs or earns later, through the agent's reputation with somebody believed.

        A good instead of a bad act moves an opinion by twice the learning rate. A point of score raises the
        probability that partners cooperate by one half, and fades again with the learning rate.

        Args:
            stake: What a partner's cooperation is worth, in points.
        """
        rate, discount = self.rules.learning_rate, self.rules.discount
        return rate * stake * discount / (1.0 - discount * (1.0 - rate))


Policy = Callable[[Any, Mind], Answer]

_POLICIES: dict[type[Question[Any]], Policy] = {}


def answers[Q: Question[Any], A: Answer](
    question: type[Q],
) -> Callable[[Callable[[Q, Mind], A]], Callable[[Q, Mind], A]]:
    """Register the function below as the policy for a kind of question."""

    def register(policy: Callable[[Q, Mind], A]) -> Callable[[Q, Mind], A]:
        _POLICIES[question] = policy
        return policy

    return register


def policy_for(question: Question[Any]) -> Policy:
    """Return the policy for a question.

    Raises:
        ConfigurationError: If none is registered.
    """
    policy = _POLICIES.get(type(question))
    if policy is None:
        raise ConfigurationError(
            f"the rules backend has no policy for {question.name!r}: register one with backends.mind.answers"
        )
    return policy


def _logistic(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x)) if x > -700.0 else 0.0


def score_of(opinion: Opinion | None) -> float:
    """Return the score of an opinion; 0 where there is none."""
    return opinion.score if opinion is not None else 0.0
