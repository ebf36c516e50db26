"""The asking process's end of the process that sends (`sender.process`).

There is one sender for each process, started with its first request and shared by all event loops and threads. Messages
are lines of JSON over its standard input and output; a thread reads, and futures hand over to the loop that waits.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

from repunet_model.backends.base import Request
from repunet_model.backends.sender.transport import Destination, LostError, RefusedError
from repunet_model.errors import StorageError
from repunet_model.storage import journal

_LOG = logging.getLogger(__name__)

_APART: dict[str, Any] = {"start_new_session": True}  # an interrupt at the keyboard is for the run
if sys.platform == "win32":
    _APART = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}


class Sender:
    """The sender of this process.

    Attributes:
        has_ended: Whether it has ended; another one has to be started then.
    """

    def __init__(self) -> None:
        """Start it."""
        # Without buffers: at its end an interpreter waits for the lock of a buffer that a thread is reading into.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "repunet_model.backends.sender.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            **_APART,
        )
        self._writing = threading.RLock()  # re-entrant, since garbage collection may close a mailbox in between
        self._numbers = count()
        self._awaited: dict[int, Future[str]] = {}
        self._left: dict[Path, dict[str, list[str]]] = {}
        self.has_ended = False
        threading.Thread(target=self._read, name="repunet-sender", daemon=True).start()

    async def send(self, body: Mapping[str, Any], destination: Destination, request: Request[Any]) -> str:
        """Return the reply that came for an earlier process, or send the body; see `Transport`."""
        text = json.dumps(body, ensure_ascii=False)
        digest = sha256(f"{destination.base_url}\n{text}".encode()).hexdigest()
        mailbox = request.mailbox
        if mailbox is not None and (replies := (await self._opened(mailbox)).get(digest)):
            return replies.pop(0)
        message = {"send": asdict(destination), "digest": digest, "mailbox": mailbox and str(mailbox)}
        number = next(self._numbers)
        try:
            reply = await self._call(number, message, text)
        except LostError as error:
            if mailbox is not None and not error.may_have_arrived:
                self._left.pop(mailbox, None)  # another model of the same run may have closed it at this moment
            raise
        request.receipts.append(partial(self._say, {"drop": number}))
        return reply

    async def _opened(self, mailbox: Path) -> dict[str, list[str]]:
        """Have the sender lock a mailbox, if it has not; return what it held, by a hash of the request."""
        if mailbox not in self._left:
            problem = await self._call(next(self._numbers), {"open": str(mailbox)})
            if problem:
                raise StorageError(f"{mailbox.parent} cannot be written: {problem}")
            if mailbox not in self._left:  # others may have waited too
                self._left[mailbox] = journal.unread(mailbox)
        return self._left[mailbox]

    def close(self, mailbox: Path) -> None:
        """Have the sender let go of a mailbox once no reply is on its way."""
        self._left.pop(mailbox, None)
        self._say({"close": str(mailbox)})

    async def _call(self, number: int, message: dict[str, Any], body: str = "") -> str:
        """Say something and wait for the reply."""
        future = self._awaited[number] = Future[str]()
        self._say({"number": number, **message}, body)
        if self.has_ended:  # the reader may have been too early for this one
            self._fail_all()
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            self._say({"drop": number})
            raise
        finally:
            self._awaited.pop(number, None)

    def _say(self, message: dict[str, Any], body: str = "") -> None:
        """Write a message and the body of a request, a line of JSON with a tab between: no JSON has one as it is."""
        rest = memoryview(f"{json.dumps(message)}\t{body}\n".encode())
        assert self._process.stdin is not None
        with suppress(OSError, ValueError), self._writing:  # of a sender that has ended, as the reader finds out
            while rest:
                rest = rest[self._process.stdin.write(rest) :]

    def _read(self) -> None:
        """Hand replies to those who wait for them, until the sender ends."""
        assert self._process.stdout is not None
        begun = b""
        while data := self._process.stdout.read(1 << 16):
            *lines, begun = (begun + data).split(b"\n")
            for line in lines:
                self._hear(json.loads(line))
        self.has_ended = True
        self._fail_all()
        with self._writing, self._process:
            pass  # its pipes are closed, and it is waited for

    def _hear(self, message: dict[str, Any]) -> None:
        if "waits" in message:
            _LOG.warning("Waiting for replies to requests that an earlier process had sent.")
        elif (future := self._awaited.pop(message["number"], None)) is not None:
            if "refused" in message:
                _settle(future, RefusedError(**message["refused"]))
            elif "lost" in message:
                _settle(future, LostError(**message["lost"]))
            else:
                _settle(future, message["content"])

    def _fail_all(self) -> None:
        while self._awaited:
            with suppress(KeyError):  # whoever waited for it gave up at this moment
                _settle(self._awaited.popitem()[1], LostError("the process that sends requests has ended"))


def _settle(future: Future[str], outcome: str | Exception) -> None:
    """Set the outcome of a future, unless nobody waits for it any more."""
    if future.set_running_or_notify_cancel():
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


_SENDERS: dict[int, Sender] = {}
"""The sender of this process, by its number: a forked child inherits the entry, but neither pipes nor thread."""

_STARTING = threading.Lock()


class ProcessTransport:
    """The transport of runs: requests are sent by a process of its own."""

    async def send(self, body: Mapping[str, Any], destination: Destination, request: Request[Any]) -> str:
        """Send a body once; see `Transport`."""
        return await _sender().send(body, destination, request)


def _sender() -> Sender:
    """Return the sender of this process, started if there is none."""
    with _STARTING:
        found = _SENDERS.get(os.getpid())
        if found is None or found.has_ended:
            found = _SENDERS[os.getpid()] = Sender()
        return found


def close_mailbox(mailbox: Path) -> None:
    """Let other processes have the mailbox of a run, once no reply to it is on its way."""
    if (found := _SENDERS.get(os.getpid())) is not None:
        found.close(mailbox)
