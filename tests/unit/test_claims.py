"""Claims and their measures: what is counted by hand in made-up runs, what is read of a plan, the paper's numbers."""

from __future__ import annotations

import sys
from collections import Counter
from itertools import permutations
from typing import Any, cast

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from repunet_model.config import FULL, MODES, NEITHER, REPUTATION_ONLY
from repunet_model.games import GAMES
from repunet_model.measures import assortativity
from repunet_model.report.evidence import Panel, Run
from repunet_model.report.statistics import Estimate, verdict
from repunet_model.results import sentiment
from repunet_model.study import claims, measuring, reference

NAMES = [f"agent {number}" for number in range(8)]

CAMPS = [*permutations(NAMES[:4], 2), *permutations(NAMES[4:], 2), (NAMES[0], NAMES[4])]
"""Two groups with all ties within, and one tie between them."""


def made(
    rates: list[float] | None = None,
    mode: str = FULL,
    seed: int = 1,
    ties: list[tuple[str, str]] | None = None,
    **agents: list[float],
) -> Run:
    """Return a run with these rates by step, ties at its end, and columns of agents."""
    rates = [0.5] if rates is None else rates
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(NAMES)
    graph.add_edges_from(ties or ())
    table = pd.DataFrame({"name": NAMES, "reputation": np.nan, "cooperation": np.nan, "told_about": 0} | agents)
    measures = pd.DataFrame({"step": range(1, len(rates) + 1), "cooperation_rate": rates})
    return Run(cast("Any", None), {"mode": mode, "seed": seed}, measures, table, Counter(), graph, {})


def panel(*runs: Run) -> Panel:
    return Panel("Made up", "prisoners_dilemma", {mode: [run for run in runs if run.mode == mode] for mode in MODES})


def numbers(measure: measuring.Measure, *runs: Run) -> tuple[float, int]:
    found = measure.of(panel(*runs))
    assert found is not None
    return found.mean, found.n


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.1, 0.2, "yes"), (-0.2, -0.1, "no"), (-0.1, 0.1, "not shown"), (0.0, 0.0, "no difference")],
)
def test_a_verdict_is_where_the_interval_lies(low: float, high: float, said: str) -> None:
    assert verdict(Estimate((low + high) / 2, low, high, 20)) == said
    assert verdict(Estimate(0.5, None, None, 4)) == "too few seeds"


def test_cooperation_is_measured_over_the_last_five_steps_and_ten() -> None:
    falling = [0.9] * 5 + [0.6] * 5 + [0.1] * 5
    one, other = made(falling, NEITHER, 1), made([0.8] * 15, NEITHER, 2)
    assert numbers(measuring.level(NEITHER, 5, "the paper", below=0.2), one) == pytest.approx((0.1, 1))
    assert numbers(measuring.level(NEITHER, 5, "ours", above=0.5), one) == pytest.approx((-0.4, 1))
    assert numbers(measuring.fall(NEITHER), one, other) == pytest.approx(((0.9 - 0.35) / 2, 2))
    assert numbers(measuring.persistence(NEITHER, 0.1), one, other) == pytest.approx((0.1 - 0.275, 2))
    pairs = [one, other, made([0.5] * 15, FULL, 2), made([0.7] * 15, FULL, 9)]
    assert numbers(measuring.difference(FULL, NEITHER, 5), *pairs) == pytest.approx((-0.3, 1))


def test_a_run_in_which_first_and_last_steps_overlap_has_no_fall() -> None:
    assert measuring.fall(NEITHER).of(panel(made([0.9] * 14, NEITHER))) is None
    assert measuring.difference(FULL, REPUTATION_ONLY, 5).of(panel(made())) is None


def test_reputation_is_regressed_on_behaviour_over_the_agents_of_all_runs() -> None:
    draws = np.random.default_rng(1)
    runs = []
    for seed in range(6):
        behaviour = draws.uniform(size=8)
        reputation = 0.4 * behaviour + draws.normal(0, 0.1, size=8)
        runs.append(made(seed=seed, cooperation=behaviour.tolist(), reputation=reputation.tolist()))
    agents = pd.concat([run.agents for run in runs])
    slope = measuring.slope("reputation", "cooperation").of(panel(*runs))
    assert slope is not None
    assert slope.mean == pytest.approx(stats.linregress(agents["cooperation"], agents["reputation"]).slope)
    assert (slope.n, verdict(slope)) == (6, "yes")
    alone = measuring.slope("reputation", "cooperation").of(panel(runs[0]))
    assert alone is not None
    assert (alone.n, alone.low, alone.high) == (1, None, None)
    within = [stats.spearmanr(run.agents["cooperation"], run.agents["reputation"]).statistic for run in runs]
    assert numbers(measuring.rank_correlation("reputation", "cooperation"), *runs) == pytest.approx(
        (np.mean(within), 6)
    )
    assert measuring.slope("reputation", "cooperation").of(panel(made())) is None
    assert measuring.rank_correlation("reputation", "cooperation").of(panel(made())) is None


