"""Construct checks in reports: means over runs, or the value of one run, and what is absent and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from repunet_model.report import figures
from repunet_model.report.evidence import Evidence, Panel, Run
from repunet_model.report.pictures import Picture, seeds_of
from repunet_model.report.sections import Section, Table
from repunet_model.report.statistics import METHOD, Estimate, estimate
from repunet_model.results import clustered
from repunet_model.results.constructs import Check

TITLE = "Whether the parts of a run mean what their names say"


@dataclass(frozen=True, slots=True)
class Checked:
    """A check over the runs of a panel in a mode.

    Attributes:
        panel: The panel.
        mode: The mode.
        checks: The check of each run that has a value.
        runs: The number of runs.
        value: Its value: the mean over runs, or that of a single run with its interval over agents.
    """

    panel: Panel
    mode: str
    checks: Sequence[Check]
    runs: int
    value: Estimate


def checked(panel: Panel, mode: str) -> Iterator[Checked]:
    """Yield the checks that any run of a panel has in a mode."""
    runs = panel.runs[mode]
    for versions in zip(*(run.checks for run in runs), strict=True):
        having = [each for each in versions if each.value is not None]
        if having:
            yield Checked(panel, mode, having, len(runs), _value(having))


def _value(checks: Sequence[Check]) -> Estimate:
    if len(checks) > 1:
        return estimate([each.value for each in checks if each.value is not None])
    (only,) = checks
    assert only.value is not None
    low, high = only.interval or (None, None)
    return Estimate(only.value, low, high, 1)


def section(evidence: Evidence) -> Section:
    """Return the tables of the checks that are there, and of those that are absent."""
    found = [each for panel, mode, _ in evidence.cells() for each in checked(panel, mode)]
    tables = [_values_table(found), _absent_table(evidence)]
    return Section("checks", TITLE, tables=[table for table in tables if table.rows])


def _values_table(found: Sequence[Checked]) -> Table:
    rows = [
        [
            each.panel.title,
            each.mode,
            each.checks[0].title,
            each.checks[0].measure,
            f"{each.value.mean:.3f}",
            "–" if each.value.low is None else f"{each.value.low:.3f} to {each.value.high:.3f}",
            str(sum(check.n for check in each.checks)),
            f"{len(each.checks)} of {each.runs}",
        ]
        for each in found
    ]
    caption = (
        "Construct checks: two parts of a run that should agree, compared. An AUC of 0.5 and a correlation of 0 are "
        f"chance. Interval: 95 %; of several runs over runs ({METHOD}), of a single one over its agents "
        f"({clustered.METHOD}). n: observations of all runs."
    )
    headings = ["scenario", "mode", "compared", "measure", "value", "95 % interval", "n", "runs"]
    return Table(caption, headings, rows, words=4)


def _absent_table(evidence: Evidence) -> Table:
    """Build the table of checks that runs do not have; runs that lack the same for the same reason are a row."""
    rows: dict[tuple[str, str, str], dict[str, list[Run]]] = {}
    for panel, mode, runs in evidence.cells():
        for run in runs:
            for check in run.checks:
                if check.value is None:
                    by_check = rows.setdefault((panel.title, mode, check.note), {})
                    by_check.setdefault(check.title, []).append(run)
    cells = [
        [scenario, mode, "; ".join(by_check), reason, str(max(map(len, by_check.values())))]
        for (scenario, mode, reason), by_check in rows.items()
    ]
    return Table("Checks that are absent.", ["scenario", "mode", "compared", "why", "runs"], cells, words=4)


def picture(evidence: Evidence) -> Picture | None:
    """Return the picture of the checks; None if no run has any."""
    points: dict[str, dict[tuple[str, str], Estimate]] = {}
    for panel, mode, _ in evidence.cells():
        for each in checked(panel, mode):
            points.setdefault(panel.title, {})[each.checks[0].title, mode] = each.value
    if not points:
        return None
    return Picture(
        "checks",
        TITLE,
        f"Two parts of a run compared, by mode ({seeds_of(evidence.panels)}). Dots are means over runs, or the value "
        f"of a single run; lines are 95 % intervals ({METHOD} over runs; of a single run, {clustered.METHOD}). Of "
        "agreements by AUC 0.5 is chance and 1 agreement in all pairs; of gossip that is passed on, 0 means that no "
        "message turned into its opposite.",
        figures.points_by_mode(points, evidence.modes),
    )


def described(evidence: Evidence) -> list[dict[str, Any]]:
    """Return the checks of every run as plain data."""
    return [{"run": str(run.stored.folder.path), **check.described()} for run in evidence.runs for check in run.checks]
