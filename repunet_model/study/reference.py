"""The numbers that the paper reports, beside our own: data of `reference.toml`, as a table, a picture and sentences.

A reported mean with its spread stands beside an interval of ours, never a number beside a number: mechanism,
population, model and number of runs may all differ.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from repunet_model.report.drawing import GREY, MODE_LOOKS, tidy_axes
from repunet_model.report.evidence import Evidence, Panel
from repunet_model.report.pictures import ACROSS, Picture, seeds_of
from repunet_model.report.sections import Section, Table, estimate_in_words
from repunet_model.report.statistics import Estimate, estimate
from repunet_model.results.tables import PHASE
from repunet_model.study.measuring import last_mean

SCENARIOS = ("prisoners_dilemma", "investment", "sign_up")
"""The scenarios of the paper."""


@dataclass(frozen=True, slots=True)
class Reported:
    """A cooperation rate that the paper reports; `spread` is its ±, which it does not define, None without one."""

    where: str
    model: str
    scenario: str
    mode: str
    mean: float
    spread: float | None = None

    def __str__(self) -> str:
        spread = "" if self.spread is None else f" ± {self.spread:.2f}"
        return f"{self.mean:.2f}{spread}"


@cache
def _data() -> dict[str, Any]:
    return tomllib.loads(files("repunet_model.study").joinpath("reference.toml").read_text(encoding="utf-8"))


def last_steps() -> int:
    """Return the number of last rounds over which the paper takes the mean of a cooperation rate."""
    return int(_data()["last"])


def cooperation(game: str, mode: str) -> list[Reported]:
    """Return the reported cooperation rates of a game in a mode, that of the paper's main table first."""
    found = [Reported(**each) for each in _data()["cooperation"]]
    return [each for each in found if (each.scenario, each.mode) == (game, mode)]


def reported(claim: str, modes: Sequence[str], game: str) -> str:
    """Return what the paper reports of a claim in a game, in words; a dash if nothing.

    Args:
        claim: The key of the claim.
        modes: The modes whose cooperation rates the claim is about.
        game: The name of the game.
    """
    rates = [str(own[0]) for mode in modes if (own := cooperation(game, mode))]
    if rates:
        return " against ".join(rates)
    statements = (
        each["text"] for each in _data()["statements"] if each["claim"] == claim and game in each["scenarios"]
    )
    return next(statements, "–")


def sentences(evidence: Evidence) -> list[str]:
    """Say what is compared, and which runs are published ones."""
    data = _data()
    asked = f"{data['runs']} runs of {data['agents']} {data['model']} agents"
    texts = [
        f"Compared are cooperation rates of the last {data['last']} steps. The paper's ({data['citation']}) are means "
        f"over {asked}, with a ± that it does not define; ours are means over the runs named here, with 95 % "
        "intervals. Who answers, the mechanism, and the numbers of steps and runs may differ, so that a rate inside or "
        "outside the other's range is no test of either."
    ]
    if any(panel.game == "investment" for panel in evidence.panels):
        texts.append(
            "In the investment game a cooperation rate is, here and in the published code, the share of encounters "
            "that are accepted and in which the investor gets at least the promised share."
        )
    if published := [str(run.parameters["run"]) for run in evidence.runs if run.seed is None]:
        names = ", ".join(published)
        texts.append(
            f"Published runs: {names}. The published repository stores {data['stored_runs']} runs, made by an early "
            f"state of its code; these are {len(published)} of them. A mode with a single run has no interval over "
            "runs. What they do not tell, such as a tone or a seed, is missing, and nothing is put in its place."
        )
    return texts


def _ours(panel: Panel, mode: str, last: int) -> Estimate | None:
    values = list(last_mean(panel, mode, "cooperation_rate", last).values())
    return estimate(values) if values else None


