"""The lines of thought of gossip: whether to tell, whom, and what; and what a listener makes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from repunet_model.questions.base import UNCREDIBLE, Candidate, Line
from repunet_model.questions.compound import Ask, Thought
from repunet_model.questions.encounter import Hearsay
from repunet_model.questions.gossip import (
    ChooseListener,
    Hear,
    HearingAnswer,
    HearSecondHand,
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


@dataclass(frozen=True, slots=True)
class Story:
    """A story to tell, first-hand or second-hand.

    Attributes:
        subject: Whom it is about.
        subject_role: The subject's role.
        tone: Praise or complaint.
        source: The way it goes, as coordinates name it.
        account: What the gossiper saw; empty on the second way.
        conduct: The gossiper's evaluation of the subject; None on the second way, and without one.
        reason: Why the gossiper tells it.
        hearsay: What the gossiper was told; None on the first way.
    """

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
        """The agent that told it to the gossiper; empty for first-hand gossip."""
        return "" if self.hearsay is None else self.hearsay.gossiper


def wish_to_gossip(side: Side) -> Thought[None]:
    """Say whether one wants to gossip about the partner one just met."""
    question = WishToGossip(
        subject=side.partner,
        account=side.account.text,
        conduct=side.conduct,
        conduct_reason=side.conduct_reason,
        opinion=side.partner_opinion,
    )
    answer: WishAnswer = yield Ask("wish", question, about=side.partner)
    side.wish = answer


def tell_at_once(side: Side) -> Thought[None]:
    """Say what to whom, if one wishes to gossip, in the same breath."""
    if side.wish is not None and side.wish.decision is Wish.GOSSIP:
        side.first_words = yield from telling(side, first_hand(side, side.wish), condition="you want to talk about it")


def passes_on(judgement: JudgementAnswer) -> bool:
    """Tell whether a listener passes on what it heard."""
    return isinstance(judgement, HearingAnswer) and judgement.decision is Passing.PASS_ON


@dataclass(slots=True)
class Search:
    """Somebody's search for a listener.

    Attributes:
        settled: When it is known whether there is one.
        message: What comes of it; None if there is nothing to tell, or nobody to tell it to.
        lapsed: Whether there is something to tell and nobody to tell it to.
    """

    settled: Milestone = field(default_factory=Milestone)
    message: Message | None = None
    lapsed: bool = False


@dataclass(slots=True)
class Message:
    """A story on its way from a gossiper to a listener.

    Attributes:
        story: The story.
        gossiper: Who tells it.
        listener: The name of who hears it.
        dialogue: What was said so far.
        opened: When the gossiper has begun to speak.
        draft: The listener, with what it makes of this message; on top of what it made of those before.
        heard: When the listener has judged it.
        concluded: When the listener has drawn its conclusions.
        judgement: How it has judged.
        onward: Its search for somebody to pass it on to.
    """

    story: Story
    gossiper: Draft
    listener: str
    dialogue: tuple[Line, ...] = ()
    opened: Milestone = field(default_factory=Milestone)
    draft: Draft | None = None
    heard: Milestone = field(default_factory=Milestone)
    concluded: Milestone = field(default_factory=Milestone)
    judgement: JudgementAnswer | None = None
    onward: Search = field(default_factory=Search)

    @property
    def hearer(self) -> Draft:
        """The listener, once the message is in its queue."""
        assert self.draft is not None
        return self.draft

    @property
    def judged(self) -> JudgementAnswer:
        """The listener's judgement, once it is made."""
        assert self.judgement is not None
        return self.judgement

    @property
    def is_first_hand(self) -> bool:
        """Whether the gossiper saw it."""
        return self.story.hearsay is None


def _hearsay(message: Message, judgement: JudgementAnswer) -> Hearsay:
    """Return the story of a message as its listener holds it."""
    return Hearsay(
        message.gossiper.name,
        judgement.summary,
        message.story.tone is Tone.POSITIVE,
        judgement.credibility,
    )


def first_hand(side: Side, wish: WishAnswer) -> Story:
    """Return what a side tells of the partner it met."""
    return Story(
        subject=side.partner,
        subject_role=side.partner_role,
        tone=wish.tone,
        source=side.name,
        account=side.account.text,
        conduct=side.conduct,
        reason=wish.reason,
    )


def second_hand(message: Message, judgement: JudgementAnswer) -> Story:
    """Return what the listener of a message tells in turn."""
    return Story(
        subject=message.story.subject,
        subject_role=message.story.subject_role,
        tone=message.story.tone,
        source=f"{message.listener} < {message.gossiper.name}",
        hearsay=_hearsay(message, judgement),
    )


def audience(gossiper: Draft, story: Story) -> tuple[Candidate, ...]:
    """Return whom a story can be told to."""
    return gossiper.acquaintances(without={story.subject, story.told_by})


def choosing(story: Story, people: tuple[Candidate, ...], condition: str = "") -> Thought[str | None]:
    """Pick whom to tell; None if there is nobody. With one person there is nothing to ask."""
    if len(people) < 2:
        return people[0].name if people else None
    question = ChooseListener(subject=story.subject, tone=story.tone, people=people)
    answer: ListenerAnswer = yield Ask(
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
) -> Thought[Line]:
    """Say something to the listener: the opening, or the gossiper's next turn."""
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
    answer: MessageAnswer = yield Ask(
        "message",
        question,
        about=story.subject,
        source=f"{story.source} #{len(dialogue) + 1}",
        condition=condition,
        stage="gossip",
    )
    return Line(gossiper.name, answer.message)


def telling(gossiper: Draft, story: Story, condition: str = "") -> Thought[tuple[str, Line] | None]:
    """Pick whom to tell, and say the first thing; None if there is nobody."""
    people = audience(gossiper, story)
    listener = yield from choosing(story, people, condition)
    if listener is None:
        return None
    if condition and len(people) == 1:
        condition = f"{condition}, to {listener}"
    return listener, (yield from speaking(gossiper, listener, story, condition=condition))


def judging(listener: Draft, message: Message) -> Thought[JudgementAnswer]:
    """Reply, sum up what was claimed, judge its credibility, and at first hand say whether to pass it on."""
    story, gossiper = message.story, message.gossiper
    view: dict[str, Any] = {
        "gossiper": gossiper.name,
        "gossiper_opinion": listener.opinion(gossiper.name, gossiper.role),
        "subject": story.subject,
        "tone": story.tone,
        "dialogue": message.dialogue,
        "uncredible_share": listener.uncredible_share(),
        "opinion": listener.opinion(story.subject, story.subject_role),
    }
    if story.hearsay is not None:
        origin = story.told_by
        view |= {"origin": origin, "origin_opinion": listener.opinion(origin, gossiper.role)}
    question = Hear(**view) if message.is_first_hand else HearSecondHand(**view)
    answer: JudgementAnswer = yield Ask("judgement", question, about=story.subject, source=story.source)
    listener.judge_gossip(uncredible=answer.credibility in UNCREDIBLE)
    return answer


def concluding(listener: Draft, message: Message, judgement: JudgementAnswer) -> Thought[None]:
    """Draw the conclusions from a message: the record, then the tie."""
    story, hearsay = message.story, _hearsay(message, judgement)
    if listener.world.reputation:
        cause = Cause.FIRST_ORDER_GOSSIP if message.is_first_hand else Cause.SECOND_ORDER_GOSSIP
        yield from update_from_gossip(listener, story.subject, story.subject_role, hearsay, cause, story.source)
    yield from rewire_after_gossip(listener, story.subject, story.subject_role, hearsay, story.source)
