"""Statistics over observations of agents, held against SciPy and against simulated agents."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from repunet_model.results.clustered import Auc, RankCorrelation, Share


def test_values_are_those_of_scipy() -> None:
    draws = np.random.default_rng(1)
    agents = [f"a{number % 7}" for number in range(60)]
    true = draws.random(60) < 0.4
    scores = np.round(draws.normal(size=60) + true, 1)  # with ties
    auc = Auc(agents, scores.tolist(), true.tolist())
    won = stats.mannwhitneyu(scores[true], scores[~true]).statistic
    assert auc.value == pytest.approx(won / (true.sum() * (~true).sum()))
    assert (auc.n, auc.agents, auc.true) == (60, 7, int(true.sum()))
    other = draws.normal(size=60) + scores
    found = RankCorrelation(agents, scores.tolist(), other.tolist())
    assert found.value == pytest.approx(stats.spearmanr(scores, other).statistic)
    assert Share(agents, true.tolist()).value == pytest.approx(true.mean())


def test_the_interval_of_a_share_of_equal_counts_is_students_over_agents() -> None:
    agents = [name for name in "abcdef" for _ in range(5)]
    true = [number % 5 < agents.index(name) // 5 for number, name in enumerate(agents)]
    shares = np.array([true[start : start + 5].count(True) / 5 for start in range(0, 30, 5)])
    low, high = Share(agents, true).interval or (None, None)
    half = stats.t.ppf(0.975, 5) * shares.std(ddof=1) / np.sqrt(6)
    assert (low, high) == pytest.approx((max(0.0, shares.mean() - half), min(1.0, shares.mean() + half)))


def test_intervals_hold_what_agents_of_their_own_ways_have_on_average() -> None:
    """Agents differ, so that observations of one are alike: an interval over observations would be too narrow."""
    draws = np.random.default_rng(1)
    held = {"share": 0, "auc": 0}
    agents = [f"a{number:02}" for number in range(20) for _ in range(12)]
    for _ in range(150):
        ways = np.repeat(draws.uniform(0.2, 0.8, 20), 12)
        true = draws.random(240) < ways
        low, high = Share(agents, true.tolist()).interval or (1, 0)
        held["share"] += low <= 0.5 <= high
        scores = np.repeat(draws.normal(size=20), 12) + draws.normal(size=240)  # that say nothing
        low, high = Auc(agents, scores.tolist(), true.tolist()).interval or (1, 0)
        held["auc"] += low <= 0.5 <= high
    assert min(held.values()) >= 0.9 * 150, held


def test_what_cannot_be_told_has_no_value_or_no_interval() -> None:
    assert Auc([], [], []).value is None
    assert Auc(["a", "b"], [1.0, 2.0], [True, True]).value is None
    assert RankCorrelation(["a", "b"], [1.0, 1.0], [1.0, 2.0]).value is None
    few = Share(["a", "b", "c"], [True, False, True])
    assert few.value == pytest.approx(2 / 3)
    assert few.interval is None
    of_one = Auc(list("abcdef"), [1.0, 2.0, 3.0, 4.0, 5.0, 0.0], [True, True, True, True, True, False])
    assert (of_one.value, of_one.interval) == (1.0, None)  # without f all are alike
