"""Shared parts of all pictures: colours, axes, lines with bands, networks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import matplotlib as mpl
import networkx as nx
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_hex
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from repunet_model.config import FULL, GOSSIP_ONLY, NEITHER, REPUTATION_ONLY
from repunet_model.errors import StorageError
from repunet_model.events import Event
from repunet_model.personas import Disposition

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from repunet_model.report.statistics import Estimate

BLUE, VERMILION, GREEN, ORANGE, GREY = "#0072b2", "#d55e00", "#009e73", "#e69f00", "#666666"
"""Colours of Okabe and Ito's palette, which colour-blind people can distinguish."""

MODE_LOOKS: dict[str, tuple[str, Literal["-", "--", "-.", ":"]]] = {
    FULL: (BLUE, "-"),
    REPUTATION_ONLY: (GREEN, "--"),
    GOSSIP_ONLY: (ORANGE, "-."),
    NEITHER: (VERMILION, ":"),
}
"""Colour and line style of each mode."""

MUTUAL_COLOUR = "#444444"
ONE_WAY_COLOUR = "#cccccc"
SHAPES = {Disposition.ALTRUISTIC: "o", Disposition.SELF_INTERESTED: "s"}
"""The marker of an agent, by disposition."""


def save(figure: Figure, path: Path, dpi: int = 130) -> None:
    """Write a figure reproducibly: equal figures give equal bytes. Raise StorageError if that fails."""
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # "$" in a name is text, not the start of a formula
    if (layout := figure.get_layout_engine()) is not None:
        # Once for all its files: Matplotlib would do it again for each, and draw everything an extra time before.
        layout.execute(figure)
        figure.set_layout_engine("none")
    metadata = {".png": {"Software": None}, ".svg": {"Date": None, "Creator": None}}.get(path.suffix)
    try:
        # Binary mode: the same line endings on every system.
        with mpl.rc_context({"svg.hashsalt": "repunet"}), path.open("wb") as file:
            figure.savefig(file, format=path.suffix[1:], dpi=dpi, metadata=metadata)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error


def tidy_axes(ax: Axes, *, steps: bool = True, share: bool = False) -> None:
    """Hide spines; mark whole steps on the horizontal axis, and shares from 0 to 1 on the vertical one, as asked."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", alpha=0.3)
    if steps:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if share:
        ax.set_ylim(0, 1)
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")


def draw_band(
    ax: Axes, steps: NDArray[np.float64], centre: NDArray[np.float64], half: NDArray[np.float64], **looks: Any
) -> None:
    """Draw the mean `centre` with a band of ± `half` over steps; NaN is a step without a mean or band."""
    known = ~np.isnan(centre)
    steps, centre, half = steps[known], centre[known], half[known]
    (line,) = ax.plot(steps, centre, linewidth=2, **looks)
    if not np.isnan(half).all():
        ax.fill_between(steps, centre - half, centre + half, color=line.get_color(), alpha=0.18, linewidth=0)
    elif len(steps) == 1:
        ax.plot(steps, centre, marker="o", color=line.get_color())


def draw_estimates(
    ax: Axes, points: Sequence[tuple[float, Estimate]], width: float, *, color: Any, shift: float = 0.0, **looks: Any
) -> None:
    """Draw means over values, joined by a line, each with its interval as a line of a width; `shift` moves all."""
    places = [value + shift for value, _ in points]
    ax.plot(places, [each.mean for _, each in points], color=color, **looks)
    for place, (_, each) in zip(places, points, strict=True):
        if each.low is not None and each.high is not None:
            ax.plot([place, place], [each.low, each.high], color=color, linewidth=width)


def mark_events(ax: Axes, events: Sequence[str]) -> None:
    """Mark the steps of events by vertical lines, if they are on the horizontal axis."""
    low, high = ax.get_xlim()
    for step in sorted({Event.read(text).step for text in events}):
        if low <= step <= high:
            ax.axvline(step, color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=0)


def mode_legend(modes: Sequence[str], *, bars: bool = False) -> list[Artist]:
    """Return legend entries for modes, as lines or bars."""
    looks = [(mode, *MODE_LOOKS[mode]) for mode in modes]
    if bars:
        return [Patch(color=colour, label=mode) for mode, colour, _ in looks]
    return [Line2D([], [], color=colour, linestyle=line, linewidth=2, label=mode) for mode, colour, line in looks]


def network_legend() -> list[Line2D]:
    """Return legend entries for dispositions and kinds of ties."""
    hollow: dict[str, Any] = {"color": "none", "markerfacecolor": "white", "markeredgecolor": "black"}
    agents = [Line2D([], [], marker=shape, label=kind.value, **hollow) for kind, shape in SHAPES.items()]
    ties = (("tied to each other", MUTUAL_COLOUR), ("tied one way", ONE_WAY_COLOUR))
    return agents + [Line2D([], [], color=colour, linewidth=2, label=label) for label, colour in ties]


def draw_network(
    ax: Axes,
    graph: nx.DiGraph[str],
    dispositions: Mapping[str, Disposition],
    cooperation: Mapping[str, float],
    size: int = 120,
) -> ScalarMappable:
    """Draw a network of ties; an agent's colour is its cooperation rate (white: no choices), its shape the disposition.

    The result is the source of a colour bar; `size` is that of an agent in square points.
    """
    mutual = [(a, b) for a, b in graph.edges if a < b and graph.has_edge(b, a)]
    one_way = [(a, b) for a, b in graph.edges if not graph.has_edge(b, a)]
    pull: nx.Graph[str] = nx.Graph()
    pull.add_nodes_from(graph)
    pull.add_edges_from(one_way, weight=0.3)
    pull.add_edges_from(mutual, weight=1.0)
    layout = nx.spring_layout(pull, seed=1, k=3.5 / math.sqrt(len(graph)), iterations=200)
    nx.draw_networkx_edges(
        graph, layout, edgelist=one_way, ax=ax, edge_color=ONE_WAY_COLOUR, width=0.5, arrowsize=5, node_size=size
    )
    nx.draw_networkx_edges(graph, layout, edgelist=mutual, ax=ax, edge_color=MUTUAL_COLOUR, width=1.3, arrows=False)
    shades = ScalarMappable(Normalize(0, 1), "cividis")
    for disposition, shape in SHAPES.items():
        names = [name for name in graph if dispositions[name] is disposition]
        if names:
            # Agents without choices are white: Matplotlib would omit nodes without a value.
            colours = [to_hex(shades.cmap(cooperation[name])) if name in cooperation else "white" for name in names]
            nx.draw_networkx_nodes(
                graph, layout, nodelist=names, node_shape=shape, ax=ax, node_size=size, node_color=colours,
                edgecolors="black", linewidths=0.6,
            )  # fmt: skip
    ax.set_axis_off()
    return shades
