"""The claims of Ren et al. (AAMAS 2026) as questions, and the answers that runs give.

Each question asks for the sign of a number measured in every run. The answer is "yes" if the 95 % interval over
seeds (Student's t) lies above 0, "no" if it lies below, "not shown" if it contains 0, and "no difference" if all
numbers are 0. Answers hold for the backends of the runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from repunet_model.config import FULL, NEITHER, REPUTATION_ONLY
from repunet_model.report.evidence import EXPLOITS_BELOW, Evidence, Panel, Run
from repunet_model.report.page import Section, Table, estimate_in_words
from repunet_model.report.statistics import METHOD, Estimate, estimate, paired

MARGIN = 0.1
"""Cooperation that declines by less than this counts as persisting."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim of the paper as a question; the answer is yes if the number named `measured`, by seed, is above 0."""

    text: str
    measured: str
    measure: Callable[[Panel], Mapping[int, float]]


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict of a scenario's runs on a claim; `measured` is the mean over seeds, None if no run has the number."""

    claim: Claim
    scenario: str
    measured: Estimate | None
    verdict: str


def _change(panel: Panel, mode: str) -> dict[int, float]:
    """Return the rise in cooperation from the first steps to the final phase, by seed."""
    return paired(panel.by_seed(mode, "cooperation_rate"), panel.by_seed(mode, "cooperation_rate", first=True))


def _final(panel: Panel, first: str, second: str, measure: str = "cooperation_rate") -> dict[int, float]:
    """Return the difference between two modes in a measure in the final phase, by seed."""
    return paired(panel.by_seed(first, measure), panel.by_seed(second, measure))


def _of_runs(panel: Panel, number: Callable[[Run], float | None]) -> dict[int, float]:
    found = {run.seed: number(run) for run in panel.runs.get(FULL, ())}
    return {seed: value for seed, value in found.items() if value is not None}


def _others_less_exploiters(column: str) -> Callable[[Run], float | None]:
    def number(run: Run) -> float | None:
        chose = run.agents.dropna(subset=["cooperation"])
        exploits = chose["cooperation"] < EXPLOITS_BELOW
        if not exploits.any() or exploits.all():
            return None
        return float(chose.loc[~exploits, column].mean() - chose.loc[exploits, column].mean())

    return number


def _excess_of_praise(run: Run) -> float | None:
    told = {tone: sum(n for key, n in run.gossip.items() if key[0] == tone) for tone in ("positive", "negative")}
    total = sum(told.values())
    return told["positive"] / total - 0.5 if total else None


_FIRST, _LAST = "first steps", "last steps"
_EXPLOITERS = f"agents that chose cooperatively in fewer than {EXPLOITS_BELOW:.0%} of their choices of the {_LAST}"

CLAIMS = (
    Claim(
        "Does cooperation collapse without reputation and gossip?",
        f"cooperation rate, neither: {_FIRST} − {_LAST}",
        lambda panel: {seed: -change for seed, change in _change(panel, NEITHER).items()},
    ),
    Claim(
        "Does cooperation persist with reputation and gossip?",
        f"cooperation rate, both: {_LAST} − {_FIRST} + {MARGIN:g} (it persists if it loses less than {MARGIN:g})",
        lambda panel: {seed: change + MARGIN for seed, change in _change(panel, FULL).items()},
    ),
    Claim(
        "Is there more cooperation in the end with both than with neither?",
        f"cooperation rate of the {_LAST}: both − neither",
        lambda panel: _final(panel, FULL, NEITHER),
    ),
    Claim(
        "Does gossip add to reputation?",
        f"cooperation rate of the {_LAST}: both − reputation only",
        lambda panel: _final(panel, FULL, REPUTATION_ONLY),
    ),
    Claim(
        "Do cooperative clusters form?",
        f"assortativity of ties by recent cooperation, both, {_LAST}",
        lambda panel: panel.by_seed(FULL, "assortativity_cooperation"),
    ),
    Claim(
        "Are they more marked than with neither?",
        f"the same, both − neither, {_LAST}",
        lambda panel: _final(panel, FULL, NEITHER, "assortativity_cooperation"),
    ),
    Claim(
        "Are exploiters isolated?",
        f"share with nobody tied to them at the end, both: exploiters − others (exploiters: {_EXPLOITERS})",
        lambda panel: {seed: -value for seed, value in _of_runs(panel, _others_less_exploiters("isolated")).items()},
    ),
    Claim(
        "Are fewer people tied to exploiters?",
        "ties to an agent at the end, both: others − exploiters",
        lambda panel: _of_runs(panel, _others_less_exploiters("ties_to")),
    ),
    Claim(
        "Is positive gossip more frequent than negative?",
        "share of positive messages in the run, both, − one half",
        lambda panel: _of_runs(panel, _excess_of_praise),
    ),
)


def verdict(measured: Estimate) -> str:
    """Return the answer that an estimate gives."""
    if measured.low is None or measured.high is None:
        return "too few seeds"
    if measured.low == measured.high == 0:
        return "no difference"
    if measured.low > 0:
        return "yes"
    return "no" if measured.high < 0 else "not shown"


def findings(evidence: Evidence) -> list[Finding]:
    """Return the findings of every claim and scenario."""
    found = []
    for claim, panel in product(CLAIMS, evidence.panels):
        values = list(claim.measure(panel).values())
        measured = estimate(values) if values else None
        found.append(Finding(claim, panel.title, measured, verdict(measured) if measured else "nothing to measure"))
    return found


def table(found: Sequence[Finding]) -> Table:
    """Return findings as a table."""
    rows = []
    for finding in found:
        measured = finding.measured
        numbers = ("–", "–", "0") if measured is None else (*estimate_in_words(measured), str(measured.n))
        rows.append([finding.claim.text, finding.scenario, finding.verdict, *numbers])
    caption = (
        f"Yes: the 95 % interval of the mean over seeds ({METHOD}) lies above 0; no: below 0; not shown: it holds 0; "
        "no difference: all seeds give 0. Intervals are not adjusted for the number of questions. Seeds: runs that "
        "have the number."
    )
    return Table(caption, ["question", "scenario", "answer", "mean", "95 % interval", "seeds"], rows, words=3)


def lines(found: Sequence[Finding]) -> list[str]:
    """Return findings as lines of text, by claim."""
    text = []
    for claim in CLAIMS:
        text.append(claim.text)
        for finding in (finding for finding in found if finding.claim is claim):
            mean = "" if finding.measured is None else f": {finding.measured}"
            text.append(f"  {finding.scenario}: {finding.verdict}{mean}")
    return text


def section(found: Sequence[Finding]) -> Section:
    """Return findings as a section of a report."""
    measured = tuple(f"{claim.text} Measured: {claim.measured}." for claim in CLAIMS)
    return Section("questions", "The paper's claims as questions", measured, tables=[table(found)])
