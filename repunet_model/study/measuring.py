"""Ways to measure a claim: each takes the runs of a scenario, gives a mean with an interval, and says what it is.

The words hold every threshold and number of steps, since a plan compares measures by their words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

import networkx as nx
import numpy as np
import pandas as pd
from scipy import stats

from repunet_model import measures
from repunet_model.config import FULL
from repunet_model.report.evidence import Panel, Run, messages_of
from repunet_model.report.statistics import Estimate, estimate, paired, regression
from repunet_model.results.sentiment import classifier, share_positive
from repunet_model.results.tables import PHASE

FIRST = PHASE // 2
"""The number of first steps that a change starts from."""

NULLS = 20
"""The number of rewired networks to which modularity is compared."""

SWAPS_PER_TIE, TRIES_PER_SWAP = 10, 100

PERMUTATIONS = 100
"""The number of permutations to which assortativity is compared."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A way to measure a claim.

    Attributes:
        words: What is measured; the claim holds if it is above 0.
        of: Measures the runs of a scenario; None if no run has the number.
    """

    words: str
    of: Callable[[Panel], Estimate | None]


def _over_seeds(words: str, numbers: Callable[[Panel], Mapping[Any, float]]) -> Measure:
    """Return the measure that is the mean over seeds of a number of each run, or of each pair of runs."""

    def of(panel: Panel) -> Estimate | None:
        values = list(numbers(panel).values())
        return estimate(values) if values else None

    return Measure(words, of)


def _short(mode: str) -> str:
    return {FULL: "both"}.get(mode, mode)


def last_mean(panel: Panel, mode: str, measure: str, last: int) -> dict[Any, float]:
    """Return the mean of a measure over the last steps of each run of a mode that has it, by seed."""
    return _means(panel, mode, measure, slice(-last, None), least=1)


def _first_mean(panel: Panel, mode: str, measure: str) -> dict[Any, float]:
    """Return the mean over the first steps, of runs that are long enough for these not to be among the last ones."""
    return _means(panel, mode, measure, slice(FIRST), least=FIRST + PHASE)


def _means(panel: Panel, mode: str, measure: str, steps: slice, least: int) -> dict[Any, float]:
    found = {}
    for run in panel.runs.get(mode, ()):
        if measure in run.measures and len(run.measures) >= least:
            values = run.measures[measure].iloc[steps].dropna()
            if len(values):
                found[run.apart] = float(values.mean())
    return found


def level(mode: str, last: int, source: str, *, above: float | None = None, below: float | None = None) -> Measure:
    """Measure how far final cooperation in a mode lies above, or below, a bound, whose source is named."""
    assert (above is None) != (below is None)
    rate = f"cooperation rate of the last {last} steps, {_short(mode)}"
    if above is not None:
        bound, words, sign = above, f"{rate}, − {above:g} ({source})", 1.0
    elif below is not None:
        bound, words, sign = below, f"{below:g} ({source}) − {rate}", -1.0

    def numbers(panel: Panel) -> dict[Any, float]:
        rates = last_mean(panel, mode, "cooperation_rate", last)
        return {seed: sign * (rate - bound) for seed, rate in rates.items()}

    return _over_seeds(words, numbers)


def fall(mode: str, measure: str = "cooperation_rate") -> Measure:
    """Measure by how much a measure falls from the first steps to the last ones."""
    return _over_seeds(
        f"{_named(measure)}, {_short(mode)}: first {FIRST} − last {PHASE} steps (of runs of {FIRST + PHASE} or more)",
        lambda panel: paired(_first_mean(panel, mode, measure), last_mean(panel, mode, measure, PHASE)),
    )


def persistence(mode: str, margin: float) -> Measure:
    """Measure whether cooperation falls by less than a margin."""
    lost = fall(mode)
    words = f"{margin:g} − ({lost.words})"

    def numbers(panel: Panel) -> dict[Any, float]:
        first, last = _first_mean(panel, mode, "cooperation_rate"), last_mean(panel, mode, "cooperation_rate", PHASE)
        return {seed: margin - each for seed, each in paired(first, last).items()}

    return _over_seeds(words, numbers)


def difference(mode: str, other: str, last: int, measure: str = "cooperation_rate") -> Measure:
    """Measure the difference between two modes in the last steps, paired by seed."""
    return _over_seeds(
        f"{_named(measure)} of the last {last} steps, paired by seed: {_short(mode)} − {_short(other)}",
        lambda panel: paired(last_mean(panel, mode, measure, last), last_mean(panel, other, measure, last)),
    )


def _named(measure: str) -> str:
    return measure.replace("_", " ")


def of_runs(words: str, number: Callable[[Run], float | None], mode: str = FULL) -> Measure:
    """Measure a number of each run of a mode."""
    return _over_seeds(f"{words}, {_short(mode)}", lambda panel: _numbers(panel, mode, number))


def between_runs(words: str, number: Callable[[Run], float | None], mode: str, other: str) -> Measure:
    """Measure the difference between two modes in a number of each run, paired by seed."""
    return _over_seeds(
        f"{words}, paired by seed: {_short(mode)} − {_short(other)}",
        lambda panel: paired(_numbers(panel, mode, number), _numbers(panel, other, number)),
    )


def _numbers(panel: Panel, mode: str, number: Callable[[Run], float | None]) -> dict[Any, float]:
    found = {run.apart: number(run) for run in panel.runs.get(mode, ())}
    return {seed: value for seed, value in found.items() if value is not None}


type AgentColumn = Literal["reputation", "cooperation", "told_about"]

_COLUMNS: dict[AgentColumn, str] = {
    "reputation": f"an agent's mean reputation over the last {PHASE} steps",
    "cooperation": f"its share of cooperative choices in the last {PHASE} steps",
    "told_about": "the number of messages about it in the run",
}


def slope(outcome: AgentColumn, predictor: AgentColumn) -> Measure:
    """Measure the slope of a linear regression over the agents of all runs with both, with errors clustered by run.

    A single run has no interval, since its agents are not independent of each other.
    """

    def of(panel: Panel) -> Estimate | None:
        frames = [
            run.agents[[outcome, predictor]].dropna().assign(run=number)
            for number, run in enumerate(panel.runs.get(FULL, ()))
        ]
        if not frames:
            return None
        agents = pd.concat(frames)
        line = regression(agents[predictor].tolist(), agents[outcome].tolist(), agents["run"].tolist())
        if line is None:
            return None
        low, high = (line.low, line.high) if line.runs > 1 and math.isfinite(line.high - line.low) else (None, None)
        return Estimate(line.slope, low, high, line.runs)

    return Measure(
        f"slope of {_COLUMNS[outcome]} on {_COLUMNS[predictor]}, both: least squares over the agents of all runs, "
        "errors clustered by run",
        of,
    )


def rank_correlation(outcome: AgentColumn, predictor: AgentColumn) -> Measure:
    """Measure the rank correlation over the agents of a run, so that no difference between runs enters."""

    def number(run: Run) -> float | None:
        agents = run.agents[[outcome, predictor]].dropna()
        if len(agents) < 3 or np.ptp(agents[outcome]) == 0 or np.ptp(agents[predictor]) == 0:
            return None
        return float(stats.spearmanr(agents[outcome], agents[predictor]).statistic)

    return of_runs(
        f"rank correlation (Spearman) of {_COLUMNS[outcome]} with {_COLUMNS[predictor]}, within a run", number
    )


def reputation_of_mutual_ties(run: Run) -> float | None:
    """Return the assortativity of mutual ties by reputation at the end of a run; None where it is undefined."""
    known = run.agents.dropna(subset=["reputation"])
    values = dict(zip(known["name"], known["reputation"].astype(float), strict=True))
    mutual = nx.DiGraph((a, b) for a, b in run.graph.edges if run.graph.has_edge(b, a))
    return measures.assortativity(mutual, values)


def assortativity_above_null(run: Run) -> float | None:
    """Return the assortativity of ties by cooperation at the end of a run, minus its mean over permuted agents.

    The mean is below 0, since nobody is tied to itself: about −1 / (agents − 1). None where it is undefined.
    """
    found = measures.assortativity(run.graph, run.cooperation)
    names, values = list(run.cooperation), list(run.cooperation.values())
    draws = np.random.default_rng(1)
    nulls = [
        measures.assortativity(run.graph, dict(zip(names, draws.permutation(values).tolist(), strict=True)))
        for _ in range(PERMUTATIONS)
    ]
    known = [each for each in nulls if each is not None]
    return found - fmean(known) if found is not None and known else None


def modularity_above_null(run: Run) -> float | None:
    """Return the modularity at the end of a run, minus its mean over rewired networks with the same degrees.

    Rewiring swaps three ties at a time (Erdős et al. 2010) and keeps how many ties lead to and from each agent. None
    where the ties cannot be rewired so.
    """
    seed = run.seed or 0
    place = {name: number for number, name in enumerate(run.graph)}
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(run.graph)
    graph.add_edges_from(sorted(run.graph.edges, key=lambda tie: (place[tie[0]], place[tie[1]])))
    _, found = measures.communities(graph, seed)
    swaps = SWAPS_PER_TIE * graph.number_of_edges() // 3
    nulls = []
    for draw in range(NULLS):
        try:
            rewired = nx.directed_edge_swap(graph.copy(), nswap=swaps, max_tries=TRIES_PER_SWAP * swaps, seed=draw)
        except nx.NetworkXException:
            return None
        nulls.append(measures.communities(rewired, seed)[1])
    known = [each for each in nulls if each is not None]
    return found - fmean(known) if found is not None and known else None


def largest_component(run: Run) -> float | None:
    """Return the share of agents in the largest group that ties, in either direction, connect at the end of a run."""
    return max(map(len, nx.weakly_connected_components(run.graph))) / len(run.graph)


def praise_by_tone(run: Run) -> float | None:
    """Return the share of positive messages among positive and negative ones, by the tone they were told in, − 1/2."""
    told = {tone: sum(n for key, n in run.gossip.items() if key[0] == tone) for tone in ("positive", "negative")}
    total = sum(told.values())
    return told["positive"] / total - 0.5 if total else None


def praise_by_classifier(run: Run) -> float | None:
    """Return the same by the classifier, of the words of the gossiper, or the summary where no words are stored."""
    judge = classifier()
    if judge is None:
        return None
    texts = []
    for row in messages_of(run.stored):
        said = " ".join(text for speaker, text in row["dialogue"] or () if speaker == row["gossiper"])
        texts.append(said or row["summary"] or "")
    share = share_positive(texts, judge)
    return None if share is None else share - 0.5


def others_less(column: str, exploits_below: float) -> Callable[[Run], float | None]:
    """Return a function of a run: the mean of a column over agents that do not exploit, minus that over exploiters."""

    def number(run: Run) -> float | None:
        chose = run.agents.dropna(subset=["cooperation"])
        exploits = chose["cooperation"] < exploits_below
        if not exploits.any() or exploits.all():
            return None
        return float(chose.loc[~exploits, column].mean() - chose.loc[exploits, column].mean())

    return number


def negated(number: Callable[[Run], float | None]) -> Callable[[Run], float | None]:
    """Return a function of a run with the opposite sign."""
    return lambda run: None if (value := number(run)) is None else -value
