"""Measures of a society, as plain functions of plain data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import networkx as nx


def ties(graph: nx.DiGraph[str]) -> int:
    """Return the number of directed ties: pairs (A, B) with A bound to B in at least one role."""
    return graph.number_of_edges()


def mutual_ties(graph: nx.DiGraph[str]) -> int:
    """Return the number of unordered pairs that are bound to each other."""
    return sum(1 for agent, other in graph.edges if agent < other and graph.has_edge(other, agent))


def mean_of(values: Mapping[str, float], names: Iterable[str]) -> float | None:
    """Return the mean of the named values, where a missing one counts as 0; None without names."""
    chosen = [values.get(name, 0.0) for name in names]
    return sum(chosen) / len(chosen) if chosen else None


def gossip_counts(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return how much gossip there was, by tone and by order, from rows of the gossip table.

    Keys: gossip_told, gossip_positive, gossip_negative, gossip_first_order, gossip_second_order.
    """
    tones = Counter(row["tone"] for row in rows)
    orders = Counter(row["order"] for row in rows)
    return {
        "gossip_told": len(rows),
        "gossip_positive": tones["positive"],
        "gossip_negative": tones["negative"],
        "gossip_first_order": orders[1],
        "gossip_second_order": orders[2],
    }
