"""Sequences of questions about gossip: the wish, the listener, the message, and the listener's judgement."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeGuard

from repunet_model.error_rates import ErrorKind
from repunet_model.questions.base import UNCREDIBLE, Candidate, Line, Opinion
from repunet_model.questions.compound import FlowQuestion, QuestionFlow
from repunet_model.questions.encounter import Hearsay
from repunet_model.questions.gossip import (
    ChooseListener,
    Hear,
    HearingAnswer,
    HearOnly,
    HearSecondHand,
    Judge,
    JudgementAnswer,
    ListenerAnswer,
    MessageAnswer,
    Passing,
    Tell,
    Tone,
    Wish,
    WishAnswer,
    WishToGossip,
)
from repunet_model.reputation import Cause, Level
from repunet_model.stages.draft import Draft
from repunet_model.stages.reputation import update_from_gossip
from repunet_model.stages.rewiring import rewire_after_gossip
from repunet_model.util.causality import Milestone

if TYPE_CHECKING:
    from repunet_model.stages.encounter import Side
    from repunet_model.storage.schema import ErrorRow


@dataclass(frozen=True, slots=True)
class Story:
    """The content of gossip, with the fields of `Tell` and the source in the coordinates of its questions."""

    subject: str
    subject_role: str
    tone: Tone
    source: str
    account: str = ""
    conduct: Level | None = None
    reason: str = ""
    hearsay: Hearsay | None = None

    @property
    def told_by(self) -> str:
        """The agent that told the gossiper; empty for first-order gossip."""
        return "" if self.hearsay is None else self.hearsay.gossiper


def wish_to_gossip(side: Side) -> QuestionFlow[None]:
    """Ask a side whether it wants to gossip about its partner."""
    question = WishToGossip(
        subject=side.partner,
        account=side.account.text,
        conduct=side.conduct,
        conduct_reason=side.conduct_reason,
        opinion=side.partner_opinion if side.world.mechanism.wish_sees_record else None,
    )
    answer: WishAnswer = yield FlowQuestion("wish", question, about=side.partner)
    side.wish = answer


def tell_at_once(side: Side) -> QuestionFlow[None]:
    """Ask for listener and opening as part of a fused call, if the side wishes to gossip."""
    if side.wish is not None and side.wish.decision is Wish.GOSSIP:
        side.first_words = yield from telling(side, first_hand(side, side.wish), condition="you want to talk about it")


def passes_on(judgement: JudgementAnswer) -> TypeGuard[HearingAnswer]:
    """Whether a listener passes the gossip on."""
    return isinstance(judgement, HearingAnswer) and judgement.decision is Passing.PASS_ON


@dataclass(slots=True)
class Search:
    """Search of an agent for a listener; `message` is None without gossip or without a listener."""

    settled: Milestone = field(default_factory=Milestone)
    message: Message | None = None


GARBLED = "{{ subject }}: {{ tone | label }}."
"""What arrives of a garbled message: its subject, and the tone as the prompt set calls it."""


@dataclass
class Message:
    """Story that a gossiper tells a listener.

    By an error it arrives garbled: the listener hears the subject alone, in the opposite tone.

    `opened` is reached when the gossiper has said the opening, `heard` when the listener has judged the message
    (`judged` is set before), `concluded` when it has updated its record and tie. `hearer` is the listener's draft for
    this message, set when the message is queued; `onward` is its search for a second-order listener.
    """

    story: Story
    gossiper: Draft
    listener: str
    dialogue: tuple[Line, ...] = ()
    opened: Milestone = field(default_factory=Milestone)
    hearer: Draft = field(init=False, repr=False)
    heard: Milestone = field(default_factory=Milestone)
    concluded: Milestone = field(default_factory=Milestone)
    judged: JudgementAnswer = field(init=False, repr=False)
    onward: Search = field(default_factory=Search)

    @cached_property
    def is_garbled(self) -> bool:
        """Whether it arrives garbled."""
        path = (self.gossiper.name, self.listener, self.story.subject, self.story.told_by)
        return self.gossiper.world.errs(ErrorKind.GARBLE, *path)

    @property
    def tone(self) -> Tone:
        """The tone in which it arrives."""
        return self.story.tone.opposite if self.is_garbled else self.story.tone

    @property
    def heard_dialogue(self) -> tuple[Line, ...]:
        """The dialogue as the listener hears it."""
        if not self.is_garbled:
            return self.dialogue
        words = self.gossiper.words(GARBLED, subject=self.story.subject, tone=self.tone)
        return tuple(line if line.speaker == self.listener else Line(line.speaker, words) for line in self.dialogue)

    @property
    def error(self) -> ErrorRow | None:
        """The row of its error; None if it arrives as it was told."""
        if not self.is_garbled:
            return None
        return {
            "step": self.gossiper.world.step,
            "kind": ErrorKind.GARBLE.value,
            "agent": self.gossiper.name,
            "other": self.listener,
            "subject": self.story.subject,
            "was": self.story.tone.value,
            "became": self.tone.value,
        }

    @property
    def is_first_hand(self) -> bool:
        """Whether this is first-order gossip."""
        return self.story.hearsay is None


def _hearsay(message: Message, judgement: JudgementAnswer) -> Hearsay:
    """Return the story of a message with the listener's judgement."""
    return Hearsay(
        message.gossiper.name,
        judgement.summary,
        message.tone is Tone.POSITIVE,
        judgement.credibility,
    )


