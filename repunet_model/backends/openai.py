"""The backend of language models: any endpoint that speaks OpenAI's chat completions.

Configured as the published implementation is, by environment variables: OPENAI_API_KEY, and those of
`backends.endpoint`. The key lives in the client and nowhere else.

Endpoints differ, and `backends.dialect` finds out how one wants to be asked. What was found out is kept for all later
requests of the backend, and every request says in its usage how it was asked.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

from repunet_model.backends.base import Request, Usage
from repunet_model.backends.dialect import Dialect
from repunet_model.backends.endpoint import Endpoint, ReplyFormat
from repunet_model.backends.sender.client import ProcessTransport
from repunet_model.backends.sender.transport import Destination, LostError, RefusedError, Transport
from repunet_model.errors import AdaptationError, ConfigurationError, EndpointError, InvalidReplyError, TransientError
from repunet_model.questions.base import Answer
from repunet_model.util.text import one_line

CONNECT_SECONDS = 10.0

CUT_CHARACTERS = 500
"""How much of a reply that was cut off is kept and told back."""

MOST_TOKENS = 1_000_000_000
"""No reply has more; a larger count is none."""

OPENAI_URL = "https://api.openai.com/v1"
"""Where OpenAI's own models are."""

NO_KEY = "none"
"""What is sent as the key to an endpoint that needs none."""


