"""What a model measures after each step: its game's rates, what all societies have in common, and one's own measures.

A measure of one's own is a function of the model, registered before the model is made::

    @measures.register
    def largest_holding(model: RepuNetModel) -> float:
        return max(float(agent.resources) for agent in model.agents)

It is then among `model.measures`, a column of the DataCollector, and stored with every step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from repunet_model import metrics
from repunet_model.errors import ConfigurationError, RepuNetError
from repunet_model.personas import Disposition
from repunet_model.storage.schema import GOSSIP, StepLog

if TYPE_CHECKING:
    import networkx as nx

    from repunet_model.agents import RepuNetAgent
    from repunet_model.model import RepuNetModel

Measure = Callable[["RepuNetModel"], float | None]
"""A measure of one's own: a finite number, or None where there is nothing to measure."""

COMMUNITY_INTERVAL = 5
"""Steps between two looks for communities."""

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
"""The measures that all games share; a game's own rates come before them.

None has the name of a parameter: `mesa.batch_run` writes both into one row.
"""

COSTS = ("attempts", "tokens", "usd")
"""What a step has cost, beside its measures in tables: requests, tokens, and US dollars as far as prices are known."""

_COLUMNS = ("run", "mode", "step", "seed", "rng", "population", "version")
"""What tables of runs name beside measures and parameters."""

_OWN: dict[str, Measure] = {}


def register[M: Measure](measure: M) -> M:
    """Make a measure known by the name of its function; models that are made from now on take it.

    Args:
        measure: A function of the model, called after each step and once before the first.
    """
    _OWN[measure.__name__] = measure
    return measure


def registered(others: Iterable[str]) -> dict[str, Measure]:
    """Return all measures of one's own by name.

    Args:
        others: Names that other columns of the model have.

    Raises:
        ConfigurationError: If one has such a name.
    """
    clash = sorted(set(_OWN) & {*others, *MEASURES, *COSTS, *_COLUMNS})
    if clash:
        raise ConfigurationError(f"measure {clash[0]!r}: another measure or a parameter has this name; rename it")
    return dict(_OWN)


def named(names: Sequence[str]) -> dict[str, Measure]:
    """Return the measures that a stored run has beside those of all runs.

    Raises:
        ConfigurationError: If one is not registered.
    """
    for name in names:
        if name not in _OWN:
            raise ConfigurationError(
                f"the run has a measure {name!r}, which is not registered: import the file it is in, or name it by "
                "--extension"
            )
    return {name: _OWN[name] for name in names}


def take(model: RepuNetModel, own: Mapping[str, Measure]) -> dict[str, float | None]:
    """Return the values of measures of one's own.

    Raises:
        RepuNetError: If one raises, or gives anything but a finite number or None.
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
    agents: Iterable[RepuNetAgent], graph: nx.DiGraph[str], scores: Mapping[str, float] | None, seed: int, step: int
) -> dict[str, float | None]:
    """Measure a society as it is after a step.

    Args:
        agents: Its agents.
        graph: The ties.
        scores: The score of each agent that is known; None if agents keep no reputations.
        seed: The seed of the run.
        step: The step; communities, which cost most, are looked for at an interval, and are None between.
    """
    agents = list(agents)
    groups = {
        disposition: [agent.name for agent in agents if agent.persona.disposition is disposition]
        for disposition in Disposition
    }
    altruism = {agent.name: float(agent.persona.disposition is Disposition.ALTRUISTIC) for agent in agents}
    count, modularity = metrics.communities(graph, seed) if step % COMMUNITY_INTERVAL == 0 else (None, None)
    return {
        **{
            f"score_{disposition.value.replace('-', '_')}": None if scores is None else metrics.mean_of(scores, names)
            for disposition, names in groups.items()
        },
        **of_graph(graph),
        "assortativity_disposition": metrics.assortativity(graph, altruism),
        "assortativity_cooperation": metrics.assortativity(graph, _recent_cooperation(agents)),
        "communities": count,
        "modularity": modularity,
        "gini": metrics.gini([float(agent.resources) for agent in agents]),
    }


def of_graph(graph: nx.DiGraph[str]) -> dict[str, float | None]:
    """Measure the ties of a society.

    Args:
        graph: The ties.
    """
    return {
        "ties": metrics.ties(graph),
        "mutual_ties": metrics.mutual_ties(graph),
        "density": metrics.density(graph),
        "reciprocity": metrics.reciprocity(graph),
        "clustering": metrics.clustering(graph),
        "isolated": len(metrics.isolated(graph)),
    }


def of_step(log: StepLog, calls: int) -> dict[str, Any]:
    """Measure what a step added.

    Args:
        log: What it added.
        calls: How many questions were answered in it.
    """
    return {**metrics.gossip_counts(log.rows(GOSSIP)), "gossip_lapsed": log.lapsed, "calls": calls}


def _recent_cooperation(agents: Iterable[RepuNetAgent]) -> dict[str, float]:
    """Return each agent's share of cooperation in its remembered encounters, for those that had a choice."""
    shares = {}
    for agent in agents:
        acts = [event.own_cooperated for event in agent.memory.snapshot() if event.own_cooperated is not None]
        if acts:
            shares[agent.name] = sum(acts) / len(acts)
    return shares
