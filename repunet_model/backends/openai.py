"""The backend of language models: any endpoint that speaks OpenAI's chat completions.

Configured as the published implementation is, by environment variables: OPENAI_API_KEY, LLM_MODEL, LLM_API_BASE,
LLM_MAX_TOKENS, LLM_TEMPERATURE, LLM_TOP_P, LLM_FREQUENCY_PENALTY and LLM_PRESENCE_PENALTY. Replies are asked for
as JSON of a strict schema and validated here. The key lives in the client and nowhere else.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from repunet_model.backends.base import Backend, Request, Usage
from repunet_model.backends.wrappers import Gate, Reask, Retry
from repunet_model.errors import ConfigurationError, EndpointError, InvalidReplyError, TransientError
from repunet_model.questions.base import Answer

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI

TIMEOUT_SECONDS = 120.0

NO_KEY = "none"
"""What is sent as the key to an endpoint that needs none."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Model and sampling parameters: what replies depend on.

    Attributes:
        model: The model's name at the endpoint.
        max_tokens: Longest reply in tokens.
        temperature: Sampling temperature; 0 is greedy.
        top_p: Share of probability that is sampled from.
        frequency_penalty: In [-2, 2].
        presence_penalty: In [-2, 2].
    """

    model: str = "gpt-4o-mini"
    max_tokens: int = 4096
    temperature: float = 0.0
    top_p: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigurationError: If a parameter is outside its range.
        """
        limits = {
            "max_tokens": (1, 10_000_000),
            "temperature": (0, 2),
            "top_p": (0, 1),
            "frequency_penalty": (-2, 2),
            "presence_penalty": (-2, 2),
        }
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ConfigurationError(f"LLM_{name.upper()} is {getattr(self, name)}: must be from {low} to {high}")
        if not self.model:
            raise ConfigurationError("LLM_MODEL is empty: name a model, such as gpt-4o-mini")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is and how it is asked.

    Attributes:
        sampling: Model and sampling parameters.
        base_url: The endpoint, such as http://127.0.0.1:8000/v1; None for the SDK's own.
    """

    sampling: Sampling
    base_url: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the endpoint from the LLM_* variables; one that is unset or empty has its default.

        Raises:
            ConfigurationError: If a variable does not hold what it should.
        """
        values: dict[str, Any] = {}
        for name, kind in _VARIABLES.items():
            text = environment.get(f"LLM_{name.upper()}", "").strip()
            if text:
                try:
                    values[name] = kind(text)
                except ValueError:
                    wanted = "a whole number" if kind is int else "a number"
                    raise ConfigurationError(f"LLM_{name.upper()} is {text!r}: must be {wanted}") from None
        base_url = environment.get("LLM_API_BASE", "").strip() or None
        if base_url is not None:
            _check_url(base_url)
        return cls(Sampling(**values), base_url)

    @property
    def is_local(self) -> bool:
        """Whether the endpoint is on this machine or a private network, where a key may not be needed."""
        host = urlsplit(self.base_url).hostname if self.base_url else None
        if host is None:
            return False
        try:
            return ipaddress.ip_address(host).is_private
        except ValueError:
            return "." not in host or host.endswith((".local", ".internal", ".localhost"))


def _check_url(url: str) -> None:
    """Refuse what is no address of an endpoint.

    Raises:
        ConfigurationError: Without the URL in its message, which may hold a password.
    """
    remedy = "LLM_API_BASE must be a URL such as http://127.0.0.1:8000/v1"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        raise ConfigurationError(remedy) from None
    if not usable or not url.isprintable() or any(character.isspace() for character in url):
        raise ConfigurationError(remedy)


_VARIABLES: dict[str, type] = {
    "model": str,
    "max_tokens": int,
    "temperature": float,
    "top_p": float,
    "frequency_penalty": float,
    "presence_penalty": float,
}


