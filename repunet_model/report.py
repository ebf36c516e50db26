"""Runs side by side, as tables and pictures."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from rich.table import Table
from scipy import stats

from repunet_model import games
from repunet_model.agents import START_RESOURCES
from repunet_model.errors import ConfigurationError, StorageError
from repunet_model.personas import Disposition
from repunet_model.tables import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from numpy.typing import NDArray

    from repunet_model.model import RepuNetModel

WINDOW = 5
"""Steps that are averaged in tables and pictures."""

COLOURS = ("#0072b2", "#d55e00")
"""Blue and vermilion of Okabe and Ito's palette, which colour-blind people can tell apart."""


def _share(value: float | None) -> str:
    return shown(value, "{:.0%}")


def comparison_table(models: Mapping[str, RepuNetModel]) -> Table:
    """Return what became of some runs of equal length, side by side.

    Args:
        models: The models, by the heading of their column.
    """
    table = Table(title="The same agents, side by side")
    table.add_column("")
    for label in models:
        table.add_column(label, justify="right")
    frames = [model.datacollector.get_model_vars_dataframe() for model in models.values()]
    steps = min(len(frame) for frame in frames) - 1
    for start in range(1, steps + 1, WINDOW):
        end = min(start + WINDOW - 1, steps)
        table.add_row(
            f"cooperation, steps {start}-{end}",
            *(_share(frame["cooperation_rate"].iloc[start : end + 1].mean()) for frame in frames),
        )
    table.add_section()
    for disposition in (Disposition.ALTRUISTIC, Disposition.SELF_INTERESTED):
        table.add_row(
            f"units gained, {disposition.value} agents", *(_gained(model, disposition) for model in models.values())
        )
    for name, heading in (("ties", "ties"), ("mutual_ties", "mutual ties")):
        table.add_row(f"{heading} at the end", *(f"{frame[name].iloc[-1]:.0f}" for frame in frames))
    table.add_row("gossip told", *(f"{frame['gossip_told'].sum():.0f}" for frame in frames))
    table.add_row("questions answered", *(f"{frame['calls'].sum():,.0f}" for frame in frames))
    return table


def _gained(model: RepuNetModel, disposition: Disposition) -> str:
    resources = [float(agent.resources) for agent in model.agents if agent.persona.disposition is disposition]
    return f"{mean(resources) - float(START_RESOURCES):.1f}" if resources else "-"


