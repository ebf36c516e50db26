"""A local endpoint that speaks OpenAI's chat completions, for tests without a model, a key or a network.

It answers any schema, with choices determined by a hash of the question: equal questions get equal answers at any time
and in any form of request, so that runs are reproducible. It records requests, and can delay, fail or reject them. It
listens on 127.0.0.1, on a free port, for the duration of a block. It needs the extra `testing`. In your own tests::

    pytest_plugins = ["repunet_model.testing"]

    def test_something(local_endpoint):
        model = RepuNetModel(backend="openai", rng=1)
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from random import Random
from typing import Any

import pytest
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


class Reset:
    """Close the connection without a reply."""


@dataclass(frozen=True, slots=True)
class Hang:
    """Reply after a number of seconds."""

    seconds: float


Body = dict[str, Any]

Fault = Callable[[int, Body], web.Response | Reset | Hang | None]
"""Gets the number of a request (from 0) and its body; returns the fault to make, or None to answer the request."""


@dataclass
class Endpoint:
    """A running endpoint and its records.

    Attributes:
        url: The value for LLM_API_BASE.
        requests: The bodies of all requests, in the order of arrival.
        times: The times of arrival, in seconds of the event loop's clock.
        answered: The bodies of the requests that got a chat completion, valid or not.
        keys: The values of the header Authorization.
        most_at_once: The largest number of concurrent requests.
        prompt_tokens: The sum over all chat completions, delivered or not.
        completion_tokens: The same.
    """

    url: str = ""
    requests: list[Body] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    answered: list[Body] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    most_at_once: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    _at_once: int = 0

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens of all chat completions."""
        return self.prompt_tokens + self.completion_tokens

    async def _handle(
        self, request: web.Request, latency: Callable[[], float], fault: Fault | None
    ) -> web.StreamResponse:
        body = await request.json()
        number = len(self.requests)
        self.requests.append(body)
        self.times.append(asyncio.get_running_loop().time())
        self.keys.add(request.headers.get("Authorization", ""))
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await asyncio.sleep(latency())
            response = fault(number, body) if fault is not None else None
            if isinstance(response, Reset):
                if request.transport is not None:
                    request.transport.abort()
                return web.Response()
            if isinstance(response, Hang):
                await asyncio.sleep(response.seconds)
                response = None
            if response is None:
                response = answer(body)
            self._count(response, body, delivered=request.transport is not None)
            return response
        finally:
            self._at_once -= 1

    def _count(self, response: web.Response, body: Body, *, delivered: bool) -> None:
        """Add the tokens of a response, if it is a chat completion."""
        try:
            usage = json.loads(response.text or "")["usage"]
            self.prompt_tokens += usage["prompt_tokens"]
            self.completion_tokens += usage["completion_tokens"]
        except (ValueError, KeyError, TypeError):
            return
        if delivered:
            self.answered.append(body)


def completion(
    text: str,
    *,
    finish_reason: str = "stop",
    prompt_tokens: int = 1,
    completion_tokens: int = 1,
    tool: str = "",
    model: str = "",
) -> web.Response:
    """Return a chat completion with a text; with the name of a tool, a call of it with the text as arguments."""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if tool:
        call = {"id": "call-test", "type": "function", "function": {"name": tool, "arguments": text}}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return web.json_response(
        {
            "id": "chatcmpl-test",
            "object": "chat.completion",
            "created": 0,
            "model": model,
            "choices": [{"index": 0, "finish_reason": finish_reason, "message": message}],
            "usage": {
                "prompt_tokens": prompt_tokens,
                "completion_tokens": completion_tokens,
                "total_tokens": prompt_tokens + completion_tokens,
            },
        }
    )


def said(message: Body, *, finish_reason: str = "stop", **more: Any) -> web.Response:
    """Return a chat completion with a message of any form.

    Args:
        message: The message, such as {"content": None, "reasoning_content": "Hm."}.
        finish_reason: Why it ended.
        more: What else the choice holds, such as an error.
    """
    choice = {"index": 0, "finish_reason": finish_reason, "message": {"role": "assistant", **message}, **more}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return web.json_response({"object": "chat.completion", "choices": [choice], "usage": usage})


def answer(body: Body) -> web.Response:
    """Return a chat completion that answers a request, four characters a token."""
    tools = body.get("tools")
    text = json.dumps(reply_to(body))
    return completion(
        text,
        prompt_tokens=sum(len(message["content"]) for message in body["messages"]) // 4,
        completion_tokens=len(text) // 4,
        tool=tools[0]["function"]["name"] if tools else "",
        model=body.get("model", ""),
    )


def uncounted(body: Body) -> web.Response:
    """Return a chat completion that answers a request, with all numbers of tokens 0."""
    reply = json.loads(answer(body).text or "")
    return web.json_response({**reply, "usage": dict.fromkeys(reply["usage"], 0)})