class OpenAIBackend:
    """One client of one endpoint; one request, one attempt."""

    reads_prompts = True

    def __init__(self, endpoint: Endpoint, key: str) -> None:
        """Make a backend.

        Args:
            endpoint: Where and how to ask.
            key: The API key; any text for an endpoint that needs none.
        """
        self._endpoint = endpoint
        self._key = key
        self._client: AsyncOpenAI | None = None

    @property
    def description(self) -> dict[str, Any]:
        """Name, model and sampling parameters."""
        return {"backend": "openai", **asdict(self._endpoint.sampling)}

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Send the prompt once and read the reply.

        Raises:
            InvalidReplyError: If the reply does not fit.
            TransientError: If the attempt failed in a way that may pass.
            EndpointError: If it failed for good.
        """
        import openai  # noqa: PLC0415  # slow, and not needed offline

        if self._client is None:
            self._client = openai.AsyncOpenAI(
                api_key=self._key,
                base_url=self._endpoint.base_url,
                max_retries=0,
                timeout=openai.Timeout(TIMEOUT_SECONDS, connect=10.0),
            )
        body: dict[str, Any] = {
            **asdict(self._endpoint.sampling),
            "messages": request.messages(),
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": request.question.name, "strict": True, "schema": request.schema()},
            },
        }
        started = time.perf_counter()
        request.usage.attempts += 1
        try:
            completion = await self._client.chat.completions.create(**body)
        except openai.APIStatusError as error:
            raise self._refusal(error) from error
        except openai.APITimeoutError as error:
            raise TransientError(f"{self._place}: no reply within {TIMEOUT_SECONDS:.0f} s") from error
        except openai.APIConnectionError as error:
            reason = self._clean(str(error.__cause__ or error))
            raise TransientError(f"{self._place}: cannot be reached ({reason})") from error
        except (openai.APIError, ValueError) as error:
            raise TransientError(f"{self._place}: not a chat completion ({self._clean(str(error))})") from error
        finally:
            request.usage.seconds += time.perf_counter() - started
        text = self._text(completion, request.usage)
        try:
            return request.question.read(text)
        except ValueError as error:
            raise InvalidReplyError(text, str(error)) from error

    def _text(self, completion: object, usage: Usage) -> str:
        """Return the text of a completion and count its tokens.

        Servers differ, and the SDK passes on what it gets without checking it.

        Raises:
            TransientError: If it is no chat completion.
            InvalidReplyError: If it was cut off, or the model refused.
        """
        data: dict[str, Any] = {}
        with contextlib.suppress(AttributeError, TypeError, ValueError):
            data = completion.model_dump(warnings=False)  # type: ignore[attr-defined]
        counts = data.get("usage")
        if isinstance(counts, dict):
            usage.prompt_tokens += counts.get("prompt_tokens") or 0
            usage.completion_tokens += counts.get("completion_tokens") or 0
        try:
            choice = data["choices"][0]
            message = choice["message"]
            text, refusal = message.get("content") or "", message.get("refusal")
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            what = self._clean(str(data.get("error") or completion))
            raise TransientError(f"{self._place}: not a chat completion ({what})") from error
        text = text.encode("utf-8", "replace").decode()
        if choice.get("finish_reason") == "length":
            raise InvalidReplyError(text, "the reply was cut off because it was too long; be briefer")
        if refusal and not text:
            raise InvalidReplyError(text, f"you refused: {self._clean(str(refusal))}")
        return text

    def _refusal(self, error: APIStatusError) -> TransientError | EndpointError:
        """Tell a refusal that may pass from one that will not."""
        message = f"{self._place}: HTTP {error.status_code}, {self._clean(error.message)}"
        may_pass = error.status_code in {408, 409, 429} or error.status_code >= 500
        if may_pass and error.code != "insufficient_quota":
            try:
                retry_after = float(error.response.headers.get("retry-after", ""))
            except ValueError:
                retry_after = None
            return TransientError(message, retry_after)
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
        line = " ".join(message.split())
        return (line.replace(self._key, "***") if self._key != NO_KEY else line)[:300]

    async def close(self) -> None:
        """Close the client."""
        if self._client is not None:
            await self._client.close()
            self._client = None


def connect(concurrency: int, endpoint: Endpoint | None = None, environment: Mapping[str, str] = os.environ) -> Backend:
    """Return the backend of an endpoint with retries, re-asking and a limit on concurrency.

    Args:
        concurrency: How many requests may be under way at once.
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
    return Reask(Retry(Gate(OpenAIBackend(endpoint, key or NO_KEY), concurrency)))
