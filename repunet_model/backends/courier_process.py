"""A courier: the process that sends requests to endpoints. Started by `backends.courier`, never imported by it.

It reads messages, a line of JSON each, from the first of two sockets whose numbers are its arguments, and answers on
it; the second brings the locks of mailboxes. When the first one ends, so has the process it works for: what is still on
the way is waited for, and every reply that nobody has said is kept is left in its mailbox, which is locked until then.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress
from json import dumps, loads
from pathlib import Path
from typing import Any

import aiohttp
import openai

from repunet_model.backends.courier import LONGEST_LINE
from repunet_model.journal import Mailbox

Message = dict[str, Any]


class Bag:
    """What of one run is in the courier's hands: letters on the way, and replies that nobody has kept yet."""

    def __init__(self, mailbox: Mailbox, lock: int) -> None:
        self._mailbox = mailbox
        self._lock = lock
        self._replies: dict[int, Message] = {}

    def put(self, number: int, reply: Message) -> None:
        """Keep the reply to a letter until somebody else does."""
        self._replies[number] = reply

    def drop(self, number: int) -> None:
        """Let go of a reply."""
        self._replies.pop(number, None)

    def leave(self) -> None:
        """Leave in the mailbox whatever nobody has kept."""
        with suppress(OSError):  # a full disk, or a run that was deleted: there is nobody to tell
            if self._replies:
                self._mailbox.leave(self._replies.values())

    def close(self) -> None:
        """Give up the share in the lock."""
        os.close(self._lock)


class Sender:
    """Sends requests and takes replies in."""

    def __init__(self, writer: asyncio.StreamWriter, locks: socket.socket) -> None:
        self._writer = writer
        self._locks = locks
        self._clients: dict[int, openai.AsyncOpenAI] = {}
        self._sending: dict[int, asyncio.Task[None]] = {}
        self._bags: dict[int, Bag] = {}
        self._bag_of: dict[int, Bag] = {}

    def handle(self, message: Message) -> None:
        """Do what a message says."""
        match message:
            case {"send": number}:
                if (mailbox := message["mailbox"]) is not None:
                    self._bag_of[number] = self._bags[mailbox]
                self._sending[number] = asyncio.create_task(self._send(number, message))
            case {"kept": number}:
                self._drop(number)
            case {"give_up": number}:
                if number in self._sending:
                    self._sending[number].cancel()
                self._drop(number)
            case {"mailbox": number}:
                _, (lock,), _, _ = socket.recv_fds(self._locks, 1, 1)
                self._bags[number] = Bag(Mailbox(Path(message["path"])), lock)
            case {"forget": number}:
                self._bags.pop(number).close()
            case {"destination": number}:
                self._clients[number] = _client(message)

    def _drop(self, number: int) -> None:
        if (bag := self._bag_of.pop(number, None)) is not None:
            bag.drop(number)

    async def _send(self, number: int, message: Message) -> None:
        """Send a request and pass on what comes."""
        try:
            response = await self._clients[message["to"]].chat.completions.with_raw_response.create(**message["body"])
            told: Message = {"content": response.content.decode("utf-8", "replace")}
            if number in self._bag_of:
                self._bag_of[number].put(number, {"digest": message["digest"], **told})
        except openai.APIStatusError as error:
            told = {
                "refused": {
                    "status": error.status_code,
                    "text": error.response.text,
                    "message": error.message,
                    "code": error.code,
                    "parameter": error.param,
                    "retry_after": error.response.headers.get("retry-after", ""),
                }
            }
        except openai.APIConnectionError as error:
            told = {"lost": _loss(error)}
        except Exception as error:
            told = {"lost": {"reason": f"{type(error).__name__}: {error}"}}
        finally:
            del self._sending[number]
        if "content" not in told:
            self._drop(number)
        if not self._writer.is_closing():
            self._writer.write(dumps({"number": number, **told}).encode() + b"\n")

    async def finish(self) -> None:
        """Wait for what is on the way, and leave in the mailboxes what nobody has kept."""
        self._writer.close()
        await asyncio.gather(*self._sending.values(), return_exceptions=True)
        for bag in self._bags.values():
            bag.leave()


def _loss(error: openai.APIConnectionError) -> Message:
    """Say why no reply came. The SDK calls whatever goes wrong with aiohttp a timeout, so its causes are looked at."""
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__) is not None:
        causes.append(cause)
    for cause in causes:
        if isinstance(cause, aiohttp.ClientConnectorError):
            return {"reason": cause.os_error.strerror or str(cause), "may_have_arrived": False}
    is_timeout = any(isinstance(cause, TimeoutError) for cause in causes)
    return {"reason": str(causes[-1]), "is_timeout": is_timeout}


def _client(message: Message) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        api_key=message["key"],
        base_url=message["base_url"],
        max_retries=0,
        timeout=openai.Timeout(message["timeout"], connect=message["connect_timeout"]),
        # Prompts go where they were sent and nowhere else.
        http_client=openai.DefaultAioHttpClient(follow_redirects=False, trust_env=message["trust_env"]),
    )


async def work(connection: socket.socket, locks: socket.socket) -> None:
    """Serve whoever is at the other end until it is gone."""
    reader, writer = await asyncio.open_connection(sock=connection, limit=LONGEST_LINE)
    sender = Sender(writer, locks)
    with suppress(ConnectionError):
        while (line := await reader.readline()).endswith(b"\n"):
            sender.handle(loads(line))
    await sender.finish()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(work(*(socket.socket(fileno=int(number)) for number in sys.argv[1:])))
    os._exit(0)  # at once: connections that are kept open have nothing to say
