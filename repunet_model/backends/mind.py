"""The parameters and the choice rule of offline agents, and the registry of their policies.

Choices are stochastic, by the logit rule of quantal response (McKelvey & Palfrey 1995): an option that is worth d more
than the other is chosen with probability 1 / (1 + exp(-precision * d)). `answers` registers a policy for a class of
questions: those that all games share are in `backends.rules`, those of a game in its file.
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
from repunet_model.questions.base import Answer, Candidate, Credibility, Opinion, Question
from repunet_model.questions.encounter import Hearsay


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The parameters of the offline agents.

    Attributes:
        precision: The logit precision of choices between payoffs, in 1/points; 0 is a fair coin.
        altruism: The weight of a fully trusted partner's point for an altruist; its own point has weight 1.
        altruist_expectation: The probability of cooperation that an altruist expects before any encounter.
        expectation: The same for self-interested agents.
        expectation_weight: The weight of the initial expectation, in encounters.
        discount: The weight of the next encounter relative to the present one, in [0, 0.999].
        learning_rate: The share by which an opinion moves towards an observation, in (0, 1].
        hearsay: The effect of fully believed gossip and of public news relative to an observation, in [0, 1].
        social_precision: The logit precision of ties, gossip, trust and picks, in 1/points of score.
        tie_threshold: The smallest score of an agent that is worth a tie, in [-1, 1].
        gossip_threshold: The smallest strength of an impression that is worth gossip, in [0, 1].
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
        """Check the ranges; raise ConfigurationError if a parameter is outside its range."""
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


BELIEF = {credibility: step / 4 for step, credibility in enumerate(Credibility)}
"""The effect of gossip, by its credibility, as a share of that of fully believed gossip."""


@dataclass(frozen=True)
class Mind:
    """An offline agent that answers a question: its parameters, persona and the source of its random stream."""

    rules: Rules
    persona: Persona
    stream: Callable[[], Random]

    @cached_property
    def random(self) -> Random:
        """The random stream of the question; it is created at the first draw, since half the questions draw nothing."""
        return self.stream()

    @property
    def is_altruist(self) -> bool:
        """Whether the agent values the payoffs of others."""
        return self.persona.disposition is Disposition.ALTRUISTIC

    def chooses(self, advantage: float) -> bool:
        """Draw whether the agent takes an option that is worth `advantage` points more than the other."""
        return self.random.random() < self.accepts(advantage)

    def accepts(self, advantage: float) -> float:
        """Return the probability that the agent takes an option that is worth `advantage` points more."""
        return _logistic(self.rules.precision * advantage)

    def feels(self, advantage: float) -> bool:
        """Draw whether the agent takes a social option whose advantage is measured in points of score."""
        return self.random.random() < _logistic(self.rules.social_precision * advantage)

    def picks(self, people: Sequence[Candidate]) -> Candidate:
        """Pick one of several agents, the better reputed the more likely."""
        scores = [score_of(person.opinion) for person in people]
        weights = [math.exp(self.rules.social_precision * (score - max(scores))) for score in scores]
        return self.random.choices(people, weights)[0]

    def expects_cooperation(
        self, opinion: Opinion | None, events: Sequence[Event], heard: Sequence[Hearsay] = ()
    ) -> float:
        """Return the expected probability that a partner cooperates.

        A record, or what a public institution shows, stands for all that is known of its subject. Without one, each
        encounter counts once, and each message about the partner as much as the agent believes it.

        Args:
            opinion: The agent's opinion of the partner; None where it keeps no records of others.
            events: The agent's last encounters, with any partner.
            heard: The gossip about the partner that the question shows.
        """
        if opinion is not None and opinion.is_known:
            return (1.0 + opinion.score) / 2.0
        first = self.rules.altruist_expectation if self.is_altruist else self.rules.expectation
        seen = [event.partner_cooperated for event in events if event.partner_cooperated is not None]
        weight = self.rules.expectation_weight + len(seen)
        hopes = self.rules.expectation_weight * first + sum(seen)
        for message in heard:
            belief = self.rules.hearsay * BELIEF[message.credibility]
            weight += belief
            hopes += belief * message.positive
        return hopes / weight

    def weighs(self, heard: Sequence[Hearsay]) -> float:
        """Return gossip about an agent as a score in [-1, 1]: the mean of praise (1) and complaints (-1), as believed.

        0 without gossip. Fully believed gossip counts for the share `hearsay` of an observation.
        """
        signs = [BELIEF[message.credibility] * (1.0 if message.positive else -1.0) for message in heard]
        return self.rules.hearsay * sum(signs) / len(signs) if signs else 0.0

    def values_reputation(self, stake: float) -> float:
        """Return the later value of a good instead of a bad act, in points, through the agent's reputation.

        A good instead of a bad act moves an opinion by twice the learning rate. A point of score raises the
        probability that partners cooperate by one half, and decays with the learning rate.

        Args:
            stake: The value of a partner's cooperation, in points.
        """
        rate, discount = self.rules.learning_rate, self.rules.discount
        return rate * stake * discount / (1.0 - discount * (1.0 - rate))


Policy = Callable[[Any, Mind], Answer]

_POLICIES: dict[type[Question[Any]], Policy] = {}


def answers[Q: Question[Any], A: Answer](
    question: type[Q],
) -> Callable[[Callable[[Q, Mind], A]], Callable[[Q, Mind], A]]:
    """Register the decorated function as the policy for a class of questions."""

    def register(policy: Callable[[Q, Mind], A]) -> Callable[[Q, Mind], A]:
        _POLICIES[question] = policy
        return policy

    return register


def policy_for(question: Question[Any]) -> Policy:
    """Return the policy for a question.

    Raises:
        ConfigurationError: If none is registered.
    """
    try:
        return _POLICIES[type(question)]
    except KeyError:
        raise ConfigurationError(
            f"the rules backend has no policy for {question.name!r}: register one with backends.mind.answers"
        ) from None


def _logistic(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x)) if x > -700.0 else 0.0


def score_of(opinion: Opinion | None) -> float:
    """Return the score of an opinion; 0 without one."""
    return opinion.score if opinion is not None else 0.0