class OpenAIBackend:
    """One endpoint; one request, one attempt.

    Attributes:
        description: Name, model and sampling parameters.
    """

    reads_prompts = True
    is_costly = True
    asks_model = True

    def __init__(self, endpoint: Endpoint, key: str, transport: Transport | None = None) -> None:
        """Make a backend.

        Args:
            endpoint: Where and how to ask.
            key: The API key; any text for an endpoint that needs none.
            transport: What takes requests there; by default the process that sends (`backends.sender`).
        """
        self._transport = transport or ProcessTransport()
        self._endpoint = endpoint
        self._key = key
        self._destination = Destination(
            base_url=endpoint.base_url or OPENAI_URL,
            key=key,
            timeout=endpoint.timeout,
            connect_timeout=min(CONNECT_SECONDS, endpoint.timeout),
            trust_env=not endpoint.is_loopback,  # prompts do not go to this machine through a proxy
        )
        self._dialect = Dialect(endpoint.reply_format or ReplyFormat.JSON_SCHEMA)
        self._proven: ReplyFormat | None = None
        self.description = {"backend": "openai", **asdict(endpoint.sampling)}

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Send the prompt once and read the reply.

        Raises:
            AdaptationError: If the endpoint wants to be asked otherwise, which the next attempt will do.
            InvalidReplyError: If the reply does not fit.
            TransientError: If the attempt failed in a way that may pass.
            EndpointError: If it failed for good.
        """
        dialect = self._dialect
        reply = await self._send(request, dialect)
        request.usage.adaptations |= dialect.differences()
        text = self._text(reply, request.usage)
        self._proven = dialect.reply_format
        try:
            return request.question.read(text)
        except ValueError as error:
            raise InvalidReplyError(text, str(error)) from error

    async def _send(self, request: Request[Any], dialect: Dialect) -> object:
        """Send a request in a dialect and return the reply's JSON.

        Raises:
            AdaptationError: If the endpoint wants to be asked otherwise.
            TransientError: If the attempt failed in a way that may pass.
            EndpointError: If it failed for good.
        """
        body = self.body(request, dialect)
        started = time.perf_counter()
        request.usage.attempts += 1
        try:
            return json.loads(await self._transport.send(body, self._destination, request))
        except RefusedError as error:
            complaint = _complaint(error)
            if error.status in {400, 422}:
                if error.code == "json_validate_failed":
                    raise InvalidReplyError("", "the reply was not JSON of the schema") from error
                remedy = dialect.adapted(
                    complaint, error.parameter, body, is_proven=self._proven is dialect.reply_format
                )
                if remedy is not None:
                    if dialect is self._dialect:
                        self._dialect = remedy
                    raise AdaptationError(f"{self._place}: wants to be asked otherwise") from error
            raise self._refusal(error, complaint) from error
        except LostError as error:
            reason = (
                f"no reply within {self._endpoint.timeout:g} s"
                if error.is_timeout
                else f"cannot be reached ({self._clean(str(error))})"
            )
            raise TransientError(f"{self._place}: {reason}", may_have_cost=error.may_have_arrived) from error
        except (ValueError, RecursionError) as error:
            raise TransientError(
                f"{self._place}: not a chat completion ({self._clean(str(error))})", may_have_cost=True
            ) from error
        finally:
            request.usage.seconds += time.perf_counter() - started

    def body(self, request: Request[Any], dialect: Dialect) -> dict[str, Any]:
        """Return what is sent: prompt, sampling parameters, and how the reply is to be given."""
        sampling = asdict(self._endpoint.sampling)
        sampling[dialect.token_limit] = sampling.pop("max_tokens")
        sampling["seed"] = (int.from_bytes(request.digest[:4]) + request.attempt) & 0x7FFFFFFF
        messages = request.messages()
        name, schema = request.question.name, request.schema
        form: dict[str, Any]
        match dialect.reply_format:
            case ReplyFormat.JSON_SCHEMA:
                wanted = {"name": name, "strict": True, "schema": schema}
                form = {"response_format": {"type": "json_schema", "json_schema": wanted}}
            case ReplyFormat.TOOL:
                tool = {"name": name, "strict": True, "parameters": schema}
                form = {
                    "tools": [{"type": "function", "function": tool}],
                    "tool_choice": {"type": "function", "function": {"name": name}},
                }
            case ReplyFormat.JSON_OBJECT | ReplyFormat.TEXT:
                messages[1] = {
                    "role": "user",
                    "content": f"{request.prompt}\n\nReply with JSON of this schema, and nothing else: "
                    f"{request.schema_text}",
                }
                is_object = dialect.reply_format is ReplyFormat.JSON_OBJECT
                form = {"response_format": {"type": "json_object"}} if is_object else {}
        kept = {name: value for name, value in sampling.items() if name not in dialect.left_out}
        return {**kept, "messages": messages, **form}

    def _text(self, reply: object, usage: Usage) -> str:
        """Return the JSON that a chat completion holds, and count its tokens.

        Servers differ, and the SDK passes on what it gets without checking it.

        Raises:
            TransientError: If it is no chat completion.
            InvalidReplyError: If it was cut off, or the model refused.
        """
        data = reply if isinstance(reply, dict) else {}
        counts = data.get("usage")
        prompt, completion, total = (_count(counts, f"{kind}_tokens") for kind in ("prompt", "completion", "total"))
        if prompt is not None and completion is not None:
            # Some count what a model thinks in the total alone.
            completion = max(completion, (total or 0) - prompt)
            usage.counted += 1
            usage.prompt_tokens += prompt
            usage.completion_tokens += completion
            details = counts.get("prompt_tokens_details") if isinstance(counts, dict) else None
            usage.cached_tokens += min(_count(details, "cached_tokens") or 0, prompt)
        try:
            choice = data["choices"][0]
            message = choice["message"]
            text, refusal = _text_of(message.get("content")), message.get("refusal")
            if not text and message.get("tool_calls"):
                text = _text_of(message["tool_calls"][0]["function"]["arguments"])
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            what = self._clean(str(data.get("error") or reply))
            raise TransientError(f"{self._place}: not a chat completion ({what})", may_have_cost=True) from error
        text = text.encode("utf-8", "replace").decode()
        if choice.get("finish_reason") == "length":
            limit = self._endpoint.sampling.max_tokens
            raise InvalidReplyError(
                text[:CUT_CHARACTERS],
                "the reply was cut off because it was too long; be briefer",
                f"replies are cut off at LLM_MAX_TOKENS={limit}: raise it",
            )
        if refusal and not text:
            raise InvalidReplyError(text, f"you refused: {self._clean(str(refusal))}")
        return _json_in(text)

    def _refusal(self, error: RefusedError, complaint: str) -> TransientError | EndpointError:
        """Tell a refusal that may pass from one that will not."""
        message = f"{self._place}: HTTP {error.status}, {self._clean(complaint)}"
        may_pass = error.status in {408, 409, 429} or error.status >= 500
        if may_pass and error.code != "insufficient_quota":
            try:
                retry_after = float(error.headers["retry-after"])
            except (KeyError, ValueError):
                retry_after = None
            return TransientError(message, retry_after, may_have_cost=error.status in {408, 502, 504})
        return EndpointError(message)

    @property
    def _place(self) -> str:
        """Where the endpoint is, without credentials or query, and the model asked for."""
        if self._endpoint.base_url is None:
            return f"the OpenAI endpoint, model {self._endpoint.sampling.model}"
        parts = urlsplit(self._endpoint.base_url)
        port = f":{parts.port}" if parts.port else ""
        return (
            f"the endpoint {parts.scheme}://{parts.hostname}{port}{parts.path}, model {self._endpoint.sampling.model}"
        )

    def _clean(self, message: str) -> str:
        """Make a message of others fit for one line, without the key."""
        line = one_line(message.encode("utf-8", "replace").decode())
        return (line.replace(self._key, "***") if self._key != NO_KEY else line)[:300]

    async def close(self) -> None:
        """There is nothing to give back: the process that sends serves all backends."""


def _count(counts: object, name: str) -> int | None:
    """Return a number of tokens; None where an endpoint does not count them, or not in numbers."""
    count = counts.get(name) if isinstance(counts, dict) else None
    if not isinstance(count, int | float) or isinstance(count, bool) or not 0 <= count < MOST_TOKENS:
        return None
    return int(count) if int(count) == count else None


def _text_of(content: object) -> str:
    """Return the text of a message, which some send in parts, and some as the object it stands for."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))
    return json.dumps(content) if isinstance(content, dict) else ""


