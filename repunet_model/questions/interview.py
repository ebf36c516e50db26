"""The interview question: free text from outside, answered from what the agent holds at a step."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, ClassVar

from pydantic import Field

from repunet_model.memory import Event
from repunet_model.personas import Words
from repunet_model.questions.base import Answer, Question
from repunet_model.reputation import ReputationRecord


class InterviewAnswer(Answer):
    """The answer in free text."""

    answer: Annotated[Words, Field(description="what you say, in the first person")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interview(Question[InterviewAnswer]):
    """A free question to an agent outside the run; nothing comes of it.

    Attributes:
        asked: The question.
        step: The step that has just ended.
        resources: What the agent owns, in units.
        records: What it thinks of itself and of others; None in a run without reputation.
        events: What it remembers, oldest first.
        tied_to: Whom it is tied to, and in which roles.
        avoids: Whom it broke with lately, and in which role.
    """

    name: ClassVar[str] = "interview"
    template: ClassVar[str] = "interview.j2"
    answer: ClassVar[type[Answer]] = InterviewAnswer

    asked: str
    step: int
    resources: Decimal
    records: tuple[ReputationRecord, ...] | None
    events: tuple[Event, ...]
    tied_to: tuple[tuple[str, tuple[str, ...]], ...]
    avoids: tuple[tuple[str, str], ...]
