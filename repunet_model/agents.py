"""The agent: its persona, resources, memory and opinions. It has no client and asks no questions itself."""

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


class Surroundings(Protocol):
    """The part of a model that an agent reads."""

    @property
    def scores(self) -> Mapping[str, float]:
        """The mean score of each agent that has a record."""

    @property
    def network(self) -> SocialNetwork:
        """Ties and blacklists."""


class RepuNetAgent(mesa.Agent):  # type: ignore[misc]  # Mesa 3.5 ships no types
    """One agent of the society.

    Attributes:
        persona: Its persona.
        learned: The text it acts on, by role.
        resources: Its resources, in units.
        payoff: Its gain in the last step, in units; None without an encounter.
        ledger: Its reputation records of itself and of others.
        memory: Its last encounters.
        declared: Its choice in the last public round; None before the first, and in a game without rounds.
        encounters: The number of its encounters.
        completed: The number of those that were completed.
        gossip_heard: The number of messages it heard.
        gossip_uncredible: The number of those it judged uncredible or very uncredible.
    """

    def __init__(
        self,
        model: Surroundings,
        persona: Persona,
        learned: Mapping[str, str],
        standings: Standings,
        resources: Decimal,
    ) -> None:
        """Create an agent before its first step; learned texts are by role, its ledger counts in the standings."""
        super().__init__(model)
        self.persona = persona
        self.learned = dict(learned)
        self.resources = resources
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
        """The mean score of all records of the agent; 0 without any."""
        return float(self.model.scores.get(self.name, 0.0))

    @property
    def out_degree(self) -> int:
        """The number of agents that it is tied to."""
        return int(self.model.network.graph.out_degree(self.name))

    @property
    def in_degree(self) -> int:
        """The number of agents that are tied to it."""
        return int(self.model.network.graph.in_degree(self.name))

    def gain(self, amount: Decimal) -> None:
        """Add an amount to the resources and to the payoff of the step, in units; negative for a loss."""
        self.payoff = amount if self.payoff is None else self.payoff + amount
        self.resources += amount

    def met(self, payoff: Decimal, *, completed: bool) -> None:
        """Count an encounter, and add its payoff."""
        self.gain(payoff)
        self.encounters += 1
        self.completed += completed

    def remove(self) -> None:
        """Raise an error: the population of a run is fixed.

        Raises:
            ConfigurationError: Always.
        """
        raise ConfigurationError(
            f"{self.name} cannot be removed: the agents of a run are fixed; make a run without it (personas=...)"
        )

    def state(self) -> AgentState:
        """Return the state of the agent, without ledger and memory, as plain data."""
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
        """Set the state from the data of `state`."""
        self.resources = Decimal(state["resources"])
        self.payoff = None if state["payoff"] is None else Decimal(state["payoff"])
        self.learned = dict(state["learned"])
        self.declared = state["declared"]
        self.encounters = state["encounters"]
        self.completed = state["completed"]
        self.gossip_heard = state["gossip_heard"]
        self.gossip_uncredible = state["gossip_uncredible"]
