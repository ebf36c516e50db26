"""Sampling parameters that a stored run's manifest names but its endpoint rejected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from repunet_model.backends.base import Usage, label_of, usage_by_backend
from repunet_model.backends.dialect import lost
from repunet_model.storage.manifest import Manifest
from repunet_model.storage.reader import StepReader


def not_taken(run: StepReader, manifest: Manifest, first: int = 1, last: int | None = None) -> dict[str, str]:
    """Return the sampling parameters rejected in steps first to last (or the end) as {"not_taken": words}, or {}."""
    if not manifest.reads_prompts:
        return {}
    asked: dict[str, Usage] = {}
    for step in run.steps(first, last):
        for label, usage in usage_by_backend(step.usage).items():
            asked.setdefault(label, Usage()).add(usage)
    described = (each for each in (manifest.backend, *manifest.backend_for.values()) if "model" in each)
    by_backend = {repr(each): (asked.get(label_of(each), Usage()).adaptations, each) for each in described}
    found = ", ".join(filter(None, (lost(adaptations, each) for adaptations, each in by_backend.values())))
    return {"not_taken": found} if found else {}


def in_words(found: Sequence[str]) -> str:
    """Summarise what was rejected in several runs, an entry for each run ("" for nothing), in words; "" if nothing."""
    counts = Counter(filter(None, found))
    lost = "; ".join(f"{words} (in {count} of {len(found)} runs)" for words, count in counts.items())
    return f"The endpoint did not take: {lost}." if lost else ""
