"""Questions about an encounter: choice of partner, evaluation, records, learned text, ties and public reports."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from repunet_model.memory import Heard
from repunet_model.personas import Words
from repunet_model.questions.base import (
    LEARNED,
    MESSAGE,
    REASON,
    Answer,
    Candidate,
    Credibility,
    Opinion,
    Options,
    Question,
    free_text,
)
from repunet_model.reputation import Level, ReputationRecord


class PartnerAnswer(Answer):
    """The chosen partner and the reason."""

    reason: Annotated[Words, free_text(REASON, "why, in one sentence")]
    partner: Annotated[Words, Field(description="the name of the person you pick")]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoosePartner(Question[PartnerAnswer]):
    """The choice of a partner among free agents to which the agent has a tie."""

    name: ClassVar[str] = "choose_partner"
    template: ClassVar[str] = "choose_partner.j2"
    answer: ClassVar[type[Answer]] = PartnerAnswer

    role: str
    people: tuple[Candidate, ...]

    def candidates(self) -> Options:
        """Return the names of the people."""
        return {"partner": tuple(person.name for person in self.people)}


class EvaluationAnswer(Answer):
    """Levels of conduct of both sides, with reasons."""

    own_reason: Annotated[Words, free_text(REASON, "how you behaved, in one sentence")]
    own: Annotated[Level, Field(description="your own conduct")]
    partner_reason: Annotated[Words, free_text(REASON, "how your partner behaved, in one sentence")]
    partner: Annotated[Level, Field(description="your partner's conduct")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluate(Question[EvaluationAnswer]):
    """The evaluation of both sides after an encounter."""

    name: ClassVar[str] = "evaluate"
    template: ClassVar[str] = "evaluate.j2"
    answer: ClassVar[type[Answer]] = EvaluationAnswer

    partner: str
    account: str
    own_cooperated: bool | None
    partner_cooperated: bool | None
    own_opinion: Opinion | None
    partner_opinion: Opinion | None


class RecordAnswer(Answer):
    """A text, the level that fits best, and the agent's certainty.

    Language models give this form consistently, but often fail to give five numbers that sum to 1;
    `ReputationRecord.from_level` computes the five numbers of the record.
    """

    text: Annotated[Words, free_text(MESSAGE, "the reputation in two sentences")]
    level: Annotated[Level, Field(description="the level that fits best")]
    certainty: Annotated[int, Field(ge=0, le=100, description="how sure you are, in per cent")]


@dataclass(frozen=True, slots=True)
class Hearsay:
    """Gossip in the view of a question.

    Attributes:
        summary: The claim, summarised by the listener.
        positive: Whether the gossip was praise, not a complaint.
    """

    gossiper: str
    summary: str
    positive: bool
    credibility: Credibility


def hearsay_of(heard: Heard) -> Hearsay:
    """Return remembered gossip as a question shows it."""
    return Hearsay(heard.gossiper, heard.summary, heard.positive, Credibility(heard.credibility))


@dataclass(frozen=True, slots=True)
class News:
    """Public news about an agent.

    Attributes:
        conduct: The agent's conduct in each published evaluation.
        cooperated: The agent's public choice; None without one.
    """

    text: str
    conduct: tuple[Level, ...] = ()
    cooperated: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateRecord(Question[RecordAnswer]):
    """An update of the reputation of the agent itself or another agent, after an encounter, gossip or public news.

    Attributes:
        conduct: The subject's conduct in the agent's evaluation; None unless after an encounter.
        background: Facts that the game adds about the subject; may be empty.
    """

    name: ClassVar[str] = "update_record"
    template: ClassVar[str] = "update_record.j2"
    answer: ClassVar[type[Answer]] = RecordAnswer

    subject: str
    role: str
    is_self: bool
    previous: ReputationRecord | None
    conduct: Level | None = None
    conduct_reason: str = ""
    account: str = ""
    background: str = ""
    hearsay: Hearsay | None = None
    news: News | None = None


class LearnedAnswer(Answer):
    """The new learned text of the agent."""

    learned: Annotated[Words, free_text(LEARNED, "three to five sentences in the second person")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reflect(Question[LearnedAnswer]):
    """A rewrite of the agent's `learned` text after an encounter.

    Attributes:
        own: The agent's evaluation of itself.
        own_opinion: The agent's present record of itself.
    """

    name: ClassVar[str] = "reflect"
    template: ClassVar[str] = "reflect.j2"
    answer: ClassVar[type[Answer]] = LearnedAnswer

    role: str
    partner: str
    account: str
    own: Level
    own_reason: str
    partner_conduct: Level
    partner_reason: str
    own_opinion: Opinion | None


class Connection(StrEnum):
    """Whether to make a tie."""

    CONNECT = "connect"
    STAY_APART = "stay apart"


class Disconnection(StrEnum):
    """Whether to keep a tie."""

    KEEP = "keep the tie"
    CUT = "cut the tie"


class ConnectAnswer(Answer):
    """The decision about a new tie, and the reason."""

    reason: Annotated[Words, free_text(REASON, "why, in one sentence")]
    decision: Connection


class DisconnectAnswer(Answer):
    """The decision about an existing tie, and the reason."""

    reason: Annotated[Words, free_text(REASON, "why, in one sentence")]
    decision: Disconnection


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect(Question[ConnectAnswer]):
    """Whether to make a tie to the partner after an encounter."""

    name: ClassVar[str] = "connect"
    template: ClassVar[str] = "connect.j2"
    answer: ClassVar[type[Answer]] = ConnectAnswer

    other: str
    role: str
    conduct: Level
    conduct_reason: str
    opinion: Opinion | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnect(Question[DisconnectAnswer]):
    """Whether to cut a tie, after an encounter, gossip or public news.

    Attributes:
        conduct: The other's conduct in the agent's evaluation; None without an evaluation.
        account: The account of an encounter without an evaluation; else empty.
    """

    name: ClassVar[str] = "disconnect"
    template: ClassVar[str] = "disconnect.j2"
    answer: ClassVar[type[Answer]] = DisconnectAnswer

    other: str
    role: str
    opinion: Opinion | None
    conduct: Level | None = None
    conduct_reason: str = ""
    account: str = ""
    hearsay: Hearsay | None = None
    news: News | None = None


class Reporting(StrEnum):
    """Whether to report to the public board."""

    REPORT = "report"
    STAY_SILENT = "stay silent"


class ReportAnswer(Answer):
    """The decision about a report, and the report."""

    reason: Annotated[Words, free_text(REASON, "why, in one sentence; not shown to others")]
    level: Annotated[Level, Field(description="the conduct that you report")]
    text: Annotated[Words, free_text(REASON, "what you write, in one or two sentences")]
    decision: Reporting


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportToBoard(Question[ReportAnswer]):
    """Whether to report on the partner of an encounter to the public board, and what.

    Attributes:
        conduct: The partner's conduct in the agent's evaluation; None if the encounter was refused.
    """

    name: ClassVar[str] = "report"
    template: ClassVar[str] = "institution_report.j2"
    answer: ClassVar[type[Answer]] = ReportAnswer

    subject: str
    role: str
    account: str
    conduct: Level | None
    conduct_reason: str
