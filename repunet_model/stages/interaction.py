"""Interaction: pairs meet and play, and each side thinks about it.

Pairs do not wait for each other, nor the two sides of a pair once the game is played. What a side thinks about
afterwards is a list of groups: the thoughts of a group go side by side, groups one after another. A mode with less
in it has a shorter list (`aftermath`); nothing else changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from repunet_model.concurrency import first_of, together
from repunet_model.games.base import Account, Outcome
from repunet_model.memory import Event
from repunet_model.questions.base import Answer, Opinion, Question
from repunet_model.questions.encounter import Evaluate, EvaluationAnswer
from repunet_model.questions.gossip import WishAnswer
from repunet_model.stages.draft import Draft

if TYPE_CHECKING:
    from decimal import Decimal

    from repunet_model.stages.pairing import Pair
    from repunet_model.stages.world import World


class Side(Draft):
    """One side of an encounter: what the game sees of it, and what it makes of it.

    Attributes:
        partner: The other's name.
        partner_role: The other's role.
        completed: Whether the interaction took place in full.
        partner_cooperated: Whether the partner cooperated; None where it had no choice.
        wish: Whether it wants to gossip; None until asked, and in a run without gossip.
    """

    def __init__(self, world: World, name: str, role: str, partner: str, partner_role: str) -> None:
        super().__init__(world, name, "encounter", role)
        self.partner = partner
        self.partner_role = partner_role
        self.completed = False
        self.partner_cooperated: bool | None = None
        self.wish: WishAnswer | None = None
        self._account: Account | None = None
        self._evaluation: EvaluationAnswer | None = None

    @property
    def resources(self) -> Decimal:
        """What the agent owns."""
        return self.agent.resources

    @property
    def own_opinion(self) -> Opinion | None:
        """The agent's reputation in its own eyes."""
        return self.opinion(self.name, self.role)

    @property
    def partner_opinion(self) -> Opinion | None:
        """What the agent thinks of the partner."""
        return self.opinion(self.partner, self.partner_role)

    def last_events(self, count: int) -> tuple[Event, ...]:
        """Return the agent's last encounters, oldest first."""
        return self.agent.memory.last(count)

    async def ask[A: Answer](self, question: Question[A]) -> A:
        """Ask the agent about its partner."""
        return await self.put(question, about=self.partner)

    @property
    def account(self) -> Account:
        """What the encounter was to this side; known once the game is played."""
        assert self._account is not None
        return self._account

    @property
    def evaluation(self) -> EvaluationAnswer:
        """How this side judges both; known once it has evaluated."""
        assert self._evaluation is not None
        return self._evaluation

    def played(self, own: Account, other: Account, *, completed: bool) -> None:
        """Take note of how the game went for this side and the other."""
        self._account = own
        self.partner_cooperated = other.cooperated
        self.completed = completed

    def evaluated(self, evaluation: EvaluationAnswer) -> None:
        """Take note of one's evaluation."""
        self._evaluation = evaluation


Thought = Callable[[Side], Coroutine[Any, Any, None]]
Aftermath = tuple[tuple[Thought, ...], ...]


@dataclass(frozen=True, slots=True)
class Encounter:
    """Two agents that met, what came of it and what they think."""

    sides: tuple[Side, Side]
    outcome: Outcome


async def evaluate(side: Side) -> None:
    """Judge how both sides behaved."""
    side.evaluated(
        await side.ask(
            Evaluate(
                partner=side.partner,
                account=side.account.text,
                own_cooperated=side.account.cooperated,
                partner_cooperated=side.partner_cooperated,
                own_opinion=side.own_opinion,
                partner_opinion=side.partner_opinion,
            )
        )
    )


class Interaction:
    """The stage in which pairs meet."""

    def __init__(self, aftermath: Aftermath) -> None:
        """Make the stage.

        Args:
            aftermath: What each side thinks about after the game.
        """
        self._aftermath = aftermath

    async def decide(self, world: World, pairs: AsyncIterable[Pair]) -> list[Encounter]:
        """Let all pairs play and think, each from the moment it is settled."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._meet(world, *pair)) async for pair in pairs]
        except BaseExceptionGroup as failures:
            raise first_of(failures) from failures
        return [task.result() for task in tasks]

    async def _meet(self, world: World, first: str, second: str) -> Encounter:
        role, other_role = world.game.roles
        sides = (Side(world, first, role, second, other_role), Side(world, second, other_role, first, role))
        outcome = await world.game.play(*sides)
        one, other = outcome.accounts
        sides[0].played(one, other, completed=outcome.completed)
        sides[1].played(other, one, completed=outcome.completed)
        await together(*(self._think(side) for side in sides))
        return Encounter(sides, outcome)

    async def _think(self, side: Side) -> None:
        for group in self._aftermath:
            await together(*(thought(side) for thought in group))

    def apply(self, world: World, encounters: list[Encounter]) -> None:
        """Carry over payoffs, memories, records, texts and ties, pair by pair."""
        for encounter in encounters:
            first, second = encounter.sides
            for side in encounter.sides:
                side.agent.gain(side.account.payoff)
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
                world.log.events.append({"agent": side.name, **event.to_dict()})
                side.commit()
            world.log.interactions.append(
                {
                    "step": world.step,
                    "first": first.name,
                    "second": second.name,
                    "completed": encounter.outcome.completed,
                    "first_cooperated": first.account.cooperated,
                    "second_cooperated": second.account.cooperated,
                    "first_payoff": float(first.account.payoff),
                    "second_payoff": float(second.account.payoff),
                    "first_judges_second": first.evaluation.partner.value,
                    "second_judges_first": second.evaluation.partner.value,
                    **encounter.outcome.facts,
                }
            )
