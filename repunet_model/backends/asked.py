"""Parameters of a stored run that its endpoint did not take, though its manifest names them."""

from __future__ import annotations

from repunet_model.backends.base import Usage
from repunet_model.backends.dialect import lost
from repunet_model.storage.manifest import Manifest
from repunet_model.storage.reader import StepReader


def not_taken(run: StepReader, manifest: Manifest, first: int = 1, last: int | None = None) -> dict[str, str]:
    """Return under "not_taken" the sampling parameters in the manifest that the endpoint did not take; empty if none.

    Args:
        run: The run.
        manifest: That of the steps.
        first: The first step.
        last: The last step; None for that of the run.
    """
    if not manifest.reads_prompts:
        return {}
    asked: set[str] = set()
    for step in run.steps(first, last):
        asked |= Usage.total(step.usage).adaptations
    backends = {repr(described): described for described in (manifest.backend, *manifest.backend_for.values())}
    found = ", ".join(filter(None, (lost(asked, each) for each in backends.values() if "model" in each)))
    return {"not_taken": found} if found else {}
