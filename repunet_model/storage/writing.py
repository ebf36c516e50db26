"""Write the files of a run: steps with the hashes of their files, and the name of a new run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from repunet_model.errors import ConfigurationError
from repunet_model.storage.schema import Row
from repunet_model.util import files

MANIFEST = "manifest.json"
USAGE_MANIFEST = "usage_manifest.json"


def to_json(data: Any) -> str:
    """Return data as JSON in one line, the same bytes for equal data."""
    return _JSON.encode(data)


_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def taken(name: str, storage: Path) -> str:
    """Return the error for a name that another run has."""
    return f"run {name!r} is already in {storage}: resume it, or give another name (--sim-name, run_name)"


def move_to_free_name(part: Path, storage: Path, name: str | None, default_name: str) -> Path:
    """Rename a new run to its name, or to the first free one."""
    number = 1
    while True:
        path = storage / (name or (default_name if number == 1 else f"{default_name}_{number}"))
        number += 1
        if not path.exists():
            try:
                part.rename(path)
                return path
            except OSError:
                if not path.exists():
                    raise
        if name is not None:
            raise ConfigurationError(taken(name, storage))


def write_step(
    run: Path,
    step: int,
    previous: str | None,
    documents: Mapping[str, Any],
    tables: Mapping[str, Iterable[Row]],
    into: Path | None = None,
) -> None:
    """Write and sync the files of a step and their hashes, into the step's own folder by default."""
    folder = into or run / f"step_{step}"
    folder.mkdir(exist_ok=True)
    hashes = {}

    def write(name: str, text: str) -> None:
        content = text.encode()
        hashes[name] = hash_of(content)
        files.write(folder / name, content)

    # One at a time, so that only one file of a large society is in memory.
    for name, data in documents.items():
        write(f"{name}.json", to_json(data) + "\n")
    for name, rows in tables.items():
        write(f"{name}.jsonl", "".join(to_json(row) + "\n" for row in rows))
    usage = {name: hashes.pop(name) for name in list(hashes) if name.startswith("usage")}
    manifest = {"step": step, "run": hash_of(files.content(run / MANIFEST)), "previous": previous, "files": hashes}
    files.write(folder / MANIFEST, (to_json(manifest) + "\n").encode())
    files.write(folder / USAGE_MANIFEST, (to_json(usage) + "\n").encode())
    files.sync(folder)


def copy_step(step: Path, to: Path) -> None:
    """Copy and sync the folder of a step."""
    to.mkdir()
    for path in sorted(files.entries(step)):
        files.write(to / path.name, path.read_bytes())
    files.sync(to)


def hash_of(content: bytes) -> str:
    """Return the hash of a file's content as manifests hold it."""
    return sha256(content).hexdigest()
