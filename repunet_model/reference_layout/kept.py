"""What an export keeps beside the layout: the whole run up to the step, unless another program changes the folder."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from repunet_model.errors import ConfigurationError
from repunet_model.network import SocialNetwork
from repunet_model.reference_layout.files import META, Published, plain
from repunet_model.reference_layout.words import EXTRA, PUBLISHED
from repunet_model.storage import Row, StepReader
from repunet_model.storage.reader import update_of
from repunet_model.storage.schema import CALLS, RECORDS, TABLES

StoredStep = tuple[Row, dict[str, list[Row]]]
"""The documents and the tables of a step."""


def kept_of(run: StepReader, step: int, written: Mapping[str, bytes]) -> Row:
    """Return the parameters, personas and steps of a run up to a step, with the hash of the exported files."""
    return {
        "sha256": _hash(written),
        "config": run.manifest.config.stored(),
        "population": run.population,
        "personas": [persona.model_dump(mode="json") for persona in run.personas],
        "steps": [
            {
                "state": each.state,
                "metrics": each.measures,
                "tables": {name: run.folder.table(each.number, name) for name in _tables(each.number)},
            }
            for each in run.steps(0, step)
        ],
    }


def restored(published: Published) -> tuple[Row, list[StoredStep]] | None:
    """Return what an export kept, and the steps in it; None if there is none, or another file was changed.

    Raises:
        ConfigurationError: If it is damaged.
    """
    kept = plain(published.last.meta.extra)
    folder = published.folders[published.step]
    try:
        files = (path for path in folder.rglob("*") if path.is_file())
        there = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
        there.pop(META, None)
        if "steps" not in kept or kept["sha256"] != _hash(there):
            return None
        steps: list[StoredStep] = []
        for number, step in enumerate(kept["steps"]):
            SocialNetwork.from_dict(step["state"]["network"])
            for row in step["tables"].get(RECORDS.name, ()):
                update_of(row, number)
            measures = {"metrics": step["metrics"], "usage": {}} if number else {}
            tables = {name: step["tables"][name] for name in _tables(number)}
            steps.append(({"state": step["state"], **measures}, tables))
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError, OSError) as error:
        # The layout's own fields are checked one by one, so the damage is in what our export added.
        raise ConfigurationError(f"{folder}: damaged under {EXTRA!r}, {type(error).__name__} {error}") from error
    return kept, steps


def _tables(step: int) -> list[str]:
    """Return the names of the tables that are kept; step 0 has no rows of ours."""
    own = [name for name, table in TABLES.items() if table.is_built_in and table is not CALLS]
    return [*own, PUBLISHED] if step else [PUBLISHED]


def _hash(files: Mapping[str, bytes]) -> str:
    """Return the hash of files by relative path."""
    return sha256(b"".join(sha256(name.encode() + b"\0" + files[name]).digest() for name in sorted(files))).hexdigest()
