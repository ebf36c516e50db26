"""Files of JSON lines to which rows are appended while other processes may be killed.

An incomplete last line, left by a process that was killed, is no row.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from repunet_model.errors import StorageError
from repunet_model.util.files import reporting

_LOG = logging.getLogger(__name__)


def rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield the complete lines of a file with their numbers; none if the file is missing."""
    with reporting(f"{path} cannot be read"):
        lines = path.read_bytes().split(b"\n") if path.exists() else [b""]
    for number, line in enumerate(lines[:-1], 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise damaged(path, number, error) from error
        yield number, row


def append(path: Path, rows: Iterable[Mapping[str, Any]], *, repair: bool) -> None:
    """Append all rows or none in one write, after a `repair` of an incomplete last line; raise OSError if it fails."""
    lines = "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows).encode()
    with path.open("ab", buffering=0) as file:
        if repair:
            file.truncate(path.read_bytes().rfind(b"\n") + 1)
        end = file.seek(0, os.SEEK_END)
        if file.write(lines) != len(lines):
            file.truncate(end)
            raise OSError("no space left")


def remove(path: Path) -> None:
    """Remove a file that is no longer needed; a failure is logged, since the step is complete anyway."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _LOG.warning("%s cannot be removed (%s); what it holds is not read again.", path, error.strerror or error)


def damaged(path: Path, line: int, error: Exception) -> StorageError:
    """Return the error for a complete line that is damaged."""
    return StorageError(f"{path}, line {line}: damaged ({error}); remove the line to go on")
