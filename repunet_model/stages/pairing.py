"""The pairing stage.

The population is shuffled: half the agents choose, half are chosen; with an odd number, one agent pauses. The mechanism
says how they meet. At random: all pairs are random. By reputation: choosers act by descending score; if any free agent
is among those the game allows, a chooser picks one of these by opinion with the probability of the mechanism, otherwise
a free agent is drawn. Among ties: the same in the order of the shuffle, and one of these is drawn as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from repunet_model.mechanism import Partners
from repunet_model.questions.base import Candidate
from repunet_model.questions.encounter import ChoosePartner
from repunet_model.stages.base import Stage
from repunet_model.stages.draft import Draft

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from repunet_model.stages.world import StepContext

Pair = tuple[str, str]


class Pairing(Stage):
    """The stage that forms the pairs, before the stages of encounters; it has nothing to apply."""

    name: ClassVar[str] = "pairing"

    async def decide(self) -> AsyncIterator[Pair]:
        """Yield each pair, the chooser first, as soon as it is formed."""
        world = self.world
        names = list(world.agents)
        world.random("pairing").shuffle(names)
        half = len(names) // 2
        choosers, free = names[:half], names[half : 2 * half]
        mechanism = world.mechanism
        if mechanism.partners is Partners.RANDOM:
            for pair in zip(choosers, free, strict=True):
                yield pair
            return
        chooser_role = world.game.roles[0]
        if mechanism.partners is Partners.REPUTATION:
            choosers.sort(key=lambda name: world.public.score(name, chooser_role) or 0.0, reverse=True)
        position = {name: place for place, name in enumerate(free)}
        for chooser in choosers:
            random = world.random("pairing", chooser)
            bound = [name for name in world.game.may_pick(world.network, chooser) if name in position]
            if bound and random.random() < mechanism.partner_probability:
                by_reputation = mechanism.partners is Partners.REPUTATION
                chosen = await _pick(world, chooser, bound) if by_reputation else random.choice(bound)
            else:
                chosen = random.choice(free)
            place = position.pop(chosen)
            last = free.pop()
            if last != chosen:
                free[place] = last
                position[last] = place
            yield chooser, chosen


async def _pick(world: StepContext, chooser: str, bound: list[str]) -> str:
    """Ask a chooser for a partner; a single candidate is picked without a question."""
    if len(bound) == 1:
        return bound[0]
    role, other_role = world.game.roles
    draft = Draft(world, chooser, "pairing", role)
    people = tuple(Candidate(name, draft.opinion(name, other_role)) for name in bound)
    answer = await draft.put(ChoosePartner(role=role, people=people), about="")
    return answer.partner
