"""The process that sends requests to endpoints, started by `sender.client` and never imported.

A request that was sent is paid for, so its reply must survive the asking process. The asking process writes messages
to standard input, each a line of JSON, with the body of a request after a tab, and reads replies from standard output.
When the input ends, the asking process has ended: the sender waits for pending replies, and writes all replies that
were not dropped to the mailbox of the run (`sender.mailbox`).

Before the first request of a run, the sender locks the mailbox of the run. Only the sender holds the lock, so that the
lock covers all pending requests and outlives the asking process. A mailbox is read only under the lock, and a sender
releases the lock only after it has written the replies that were not dropped.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Coroutine
from contextlib import suppress
from importlib import import_module
from json import dumps, loads
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from repunet_model.backends.sender.transport import Destination
from repunet_model.util import json_lines

Message = dict[str, Any]

_CLOSED = {"reason": "the run was closed", "may_have_arrived": False}
"""What a request gets if another model of the same run closed its mailbox; it may be sent again."""


class Mailbox:
    """The replies to a run.

    Attributes:
        path: The file for replies that were not dropped.
        lock: The lock of the file, held from before the first request until no reply is pending.
        is_open: Whether further requests may be sent.
        on_the_way: The numbers of pending requests.
        replies: The replies that were not dropped, by the number of the request.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = FileLock(path.with_name(".mail.lock"), timeout=0, thread_local=False)
        self.is_open = True
        self.on_the_way: set[int] = set()
        self.replies: dict[int, Message] = {}

    def let_go(self) -> None:
        """Write the replies that were not dropped, and release the lock."""
        with suppress(OSError):  # a full disk or a deleted run cannot be reported
            if self.replies:
                json_lines.append(self.path, self.replies.values(), repair=True)
        self.lock.release()


class Sender:
    """The pending requests of the asking process, and the mailboxes of its runs."""

    def __init__(self) -> None:
        # The import of the SDK takes a second or more; mailboxes are opened meanwhile.
        self._http = asyncio.create_task(asyncio.to_thread(import_module, "repunet_model.backends.sender.http"))
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._mailboxes: dict[str, Mailbox] = {}

    def handle(self, message: Message, body: bytes) -> None:
        """Handle a message."""
        match message:
            case {"open": path, "number": number}:
                mailbox = self._mailboxes.setdefault(path, Mailbox(Path(path)))
                mailbox.is_open = True
                self._start(number, self._open(number, mailbox))
            case {"send": _, "number": number, "mailbox": path}:
                used = self._mailboxes.get(path)
                if used is not None:
                    used.on_the_way.add(number)
                self._start(number, self._send(message, body, used))
            case {"drop": number}:
                if number in self._tasks:
                    self._tasks[number].cancel()
                for mailbox in self._mailboxes.values():
                    mailbox.replies.pop(number, None)
            case {"close": path}:
                self._close(path)

    def _start(self, number: int, work: Coroutine[Any, Any, None]) -> None:
        task = self._tasks[number] = asyncio.create_task(work)
        task.add_done_callback(lambda _: self._tasks.pop(number))

    async def _open(self, number: int, mailbox: Mailbox) -> None:
        """Lock a mailbox once no other sender holds the lock."""
        problem, waits = "", False
        try:
            while not mailbox.lock.is_locked:
                if not mailbox.is_open:
                    _say({"number": number, "lost": _CLOSED})
                    return
                mailbox.path.parent.stat()  # the lock would create the folder of a deleted run
                try:
                    mailbox.lock.acquire()
                except Timeout:
                    if not waits:
                        waits = True
                        _say({"number": number, "waits": waits})
                    await asyncio.sleep(0.05)
        except OSError as error:
            problem = error.strerror or str(error)
        _say({"number": number, "content": problem})

    async def _send(self, message: Message, body: bytes, mailbox: Mailbox | None) -> None:
        """Send a request and report its outcome."""
        number = message["number"]
        if mailbox is None and message["mailbox"] is not None:
            _say({"number": number, "lost": _CLOSED})
            return
        try:
            http = await asyncio.shield(self._http)
            told = await http.send(Destination(**message["send"]), body)
            if mailbox is not None and "content" in told:
                mailbox.replies[number] = {"digest": message["digest"], **told}
            _say({"number": number, **told})
        finally:
            if mailbox is not None:
                mailbox.on_the_way.remove(number)
                self._let_go_if_done(mailbox)

    def _close(self, path: str) -> None:
        if (mailbox := self._mailboxes.get(path)) is not None:
            mailbox.is_open = False
            self._let_go_if_done(mailbox)

    def _let_go_if_done(self, mailbox: Mailbox) -> None:
        if not mailbox.is_open and not mailbox.on_the_way:
            self._mailboxes.pop(str(mailbox.path))
            mailbox.let_go()

    async def finish(self) -> None:
        """Wait for pending requests, and release all mailboxes."""
        for path in list(self._mailboxes):
            self._close(path)
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)


def _say(message: Message) -> None:
    """Write a message to the asking process, if it has not ended."""
    with suppress(OSError):
        sys.stdout.buffer.write(dumps(message).encode() + b"\n")
        sys.stdout.buffer.flush()


async def work() -> None:
    """Serve the asking process until it ends."""
    loop, ended, sender = asyncio.get_running_loop(), asyncio.Event(), Sender()

    def read() -> None:
        for line in sys.stdin.buffer:
            head, _, body = line.partition(b"\t")
            if line.endswith(b"\n"):  # the asking process may have ended within a line
                loop.call_soon_threadsafe(sender.handle, loads(head), body[:-1])
        loop.call_soon_threadsafe(ended.set)

    # A thread, since event loops on Windows cannot read pipes together with sockets.
    threading.Thread(target=read, daemon=True).start()
    await ended.wait()
    await sender.finish()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(work())
    os._exit(0)  # at once, without closing kept connections
