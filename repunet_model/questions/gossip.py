"""Questions of gossip: two agents talk about a third."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from repunet_model.personas import Words
from repunet_model.questions.base import (
    MESSAGE,
    REASON,
    Answer,
    Candidate,
    Credibility,
    Line,
    Opinion,
    Options,
    Question,
    free_text,
)
from repunet_model.questions.encounter import Hearsay
from repunet_model.reputation import Level


class Tone(StrEnum):
    """Tone of gossip towards its subject."""

    POSITIVE = "positive"
    NEGATIVE = "negative"

    @property
    def opposite(self) -> Tone:
        """The other tone."""
        return Tone.NEGATIVE if self is Tone.POSITIVE else Tone.POSITIVE


class Wish(StrEnum):
    """Whether to gossip."""

    GOSSIP = "gossip"
    KEEP_QUIET = "keep quiet"


class WishAnswer(Answer):
    """The decision about gossip, its tone and the reason."""

    reason: Annotated[Words, free_text(REASON, "why, in one sentence")]
    tone: Annotated[Tone, Field(description="praise is positive, a complaint negative")]
    decision: Wish


@dataclass(frozen=True, slots=True, kw_only=True)
class WishToGossip(Question[WishAnswer]):
    """Whether to gossip about the partner of an encounter.

    Attributes:
        conduct: The partner's conduct in the agent's evaluation; None if the encounter was refused.
    """

    name: ClassVar[str] = "wish_to_gossip"
    template: ClassVar[str] = "wish_to_gossip.j2"
    answer: ClassVar[type[Answer]] = WishAnswer

    subject: str
    account: str
    conduct: Level | None
    conduct_reason: str
    opinion: Opinion | None


class ListenerAnswer(Answer):
    """The chosen listener and the reason."""

    reason: Annotated[Words, free_text(REASON, "why, in one sentence")]
    listener: Annotated[Words, Field(description="the name of the person you tell")]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChooseListener(Question[ListenerAnswer]):
    """The choice of a listener among agents to which the gossiper has a tie, without the subject."""

    name: ClassVar[str] = "choose_listener"
    template: ClassVar[str] = "choose_listener.j2"
    answer: ClassVar[type[Answer]] = ListenerAnswer

    subject: str
    tone: Tone
    people: tuple[Candidate, ...]

    def candidates(self) -> Options:
        """Return the names of the people."""
        return {"listener": tuple(person.name for person in self.people)}


class MessageAnswer(Answer):
    """A message from the gossiper."""

    message: Annotated[Words, free_text(MESSAGE, "what you say, in one to three sentences")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell(Question[MessageAnswer]):
    """The gossiper's message to the listener: the opening or a later turn.

    Attributes:
        account: The account of the gossiper's encounter; empty for second-order gossip.
        conduct: The gossiper's evaluation of the subject; None without one and for second-order gossip.
        hearsay: The gossip that the gossiper heard; None for first-order gossip. The gossiper's tone may differ from
            the one it heard.
    """

    name: ClassVar[str] = "tell"
    template: ClassVar[str] = "tell.j2"
    answer: ClassVar[type[Answer]] = MessageAnswer

    listener: str
    subject: str
    tone: Tone
    account: str
    conduct: Level | None
    reason: str
    hearsay: Hearsay | None
    dialogue: tuple[Line, ...]


class Turn(StrEnum):
    """Whether a dialogue continues."""

    GO_ON = "go on"
    ENOUGH = "enough"


class ResponseAnswer(Answer):
    """The listener's reply, and its decision to hear more or not."""

    message: Annotated[Words, free_text(MESSAGE, "what you say to hear more, in one or two sentences")]
    decision: Annotated[Turn, Field(description="whether you want to hear more")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Respond(Question[ResponseAnswer]):
    """The listener's reply within a dialogue."""

    name: ClassVar[str] = "respond"
    template: ClassVar[str] = "respond.j2"
    answer: ClassVar[type[Answer]] = ResponseAnswer

    gossiper: str
    subject: str
    dialogue: tuple[Line, ...]
    opinion: Opinion | None


class Passing(StrEnum):
    """Whether to pass gossip on."""

    PASS_ON = "pass it on"
    KEEP = "keep it to yourself"


class JudgementAnswer(Answer):
    """The listener's last reply, summary and judgement of credibility."""

    reply: Annotated[Words, free_text(MESSAGE, "what you say in reply, in one sentence")]
    summary: Annotated[Words, free_text(MESSAGE, "what was claimed, in one or two sentences")]
    credibility: Annotated[Credibility, Field(description="how far you believe it")]


class HearingAnswer(JudgementAnswer):
    """A judgement of first-order gossip, with the decision to pass it on or not, and the tone of doing so."""

    decision: Passing
    tone: Annotated[Tone, Field(description="your own tone about the person: praise is positive, a complaint negative")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge[A: JudgementAnswer](Question[A]):
    """Base class of the questions that end a dialogue.

    Attributes:
        tone: The tone in which the gossiper means to tell it; the prompt does not show it.
        uncredible_share: Share of earlier gossip that the listener judged uncredible; None before the first gossip
            and where agents keep no records of others.
        opinion: The listener's opinion of the subject; None unless the mechanism shows it.
    """

    gossiper: str
    gossiper_opinion: Opinion | None
    subject: str
    tone: Tone
    dialogue: tuple[Line, ...]
    uncredible_share: float | None
    opinion: Opinion | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hear(Judge[HearingAnswer]):
    """The listener's judgement of first-order gossip, whether it passes it on, and in which tone."""

    name: ClassVar[str] = "hear"
    template: ClassVar[str] = "hear.j2"
    answer: ClassVar[type[Answer]] = HearingAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class HearOnly(Judge[JudgementAnswer]):
    """The listener's judgement of first-order gossip where there is no second order."""

    name: ClassVar[str] = "hear_only"
    template: ClassVar[str] = "hear_second_hand.j2"
    answer: ClassVar[type[Answer]] = JudgementAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class HearSecondHand(Judge[JudgementAnswer]):
    """The listener's judgement of second-order gossip.

    Attributes:
        origin: The agent from which the gossiper heard it.
    """

    name: ClassVar[str] = "hear_second_hand"
    template: ClassVar[str] = "hear_second_hand.j2"
    answer: ClassVar[type[Answer]] = JudgementAnswer

    origin: str
    origin_opinion: Opinion | None
