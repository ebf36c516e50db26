"""Contrasts between modes in final cooperation, paired by seed, for figures, tables and `report.json`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from repunet_model.config import FULL, GOSSIP_ONLY, NEITHER, REPUTATION_ONLY
from repunet_model.report.evidence import Evidence, Panel, Run, phase_in_words
from repunet_model.report.statistics import LEVEL, METHOD, Contrast, Estimate, contrast, estimate, holm

CONTRASTS = (
    (FULL, NEITHER),
    (REPUTATION_ONLY, NEITHER),
    (GOSSIP_ONLY, NEITHER),
    (FULL, REPUTATION_ONLY),
    (FULL, GOSSIP_ONLY),
)
"""Compared modes: the effect of both mechanisms, of each alone, and of each added to the other."""

MEASURE = "cooperation_rate"


@dataclass(frozen=True, slots=True)
class Compared:
    """Two modes of a panel, compared over their common seeds.

    Attributes:
        label: Their names.
        contrast: The difference in final cooperation, the first mode minus the second.
        adjusted: Its p-value adjusted by Holm's method for the contrasts of the panel; None without a p-value.
        runs: The runs compared, in pairs.
        unequal: The number of pairs of runs of unequal length, of which each is measured by its own last steps.
    """

    label: str
    contrast: Contrast
    adjusted: float | None
    runs: Sequence[tuple[Run, Run]]
    unequal: int


def contrasts_of(panel: Panel) -> list[Compared]:
    """Return the contrasts between modes with common seeds."""
    rates = {mode: panel.by_seed(mode, MEASURE) for mode in panel.runs}
    runs = {mode: {run.apart: run for run in own} for mode, own in panel.runs.items()}
    found = []
    for first, second in CONTRASTS:
        own, other = rates.get(first, {}), rates.get(second, {})
        difference = contrast(own, other)
        if difference is not None:
            pairs = [(runs[first][seed], runs[second][seed]) for seed in sorted(set(own) & set(other))]
            found.append((f"{first} − {second}", difference, pairs))
    adjusted = holm([difference.p for _, difference, _ in found])
    return [
        Compared(label, difference, p, pairs, sum(a.last_step != b.last_step for a, b in pairs))
        for (label, difference, pairs), p in zip(found, adjusted, strict=True)
    ]


def unequal_in_words(compared: Sequence[Compared]) -> str:
    """Say how many pairs are of runs of unequal length; empty if none is."""
    pairs, unequal = sum(len(each.runs) for each in compared), sum(each.unequal for each in compared)
    if not unequal:
        return ""
    return f"In {unequal} of {pairs} pairs the runs are of unequal length, and each is measured by its own last steps."


def statistics_of(evidence: Evidence) -> list[dict[str, Any]]:
    """Return the statistics of final cooperation as plain data, an entry for each mean and each contrast."""
    return [*_means(evidence), *(each for panel in evidence.panels for each in _contrasts(panel))]


def _means(evidence: Evidence) -> Iterator[dict[str, Any]]:
    for panel, mode, runs in evidence.cells():
        values = panel.by_seed(mode, MEASURE)
        if values:
            used = [run for run in runs if run.apart in values]
            yield {
                "kind": "mean",
                "scenario": panel.title,
                "mode": mode,
                **_estimated(estimate(list(values.values()))),
                "seeds": [run.seed for run in used],
                "steps": phase_in_words(used),
            }


def _contrasts(panel: Panel) -> Iterator[dict[str, Any]]:
    for each in contrasts_of(panel):
        yield {
            "kind": "contrast",
            "scenario": panel.title,
            "contrast": each.label,
            **_estimated(each.contrast.difference),
            "p": each.contrast.p,
            "p_adjusted": each.adjusted,
            "adjustment": "Holm, over the contrasts of the scenario",
            "effect_size": each.contrast.effect,
            "effect_size_method": "Hedges' g for pairs",
            "share_above_0": each.contrast.above,
            "paired_by": "seed",
            "seeds": [run.seed for run, _ in each.runs],
            "unequal_pairs": each.unequal,
            "steps": phase_in_words(run for pair in each.runs for run in pair),
        }


def _estimated(value: Estimate) -> dict[str, Any]:
    return {
        "measure": MEASURE,
        "estimate": value.mean,
        "interval": None if value.low is None else [value.low, value.high],
        "level": LEVEL,
        "method": METHOD,
        "n": value.n,
    }
