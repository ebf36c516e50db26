"""Draw the figures of a report; `pictures` adds captions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from repunet_model.config import FULL
from repunet_model.personas import Disposition
from repunet_model.questions.base import Credibility
from repunet_model.report.contrasts import contrasts_of
from repunet_model.report.drawing import (
    BLUE,
    GREY,
    MODE_LOOKS,
    VERMILION,
    draw_band,
    draw_network,
    mark_events,
    mode_legend,
    network_legend,
    tidy_axes,
)
from repunet_model.report.evidence import Panel, Run
from repunet_model.report.statistics import Estimate, Line, bands, regression
from repunet_model.results.tables import PHASE, cooperation_by_agent
from repunet_model.storage.schema import INTERACTIONS

SHOWN_AGENTS = 3000
"""The largest number of points in a scatter plot; the line is fitted to all agents."""


def _figure(rows: int, columns: int, height: float = 3.1) -> tuple[Figure, NDArray[np.object_]]:
    # A single panel is wider than each of several, so that it fills the page.
    figure = Figure(figsize=(12.0 if columns > 1 else 7.5, height * rows + 0.6), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _lines(ax: Axes, panel: Panel, measure: str, modes: Sequence[str]) -> bool:
    """Draw a measure over time by mode; return False if there are no values."""
    for mode in (mode for mode in modes if mode in panel.runs):
        steps, values = panel.series(mode, measure)
        if not np.isnan(values).all():
            colour, line = MODE_LOOKS[mode]
            draw_band(ax, steps, *bands(values), color=colour, linestyle=line)
    return bool(ax.lines)


def _empty(ax: Axes, reason: str) -> None:
    """Write the reason for a missing plot in its place."""
    ax.text(0.5, 0.5, reason, ha="center", va="center", color=GREY, transform=ax.transAxes, wrap=True)
    ax.set(xticks=[], yticks=[])
    ax.spines[["top", "right", "left", "bottom"]].set_visible(False)


def _grid_of_lines(panels: Sequence[Panel], modes: Sequence[str], measures: dict[str, str], height: float) -> Figure:
    """Draw measures over time, one row for each measure that any run has, and one column for each panel."""
    measures = {name: label for name, label in measures.items() if any(p.has(name) for p in panels)} or measures
    figure, axes = _figure(len(measures), len(panels), height)
    for row, (measure, label) in zip(axes, measures.items(), strict=True):
        row[0].set_ylabel(label)
        for ax, panel in zip(row, panels, strict=True):
            if _lines(ax, panel, measure, modes):
                mark_events(ax, panel.events)
                tidy_axes(ax, share=measure.endswith("_rate"))
            else:
                _empty(ax, "nothing to measure")
    for top, bottom, panel in zip(axes[0], axes[-1], panels, strict=True):
        top.set_title(panel.title, fontsize=10)
        bottom.set_xlabel("step")
    figure.legend(handles=mode_legend(modes), loc="outside lower center", ncols=4, frameon=False)
    return figure


def cooperation(panels: Sequence[Panel], modes: Sequence[str]) -> Figure:
    """Draw cooperation over time by mode."""
    return _grid_of_lines(panels, modes, {"cooperation_rate": "cooperation rate"}, 3.6)


def contrasts(panels: Sequence[Panel]) -> Figure:
    """Draw the differences between modes in final cooperation."""
    figure, axes = _figure(1, len(panels), 2.6)
    for ax, panel in zip(axes[0], panels, strict=True):
        found = contrasts_of(panel)
        for place, each in enumerate(reversed(found)):
            difference = each.contrast.difference
            if difference.low is not None and difference.high is not None:
                ax.plot([difference.low, difference.high], [place, place], color="black", linewidth=2)
            ax.plot(difference.mean, place, "o", color="black")
        ax.axvline(0, color=GREY, linewidth=1)
        ax.set_yticks(range(len(found)), [each.label.replace(" − ", "\n− ") for each in reversed(found)], fontsize=8)
        ax.tick_params("y", labelleft=bool(ax is axes[0, 0]))
        ax.set_title(panel.title, fontsize=10)
        ax.set_xlabel("difference in cooperation rate")
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="x", alpha=0.3)
        ax.set_ylim(-0.5, max(len(found) - 0.5, 0.5))
    return figure


def points_by_mode(values: Mapping[str, Mapping[tuple[str, str], Estimate]], modes: Sequence[str]) -> Figure:
    """Draw values with their intervals, a panel for each title and a line for each name; keys are name and mode."""
    names = list(dict.fromkeys(name for own in values.values() for name, _ in own))
    height = 0.25 * len(modes) * len(names) + 0.8
    columns = min(len(values), 3)
    figure, axes = _figure(math.ceil(len(values) / columns), columns, max(height, 2.6))
    shown = [mode for mode in modes if any(mode == own for each in values.values() for _, own in each)]
    for ax in axes.flat[len(values) :]:
        ax.set_axis_off()
    for number, (ax, (title, own)) in enumerate(zip(axes.flat, values.items(), strict=False)):
        for (name, mode), value in own.items():
            place = len(names) - 1 - names.index(name) + 0.15 * ((len(shown) - 1) / 2 - shown.index(mode))
            if value.low is not None and value.high is not None:
                ax.plot([value.low, value.high], [place, place], color=MODE_LOOKS[mode][0], linewidth=2)
            ax.plot(value.mean, place, "o", markersize=5, color=MODE_LOOKS[mode][0])
        for at in (0.0, 0.5, 1.0):
            ax.axvline(at, color=GREY, linewidth=0.6)
        ax.set_yticks(range(len(names)), [name.replace(", and ", ",\nand ") for name in reversed(names)], fontsize=7)
        ax.tick_params("y", labelleft=number % columns == 0)
        ax.set_title(title, fontsize=10)
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_ylim(-0.5, len(names) - 0.5)
    figure.legend(handles=mode_legend(shown), loc="outside lower center", ncols=4, frameon=False)
    return figure


NETWORK_MEASURES = {
    "ties": "ties",
    "mutual_ties": "mutual ties",
    "clustering": "clustering",
    "communities": "communities",
    "modularity": "modularity",
    "assortativity_disposition": "assortativity:\ndisposition",
    "assortativity_cooperation": "assortativity:\ncooperation",
}


def network_measures(panels: Sequence[Panel], modes: Sequence[str]) -> Figure:
    """Draw ties, clustering, communities and assortativity over time by mode."""
    return _grid_of_lines(panels, modes, NETWORK_MEASURES, 1.75)


def own_measures(panels: Sequence[Panel]) -> list[str]:
    """Return the names of the measures that extensions added."""
    return sorted(
        {name for p in panels for runs in p.runs.values() for r in runs for name in r.stored.manifest.measures}
    )


def lines(panels: Sequence[Panel], modes: Sequence[str], measures: Sequence[str]) -> Figure:
    """Draw measures over time by mode."""
    return _grid_of_lines(panels, modes, {name: name.replace("_", " ") for name in measures}, 1.75)


def _snapshots(panel: Panel) -> list[tuple[str, Run, int]]:
    """Return label, run and step of each network: the first seed of each mode, or three steps of a single mode."""
    if len(panel.runs) > 1:
        return [(f"{mode}\n", runs[0], runs[0].stored.last) for mode, runs in panel.runs.items()]
    (run,) = (runs[0] for runs in panel.runs.values())
    last = run.stored.last
    steps = {max(last // 3, min(last, 1)), 2 * last // 3, last}
    if "ties" in run.measures:  # else the run has no ties that are known
        known = run.measures.dropna(subset="ties")["step"]
        steps = {int(known[known <= step].max()) for step in steps if (known <= step).any()}
    return [("", run, step) for step in sorted(steps) if step or not last]


def networks(panels: Sequence[Panel]) -> Figure:
    """Draw networks."""
    columns = max(len(_snapshots(panel)) for panel in panels)
    figure, axes = _figure(len(panels), columns, 3.2)
    drawn = None
    for row, panel in zip(axes, panels, strict=True):
        for ax in row:
            ax.set_axis_off()
        for ax, (label, run, step) in zip(row, _snapshots(panel), strict=False):
            shown = run.cooperation if step == run.last_step else _cooperation_until(run, step)
            drawn = draw_network(ax, run.stored.step(step).network.graph, run.dispositions, shown, size=55)
            ax.set_title(f"{panel.title}\n{label}step {step}, {run.label}", fontsize=9)
    assert drawn is not None
    bar = figure.colorbar(drawn, ax=axes, orientation="horizontal", shrink=0.4, aspect=50, pad=0.01)
    bar.set_label(f"share of cooperative choices in the up to {PHASE} steps until then", fontsize=9)
    bar.ax.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    figure.legend(handles=network_legend(), loc="outside lower center", ncols=4, frameon=False)
    return figure


def _cooperation_until(run: Run, step: int) -> dict[str, float]:
    steps = run.stored.steps(max(step - PHASE + 1, 1), step)
    return cooperation_by_agent(row for each in steps for row in each.rows(INTERACTIONS))


def _bars(ax: Axes, groups: Sequence[str], values: dict[str, list[NDArray[np.float64]]], modes: Sequence[str]) -> None:
    """Draw grouped means over runs with their intervals; `values` has, by mode, an array for each group."""
    shown = [mode for mode in modes if mode in values]
    width = 0.8 / max(len(shown), 1)
    for place, mode in enumerate(shown):
        x = np.arange(len(groups)) + (place - (len(shown) - 1) / 2) * width
        pairs = [bands(own[:, None]) if own.size else (np.array([np.nan]), np.array([np.nan])) for own in values[mode]]
        centres = np.array([centre[0] for centre, _ in pairs])
        halves = np.nan_to_num(np.array([half[0] for _, half in pairs]))
        whiskers = {"elinewidth": 1, "capsize": 2}
        ax.bar(x, centres, width * 0.92, yerr=halves, color=MODE_LOOKS[mode][0], label=mode, error_kw=whiskers)
    ax.set_xticks(np.arange(len(groups)), groups, fontsize=8)
    ax.set_xlim(-0.5, len(groups) - 0.5)
    tidy_axes(ax, steps=False)
    ax.set_ylim(bottom=0)


_DISPOSITIONS = (Disposition.ALTRUISTIC, Disposition.SELF_INTERESTED)


def _by_disposition(runs: Sequence[Run], column: str) -> list[NDArray[np.float64]]:
    """Return the mean of a column of `Run.agents` in each run, by disposition."""
    found = []
    for disposition in _DISPOSITIONS:
        means = [run.agents.loc[run.agents["disposition"] == disposition.value, column].mean() for run in runs]
        found.append(np.array([mean for mean in means if not pd.isna(mean)], dtype=float))
    return found


def _over_time_and_at_the_end(
    panels: Sequence[Panel], modes: Sequence[str], measure: str, label: str, column: str, end_label: str
) -> Figure:
    """Draw a measure over time, and below it a column of `Run.agents` by disposition."""
    figure, axes = _figure(2, len(panels), 2.5)
    for top, bottom, panel in zip(axes[0], axes[1], panels, strict=True):
        top.set_title(panel.title, fontsize=10)
        if _lines(top, panel, measure, modes):
            tidy_axes(top)
            top.set_ylim(bottom=0)
            top.set_xlabel("step")
        else:
            _empty(top, "nothing to measure")
        values = {mode: _by_disposition(runs, column) for mode, runs in panel.runs.items()}
        _bars(bottom, [disposition.value for disposition in _DISPOSITIONS], values, modes)
    axes[0][0].set_ylabel(label)
    axes[1][0].set_ylabel(end_label)
    figure.legend(handles=mode_legend(modes), loc="outside lower center", ncols=4, frameon=False)
    return figure


def isolation(panels: Sequence[Panel], modes: Sequence[str]) -> Figure:
    """Draw the number of isolated agents, and their dispositions."""
    return _over_time_and_at_the_end(
        panels, modes, "isolated", "isolated agents", "isolated", "share isolated\nat the end"
    )


def resources(panels: Sequence[Panel], modes: Sequence[str]) -> Figure:
    """Draw the inequality of resources, and their final means by disposition."""
    return _over_time_and_at_the_end(panels, modes, "gini", "Gini of resources", "resources", "units at the end")


def scores(panels: Sequence[Panel], modes: Sequence[str]) -> Figure:
    """Draw mean scores over time by mode and disposition."""
    measures = {"score_altruistic": "score of altruists", "score_self_interested": "score of the\nself-interested"}
    figure = _grid_of_lines(panels, modes, measures, 2.4)
    drawn = [ax for ax in figure.axes if ax.lines]
    if drawn:
        # One scale makes dispositions and scenarios comparable.
        low, high = min(ax.get_ylim()[0] for ax in drawn), max(ax.get_ylim()[1] for ax in drawn)
        for ax in drawn:
            ax.set_ylim(low, high)
    return figure


def gossip(panels: Sequence[Panel], modes: Sequence[str]) -> Figure:
    """Draw the number of messages in a run, by tone, order and credibility."""
    kinds: list[tuple[int, str, dict[object, str]]] = [
        (0, "tone", {"positive": "positive", "negative": "negative"}),
        (1, "order", {1: "first", 2: "second"}),
        (2, "found credible", {level.value: level.value.replace(" ", "\n") for level in Credibility}),
    ]
    told = [key for panel in panels for runs in panel.runs.values() for run in runs for key in run.gossip]
    kinds = [kind for kind in kinds if any(key[kind[0]] is not None for key in told)]
    figure, axes = _figure(len(panels), len(kinds), 2.6)
    for row, panel in zip(axes, panels, strict=True):
        for ax, (place, what, labels) in zip(row, kinds, strict=True):
            values = {
                mode: [np.array([_count(run, place, kind) for run in runs], dtype=float) for kind in labels]
                for mode, runs in panel.runs.items()
                if mode in modes
            }
            _bars(ax, list(labels.values()), values, modes)
            ax.set_title(f"{panel.title}: {what}", fontsize=9)
        row[0].set_ylabel("messages in a run")
    figure.legend(handles=mode_legend(modes, bars=True), loc="outside lower center", ncols=4, frameon=False)
    return figure


def _count(run: Run, place: int, kind: object) -> int:
    return sum(count for key, count in run.gossip.items() if key[place] == kind)


def gossip_line(panel: Panel) -> Line | None:
    """Regress agents' scores on the number of messages they told; None without a line."""
    agents = _scored(panel)
    return regression(agents["gossip"].tolist(), agents["score"].tolist(), agents["run"].tolist())


