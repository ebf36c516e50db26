"""Gossip: who tells whom what about somebody who is not there, and what the listener makes of it.

First order: an agent that wants to gossip picks a listener among those it is bound to, never the subject; with
nobody to tell the wish lapses. They talk, the gossiper first, for at most `dialogue_turns` turns, the last of which
is the listener's. The listener sums up, judges the credibility, and may pass it on; it updates its record of the
subject and reconsiders its tie. Second order: it passes it on to one more listener, with whom it ends.

Messages are numbered by the order of the encounters they come from. Listeners think side by side; a listener takes
its messages one after another in the order of their numbers, second-order ones after first-order ones. What a
gossiper says rests on what it held when the stage began.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from repunet_model.concurrency import task_group
from repunet_model.questions.base import Credibility, Line
from repunet_model.questions.encounter import Hearsay
from repunet_model.questions.gossip import (
    ChooseListener,
    Hear,
    HearSecondHand,
    JudgementAnswer,
    Passing,
    Respond,
    Tell,
    Tone,
    Turn,
    Wish,
    WishToGossip,
)
from repunet_model.reputation import Cause, Level
from repunet_model.stages.draft import Draft
from repunet_model.stages.reputation import update_from_gossip
from repunet_model.stages.rewiring import rewire_after_gossip

if TYPE_CHECKING:
    from repunet_model.stages.interaction import Encounter, Side
    from repunet_model.stages.world import World


async def wish_to_gossip(side: Side) -> None:
    """Say whether one wants to gossip about the partner one just met."""
    side.wish = await side.ask(
        WishToGossip(
            subject=side.partner,
            account=side.account.text,
            conduct=side.conduct,
            conduct_reason=side.conduct_reason,
            opinion=side.partner_opinion,
        )
    )


@dataclass(frozen=True, slots=True)
class Story:
    """What somebody has to tell, on its first or its second way.

    Attributes:
        subject: Whom it is about.
        subject_role: The subject's role.
        tone: Praise or complaint.
        account: What the gossiper saw; empty on the second way.
        conduct: The gossiper's evaluation of the subject; None on the second way, and without one.
        reason: Why the gossiper tells it.
        hearsay: What the gossiper was told; None on the first way.
    """

    subject: str
    subject_role: str
    tone: Tone
    account: str = ""
    conduct: Level | None = None
    reason: str = ""
    hearsay: Hearsay | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """A story that was told.

    Attributes:
        story: The story.
        gossiper: Who told it.
        listener: Who heard it.
        dialogue: What was said.
        judgement: What the listener made of it.
        onward: Whom the listener tells in turn; None if nobody.
        lapsed: Whether the listener wanted to pass it on and found nobody to tell.
    """

    story: Story
    gossiper: Draft
    listener: Draft
    dialogue: tuple[Line, ...]
    judgement: JudgementAnswer
    onward: str | None = None
    lapsed: bool = False

    @property
    def hearsay(self) -> Hearsay:
        """The story as the listener holds it."""
        return Hearsay(
            self.gossiper.name,
            self.judgement.summary,
            self.story.tone is Tone.POSITIVE,
            self.judgement.credibility,
        )


@dataclass(slots=True)
class Rumours:
    """What a gossip stage brought about.

    Attributes:
        told: The stories, first-order ones first, each kind in the order of their numbers.
        lapsed: Wishes to tell for which there was no listener.
        listeners: The drafts of all who heard something.
    """

    told: list[Told] = field(default_factory=list)
    lapsed: int = 0
    listeners: dict[str, Draft] = field(default_factory=dict)


class Gossip:
    """The stage in which people talk about those they met."""

    async def decide(self, world: World, encounters: Iterable[Encounter]) -> Rumours:
        """Let everybody who wishes to gossip find a listener and tell."""
        rumours = Rumours()
        sides = [
            side
            for encounter in encounters
            for side in encounter.sides
            if side.wish is not None and side.wish.decision is Wish.GOSSIP
        ]
        async with task_group() as group:
            await _Telling(world, rumours, group).run(sides)
        return rumours

    def apply(self, world: World, rumours: Rumours) -> None:
        """Carry over records, ties and judgements, and log every story."""
        for told in rumours.told:
            world.log.gossip.append(
                {
                    "step": world.step,
                    "order": 1 if told.story.hearsay is None else 2,
                    "gossiper": told.gossiper.name,
                    "gossiper_role": told.gossiper.role,
                    "listener": told.listener.name,
                    "subject": told.story.subject,
                    "subject_role": told.story.subject_role,
                    "origin": told.story.hearsay.gossiper if told.story.hearsay else "",
                    "tone": told.story.tone.value,
                    "dialogue": [[line.speaker, line.text] for line in told.dialogue],
                    "summary": told.judgement.summary,
                    "credibility": told.judgement.credibility.value,
                    "passed_on_to": told.onward or "",
                }
            )
        for name in world.network.in_order(rumours.listeners):
            rumours.listeners[name].commit()
        world.log.lapsed += rumours.lapsed


class _Telling:
    """One round of telling: first-order stories, then the second-order ones that come of them."""

    def __init__(self, world: World, rumours: Rumours, group: asyncio.TaskGroup) -> None:
        self._world = world
        self._rumours = rumours
        self._group = group
        self._queues: dict[str, asyncio.Task[Told]] = {}  # the last story in each listener's queue

    async def run(self, sides: list[Side]) -> None:
        """Tell the stories of all sides that wish to."""
        searches = [self._group.create_task(self._find_listener(side)) for side in sides]
        first: list[asyncio.Task[Told]] = []
        for side, search in zip(sides, searches, strict=True):
            listener = await search
            if listener is None:
                self._rumours.lapsed += 1
            else:
                first.append(self._enqueue(listener, self._tell_first(side, listener, self._queues.get(listener))))
        second: list[asyncio.Task[Told]] = []
        for task in first:
            told = await task
            self._rumours.lapsed += told.lapsed
            if told.onward is not None:
                before = self._queues.get(told.onward)
                second.append(self._enqueue(told.onward, self._tell_second(told, told.onward, before)))
        self._rumours.told = [await task for task in (*first, *second)]

    def _enqueue(self, listener: str, telling: Coroutine[Any, Any, Told]) -> asyncio.Task[Told]:
        self._queues[listener] = self._group.create_task(telling)
        return self._queues[listener]

    def _listener(self, name: str, role: str) -> Draft:
        """Return the draft of a listener, the same for all it hears in this stage, in the gossiper's role."""
        draft = self._rumours.listeners.setdefault(name, Draft(self._world, name, "gossip", role))
        draft.role = role
        return draft

    async def _find_listener(self, side: Side) -> str | None:
        assert side.wish is not None
        gossiper = Draft(self._world, side.name, "gossip", side.role)
        return await _choose_listener(gossiper, side.partner, side.wish.tone, told_by="")

    async def _tell_first(self, side: Side, name: str, before: asyncio.Task[Told] | None) -> Told:
        assert side.wish is not None
        gossiper = Draft(self._world, side.name, "gossip", side.role)
        story = Story(
            subject=side.partner,
            subject_role=side.partner_role,
            tone=side.wish.tone,
            account=side.account.text,
            conduct=side.conduct,
            reason=side.wish.reason,
        )
        listener, dialogue = await self._converse(gossiper, name, story, gossiper.name, before)
        question = Hear(**_view(gossiper, listener, story, dialogue))
        judgement = await listener.put(question, about=story.subject, source=gossiper.name)
        told = await self._take_in(story, gossiper, listener, dialogue, judgement, gossiper.name)
        if judgement.decision is Passing.KEEP:
            return told
        onward = await _choose_listener(listener, story.subject, story.tone, told_by=gossiper.name)
        return Told(story, gossiper, listener, told.dialogue, judgement, onward, lapsed=onward is None)

    async def _tell_second(self, first: Told, name: str, before: asyncio.Task[Told] | None) -> Told:
        origin = first.gossiper
        gossiper = Draft(self._world, first.listener.name, "gossip", origin.role)
        source = f"{gossiper.name} < {origin.name}"
        story = Story(
            subject=first.story.subject,
            subject_role=first.story.subject_role,
            tone=first.story.tone,
            hearsay=first.hearsay,
        )
        listener, dialogue = await self._converse(gossiper, name, story, source, before)
        question = HearSecondHand(
            **_view(gossiper, listener, story, dialogue),
            origin=origin.name,
            origin_opinion=listener.opinion(origin.name, origin.role),
        )
        judgement = await listener.put(question, about=story.subject, source=source)
        return await self._take_in(story, gossiper, listener, dialogue, judgement, source)

    async def _converse(
        self, gossiper: Draft, name: str, story: Story, source: str, before: asyncio.Task[Told] | None
    ) -> tuple[Draft, tuple[Line, ...]]:
        """Let the gossiper open, wait for the listener's turn to listen, and let both talk.

        They talk until the listener has heard enough or the last turn is left, which comes with its judgement.
        """
        dialogue: tuple[Line, ...] = (await _speak(gossiper, name, story, source),)
        if before is not None:
            await before
        listener = self._listener(name, gossiper.role)
        while len(dialogue) + 2 < self._world.dialogue_turns:
            response = await listener.put(
                Respond(
                    gossiper=gossiper.name,
                    subject=story.subject,
                    dialogue=dialogue,
                    opinion=listener.opinion(story.subject, story.subject_role),
                ),
                about=story.subject,
                source=f"{source} #{len(dialogue) + 1}",
            )
            if response.decision is Turn.ENOUGH:
                break
            dialogue = (*dialogue, Line(listener.name, response.message))
            dialogue = (*dialogue, await _speak(gossiper, listener.name, story, source, dialogue))
        return listener, dialogue

    async def _take_in(
        self,
        story: Story,
        gossiper: Draft,
        listener: Draft,
        dialogue: tuple[Line, ...],
        judgement: JudgementAnswer,
        source: str,
    ) -> Told:
        """Let a listener draw its conclusions: the record, then the tie."""
        told = Told(story, gossiper, listener, (*dialogue, Line(listener.name, judgement.reply)), judgement)
        listener.judge_gossip(uncredible=judgement.credibility in {Credibility.UNCREDIBLE, Credibility.VERY_UNCREDIBLE})
        if self._world.reputation:
            cause = Cause.FIRST_ORDER_GOSSIP if story.hearsay is None else Cause.SECOND_ORDER_GOSSIP
            await update_from_gossip(listener, story.subject, story.subject_role, told.hearsay, cause, source)
        await rewire_after_gossip(listener, story.subject, story.subject_role, told.hearsay, source)
        return told


