"""Interaction: pairs meet and play, and each side thinks about it.

Pairs do not wait for each other, nor the two sides of a pair once the game is played. What a side thinks about
afterwards is a list of groups: the thoughts of a group go side by side, groups one after another; with fused questions
all of it is one call. A mode with less in it has a shorter list (`aftermath`), and so has an encounter that did not
take place in full; nothing else changes.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

from repunet_model.games.base import Account, Course, Outcome
from repunet_model.memory import Event
from repunet_model.questions.base import Answer, Line, Opinion, Question
from repunet_model.questions.compound import Aftermath, Ask, Thought
from repunet_model.questions.encounter import Evaluate, EvaluationAnswer
from repunet_model.questions.gossip import WishAnswer
from repunet_model.reputation import Level
from repunet_model.stages.asking import at_once, one_by_one
from repunet_model.stages.draft import Draft
from repunet_model.storage.schema import EVENTS, INTERACTIONS, EventRow, InteractionRow
from repunet_model.util.causality import Milestone, together

if TYPE_CHECKING:
    from decimal import Decimal

    from repunet_model.stages.world import Census, World


class Side(Draft):
    """One side of an encounter: what the game sees of it, and what it makes of it.

    Attributes:
        partner: The other's name.
        partner_role: The other's role.
        census: The society as a whole.
        partner_cooperated: Whether the partner cooperated; None where it had no choice.
        evaluation: How it judges both; None before it has evaluated, and if there was nothing to evaluate.
        wish: Whether it wants to gossip; None until asked, and in a run without gossip.
        first_words: Whom it tells and how it begins, where that was asked at once; None if it tells nobody.
        done: When it has thought about the encounter.
    """

    def __init__(self, world: World, name: str, role: str, partner: str, partner_role: str, census: Census) -> None:
        super().__init__(world, name, "encounter", role)
        self.partner = partner
        self.partner_role = partner_role
        self.census = census
        self.partner_cooperated: bool | None = None
        self.evaluation: EvaluationAnswer | None = None
        self.wish: WishAnswer | None = None
        self.first_words: tuple[str, Line] | None = None
        self.done = Milestone()
        self._account: Account | None = None
        self._course: Course | None = None

    @property
    def resources(self) -> Decimal:
        """What the agent owns."""
        return self.agent.resources

    @property
    def partner_declared(self) -> bool | None:
        """What the partner chose in the last public round."""
        return self.world.agents[self.partner].declared

    @property
    def dialogue_turns(self) -> int:
        """Most turns of a dialogue."""
        return self.world.dialogue_turns

    @property
    def shuns_partner(self) -> bool:
        """Whether the agent has the partner, in its role, on its blacklist."""
        return self.world.network.is_blacklisted(self.name, self.partner, self.partner_role)

    @property
    def partner_opinion(self) -> Opinion | None:
        """What the agent thinks of the partner."""
        return self.opinion(self.partner, self.partner_role)

    def last_events(self, count: int) -> tuple[Event, ...]:
        """Return the agent's last encounters in its present role, oldest first."""
        return self.agent.memory.last(count, self.role)

    async def ask[A: Answer](self, question: Question[A], *, turn: int = 0) -> A:
        """Ask the agent about its partner."""
        return await self.put(question, about=self.partner, source=f"#{turn}" if turn else "")

    @property
    def account(self) -> Account:
        """What the encounter was to this side; known once the game is played."""
        assert self._account is not None
        return self._account

    @property
    def completed(self) -> bool:
        """Whether the interaction took place in full."""
        return self._course is Course.COMPLETED

    @property
    def conduct(self) -> Level | None:
        """How the partner behaved, in its own evaluation; None if there was nothing to evaluate."""
        return None if self.evaluation is None else self.evaluation.partner

    @property
    def conduct_reason(self) -> str:
        """The same in words; empty if there was nothing to evaluate."""
        return "" if self.evaluation is None else self.evaluation.partner_reason

    @property
    def judged(self) -> EvaluationAnswer:
        """How it judges both, where it has evaluated."""
        assert self.evaluation is not None
        return self.evaluation

    def played(self, own: Account, other: Account, course: Course) -> None:
        """Take note of how the game went for this side and the other."""
        self._account = own
        self.partner_cooperated = other.cooperated
        self._course = course


Concern = Callable[[Side], Thought[None]]
"""Begins a line of thought of one side about the encounter."""

