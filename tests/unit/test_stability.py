"""When a run is stable: by hand on short series, and by simulation on series with known plateaus."""

from __future__ import annotations

import pytest

from benchmarks.stability import LIMITS, TIMES, ends
from repunet_model.errors import ConfigurationError
from repunet_model.stability import StabilityRule, Stopped

RULE = StabilityRule(window=2, tolerance=0.1, least=4)


def test_a_run_is_stable_when_two_windows_agree() -> None:
    assert RULE.stable_after([1.0, 0.8, 0.6, 0.4, 0.4, 0.4, 0.4]) == 6
    assert RULE.stable_after([1.0, 0.8, 0.6, 0.4, 0.4]) is None
    assert RULE.stable_after([0.5, 0.5, 0.5]) is None
    assert RULE.stable_after([0.5] * 9) == 4


def test_steps_without_choices_count_in_no_mean() -> None:
    assert RULE.stable_after([0.5, None, 0.5, float("nan")]) == 4
    assert RULE.stable_after([0.5, 0.5, None, None, 0.5]) == 5
    assert RULE.stable_after([None] * 20) is None


def test_where_a_run_is_stable_counts_from_its_own_first_step() -> None:
    found = Stopped.of(RULE, [1.0, 0.8, 0.6, 0.4, 0.4, 0.45], first=11)
    assert found is not None
    assert found.step == 16
    assert [found.before, found.last] == pytest.approx([0.5, 0.425])
    assert Stopped.of_dict(found.to_dict()) == found


@pytest.mark.parametrize(("window", "tolerance", "least"), [(0, 0.1, 10), (10, 0.1, 19), (10, 0.0, 30)])
def test_a_rule_that_cannot_be_is_one_clear_line(window: int, tolerance: float, least: int) -> None:
    with pytest.raises(ConfigurationError, match="window must be at least 1, least at least two windows"):
        StabilityRule(window, tolerance, least)


def test_the_defaults_end_simulated_runs_neither_too_late_nor_too_early() -> None:
    """What is simulated, and what the two shares are, is said in the benchmark."""
    found = ends(StabilityRule(), 500, TIMES)
    assert found.late <= LIMITS[0]
    assert found.early <= LIMITS[1]
