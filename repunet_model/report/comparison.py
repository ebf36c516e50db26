"""Draw the same agents with and without RepuNet, side by side."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from repunet_model.errors import ConfigurationError, StorageError
from repunet_model.report.drawing import BLUE, VERMILION, draw_network, network_legend, save, tidy_axes
from repunet_model.report.tables import WINDOW, share_in_words
from repunet_model.results.tables import PHASE, cooperation_by_agent
from repunet_model.util import files
from repunet_model.util.text import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

    from repunet_model.model import RepuNetModel

COLOURS = (BLUE, VERMILION)
"""The colours of the two societies."""

LABEL_HEIGHT = 0.05
"""The height of the label of a line, as a share of the axis."""


def comparison_figure(models: Mapping[str, RepuNetModel], path: Path) -> None:
    """Draw cooperation over time, and the final ties of each model, by label; raise StorageError if writing fails."""
    figure = Figure(figsize=(14, 5.6), layout="constrained")
    axes = figure.subplots(1, 1 + len(models), width_ratios=(1.3, *(1 for _ in models)))
    _draw_cooperation(axes[0], models)
    for ax, (label, model), colour in zip(axes[1:], models.items(), COLOURS, strict=True):
        nodes = _draw_society(ax, model)
        ax.set_title(f"{label}, step {model.steps}", color=colour, fontweight="bold")
    bar = figure.colorbar(nodes, ax=axes[1:], orientation="horizontal", shrink=0.5, aspect=40, pad=0.01)
    bar.set_label(f"how often an agent cooperated in {_last_steps(models)}")
    bar.ax.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    figure.legend(handles=network_legend(), loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle(_headline(models), fontsize=15, fontweight="bold")
    save(figure, path)


def check_place(path: Path) -> None:
    """Check before any run that a picture can be written; raise ConfigurationError or StorageError if not."""
    if path.suffix.lower() not in {".png", ".svg", ".pdf"}:
        raise ConfigurationError(f"picture {str(path)!r} (--figure): name a file that ends in .png, .svg or .pdf")
    files.check_new(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error
    if not os.access(path.parent, os.W_OK):
        raise StorageError(f"{path} cannot be written: no permission for its folder")


def _headline(models: Mapping[str, RepuNetModel]) -> str:
    parts = []
    for label, model in models.items():
        rates = model.datacollector.get_model_vars_dataframe()["cooperation_rate"]
        parts.append(f"{share_in_words(rates.iloc[1:].tail(PHASE).mean())} {label}")
    return f"Offline rules, one seed. Cooperation in {_last_steps(models)}: {', '.join(parts)}"


def _last_steps(models: Mapping[str, RepuNetModel]) -> str:
    steps = next(iter(models.values())).steps
    return f"steps {max(steps - PHASE, 0) + 1} to {steps}"


def _draw_cooperation(ax: Axes, models: Mapping[str, RepuNetModel]) -> None:
    ends: dict[str, tuple[float, str]] = {}
    for (label, model), colour in zip(models.items(), COLOURS, strict=True):
        rates = model.datacollector.get_model_vars_dataframe()["cooperation_rate"].iloc[1:].astype(float)
        ax.plot(rates.index, rates, color=colour, alpha=0.25, linewidth=1)
        smooth = rates.rolling(WINDOW, min_periods=1).mean()
        ax.plot(smooth.index, smooth, color=colour, linewidth=3)
        ends[label] = (float(smooth.iloc[-1]), colour)
    model = next(iter(models.values()))
    ax.set(xlabel="step", ylabel="cooperation rate (cooperations / choices)", xlim=(0.5, model.steps + 0.5))
    ax.set_title(f"{counted(len(model.graph), 'agent')}, seed {model.config.seed}\n(bold: mean of {WINDOW} steps)")
    tidy_axes(ax, share=True)
    _label_ends(ax, ends)


def _label_ends(ax: Axes, ends: Mapping[str, tuple[float, str]]) -> None:
    """Write the label of each line to the right of its end; labels of lines that end close together keep apart."""
    lowest = 0.0
    for label, (height, colour) in sorted(ends.items(), key=lambda end: end[1]):
        lowest = max(height, lowest)
        ax.text(1.01, lowest, label, color=colour, va="center", weight="bold", transform=ax.get_yaxis_transform())
        lowest += LABEL_HEIGHT


def _draw_society(ax: Axes, model: RepuNetModel) -> ScalarMappable:
    rows = model.datacollector.get_table_dataframe("interactions").to_dict("records")
    cooperation = cooperation_by_agent(row for row in rows if row["step"] > model.steps - PHASE)
    return draw_network(ax, model.graph, {agent.name: agent.persona.disposition for agent in model.agents}, cooperation)
