"""Replies by their coordinates, each written down before it is used.

A journal holds the replies of the step under way: if the step fails, or the process ends, the step is done again
with the replies that are already there, and nothing is paid twice. On disk it is a file of JSON lines, one line a
reply, appended in one write each. A last line that a dying process left half written is dropped; the reply of which
it was the beginning was never used.

A mailbox holds what came for a process that was gone by then: replies as the endpoint sent them.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import weakref
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
                _append(self._path, [row], repair=not self._is_whole)
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
            _remove(self._path)


class Hold:
    """A lock on a mailbox, which lasts as long as anybody has its file open, a courier included.

    Attributes:
        file: The number of the open file. Whoever is given it holds the lock too.
    """

    def __init__(self, path: Path) -> None:
        """Take the lock.

        Args:
            path: Its file; it is made if it is missing.

        Raises:
            BlockingIOError: If somebody else has it.
            OSError: If the file cannot be made.
        """
        self.file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self.file)
            raise
        weakref.finalize(self, _let_go, self.file)


def _let_go(file: int) -> None:
    """Give up a lock, for whoever else has its file open too."""
    fcntl.flock(file, fcntl.LOCK_UN)
    os.close(file)


_HOLDS: weakref.WeakValueDictionary[Path, Hold] = weakref.WeakValueDictionary()
"""The locks that this process has: those who write to one run in one process share one."""


class Mailbox:
    """Replies that came when the process that had asked for them was gone, by a hash of the request.

    Attributes:
        path: The file, in the folder of the run; it is there only while it holds something.
        hold: The lock, once the mailbox is open.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.hold: Hold | None = None
        self._replies: dict[str, list[str]] = {}

    async def open(self) -> None:
        """Wait until nothing more can come for an earlier process, and read what has.

        Raises:
            StorageError: If it cannot be read, or a whole line of it is damaged.
        """
        place, was_told = self.path.with_name(".mail.lock"), False
        while (hold := _HOLDS.get(place)) is None:
            try:
                hold = _HOLDS[place] = Hold(place)
                break
            except BlockingIOError:
                if not was_told:
                    was_told = True
                    _LOG.warning("Waiting for replies to requests that an earlier process had sent.")
                await asyncio.sleep(0.05)
            except OSError as error:
                raise StorageError(f"{self.path.parent} cannot be written: {error.strerror or error}") from error
        self.hold = hold
        self._replies.clear()
        for number, row in _rows(self.path):
            try:
                if not isinstance(row["content"], str):
                    raise TypeError("not a reply")
                self._replies.setdefault(row["digest"], []).append(row["content"])
            except (KeyError, TypeError) as error:
                raise _damaged(self.path, number, error) from error

    def close(self) -> None:
        """Let others open it."""
        self.hold = None

    def take(self, digest: str) -> str | None:
        """Return a reply to a request and remove it; None if there is none."""
        replies = self._replies.get(digest)
        return replies.pop(0) if replies else None

    def leave(self, rows: Iterable[Row]) -> None:
        """Leave replies for whoever goes on with the run; called by somebody who has the lock.

        Args:
            rows: The digest of each request and the content of its reply.
        """
        _append(self.path, rows, repair=True)

    def clear(self) -> None:
        """Forget what came for a step that is whole, and remove the file."""
        self._replies.clear()
        _remove(self.path)


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


def _append(path: Path, rows: Iterable[Row], *, repair: bool) -> None:
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


def _remove(path: Path) -> None:
    """Remove a file that is not needed any more; where that cannot be, the step is whole all the same."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _LOG.warning("%s cannot be removed (%s); what it holds is not read again.", path, error.strerror or error)


def _damaged(path: Path, line: int, error: Exception) -> StorageError:
    return StorageError(f"{path}, line {line}: damaged ({error}); remove the line to go on")


def _key(at: Any, attempt: int) -> Hashable:
    return (tuple(at), attempt)
