"""Backend for endpoints that implement OpenAI's chat completions API.

OPENAI_API_KEY and the variables of `backends.endpoint` configure it. No file stores the key. A backend keeps the
dialect that its endpoint accepted (`backends.dialect`), and each request records its adaptations in its usage.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from repunet_model.backends.addresses import Addresses
from repunet_model.backends.base import Request, Usage
from repunet_model.backends.completion import Completion, complaint_of, json_in
from repunet_model.backends.dialect import Dialect, is_about_length, is_about_system
from repunet_model.backends.endpoint import MORE_ROOM, Endpoint, ReplyFormat, is_loopback
from repunet_model.backends.limits import Terms
from repunet_model.backends.mending import mended
from repunet_model.backends.notices import Notices
from repunet_model.backends.sender.client import ProcessTransport
from repunet_model.backends.sender.transport import Destination, LostError, RefusedError, Transport
from repunet_model.backends.waits import in_words, stated
from repunet_model.errors import AdaptationError, ConfigurationError, EndpointError, InvalidReplyError, TransientError
from repunet_model.questions.base import Answer
from repunet_model.questions.compound import MissingPartError
from repunet_model.util.text import one_line

CONNECT_SECONDS = 10.0

QUOTED_CHARACTERS = 80
"""Limit of the excerpt that an error message shows of a reply that is not JSON."""

NO_KEY = "none"
"""Key sent to an endpoint that needs none."""


class OpenAIBackend:
    """Backend of one endpoint, described by its name, model, sampling parameters and further fields of requests."""

    reads_prompts = True
    is_costly = True
    asks_model = True

    def __init__(
        self, endpoint: Endpoint, key: str, transport: Transport | None = None, terms: Terms | None = None
    ) -> None:
        """Create a backend; the transport is by default the sender process (`backends.sender`)."""
        self._transport = transport or ProcessTransport()
        self._endpoint = endpoint
        self._key = key
        self.terms = terms
        destinations = [
            Destination(
                base_url=url,
                key=key,
                timeout=endpoint.timeout,
                connect_timeout=min(CONNECT_SECONDS, endpoint.timeout),
                trust_env=not is_loopback(url),  # do not use a proxy to reach this machine
                endpoint=endpoint.name,
            )
            for url in endpoint.urls
        ]
        self._addresses = Addresses(destinations)
        self._dialect = Dialect(endpoint.reply_format or ReplyFormat.JSON_SCHEMA)
        self._proven: ReplyFormat | None = None
        self._notices = Notices(self._place, endpoint.sampling.model)
        named = {"endpoint": endpoint.name} if endpoint.name else {}
        extra = {"extra": dict(endpoint.extra)} if endpoint.extra else {}
        self.description = {"backend": "openai", **named, **asdict(endpoint.sampling), **extra}

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Send the prompt once and read the reply; raise AdaptationError if the endpoint rejected the dialect."""
        dialect = self._dialect
        said = self._read(await self._send(request, dialect), request.usage)
        request.usage.adaptations |= dialect.differences()
        self._notices.take(said.model, None if said.counted is None else said.counted.prompt, len(request.prompt))
        text, count = mended(self._text(said, request), request.schema)
        request.usage.mended += count
        request.thoughts[:] = [said.thought] if said.thought else []
        self._proven = dialect.reply_format
        try:
            return request.read(text)
        except MissingPartError as error:
            raise InvalidReplyError(text, str(error), missing=error.part) from error
        except ValueError as error:
            raise InvalidReplyError(text, str(error)) from error

    def _read(self, reply: str, usage: Usage) -> Completion:
        """Parse a chat completion, add its tokens to the usage, and raise if it is invalid or holds an error."""
        try:
            body = json.loads(reply)
        except (ValueError, RecursionError):
            raise self._not_json(reply) from None
        try:
            said = Completion.of(body)
        except ValueError:
            failure = body.get("error") if isinstance(body, dict) else None
            raise self._in_place_of_a_reply(failure, "not a chat completion", reply) from None
        if said.counted is not None:
            usage.counted += 1
            usage.prompt_tokens += said.counted.prompt
            usage.completion_tokens += said.counted.completion
            usage.cached_tokens += said.counted.cached
            usage.reasoning_tokens += said.counted.reasoning
        if said.failure is not None:
            raise self._in_place_of_a_reply(said.failure, "an error in place of a reply", str(said.failure))
        return said

    def _not_json(self, reply: str) -> TransientError | EndpointError:
        """Classify a reply that is not JSON: final for a page or an event stream, unless the endpoint has answered."""
        start = reply.lstrip()
        is_page, is_stream = start.startswith("<"), start.startswith(("data:", "event:", ":"))
        kind = "an event stream" if is_stream else "a page" if is_page else "not JSON"
        message = (
            f"{self._place}: not a chat completion but {kind}, which begins with "
            f"{self._clean(reply)[:QUOTED_CHARACTERS]!r}{self._address_hint()}"
        )
        if (is_page or is_stream) and self._proven is None:
            return EndpointError(message, may_have_cost=is_stream)
        return TransientError(message, may_have_cost=True)

    def _in_place_of_a_reply(self, failure: object, kind: str, text: str) -> TransientError | EndpointError:
        """Classify an error that came with HTTP 200 by its code, or as HTTP 502 if the code is no HTTP status."""
        code = failure.get("code") if isinstance(failure, dict) else None
        status = code if isinstance(code, int) and 400 <= code < 600 else 502
        problem = f"{kind} ({self._clean(complaint_of(failure) or text)})"
        found = self._failure(status, problem, code, stated({}, json.dumps(failure)))
        if isinstance(found, TransientError):
            found.may_have_cost = True
        return found

    async def _send(self, request: Request[Any], dialect: Dialect) -> str:
        """Send a request in a dialect and return the reply; after a rejection, switch to the next dialect if any."""
        body = self.body(request, dialect)
        started = time.perf_counter()
        request.usage.attempts += 1
        try:
            with self._addresses.one() as destination:
                return await self._transport.send(body, destination, request)
        except RefusedError as error:
            complaint = complaint_of(error.text) or error.message
            if error.status in {400, 422} or (error.status >= 500 and is_about_system(complaint)):
                if error.code == "json_validate_failed":
                    raise InvalidReplyError("", "the reply was not JSON of the schema") from error
                remedy = dialect.adapted(
                    complaint, error.parameter, body, is_proven=self._proven is dialect.reply_format
                )
                if remedy is not None:
                    if dialect is self._dialect:
                        self._dialect = remedy
                    raise AdaptationError(f"{self._place}: wants to be asked otherwise") from error
            problem = f"HTTP {error.status}, {self._clean(complaint)}{self._hint(error.status, complaint)}"
            raise self._failure(error.status, problem, error.code, stated(error.headers, error.text)) from error
        except LostError as error:
            reason = f"cannot be reached ({self._clean(str(error))})"
            if error.is_insecure:
                raise EndpointError(
                    f"{self._place}: {reason}; name the file of its authority's certificate by SSL_CERT_FILE, or begin "
                    f"{self._endpoint.setting('base_url')} with http:// if it has none"
                ) from error
            if error.is_timeout:
                reason = f"no reply within {self._endpoint.setting('timeout')}={self._endpoint.timeout:g} s"
            raise TransientError(f"{self._place}: {reason}", may_have_cost=error.may_have_arrived) from error
        finally:
            request.usage.seconds += time.perf_counter() - started

    def body(self, request: Request[Any], dialect: Dialect) -> dict[str, Any]:
        """Build the request body: messages, sampling parameters and reply format."""
        sampling = asdict(self._endpoint.sampling)
        del sampling["max_tokens"]
        sampling[dialect.token_limit] = self._room(request)
        sampling["seed"] = (int.from_bytes(request.digest[:4]) + request.attempt) & 0x7FFFFFFF
        messages = request.messages()
        name, schema = request.question.name, dialect.schema(request.schema)
        form: dict[str, Any]
        match dialect.reply_format:
            case ReplyFormat.JSON_SCHEMA:
                json_schema = {"name": name, "strict": True, "schema": schema}
                form = {"response_format": {"type": "json_schema", "json_schema": json_schema}}
            case ReplyFormat.TOOL:
                tool = {"name": name, "strict": True, "parameters": schema}
                form = {
                    "tools": [{"type": "function", "function": tool}],
                    "tool_choice": {"type": "function", "function": {"name": name}},
                }
            case ReplyFormat.JSON_OBJECT | ReplyFormat.TEXT:
                instruction = f"Reply with JSON of this schema, and nothing else: {request.schema_text}"
                messages[1] = {"role": "user", "content": f"{request.prompt}\n\n{instruction}"}
                is_object = dialect.reply_format is ReplyFormat.JSON_OBJECT
                form = {"response_format": {"type": "json_object"}} if is_object else {}
        kept = {name: value for name, value in sampling.items() if name not in dialect.left_out}
        return {**kept, **self._endpoint.extra, "messages": dialect.messages(messages), **form}

    def _text(self, said: Completion, request: Request[Any]) -> str:
        """Return the JSON text of a completion; raise if it is filtered, refused, cut off or empty."""
        if said.finish_reason == "content_filter":
            raise EndpointError(
                f"{self._place}: a filter took the reply (finish_reason content_filter), as it may another time; if it "
                "does so again, change what it objects to, or ask a model without that filter"
            )
        if said.refusal:
            raise InvalidReplyError("", f"you refused: {self._clean(said.refusal)}")
        thought = f" after {len(said.thought):,} characters of reasoning" if said.thought else ""
        if said.finish_reason == "length":
            limit = self._room(request)
            if not said.answer.strip():
                most = self._endpoint.longest_reply
                if limit < most:
                    problem = f"the reply was cut off{thought} before the answer began"
                    raise InvalidReplyError("", problem, room=min(limit * MORE_ROOM, most))
                raise EndpointError(
                    f"{self._place}: the reply was cut off at {limit:,} tokens{thought} before the answer began; let "
                    f"the model think less, or set {self._endpoint.setting('most_tokens')} above {most} and go on"
                )
            tokens = said.counted
            if tokens is not None and tokens.completion < limit / 2 and tokens.prompt + tokens.completion >= limit:
                remedy = (
                    f"the model's context was full with {tokens.prompt:,} tokens of the prompt and "
                    f"{tokens.completion:,} of the reply: have it serve more, or ask one question a call (--questions)"
                )
            else:
                remedy = (
                    f"replies are cut off at {self._endpoint.setting('max_tokens')}={limit}: raise it; a run that has "
                    "begun keeps it, and a fork with --set backend=... takes the new one"
                )
            problem = "the reply was cut off because it was too long; begin anew, and keep every text short"
            raise InvalidReplyError("", problem, remedy)
        if not said.answer.strip():
            remedy = (
                "the server may take the answer for reasoning: have it parse reasoning otherwise, or not at all"
                if said.thought
                else "going on asks again"
            )
            reason = said.finish_reason or "not told"
            raise InvalidReplyError("", f"the reply is empty{thought} (finish_reason {reason})", remedy, is_empty=True)
        return json_in(said.answer)

    def _room(self, request: Request[Any]) -> int:
        """Return the request's limit of reply tokens."""
        return self._endpoint.sampling.max_tokens if request.room is None else request.room

    def _failure(self, status: int, problem: str, code: object, wait: float | None) -> TransientError | EndpointError:
        """Classify a failure as transient or final; a requested wait (seconds) over the limit makes it final."""
        message = f"{self._place}: {problem}"
        if (status not in {408, 409, 429} and status < 500) or code == "insufficient_quota":
            return EndpointError(message)
        longest = self._endpoint.longest_wait
        if wait is not None and wait > longest:
            back = (datetime.now() + timedelta(seconds=wait)).strftime("%Y-%m-%d %H:%M")
            return EndpointError(
                f"{message}; it asks to wait {in_words(wait)}, longer than "
                f"{self._endpoint.setting('longest_wait')}={longest:g} s: go on after {back}"
            )
        return TransientError(
            message, wait, may_have_cost=status in {408, 502, 504}, is_limit=status == 429 and wait is None
        )

    def _hint(self, status: int, complaint: str) -> str:
        """Return a suggestion that an HTTP error's message lacks, or an empty string."""
        if status in {404, 405}:
            return self._address_hint()
        if is_about_length(complaint):
            limit = f"{self._endpoint.setting('max_tokens')}={self._endpoint.sampling.max_tokens}"
            return f"; its context has to hold a prompt and {limit}: lower that, or have it serve more"
        if status == 400 and "invalid argument" in complaint.lower():
            setting = self._endpoint.setting("reply_format")
            return f"; it may not take the form of replies: try {setting}=json_object, or text"
        return ""

    def _address_hint(self) -> str:
        """Return a suggestion to append /v1 to an address that lacks it, or an empty string."""
        url = self._endpoint.base_url
        if url is None or re.search(r"/v\d|/openai", urlsplit(url).path):
            return ""
        return f"; the address has no /v1: perhaps {self._endpoint.setting('base_url')}={url.rstrip('/')}/v1"

    @property
    def _place(self) -> str:
        """The endpoint's name and addresses, without credentials and query, and the model, for messages."""
        endpoint = self._endpoint
        named = f" {endpoint.name!r}" if endpoint.name else ""
        if endpoint.base_url is None:
            return f"the OpenAI endpoint{named}, model {endpoint.sampling.model}"
        addresses = " and ".join(map(_plain, endpoint.urls))
        return f"the endpoint{f'{named} at' if named else ''} {addresses}, model {endpoint.sampling.model}"

    def _clean(self, message: str) -> str:
        """Reduce a foreign message to one line of at most 300 characters and mask the key."""
        line = one_line(message.encode("utf-8", "replace").decode())
        return (line.replace(self._key, "***") if self._key != NO_KEY else line)[:300]

    async def close(self) -> None:
        """Do nothing: all backends share the sender process, which stays open."""


def _plain(url: str) -> str:
    """Return an address without credentials and query."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


def connect(
    endpoint: Endpoint | None = None,
    environment: Mapping[str, str] = os.environ,
    key: str = "OPENAI_API_KEY",
    terms: Terms | None = None,
) -> OpenAIBackend:
    """Create a backend, by default from the LLM_* variables; raise ConfigurationError if a key is missing or bad.

    `key` is the name of the key's variable, empty for a named endpoint without one.
    """
    endpoint = endpoint or Endpoint.from_environment(environment)
    value = environment.get(key, "").strip()
    if not value and endpoint.name and key:
        raise ConfigurationError(f"the endpoint {endpoint.name!r} needs its key: set the variable {key}")
    if not value and not endpoint.is_local:
        raise ConfigurationError(
            f"the endpoint {endpoint.name!r} needs a key: name its variable as {endpoint.setting('key')}"
            if endpoint.name
            else "OPENAI_API_KEY is not set: set it, or set LLM_API_BASE to a local endpoint, or use --backend rules"
        )
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise ConfigurationError(f"{key} holds blanks or characters that no key has: set it again")
    return OpenAIBackend(endpoint, value or NO_KEY, terms=terms)
