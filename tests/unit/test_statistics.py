"""Intervals hold the true mean as often as they say, p-values are adjusted, effect sizes are corrected."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from repunet_model.report.statistics import LEVEL, Estimate, bands, contrast, estimate, hedges_g, holm

SAMPLES = 20_000


@pytest.mark.parametrize("n", [2, 3, 5, 6, 10, 20])
def test_intervals_of_normal_means_hold_the_true_mean_as_often_as_they_say(n: int) -> None:
    values = np.random.default_rng(n).normal(0.3, 1.0, (n, SAMPLES))
    centre, half = bands(values)
    covered = (abs(centre - 0.3) <= half).mean()
    assert covered == pytest.approx(LEVEL, abs=4 * math.sqrt(LEVEL * (1 - LEVEL) / SAMPLES))


@pytest.mark.parametrize("n", [5, 6, 10, 20])
@pytest.mark.parametrize(("first", "second"), [((0.6, 0.05), (0.3, 0.1)), ((0.93, 0.04), (0.1, 0.07))])
def test_intervals_of_contrasts_hold_the_true_difference(
    n: int, first: tuple[float, float], second: tuple[float, float]
) -> None:
    """Rates near 0 and 1 are skewed, and few: 93 to 96 % of such intervals hold the truth, not less."""
    draws = np.random.default_rng(n)

    def rates(mean: float, spread: float) -> np.ndarray:
        """Rates of 200 choices in societies that differ by a beta distribution."""
        size = mean * (1 - mean) / spread**2 - 1
        return draws.binomial(200, draws.beta(mean * size, (1 - mean) * size, (n, SAMPLES))) / 200

    centre, half = bands(rates(*first) - rates(*second))
    covered = (abs(centre - (first[0] - second[0])) <= half).mean()
    error = 4 * math.sqrt(LEVEL * (1 - LEVEL) / SAMPLES)
    assert 0.93 - error <= covered <= 0.96 + error


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=25))
def test_an_estimate_is_the_mean_with_the_interval_of_students_t(values: list[float]) -> None:
    found = estimate(values)
    assert found.mean == pytest.approx(np.mean(values))
    if np.ptp(values) >= 1e-6:
        low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
        assert (found.low, found.high) == pytest.approx((low, high))


def test_a_few_equal_values_have_no_interval() -> None:
    assert estimate([0.25]) == Estimate(0.25, None, None, 1)
    assert estimate([0.25] * 4) == Estimate(0.25, None, None, 4)
    assert estimate([0.25] * 5) == Estimate(0.25, 0.25, 0.25, 5)


def test_contrasts_are_paired_by_seed() -> None:
    first, second = {1: 0.5, 2: 0.7, 3: 0.9, 9: 1.0}, {3: 0.3, 2: 0.5, 1: 0.2, 8: 0.0}
    found = contrast(first, second)
    assert found is not None
    differences = [0.3, 0.2, 0.6]
    assert found.difference.mean == pytest.approx(np.mean(differences))
    assert found.p == pytest.approx(stats.ttest_rel([0.5, 0.7, 0.9], [0.2, 0.5, 0.3]).pvalue)
    assert found.effect == pytest.approx(np.mean(differences) / np.std(differences, ddof=1) * 0.5642, abs=1e-3)
    assert (found.difference.n, found.above) == (3, 1.0)
    assert contrast({1: 0.5}, {2: 0.5}) is None
    equal = contrast(dict.fromkeys(range(6), 0.5), dict.fromkeys(range(6), 0.5))
    assert equal is not None
    assert (equal.p, equal.effect, equal.difference.low, equal.difference.high) == (None, None, 0.0, 0.0)


def test_hedges_g_has_no_bias_in_small_samples() -> None:
    draws = np.random.default_rng(1).normal(0.8, 1.0, (4_000, 5))
    effects = [hedges_g(own) for own in draws]
    assert np.mean([each for each in effects if each is not None]) == pytest.approx(0.8, abs=0.05)
    assert np.mean(draws.mean(axis=1) / draws.std(axis=1, ddof=1)) > 0.95
    assert hedges_g(draws[0][:2]) is None


def test_p_values_are_adjusted_for_their_number_by_holm() -> None:
    assert holm([0.01, None, 0.04, 0.03]) == [pytest.approx(0.03), None, pytest.approx(0.06), pytest.approx(0.06)]
    assert holm([None]) == [None]
    assert holm([]) == []