def first_hand(side: Side, wish: WishAnswer) -> Story:
    """Return the story of a side about its partner."""
    return Story(
        subject=side.partner,
        subject_role=side.partner_role,
        tone=wish.tone,
        source=side.name,
        account=side.account.text,
        conduct=side.conduct,
        reason=wish.reason,
    )


def second_hand(message: Message, judgement: HearingAnswer) -> Story:
    """Return the story with which the listener passes a message on, in the tone of the listener."""
    return Story(
        subject=message.story.subject,
        subject_role=message.story.subject_role,
        tone=judgement.tone,
        source=f"{message.listener} < {message.gossiper.name}",
        hearsay=_hearsay(message, judgement),
    )


def audience(gossiper: Draft, story: Story) -> tuple[Candidate, ...]:
    """Return the possible listeners of a story."""
    return gossiper.acquaintances(without={story.subject, story.told_by})


def choosing(story: Story, people: tuple[Candidate, ...], condition: str = "") -> QuestionFlow[str | None]:
    """Choose the listener; None without people. A single person is chosen without a question."""
    if len(people) < 2:
        return people[0].name if people else None
    question = ChooseListener(subject=story.subject, tone=story.tone, people=people)
    answer: ListenerAnswer = yield FlowQuestion(
        "listener",
        question,
        about=story.subject,
        source=story.told_by,
        condition=condition,
        shows_view=True,
        stage="gossip",
    )
    return answer.listener


def speaking(
    gossiper: Draft, listener: str, story: Story, dialogue: tuple[Line, ...] = (), condition: str = ""
) -> QuestionFlow[Line]:
    """Ask the gossiper for the opening or its next turn."""
    question = Tell(
        listener=listener,
        subject=story.subject,
        tone=story.tone,
        account=story.account,
        conduct=story.conduct,
        reason=story.reason,
        hearsay=story.hearsay,
        dialogue=dialogue,
    )
    answer: MessageAnswer = yield FlowQuestion(
        "message",
        question,
        about=story.subject,
        source=f"{story.source} #{len(dialogue) + 1}",
        condition=condition,
        stage="gossip",
    )
    return Line(gossiper.name, answer.message)


def telling(gossiper: Draft, story: Story, condition: str = "") -> QuestionFlow[tuple[str, Line] | None]:
    """Choose the listener and ask for the opening; None without a listener."""
    people = audience(gossiper, story)
    listener = yield from choosing(story, people, condition)
    if listener is None:
        return None
    if condition and len(people) == 1:
        condition = f"{condition}, to {listener}"
    return listener, (yield from speaking(gossiper, listener, story, condition=condition))


def opinion_of_subject(listener: Draft, story: Story) -> Opinion | None:
    """Return the opinion of the subject that a listener sees while it hears about it."""
    if not listener.world.mechanism.judgement_sees_record:
        return None
    return listener.opinion(story.subject, story.subject_role)


def judging(listener: Draft, message: Message) -> QuestionFlow[JudgementAnswer]:
    """Ask the listener for reply, summary and credibility, and for first-order gossip whether to pass it on."""
    story, gossiper = message.story, message.gossiper
    view: dict[str, Any] = {
        "gossiper": gossiper.name,
        "gossiper_opinion": listener.opinion(gossiper.name, gossiper.role),
        "subject": story.subject,
        "tone": message.tone,
        "dialogue": message.heard_dialogue,
        "uncredible_share": listener.uncredible_share(),
        "opinion": opinion_of_subject(listener, story),
    }
    question: Judge[Any]
    if story.hearsay is not None:
        origin = story.told_by
        question = HearSecondHand(**view, origin=origin, origin_opinion=listener.opinion(origin, gossiper.role))
    elif listener.world.mechanism.second_order:
        question = Hear(**view)
    else:
        question = HearOnly(**view)
    answer: JudgementAnswer = yield FlowQuestion("judgement", question, about=story.subject, source=story.source)
    listener.judge_gossip(uncredible=answer.credibility in UNCREDIBLE)
    return answer


def concluding(listener: Draft, message: Message, judgement: JudgementAnswer) -> QuestionFlow[None]:
    """Ask the listener to update its record, then its tie."""
    story, hearsay = message.story, _hearsay(message, judgement)
    mechanism = listener.world.mechanism
    if mechanism.peer_records:
        cause = Cause.FIRST_ORDER_GOSSIP if message.is_first_hand else Cause.SECOND_ORDER_GOSSIP
        yield from update_from_gossip(listener, story.subject, story.subject_role, hearsay, cause, story.source)
    if mechanism.tie_after_gossip:
        yield from rewire_after_gossip(listener, story.subject, story.subject_role, hearsay, story.source)
