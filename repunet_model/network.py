"""The social network: directed ties per role, and a short blacklist for each agent. Pure.

"A is bound to B as trustee" is an edge from A to B whose attribute `roles` holds "trustee". The graph is a plain
`networkx.DiGraph`, so every measure of NetworkX applies to it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Self, cast

import networkx as nx

from repunet_model.errors import ConfigurationError

if TYPE_CHECKING:
    from repunet_model.storage.schema import NetworkState

BLACKLIST_LENGTH = 5

_CHANGES = (
    "add_node",
    "add_nodes_from",
    "add_edge",
    "add_edges_from",
    "add_weighted_edges_from",
    "remove_node",
    "remove_nodes_from",
    "remove_edge",
    "remove_edges_from",
    "update",
    "clear",
    "clear_edges",
)
"""The methods of a graph that change it."""


def _refuse(*_: object, **__: object) -> None:
    raise ConfigurationError("the graph of a model is read-only: ties change in steps; change a copy (graph.copy())")


class SocialNetwork:
    """Who is bound to whom, and with whom each agent broke.

    Attributes:
        graph: Nodes are names; an edge's attribute `roles` is the sorted tuple of the roles it is tied in. Ties are
            made and cut by this class alone, which counts those that are mutual.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.graph: nx.DiGraph[str] = nx.DiGraph()
        self.graph.add_nodes_from(names)
        self._position = {name: position for position, name in enumerate(self.graph)}
        self._blacklists: dict[str, deque[tuple[str, str]]] = {
            name: deque(maxlen=BLACKLIST_LENGTH) for name in self.graph
        }
        self._mutual: Counter[str] = Counter()

    @cached_property
    def view(self) -> nx.DiGraph[str]:
        """The graph to read; methods that would change it raise ConfigurationError."""
        view = self.graph.copy(as_view=True)
        for name in _CHANGES:
            setattr(view, name, _refuse)
        return view

    def is_bound(self, agent: str, other: str, role: str) -> bool:
        """Tell whether an agent is bound to another in the other's role."""
        return self.graph.has_edge(agent, other) and role in self.graph.edges[agent, other]["roles"]

    def bound_to(self, agent: str, role: str) -> list[str]:
        """Return whom an agent is bound to in a role, in the order of the population."""
        edges = self.graph.adj[agent]
        return self.in_order(name for name, edge in edges.items() if role in edge["roles"])

    def mutually_bound(self, agent: str, role: str) -> list[str]:
        """Return whom an agent is bound to in a role and who are bound to it in the same one."""
        return [other for other in self.bound_to(agent, role) if self.is_bound(other, agent, role)]

    def mutual_pairs(self, role: str) -> int:
        """Return how many pairs are bound to each other, both in the same role; see also `metrics.mutual_ties`."""
        return self._mutual[role]

    def in_order(self, names: Iterable[str]) -> list[str]:
        """Return names in the order of the population."""
        return sorted(names, key=self._position.__getitem__)

    def blacklist(self, agent: str) -> tuple[tuple[str, str], ...]:
        """Return the last (name, role) pairs an agent broke with, oldest first; at most five."""
        return tuple(self._blacklists[agent])

    def is_blacklisted(self, agent: str, other: str, role: str) -> bool:
        """Tell whether an agent has another, in that role, on its blacklist."""
        return (other, role) in self._blacklists[agent]

    def bind(self, agent: str, other: str, role: str) -> None:
        """Tie an agent to another in a role; whoever is bound leaves the blacklist.

        Raises:
            ValueError: For a tie to oneself.
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
        """Cut a tie in a role and put the other on the blacklist, where the sixth entry drops the oldest."""
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
        """Make or cut a tie, as a row of a step's ties says."""
        if bound:
            self.bind(agent, other, role)
        else:
            self.unbind(agent, other, role)

    def to_dict(self) -> NetworkState:
        """Return ties and blacklists as plain data, in the order of the population."""
        position = self._position
        edges: list[tuple[str, str, tuple[str, ...]]] = sorted(
            self.graph.edges(data="roles"), key=lambda edge: (position[edge[0]], position[edge[1]])
        )
        return {
            # Lists, as JSON has them: states in memory and on disk are equal.
            "ties": cast(
                "list[tuple[str, str, list[str]]]", [[agent, other, list(roles)] for agent, other, roles in edges]
            ),
            "blacklists": {name: [list(entry) for entry in entries] for name, entries in self._blacklists.items()},
        }

    @classmethod
    def from_dict(cls, data: NetworkState) -> Self:
        """Read a network from the data of `to_dict`."""
        network = cls(data["blacklists"])
        for agent, other, roles in data["ties"]:
            for role in roles:
                network.bind(agent, other, role)
        for name, entries in data["blacklists"].items():
            network._blacklists[name].extend((other, role) for other, role in entries)
        return network
