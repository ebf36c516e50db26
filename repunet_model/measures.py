"""The measures of a model after each step: its game's rates, those of all societies, and registered ones.

A registered measure is a function of the model, registered before the model is made::

    @measures.register
    def largest_holding(model: RepuNetModel) -> float:
        return max(float(agent.resources) for agent in model.agents)

It is then an entry of `model.measures`, a column of the DataCollector, and stored with every step.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

import networkx as nx

from repunet_model.error_rates import MEASURE_OF, NO_ERRORS, ErrorRates
from repunet_model.errors import ConfigurationError, RepuNetError
from repunet_model.memory import Memory
from repunet_model.personas import Disposition, Persona
from repunet_model.storage.schema import ERRORS, GOSSIP, StepLog


class Measured(Protocol):
    """An agent, as far as it is measured."""

    memory: Memory

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def persona(self) -> Persona:
        """Its persona."""

    @property
    def resources(self) -> Decimal:
        """Its resources, in units."""


Measure = Callable[[Any], float | None]
"""A registered measure: returns a finite number, or None where it is undefined."""

COMMUNITY_INTERVAL = 5
"""Steps between two measurements of communities."""

MEASURES = (
    "score_self_interested",
    "score_altruistic",
    "ties",
    "mutual_ties",
    "density",
    "reciprocity",
    "clustering",
    "isolated",
    "assortativity_disposition",
    "assortativity_cooperation",
    "communities",
    "modularity",
    "gini",
    "gossip_told",
    "gossip_positive",
    "gossip_negative",
    "gossip_first_order",
    "gossip_second_order",
    "gossip_credible",
    "gossip_uncredible",
    "gossip_lapsed",
    "calls",
)
"""The measures that all games share, after the game's own rates.

None has the name of a parameter, since `mesa.batch_run` writes both into one row.
"""

COSTS = ("attempts", "tokens", "reasoning_tokens", "usd")
"""The columns of costs of a step: requests, tokens, those of reasoning, and US dollars where prices are known."""

_COLUMNS = ("run", "mode", "step", "seed", "rng", "population", "version")
"""Further columns of tables of runs, beside measures and parameters."""

_OWN: dict[str, Measure] = {}


def register[M: Measure](measure: M) -> M:
    """Register a function of the model as a measure, by its name, for models made from now on.

    It is called after each step and once before the first.
    """
    _OWN[measure.__name__] = measure
    return measure


def registered(others: Iterable[str]) -> dict[str, Measure]:
    """Return all registered measures by name; `others` are the names of other columns of the model.

    Raises:
        ConfigurationError: If a measure has such a name.
    """
    clash = sorted(set(_OWN) & {*others, *MEASURES, *MEASURE_OF.values(), *COSTS, *_COLUMNS})
    if clash:
        raise ConfigurationError(f"measure {clash[0]!r}: another measure or a parameter has this name; rename it")
    return dict(_OWN)


def named(names: Sequence[str]) -> dict[str, Measure]:
    """Return the registered measures of a stored run.

    Raises:
        ConfigurationError: If a measure is not registered.
    """
    for name in names:
        if name not in _OWN:
            raise ConfigurationError(
                f"the run has a measure {name!r}, which is not registered: import the file it is in, or name it by "
                "--extension"
            )
    return {name: _OWN[name] for name in names}


def take(model: object, own: Mapping[str, Measure]) -> dict[str, float | None]:
    """Return the values of registered measures.

    Raises:
        RepuNetError: If a measure raises an error, or returns anything but a finite number or None.
    """
    values: dict[str, float | None] = {}
    for name, measure in own.items():
        try:
            value = measure(model)
            number = None if value is None else float(value)
        except Exception as error:
            raise RepuNetError(f"the measure {name!r} cannot be taken: {type(error).__name__}: {error}") from error
        if number is not None and not math.isfinite(number):
            raise RepuNetError(f"the measure {name!r} is {value!r}: must be a finite number or None")
        values[name] = number
    return values


def of_society(
    agents: Iterable[Measured], graph: nx.DiGraph[str], scores: Mapping[str, float] | None, seed: int, step: int
) -> dict[str, float | None]:
    """Measure the state of a society after a step.

    Args:
        agents: Its agents.
        graph: The ties.
        scores: The score of each agent that has a record; None without reputation.
        seed: The seed of the run.
        step: The step. Communities are expensive: they are measured at an interval, and None between.
    """
    agents = list(agents)
    groups = {
        disposition: [agent.name for agent in agents if agent.persona.disposition is disposition]
        for disposition in Disposition
    }
    altruism = {agent.name: float(agent.persona.disposition is Disposition.ALTRUISTIC) for agent in agents}
    count, modularity = communities(graph, seed) if step % COMMUNITY_INTERVAL == 0 else (None, None)
    return {
        **{
            f"score_{disposition.value.replace('-', '_')}": None if scores is None else mean_of(scores, names)
            for disposition, names in groups.items()
        },
        **of_graph(graph),
        "assortativity_disposition": assortativity(graph, altruism),
        "assortativity_cooperation": assortativity(graph, _recent_cooperation(agents)),
        "communities": count,
        "modularity": modularity,
        "gini": gini([float(agent.resources) for agent in agents]),
    }


def of_graph(graph: nx.DiGraph[str]) -> dict[str, float | None]:
    """Measure the ties of a society."""
    return {
        "ties": ties(graph),
        "mutual_ties": mutual_ties(graph),
        "density": density(graph),
        "reciprocity": reciprocity(graph),
        "clustering": clustering(graph),
        "isolated": len(isolated(graph)),
    }


def of_step(log: StepLog, calls: int, errors: ErrorRates = NO_ERRORS) -> dict[str, Any]:
    """Measure the rows of a step; `calls` is the number of its answered calls, of which a fused one counts once.

    Errors of the kinds that have a rate are counted, by the names in `error_rates.MEASURE_OF`.
    """
    kinds = Counter(row["kind"] for row in log.rows(ERRORS))
    return {
        **gossip_counts(log.rows(GOSSIP)),
        "gossip_lapsed": log.lapsed,
        "calls": calls,
        **{MEASURE_OF[kind]: kinds[kind] for kind in errors.kinds},
    }


def _recent_cooperation(agents: Iterable[Measured]) -> dict[str, float]:
    """Return each agent's share of cooperation among its remembered choices."""
    shares = {}
    for agent in agents:
        acts = [event.own_cooperated for event in agent.memory.snapshot() if event.own_cooperated is not None]
        if acts:
            shares[agent.name] = sum(acts) / len(acts)
    return shares