def _scored(panel: Panel) -> pd.DataFrame:
    """Return the agents with a score in the runs with reputation and gossip."""
    frames = [run.agents.assign(run=number) for number, run in enumerate(panel.runs.get(FULL, ()))]
    return pd.concat(frames).dropna(subset=["score"]) if frames else pd.DataFrame(columns=["gossip", "score", "run"])


def gossip_and_score(panels: Sequence[Panel]) -> Figure:
    """Draw agents' scores against the number of messages they told, with the fitted line."""
    figure, axes = _figure(1, len(panels), 3.4)
    for ax, panel in zip(axes[0], panels, strict=True):
        agents, line = _scored(panel), gossip_line(panel)
        ax.set_title(panel.title, fontsize=10)
        if line is None:
            _empty(ax, "no line: too few agents,\nor all alike")
            continue
        shown = agents.sample(min(len(agents), SHOWN_AGENTS), random_state=1)
        ax.scatter(shown["gossip"], shown["score"], s=9, alpha=0.3, linewidth=0, rasterized=True, color=BLUE)
        x = np.array([agents["gossip"].min(), agents["gossip"].max()], dtype=float)
        ax.plot(x, line.intercept + line.slope * x, color=VERMILION, linewidth=2)
        ax.set(xlabel="messages told in the run", ylabel="score at the end", ylim=(-1.05, 1.05))
        tidy_axes(ax)
    return figure


def costs(panels: Sequence[Panel], modes: Sequence[str]) -> Figure:
    """Draw calls by step, and the tokens and dollars of endpoints if there are any."""
    measures = {"calls": "questions answered"}
    for name, label in (("tokens", "tokens"), ("usd", "US dollars")):
        if any(name in run.measures and run.measures[name].sum() for p in panels for r in p.runs.values() for run in r):
            measures[name] = label
    return _grid_of_lines(panels, modes, measures, 2.8)
