"""The section "under attack" of a report: cooperation and damage against the number of planted agents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import optimize

from repunet_model.config import MODES
from repunet_model.events import Event
from repunet_model.report.drawing import MODE_LOOKS, draw_estimates, tidy_axes
from repunet_model.report.evidence import Evidence, Repetition, Run, varying, words_of
from repunet_model.report.pictures import Picture
from repunet_model.report.sections import Section, Table
from repunet_model.report.statistics import METHOD, estimate, paired
from repunet_model.results.attack import MEASURES, NEAR, WINDOW, Attack, attack_of
from repunet_model.results.stored_game import title_of
from repunet_model.results.tables import PHASE
from repunet_model.rng import Streams
from repunet_model.storage.manifest import PLANTED

TITLE = "Under attack"

RESAMPLES = 500
"""The number of bootstrap samples of seeds for the interval of a breaking point."""

LEAST_DOSES = 3
"""The smallest number of doses with which a curve is fitted."""


@dataclass(frozen=True)
class Curve:
    """Runs that differ in their doses and seeds alone.

    Attributes:
        title: The scenario.
        mode: The mode.
        condition: What else tells the runs from others of the report, such as the institution; empty for nothing.
        doses: The runs of each dose by repetition, in ascending order of doses.
    """

    title: str
    mode: str
    condition: str
    doses: Mapping[int, Mapping[Repetition, tuple[Run, Attack]]]

    @property
    def label(self) -> str:
        """The mode and the condition."""
        return f"{self.mode}, {self.condition}" if self.condition else self.mode

    def cooperation(self, dose: int) -> dict[Repetition, float]:
        """Return final cooperation at a dose by repetition, without runs that have none."""
        found = {key: run.mean_of("cooperation_rate") for key, (run, _) in self.doses[dose].items()}
        return {key: rate for key, rate in found.items() if rate is not None}

    @cached_property
    def breaking_point(self) -> BreakingPoint | None:
        """See `breaking_point`."""
        return breaking_point({dose: self.cooperation(dose) for dose in self.doses})

    def measured(self, dose: int, measure: str) -> dict[Repetition, float]:
        """Return a measure of the attack at a dose by repetition, without runs that have none."""
        found = {key: getattr(attack, measure) for key, (_, attack) in self.doses[dose].items()}
        return {key: float(value) for key, value in found.items() if value is not None}


@dataclass(frozen=True, slots=True)
class BreakingPoint:
    """The dose at which final cooperation is half of that without planted agents.

    Attributes:
        dose: The dose by the fitted curve; None if it is beyond the doses that were run.
        low: The lower end of its 95 % interval, by a bootstrap of the seeds; None with fewer than two seeds.
        high: The upper end; infinite if more than 2.5 % of the samples do not break within the doses that were run.
    """

    dose: float | None
    low: float | None
    high: float | None


def curves(evidence: Evidence) -> list[Curve]:
    """Return the attacked runs by scenario, mode and condition."""
    attacked = [(run, attack) for run in evidence.runs if (attack := attack_of(run.stored, PHASE)) is not None]
    found: dict[tuple[str, str, str], dict[int, dict[Repetition, tuple[Run, Attack]]]] = {}
    for game in dict.fromkeys(str(run.parameters["game"]) for run, _ in attacked):
        own = [(run, attack) for run, attack in attacked if run.parameters["game"] == game]
        apart = [name for name in varying([run for run, _ in own]) if not name.startswith(_OF_DOSES)]
        kinds = {_kind(run) for run, _ in own}
        for run, attack in own:
            words = [words_of(name, run.parameters.get(name)) for name in apart]
            condition = ", ".join([*words, *([_kind(run)] if len(kinds) > 1 else [])])
            by_dose = found.setdefault((title_of(game), run.mode, condition), {})
            by_dose.setdefault(attack.dose, {})[run.apart] = (run, attack)
    order = sorted(found, key=lambda key: (key[0], list(MODES).index(key[1]), key[2]))
    return [Curve(*key, dict(sorted(found[key].items()))) for key in order]


_OF_DOSES = ("events", "backend_for", PLANTED)
"""The beginnings of columns in which runs with different doses differ."""


def _kind(run: Run) -> str:
    """Return what the planted agents of a run are, and from when on, without their number."""
    events = [event for event in map(Event.read, run.stored.manifest.config.events) if event.plants]
    from_start = sorted({str(each["backend"]) for each in run.stored.manifest.backend_for.values()})
    return ", ".join([*from_start, *(f"{event.becomes} from step {event.step}" for event in events)])


def breaking_point(cooperation: Mapping[int, Mapping[Repetition, float]]) -> BreakingPoint | None:
    """Return the dose at which final cooperation is half of that at dose 0, by a fitted curve.

    The curve is c(d) = c(0) / (1 + (d / b) ^ h), fitted by least squares to the means of the doses, and b is the dose.
    The interval is that of the percentiles of a bootstrap of the seeds.

    Args:
        cooperation: Final cooperation by dose and repetition; only repetitions that all doses have count.

    Returns:
        None without dose 0, with fewer than three doses, or with a final cooperation of 0 at dose 0.
    """
    doses = sorted(cooperation)
    if 0 not in doses or len(doses) < LEAST_DOSES:
        return None
    rates = [cooperation[dose] for dose in doses]
    seeds = sorted(set.intersection(*(set(each) for each in rates)))
    matrix = np.array([[each[seed] for seed in seeds] for each in rates])
    if not seeds or matrix[0].mean() <= 0:
        return None
    found = _half(doses, matrix.mean(axis=1))
    if len(seeds) < 2:
        return BreakingPoint(found, None, None)
    draws = np.random.default_rng(Streams(0).at("breaking point").getrandbits(64))
    picks = draws.integers(len(seeds), size=(RESAMPLES, len(seeds)))
    samples = [_half(doses, matrix[:, pick].mean(axis=1)) for pick in picks]
    low, high = np.percentile([np.inf if each is None else each for each in samples], [2.5, 97.5], method="nearest")
    return BreakingPoint(found, float(low), float(high))


def _half(doses: Sequence[int], means: NDArray[np.float64]) -> float | None:
    """Fit the curve to means; return the dose of the half, or None if it is beyond the doses."""
    at, most = np.array(doses, dtype=float), float(max(doses))

    def residuals(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        top, half, steepness = parameters
        return np.asarray(top / (1 + (at / half) ** steepness) - means)

    start = (min(max(float(means[0]), 0.01), 1.0), most / 2, 2.0)
    fitted = optimize.least_squares(residuals, start, bounds=([0.0, most / 1000, 0.2], [1.5, most * 100, 20.0]))
    half = float(fitted.x[1])
    return half if half <= most else None


def section(found: Sequence[Curve]) -> Section:
    """Return the tables of all curves."""
    return Section("attack", TITLE, tables=[_breaking_table(found), _doses_table(found)])


def _breaking_table(found: Sequence[Curve]) -> Table:
    rows = []
    for curve in found:
        point, most = curve.breaking_point, max(curve.doses)
        if point is None:
            words, interval = "–", "–"
        else:
            words = f"beyond {most}" if point.dose is None else f"{point.dose:.1f}"
            interval = "one seed" if point.low is None else f"{_end(point.low, most)} to {_end(point.high, most)}"
        agents = len(next(iter(next(iter(curve.doses.values())).values()))[0].agents)
        rows.append([curve.title, curve.mode, curve.condition or "–", words, interval, str(most), str(agents)])
    caption = (
        "Breaking point: the number of planted agents at which final cooperation is half of that without any, by the "
        "curve c(0) / (1 + (d / b) ^ h), fitted by least squares to the means of the doses. Interval: 95 %, "
        f"percentiles of a bootstrap of the seeds ({RESAMPLES} samples). –: no dose 0, or fewer than {LEAST_DOSES} "
        "doses."
    )
    headings = ["scenario", "mode", "condition", "breaking point", "95 % interval", "largest dose", "agents"]
    return Table(caption, headings, rows, words=3)


def _end(value: float | None, most: int) -> str:
    return f"beyond {most}" if value is None or np.isinf(value) else f"{value:.1f}"


def _doses_table(found: Sequence[Curve]) -> Table:
    rows = []
    for curve in found:
        unharmed = curve.measured(0, "honest_payoff") if 0 in curve.doses else {}
        for dose, runs in curve.doses.items():
            lost = list(paired(unharmed, curve.measured(dose, "honest_payoff")).values())
            rows.append(
                [
                    curve.title,
                    curve.mode,
                    curve.condition or "–",
                    str(dose),
                    _mean(list(curve.cooperation(dose).values()), len(runs)),
                    _mean(list(curve.measured(dose, "honest_cooperation").values()), len(runs)),
                    _mean(list(curve.measured(dose, "detection").values()), len(runs)),
                    _mean(list(curve.measured(dose, "recovery").values()), len(runs)),
                    _mean(lost, len(runs)),
                    _mean(list(curve.measured(dose, "honest_isolated").values()), len(runs)),
                    _mean(list(curve.measured(dose, "rent").values()), len(runs)),
                ]
            )
    caption = (
        f"By dose, the number of planted agents: means over seeds with 95 % intervals ({METHOD}); where a measure "
        "exists in some runs alone, how many of them. Cooperation: final rate of all agents, and of the honest ones. "
        "Detection: steps until the mean score of planted agents is below that of the honest ones for good; it needs "
        f"scores. Recovery: steps until the rate of cooperation (mean of {WINDOW} steps) is for good at most {NEAR:g} "
        "below its mean before the attack. Lost: payoff of an honest agent in a final step without planted agents, "
        "less that at the dose, by seed. Isolated: share of honest agents to which nobody is tied at the end. Rent: "
        "payoff of a planted agent in a step, less that of an honest one."
    )
    headings = ["scenario", "mode", "condition", "dose", "cooperation", "of honest agents", "detection", "recovery"]
    return Table(caption, [*headings, "lost", "isolated", "rent"], rows, words=3)


def _mean(values: Sequence[float], runs: int) -> str:
    """Format the mean of the values of runs with its interval, and of how many runs it is, if not of all."""
    if not values:
        return "–"
    value = estimate(values)
    interval = "" if value.low is None else f" ({value.low:.2f}, {value.high:.2f})"
    return f"{value.mean:.2f}{interval}{'' if len(values) == runs else f' [{len(values)} of {runs}]'}"


def picture(found: Sequence[Curve]) -> Picture:
    """Return the picture of final cooperation against the dose, a panel for each scenario."""
    titles = list(dict.fromkeys(curve.title for curve in found))
    figure = Figure(figsize=(8.5 if len(titles) == 1 else 5.5 * len(titles), 5.0), layout="constrained")
    axes = figure.subplots(1, len(titles), squeeze=False)[0]
    for ax, title in zip(axes, titles, strict=True):
        own = [curve for curve in found if curve.title == title]
        has_conditions = len({curve.condition for curve in own}) > 1
        for number, curve in enumerate(own):
            of_mode, line = MODE_LOOKS[curve.mode]
            colour = colormaps["tab10"](number % 10) if has_conditions else of_mode
            marker = _MARKERS[number % len(_MARKERS)]
            points = [
                (dose, estimate(rates)) for dose in curve.doses if (rates := list(curve.cooperation(dose).values()))
            ]
            shift = (number - (len(own) - 1) / 2) * 0.06
            looks: dict[str, Any] = {"linestyle": line, "marker": marker, "markersize": 5, "alpha": 0.85}
            draw_estimates(ax, points, 1.2, shift=shift, color=colour, label=curve.label, **looks)
        tidy_axes(ax, steps=False, share=True)
        ax.set_title(title, fontsize=10)
        ax.set_xlabel("dose: planted agents")
        ax.set_xticks(sorted({dose for curve in own for dose in curve.doses}))
        ax.legend(frameon=False, fontsize=8)
    axes[0].set_ylabel("cooperation rate at the end")
    caption = (
        "Final cooperation of all agents against the number of planted agents, by mode and condition: means over "
        f"seeds, lines are 95 % intervals ({METHOD})."
    )
    return Picture("attack", TITLE, caption, figure)


_MARKERS = "osD^vP*X"


def described(found: Sequence[Curve]) -> list[dict[str, Any]]:
    """Return the curves as plain data."""
    return [
        {
            "scenario": curve.title,
            "mode": curve.mode,
            "condition": curve.condition,
            "breaking_point": None if (point := curve.breaking_point) is None else asdict(_finite(point)),
            "doses": {
                str(dose): {
                    "cooperation": list(curve.cooperation(dose).values()),
                    **{measure: list(curve.measured(dose, measure).values()) for measure in MEASURES},
                }
                for dose in curve.doses
            },
        }
        for curve in found
    ]


def _finite(point: BreakingPoint) -> BreakingPoint:
    """Return a breaking point without infinite ends, which JSON does not have."""
    return replace(point, **{end: None for end in ("low", "high") if np.isinf(getattr(point, end) or 0.0)})