def restated(body: Body) -> web.Response:
    """Return a chat completion with choices in capitals, quotation marks and another Unicode form, and "85 %"."""
    return completion(json.dumps(_restated(reply_to(body), _schema(body))))


def _restated(value: Any, schema: Body) -> Any:
    schema = schema.get("anyOf", [schema])[0]
    if "enum" in schema:
        return unicodedata.normalize("NFD", f' "{value.upper()}." ')
    if schema["type"] == "object":
        return {name: _restated(each, schema["properties"][name]) for name, each in value.items()}
    return f"{value} %" if schema["type"] == "integer" else value


def page(text: str = "<!DOCTYPE html><title>Sign in</title>") -> web.Response:
    """Return a page with HTTP 200, as a proxy or a wrong address gives it."""
    return web.Response(text=text, content_type="text/html")


def error(status: int, message: str, **details: Any) -> web.Response:
    """Return an error in the format of OpenAI's API, with details such as `param` and `code`."""
    return web.json_response({"error": {"message": message, **details}}, status=status)


def reply_to(body: Body) -> dict[str, Any]:
    """Return a random reply that fits the schema of a request, equal for equal questions."""
    return random_reply(_schema(body), Random(_question(body)))


def _schema(body: Body) -> dict[str, Any]:
    """Return the schema of a request, from its response format, tool or prompt."""
    if body.get("tools"):
        schema = body["tools"][0]["function"]["parameters"]
    elif body.get("response_format", {}).get("type") == "json_schema":
        schema = body["response_format"]["json_schema"]["schema"]
    else:
        _, prompt = _first(body)
        schema, _ = json.JSONDecoder().raw_decode(prompt, prompt.index('{"type": "object"'))
    assert isinstance(schema, dict)
    return schema


def _question(body: Body) -> bytes:
    """Return a hash of the question in a request, which excludes corrections and the form of the request."""
    system, user = _first(body)
    first = json.dumps([system, user.split("\n\nReply with JSON of this schema")[0], _schema(body)], sort_keys=True)
    return sha256(first.encode()).digest()


def _first(body: Body) -> tuple[str, str]:
    """Return the rules and the question, which may be one message."""
    first, *rest = (message["content"] for message in body["messages"])
    if body["messages"][0]["role"] == "system":
        return first, rest[0]
    rules, mark, question = first.partition("\n\nYou are ")
    return rules, mark.strip() + " " + question


def random_reply(schema: dict[str, Any], random: Random) -> dict[str, Any]:
    """Return a random reply that fits a schema, without nulls."""
    return {name: _value(field, random) for name, field in schema["properties"].items()}


def _value(field: dict[str, Any], random: Random) -> Any:
    if "anyOf" in field:
        return _value(field["anyOf"][0], random)
    if field.get("type") == "object":
        return random_reply(field, random)
    if "enum" in field:
        return random.choice(field["enum"])
    if field["type"] == "number":
        low, high = field.get("minimum", 0), field.get("maximum", 1)
        return round(random.uniform(low + 0.05 * (high - low), high), 3)
    if field["type"] == "integer":
        return random.randint(field.get("minimum", 0), field.get("maximum", 100))
    assert field["type"] == "string", field
    return " ".join(random.sample(WORDS, 5))


class FaultKind(StrEnum):
    """The kinds of faults."""

    LIMIT = "429"
    OVERLOAD = "500"
    RESET = "reset"
    TRUNCATED = "truncated"
    MALFORMED = "malformed"
    WRONG_SCHEMA = "wrong schema"
    EMPTY = "empty"
    SLOW = "slow"
    IN_A_CHOICE = "error in a choice"
    THOUGHT_ALONE = "empty with reasoning"
    DRAFT = "draft in a thought"
    SPENT = "tokens used up in thinking"
    FILTER = "filter"
    PAGE = "page"
    STREAM = "event stream"
    UNCOUNTED = "tokens counted as 0"
    RESTATED = "choices in another form"


LASTING = (FaultKind.FILTER, FaultKind.PAGE, FaultKind.STREAM)
"""The faults that end a step, pages and streams only until the endpoint has answered; the run has to be resumed."""

HARMLESS = (FaultKind.UNCOUNTED, FaultKind.RESTATED)
"""The faults of replies that are used."""

SURVIVED = tuple(kind for kind in FaultKind if kind not in {*LASTING, *HARMLESS})
"""The faults after which a question is asked again."""


