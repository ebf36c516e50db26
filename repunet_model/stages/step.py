"""The list of stages, and the function that runs a step.

All modes and games share one list; `Stage.takes_part` skips stages, and registered stages are inserted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from repunet_model.config import Activation
from repunet_model.games.base import Outcome
from repunet_model.stages.base import EncounterStage, PopulationStage, SideStage, Stage
from repunet_model.stages.encounter import Encounter, Side
from repunet_model.stages.gossip import Gossip
from repunet_model.stages.interaction import Appraisal, Interaction
from repunet_model.stages.observation import Observation
from repunet_model.stages.pairing import Pair, Pairing
from repunet_model.stages.public_round import PublicRound, ReadChoices, ReadEvaluations
from repunet_model.stages.turnover import Turnover
from repunet_model.stages.world import Census
from repunet_model.util.causality import follow_from, task_group, together

if TYPE_CHECKING:
    from repunet_model.stages.world import StepContext

BUILT_IN: tuple[type[Stage], ...] = (
    Turnover,
    PublicRound,
    ReadChoices,
    ReadEvaluations,
    Pairing,
    Interaction,
    Observation,
    Appraisal,
    Gossip,
)
"""The stages of a step in order: population, pairing, encounters, sides."""


def in_order(own: Sequence[type[Stage]]) -> list[type[Stage]]:
    """Return the stages of a step: each registered stage of `own` follows its `after` and earlier ones of `own`."""
    stages = list(BUILT_IN)
    for stage in own:
        place = max(place for place, each in enumerate(stages) if each.name == stage.after) + 1
        while place < len(stages) and stages[place] in own:
            place += 1
        stages.insert(place, stage)
    return stages


async def run_step(world: StepContext, stages: Sequence[type[Stage]], activation: Activation) -> list[Outcome]:
    """Run one step and return the outcome of each encounter; a failing stage leaves the world partly changed."""
    present = [stage for stage in stages if stage.takes_part(world)]
    meeting = present.index(Pairing)
    census = Census(world)
    outcomes: list[Outcome] = []
    follow_from()
    await _run_on_population(world, present[:meeting])
    async for batch in _batches(Pairing(world).decide(), activation):
        encounters = await _run_on_pairs(world, census, batch, present[meeting:])
        outcomes.extend(encounter.outcome for encounter in encounters)
        world.desk.barrier()
    await _run_on_population(world, present[meeting:])
    return outcomes


async def _run_on_population(world: StepContext, kinds: Sequence[type[Stage]]) -> None:
    """Run the stages of the population in sequence."""
    for kind in kinds:
        if issubclass(kind, PopulationStage):
            stage = kind(world)
            await stage.decide()
            stage.apply()
            world.desk.barrier()


async def _run_on_pairs(
    world: StepContext, census: Census, pairs: AsyncIterator[Pair], kinds: Sequence[type[Stage]]
) -> list[Encounter]:
    """Run the stages of encounters and sides on each pair as it is formed, and return the encounters."""
    of_pairs = [kind(world) for kind in kinds if issubclass(kind, EncounterStage)]
    of_sides = [kind(world) for kind in kinds if issubclass(kind, SideStage)]
    encounters: list[Encounter] = []

    async def meet(encounter: Encounter) -> None:
        for of_pair in of_pairs:
            await of_pair.decide(encounter)
        await together(*map(think, encounter.sides))

    async def think(side: Side) -> None:
        for of_side in of_sides:
            await of_side.decide(side)

    async with task_group() as group:
        async for pair in pairs:
            encounters.append(Encounter(world, census, *pair))
            group.create_task(meet(encounters[-1]))
        for of_side in of_sides:
            await of_side.gather(encounters)
    meeting: list[EncounterStage | SideStage] = [*of_pairs, *of_sides]
    for stage in meeting:
        stage.apply(encounters)
        for side in (side for encounter in encounters for side in encounter.sides):
            side.commit_later(stage.name)
    return encounters


async def _batches(all_pairs: AsyncIterator[Pair], activation: Activation) -> AsyncIterator[AsyncIterator[Pair]]:
    """Yield the pairs that act together: all of them, or one at a time."""
    if activation is Activation.SIMULTANEOUS:
        yield all_pairs
    else:
        for pair in [pair async for pair in all_pairs]:
            yield _only(pair)


async def _only(pair: Pair) -> AsyncIterator[Pair]:
    yield pair
