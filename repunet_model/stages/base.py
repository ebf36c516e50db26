"""The shape of a stage: a name, what agents decide in it, and how their decisions are applied.

A step is a list of stages (`stages.step`). `decide` runs for all agents concurrently and changes nothing but the stage
and the drafts of agents; `apply` then changes agents, network and log, in one canonical order. There are three kinds,
by the subject of one decision: the population, an encounter, or one side of an encounter. Stages of encounters and
sides form a pipeline: an encounter or side that is done with one goes on to the next at once, even if others still
think.

A stage is made anew each time that it runs, so it can keep decisions in attributes. Register one of your own with
`repunet_model.stages.register`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from repunet_model.stages.encounter import Encounter, Side
    from repunet_model.stages.world import World


class Stage(ABC):
    """A stage of a step.

    Attributes:
        name: The name under which its calls are stored; stages that follow each other may share one.
        after: For a registered stage: the name of the stage that it follows, one of `places` or a registered one of the
            same kind.
        places: The built-in stages that a registered stage of this kind may follow.
        world: The state that the step reads and changes.
    """

    name: ClassVar[str]
    after: ClassVar[str] = ""
    places: ClassVar[tuple[str, ...]] = ()

    def __init__(self, world: World) -> None:
        """Make a stage for one run of it.

        Args:
            world: The state that the step reads and changes.
        """
        self.world = world

    @classmethod
    def takes_part(cls, world: World) -> bool:
        """Whether the stage is part of a step: by default of every step."""
        return True


class PopulationStage(Stage):
    """A stage in which all agents decide on their own, before pairs meet or after them all."""

    places: ClassVar[tuple[str, ...]] = ("opening", "gossip")

    @abstractmethod
    async def decide(self) -> None:
        """Let all agents decide; nothing is changed."""

    @abstractmethod
    def apply(self) -> None:
        """Carry the decisions over, in the order of the population."""


class EncounterStage(Stage):
    """A stage in which pairs decide, each on its own."""

    places: ClassVar[tuple[str, ...]] = ("pairing",)

    @abstractmethod
    async def decide(self, encounter: Encounter) -> None:
        """Let a pair decide; nothing is changed."""

    @abstractmethod
    def apply(self, encounters: Sequence[Encounter]) -> None:
        """Carry the decisions over, pair by pair.

        Args:
            encounters: All encounters that the stage has decided, in their order.
        """


class SideStage(Stage):
    """A stage in which the sides of encounters decide, each on its own."""

    places: ClassVar[tuple[str, ...]] = ("encounter",)

    @abstractmethod
    async def decide(self, side: Side) -> None:
        """Let a side decide; nothing is changed. Ask it by `side.draft(self.name).put(...)`."""

    async def gather(self, encounters: Sequence[Encounter]) -> None:
        """Decide what depends on several encounters: by default nothing.

        It starts once all pairs are made, while sides may still be in earlier stages.

        Args:
            encounters: All encounters, in their order.
        """

    @abstractmethod
    def apply(self, encounters: Sequence[Encounter]) -> None:
        """Carry the decisions over, pair by pair.

        Args:
            encounters: All encounters that the stage has decided, in their order.
        """
