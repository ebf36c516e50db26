"""The observation stage: those who follow a norm see what was done in the encounters, and assess who did it.

An act sets the standing of its actor, by the standings that both sides of the encounter had before it. An actor knows
what it did, and its partner goes by what it saw. Every other holder of an assessment observes an act with the
probability `observed` of the follower, and takes it for the other one with the probability of a misperception,
independently of each other; a public assessment is one such observer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

from repunet_model.backends.norm_follower import Assessment, Following, following
from repunet_model.error_rates import ErrorKind
from repunet_model.stages.base import EncounterStage
from repunet_model.storage.schema import ERRORS

if TYPE_CHECKING:
    from repunet_model.stages.assessments import Holder
    from repunet_model.stages.encounter import Encounter, Side
    from repunet_model.stages.world import StepContext


class Observation(EncounterStage):
    """The stage in which acts are assessed."""

    name: ClassVar[str] = "observation"

    def __init__(self, world: StepContext) -> None:
        super().__init__(world)
        self._holders = dict(_holders(world))

    @classmethod
    def takes_part(cls, world: StepContext) -> bool:
        """Whether anybody follows a norm."""
        return next(_holders(world), None) is not None

    async def decide(self, encounter: Encounter) -> None:
        """Do nothing: nobody is asked."""

    def apply(self, encounters: Sequence[Encounter]) -> None:
        """Assess the acts, encounter by encounter."""
        for encounter in encounters:
            first, second = encounter.sides
            verdicts = [*self._verdicts(first, second), *self._verdicts(second, first)]
            for holder, actor, is_good in verdicts:
                self.world.public.assessments.set(holder, actor, is_good=is_good)

    def _verdicts(self, actor: Side, partner: Side) -> Iterator[tuple[Holder, str, bool]]:
        """Yield the standing of an actor, by holder of an assessment that saw its act; nothing if it had no choice."""
        act = actor.account.cooperated
        if act is None:
            return
        is_good, random = self.world.public.assessments.is_good, self.world.random("observation", actor.name)
        misperceived = self.world.errors.misperception
        for holder, follows in self._holders.items():
            observes, errs = random.random() < follows.observed, random.random() < misperceived
            seen = act is not errs
            if holder == (Assessment.PRIVATE, actor.name):
                observes, seen = True, act
            elif holder == (Assessment.PRIVATE, partner.name):
                observes, seen = True, partner.partner_cooperated is True
            elif observes and errs:
                self._log(holder, actor)
            if observes:
                before = is_good(holder, actor.name), is_good(holder, partner.name)
                yield holder, actor.name, follows.norm.makes_good(*before, cooperated=seen)

    def _log(self, holder: Holder, actor: Side) -> None:
        """Log that a holder took an act for the other one."""
        kind, agent = holder
        acts = ("defection", "cooperation")
        was = actor.account.cooperated is True
        self.world.log.add(
            ERRORS,
            {
                "step": self.world.step,
                "kind": ErrorKind.MISPERCEPTION.value,
                "agent": agent if kind is Assessment.PRIVATE else "",
                "other": "",
                "subject": actor.name,
                "was": acts[was],
                "became": acts[not was],
            },
        )


def _holders(world: StepContext) -> Iterator[tuple[Holder, Following]]:
    """Yield the holders of assessments in the order of the population, and how each assesses."""
    for name in world.agents:
        follows = following(world.desk.answering[name].description)
        if follows is not None:
            yield follows.holder(name), follows