class Faults:
    """Random faults, drawn from a seed by question and attempt.

    Attributes:
        made: The number of faults by kind.
    """

    def __init__(
        self,
        share: float,
        seed: int = 0,
        kinds: Sequence[FaultKind] = SURVIVED,
        slow: float = 1.0,
        most: int = 3,
    ) -> None:
        """Plan faults.

        Args:
            share: The share of attempts that fail.
            seed: The random seed.
            kinds: The kinds of faults.
            slow: The duration of a slow reply in seconds.
            most: The largest number of consecutive faults for a question.
        """
        self.made: Counter[FaultKind] = Counter()
        self._share = share
        self._seed = seed
        self._kinds = list(kinds)
        self._slow = slow
        self._most = most
        self._least = 0
        self._attempts: Counter[bytes] = Counter()
        self._in_a_row: Counter[bytes] = Counter()

    def __call__(self, number: int, body: Body) -> web.Response | Reset | Hang | None:
        """Draw the fault of an attempt, or None."""
        first = _question(body)
        self._attempts[first] += 1
        random = Random(f"{self._seed} {first.hex()} {self._attempts[first]}")
        if random.random() >= self._share or self._in_a_row[first] == self._most:
            self._in_a_row[first] = 0
            return None
        self._in_a_row[first] += 1
        kind = random.choice(self._kinds)
        self._least = self._least or body.get("max_tokens", 0)
        if kind is FaultKind.SPENT and body.get("max_tokens", 0) > self._least:
            kind = FaultKind.EMPTY  # with the tokens it asked for, a model answers
        self.made[kind] += 1
        return self._make(kind, body)

    def _make(self, kind: FaultKind, body: Body) -> web.Response | Reset | Hang:
        text = json.dumps(reply_to(body))
        match kind:
            case FaultKind.LIMIT:
                response = error(429, "slow down")
                response.headers["Retry-After"] = "0.1"
                return response
            case FaultKind.OVERLOAD:
                return error(500, "overloaded")
            case FaultKind.RESET:
                return Reset()
            case FaultKind.TRUNCATED:
                return completion(text[: len(text) // 2], finish_reason="length")
            case FaultKind.MALFORMED:
                return completion(text[:-1] + ",,")
            case FaultKind.WRONG_SCHEMA:
                return completion('{"verdict": "guilty"}')
            case FaultKind.EMPTY:
                return completion("")
            case FaultKind.SLOW:
                return Hang(self._slow)
            case FaultKind.IN_A_CHOICE:
                return said({"content": ""}, finish_reason="error", error={"code": 502, "message": "went away"})
            case FaultKind.THOUGHT_ALONE:
                return said({"content": None, "reasoning_content": text})
            case FaultKind.DRAFT:
                return completion(f"<think>Perhaps {text}, but no")
            case FaultKind.SPENT:
                return said({"content": "", "reasoning": text}, finish_reason="length")
            case FaultKind.FILTER:
                return said({"content": None}, finish_reason="content_filter")
            case FaultKind.PAGE:
                return page()
            case FaultKind.STREAM:
                return web.Response(text='data: {"choices": []}\n\n', content_type="text/event-stream")
            case FaultKind.UNCOUNTED:
                return uncounted(body)
            case FaultKind.RESTATED:
                return restated(body)


def rejecting(*parameters: str) -> Fault:
    """Return a fault that rejects requests with parameters ("seed") or types of response format ("json_schema")."""

    def fault(number: int, body: Body) -> web.Response | None:
        wanted = body.get("response_format", {}).get("type")
        for name in parameters:
            if name in body:
                return error(400, f"Unsupported parameter: '{name}' is not supported with this model.", param=name)
            if name == wanted:
                return error(400, f"response_format of type {name} is not supported", param="response_format")
        return None

    return fault


@contextmanager
def endpoint(
    latency: Callable[[], float] | float = 0.0,
    fault: Fault | None = None,
    port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Endpoint]:
    """Run an endpoint in a thread for the duration of the block.

    Args:
        latency: The seconds before a reply, or a function that draws them.
        fault: See `Fault`.
        port: The port; 0 for a free one.
        tls: The server's certificate, for https; None for http.
    """
    state = Endpoint()
    draw = latency if callable(latency) else (lambda: float(latency))
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    stop = asyncio.Event()

    async def serve() -> None:
        app = web.Application()

        async def handle(request: web.Request) -> web.StreamResponse:
            return await state._handle(request, draw, fault)

        app.router.add_post("/v1/chat/completions", handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
        await site.start()
        state.url = f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}/v1"
        ready.set()
        await stop.wait()
        await runner.cleanup()
        if tls is not None:
            await asyncio.sleep(0.2)  # connections close when both sides have said goodbye

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    if not ready.wait(10):
        raise RuntimeError("the test endpoint did not start")
    try:
        yield state
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


@pytest.fixture
def local_endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """Run a local endpoint without delay, and set LLM_API_BASE to it."""
    with endpoint() as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        yield running
