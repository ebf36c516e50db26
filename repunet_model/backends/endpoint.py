"""Where a language model is and how it samples, as the LLM_* variables say.

They are those of the published implementation: LLM_MODEL, LLM_API_BASE, LLM_MAX_TOKENS, LLM_TEMPERATURE, LLM_TOP_P,
LLM_FREQUENCY_PENALTY and LLM_PRESENCE_PENALTY; beside them LLM_REPLY_FORMAT, LLM_TIMEOUT,
LLM_LONGEST_WAIT and LLM_MOST_TOKENS.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self
from urllib.parse import urlsplit

from repunet_model.errors import ConfigurationError

MOST_REPLY_TOKENS = 10_000_000
"""No reply is longer."""

MORE_ROOM = 4
"""How many times as many tokens a model is given that used up those it had before it answered."""


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
            "max_tokens": (1, MOST_REPLY_TOKENS),
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


class ReplyFormat(StrEnum):
    """The ways to make an endpoint reply in JSON, the strictest first."""

    JSON_SCHEMA = "json_schema"
    JSON_OBJECT = "json_object"
    TEXT = "text"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is and how it is asked.

    Attributes:
        sampling: Model and sampling parameters.
        base_url: The endpoint, such as http://127.0.0.1:8000/v1; None for the SDK's own.
        reply_format: How to ask for JSON; None to find out, from JSON_SCHEMA on.
        timeout: Seconds to wait for a reply.
        longest_wait: The longest wait in seconds that an endpoint may ask for; beyond it the step fails at once.
        most_tokens: The longest reply of a model that uses up its `max_tokens` in thinking; None for four times those.
    """

    sampling: Sampling
    base_url: str | None = None
    reply_format: ReplyFormat | None = None
    timeout: float = 120.0
    longest_wait: float = 600.0
    most_tokens: int | None = None

    def __post_init__(self) -> None:
        """Check the times, and the longest reply.

        Raises:
            ConfigurationError: If one is not positive.
        """
        for name in ("timeout", "longest_wait"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigurationError(
                    f"LLM_{name.upper()} is {getattr(self, name)}: must be a number of seconds above 0"
                )
        if self.most_tokens is not None and not 0 < self.most_tokens <= MOST_REPLY_TOKENS:
            raise ConfigurationError(f"LLM_MOST_TOKENS is {self.most_tokens}: must be from 1 to {MOST_REPLY_TOKENS}")

    @property
    def longest_reply(self) -> int:
        """The longest reply in tokens that is asked for, however long a model thinks."""
        most = MORE_ROOM * self.sampling.max_tokens if self.most_tokens is None else self.most_tokens
        return max(most, self.sampling.max_tokens)

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
                    raise ConfigurationError(f"LLM_{name.upper()} is {text!r}: must be {_KINDS[kind]}") from None
        base_url = environment.get("LLM_API_BASE", "").strip() or None
        if base_url is not None:
            _check_url(base_url)
        of_endpoint = {name: values.pop(name) for name in _OF_ENDPOINT if name in values}
        return cls(Sampling(**values), base_url, **of_endpoint)

    def of_model(self, model: str) -> Self:
        """Return the same endpoint for another model."""
        return replace(self, sampling=replace(self.sampling, model=model))

    @property
    def is_loopback(self) -> bool:
        """Whether the endpoint is on this very machine."""
        host = urlsplit(self.base_url).hostname if self.base_url else None
        try:
            return host is not None and ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

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
    if "@" in parts.netloc:
        raise ConfigurationError("LLM_API_BASE holds a user or a password: an endpoint is sent OPENAI_API_KEY alone")


_VARIABLES: dict[str, type] = {
    "model": str,
    "max_tokens": int,
    "temperature": float,
    "top_p": float,
    "frequency_penalty": float,
    "presence_penalty": float,
    "reply_format": ReplyFormat,
    "timeout": float,
    "longest_wait": float,
    "most_tokens": int,
}

_OF_ENDPOINT = ("reply_format", "timeout", "longest_wait", "most_tokens")
"""Those on which no outcome depends, so that a run may be gone on with by others."""

_KINDS = {int: "a whole number", float: "a number", ReplyFormat: f"one of {', '.join(ReplyFormat)}"}
