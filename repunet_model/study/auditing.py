"""The factors on which the answers to claims depend, where the runs of a scenario differ in more than mode and seed.

Each measure is taken of the runs of each seed alone, so that answers are compared within seeds (`report.audit`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from repunet_model.report.audit import Audited, claims_table, of_rows, row
from repunet_model.report.dimensions import names_of
from repunet_model.report.evidence import Evidence, Panel
from repunet_model.report.sections import Section
from repunet_model.results.stored_game import title_of
from repunet_model.study.claims import Claim
from repunet_model.study.measuring import Measure


def audits(evidence: Evidence, asked: Sequence[Claim]) -> list[Audited]:
    """Return the audit of each claim in each scenario whose runs vary, by each measure."""
    found = []
    for game, panels in evidence.scenarios():
        runs = [run for panel in panels for run in panel.all_runs]
        names = [name for name in names_of(runs) if name != "mode"]
        for claim in asked if names else ():
            if game not in (claim.games or [game]):
                continue
            for number, (by, measure) in enumerate(claim.measures(), start=1):
                rows = [
                    row(part.all_runs[0], names, value) for panel in panels for part, value in _by_seed(panel, measure)
                ]
                outcome = f"{claim.text} {number} ({by})"
                if rows:
                    found.append(of_rows(title_of(game), outcome, rows, names, runs, is_claim=True))
    return found


def _by_seed(panel: Panel, measure: Measure) -> Iterator[tuple[Panel, float]]:
    """Yield the runs of each seed that have the number, with it."""
    for key in dict.fromkeys(run.apart for run in panel.all_runs):
        runs = {mode: [run for run in own if run.apart == key] for mode, own in panel.runs.items()}
        part = Panel(panel.title, panel.game, {mode: own for mode, own in runs.items() if own})
        measured = measure.of(part)
        if measured is not None and math.isfinite(measured.mean):
            yield part, measured.mean


NOT_AUDITED = (
    "The answers are not audited: beside scenario, mode and seed the runs do not differ. A study with several values "
    "of other parameters, such as prompts or payoffs, says of each answer whether it is stable or sensitive to them."
)
"""The text of a study whose runs have no factors."""


def section(found: Sequence[Audited]) -> Section:
    """Return the section of a study's report."""
    if not found:
        return Section("claims", "What the answers hang on", [NOT_AUDITED])
    return Section("claims", "What the answers hang on", tables=[claims_table(found)])
