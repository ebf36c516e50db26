"""The interview: a question in free text about an agent's state at a step."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, ClassVar

from repunet_model.memory import Event
from repunet_model.personas import Words
from repunet_model.questions.base import LEARNED, Answer, PublicOpinion, Question, free_text
from repunet_model.questions.encounter import Hearsay
from repunet_model.reputation import ReputationRecord


class InterviewAnswer(Answer):
    """An answer in free text."""

    answer: Annotated[Words, free_text(LEARNED, "what you say, in the first person")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interview(Question[InterviewAnswer]):
    """A question in free text, which does not change the agent or the run.

    Attributes:
        step: The step that has just ended.
        records: The agent's records of itself and others, as far as the mechanism has them.
        events: The agent's memory of encounters, oldest first.
        public: What a public institution shows of the agent and those it is tied to.
        heard: The gossip that the agent remembers, each with its subject, oldest first; empty where choices show none.
        tied_to: Names of others with the roles of the ties.
        avoids: Names and roles on the agent's blacklist.
    """

    name: ClassVar[str] = "interview"
    template: ClassVar[str] = "interview.j2"
    answer: ClassVar[type[Answer]] = InterviewAnswer

    asked: str
    step: int
    resources: Decimal
    records: tuple[ReputationRecord, ...]
    events: tuple[Event, ...]
    public: tuple[PublicOpinion, ...] = ()
    heard: tuple[tuple[str, Hearsay], ...] = ()
    tied_to: tuple[tuple[str, tuple[str, ...]], ...]
    avoids: tuple[tuple[str, str], ...]