def _complaint(error: RefusedError) -> str:
    """Return what an endpoint says is wrong, in whatever form it says it, without what it quotes of the request."""
    try:
        body = json.loads(error.text)
    except (ValueError, RecursionError):
        return error.text.strip() or error.message
    return " ".join(_words(body)) or error.message


def _words(body: object) -> Iterator[str]:
    """Yield the texts of an error's body."""
    if isinstance(body, str):
        yield body
    elif isinstance(body, list):
        for each in body:
            yield from _words(each)
    elif isinstance(body, dict):
        for name in ("error", "message", "detail", "msg", "loc"):
            yield from _words(body.get(name))


def _json_in(text: str) -> str:
    """Return the JSON object of a reply, without what a model thought aloud before it or wrote around it."""
    mark = "</think>"
    found = text
    # An answer may quote the mark, and so may a thought: what is JSON as it stands is an answer.
    for tail in (text, text.partition(mark)[2], text.rpartition(mark)[2]):
        start, end = tail.find("{"), tail.rfind("}")
        found = tail[start : end + 1] if 0 <= start < end else tail
        try:
            json.loads(found)
        except (ValueError, RecursionError):
            continue
        break
    return found


def connect(endpoint: Endpoint | None = None, environment: Mapping[str, str] = os.environ) -> OpenAIBackend:
    """Return the backend of an endpoint.

    Args:
        endpoint: Where and how to ask; by default as the LLM_* variables say.
        environment: Where OPENAI_API_KEY is looked up.

    Raises:
        ConfigurationError: If the endpoint is public and there is no key.
    """
    endpoint = endpoint or Endpoint.from_environment(environment)
    key = environment.get("OPENAI_API_KEY", "").strip()
    if not key and not endpoint.is_local:
        raise ConfigurationError(
            "OPENAI_API_KEY is not set: set it, or set LLM_API_BASE to a local endpoint, or use --backend rules"
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ConfigurationError("OPENAI_API_KEY holds blanks or characters that no key has: set it again")
    return OpenAIBackend(endpoint, key or NO_KEY)
