"""Replies by their coordinates, each written down before it is used.

A journal holds the replies of the step under way: if the step fails, or the process ends, the step is done again
with the replies that are already there, and nothing is paid twice. On disk it is a file of JSON lines, one line a
reply, appended in one write each. A last line that a dying process left half written is dropped; the reply of which
it was the beginning was never used.

A mailbox holds what came for a process that was gone by then: replies as the endpoint sent them. It is locked, written
and given up by the process that sends requests (`backends.sender`).
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Hashable, Iterable, Iterator
from pathlib import Path
from typing import Any

from repunet_model.errors import StorageError

Row = dict[str, Any]

_LOG = logging.getLogger(__name__)


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
        for number, row in _rows(path):
            try:
                if not isinstance(row["request"] + row["text"], str) or not isinstance(row["usage"], dict):
                    raise TypeError("not a reply")
                if "problem" in row and not isinstance(row["problem"] + row["remedy"], str):
                    raise TypeError("not a problem of a reply")
                if not isinstance(row.get("room", 1), int):
                    raise TypeError("not a number of tokens")
                if row["at"][0] > step:
                    self._rows[_key(row["at"], row["attempt"])] = row
            except (KeyError, TypeError, IndexError) as error:
                raise _damaged(path, number, error) from error

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
            try:
                append(self._path, [row], repair=not self._is_whole)
                self._is_whole = True
            except OSError as error:
                self._is_whole = False
                raise StorageError(f"a reply cannot be written to {self._path}: {error.strerror or error}") from error

    def rows(self) -> Iterator[Row]:
        """Yield all that is recorded, in the order in which it came."""
        yield from self._rows.values()

    def clear(self) -> None:
        """Forget the replies of a step that is whole, and remove the file."""
        self._rows.clear()
        if self._path is not None:
            remove(self._path)


def unread(path: Path) -> dict[str, list[str]]:
    """Return the replies in a mailbox, by a hash of the request.

    Args:
        path: The file; whoever reads it has the mailbox locked.

    Raises:
        StorageError: If it cannot be read, or a whole line of it is damaged.
    """
    replies: dict[str, list[str]] = {}
    for number, row in _rows(path):
        try:
            if not isinstance(row["content"], str):
                raise TypeError("not a reply")
            replies.setdefault(row["digest"], []).append(row["content"])
        except (KeyError, TypeError) as error:
            raise _damaged(path, number, error) from error
    return replies


def _rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Yield the whole lines of a file with their numbers, if it is there.

    Raises:
        StorageError: If it cannot be read, or a whole line of it is damaged.
    """
    try:
        lines = path.read_bytes().split(b"\n") if path.exists() else [b""]
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror or error}") from error
    for number, line in enumerate(lines[:-1], 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _damaged(path, number, error) from error
        yield number, row


def append(path: Path, rows: Iterable[Row], *, repair: bool) -> None:
    """Append rows in one write, all of them or nothing.

    Args:
        path: The file; it is made if it is missing.
        rows: The rows.
        repair: Whether a last line that is not whole may have to be removed first.

    Raises:
        OSError: If they cannot be written.
    """
    lines = "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows).encode()
    with path.open("ab", buffering=0) as file:
        if repair:
            file.truncate(path.read_bytes().rfind(b"\n") + 1)
        end = file.seek(0, os.SEEK_END)
        if file.write(lines) != len(lines):
            file.truncate(end)
            raise OSError("no space left")


def remove(path: Path) -> None:
    """Remove a file that is not needed any more; where that cannot be, the step is whole all the same."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _LOG.warning("%s cannot be removed (%s); what it holds is not read again.", path, error.strerror or error)


def _damaged(path: Path, line: int, error: Exception) -> StorageError:
    return StorageError(f"{path}, line {line}: damaged ({error}); remove the line to go on")


def _key(at: Any, attempt: int) -> Hashable:
    return (tuple(at), attempt)
