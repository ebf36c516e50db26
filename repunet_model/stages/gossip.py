"""The gossip stage.

First order: an agent that wants to gossip picks a listener, other than the subject, among the agents to which it has
a tie; without one the wish lapses. The two talk for at most `dialogue_turns` turns; the gossiper has the first and the
listener the last. The listener summarises the gossip, judges its credibility, decides whether to pass it on, updates
its record of the subject and reconsiders its tie. Second order: it tells one more listener, who does not pass it on.
The mechanism says which of these there are.

Messages are ordered by their encounters, second-order messages after first-order ones. A listener hears its messages
in this order, and each builds on the earlier ones. Everything else is concurrent: a side looks for a listener as soon
as its encounter ends, and the conclusions from a message delay only messages about the same agents. A gossiper speaks
from its knowledge after its own encounter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from repunet_model.questions.base import Line
from repunet_model.questions.compound import Hearing, QuestionFlow
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
    opinion_of_subject,
    passes_on,
    second_hand,
    speaking,
    telling,
)
from repunet_model.storage.reader import heard_in
from repunet_model.storage.schema import ERRORS, GOSSIP, GossipRow
from repunet_model.util.causality import Milestone, follow_from_last, task_group, together

if TYPE_CHECKING:
    import asyncio

    from repunet_model.stages.encounter import Encounter, Side
    from repunet_model.stages.world import StepContext


class Gossip(SideStage):
    """The stage in which agents talk about the partners they met."""

    name: ClassVar[str] = "gossip"

    def __init__(self, world: StepContext) -> None:
        super().__init__(world)
        self._arrived: defaultdict[str, Milestone] = defaultdict(Milestone)
        self._searches: defaultdict[str, Search] = defaultdict(Search)
        self._sides: dict[str, Side] = {}
        self._queues: dict[str, list[Message]] = {}
        self._told: list[Message] = []
        self._lapsed = 0

    @classmethod
    def takes_part(cls, world: StepContext) -> bool:
        """Whether agents gossip."""
        return world.mechanism.first_order

    async def decide(self, side: Side) -> None:
        """Let a side find a listener and speak, if it wishes to gossip."""
        self._arrived[side.name].reach()
        search = self._searches[side.name]
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
        """Deliver all messages in order: first-order ones by encounter, then second-order ones."""
        sides = [side for encounter in encounters for side in encounter.sides]
        self._sides = {side.name: side for side in sides}
        async with task_group() as group:
            for side in sides:
                await self._enqueue(self._searches[side.name], group)
            for message in list(self._told):
                await self._enqueue(message.onward, group)

    async def _enqueue(self, search: Search, group: asyncio.TaskGroup) -> None:
        """Append the message that results from a search to the queue of its listener."""
        await search.settled
        follow_from_last()
        if (message := search.message) is None:
            return
        before = self._queues.setdefault(message.listener, [])
        side = self._sides.get(message.listener)
        below = before[-1].hearer if before else side and side.top
        message.hearer = Draft(self.world, message.listener, self.name, message.gossiper.role, below)
        group.create_task(self._tell(message, tuple(before)))
        before.append(message)
        self._told.append(message)

    async def _find_listener(self, gossiper: Draft, story: Story, search: Search) -> None:
        """Let a gossiper pick a listener and say the opening."""
        listener = await one_by_one(gossiper, choosing(story, audience(gossiper, story)))
        if listener is None:
            self._lapsed += 1
            search.settled.reach()
            return
        message = search.message = Message(story, gossiper, listener)
        search.settled.reach()
        message.dialogue = (await one_by_one(gossiper, speaking(gossiper, listener, story)),)
        message.opened.reach()

    def _found(self, search: Search, gossiper: Draft, story: Story, found: tuple[str, Line] | None) -> None:
        """Settle a search with a listener and the opening, or without a listener."""
        if found is None:
            self._lapsed += 1
        else:
            listener, opening = found
            search.message = Message(story, gossiper, listener, (opening,))
            search.message.opened.reach()
        search.settled.reach()

    async def _tell(self, message: Message, before: tuple[Message, ...]) -> None:
        """Deliver a message after those `before` it in the queue of the listener."""
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
        message.judged = await one_by_one(message.hearer, judging(message.hearer, message))
        message.heard.reach()
        await together(self._conclude(message), self._pass_on(message, before))

    async def _hear_at_once(self, message: Message) -> None:
        """Let a listener judge, conclude and pass on the message in one call."""

        def hear(draft: Draft) -> QuestionFlow[tuple[JudgementAnswer, tuple[str, Line] | None]]:
            judgement: JudgementAnswer = yield from judging(draft, message)
            yield from concluding(draft, message, judgement)
            if not passes_on(judgement):
                return judgement, None
            return judgement, (yield from telling(draft, second_hand(message, judgement), condition="you pass it on"))

        story = message.story
        judgement, found = await at_once(message.hearer, Hearing, hear, story.subject, story.source)
        message.judged = judgement
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
        """Let a listener pass the gossip on, if it decided so; its ties depend on all earlier messages."""
        if not passes_on(message.judged):
            message.onward.settled.reach()
            return
        for earlier in before:
            await earlier.concluded
        await self._find_listener(message.hearer, second_hand(message, message.judged), message.onward)

    async def _converse(self, message: Message) -> None:
        """Run the dialogue until the listener has heard enough or only its last turn, the judgement, is left."""
        story, gossiper, listener = message.story, message.gossiper, message.hearer
        while len(message.dialogue) + 2 < self.world.dialogue_turns:
            response = await listener.put(
                Respond(
                    gossiper=gossiper.name,
                    subject=story.subject,
                    dialogue=message.heard_dialogue,
                    opinion=opinion_of_subject(listener, story),
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
        """Apply records, ties and judgements; log every message, which its listener remembers."""
        for message in self._told:
            story, onward = message.story, message.onward.message
            row: GossipRow = {
                "step": self.world.step,
                "order": 1 if message.is_first_hand else 2,
                "gossiper": message.gossiper.name,
                "gossiper_role": message.gossiper.role,
                "listener": message.listener,
                "subject": story.subject,
                "subject_role": story.subject_role,
                "origin": story.told_by,
                "tone": message.tone.value,
                "dialogue": [
                    *([line.speaker, line.text] for line in message.heard_dialogue),
                    [message.listener, message.judged.reply],
                ],
                "summary": message.judged.summary,
                "credibility": message.judged.credibility.value,
                "passed_on_to": onward.listener if onward is not None else "",
            }
            self.world.log.add(GOSSIP, row)
            if (error := message.error) is not None:
                self.world.log.add(ERRORS, error)
            self.world.agents[message.listener].memory.hear(heard_in(row))
        for name in self.world.network.in_order(self._queues):
            for message in self._queues[name]:
                message.hearer.commit()
        self.world.log.lapsed += self._lapsed
