"""The journal of the step under way: each reply is written to disk before it is used.

If the step fails, or the process ends, the step is repeated with the recorded replies, and no reply is paid for twice.
On disk the journal is a file of JSON lines, one line a reply, each appended in one write. An incomplete last line, left
by a process that was killed, is dropped; its reply was never used.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

from repunet_model.storage.schema import Row
from repunet_model.util import json_lines
from repunet_model.util.files import reporting


class Journal:
    """Replies of the step under way, in memory and, once opened, in a file."""

    def __init__(self) -> None:
        self._rows: dict[Hashable, Row] = {}
        self._path: Path | None = None
        self._is_whole = False

    def open(self, path: Path, step: int) -> None:
        """Read the replies to later steps than `step` from a file, and append to it from now on.

        The first reply creates the file. Raises StorageError if it cannot be read, or a complete line is damaged.
        """
        self._path, self._is_whole = path, False
        for number, row in json_lines.rows(path):
            try:
                if not isinstance(row["request"] + row["text"], str) or not isinstance(row["usage"], dict):
                    raise TypeError("not a reply")
                if "problem" in row and not isinstance(row["problem"] + row["remedy"], str):
                    raise TypeError("not a problem of a reply")
                if not isinstance(row.get("thought", ""), str):
                    raise TypeError("not a thought")
                if not isinstance(row.get("room", 1), int):
                    raise TypeError("not a number of tokens")
                if row["at"][0] > step:
                    self._rows[_key(row["at"], row["attempt"])] = row
            except (KeyError, TypeError, IndexError) as error:
                raise json_lines.damaged(path, number, error) from error

    def find(self, at: tuple[str | int, ...], attempt: int) -> Row | None:
        """Return the recorded reply to an attempt (from 0) at the request with these coordinates."""
        return self._rows.get(_key(at, attempt))

    def add(self, at: tuple[str | int, ...], attempt: int, row: Row) -> None:
        """Record a reply, replacing one with the same coordinates; raise StorageError if it cannot be written."""
        row = {"at": list(at), "attempt": attempt, **row}
        self._rows[_key(at, attempt)] = row
        if self._path is not None:
            repair, self._is_whole = not self._is_whole, False
            with reporting(f"a reply cannot be written to {self._path}"):
                json_lines.append(self._path, [row], repair=repair)
            self._is_whole = True

    def rows(self) -> Iterator[Row]:
        """Yield all recorded replies in order of arrival."""
        yield from self._rows.values()

    def clear(self) -> None:
        """Forget the replies of a completed step, and remove the file."""
        self._rows.clear()
        if self._path is not None:
            json_lines.remove(self._path)


def _key(at: Any, attempt: int) -> Hashable:
    return (tuple(at), attempt)
