"""Elements that all pictures share: colours, axes, lines with bands, networks."""

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
from repunet_model.personas import Disposition

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

BLUE, VERMILION, GREEN, ORANGE, GREY = "#0072b2", "#d55e00", "#009e73", "#e69f00", "#666666"
"""Of Okabe and Ito's palette, which colour-blind people can tell apart."""

MODE_LOOKS: dict[str, tuple[str, Literal["-", "--", "-.", ":"]]] = {
    FULL: (BLUE, "-"),
    REPUTATION_ONLY: (GREEN, "--"),
    GOSSIP_ONLY: (ORANGE, "-."),
    NEITHER: (VERMILION, ":"),
}
"""Colour and line of each mode."""

MUTUAL_COLOUR = "#444444"
ONE_WAY_COLOUR = "#cccccc"
SHAPES = {Disposition.ALTRUISTIC: "o", Disposition.SELF_INTERESTED: "s"}
"""The shape of an agent in a picture of a network."""


def save(figure: Figure, path: Path, dpi: int = 130) -> None:
    """Write a picture, the same bytes for the same picture.

    Raises:
        StorageError: If it cannot be written.
    """
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a "$" is a letter of a name or a model
    metadata = {"Software": None} if path.suffix == ".png" else {"Date": None, "Creator": None}
    try:
        with mpl.rc_context({"svg.hashsalt": "repunet"}):
            known = metadata if path.suffix in {".png", ".svg"} else None
            with path.open("wb") as file:  # as bytes: the same ends of lines on every system
                figure.savefig(file, format=path.suffix[1:], dpi=dpi, metadata=known)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error


def tidy_axes(ax: Axes, *, steps: bool = True, share: bool = False) -> None:
    """Take away what does not inform.

    Args:
        ax: The axes.
        steps: Whether the horizontal axis has steps.
        share: Whether the vertical axis has shares, from 0 to 1.
    """
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", alpha=0.3)
    if steps:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if share:
        ax.set_ylim(0, 1)
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")


def draw_band(
    ax: Axes,
    steps: NDArray[np.float64],
    centre: NDArray[np.float64],
    half: NDArray[np.float64],
    **looks: Any,
) -> None:
    """Draw a mean over time with its band; steps without a value are passed over.

    Args:
        ax: Where.
        steps: The steps.
        centre: The mean in each.
        half: Half the width of the band; NaN where there is none.
        looks: Of the line.
    """
    known = ~np.isnan(centre)
    steps, centre, half = steps[known], centre[known], half[known]
    (line,) = ax.plot(steps, centre, linewidth=2, **looks)
    if not np.isnan(half).all():
        ax.fill_between(steps, centre - half, centre + half, color=line.get_color(), alpha=0.18, linewidth=0)
    elif len(steps) == 1:
        ax.plot(steps, centre, marker="o", color=line.get_color())


def mode_legend(modes: Sequence[str], *, bars: bool = False) -> list[Artist]:
    """Return the entries of a legend of modes, of lines or of bars."""
    if bars:
        return [Patch(color=MODE_LOOKS[mode][0], label=mode) for mode in modes]
    return [
        Line2D([], [], color=MODE_LOOKS[mode][0], linestyle=MODE_LOOKS[mode][1], linewidth=2, label=mode)
        for mode in modes
    ]


def network_legend() -> list[Line2D]:
    """Return the entries of a legend of a network: dispositions, and kinds of ties."""
    return [
        *(
            Line2D(
                [], [], marker=shape, color="none", markerfacecolor="white", markeredgecolor="black", label=kind.value
            )
            for kind, shape in SHAPES.items()
        ),
        *(
            Line2D([], [], color=colour, linewidth=2, label=label)
            for label, colour in (("tied to each other", MUTUAL_COLOUR), ("tied one way", ONE_WAY_COLOUR))
        ),
    ]


def draw_network(
    ax: Axes,
    graph: nx.DiGraph[str],
    dispositions: Mapping[str, Disposition],
    cooperation: Mapping[str, float],
    size: int = 120,
) -> ScalarMappable:
    """Draw who is bound to whom; colour is how often an agent cooperated, shape its disposition.

    Args:
        ax: Where.
        graph: The ties.
        dispositions: By name.
        cooperation: The share of an agent's choices that were cooperative, by name; white where there is none.
        size: Of an agent, in square points.

    Returns:
        What a colour bar is drawn of.
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
            # Whoever made no choice is drawn white: Matplotlib would leave out what has no value.
            colours = [to_hex(shades.cmap(cooperation[name])) if name in cooperation else "white" for name in names]
            nx.draw_networkx_nodes(
                graph, layout, nodelist=names, node_shape=shape, ax=ax, node_size=size, node_color=colours,
                edgecolors="black", linewidths=0.6,
            )  # fmt: skip
    ax.set_axis_off()
    return shades
