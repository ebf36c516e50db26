"""Measures of a society, as plain functions of plain data."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import networkx as nx


def ties(graph: nx.DiGraph[str]) -> int:
    """Return the number of directed ties: pairs (A, B) with A bound to B in at least one role."""
    return graph.number_of_edges()


def mutual_ties(graph: nx.DiGraph[str]) -> int:
    """Return the number of unordered pairs that are bound to each other, each to the other in any of its roles.

    `SocialNetwork.mutual_pairs`, which the games show to agents, counts pairs that are tied in the same role.
    """
    return sum(1 for agent, other in graph.edges if agent < other and graph.has_edge(other, agent))


def density(graph: nx.DiGraph[str]) -> float:
    """Return ties / possible ties."""
    return float(nx.density(graph))


def reciprocity(graph: nx.DiGraph[str]) -> float | None:
    """Return the share of ties that are returned; None without ties."""
    return 2 * mutual_ties(graph) / ties(graph) if ties(graph) else None


def clustering(graph: nx.DiGraph[str]) -> float:
    """Return the mean clustering coefficient of the directed graph (Fagiolo 2007)."""
    return float(nx.average_clustering(graph))


def isolated(graph: nx.DiGraph[str]) -> list[str]:
    """Return the agents to whom nobody is bound, in the order of the population."""
    return [name for name, degree in graph.in_degree() if degree == 0]


def communities(graph: nx.DiGraph[str], seed: int) -> tuple[int, float | None]:
    """Return the number of communities and their modularity; None without ties. See `community_members`."""
    found = community_members(graph, seed)
    return len(found), float(nx.community.modularity(graph, map(set, found))) if ties(graph) else None


def community_members(graph: nx.DiGraph[str], seed: int) -> list[list[str]]:
    """Return the communities, each in the order of the population, by the Louvain method (Blondel et al. 2008).

    Args:
        graph: The ties; direction counts. Agents without ties are communities of their own.
        seed: Seed of the method's random order.
    """
    # The method follows the order of nodes and edges: numbers in order, since sets of names have another order in
    # each process, and edges are in the order in which they were made.
    number = {name: position for position, name in enumerate(graph)}
    numbered: nx.DiGraph[Hashable] = nx.DiGraph()
    numbered.add_nodes_from(range(len(number)))
    numbered.add_edges_from(sorted((number[a], number[b]) for a, b in graph.edges))
    found = nx.community.louvain_communities(numbered, seed=seed)
    names = list(number)
    return [[names[position] for position in sorted(members)] for members in found]


def assortativity(graph: nx.DiGraph[str], values: Mapping[str, float]) -> float | None:
    """Return how alike tied agents are in a value, in [-1, 1] (Newman 2003).

    Args:
        graph: The ties.
        values: The value of each agent; ties of agents without one do not count.

    Returns:
        Pearson's correlation over ties; None where it is not defined, without ties or with one value only.
    """
    pairs = [(values[a], values[b]) for a, b in graph.edges if a in values and b in values]
    if not pairs:
        return None
    return _correlation([a for a, _ in pairs], [b for _, b in pairs])


def _correlation(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Return Pearson's correlation; sums are exactly rounded, so the order of the pairs does not matter."""
    mean_x, mean_y = math.fsum(xs) / len(xs), math.fsum(ys) / len(ys)
    covariance = math.fsum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
    spread = math.fsum((x - mean_x) ** 2 for x in xs) * math.fsum((y - mean_y) ** 2 for y in ys)
    return covariance / math.sqrt(spread) if spread > 1e-18 else None


def gini(values: Sequence[float]) -> float | None:
    """Return the Gini coefficient of non-negative values, 0 for equality; None if all are 0 or there are none."""
    ordered = sorted(values)
    total = math.fsum(ordered)
    if total == 0:
        return None
    n = len(ordered)
    weighted = math.fsum(rank * value for rank, value in enumerate(ordered, start=1))
    return 2 * weighted / (n * total) - (n + 1) / n


def mean_of(values: Mapping[str, float], names: Iterable[str]) -> float | None:
    """Return the mean of the named values, where a missing one counts as 0; None without names."""
    chosen = [values.get(name, 0.0) for name in names]
    return sum(chosen) / len(chosen) if chosen else None


def gossip_counts(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return how much gossip there was, by tone, by order and by whether it was believed, from rows of the table.

    Keys: gossip_told, gossip_positive, gossip_negative, gossip_first_order, gossip_second_order, gossip_credible and
    gossip_uncredible (each with its "very").
    """
    tones = Counter(row["tone"] for row in rows)
    orders = Counter(row["order"] for row in rows)
    credibility = Counter(row["credibility"] for row in rows)
    return {
        "gossip_told": len(rows),
        "gossip_positive": tones["positive"],
        "gossip_negative": tones["negative"],
        "gossip_first_order": orders[1],
        "gossip_second_order": orders[2],
        "gossip_credible": credibility["credible"] + credibility["very credible"],
        "gossip_uncredible": credibility["uncredible"] + credibility["very uncredible"],
    }