def comparison_figure(models: Mapping[str, RepuNetModel], path: Path) -> None:
    """Draw cooperation over time, and each society's ties at the end.

    Args:
        models: The models, by their labels.
        path: Where to write the picture.

    Raises:
        StorageError: If it cannot be written.
    """
    figure = Figure(figsize=(14, 5.6), layout="constrained")
    axes = figure.subplots(1, 1 + len(models), width_ratios=(1.3, *(1 for _ in models)))
    _draw_cooperation(axes[0], models)
    for ax, (label, model), colour in zip(axes[1:], models.items(), COLOURS, strict=True):
        nodes = _draw_network(ax, model)
        ax.set_title(f"{label}, step {model.steps}", color=colour, fontweight="bold")
    bar = figure.colorbar(nodes, ax=axes[1:], orientation="horizontal", shrink=0.5, aspect=40, pad=0.01)
    bar.set_label("how often an agent cooperated in the last 10 steps")
    bar.ax.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    figure.legend(handles=_network_legend(), loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle(_headline(models), fontsize=15, fontweight="bold")
    _save(figure, path)


def check_place(path: Path) -> None:
    """Make sure that a picture can be written, before the work that it shows.

    Raises:
        ConfigurationError: If the name is not that of a picture, or its folder cannot be written.
    """
    if path.suffix.lower() not in {".png", ".svg", ".pdf"}:
        raise ConfigurationError(f"--figure {str(path)!r}: name a file that ends in .png, .svg or .pdf")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error
    if not os.access(path.parent, os.W_OK):
        raise StorageError(f"{path} cannot be written: no permission for its folder")


def _save(figure: Figure, path: Path) -> None:
    """Write a picture to a place that was checked."""
    try:
        figure.savefig(path, dpi=130)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error


def _headline(models: Mapping[str, RepuNetModel]) -> str:
    parts = []
    for label, model in models.items():
        rates = model.datacollector.get_model_vars_dataframe()["cooperation_rate"]
        parts.append(f"{_share(rates.tail(10).mean())} {label}")
    return f"Cooperation in the last 10 steps: {', '.join(parts)}"


def _draw_cooperation(ax: Axes, models: Mapping[str, RepuNetModel]) -> None:
    for (label, model), colour in zip(models.items(), COLOURS, strict=True):
        rates = model.datacollector.get_model_vars_dataframe()["cooperation_rate"].iloc[1:].astype(float)
        ax.plot(rates.index, rates, color=colour, alpha=0.25, linewidth=1)
        smooth = rates.rolling(WINDOW, min_periods=1).mean()
        ax.plot(smooth.index, smooth, color=colour, linewidth=3)
        ax.text(smooth.index[-1], smooth.iloc[-1] + 0.04, label, color=colour, ha="right", fontweight="bold")
    model = next(iter(models.values()))
    ax.set(xlabel="step", ylabel="cooperations / choices", ylim=(0, 1), xlim=(0.5, model.steps + 0.5))
    ax.set_title(f"{len(model.graph)} agents, seed {model.seed} (bold: mean of {WINDOW} steps)")
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", alpha=0.3)


_MUTUAL_COLOUR = "#444444"
_ONE_WAY_COLOUR = "#cccccc"
_SHAPES = {Disposition.ALTRUISTIC: "o", Disposition.SELF_INTERESTED: "s"}


def _network_legend() -> list[Line2D]:
    return [
        *(
            Line2D(
                [], [], marker=shape, color="none", markerfacecolor="white", markeredgecolor="black", label=kind.value
            )
            for kind, shape in _SHAPES.items()
        ),
        *(
            Line2D([], [], color=colour, linewidth=2, label=label)
            for label, colour in (("tied to each other", _MUTUAL_COLOUR), ("tied one way", _ONE_WAY_COLOUR))
        ),
    ]


def _draw_network(ax: Axes, model: RepuNetModel) -> PathCollection:
    """Draw who is bound to whom; colour is how often an agent cooperated, shape its disposition."""
    graph = model.graph
    mutual = [(a, b) for a, b in graph.edges if a < b and graph.has_edge(b, a)]
    one_way = [(a, b) for a, b in graph.edges if not graph.has_edge(b, a)]
    pull: nx.Graph[str] = nx.Graph()
    pull.add_nodes_from(graph)
    pull.add_edges_from(one_way, weight=0.3)
    pull.add_edges_from(mutual, weight=1.0)
    layout = nx.spring_layout(pull, seed=1, k=3.5 / math.sqrt(len(graph)), iterations=200)
    rates = _cooperation_by_agent(model)
    nx.draw_networkx_edges(
        graph, layout, edgelist=one_way, ax=ax, edge_color=_ONE_WAY_COLOUR, width=0.5, arrowsize=5, node_size=120
    )
    nx.draw_networkx_edges(graph, layout, edgelist=mutual, ax=ax, edge_color=_MUTUAL_COLOUR, width=1.3, arrows=False)
    drawn = None
    for disposition, shape in _SHAPES.items():
        names = [agent.name for agent in model.agents if agent.persona.disposition is disposition]
        if names:
            drawn = nx.draw_networkx_nodes(
                graph, layout, nodelist=names, node_shape=shape, ax=ax, node_size=120, cmap="cividis", vmin=0, vmax=1,
                node_color=[rates.get(name, np.nan) for name in names], edgecolors="black", linewidths=0.6,
            )  # fmt: skip
    ax.set_axis_off()
    assert drawn is not None
    return drawn


def _cooperation_by_agent(model: RepuNetModel) -> dict[str, float]:
    rows = model.datacollector.get_table_dataframe("interactions")
    acts: dict[str, list[float]] = {}
    for row in rows[rows["step"] > model.steps - 10].itertuples():
        for name, act in ((row.first, row.first_cooperated), (row.second, row.second_cooperated)):
            if act is not None:
                acts.setdefault(str(name), []).append(float(act))
    return {name: mean(values) for name, values in acts.items()}


def interval(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the means of independent runs and half the width of their 95 % confidence intervals, by Student's t.

    Args:
        values: One row for each run, at least two; the mean is taken over rows.
    """
    runs = values.shape[0]
    half = stats.t.ppf(0.975, runs - 1) * values.std(axis=0, ddof=1) / math.sqrt(runs)
    return values.mean(axis=0), half


def modes_table(cooperation: Mapping[str, Mapping[str, NDArray[np.float64]]], last: int) -> Table:
    """Return the final cooperation of each game and mode with its interval over seeds.

    Args:
        cooperation: Cooperation rates by game and mode, runs × steps.
        last: Over how many last steps to average.
    """
    runs, steps = next(iter(next(iter(cooperation.values())).values())).shape
    table = Table(title=f"Cooperation, steps {steps - last + 1}-{steps}, {runs} seeds")
    for heading in ("game", "mode"):
        table.add_column(heading)
    for heading in ("mean", "95 % interval"):
        table.add_column(heading, justify="right")
    for game, by_mode in cooperation.items():
        for mode, rates in by_mode.items():
            centre, half = interval(rates[:, -last:].mean(axis=1))
            table.add_row(game, mode, f"{centre:.3f}", f"{centre - half:.3f} to {centre + half:.3f}")
        table.add_section()
    return table


MODE_LOOKS = {
    "reputation and gossip": ("#0072b2", "-"),
    "reputation only": ("#009e73", "--"),
    "gossip only": ("#e69f00", "-."),
    "neither": ("#d55e00", ":"),
}
"""Colour (Okabe and Ito's palette) and line of each mode."""


def modes_figure(cooperation: Mapping[str, Mapping[str, NDArray[np.float64]]], path: Path) -> None:
    """Draw cooperation over time in each game and mode: means over seeds with 95 % bands, one panel a game.

    Args:
        cooperation: Cooperation rates by game and mode, runs × steps.
        path: Where to write the picture.

    Raises:
        StorageError: If it cannot be written.
    """
    figure = Figure(figsize=(4.8 * len(cooperation), 4.6), layout="constrained")
    panels = figure.subplots(1, len(cooperation), sharey=True, squeeze=False)[0]
    runs = 0
    for ax, (game, by_mode) in zip(panels, cooperation.items(), strict=True):
        for mode, rates in by_mode.items():
            runs, steps = rates.shape
            centre, half = interval(rates)
            colour, line = MODE_LOOKS[mode]
            x = np.arange(1, steps + 1)
            ax.plot(x, centre, line, color=colour, linewidth=2, label=mode)
            ax.fill_between(x, centre - half, centre + half, color=colour, alpha=0.18, linewidth=0)
        ax.set(title=games.find(game).title, xlabel="step", ylim=(0, 1))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="y", alpha=0.3)
    panels[0].set_ylabel("cooperation rate")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle(f"Cooperation over time, rules backend: mean of {runs} seeds and 95 % band", fontweight="bold")
    _save(figure, path)