def test_two_camps_are_more_modular_than_their_degrees_alone_and_alike() -> None:
    camps = made(ties=CAMPS, cooperation=[1.0] * 4 + [0.0] * 4, reputation=[0.5, 0.6, 0.7, 0.8, -0.5, -0.6, -0.7, -0.8])
    above = measuring.modularity_above_null(camps)
    assert above is not None
    assert above > 0.2
    assert above == measuring.modularity_above_null(camps)
    alike = measuring.assortativity_above_null(camps)
    plain = assortativity(camps.graph, camps.cooperation)
    assert alike is not None
    assert plain is not None
    assert alike == pytest.approx(plain + 1 / 7, abs=0.05)  # nobody is tied to itself
    mutual = measuring.reputation_of_mutual_ties(camps)
    assert mutual == assortativity(nx.DiGraph(CAMPS[:-1]), dict(zip(NAMES, camps.agents["reputation"], strict=True)))
    assert measuring.largest_component(camps) == 1
    assert measuring.largest_component(made(ties=CAMPS[:-1])) == 0.5


def test_ties_that_cannot_be_rewired_have_no_null() -> None:
    complete = made(ties=list(permutations(NAMES, 2)), cooperation=[1.0] * 8)
    assert measuring.modularity_above_null(complete) is None
    assert measuring.modularity_above_null(made()) is None
    assert measuring.assortativity_above_null(complete) is None
    assert measuring.reputation_of_mutual_ties(made()) is None


def test_exploiters_are_compared_with_the_others() -> None:
    run = made(cooperation=[0.1] * 2 + [0.9] * 6, ties_to=[1.0, 2.0] + [4.0] * 6)
    assert measuring.others_less("ties_to", 0.5)(run) == 2.5
    assert measuring.negated(measuring.others_less("ties_to", 0.5))(run) == -2.5
    assert measuring.others_less("ties_to", 0.5)(made(cooperation=[0.9] * 8)) is None
    assert measuring.negated(measuring.others_less("ties_to", 0.5))(made()) is None


def test_texts_are_positive_negative_or_neither() -> None:
    judge = sentiment.classifier()
    assert judge is not None
    texts = [
        "She kept her promise, and is generous and kind.",
        "He is a terrible cheat.",
        "They met on Monday.",
        "Great!",
    ]
    assert sentiment.share_positive(texts, judge) == pytest.approx(2 / 3)
    assert sentiment.share_positive(texts[2:3], judge) is None


def test_without_the_extra_there_is_no_classifier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vaderSentiment.vaderSentiment", None)
    sentiment.classifier.cache_clear()
    assert sentiment.classifier() is None
    assert measuring.praise_by_classifier(made()) is None
    sentiment.classifier.cache_clear()


def test_the_paper_reports_a_rate_with_a_spread_for_every_game_and_mode() -> None:
    assert set(reference.SCENARIOS) <= set(GAMES)
    for game in reference.SCENARIOS:
        for mode in MODES:
            main_table, *others = reference.cooperation(game, mode)
            assert (main_table.where, main_table.model) == ("Table 1", "GPT-4o mini")
            assert main_table.spread is not None
            assert all(each.spread is None for each in others)
    assert reference.reported("more", [FULL, NEITHER], "investment") == "0.98 ± 0.02 against 0.17 ± 0.08"
    assert reference.reported("positive_gossip", [], "sign_up") == "about 90 % positive"
    assert reference.reported("positive_gossip", [], "investment") == "–"


def test_every_claim_is_measured_as_in_the_paper_and_better() -> None:
    assert len({claim.key for claim in claims.CLAIMS}) == len(claims.CLAIMS)
    for claim in claims.CLAIMS:
        ways = [by for by, _ in claim.measures()]
        assert ways[0] == "paper"
        assert "ours" in ways[1:]
