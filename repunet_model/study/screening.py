"""A screening of the parameters of the rules: which of them decide, so that nobody takes a tuned result for a finding.

Elementary effects after Morris (1991), with the means of absolute effects of Campolongo, Cariboni & Saltelli (2007):
from random starts one parameter after another is moved by two thirds of its range; the mean absolute change of the
outcome, scaled to the whole range, is mu*. The outcome is by how much more there is cooperation in the final phase with
reputation and gossip than with neither. Seeds are the same at every point.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from SALib.analyze import morris as analysis
from SALib.sample import morris as sampling

from repunet_model import games
from repunet_model.config import FULL, MODES, NEITHER
from repunet_model.report.drawing import BLUE, GREY, VERMILION, tidy_axes
from repunet_model.report.evidence import Evidence, Panel
from repunet_model.report.page import Section, Table
from repunet_model.report.pictures import Picture
from repunet_model.report.statistics import paired
from repunet_model.results.tables import PHASE
from repunet_model.sweep.grid import Grid, Sweep

RANGES: dict[str, tuple[float, float]] = {
    "precision": (0.5, 4.0),
    "altruism": (0.0, 2.0),
    "altruist_expectation": (0.5, 1.0),
    "expectation": (0.1, 0.9),
    "expectation_weight": (0.5, 4.0),
    "discount": (0.5, 0.99),
    "learning_rate": (0.1, 0.9),
    "hearsay": (0.0, 1.0),
    "social_precision": (1.0, 8.0),
    "tie_threshold": (-0.5, 0.5),
    "gossip_threshold": (0.25, 1.0),
}
"""How far each parameter is moved: about the default, as far as it keeps its meaning."""

SEEDS = 2
"""How many seeds are run at every point."""

LEVELS = 4
"""Values of a parameter, evenly over its range."""

_PROBLEM = {"num_vars": len(RANGES), "names": list(RANGES), "bounds": [list(ends) for ends in RANGES.values()]}


def points(trajectories: int) -> NDArray[np.float64]:
    """Return where the rules are tried: a row a point, a column a parameter, the same for the same number.

    Args:
        trajectories: How many random starts.
    """
    drawn: NDArray[np.float64] = sampling.sample(_PROBLEM, trajectories, num_levels=LEVELS, seed=1)
    return drawn


def sweep(name: str, scenarios: Sequence[str], steps: int, seeds: Sequence[int], trajectories: int) -> Sweep:
    """Return the sweep that tries every point with reputation and gossip and with neither."""
    backends = [
        "rules:" + ",".join(f"{parameter}={value!r}" for parameter, value in zip(RANGES, point, strict=True))
        for point in points(trajectories).tolist()
    ]
    grids = [
        Grid(
            {
                "scenario": list(scenarios),
                "backend": list(dict.fromkeys(backends)),
                "reputation": MODES[mode].reputation,
                "gossip": MODES[mode].gossip,
            }
        )
        for mode in (FULL, NEITHER)
    ]
    return Sweep(name, steps, seeds, grids)


@dataclass(frozen=True, slots=True)
class Screened:
    """The screening of one scenario.

    Attributes:
        game: Its name.
        effects: What reputation and gossip add at each point, in the order of `points`.
        default: What they add with the default parameters, by the study.
        mu_star: The mean absolute elementary effect of each parameter.
        half: Half the width of its 95 % interval.
        sigma: The standard deviation of the effects: how far it depends on the other parameters.
        floor: The mu* of a parameter that does nothing, by the spread between seeds of the study.
    """

    game: str
    effects: NDArray[np.float64]
    default: float
    mu_star: NDArray[np.float64]
    half: NDArray[np.float64]
    sigma: NDArray[np.float64]
    floor: float

    @property
    def positive(self) -> float:
        """The share of points at which reputation and gossip add to cooperation."""
        return float((self.effects > 0).mean())


def screened(results: pd.DataFrame, evidence: Evidence, trajectories: int) -> list[Screened]:
    """Return the elementary effects of every parameter, scenario by scenario.

    Args:
        results: The table of the sweep.
        evidence: The runs of the study, by which the noise is known.
        trajectories: As for the sweep.
    """
    drawn = points(trajectories)
    columns = [f"backend.{name}" for name in RANGES]
    last = results[results["step"] > results["step"].max() - PHASE]
    final = last.groupby(["game", "mode", "seed", *columns])["cooperation_rate"].mean().reset_index()
    found = []
    for panel in evidence.panels:
        own = final[final["game"] == panel.game]
        by_mode = own.pivot_table(index=columns, columns="mode", values="cooperation_rate")
        effect = (by_mode[FULL] - by_mode[NEITHER]).to_dict()
        effects = np.array([effect[tuple(point)] for point in drawn.tolist()])
        analysed = analysis.analyze(_PROBLEM, drawn, effects, num_levels=LEVELS, seed=1)
        mu_star, half, sigma = (
            np.asarray(analysed[name], dtype=float) for name in ("mu_star", "mu_star_conf", "sigma")
        )
        differences = _differences(panel)
        floor = _floor(differences, own["seed"].nunique())
        found.append(Screened(panel.game, effects, fmean(differences), mu_star, half, sigma, floor))
    return found


def _differences(panel: Panel) -> list[float]:
    """Return what reputation and gossip add with the default parameters, seed by seed."""
    both, neither = (panel.by_seed(mode, "cooperation_rate") for mode in (FULL, NEITHER))
    return list(paired(both, neither).values())


def _floor(differences: Sequence[float], seeds: int) -> float:
    """Return the mean absolute effect that the noise between seeds alone makes."""
    step = LEVELS / (2 * (LEVELS - 1))
    # The mean absolute value of a normal variable is its standard deviation times the root of 2 / pi.
    return stdev(differences) * math.sqrt(2 / seeds) * math.sqrt(2 / math.pi) / step


def _ordered(screening: Screened) -> list[int]:
    return sorted(range(len(RANGES)), key=lambda place: -screening.mu_star[place])


def figure(screening: Sequence[Screened]) -> Figure:
    """Draw how much each parameter decides, and what reputation and gossip add over all points."""
    drawn = Figure(figsize=(12, 6.4), layout="constrained")
    axes = drawn.subplots(2, len(screening), squeeze=False, height_ratios=(2, 1))
    for top, bottom, each in zip(axes[0], axes[1], screening, strict=True):
        order = list(reversed(_ordered(each)))
        y = np.arange(len(order))
        top.errorbar(each.mu_star[order], y, xerr=each.half[order], fmt="o", color=BLUE, capsize=2)
        top.axvline(each.floor, color=GREY, linestyle="--", linewidth=1)
        top.set_yticks(y, [list(RANGES)[place].replace("_", " ") for place in order], fontsize=8)
        top.set(title=games.find(each.game).title, xlim=(0, None))
        top.set_xlabel("mu*: change over the whole range", fontsize=9)
        top.spines[["top", "right"]].set_visible(False)
        top.grid(axis="x", alpha=0.3)
        bottom.hist(each.effects, bins=np.linspace(-0.6, 1.0, 33).tolist(), color=BLUE)
        bottom.axvline(0, color=GREY, linewidth=1)
        bottom.axvline(each.default, color=VERMILION, linestyle="--", linewidth=1.5)
        bottom.set(xlabel="cooperation with both − with neither")
        tidy_axes(bottom, steps=False)
    axes[1][0].set_ylabel("points")
    return drawn


def picture(screening: Sequence[Screened], seeds: int) -> Picture:
    """Return the picture of a screening."""
    caption = (
        "Above: by how much the effect of reputation and gossip on final cooperation changes when a parameter of the "
        "rules "
        "crosses its range (mean absolute elementary effect, Morris's method; lines: 95 % intervals); the dashed "
        "line is "
        "what a parameter that does nothing would show by the noise between seeds. Below: that effect at all "
        f"{len(screening[0].effects)} points, and with the default parameters (dashed). At each point {seeds} "
        f"seed{'s' if seeds > 1 else ''}, the same "
        f"everywhere."
    )
    return Picture("screening", "Which parameters decide", caption, figure(screening))


def table(screening: Sequence[Screened]) -> Table:
    """Return what a screening found, as a table."""
    rows = []
    for each in screening:
        for place in _ordered(each):
            low, high = list(RANGES.values())[place]
            rows.append(
                [
                    games.find(each.game).title,
                    list(RANGES)[place],
                    f"{low:g} to {high:g}",
                    f"{each.mu_star[place]:.3f}",
                    f"± {each.half[place]:.3f}",
                    f"{each.sigma[place]:.3f}",
                    "yes" if each.mu_star[place] - each.half[place] > each.floor else "no",
                ]
            )
    caption = "Parameters by scenario, the most influential first; above the noise: the whole interval of mu* is."
    headings = ["scenario", "parameter", "range", "mu*", "95 % interval", "sigma", "above the noise"]
    return Table(caption, headings, rows, words=2)


def sentences(screening: Sequence[Screened]) -> list[str]:
    """Return in words how far the effect depends on the parameters."""
    return [
        f"{games.find(each.game).title}: reputation and gossip add to final cooperation at {each.positive:.0%} of "
        f"{len(each.effects)} points, by {each.effects.min():+.2f} to {each.effects.max():+.2f} (median "
        f"{np.median(each.effects):+.2f}). With the default parameters they add {each.default:+.2f}, as much as or "
        f"more "
        f"than at {(each.effects <= each.default).mean():.0%} of the points."
        for each in screening
    ]


def section(screening: Sequence[Screened]) -> Section:
    """Return a screening as a section of a report."""
    title = "Which parameters of the rules decide"
    return Section("screening", title, sentences(screening), tables=[table(screening)])
