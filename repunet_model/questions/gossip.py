"""Questions of gossip, the talk of two agents about a third."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from repunet_model.personas import Words
from repunet_model.questions.base import Answer, Candidate, Credibility, Line, Opinion, Options, Question
from repunet_model.questions.encounter import Hearsay
from repunet_model.reputation import Level


class Tone(StrEnum):
    """The tone of gossip towards its subject."""

    POSITIVE = "positive"
    NEGATIVE = "negative"


class Wish(StrEnum):
    """Whether to talk about somebody."""

    GOSSIP = "gossip"
    KEEP_QUIET = "keep quiet"


class WishAnswer(Answer):
    """Whether to gossip about the partner, in which tone, and why."""

    reason: Annotated[Words, Field(description="why, in one sentence")]
    tone: Annotated[Tone, Field(description="praise is positive, a complaint negative")]
    decision: Wish


@dataclass(frozen=True, slots=True, kw_only=True)
class WishToGossip(Question[WishAnswer]):
    """Whether to gossip about the partner one just met.

    Attributes:
        subject: The partner.
        account: What happened.
        conduct: How the partner behaved, in the agent's own evaluation; None if the encounter was refused.
        conduct_reason: The same in words.
        opinion: What the agent thinks of the partner.
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
    """Whom to tell, and why."""

    reason: Annotated[Words, Field(description="why, in one sentence")]
    listener: Annotated[Words, Field(description="the name of the person you tell")]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChooseListener(Question[ListenerAnswer]):
    """Whom of the people one is bound to, never the subject, to tell."""

    name: ClassVar[str] = "choose_listener"
    template: ClassVar[str] = "choose_listener.j2"
    answer: ClassVar[type[Answer]] = ListenerAnswer

    subject: str
    tone: Tone
    people: tuple[Candidate, ...]

    def candidates(self) -> Options:
        """Return the people to choose from."""
        return {"listener": tuple(person.name for person in self.people)}


class MessageAnswer(Answer):
    """A message of the gossiper."""

    message: Annotated[Words, Field(description="what you say, in one to three sentences")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell(Question[MessageAnswer]):
    """The gossiper's message to the listener: the opening, or the next turn of a longer dialogue.

    Attributes:
        listener: Who listens.
        subject: Whom it is about.
        tone: Praise or complaint.
        account: What the gossiper saw; empty for second-order gossip.
        conduct: The gossiper's evaluation of the subject; None for second-order gossip, and without one.
        reason: Why the gossiper wants to talk.
        hearsay: What the gossiper was told; None for first-order gossip.
        dialogue: What was said so far.
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
    """Whether a dialogue goes on."""

    GO_ON = "go on"
    ENOUGH = "enough"


class ResponseAnswer(Answer):
    """The listener's reply, and whether it wants to hear more."""

    message: Annotated[Words, Field(description="what you say to hear more, in one or two sentences")]
    decision: Annotated[Turn, Field(description="whether you want to hear more")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Respond(Question[ResponseAnswer]):
    """The listener's reply in the middle of a longer dialogue."""

    name: ClassVar[str] = "respond"
    template: ClassVar[str] = "respond.j2"
    answer: ClassVar[type[Answer]] = ResponseAnswer

    gossiper: str
    subject: str
    dialogue: tuple[Line, ...]
    opinion: Opinion | None


class Passing(StrEnum):
    """The decision whether to pass gossip on."""

    PASS_ON = "pass it on"
    KEEP = "keep it to yourself"


class JudgementAnswer(Answer):
    """The listener's last reply, its summary, and its judgement of credibility."""

    reply: Annotated[Words, Field(description="what you say in reply, in one sentence")]
    summary: Annotated[Words, Field(description="what was claimed, in one or two sentences")]
    credibility: Annotated[Credibility, Field(description="how far you believe it")]


class HearingAnswer(JudgementAnswer):
    """The same, and whether to pass it on."""

    decision: Passing


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge[A: JudgementAnswer](Question[A]):
    """Base of the two questions that end a dialogue.

    Attributes:
        gossiper: Who told it.
        gossiper_opinion: What the listener thinks of the gossiper.
        subject: Whom it is about.
        tone: Praise or complaint, as the gossiper means it; the prompt leaves it to what was said.
        dialogue: What was said.
        uncredible_share: Share of the gossip the listener heard before that it judged uncredible; None if it
            heard none, and in a run without reputation.
        opinion: What the listener thinks of the subject.
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
    """The listener's judgement of first-order gossip, and the decision whether to pass it on."""

    name: ClassVar[str] = "hear"
    template: ClassVar[str] = "hear.j2"
    answer: ClassVar[type[Answer]] = HearingAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class HearSecondHand(Judge[JudgementAnswer]):
    """The listener's judgement of second-order gossip, of the gossiper and of the gossiper's source.

    Attributes:
        origin: Who the gossiper had it from.
        origin_opinion: What the listener thinks of the origin.
    """

    name: ClassVar[str] = "hear_second_hand"
    template: ClassVar[str] = "hear_second_hand.j2"
    answer: ClassVar[type[Answer]] = JudgementAnswer

    origin: str
    origin_opinion: Opinion | None
