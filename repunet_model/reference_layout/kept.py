"""The part of an export beside the layout: the whole run up to the step, unless another program changes the folder."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from repunet_model.errors import ConfigurationError
from repunet_model.reference_layout.files import META, Published, plain
from repunet_model.reference_layout.words import EXTRA, PUBLISHED
from repunet_model.storage import Row, StepReader
from repunet_model.storage.packed import StoredStep, pack, unpack

SUFFIXES = {".json", ".txt"}
"""The suffixes of exported files; other files in the folder do not count."""


def kept_of(run: StepReader, step: int, written: Mapping[str, bytes]) -> Row:
    """Return a run up to a step, with the hash of the exported files."""
    return {"sha256": _hash(written), **pack(run, step, [PUBLISHED])}


def restored(published: Published) -> tuple[Row, list[StoredStep]] | None:
    """Return what an export kept, and the steps in it; None if there is none, or another file was changed.

    Raises:
        ConfigurationError: If it is damaged.
    """
    folder = published.last.path
    try:
        kept = plain(published.last.meta.extra)
        files = (path for path in folder.rglob("*") if kept and path.suffix in SUFFIXES and path.name[0] != ".")
        there = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
        there.pop(META, None)
        return (kept, unpack(kept)) if kept and kept["sha256"] == _hash(there) else None
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError, OSError) as error:
        # The layout's own fields are checked one by one, so the damage is in what our export added.
        raise ConfigurationError(f"{folder}: damaged under {EXTRA!r}, {type(error).__name__} {error}") from error


def _hash(files: Mapping[str, bytes]) -> str:
    """Return the hash of files by relative path, whatever their line endings."""
    texts = (name.encode() + b"\0" + files[name].replace(b"\r\n", b"\n") for name in sorted(files))
    return sha256(b"".join(sha256(text).digest() for text in texts)).hexdigest()
