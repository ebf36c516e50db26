"""The client of the process that sends requests (`sender.process`).

Each process has one sender, started with the first request and shared by all event loops and threads. Messages are
lines of JSON on its standard input and output; a thread reads them and sets futures that event loops await.
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
from repunet_model.backends.sender.mailbox import discard, unread
from repunet_model.backends.sender.transport import Destination, LostError, RefusedError
from repunet_model.errors import StorageError

_LOG = logging.getLogger(__name__)

_APART: dict[str, Any] = {"start_new_session": True}  # only the run handles an interrupt at the keyboard
if sys.platform == "win32":
    _APART = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}


class Sender:
    """The sender of this process; once it `has_ended`, another one must be started."""

    def __init__(self) -> None:
        # Unbuffered: an interpreter that ends would wait for the lock of a buffer that a thread is reading into.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "repunet_model.backends.sender.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            **_APART,
        )
        self._writing = threading.RLock()  # re-entrant, since garbage collection during a write may close a mailbox
        self._numbers = count()
        self._awaited: dict[int, Future[str]] = {}
        self._left: dict[Path, dict[str, list[str]]] = {}
        self._settled: dict[Path, list[str]] = {}
        self.has_ended = False
        threading.Thread(target=self._read, name="repunet-sender", daemon=True).start()

    async def send(self, body: Mapping[str, Any], destination: Destination, request: Request[Any]) -> str:
        """Return a reply that arrived for an earlier process, or send the body; see `Transport`."""
        text = json.dumps(body, ensure_ascii=False)
        digest = sha256(f"{destination.endpoint or destination.base_url}\n{text}".encode()).hexdigest()
        mailbox = request.mailbox
        if mailbox is not None and (replies := (await self._opened(mailbox)).get(digest)):
            request.receipts.append(partial(self._settled.setdefault(mailbox, []).append, digest))
            return replies.pop(0)
        message = {"send": asdict(destination), "digest": digest, "mailbox": mailbox and str(mailbox)}
        number = next(self._numbers)
        try:
            reply = await self._call(number, message, text)
        except LostError as error:
            if mailbox is not None and not error.may_have_arrived:
                self._left.pop(mailbox, None)  # another model of the same run may have closed it
            raise
        request.receipts.append(partial(self._say, {"drop": number}))
        return reply

    async def _opened(self, mailbox: Path) -> dict[str, list[str]]:
        """Have the sender lock a mailbox, unless it has; return its replies by the hash of the request."""
        if mailbox not in self._left:
            if problem := await self._call(next(self._numbers), {"open": str(mailbox)}):
                raise StorageError(f"{mailbox.parent} cannot be written: {problem}")
            if mailbox not in self._left:  # a concurrent call may have read it
                self._left[mailbox] = unread(mailbox)
        return self._left[mailbox]

    def close(self, mailbox: Path) -> None:
        """Have the sender release a mailbox once no reply is pending."""
        self._left.pop(mailbox, None)
        if settled := self._settled.pop(mailbox, None):
            with suppress(StorageError):  # they are then read again
                discard(mailbox, settled)
        self._say({"close": str(mailbox)})

    async def _call(self, number: int, message: dict[str, Any], body: str = "") -> str:
        """Write a message and wait for the reply."""
        future = self._awaited[number] = Future[str]()
        self._say({"number": number, **message}, body)
        if self.has_ended:  # the reader may have failed the futures before this one was added
            self._fail_all()
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            self._say({"drop": number})
            raise
        finally:
            self._awaited.pop(number, None)

    def _say(self, message: dict[str, Any], body: str = "") -> None:
        """Write a message and the body of a request on one line, separated by a tab, which JSON always escapes."""
        rest = memoryview(f"{json.dumps(message)}\t{body}\n".encode())
        assert self._process.stdin is not None
        with suppress(OSError, ValueError), self._writing:  # the reader reports a sender that has ended
            while rest:
                rest = rest[self._process.stdin.write(rest) :]

    def _read(self) -> None:
        """Set the futures of replies until the sender ends."""
        assert self._process.stdout is not None
        begun = b""
        while data := self._process.stdout.read(1 << 16):
            *lines, begun = (begun + data).split(b"\n")
            for line in lines:
                self._hear(json.loads(line))
        self.has_ended = True
        self._fail_all()
        with self._writing, self._process:
            pass  # close its pipes and wait for it

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
            with suppress(KeyError):  # a concurrent cancellation removed the last one
                _settle(self._awaited.popitem()[1], LostError("the process that sends requests has ended"))


def _settle(future: Future[str], outcome: str | Exception) -> None:
    """Set the outcome of a future, unless it was cancelled."""
    if future.set_running_or_notify_cancel():
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


_SENDERS: dict[int, Sender] = {}
"""The sender by the ID of its process: a forked child inherits the entry, but cannot use the sender."""

_STARTING = threading.Lock()


class ProcessTransport:
    """The transport of runs, which sends requests by a separate process."""

    async def send(self, body: Mapping[str, Any], destination: Destination, request: Request[Any]) -> str:
        """Send a body once; see `Transport`."""
        return await _sender().send(body, destination, request)


def _sender() -> Sender:
    """Return the sender of this process; start it if there is none."""
    with _STARTING:
        found = _SENDERS.get(os.getpid())
        if found is None or found.has_ended:
            found = _SENDERS[os.getpid()] = Sender()
        return found


def prepare() -> None:
    """Start the sender of this process, unless it runs, since it takes a second to be ready for the first request."""
    _sender()


def close_mailbox(mailbox: Path) -> None:
    """Release the mailbox of a run for other processes once no reply is pending."""
    if (found := _SENDERS.get(os.getpid())) is not None:
        found.close(mailbox)
