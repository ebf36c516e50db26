"""The agent, with its persona, resources, memory and opinions, and who of a society is present.

An agent has no client and asks no questions itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

import mesa

from repunet_model.errors import ConfigurationError
from repunet_model.memory import Memory
from repunet_model.personas import Persona
from repunet_model.reputation import ReputationLedger, Standings
from repunet_model.storage.roster import BECOMES, LEAVES, Roster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from repunet_model.backends.base import Backend
    from repunet_model.network import SocialNetwork
    from repunet_model.storage.schema import AgentState, TurnoverRow


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
        """Raise an error: agents leave in events.

        Raises:
            ConfigurationError: Always.
        """
        raise ConfigurationError(
            f"{self.name} cannot be removed: agents leave in events, as in "
            f"events='step=10 names={self.name} becomes=leave'; or make a run without it (personas=...)"
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


REPORTERS = {
    "name": "name",
    "payoff": lambda agent: None if agent.payoff is None else float(agent.payoff),
    "resources": lambda agent: float(agent.resources),
    "score": "score",
    "in_degree": "in_degree",
    "out_degree": "out_degree",
}
"""What a DataCollector collects of each agent: the name of an attribute, or a function."""


class Membership:
    """The agents of a society that are present.

    Attributes:
        by_name: The agents by name, in the order in which they entered.
        roster: Who is present and who was, and what events made of them.
    """

    def __init__(self, personas: Iterable[Persona], enter: Callable[[Persona], RepuNetAgent]) -> None:
        """Let personas enter; `enter` makes an agent of one, known to its model."""
        self._enter = enter
        self.roster = Roster.of(personas)
        self.by_name = {name: enter(persona) for name, persona in self.roster.personas.items()}
        self._before: tuple[Roster, dict[str, RepuNetAgent]] | None = None

    def turn(self, row: TurnoverRow, network: SocialNetwork) -> None:
        """Apply a row of events to the agents and to the ties."""
        name = row["agent"]
        self.roster.turn(row)
        if row["kind"] == LEAVES:
            agent = self.by_name.pop(name)
            agent.ledger.withdraw()
            agent.model.deregister_agent(agent)
            network.remove(name)
        elif row["kind"] != BECOMES:
            self.by_name[name] = self._enter(self.roster.personas[name])
            network.add(name)

    def begin(self, *, with_events: bool) -> None:
        """Note who is present before a step, if it has events."""
        self._before = (self.roster.copy(), dict(self.by_name)) if with_events else None

    def roll_back(self) -> None:
        """Undo what events did in the step, ties left aside."""
        if self._before is None:
            return
        self.roster, before = self._before
        now = {**self.by_name}
        for name, agent in now.items():
            if name not in before:
                agent.ledger.withdraw()
        for name, agent in before.items():
            if name not in now:
                agent.ledger.rejoin()
        self.by_name.clear()
        self.by_name.update(before)
        _register_only(before.values(), now.values())

    def state(self) -> list[AgentState]:
        """Return the states of the agents as plain data."""
        planted = self.roster.planted
        return [
            {**agent.state(), "planted": planted[name]} if name in planted else agent.state()
            for name, agent in self.by_name.items()
        ]


class Answering(Mapping[str, "Backend"]):
    """The backends of the agents that are present, by name."""

    def __init__(self, members: Membership, backend_of: Callable[[str, str], Backend]) -> None:
        """Look backends up by the name of a person, and that of the backend that an event gave it, or ""."""
        self._members = members
        self._backend_of = backend_of

    def __getitem__(self, name: str) -> Backend:
        roster = self._members.roster
        return self._backend_of(roster.person(name), roster.planted.get(name, ""))

    def __contains__(self, name: object) -> bool:
        return name in self._members.by_name

    def __iter__(self) -> Iterator[str]:
        return iter(self._members.by_name)

    def __len__(self) -> int:
        return len(self._members.by_name)


def _register_only(agents: Iterable[RepuNetAgent], registered: Iterable[RepuNetAgent]) -> None:
    """Let Mesa know agents, in their order and with the numbers that they had, in place of the registered ones."""
    for agent in registered:
        agent.model.deregister_agent(agent)
    for agent in agents:
        number = agent.unique_id
        agent.model.register_agent(agent)
        agent.unique_id = number
        agent.model.agent_id_counter = number + 1