Concerns = Mapping[Course, tuple[tuple[Concern, ...], ...]]
"""What a side thinks about after the game, by how far it went: groups one after another."""


class Encounter:
    """Two agents that meet, what comes of it and what they think.

    Attributes:
        sides: Who meets.
    """

    def __init__(self, world: World, census: Census, first: str, second: str) -> None:
        role, other_role = world.game.roles
        self.sides = (
            Side(world, first, role, second, other_role, census),
            Side(world, second, other_role, first, role, census),
        )
        self._outcome: Outcome | None = None

    @property
    def outcome(self) -> Outcome:
        """What came of it; known once the game is played."""
        assert self._outcome is not None
        return self._outcome

    async def play(self) -> Course:
        """Play the game, and return how far it went."""
        self._outcome = await self.sides[0].world.game.play(*self.sides)
        one, other = self._outcome.accounts
        self.sides[0].played(one, other, self._outcome.course)
        self.sides[1].played(other, one, self._outcome.course)
        return self._outcome.course


def evaluate(side: Side) -> Thought[None]:
    """Judge how both sides behaved."""
    question = Evaluate(
        partner=side.partner,
        account=side.account.text,
        own_cooperated=side.account.cooperated,
        partner_cooperated=side.partner_cooperated,
        own_opinion=side.own_opinion,
        partner_opinion=side.partner_opinion,
    )
    side.evaluation = yield Ask("evaluation", question, about=side.partner)


class Interaction:
    """The stage in which pairs meet."""

    def __init__(self, concerns: Concerns) -> None:
        """Make the stage.

        Args:
            concerns: What each side thinks about after the game.
        """
        self._concerns = concerns

    async def decide(self, encounter: Encounter, then: Callable[[Side], Coroutine[Any, Any, None]]) -> None:
        """Let a pair play and think.

        Args:
            encounter: Who meets.
            then: What a side goes on with.
        """
        course = await encounter.play()
        await together(*(self._think(side, self._concerns[course], then) for side in encounter.sides))

    async def _think(
        self, side: Side, groups: tuple[tuple[Concern, ...], ...], then: Callable[[Side], Coroutine[Any, Any, None]]
    ) -> None:
        if side.world.fused:

            def in_turn(draft: Side) -> Thought[None]:
                for concern in chain.from_iterable(groups):
                    yield from concern(draft)

            await at_once(side, Aftermath, in_turn, about=side.partner)
        else:
            for group in groups:
                await together(*(one_by_one(side, concern(side)) for concern in group))
        side.done.reach()
        await then(side)

    def apply(self, world: World, encounters: list[Encounter]) -> None:
        """Carry over payoffs, memories, records, texts and ties, pair by pair."""
        for encounter in encounters:
            first, second = encounter.sides
            for side in encounter.sides:
                side.census.meet(side.name, side.account.payoff, completed=side.completed)
                event = Event(
                    step=world.step,
                    partner=side.partner,
                    role=side.role,
                    own_cooperated=side.account.cooperated,
                    partner_cooperated=side.partner_cooperated,
                    payoff=float(side.account.payoff),
                    text=f"Round {world.step}: {side.account.text}",
                )
                side.agent.memory.add(event)
                world.log.add(EVENTS, cast("EventRow", {"agent": side.name, **event.to_dict()}))
                side.commit()
                if world.game.publishes_evaluations and side.evaluation is not None:
                    self._publish(world, side, side.evaluation)
            row: InteractionRow = {
                "step": world.step,
                "first": first.name,
                "second": second.name,
                "course": encounter.outcome.course.value,
                "first_cooperated": first.account.cooperated,
                "second_cooperated": second.account.cooperated,
                "first_payoff": float(first.account.payoff),
                "second_payoff": float(second.account.payoff),
                "first_judges_second": first.conduct and first.conduct.value,
                "second_judges_first": second.conduct and second.conduct.value,
            }
            world.log.add(INTERACTIONS, cast("InteractionRow", {**row, **encounter.outcome.facts}))

    def _publish(self, world: World, side: Side, evaluation: EvaluationAnswer) -> None:
        """Make known to all what a side said of its partner."""
        world.board.append(
            {
                "step": world.step,
                "by": side.name,
                "subject": side.partner,
                "role": side.partner_role,
                "level": evaluation.partner.value,
                "text": evaluation.partner_reason,
            }
        )
