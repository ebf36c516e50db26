"""How often the stability rule ends a run too early, or too late, on simulated series with known plateaus.

    uv run benchmarks/stability.py

A series is the cooperation rate of 20 agents who make one choice each in every step: a binomial share of 20 choices,
drawn by a chance that approaches a plateau. Plateau and start are uniform between 0.05 and 0.95, at least 0.3 apart.
Half of the series approach it exponentially, half along a logistic curve whose middle lies at one to three times its
scale. The true time is the first step from which the chance stays within 0.05 of the plateau; it is drawn
log-uniformly, and the curve is scaled to it. Series are 200 steps long.

    too late     the rule ends the run after more than 1.5 times the true time, or not at all
    too early    the rule ends the run while the chance is still more than 0.1 from the plateau
    before       the rule ends the run before the true time, near the plateau or not

No rule of this form is right for all true times. It cannot end a run before `least` steps, so that faster societies run
on for longer than they need, and that is too late here. Of a society that takes twice as long, two windows of ten steps
show no change that 20 choices a step would tell from chance: the run ends too early. For such a society a rule with
twice the window and twice the least number of steps does what the defaults do for others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from repunet_model.stability import StabilityRule

CHOICES = 20
LENGTH = 200
SETTLED, NEAR = 0.05, 0.1
"""The distances from the plateau that define the true time, and an end that is too early."""

TIMES = (20.0, 42.0)
"""The true times for which the defaults of the rule were chosen, in steps."""

LIMITS = (0.10, 0.05)
"""The largest shares of series that may end too late and too early."""


@dataclass(frozen=True, slots=True)
class Ends:
    """The shares of series that a rule ends too late, too early, and before the true time; and its median end."""

    late: float
    early: float
    before: float
    median: float


def simulated(
    count: int, times: tuple[float, float], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the rates, series × steps; the chances from which they were drawn; and the plateaus."""
    draw = np.random.default_rng(seed)
    pairs = draw.uniform(0.05, 0.95, (count * 20, 2))
    plateau, start = pairs[abs(pairs[:, 0] - pairs[:, 1]) >= 0.3][:count].T
    amplitude = abs(start - plateau)
    true = np.exp(draw.uniform(math.log(times[0]), math.log(times[1]), count))
    steps = np.arange(1, LENGTH + 1)
    exponential = np.exp(-steps / (true / np.log(amplitude / SETTLED))[:, None])
    middle = draw.uniform(1, 3, count)
    whole = 1 + np.exp(-middle)
    scale = true / (middle + np.log(whole * amplitude / SETTLED - 1))
    logistic = whole[:, None] / (1 + np.exp(np.minimum(steps / scale[:, None] - middle[:, None], 500)))
    curve = np.where((np.arange(count) % 2 == 0)[:, None], exponential, logistic)
    chance = plateau[:, None] + (start - plateau)[:, None] * curve
    return draw.binomial(CHOICES, chance) / CHOICES, chance, plateau


def ends(rule: StabilityRule, count: int, times: tuple[float, float], seed: int = 1) -> Ends:
    """Apply the rule to simulated series."""
    rates, chance, plateau = simulated(count, times, seed)
    away = abs(chance - plateau[:, None])
    true, near = (np.argmax(away < distance, axis=1) + 1 for distance in (SETTLED, NEAR))
    stops = np.array([rule.stable_after(own) or LENGTH * 100 for own in rates.tolist()])
    return Ends(
        float((stops > 1.5 * true).mean()),
        float((stops < near).mean()),
        float((stops < true).mean()),
        float(np.median(stops)),
    )


def row(label: str, found: Ends) -> str:
    """Format a line of the table."""
    return f"{label:28}{found.late:>10.1%}{found.early:>11.1%}{found.before:>9.1%}{found.median:>8.0f}"


def main(bands: Sequence[tuple[float, float]] = ((5, 10), (10, 20), TIMES, (42, 60), (60, 100))) -> None:
    """Print the table."""
    rule = StabilityRule()
    print(f"{rule}; 500 series a line\n\ntrue time, steps                too late  too early   before  median")
    for times in bands:
        mark = " *" if times == TIMES else ""
        print(row(f"{times[0]:.0f} to {times[1]:.0f}{mark}", ends(rule, 500, times)))
    print(row("the same *, 20,000 series", ends(rule, 20_000, TIMES, seed=2)))
    slow = StabilityRule(2 * rule.window, rule.tolerance, 2 * rule.least)
    print(f"\n{slow}")
    print(row(f"{2 * TIMES[0]:.0f} to {2 * TIMES[1]:.0f}", ends(slow, 500, (2 * TIMES[0], 2 * TIMES[1]))))
    print(f"\n* the defaults are for these; at most {LIMITS[0]:.0%} may end too late and {LIMITS[1]:.0%} too early.")


if __name__ == "__main__":
    main()