def _view(gossiper: Draft, listener: Draft, story: Story, dialogue: tuple[Line, ...]) -> dict[str, Any]:
    """Return what a listener judges a story by, first-hand or not: the fields of `Judge`."""
    return {
        "gossiper": gossiper.name,
        "gossiper_opinion": listener.opinion(gossiper.name, gossiper.role),
        "subject": story.subject,
        "tone": story.tone,
        "dialogue": dialogue,
        "uncredible_share": listener.uncredible_share(),
        "opinion": listener.opinion(story.subject, story.subject_role),
    }


async def _choose_listener(gossiper: Draft, subject: str, tone: Tone, told_by: str) -> str | None:
    """Let a gossiper pick whom to tell; None if there is nobody. With one person there is nothing to ask."""
    people = gossiper.acquaintances(without={subject, told_by})
    if not people:
        return None
    if len(people) == 1:
        return people[0].name
    answer = await gossiper.put(
        ChooseListener(subject=subject, tone=tone, people=people), about=subject, source=told_by
    )
    return answer.listener


async def _speak(gossiper: Draft, listener: str, story: Story, source: str, dialogue: tuple[Line, ...] = ()) -> Line:
    """Let the gossiper speak: the opening, or its next turn."""
    answer = await gossiper.put(
        Tell(
            listener=listener,
            subject=story.subject,
            tone=story.tone,
            account=story.account,
            conduct=story.conduct,
            reason=story.reason,
            hearsay=story.hearsay,
            dialogue=dialogue,
        ),
        about=story.subject,
        source=f"{source} #{len(dialogue) + 1}",
    )
    return Line(gossiper.name, answer.message)
