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

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from repunet_model.questions.base import Line
from repunet_model.questions.compound import Hearing, Thought
from repunet_model.questions.gossip import JudgementAnswer, Respond, Turn, Wish
from repunet_model.stages.asking import at_once, one_by_one
from repunet_model.stages.base import SideStage
from repunet_model.stages.draft import Draft
from repunet_model.stages.gossip_questions import (
    Message,
    Search,
    Story,
    audience,
    choosing,
    concluding,
    first_hand,
    judging,
    passes_on,
    second_hand,
    speaking,
    telling,
)
from repunet_model.storage.schema import GOSSIP
from repunet_model.util.causality import Milestone, follow_from_last, task_group, together

if TYPE_CHECKING:
    import asyncio

    from repunet_model.stages.encounter import Encounter, Side
    from repunet_model.stages.world import World


class Gossip(SideStage):
    """Agents talk about those they met."""

    name: ClassVar[str] = "gossip"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._arrived: defaultdict[str, Milestone] = defaultdict(Milestone)
        self._searches: dict[str, Search] = {}
        self._sides: dict[str, Side] = {}
        self._queues: dict[str, list[Message]] = {}
        self._told: list[Message] = []
        self._lapsed = 0

    @classmethod
    def takes_part(cls, world: World) -> bool:
        """Whether agents gossip."""
        return world.gossip

    async def decide(self, side: Side) -> None:
        """Let one side that is done with its encounter tell somebody, if it wishes to."""
        self._arrived[side.name].reach()
        search = self._search(side.name)
        wish = side.wish
        if wish is None or wish.decision is not Wish.GOSSIP:
            search.settled.reach()
            return
        story = first_hand(side, wish)
        gossiper = Draft(self.world, side.name, self.name, side.role, below=side.top)
        if self.world.fused:
            self._found(search, gossiper, story, side.first_words)
        else:
            await self._find_listener(gossiper, story, search)

    async def gather(self, encounters: Sequence[Encounter]) -> None:
        """Have all messages heard in their order: first-order ones by their encounters, then second-order ones."""
        sides = [side for encounter in encounters for side in encounter.sides]
        self._sides = {side.name: side for side in sides}
        async with task_group() as group:
            for side in sides:
                await self._enqueue(self._search(side.name), group)
            for message in list(self._told):
                await self._enqueue(message.onward, group)

    def _search(self, name: str) -> Search:
        return self._searches.setdefault(name, Search())

    async def _enqueue(self, search: Search, group: asyncio.TaskGroup) -> None:
        """Put the message that a search ends with at the end of the listener's queue."""
        await search.settled
        follow_from_last()
        self._lapsed += search.lapsed
        message = search.message
        if message is None:
            return
        before = self._queues.setdefault(message.listener, [])
        side = self._sides.get(message.listener)
        below = before[-1].hearer if before else side and side.top
        message.draft = Draft(self.world, message.listener, self.name, message.gossiper.role, below)
        group.create_task(self._tell(message, tuple(before)))
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
            await self._arrived[message.listener]
        if before:
            await before[-1].heard
        story, gossiper = message.story, message.gossiper
        for earlier in before:
            if earlier.story.subject in {story.subject, gossiper.name, story.told_by}:
                await earlier.concluded
        await self._converse(message)
        if self.world.fused:
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
            if not passes_on(judgement):
                return judgement, None
            return judgement, (yield from telling(draft, second_hand(message, judgement), condition="you pass it on"))

        story = message.story
        judgement, found = await at_once(message.hearer, Hearing, hear, story.subject, story.source)
        message.judgement = judgement
        message.heard.reach()
        message.concluded.reach()
        if passes_on(judgement):
            self._found(message.onward, message.hearer, second_hand(message, judgement), found)
        else:
            message.onward.settled.reach()

    async def _conclude(self, message: Message) -> None:
        await one_by_one(message.hearer, concluding(message.hearer, message, message.judged))
        message.concluded.reach()

    async def _pass_on(self, message: Message, before: tuple[Message, ...]) -> None:
        """Let a listener tell somebody else, if it decided to; whom it knows rests on all it heard before."""
        if not passes_on(message.judged):
            message.onward.settled.reach()
            return
        for earlier in before:
            await earlier.concluded
        await self._find_listener(message.hearer, second_hand(message, message.judged), message.onward)

    async def _converse(self, message: Message) -> None:
        """Let both talk until the listener has heard enough, or only the turn is left that comes with its judgement."""
        story, gossiper, listener = message.story, message.gossiper, message.hearer
        while len(message.dialogue) + 2 < self.world.dialogue_turns:
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

    def apply(self, encounters: Sequence[Encounter]) -> None:
        """Carry over records, ties and judgements, and log every story."""
        for message in self._told:
            story, onward = message.story, message.onward.message
            self.world.log.add(
                GOSSIP,
                {
                    "step": self.world.step,
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
                },
            )
        for name in self.world.network.in_order(self._queues):
            for message in self._queues[name]:
                message.hearer.commit()
        self.world.log.lapsed += self._lapsed
