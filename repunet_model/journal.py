"""Replies by their coordinates, each written down before it is used.

A journal holds the replies of the step under way: if the step fails, or the process ends, the step is done again
with the replies that are already there, and nothing is paid twice. On disk it is a file of JSON lines, one line a
reply, appended in one write each. A last line that a dying process left half written is dropped; the reply of which
it was the beginning was never used.
"""

from __future__ import annotations

import json
import os
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

from repunet_model.errors import StorageError

Row = dict[str, Any]


class Journal:
    """The replies of the step under way, in memory and, once opened, in a file."""

    def __init__(self) -> None:
        self._rows: dict[Hashable, Row] = {}
        self._path: Path | None = None
        self._is_whole = False

    def open(self, path: Path, step: int) -> None:
        """Read what an earlier process left, and write to the same file from now on.

        Args:
            path: The file; it is made when the first reply arrives.
            step: The last whole step: replies of steps up to it are not needed any more.

        Raises:
            StorageError: If the file cannot be read, or a whole line of it is damaged.
        """
        self._path, self._is_whole = path, False
        try:
            lines = path.read_bytes().split(b"\n") if path.exists() else [b""]
        except OSError as error:
            raise StorageError(f"{path} cannot be read: {error.strerror or error}") from error
        for number, line in enumerate(lines[:-1], 1):
            try:
                row = json.loads(line)
                if not isinstance(row["request"] + row["text"], str) or not isinstance(row["usage"], dict):
                    raise TypeError("not a reply")
                if row["at"][0] > step:
                    self._rows[_key(row["at"], row["attempt"])] = row
            except (ValueError, KeyError, TypeError, IndexError) as error:
                raise StorageError(f"{path}, line {number}: damaged ({error}); remove the line to go on") from error

    def find(self, at: tuple[str | int, ...], attempt: int) -> Row | None:
        """Return what was recorded.

        Args:
            at: The coordinates of a request.
            attempt: Which reply to it, from 0.
        """
        return self._rows.get(_key(at, attempt))

    def add(self, at: tuple[str | int, ...], attempt: int, row: Row) -> None:
        """Record a reply; a later one for the same place replaces it.

        Raises:
            StorageError: If it cannot be written.
        """
        row = {"at": list(at), "attempt": attempt, **row}
        self._rows[_key(at, attempt)] = row
        if self._path is not None:
            line = json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
            try:
                self._append(line)
            except OSError as error:
                self._is_whole = False
                raise StorageError(f"a reply cannot be written to {self._path}: {error.strerror or error}") from error

    def _append(self, line: bytes) -> None:
        """Append a line, all of it or nothing.

        Raises:
            OSError: If it cannot be written.
        """
        assert self._path is not None
        with self._path.open("ab", buffering=0) as file:
            if not self._is_whole:
                file.truncate(self._path.read_bytes().rfind(b"\n") + 1)
                self._is_whole = True
            end = file.seek(0, os.SEEK_END)
            if file.write(line) != len(line):
                file.truncate(end)
                raise OSError("no space left")

    def rows(self) -> Iterator[Row]:
        """Yield all that is recorded, in the order in which it came."""
        yield from self._rows.values()

    def clear(self) -> None:
        """Forget the replies of a step that is whole, and remove the file."""
        self._rows.clear()
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _key(at: Any, attempt: int) -> Hashable:
    return (tuple(at), attempt)
