"""Followers of a norm: agents that cooperate by the standings of both sides in their eyes.

A backend is named `norm:NAME`, with settings that differ after commas, as in
`norm:stern_judging,assessment=private,observed=0.5`::

    assessment    public (default): all followers of the norm share one assessment of everybody; private: each follower
                  has its own, which no one else sees
    observed      the share of acts that an assessment is made of, from 0 to 1 (default)

and parameters of the rules, by which it answers everything but the cooperative choice. Standings are kept by the
environment (`stages.assessments`), which makes them of the acts that are seen (`stages.observation`), and a follower
finds them in the question. Norms have a meaning in a game if the questions of its cooperative choice have a field
`standing`; it says by its fixed policies what cooperation and defection are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cache
from typing import Any

from repunet_model.backends.base import Backend, Request
from repunet_model.backends.mind import Rules
from repunet_model.backends.norms import Norm, find
from repunet_model.backends.policies import FixedPolicy, plan_of
from repunet_model.backends.rules import RulesBackend
from repunet_model.errors import ConfigurationError
from repunet_model.questions.base import Answer, Question, Standing

NAME = "norm"
"""The name of the backend, before the colon and in its description."""


class Assessment(StrEnum):
    """Whose assessment an agent goes by."""

    PUBLIC = "public"  # One that all followers of its norm share.
    PRIVATE = "private"  # Its own.


@dataclass(frozen=True, slots=True)
class Following:
    """How an agent follows a norm: the norm, whose assessment it goes by, and the share of acts that are observed."""

    norm: Norm
    assessment: Assessment
    observed: float

    def holder(self, agent: str) -> tuple[Assessment, str]:
        """Return the key of the assessment that an agent goes by: that of the norm, or its own."""
        return self.assessment, agent if self.assessment is Assessment.PRIVATE else self.norm.name


def following(description: Mapping[str, Any]) -> Following | None:
    """Return how the agents of a backend with a description follow a norm; None if they follow none."""
    if description.get("backend") != NAME:
        return None
    return _following(description["norm"], description["assessment"], description["observed"])


@cache
def _following(norm: str, assessment: str, observed: float) -> Following:
    return Following(find(norm), Assessment(assessment), observed)


class NormFollower(RulesBackend):
    """The rules backend, with the action rule of a norm for the cooperative choice."""

    def __init__(
        self,
        norm: str,
        assessment: str = Assessment.PUBLIC,
        observed: float = 1.0,
        rules: Rules | None = None,
    ) -> None:
        """Create a backend from the name of a norm and its settings.

        Raises:
            ConfigurationError: If one is invalid.
        """
        super().__init__(rules)
        if assessment not in list(Assessment):
            raise ConfigurationError(f"assessment is {assessment!r:.60}: choose {' or '.join(Assessment)}")
        if not 0 <= observed <= 1:
            raise ConfigurationError(f"observed is {observed!r:.60}: must be a share from 0 to 1")
        self._following = Following(find(norm), Assessment(assessment), float(observed))
        self.description = {
            **self.description,
            "backend": NAME,
            "norm": self._following.norm.name,
            "assessment": self._following.assessment.value,
            "observed": self._following.observed,
        }

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Answer by the action rule if the question shows the standings of both sides, else by the rules."""
        standing: Standing | None = getattr(request.question, "standing", None)
        if standing is None:
            return await super().answer(request)
        norm = self._following.norm
        cooperates = norm.cooperates(standing.own, standing.partner)
        policy = FixedPolicy.ALWAYS_COOPERATE if cooperates else FixedPolicy.ALWAYS_DEFECT
        answer = plan_of(policy, request.question)
        assert answer is not None, "a question with standings has both fixed policies"
        own, partner = ("good" if is_good else "bad" for is_good in (standing.own, standing.partner))
        says = "cooperate" if cooperates else "defect"
        reason = f"I am {own} and the other is {partner}: {norm.name} says to {says}."
        return request.question.as_answer(answer.model_copy(update={"reason": reason}))


def check(backends: Iterable[Backend], game: str, choices: Sequence[type[Question[Any]]]) -> None:
    """Check that norms have a meaning in a game if anybody follows one; `choices` are those of the game.

    Raises:
        ConfigurationError: If they have none.
    """
    has_meaning = bool(choices) and all("standing" in {each.name for each in fields(choice)} for choice in choices)
    for backend in backends:
        if following(backend.description) is not None and not has_meaning:
            raise ConfigurationError(
                f"backend 'norm:{backend.description['norm']}' has no meaning in the game {game!r}: norms say whether "
                "to cooperate with one partner, as in pd or donation"
            )
