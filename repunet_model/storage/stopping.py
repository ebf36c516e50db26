"""Where a run ended as stable: found in its steps, and noted in a file of its own, `stopped.json`.

The manifest of a run is written before its steps and hashed by them, so it cannot hold where they end. Whether a run is
complete is always found in its steps; the file tells people, and `check` compares it with the steps.
"""

from __future__ import annotations

import json

from repunet_model.errors import ConfigurationError, StorageError
from repunet_model.stability import MEASURE, StabilityRule, Stopped
from repunet_model.storage.folder import RunFolder
from repunet_model.storage.reader import StepReader
from repunet_model.util import files

FILE = "stopped.json"
"""The name of the file in a run folder."""


def stopped(run: StepReader, rule: StabilityRule) -> Stopped | None:
    """Return where a stored run is stable by a rule; None if it is not yet, or StorageError if it cannot be read."""
    first = run.manifest.shared_steps + 1
    return Stopped.of(rule, [step.measures.get(MEASURE) for step in run.steps(first)], first)


def note(folder: RunFolder, found: Stopped) -> None:
    """Write where a run ended as stable, unless its file says the same; raise StorageError if that fails."""
    text = (json.dumps(found.to_dict(), indent=2) + "\n").encode()
    path = folder.path / FILE
    if not path.is_file() or files.content(path) != text:
        files.replace(path, text)


def noted(folder: RunFolder) -> Stopped | None:
    """Return where a run ended as stable by its file; None without one, or StorageError if the file is damaged."""
    path = folder.path / FILE
    if not path.is_file():
        return None
    try:
        return Stopped.of_dict(files.parsed(files.content(path), path))
    except (LookupError, TypeError, ConfigurationError) as error:
        raise StorageError(f"{path} is damaged: {error}") from error


def damage(folder: RunFolder) -> str | None:
    """Return one line if the file is not what its rule finds in the steps of the run; None otherwise."""
    try:
        found = noted(folder)
        if found is None or stopped(StepReader(folder), found.rule) == found:
            return None
    except StorageError as error:
        return str(error)
    return f"{folder.path / FILE} is not what its rule finds in the steps: remove it"
