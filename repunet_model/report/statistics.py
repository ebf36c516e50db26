"""Intervals, paired contrasts, effect sizes and regressions of independent runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

LEVEL = 0.95
"""The confidence level of every interval."""

LEAST_FOR_BOOTSTRAP = 5
"""Fewer values than this are too few to draw from."""

RESAMPLES = 9_999

NO_DIFFERENCE = 1e-9
"""Values that differ by less are equal but for rounding, and have no spread."""


def bands(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean of independent runs in each step, and half the width of its 95 % interval, by Student's t.

    Args:
        values: Runs × steps; NaN where nothing was measured, which does not count.

    Returns:
        NaN where there is no value, or only one, of which there is no interval.
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
        low: The lower end of its 95 % bootstrap interval; None for too few runs.
        high: The upper end.
        n: How many runs.
    """

    mean: float
    low: float | None
    high: float | None
    n: int

    def __str__(self) -> str:
        interval = "too few for an interval" if self.low is None else f"{self.low:+.3f} to {self.high:+.3f}"
        return f"{self.mean:+.3f} ({interval})"


def estimate(values: Sequence[float]) -> Estimate:
    """Return a mean with its bootstrap interval (BCa; Efron 1987), drawn with a fixed seed.

    Args:
        values: One for each independent run, at least one.
    """
    data = np.asarray(values, dtype=float)
    mean = float(data.mean())
    if len(data) < LEAST_FOR_BOOTSTRAP:
        return Estimate(mean, None, None, len(data))
    if np.ptp(data) < NO_DIFFERENCE:
        return Estimate(mean, mean, mean, len(data))
    drawn = stats.bootstrap(
        (data,), np.mean, n_resamples=RESAMPLES, confidence_level=LEVEL, method="BCa", rng=np.random.default_rng(1)
    )
    interval = drawn.confidence_interval
    return Estimate(mean, float(interval.low), float(interval.high), len(data))


@dataclass(frozen=True, slots=True)
class Contrast:
    """The difference between two modes, paired by seed.

    Attributes:
        difference: The mean of the differences.
        effect: The mean difference in standard deviations of the differences (Cohen's d for pairs); None where all
            differences are equal, or there is only one.
        above: The share of seeds with a positive difference.
    """

    difference: Estimate
    effect: float | None
    above: float


def contrast(first: Mapping[int, float], second: Mapping[int, float]) -> Contrast | None:
    """Return by how much a measure is higher in one mode than in another, over the seeds that both have.

    Args:
        first: The measure by seed.
        second: The same in the other mode.

    Returns:
        None if they have no seed in common.
    """
    differences = [first[seed] - second[seed] for seed in sorted(set(first) & set(second))]
    if not differences:
        return None
    spread = float(np.std(differences, ddof=1)) if len(differences) > 1 else 0.0
    average = math.fsum(differences) / len(differences)
    return Contrast(
        estimate(differences),
        average / spread if spread > NO_DIFFERENCE else None,
        sum(difference > 0 for difference in differences) / len(differences),
    )


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line through agents.

    Attributes:
        intercept: Where it starts.
        slope: By how much the outcome rises for one more of the predictor.
        low: The lower end of the slope's 95 % interval.
        high: The upper end.
        p: The probability of a slope at least as steep if there were none.
        r_squared: The share of variance that the line explains.
        agents: How many agents.
        runs: How many runs.
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
    """Fit a line by ordinary least squares; agents of one run are no independent cases, so errors are clustered by run.

    With a single run the errors are robust to unequal variances (HC3) instead.

    Args:
        predictor: A value of each agent.
        outcome: What it is to explain.
        run: The run of each agent.

    Returns:
        None where there is no line, for fewer than three agents, or equal values.
    """
    if len(outcome) < 3 or np.ptp(predictor) == 0 or np.ptp(outcome) == 0:
        return None
    import statsmodels.api as sm  # noqa: PLC0415 - takes seconds

    design = sm.add_constant(pd.DataFrame({"x": np.asarray(predictor, dtype=float)}))
    runs = len(set(run))
    model = sm.OLS(np.asarray(outcome, dtype=float), design)
    if runs > 1:
        fitted = model.fit(cov_type="cluster", cov_kwds={"groups": np.asarray(run)}, use_t=True)
    else:
        fitted = model.fit(cov_type="HC3", use_t=True)
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
