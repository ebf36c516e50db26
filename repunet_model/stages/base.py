"""Base classes of stages.

A step is a list of stages (`stages.step`). `decide` runs concurrently for all agents and changes only the stage and
the drafts of agents; `apply` then changes agents, network and log in one fixed order. There are three kinds of stages:
for the population, for encounters and for sides of encounters. Stages of encounters and sides form a pipeline: an
encounter or side proceeds to the next stage without waiting for others.

A stage is instantiated for each run of it, so it can keep decisions in attributes. Register a new stage with
`repunet_model.stages.register`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from repunet_model.stages.encounter import Encounter, Side
    from repunet_model.stages.world import StepContext


class Stage(ABC):
    """A stage of a step.

    Attributes:
        name: The name of the stage in stored calls; consecutive stages may share one.
        after: For a registered stage, the stage that it follows: one of `places` or a registered stage of its kind.
        places: The built-in stages that a registered stage of this kind may follow.
    """

    name: ClassVar[str]
    after: ClassVar[str] = ""
    places: ClassVar[tuple[str, ...]] = ()

    def __init__(self, world: StepContext) -> None:
        self.world = world

    @classmethod
    def takes_part(cls, world: StepContext) -> bool:
        """Whether the stage is part of a step; True by default."""
        return True


class PopulationStage(Stage):
    """A stage in which all agents decide, before the first or after the last encounter."""

    places: ClassVar[tuple[str, ...]] = ("opening", "gossip")

    @abstractmethod
    async def decide(self) -> None:
        """Collect the decisions of all agents without applying them."""

    @abstractmethod
    def apply(self) -> None:
        """Apply the decisions in the order of the population."""


class _PairStage(Stage):
    @abstractmethod
    def apply(self, encounters: Sequence[Encounter]) -> None:
        """Apply the decisions of all encounters in their order."""


class EncounterStage(_PairStage):
    """A stage in which each pair decides."""

    places: ClassVar[tuple[str, ...]] = ("pairing",)

    @abstractmethod
    async def decide(self, encounter: Encounter) -> None:
        """Collect the decisions of a pair without applying them."""


class SideStage(_PairStage):
    """A stage in which each side of an encounter decides."""

    places: ClassVar[tuple[str, ...]] = ("encounter",)

    @abstractmethod
    async def decide(self, side: Side) -> None:
        """Collect the decisions of a side without applying them. Ask it with `side.draft(self.name).put(...)`."""

    async def gather(self, encounters: Sequence[Encounter]) -> None:
        """Make decisions that depend on several encounters; starts when all pairs exist, while sides still decide."""
