"""The journal of the step under way: each reply is written to disk before it is used.

If the step fails, or the process ends, the step is repeated with the recorded replies, and no reply is paid for twice.
On disk the journal is a file of JSON lines, one line a reply, each appended in one write. An incomplete last line, left
by a process that was killed, is dropped; its reply was never used.

A mailbox holds the replies that arrived after the process that requested them had ended, as the endpoint sent them.
The process that sends requests (`backends.sender`) locks, writes and releases it.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Hashable, Iterable, Iterator
from pathlib import Path
from typing import Any

from repunet_model.errors import StorageError
from repunet_model.storage.schema import Row
from repunet_model.util.files import replace, reporting

_LOG = logging.getLogger(__name__)


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
        for number, row in _rows(path):
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
                raise _damaged(path, number, error) from error

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
                append(self._path, [row], repair=repair)
            self._is_whole = True

    def rows(self) -> Iterator[Row]:
        """Yield all recorded replies in order of arrival."""
        yield from self._rows.values()

    def clear(self) -> None:
        """Forget the replies of a completed step, and remove the file."""
        self._rows.clear()
        if self._path is not None:
            remove(self._path)


def unread(path: Path) -> dict[str, list[str]]:
    """Return the replies in a locked mailbox by request hash; raise StorageError if it is unreadable or damaged."""
    replies: dict[str, list[str]] = {}
    for number, row in _rows(path):
        try:
            if not isinstance(row["content"], str):
                raise TypeError("not a reply")
            replies.setdefault(row["digest"], []).append(row["content"])
        except (KeyError, TypeError) as error:
            raise _damaged(path, number, error) from error
    return replies


def discard(path: Path, digests: Iterable[str]) -> None:
    """Remove one unusable reply for each hash from a mailbox; raise StorageError if it cannot be read or written."""
    replies = unread(path)
    for digest in digests:
        if replies.get(digest):
            replies[digest].pop(0)
    rows = [{"digest": digest, "content": content} for digest, contents in replies.items() for content in contents]
    if rows:
        replace(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())
    else:
        remove(path)


def _rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Yield the complete lines of a file with their numbers; none if the file is missing."""
    with reporting(f"{path} cannot be read"):
        lines = path.read_bytes().split(b"\n") if path.exists() else [b""]
    for number, line in enumerate(lines[:-1], 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _damaged(path, number, error) from error
        yield number, row


def append(path: Path, rows: Iterable[Row], *, repair: bool) -> None:
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


def _damaged(path: Path, line: int, error: Exception) -> StorageError:
    return StorageError(f"{path}, line {line}: damaged ({error}); remove the line to go on")


def _key(at: Any, attempt: int) -> Hashable:
    return (tuple(at), attempt)
