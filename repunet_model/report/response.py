"""The response of cooperation to a parameter: its final rate by mode against the values of one number that varies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

from matplotlib.figure import Figure

from repunet_model.config import MODES
from repunet_model.report.drawing import MODE_LOOKS, draw_estimates, mode_legend, tidy_axes
from repunet_model.report.evidence import Evidence, Run, label_of, varying
from repunet_model.report.statistics import Estimate, estimate
from repunet_model.results.stored_game import title_of


@dataclass(frozen=True, slots=True)
class Response:
    """Final cooperation in a scenario whose runs differ in one number beside mode and seed.

    Attributes:
        title: The title of the scenario.
        parameter: The column of the parameter.
        points: The values of the parameter in order, each with the mean rate over seeds, by mode.
        runs: The runs.
    """

    title: str
    parameter: str
    points: Mapping[str, Sequence[tuple[float, Estimate]]]
    runs: Sequence[Run]


def responses(evidence: Evidence) -> list[Response]:
    """Return the response of each scenario in which one parameter varies and is a number."""
    found = []
    for game, panels in evidence.scenarios():
        runs = [run for panel in panels for run in panel.all_runs]
        names = varying(runs)
        if len(names) != 1 or not all(_is_number(run.parameters.get(names[0])) for run in runs):
            continue
        points: dict[str, list[tuple[float, Estimate]]] = {}
        for panel in sorted(panels, key=lambda panel: float(panel.all_runs[0].parameters[names[0]])):
            for mode in panel.runs:
                if rates := list(panel.by_seed(mode, "cooperation_rate").values()):
                    value = float(panel.all_runs[0].parameters[names[0]])
                    points.setdefault(mode, []).append((value, estimate(rates)))
        if points:
            found.append(Response(title_of(game), names[0], points, runs))
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def figure_of(found: Sequence[Response]) -> Figure:
    """Draw the responses side by side, with intervals where there are several seeds."""
    figure = Figure(figsize=(7.5 if len(found) == 1 else 12.0, 4.4), layout="constrained")
    axes = figure.subplots(1, len(found), squeeze=False)[0]
    for ax, response in zip(axes, found, strict=True):
        for mode, points in response.points.items():
            colour, line = MODE_LOOKS[mode]
            draw_estimates(ax, points, 1.5, color=colour, linestyle=line, marker="o", markersize=4)
        tidy_axes(ax, steps=False, share=True)
        ax.set_title(response.title, fontsize=10)
        ax.set_xlabel(label_of(response.parameter))
    axes[0].set_ylabel("cooperation rate at the end")
    modes = [mode for mode in MODES if any(mode in response.points for response in found)]
    figure.legend(handles=mode_legend(modes), loc="outside lower center", ncols=4, frameon=False)
    return figure
