"""One step: what is public is taken in, pairs are made, meet, think about it, and gossip.

A mode is a matter of what is in the list: without reputation nobody writes records, without gossip nobody is asked
whether they wish to. There is one list, built here, and no copy of a stage for a mode.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from repunet_model.config import Activation
from repunet_model.games.base import Course, Outcome
from repunet_model.stages.gossip import Gossip
from repunet_model.stages.gossip_questions import tell_at_once, wish_to_gossip
from repunet_model.stages.interaction import Concern, Concerns, Encounter, Interaction, evaluate
from repunet_model.stages.pairing import Pair, pairs
from repunet_model.stages.public_round import open_step
from repunet_model.stages.reputation import reflect, update_partner, update_self
from repunet_model.stages.rewiring import rewire
from repunet_model.stages.world import Census
from repunet_model.util.causality import follow_from, task_group

if TYPE_CHECKING:
    from repunet_model.stages.interaction import Side
    from repunet_model.stages.world import World


def aftermath(*, reputation: bool, gossip: bool, fused: bool) -> Concerns:
    """Return what each side thinks about after a game: groups one after another, the thoughts of a group together.

    Args:
        reputation: Whether agents keep reputations.
        gossip: Whether agents gossip.
        fused: Whether all of it is asked at once; then whoever wishes to gossip goes on to say what to whom.
    """
    wish: tuple[Concern, ...] = ((wish_to_gossip, tell_at_once) if fused else (wish_to_gossip,)) if gossip else ()
    return {
        Course.COMPLETED: (
            (evaluate,),
            *(((update_self, update_partner),) if reputation else ()),
            (reflect, rewire, *wish),
        ),
        Course.REFUSED: ((rewire, *wish),),
        Course.NOT_HELD: (),
    }


async def run_step(world: World, *, gossip: bool, activation: Activation) -> list[Outcome]:
    """Run one step on a world and return what came of each encounter.

    Args:
        world: The world; it is changed only where a stage is applied, and left half changed if a later stage fails.
        gossip: Whether agents gossip.
        activation: In which order pairs act.
    """
    interaction = Interaction(aftermath(reputation=world.reputation, gossip=gossip, fused=world.fused))
    census = Census(world)
    outcomes: list[Outcome] = []
    follow_from()
    await open_step(world, gossip=gossip)
    async for batch in _batches(pairs(world), activation):
        encounters: list[Encounter] = []
        async with task_group() as group:
            talk = Gossip(world, group) if gossip else None
            async for pair in batch:
                encounters.append(Encounter(world, census, *pair))
                group.create_task(interaction.decide(encounters[-1], talk.join if talk is not None else _nothing))
            if talk is not None:
                await talk.decide(encounters)
        interaction.apply(world, encounters)
        if talk is not None:
            talk.apply()
        outcomes.extend(encounter.outcome for encounter in encounters)
        world.desk.barrier()
    return outcomes


async def _batches(all_pairs: AsyncIterator[Pair], activation: Activation) -> AsyncIterator[AsyncIterator[Pair]]:
    """Yield the pairs that act together: all of them, or one at a time."""
    if activation is Activation.SIMULTANEOUS:
        yield all_pairs
    else:
        for pair in [pair async for pair in all_pairs]:
            yield _only(pair)


async def _nothing(side: Side) -> None:
    """In a run without gossip a side is done when it has thought."""


async def _only(pair: Pair) -> AsyncIterator[Pair]:
    yield pair