def ties(graph: nx.DiGraph[str]) -> int:
    """Return the number of directed ties: pairs (A, B) with A tied to B in at least one role."""
    return graph.number_of_edges()


def mutual_ties(graph: nx.DiGraph[str]) -> int:
    """Return the number of unordered pairs with ties in both directions, each in any role.

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
    """Return the agents without an incoming tie, in the order of the population."""
    return [name for name, degree in graph.in_degree() if degree == 0]


def communities(graph: nx.DiGraph[str], seed: int) -> tuple[int, float | None]:
    """Return the number of communities and their modularity; None without ties. See `community_members`."""
    found = community_members(graph, seed)
    return len(found), float(nx.community.modularity(graph, map(set, found))) if ties(graph) else None


def community_members(graph: nx.DiGraph[str], seed: int) -> list[list[str]]:
    """Return the communities by the Louvain method (Blondel et al. 2008), each in the order of the population.

    Args:
        graph: The directed ties. Agents without ties are communities of one.
        seed: Seed of the method's random order.
    """
    # The method depends on the order of nodes and edges, so both are sorted: names hash differently in each process,
    # and edges are in the order in which they were made.
    number = {name: position for position, name in enumerate(graph)}
    numbered: nx.DiGraph[Hashable] = nx.DiGraph()
    numbered.add_nodes_from(range(len(number)))
    numbered.add_edges_from(sorted((number[a], number[b]) for a, b in graph.edges))
    found = nx.community.louvain_communities(numbered, seed=seed)
    names = list(number)
    return [[names[position] for position in sorted(members)] for members in found]


def assortativity(graph: nx.DiGraph[str], values: Mapping[str, float]) -> float | None:
    """Return the similarity of tied agents in a value, in [-1, 1] (Newman 2003).

    Args:
        graph: The ties.
        values: The value of each agent; ties of agents without one do not count.

    Returns:
        Pearson's correlation over ties; None where it is undefined, without ties or with equal values.
    """
    pairs = [(values[a], values[b]) for a, b in graph.edges if a in values and b in values]
    if not pairs:
        return None
    return _correlation([a for a, _ in pairs], [b for _, b in pairs])


def _correlation(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Return Pearson's correlation; exact sums make it independent of the order of the pairs."""
    mean_x, mean_y = math.fsum(xs) / len(xs), math.fsum(ys) / len(ys)
    covariance = math.fsum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
    spread = math.fsum((x - mean_x) ** 2 for x in xs) * math.fsum((y - mean_y) ** 2 for y in ys)
    return covariance / math.sqrt(spread) if spread > 1e-18 else None


def gini(values: Sequence[float]) -> float | None:
    """Return the Gini coefficient of non-negative values, 0 for equality; None without a positive value."""
    ordered = sorted(values)
    total = math.fsum(ordered)
    if total == 0:
        return None
    n = len(ordered)
    weighted = math.fsum(rank * value for rank, value in enumerate(ordered, start=1))
    return 2 * weighted / (n * total) - (n + 1) / n


def mean_of(values: Mapping[str, float], names: Iterable[str]) -> float | None:
    """Return the mean of the named values, counting a missing one as 0; None without names."""
    chosen = [values.get(name, 0.0) for name in names]
    return sum(chosen) / len(chosen) if chosen else None


def gossip_counts(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Count messages by tone, by order and by credibility, from rows of the table.

    Keys: gossip_told, gossip_positive, gossip_negative, gossip_first_order, gossip_second_order, gossip_credible and
    gossip_uncredible (each including "very").
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
