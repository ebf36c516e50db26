"""The opening of a step: public rounds, and what everybody makes of what has become public.

In a game with rounds everybody declares a choice in public in steps 1, 6, 11, ...; with reputation each agent then
updates its record of everybody it knows, and reconsiders those ties. In a game whose evaluations are public, and with
reputation and gossip, the same follows in steps 6, 11, ... from all evaluations since the last time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from repunet_model.concurrency import together
from repunet_model.games.base import Declaration
from repunet_model.questions.base import Answer, Question, said
from repunet_model.questions.encounter import News
from repunet_model.reputation import Cause, Level
from repunet_model.stages.draft import Draft
from repunet_model.stages.reputation import update_from_news
from repunet_model.stages.rewiring import rewire_after_news

if TYPE_CHECKING:
    from repunet_model.stages.world import World

PERIOD = 5

Subject = tuple[str, str]
"""A name and a role."""

Told = Callable[[str], Mapping[Subject, News]]
"""What an agent, by its name, can read of whom."""


class Citizen(Draft):
    """An agent on its own, at the opening of a step."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name, "opening", world.game.roles[0])

    async def ask[A: Answer](self, question: Question[A], *, turn: int = 0) -> A:
        """Ask the agent."""
        return await self.put(question, about="", source=f"#{turn}" if turn else "")


@dataclass(frozen=True, slots=True)
class Round:
    """What a public round brought."""

    citizens: list[Citizen]
    declarations: list[Declaration]


class PublicRound:
    """The stage in which everybody declares a choice."""

    async def decide(self, world: World) -> Round:
        """Ask everybody."""
        citizens = [Citizen(world, name) for name in world.agents]
        return Round(citizens, await together(*(world.game.declare(citizen) for citizen in citizens)))

    def apply(self, world: World, result: Round) -> None:
        """Make the choices known."""
        for citizen, declaration in zip(result.citizens, result.declarations, strict=True):
            citizen.agent.declared = declaration.cooperated
            world.log.declarations.append(
                {
                    "step": world.step,
                    "agent": citizen.name,
                    "cooperated": declaration.cooperated,
                    "reason": declaration.reason,
                }
            )


class TakeIn:
    """The stage in which everybody takes in public news of those it knows."""

    def __init__(self, news: Told, cause: Cause) -> None:
        self._news = news
        self._cause = cause

    async def decide(self, world: World) -> list[Citizen]:
        """Let everybody update its records and reconsider its ties, all at once."""
        return await together(*(self._read(Citizen(world, name)) for name in world.agents))

    async def _read(self, citizen: Citizen) -> Citizen:
        news = self._news(citizen.name)
        known = [record for record in citizen.agent.ledger.present() if record.subject != citizen.name]
        await together(
            *(
                self._conclude(citizen, record.subject, record.role, news[record.subject, record.role])
                for record in known
                if (record.subject, record.role) in news
            )
        )
        return citizen

    async def _conclude(self, citizen: Citizen, subject: str, role: str, news: News) -> None:
        await update_from_news(citizen, subject, role, news, self._cause)
        await rewire_after_news(citizen, subject, role, news)

    def apply(self, world: World, citizens: list[Citizen]) -> None:
        """Carry over records and ties."""
        for citizen in citizens:
            citizen.commit()


async def open_step(world: World, *, gossip: bool) -> None:
    """Run what opens a step, if anything does.

    Args:
        world: The world.
        gossip: Whether agents gossip.
    """
    if (world.step - 1) % PERIOD:
        return
    if world.game.has_rounds:
        declaring = PublicRound()
        declaring.apply(world, await declaring.decide(world))
        if world.reputation:
            await _take_in(world, TakeIn(lambda name: _choices(world, name), Cause.SIGN_UP))
    if world.game.publishes_evaluations and world.board:
        if world.reputation and gossip:
            observed = _observations(world)
            await _take_in(world, TakeIn(lambda name: observed(name), Cause.OBSERVATION))
        world.board.clear()


async def _take_in(world: World, stage: TakeIn) -> None:
    stage.apply(world, await stage.decide(world))


def _choices(world: World, reader: str) -> dict[Subject, News]:
    """Return everybody's choice against the reader's own."""
    role = world.game.roles[1]
    own = "yes" if world.agents[reader].declared else "no"
    return {
        (name, role): News(
            text=f"{name} said {'yes' if agent.declared else 'no'} in this round; you said {own}.",
            cooperated=agent.declared,
        )
        for name, agent in world.agents.items()
    }


def _observations(world: World) -> Callable[[str], dict[Subject, News]]:
    """Return what each reader can read of others: what those who met them said, the reader's own words left out."""
    by_subject: dict[Subject, list[dict[str, str]]] = {}
    for row in world.board:
        by_subject.setdefault((row["subject"], row["role"]), []).append(row)

    def read(reader: str) -> dict[Subject, News]:
        seen = {subject: [row for row in rows if row["by"] != reader] for subject, rows in by_subject.items()}
        return {
            subject: News(
                text=" ".join(
                    [f"What others said of {subject[0]} as {subject[1]}:"]
                    + [f"{row['by']} (conduct {row['level']}): {said(row['text'])}" for row in rows]
                ),
                conduct=tuple(Level(row["level"]) for row in rows),
            )
            for subject, rows in seen.items()
            if rows
        }

    return read
