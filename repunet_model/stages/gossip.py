"""Gossip: who tells whom what about somebody who is not there, and what the listener makes of it.

First order: an agent that wants to gossip picks a listener among those it is bound to, never the subject; with
nobody to tell the wish lapses. They talk, the gossiper first, for at most `dialogue_turns` turns, the last of which
is the listener's. The listener sums up, judges the credibility, and may pass it on; it updates its record of the
subject and reconsiders its tie. Second order: it passes it on to one more listener, with whom it ends.

Messages are numbered by the order of the encounters they come from. A listener hears its messages one after another
in the order of their numbers, second-order ones after first-order ones, and each builds on those before. Nothing else
waits: whoever has thought about its encounter looks for a listener and speaks, listeners hear side by side, and what a
listener concludes from one message only holds up messages about the same people. What a gossiper says rests on what
it held after its own encounter.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from repunet_model.concurrency import Milestone, follow_from_last, together
from repunet_model.questions.base import UNCREDIBLE, Candidate, Line
from repunet_model.questions.compound import Ask, Hearing, Thought
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
    Respond,
    Tell,
    Tone,
    Turn,
    Wish,
    WishAnswer,
    WishToGossip,
)
from repunet_model.reputation import Cause, Level
from repunet_model.stages.draft import Draft
from repunet_model.stages.reputation import update_from_gossip
from repunet_model.stages.rewiring import rewire_after_gossip
from repunet_model.stages.thinking import at_once, one_by_one

if TYPE_CHECKING:
    from repunet_model.stages.interaction import Encounter, Side
    from repunet_model.stages.world import World

GOSSIP_COLUMNS = (
    "step",
    "order",
    "gossiper",
    "gossiper_role",
    "listener",
    "subject",
    "subject_role",
    "origin",
    "tone",
    "dialogue",
    "summary",
    "credibility",
    "passed_on_to",
)


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
        side.first_words = yield from telling(side, _first(side, side.wish), condition="you want to talk about it")


@dataclass(frozen=True, slots=True)
class Story:
    """What somebody has to tell, on its first or its second way.

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
        """Who the gossiper has it from; empty on the first way."""
        return "" if self.hearsay is None else self.hearsay.gossiper


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
        """How the listener has judged, once it has."""
        assert self.judgement is not None
        return self.judgement

    @property
    def is_first_hand(self) -> bool:
        """Whether the gossiper saw it."""
        return self.story.hearsay is None


