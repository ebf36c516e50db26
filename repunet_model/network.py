"""The social network: directed ties per role, and a short blacklist for each agent. Pure.

"A is bound to B as trustee" is an edge from A to B whose attribute `roles` holds "trustee". The graph is a plain
`networkx.DiGraph`, so every measure of NetworkX applies to it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Self, cast

import networkx as nx

from repunet_model.errors import ConfigurationError

if TYPE_CHECKING:
    from repunet_model.storage.schema import NetworkState, TieRow


def _refuse(*_: object, **__: object) -> None:
    raise ConfigurationError("the graph of a model is read-only: ties change in steps; change a copy (graph.copy())")


class SocialNetwork:
    """Directed ties between agents, and each agent's blacklist.

    Attributes:
        graph: Nodes are names; an edge's attribute `roles` is the sorted tuple of its roles. Only this class changes
            it, since it counts mutual ties.
    """

    def __init__(self, names: Iterable[str], blacklist_length: int | None = None) -> None:
        """Create a network without ties; a blacklist holds the last `blacklist_length` entries, None: all."""
        self.graph: nx.DiGraph[str] = nx.DiGraph()
        self.graph.add_nodes_from(names)
        self._position = {name: position for position, name in enumerate(self.graph)}
        self._blacklists: dict[str, deque[tuple[str, str]]] = {
            name: deque(maxlen=blacklist_length) for name in self.graph
        }
        self._blacklist_length = blacklist_length
        self._mutual: Counter[str] = Counter()

    @cached_property
    def view(self) -> nx.DiGraph[str]:
        """A read-only view of the graph; methods that would change it raise ConfigurationError."""
        view = self.graph.copy(as_view=True)
        for name, method in list(vars(view).items()):
            if method is nx.classes.function.frozen:  # type: ignore[attr-defined]  # refuses without a remedy
                setattr(view, name, _refuse)
        return view

    def add(self, name: str) -> None:
        """Add an agent without ties, as the last of the population."""
        self.graph.add_node(name)
        self._position[name] = max(self._position.values(), default=-1) + 1
        self._blacklists[name] = deque(maxlen=self._blacklist_length)

    def remove(self, name: str) -> None:
        """Remove an agent with its blacklist and all ties to and from it; others keep it on their blacklists."""
        for other in self.graph.adj[name]:
            for role in self.graph.edges[name, other]["roles"]:
                self._mutual[role] -= self.is_bound(other, name, role)
        self.graph.remove_node(name)
        del self._position[name], self._blacklists[name]

    def is_bound(self, agent: str, other: str, role: str) -> bool:
        """Whether an agent is tied to another in the other's role."""
        return self.graph.has_edge(agent, other) and role in self.graph.edges[agent, other]["roles"]

    def bound_to(self, agent: str, role: str) -> list[str]:
        """Return the agents that an agent is tied to in a role, in the order of the population."""
        edges = self.graph.adj[agent]
        return self.in_order(name for name, edge in edges.items() if role in edge["roles"])

    def mutually_bound(self, agent: str, role: str) -> list[str]:
        """Return the agents that an agent is mutually tied to in a role."""
        return [other for other in self.bound_to(agent, role) if self.is_bound(other, agent, role)]

    def mutual_pairs(self, role: str) -> int:
        """Return the number of pairs that are mutually tied in a role; compare `measures.mutual_ties`."""
        return self._mutual[role]

    def in_order(self, names: Iterable[str]) -> list[str]:
        """Sort names by the order of the population."""
        return sorted(names, key=self._position.__getitem__)

    def blacklist(self, agent: str) -> tuple[tuple[str, str], ...]:
        """Return the last (name, role) pairs that an agent cut a tie to, oldest first."""
        return tuple(self._blacklists[agent])

    def is_blacklisted(self, agent: str, other: str, role: str) -> bool:
        """Whether an agent has another, in that role, on its blacklist."""
        return (other, role) in self._blacklists[agent]

    def bind(self, agent: str, other: str, role: str) -> None:
        """Tie an agent to another in a role, and take the other off the blacklist.

        Raises:
            ValueError: For a tie of an agent to itself.
        """
        if agent == other:
            raise ValueError(f"{agent} cannot be bound to itself")
        if (other, role) in self._blacklists[agent]:
            self._blacklists[agent].remove((other, role))
        roles = self.graph.edges[agent, other]["roles"] if self.graph.has_edge(agent, other) else ()
        if role not in roles:
            self.graph.add_edge(agent, other, roles=tuple(sorted((*roles, role))))
            self._mutual[role] += self.is_bound(other, agent, role)

    def unbind(self, agent: str, other: str, role: str) -> None:
        """Cut a tie in a role and put the other on the blacklist."""
        before = self.graph.edges[agent, other]["roles"]
        roles = tuple(r for r in before if r != role)
        self._mutual[role] -= role in before and self.is_bound(other, agent, role)
        if roles:
            self.graph.edges[agent, other]["roles"] = roles
        else:
            self.graph.remove_edge(agent, other)
        if (other, role) not in self._blacklists[agent]:
            self._blacklists[agent].append((other, role))

    def apply(self, agent: str, other: str, role: str, *, bound: bool) -> None:
        """Make or cut a tie, from a row of the ties table."""
        if bound:
            self.bind(agent, other, role)
        else:
            self.unbind(agent, other, role)

    def changes_since(self, before: SocialNetwork) -> Iterator[TieRow]:
        """Yield the ties that were cut since an earlier state, then those that were made."""
        for one, another, bound in ((before, self, False), (self, before, True)):
            for agent, other, roles in one.to_dict()["ties"]:
                for role in roles:
                    if not another.is_bound(agent, other, role):
                        yield {"agent": agent, "other": other, "role": role, "bound": bound}

    def to_dict(self) -> NetworkState:
        """Return ties and blacklists as plain data, in the order of the population."""
        position = self._position
        edges: list[tuple[str, str, tuple[str, ...]]] = sorted(
            self.graph.edges(data="roles"), key=lambda edge: (position[edge[0]], position[edge[1]])
        )
        return {
            # Lists, as in JSON, so that states in memory and on disk are equal.
            "ties": cast(
                "list[tuple[str, str, list[str]]]", [[agent, other, list(roles)] for agent, other, roles in edges]
            ),
            "blacklists": {name: [list(entry) for entry in entries] for name, entries in self._blacklists.items()},
        }

    @classmethod
    def from_dict(cls, data: NetworkState, blacklist_length: int | None = None) -> Self:
        """Create a network from the data of `to_dict`; blacklists keep their last `blacklist_length` entries."""
        network = cls(data["blacklists"], blacklist_length)
        for agent, other, roles in data["ties"]:
            for role in roles:
                network.bind(agent, other, role)
        for name, entries in data["blacklists"].items():
            network._blacklists[name].extend((other, role) for other, role in entries)
        return network
