"""The agent: who it is, what it owns, remembers and thinks of others. It owns no client and asks nothing itself."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

import mesa

from repunet_model.errors import ConfigurationError
from repunet_model.memory import Memory
from repunet_model.personas import Persona
from repunet_model.reputation import ReputationLedger, Standings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from repunet_model.network import SocialNetwork
    from repunet_model.storage.schema import AgentState

START_RESOURCES = Decimal(10)


class Surroundings(Protocol):
    """The part of a model that an agent reads."""

    @property
    def scores(self) -> Mapping[str, float]:
        """Each known agent's mean score."""

    @property
    def network(self) -> SocialNetwork:
        """Ties and blacklists."""


class RepuNetAgent(mesa.Agent):  # type: ignore[misc]  # Mesa 3.5 ships no types
    """One agent of the society.

    Attributes:
        persona: Who it is.
        learned: What it acts on, by role.
        resources: What it owns, in units.
        payoff: What it gained in the last step, in units; None if it met nobody.
        ledger: What it thinks of itself and of others.
        memory: Its last encounters.
        declared: What it chose in the last public round; None before the first, and in a game without rounds.
        encounters: How many it has had.
        completed: How many of them took place in full.
        gossip_heard: How much gossip it has heard.
        gossip_uncredible: How much of that it judged uncredible or very uncredible.
    """

    def __init__(self, model: Surroundings, persona: Persona, learned: Mapping[str, str], standings: Standings) -> None:
        """Make an agent as it is before the first step.

        Args:
            model: The model it lives in.
            persona: Who it is.
            learned: What it starts from, by role.
            standings: Where what it thinks of others counts, together with what all others think.
        """
        super().__init__(model)
        self.persona = persona
        self.learned = dict(learned)
        self.resources = START_RESOURCES
        self.payoff: Decimal | None = None
        self.ledger = ReputationLedger(standings)
        self.memory = Memory()
        self.declared: bool | None = None
        self.encounters = 0
        self.completed = 0
        self.gossip_heard = 0
        self.gossip_uncredible = 0

    @property
    def name(self) -> str:
        """The persona's name, unique in the population."""
        return self.persona.name

    @property
    def score(self) -> float:
        """The mean score of all records that anybody holds of the agent; 0 if there is none."""
        return float(self.model.scores.get(self.name, 0.0))

    @property
    def out_degree(self) -> int:
        """How many others it is bound to."""
        return int(self.model.network.graph.out_degree(self.name))

    @property
    def in_degree(self) -> int:
        """How many others are bound to it."""
        return int(self.model.network.graph.in_degree(self.name))

    def gain(self, amount: Decimal) -> None:
        """Add an amount to the resources and to the payoff of the step, in units; negative for a loss."""
        self.payoff = amount if self.payoff is None else self.payoff + amount
        self.resources += amount

    def met(self, payoff: Decimal, *, completed: bool) -> None:
        """Take in an encounter and its payoff."""
        self.gain(payoff)
        self.encounters += 1
        self.completed += completed

    def remove(self) -> None:
        """Refuse to leave: the population of a run is fixed.

        Raises:
            ConfigurationError: Always.
        """
        raise ConfigurationError(
            f"{self.name} cannot be removed: the agents of a run are fixed; make a run without it (personas=...)"
        )

    def state(self) -> AgentState:
        """Return what must survive beside ledger and memory, as plain data."""
        return {
            "name": self.name,
            "resources": str(self.resources),
            "payoff": None if self.payoff is None else str(self.payoff),
            "learned": dict(self.learned),
            "declared": self.declared,
            "encounters": self.encounters,
            "completed": self.completed,
            "gossip_heard": self.gossip_heard,
            "gossip_uncredible": self.gossip_uncredible,
        }

    def restore(self, state: AgentState) -> None:
        """Take on the data of `state`."""
        self.resources = Decimal(state["resources"])
        self.payoff = None if state["payoff"] is None else Decimal(state["payoff"])
        self.learned = dict(state["learned"])
        self.declared = state["declared"]
        self.encounters = state["encounters"]
        self.completed = state["completed"]
        self.gossip_heard = state["gossip_heard"]
        self.gossip_uncredible = state["gossip_uncredible"]