class Gossip:
    """The stage in which people talk about those they met: one round of it."""

    def __init__(self, world: World, group: asyncio.TaskGroup) -> None:
        """Open a round.

        Args:
            world: The world; it changes only where the round is applied.
            group: Where all thinking of the round goes on. When it ends, the round is over.
        """
        self._world = world
        self._group = group
        self._searches: dict[str, Search] = {}
        self._sides: dict[str, Side] = {}
        self._queues: dict[str, list[Message]] = {}
        self._told: list[Message] = []
        self._lapsed = 0

    async def join(self, side: Side) -> None:
        """Let one side that has thought about its encounter tell somebody, if it wishes to."""
        search = self._search(side.name)
        wish = side.wish
        if wish is None or wish.decision is not Wish.GOSSIP:
            search.settled.reach()
            return
        story = _first(side, wish)
        gossiper = Draft(self._world, side.name, "gossip", side.role, below=side)
        if self._world.fused:
            self._found(search, gossiper, story, side.first_words)
        else:
            await self._find_listener(gossiper, story, search)

    async def decide(self, encounters: list[Encounter]) -> None:
        """Bring all messages into their order: first-order ones by their encounters, then second-order ones."""
        sides = [side for encounter in encounters for side in encounter.sides]
        self._sides = {side.name: side for side in sides}
        for side in sides:
            await self._enqueue(self._search(side.name))
        for message in list(self._told):
            await self._enqueue(message.onward)

    def _search(self, name: str) -> Search:
        return self._searches.setdefault(name, Search())

    async def _enqueue(self, search: Search) -> None:
        """Put what comes of a search at the end of the listener's queue."""
        await search.settled
        follow_from_last()
        self._lapsed += search.lapsed
        message = search.message
        if message is None:
            return
        before = self._queues.setdefault(message.listener, [])
        below = before[-1].hearer if before else self._sides.get(message.listener)
        message.draft = Draft(self._world, message.listener, "gossip", message.gossiper.role, below)
        self._group.create_task(self._tell(message, tuple(before)))
        before.append(message)
        self._told.append(message)

    async def _find_listener(self, gossiper: Draft, story: Story, search: Search) -> None:
        """Let a gossiper find a listener and begin to speak."""
        listener = await one_by_one(gossiper, choosing(story, audience(gossiper, story)))
        if listener is None:
            search.lapsed = True
            search.settled.reach()
            return
        message = search.message = Message(story, gossiper, listener)
        search.settled.reach()
        message.dialogue = (await one_by_one(gossiper, speaking(gossiper, listener, story)),)
        message.opened.reach()

    def _found(self, search: Search, gossiper: Draft, story: Story, found: tuple[str, Line] | None) -> None:
        """Take note of a listener and of the gossiper's first words, or that there is nobody to tell."""
        if found is None:
            search.lapsed = True
        else:
            listener, opening = found
            search.message = Message(story, gossiper, listener, (opening,))
            search.message.opened.reach()
        search.settled.reach()

    async def _tell(self, message: Message, before: tuple[Message, ...]) -> None:
        """Let a listener hear a message, and draw its conclusions.

        Args:
            message: The message.
            before: Those before it in the listener's queue.
        """
        await message.opened
        if message.listener in self._sides:
            await self._sides[message.listener].done
        if before:
            await before[-1].heard
        story, gossiper = message.story, message.gossiper
        for earlier in before:
            if earlier.story.subject in {story.subject, gossiper.name, story.told_by}:
                await earlier.concluded
        await self._converse(message)
        if self._world.fused:
            await self._hear_at_once(message)
            return
        message.judgement = await one_by_one(message.hearer, judging(message.hearer, message))
        message.heard.reach()
        await together(self._conclude(message), self._pass_on(message, before))

    async def _hear_at_once(self, message: Message) -> None:
        """Let a listener judge, conclude and pass on in one call."""

        def hear(draft: Draft) -> Thought[tuple[JudgementAnswer, tuple[str, Line] | None]]:
            judgement: JudgementAnswer = yield from judging(draft, message)
            yield from concluding(draft, message, judgement)
            if not _passes_on(judgement):
                return judgement, None
            return judgement, (yield from telling(draft, _second(message, judgement), condition="you pass it on"))

        story = message.story
        judgement, found = await at_once(message.hearer, Hearing, hear, story.subject, story.source)
        message.judgement = judgement
        message.heard.reach()
        message.concluded.reach()
        if _passes_on(judgement):
            self._found(message.onward, message.hearer, _second(message, judgement), found)
        else:
            message.onward.settled.reach()

    async def _conclude(self, message: Message) -> None:
        await one_by_one(message.hearer, concluding(message.hearer, message, message.judged))
        message.concluded.reach()

    async def _pass_on(self, message: Message, before: tuple[Message, ...]) -> None:
        """Let a listener tell somebody else, if it decided to; whom it knows rests on all it heard before."""
        if not _passes_on(message.judged):
            message.onward.settled.reach()
            return
        for earlier in before:
            await earlier.concluded
        await self._find_listener(message.hearer, _second(message, message.judged), message.onward)

    async def _converse(self, message: Message) -> None:
        """Let both talk until the listener has heard enough, or only the turn is left that comes with its judgement."""
        story, gossiper, listener = message.story, message.gossiper, message.hearer
        while len(message.dialogue) + 2 < self._world.dialogue_turns:
            response = await listener.put(
                Respond(
                    gossiper=gossiper.name,
                    subject=story.subject,
                    dialogue=message.dialogue,
                    opinion=listener.opinion(story.subject, story.subject_role),
                ),
                about=story.subject,
                source=f"{story.source} #{len(message.dialogue) + 1}",
            )
            if response.decision is Turn.ENOUGH:
                break
            message.dialogue = (*message.dialogue, Line(listener.name, response.message))
            answer = await one_by_one(gossiper, speaking(gossiper, listener.name, story, message.dialogue))
            message.dialogue = (*message.dialogue, answer)

    def apply(self) -> None:
        """Carry over records, ties and judgements, and log every story."""
        for message in self._told:
            story, onward = message.story, message.onward.message
            self._world.log.gossip.append(
                {
                    "step": self._world.step,
                    "order": 1 if message.is_first_hand else 2,
                    "gossiper": message.gossiper.name,
                    "gossiper_role": message.gossiper.role,
                    "listener": message.listener,
                    "subject": story.subject,
                    "subject_role": story.subject_role,
                    "origin": story.told_by,
                    "tone": story.tone.value,
                    "dialogue": [
                        *([line.speaker, line.text] for line in message.dialogue),
                        [message.listener, message.judged.reply],
                    ],
                    "summary": message.judged.summary,
                    "credibility": message.judged.credibility.value,
                    "passed_on_to": onward.listener if onward is not None else "",
                }
            )
        for name in self._world.network.in_order(self._queues):
            for message in self._queues[name]:
                message.hearer.commit()
        self._world.log.lapsed += self._lapsed


def _passes_on(judgement: JudgementAnswer) -> bool:
    return isinstance(judgement, HearingAnswer) and judgement.decision is Passing.PASS_ON


def _hearsay(message: Message, judgement: JudgementAnswer) -> Hearsay:
    """Return the story of a message as its listener holds it."""
    return Hearsay(
        message.gossiper.name,
        judgement.summary,
        message.story.tone is Tone.POSITIVE,
        judgement.credibility,
    )


def _first(side: Side, wish: WishAnswer) -> Story:
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


def _second(message: Message, judgement: JudgementAnswer) -> Story:
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
