"""Screen the parameters of the rules for their influence on the result, so that a tuned result is recognised as such.

The method is that of elementary effects (Morris 1991; mu* of Campolongo, Cariboni & Saltelli 2007): from random starts,
one parameter after another is moved by two thirds of its range; mu* is the mean absolute change of the outcome, scaled
to the whole range. The outcome is final cooperation with reputation and gossip minus that with neither. All points have
the same seeds.
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
from repunet_model.report.evidence import Evidence
from repunet_model.report.pictures import Picture
from repunet_model.report.sections import Section, Table
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
"""The range of each parameter: around the default, within its meaningful values."""

SEEDS = 2
"""The number of seeds at every point."""

LEVELS = 4
"""The number of values of a parameter, evenly spaced over its range."""

_PROBLEM = {"num_vars": len(RANGES), "names": list(RANGES), "bounds": [list(ends) for ends in RANGES.values()]}


def points(trajectories: int) -> NDArray[np.float64]:
    """Return the sample of points for a number of random starts, points × parameters; it is deterministic."""
    drawn: NDArray[np.float64] = sampling.sample(_PROBLEM, trajectories, num_levels=LEVELS, seed=1)
    return drawn


def sweep(of: Sweep, trajectories: int) -> Sweep:
    """Return the sweep over all points, with reputation and gossip and with neither, for a study's sweep of one grid.

    It has the study's other parameters and steps, and its first seeds.
    """
    stored = of.grids[0].stored()
    values = {name: stored[name] for name in stored if name not in {"reputation", "gossip", "backend", "rules"}}
    backends = [
        "rules:" + ",".join(f"{parameter}={value!r}" for parameter, value in zip(RANGES, point, strict=True))
        for point in points(trajectories).tolist()
    ]
    grids = [
        Grid(
            {
                **values,
                "backend": list(dict.fromkeys(backends)),
                "reputation": MODES[mode].reputation,
                "gossip": MODES[mode].gossip,
            }
        )
        for mode in (FULL, NEITHER)
    ]
    return Sweep(f"{of.name}-screening", of.steps, of.seeds[:SEEDS], grids, until_stable=of.until_stable)


@dataclass(frozen=True, slots=True)
class Screened:
    """The screening of one scenario.

    `effects` are those of reputation and gossip at each of the `points`, `default` that with the default parameters.
    For each parameter, `half` is half the width of the 95 % interval of mu*, `sigma` the standard deviation of the
    elementary effects (interaction). `floor` is the mu* that noise between seeds gives a parameter without influence,
    `seeds` the number of seeds at every point.
    """

    game: str
    effects: NDArray[np.float64]
    default: float
    mu_star: NDArray[np.float64]
    half: NDArray[np.float64]
    sigma: NDArray[np.float64]
    floor: float
    seeds: int

    @property
    def positive(self) -> float:
        """The share of points with a positive effect."""
        return float((self.effects > 0).mean())


def screened(results: pd.DataFrame, evidence: Evidence, trajectories: int) -> list[Screened]:
    """Return the screening of each scenario, from the table of its sweep; the study's runs give the noise."""
    drawn = points(trajectories)
    columns = [f"backend.{name}" for name in RANGES]
    ends = results.groupby(["game", "mode", "seed", *columns])["step"].transform("max")
    last = results[results["step"] > ends - PHASE]
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
        both, neither = (panel.by_seed(mode, "cooperation_rate") for mode in (FULL, NEITHER))
        differences = list(paired(both, neither).values())
        seeds = int(own["seed"].nunique())
        floor = _floor(differences, seeds)
        found.append(Screened(panel.game, effects, fmean(differences), mu_star, half, sigma, floor, seeds))
    return found


def _floor(differences: Sequence[float], seeds: int) -> float:
    """Return the mean absolute elementary effect caused by noise between seeds alone."""
    step = LEVELS / (2 * (LEVELS - 1))
    # The mean absolute value of a normal variable is its standard deviation times the root of 2 / pi.
    return stdev(differences) * math.sqrt(2 / seeds) * math.sqrt(2 / math.pi) / step


def _ordered(screening: Screened) -> list[int]:
    return sorted(range(len(RANGES)), key=lambda place: -screening.mu_star[place])


def figure(screening: Sequence[Screened]) -> Figure:
    """Draw mu* of each parameter, and the distribution of the effect over all points."""
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


def picture(screening: Sequence[Screened]) -> Picture:
    """Return the picture of a screening."""
    seeds = screening[0].seeds
    caption = (
        "Above: by how much the effect of reputation and gossip on final cooperation changes when a parameter of the "
        "rules crosses its range (mean absolute elementary effect, Morris's method; lines: 95 % intervals); the dashed "
        "line is what a parameter that does nothing would show by the noise between seeds. Below: that effect at all "
        f"{len(screening[0].effects)} points, and with the default parameters (dashed). At each point {seeds} "
        f"seed{'s' if seeds > 1 else ''}, the same everywhere."
    )
    return Picture("screening", "Which parameters decide", caption, figure(screening))


def table(screening: Sequence[Screened]) -> Table:
    """Return a screening as a table, the most influential parameters first."""
    parameters = [(name, f"{low:g} to {high:g}") for name, (low, high) in RANGES.items()]
    rows = [
        [
            games.find(each.game).title,
            *parameters[place],
            f"{each.mu_star[place]:.3f}",
            f"± {each.half[place]:.3f}",
            f"{each.sigma[place]:.3f}",
            "yes" if each.mu_star[place] - each.half[place] > each.floor else "no",
        ]
        for each in screening
        for place in _ordered(each)
    ]
    caption = "Parameters by scenario, the most influential first; above the noise: the whole interval of mu* is."
    headings = ["scenario", "parameter", "range", "mu*", "95 % interval", "sigma", "above the noise"]
    return Table(caption, headings, rows, words=2)


def sentences(screening: Sequence[Screened]) -> list[str]:
    """Describe for each scenario how the effect varies over the points."""
    return [
        f"{games.find(each.game).title}: reputation and gossip add to final cooperation at {each.positive:.0%} of "
        f"{len(each.effects)} points, by {each.effects.min():+.2f} to {each.effects.max():+.2f} (median "
        f"{np.median(each.effects):+.2f}). With the default parameters they add {each.default:+.2f}, as much as or "
        f"more than at {(each.effects <= each.default).mean():.0%} of the points."
        for each in screening
    ]


def section(screening: Sequence[Screened]) -> Section:
    """Return a screening as a section of a report."""
    title = "Which parameters of the rules decide"
    return Section("screening", title, sentences(screening), tables=[table(screening)])
