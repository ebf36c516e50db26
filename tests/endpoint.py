"""A local endpoint that speaks OpenAI's chat completions, for tests.

It answers whatever schema it is given, choosing by a hash of the question alone, so that equal questions have equal
answers. It keeps a log of what it saw and can be told to be slow or to fail. It listens on 127.0.0.1, on a free port.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from typing import Any

from aiohttp import web

WORDS = [
    "honest",
    "generous",
    "greedy",
    "careful",
    "friendly",
    "distant",
    "helpful",
    "selfish",
    "patient",
    "fair",
    "tough",
    "calm",
]

Fault = Callable[[int, dict[str, Any]], web.Response | None]
"""Told the number of a request (from 0) and its body; returns a response to send instead of an answer, or None."""


@dataclass
class Endpoint:
    """A running endpoint and what it saw.

    Attributes:
        url: What LLM_API_BASE is to be.
        requests: The bodies of all requests, in the order of their arrival.
        most_at_once: How many requests were under way at once, at most.
        prompt_tokens: Sum of what the replies reported.
        completion_tokens: The same.
    """

    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    most_at_once: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    _at_once: int = 0

    async def _handle(self, request: web.Request, latency: Callable[[], float], fault: Fault | None) -> web.Response:
        body = await request.json()
        number = len(self.requests)
        self.requests.append(body)
        self.keys.add(request.headers.get("Authorization", ""))
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await asyncio.sleep(latency())
            failure = fault(number, body) if fault is not None else None
            return failure if failure is not None else self._completion(json.dumps(reply_to(body)), body)
        finally:
            self._at_once -= 1

    def _completion(self, text: str, body: dict[str, Any]) -> web.Response:
        prompt_tokens = sum(len(message["content"]) for message in body["messages"]) // 4
        completion_tokens = len(text) // 4
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens
        return completion(text, prompt_tokens=prompt_tokens, completion_tokens=completion_tokens)


def completion(
    text: str, *, finish_reason: str = "stop", prompt_tokens: int = 1, completion_tokens: int = 1
) -> web.Response:
    """Return a chat completion with a text."""
    return web.json_response(
        {
            "id": "chatcmpl-test",
            "object": "chat.completion",
            "created": 0,
            "model": "test",
            "choices": [
                {"index": 0, "finish_reason": finish_reason, "message": {"role": "assistant", "content": text}}
            ],
            "usage": {
                "prompt_tokens": prompt_tokens,
                "completion_tokens": completion_tokens,
                "total_tokens": prompt_tokens + completion_tokens,
            },
        }
    )


def reply_to(body: dict[str, Any]) -> dict[str, Any]:
    """Return a random reply that fits the schema of a request, the same for the same first question."""
    schema = body["response_format"]["json_schema"]["schema"]
    first = json.dumps([body["messages"][:2], schema], sort_keys=True)
    return random_reply(schema, Random(sha256(first.encode()).digest()))


def random_reply(schema: dict[str, Any], random: Random) -> dict[str, Any]:
    """Return a random reply that fits a schema of flat answers."""
    return {name: _value(field, random) for name, field in schema["properties"].items()}


def _value(field: dict[str, Any], random: Random) -> Any:
    if "enum" in field:
        return random.choice(field["enum"])
    if field["type"] == "number":
        low, high = field.get("minimum", 0), field.get("maximum", 1)
        return round(random.uniform(low + 0.05 * (high - low), high), 3)
    assert field["type"] == "string", field
    return " ".join(random.sample(WORDS, 5))


@contextmanager
def endpoint(
    latency: Callable[[], float] | float = 0.0, fault: Fault | None = None, port: int = 0
) -> Iterator[Endpoint]:
    """Run an endpoint on a thread of its own for the length of the block.

    Args:
        latency: Seconds before a reply, or a function that draws them.
        fault: See `Fault`.
        port: The port; 0 for a free one.
    """
    state = Endpoint()
    draw = latency if callable(latency) else (lambda: float(latency))
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    stop = asyncio.Event()

    async def serve() -> None:
        app = web.Application()

        async def handle(request: web.Request) -> web.Response:
            return await state._handle(request, draw, fault)

        app.router.add_post("/v1/chat/completions", handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        state.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert ready.wait(10), "the test endpoint did not start"
    try:
        yield state
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
