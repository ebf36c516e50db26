"""Requests on their way to endpoints, in the hands of a process of its own.

What has been sent is paid for, so its reply must not be lost with the process that asked. A courier
(`backends.courier_process`) sends requests and takes replies in; if the process it works for ends, it waits for what
is on the way and leaves it in the run's mailbox (`journal.Mailbox`), where whoever goes on with the run finds it.
There is one courier for each event loop, started with the first request; it ends when the loop's process does. It
also has the client's work to itself, on another core than the thinking of agents.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
import weakref
from contextlib import suppress
from contextvars import Context
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from itertools import count
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from repunet_model.journal import Hold, Mailbox

LONGEST_LINE = 1 << 28
"""Bytes of the longest message between the two processes."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where requests go.

    Attributes:
        base_url: The endpoint.
        key: The API key.
        timeout: Seconds to wait for a reply.
        connect_timeout: Seconds to wait for a connection.
        trust_env: Whether the proxy settings of the environment apply.
    """

    base_url: str
    key: str = field(repr=False)
    timeout: float
    connect_timeout: float
    trust_env: bool


class Letter:
    """A request as it is sent.

    Attributes:
        text: Its body as JSON.
        digest: A hash of address and body, by which a reply that came too late is found again.
    """

    def __init__(self, destination: Destination, body: dict[str, Any]) -> None:
        self.destination = destination
        self.text = json.dumps(body, ensure_ascii=False)
        self.digest = sha256(f"{destination.base_url}\n{self.text}".encode()).hexdigest()


class RefusedError(Exception):
    """The endpoint refused a request.

    Attributes:
        status: The HTTP status.
        text: The body of its response.
        message: What the SDK makes of it.
        code: The code of the error, if it names one.
        parameter: The parameter it is about, if it names one.
        retry_after: The header Retry-After, empty if there is none.
    """

    def __init__(self, status: int, text: str, message: str, code: Any, parameter: Any, retry_after: str) -> None:
        super().__init__(message)
        self.status = status
        self.text = text
        self.message = message
        self.code = code
        self.parameter = parameter
        self.retry_after = retry_after


class LostError(Exception):
    """No reply came.

    Attributes:
        is_timeout: Whether the time was up.
        may_have_arrived: Whether the request may have reached the endpoint.
    """

    def __init__(self, reason: str, *, is_timeout: bool = False, may_have_arrived: bool = True) -> None:
        super().__init__(reason)
        self.is_timeout = is_timeout
        self.may_have_arrived = may_have_arrived


class Courier(asyncio.Protocol):
    """This process's end of the connection to a courier.

    Attributes:
        is_gone: Whether the courier has ended.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.WriteTransport | None = None
        self._begun = b""
        self._numbers = count()
        self._destinations: dict[Destination, int] = {}
        self._mailboxes: weakref.WeakKeyDictionary[Hold, int] = weakref.WeakKeyDictionary()
        self._awaited: dict[int, asyncio.Future[str]] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._handing: socket.socket | None = None
        self.is_gone = False

    @classmethod
    async def start(cls) -> Self:
        """Start a courier."""
        (here, there), (handing, taking) = socket.socketpair(), socket.socketpair()
        with there, taking:
            ends = [there.fileno(), taking.fileno()]
            command = [sys.executable, "-P", "-m", "repunet_model.backends.courier_process", *map(str, ends)]
            # In a session of its own: an interrupt at the keyboard is for the run.
            process = subprocess.Popen(  # noqa: ASYNC220  # it does not wait for the process
                command, pass_fds=ends, stdin=subprocess.DEVNULL, start_new_session=True
            )
        _, started = await asyncio.get_running_loop().create_connection(cls, sock=here)
        started._process, started._handing = process, handing
        return started

    async def send(self, letter: Letter, mailbox: Mailbox | None) -> tuple[str, int]:
        """Have a request sent, and wait for the reply.

        Args:
            letter: The request.
            mailbox: Where the reply is left if this process ends before it says that it has kept it.

        Returns:
            The body of the response, and the number to name when it is kept.

        Raises:
            RefusedError: If the endpoint refused it.
            LostError: If no reply came.
        """
        number = next(self._numbers)
        self._awaited[number] = asyncio.get_running_loop().create_future()
        head = {
            "send": number,
            "to": self._number_of(letter.destination),
            "digest": letter.digest,
            "mailbox": self._number_of_mailbox(mailbox),
        }
        self._write(head, letter.text)
        try:
            return await self._awaited[number], number
        except asyncio.CancelledError:
            self._write({"give_up": number})
            raise
        finally:
            del self._awaited[number]

    def kept(self, number: int) -> None:
        """Say that a reply is written down."""
        self._write({"kept": number})

    def _number_of(self, destination: Destination) -> int:
        if destination not in self._destinations:
            self._destinations[destination] = len(self._destinations)
            self._write({"destination": self._destinations[destination], **asdict(destination)})
        return self._destinations[destination]

    def _number_of_mailbox(self, mailbox: Mailbox | None) -> int | None:
        """Return the number by which the courier knows a mailbox, and give it a share in its lock.

        What is handed over belongs to the courier even before it takes it, and whatever becomes of this process.
        """
        if mailbox is None or mailbox.hold is None or self._handing is None:
            return None
        if mailbox.hold not in self._mailboxes:
            number = self._mailboxes[mailbox.hold] = next(self._numbers)
            self._write({"mailbox": number, "path": str(mailbox.path)})
            with suppress(OSError):  # it is gone, which `send` will find out
                socket.send_fds(self._handing, [b"."], [mailbox.hold.file])
            weakref.finalize(mailbox.hold, self._forget, number).atexit = False
        return self._mailboxes[mailbox.hold]

    def _forget(self, number: int) -> None:
        """Have the courier give up its share in the lock of a mailbox; called on whichever thread let go of it."""
        with suppress(RuntimeError):  # the loop is closed, and the courier gone with it
            self._loop.call_soon_threadsafe(self._write, {"forget": number})

    def _write(self, message: dict[str, Any], body: str = "") -> None:
        if self.is_gone:
            return
        assert self._transport is not None
        line = json.dumps(message)
        if body:
            line = f'{line[:-1]}, "body": {body}}}'
        self._transport.write(line.encode() + b"\n")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of the connection."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Hand replies to those who wait for them."""
        *lines, self._begun = (self._begun + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            future = self._awaited.get(message["number"])
            if future is None or future.done():
                continue
            if "content" in message:
                future.set_result(message["content"])
            elif "refused" in message:
                future.set_exception(RefusedError(**message["refused"]))
            else:
                future.set_exception(LostError(**message["lost"]))

    def connection_lost(self, error: Exception | None) -> None:
        """Tell those who wait that the courier has ended."""
        self.is_gone = True
        if self._handing is not None:
            self._handing.close()
        if self._process is not None:
            threading.Thread(target=self._process.wait, daemon=True).start()  # until its entry can go
        for future in self._awaited.values():
            if not future.done():
                future.set_exception(LostError("the process that sends requests has ended"))


_COURIERS: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[Courier]] = weakref.WeakKeyDictionary()


async def courier() -> Courier:
    """Return the courier of the running event loop, started if there is none."""
    loop = asyncio.get_running_loop()
    starting = _COURIERS.get(loop)
    if starting is None or (starting.done() and (starting.exception() is not None or starting.result().is_gone)):
        starting = _COURIERS[loop] = loop.create_task(Courier.start(), context=Context())
    return await asyncio.shield(starting)
