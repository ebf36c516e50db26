"""Sampling parameters that a stored run's manifest names but its endpoint rejected."""

from __future__ import annotations

from repunet_model.backends.base import Usage
from repunet_model.backends.dialect import lost
from repunet_model.storage.manifest import Manifest
from repunet_model.storage.reader import StepReader


def not_taken(run: StepReader, manifest: Manifest, first: int = 1, last: int | None = None) -> dict[str, str]:
    """Return the sampling parameters rejected in steps first to last (or the end) as {"not_taken": words}, or {}."""
    if not manifest.reads_prompts:
        return {}
    asked: set[str] = set()
    for step in run.steps(first, last):
        asked |= Usage.total(step.usage).adaptations
    backends = {repr(described): described for described in (manifest.backend, *manifest.backend_for.values())}
    found = ", ".join(filter(None, (lost(asked, each) for each in backends.values() if "model" in each)))
    return {"not_taken": found} if found else {}
