"""Intervals, paired contrasts, effect sizes and regressions over independent runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

LEVEL = 0.95
"""The confidence level of every interval."""

METHOD = "Student's t"
"""The method of every interval of a mean, and of the tests of contrasts.

Means over seeds are means of many choices, for which it holds the level from two runs on. A bootstrap does not: with
five runs an interval by BCa of 95 % holds the true mean in about 82 % (`tests/unit/test_statistics.py`).
"""

LEAST_ALIKE = 5
"""The smallest number of equal values that count as an estimate without error."""

NO_DIFFERENCE = 1e-9
"""A smaller spread of values is rounding error and counts as 0."""


def bands(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean over independent runs in each step, and half the width of its 95 % interval (Student's t).

    Args:
        values: A matrix, runs × steps; NaN is a missing value.

    Returns:
        Means, NaN without a value, and half widths, NaN with fewer than two values.
    """
    count = (~np.isnan(values)).sum(axis=0)
    safe = np.maximum(count, 1)
    centre = np.where(count > 0, np.nansum(values, axis=0) / safe, np.nan)
    spread = np.sqrt(np.nansum((values - centre) ** 2, axis=0) / np.maximum(count - 1, 1))
    half = stats.t.ppf((1 + LEVEL) / 2, np.maximum(count - 1, 1)) * spread / np.sqrt(safe)
    return centre, np.where(count > 1, half, np.nan)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over independent runs.

    Attributes:
        mean: The mean.
        low: The lower end of its 95 % interval (`METHOD`); None for too few runs.
        high: The upper end.
        n: The number of runs.
    """

    mean: float
    low: float | None
    high: float | None
    n: int

    def __str__(self) -> str:
        interval = "too few for an interval" if self.low is None else f"{self.low:+.3f} to {self.high:+.3f}"
        return f"{self.mean:+.3f} ({interval})"


def estimate(values: Sequence[float]) -> Estimate:
    """Return the mean of the values of independent runs with its interval.

    A single value has no interval, nor have fewer than `LEAST_ALIKE` equal ones; that of more equal ones is a point.
    """
    data = np.asarray(values, dtype=float)
    mean = float(data.mean())
    if _are_alike(data):
        end = mean if len(data) >= LEAST_ALIKE else None
        return Estimate(mean, end, end, len(data))
    centre, half = bands(data[:, None])
    return Estimate(mean, float(centre[0] - half[0]), float(centre[0] + half[0]), len(data))


def share(successes: int, trials: int) -> Estimate:
    """Return the share of independent trials that succeed, with its interval by Wilson (1927).

    Args:
        successes: The number of successes.
        trials: The number of trials, at least one.
    """
    interval = stats.binomtest(successes, trials).proportion_ci(LEVEL, "wilson")
    return Estimate(successes / trials, float(interval.low), float(interval.high), trials)


def combined_shares(weights: Sequence[float], counts: Sequence[tuple[int, int]]) -> Estimate:
    """Return the sum of weight × share over groups of independent trials.

    The interval combines those of the shares by the method of variance estimates recovery (Newcombe 1998 for a
    difference, Zou & Donner 2008 in general). Unlike one of a regression it has a width even if all trials of each
    group end alike, which is common in groups of a few trials.

    Args:
        weights: The weight of each group, such as (1, -1) for a difference.
        counts: Successes and trials of each group, at least one trial each.
    """
    shares = [share(*count) for count in counts]
    value = math.fsum(weight * each.mean for weight, each in zip(weights, shares, strict=True))
    below = above = 0.0
    for weight, each in zip(weights, shares, strict=True):
        assert each.low is not None
        assert each.high is not None
        down, up = weight * (each.mean - each.low), weight * (each.high - each.mean)
        below += (down if weight > 0 else up) ** 2
        above += (up if weight > 0 else down) ** 2
    return Estimate(value, value - math.sqrt(below), value + math.sqrt(above), sum(trials for _, trials in counts))


def slope_of_shares(doses: Sequence[float], counts: Sequence[tuple[int, int]]) -> Estimate:
    """Return the slope of the least-squares line through shares at different doses, with `combined_shares`' interval.

    Args:
        doses: The doses, at least two different ones.
        counts: Successes and trials at each dose; the line weighs each dose by its trials.
    """
    trials = np.array([trials for _, trials in counts], dtype=float)
    centred = np.asarray(doses, dtype=float) - np.average(doses, weights=trials)
    weights = trials * centred / float(trials @ centred**2)
    return combined_shares(weights.tolist(), counts)


def verdict(measured: Estimate) -> str:
    """Return the answer that an estimate gives to the question whether its number is above 0."""
    if measured.low is None or measured.high is None:
        return "too few seeds"
    if measured.low == measured.high == 0:
        return "no difference"
    if measured.low > 0:
        return "yes"
    return "no" if measured.high < 0 else "not shown"


def _are_alike(data: NDArray[np.float64]) -> bool:
    return bool(np.ptp(data) < NO_DIFFERENCE)


@dataclass(frozen=True, slots=True)
class Contrast:
    """The difference between two modes, paired by seed.

    Attributes:
        difference: The mean of the differences.
        p: The p-value of no mean difference, two-sided (t-test for pairs); None if all differences are equal, or for a
            single one.
        effect: The mean difference in standard deviations of the differences, corrected for small samples (Hedges' g
            for pairs); None if all differences are equal, or for fewer than three.
        above: The share of seeds with a positive difference.
    """

    difference: Estimate
    p: float | None
    effect: float | None
    above: float


def paired(first: Mapping[Any, float], second: Mapping[Any, float]) -> dict[Any, float]:
    """Return the differences between two modes in a measure by seed, over the common seeds."""
    return {seed: first[seed] - second[seed] for seed in sorted(set(first) & set(second))}


def contrast(first: Mapping[Any, float], second: Mapping[Any, float]) -> Contrast | None:
    """Return the contrast between two modes in a measure by seed; None without a common seed."""
    differences = np.array(list(paired(first, second).values()))
    if not len(differences):
        return None
    p = None if _are_alike(differences) else float(stats.ttest_1samp(differences, 0.0).pvalue)
    above = float((differences > 0).mean())
    return Contrast(estimate(differences.tolist()), p, hedges_g(differences), above)


def hedges_g(differences: NDArray[np.float64]) -> float | None:
    """Return the standardised mean of differences (Cohen's d for pairs) without its bias in small samples.

    The factor is exact (Hedges 1981): Γ(m/2) / (√(m/2) Γ((m − 1)/2)) for m = n − 1.
    """
    freedom = len(differences) - 1
    if freedom < 2 or _are_alike(differences):
        return None
    gammas = math.lgamma(freedom / 2) - math.lgamma((freedom - 1) / 2)
    return float(differences.mean() / differences.std(ddof=1)) * math.exp(gammas) / math.sqrt(freedom / 2)


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Return the p-values of a family adjusted for their number (Holm 1979); None stands for no test."""
    known = [value for value in values if value is not None]
    if not known:
        return list(values)
    # As statsmodels' multipletests, which takes seconds: it collects all garbage of the process each time.
    order = np.argsort(known, kind="stable")
    adjusted = np.empty(len(known))
    adjusted[order] = np.maximum.accumulate(np.asarray(known)[order] * np.arange(len(known), 0, -1)).clip(max=1)
    found = iter(adjusted.tolist())
    return [None if value is None else next(found) for value in values]


@dataclass(frozen=True, slots=True)
class Line:
    """A regression line over agents.

    Attributes:
        intercept: The intercept.
        slope: The slope.
        low: The lower end of the 95 % interval of the slope.
        high: The upper end.
        p: The p-value of the slope, two-sided.
        r_squared: The share of variance that the line explains.
        agents: The number of agents.
        runs: The number of runs.
    """

    intercept: float
    slope: float
    low: float
    high: float
    p: float
    r_squared: float
    agents: int
    runs: int


def regression(predictor: Sequence[float], outcome: Sequence[float], run: Sequence[int]) -> Line | None:
    """Fit a line by ordinary least squares to values of agents.

    Errors are clustered by run, since agents of one run are not independent; for a single run they are robust (HC3).

    Returns:
        None for fewer than three agents, if all values of a variable are equal, or if in a single run all values of the
        predictor but one are, since the line then goes through that agent, whose error is unknown.
    """
    if len(outcome) < 3 or np.ptp(predictor) == 0 or np.ptp(outcome) == 0:
        return None
    if len(set(run)) == 1 and _largest_leverage(np.asarray(predictor, dtype=float)) > 1 - NO_DIFFERENCE:
        return None
    from statsmodels.regression.linear_model import OLS  # noqa: PLC0415 - takes seconds
    from statsmodels.tools.tools import add_constant  # noqa: PLC0415 - takes seconds

    design = add_constant(pd.DataFrame({"x": np.asarray(predictor, dtype=float)}))
    runs = len(set(run))
    model = OLS(np.asarray(outcome, dtype=float), design)
    clustered = {"cov_type": "cluster", "cov_kwds": {"groups": np.asarray(run)}}
    fitted = model.fit(**(clustered if runs > 1 else {"cov_type": "HC3"}), use_t=True)
    with np.errstate(invalid="ignore"):  # The variance of a line without error may be rounded to below 0.
        low, high = fitted.conf_int(1 - LEVEL).loc["x"]
    return Line(
        float(fitted.params["const"]),
        float(fitted.params["x"]),
        float(low),
        float(high),
        float(fitted.pvalues["x"]),
        float(fitted.rsquared),
        len(outcome),
        runs,
    )


def _largest_leverage(predictor: NDArray[np.float64]) -> float:
    """Return the largest share that a value has in its own fitted value on a line."""
    squares = (predictor - predictor.mean()) ** 2
    return float(1 / len(predictor) + squares.max() / squares.sum())
