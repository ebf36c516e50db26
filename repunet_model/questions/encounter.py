"""Questions around an encounter: choice of partner, evaluation, records, learned text and ties."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from repunet_model.personas import Words
from repunet_model.questions.base import Answer, Candidate, Credibility, Opinion, Options, Question
from repunet_model.reputation import Level, ReputationRecord


class PartnerAnswer(Answer):
    """Whom to meet, and why."""

    reason: Annotated[Words, Field(description="why, in one sentence")]
    partner: Annotated[Words, Field(description="the name of the person you pick")]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoosePartner(Question[PartnerAnswer]):
    """Whom of the people one is bound to, and who are still free, to meet this round."""

    name: ClassVar[str] = "choose_partner"
    template: ClassVar[str] = "choose_partner.j2"
    answer: ClassVar[type[Answer]] = PartnerAnswer

    role: str
    people: tuple[Candidate, ...]

    def candidates(self) -> Options:
        """Return the people to choose from."""
        return {"partner": tuple(person.name for person in self.people)}


class EvaluationAnswer(Answer):
    """The conduct of both sides."""

    own_reason: Annotated[Words, Field(description="how you behaved, in one sentence")]
    own: Annotated[Level, Field(description="your own conduct")]
    partner_reason: Annotated[Words, Field(description="how your partner behaved, in one sentence")]
    partner: Annotated[Level, Field(description="your partner's conduct")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluate(Question[EvaluationAnswer]):
    """The conduct of both sides in the encounter that just ended."""

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
    """An opinion: a text, the level that fits best, and how sure the agent is of it.

    Language models give this form consistently, where they fail at five numbers that must sum to 1; the record
    that is kept is five numbers all the same, by the rule of `ReputationRecord.from_level`.
    """

    text: Annotated[Words, Field(description="the reputation in two sentences")]
    level: Annotated[Level, Field(description="the level that fits best")]
    certainty: Annotated[int, Field(ge=0, le=100, description="how sure you are, in per cent")]


@dataclass(frozen=True, slots=True)
class Hearsay:
    """Gossip that a question rests on.

    Attributes:
        gossiper: Who told it.
        summary: What was claimed, as the listener sums it up.
        positive: Whether it was praise; else it was a complaint.
        credibility: What the listener makes of it.
    """

    gossiper: str
    summary: str
    positive: bool
    credibility: Credibility


@dataclass(frozen=True, slots=True)
class News:
    """Public news of an agent.

    Attributes:
        text: The news in words.
        conduct: How others judged their conduct, one level for each judgement.
        cooperated: What they chose, where a choice was public; else None.
    """

    text: str
    conduct: tuple[Level, ...] = ()
    cooperated: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateRecord(Question[RecordAnswer]):
    """The reputation of oneself or another, after an encounter, after gossip or after public news.

    Attributes:
        subject: Whom the record is about.
        role: The subject's role.
        is_self: Whether the agent judges itself.
        previous: The present record, None if there is none.
        conduct: How the subject behaved, in the agent's own evaluation; None unless after an encounter.
        conduct_reason: The same in words.
        account: What happened in the encounter; empty if there was none.
        background: What the game adds about the subject; may be empty.
        hearsay: The gossip; None unless after gossip.
        news: What became public; None unless after that.
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
    """The learned text that the agent acts on from now on."""

    learned: Annotated[Words, Field(description="three to five sentences in the second person")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reflect(Question[LearnedAnswer]):
    """The lesson of an encounter: the agent's `learned` text, rewritten.

    Attributes:
        role: The agent's role.
        partner: Whom it met.
        account: What happened.
        own: The agent's evaluation of itself.
        own_reason: The same in words.
        partner_conduct: Its evaluation of the partner.
        partner_reason: The same in words.
        own_opinion: Its reputation in its own eyes, as it is now.
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
    """Whether to tie oneself to somebody."""

    CONNECT = "connect"
    STAY_APART = "stay apart"


class Disconnection(StrEnum):
    """Whether to keep a tie."""

    KEEP = "keep the tie"
    CUT = "cut the tie"


class ConnectAnswer(Answer):
    """Whether to connect, and why."""

    reason: Annotated[Words, Field(description="why, in one sentence")]
    decision: Connection


class DisconnectAnswer(Answer):
    """Whether to disconnect, and why."""

    reason: Annotated[Words, Field(description="why, in one sentence")]
    decision: Disconnection


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect(Question[ConnectAnswer]):
    """Whether to tie oneself to the partner one just met."""

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
    """Whether to cut a tie, after an encounter, or after gossip or public news about the other.

    Attributes:
        other: Whom the tie is to.
        role: The other's role.
        opinion: What the agent thinks of the other.
        conduct: How the other behaved, in the agent's own evaluation; None without one.
        conduct_reason: The same in words.
        account: What happened in an encounter that was not evaluated; else empty.
        hearsay: The gossip; None unless after gossip.
        news: What became public; None unless after that.
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