def table(evidence: Evidence) -> Table:
    """Build the table of the paper's cooperation rates beside ours."""
    rows = []
    for panel, mode, _ in evidence.cells():
        theirs = "; ".join(f"{each} ({each.model})" for each in cooperation(panel.game, mode)) or "–"
        five, ten = (_ours(panel, mode, last) for last in (last_steps(), PHASE))
        if five is not None and ten is not None:
            rows.append([panel.title, mode, theirs, *estimate_in_words(five), *estimate_in_words(ten), str(five.n)])
    caption = (
        f"Cooperation rates: the paper's mean over the last {last_steps()} rounds, with its ± (Table 1, and other "
        f"models of its appendix), and ours over the last {last_steps()} and the last {PHASE} steps, with 95 % "
        "intervals over seeds."
    )
    headings = ["scenario", "mode", "paper", f"last {last_steps()}", "95 % interval", f"last {PHASE}", "95 % interval"]
    return Table(caption, [*headings, "seeds"], rows, words=3)


def section(evidence: Evidence) -> Section:
    """Return the comparison as a section of a report."""
    return Section("reference", "The paper's numbers beside ours", sentences(evidence), tables=[table(evidence)])


def picture(evidence: Evidence, name: str = "reference", title: str = "The paper's numbers beside ours") -> Picture:
    """Return the picture of the comparison."""
    caption = (
        f"Cooperation rates of the last {last_steps()} steps by mode. Dots: our means over "
        f"{seeds_of(evidence.panels)} a mode, lines their 95 % intervals. Diamonds: the paper's means over "
        f"{_data()['runs']} runs of {_data()['model']}, thin lines its ± (not defined there); crosses: other models, "
        "of its appendix. What may differ between them is said in the text; nothing is tested."
    )
    return Picture(name, title, caption, figure(evidence.panels))


def figure(panels: Sequence[Panel]) -> Figure:
    """Draw our final cooperation with its intervals, and the paper's as marks beside it."""
    across = min(len(panels), ACROSS)
    rows = -(-len(panels) // across)
    drawn = Figure(figsize=(12.0 if across > 1 else 7.5, 3.4 * rows + 0.6), layout="constrained")
    axes = drawn.subplots(rows, across, squeeze=False).flatten()
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    for ax, panel in zip(axes, panels, strict=False):
        _draw(ax, panel)
    axes[0].set_ylabel(f"cooperation rate, last {last_steps()} steps")
    theirs: dict[str, Any] = {"linestyle": "none", "color": GREY}
    handles = [
        Line2D([], [], marker="o", linestyle="none", color="black", label="ours, 95 % interval"),
        Line2D([], [], marker="D", markerfacecolor="white", label="the paper, ±", **theirs),
        Line2D([], [], marker="x", label="the paper, other models", **theirs),
    ]
    drawn.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    return drawn


def _draw(ax: Axes, panel: Panel) -> None:
    modes = list(panel.runs)
    for place, mode in enumerate(modes):
        own, colour = _ours(panel, mode, last_steps()), MODE_LOOKS[mode][0]
        if own is not None:
            if own.low is not None and own.high is not None:
                ax.plot([place - 0.12] * 2, [own.low, own.high], color=colour, linewidth=2.5)
            ax.plot(place - 0.12, own.mean, "o", color=colour)
        for each in cooperation(panel.game, mode):
            if each.spread is None:
                ax.plot(place + 0.3, each.mean, "x", color=GREY)
            else:
                looks: dict[str, Any] = {"color": GREY, "markerfacecolor": "white", "linewidth": 1, "capsize": 3}
                ax.errorbar(place + 0.12, each.mean, yerr=each.spread, fmt="D", **looks)
    ax.set_xticks(np.arange(len(modes)), [mode.replace(" ", "\n", 1) for mode in modes], fontsize=8)
    ax.set_xlim(-0.5, len(modes) - 0.5)
    tidy_axes(ax, steps=False, share=True)
    ax.set_title(panel.title, fontsize=10)
