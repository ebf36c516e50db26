"""Settings of a language model's endpoint, read from the LLM_* variables.

The published implementation defines LLM_MODEL, LLM_API_BASE, LLM_MAX_TOKENS, LLM_TEMPERATURE, LLM_TOP_P,
LLM_FREQUENCY_PENALTY and LLM_PRESENCE_PENALTY; LLM_REPLY_FORMAT, LLM_TIMEOUT, LLM_LONGEST_WAIT, LLM_MOST_TOKENS and
LLM_EXTRA are added here. Named endpoints have the same settings in a file instead (`backends.endpoints`).
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Self
from urllib.parse import urlsplit

from repunet_model.backends import extra as extra_fields
from repunet_model.errors import ConfigurationError

MOST_REPLY_TOKENS = 10_000_000
"""Highest accepted limit of reply tokens."""

OPENAI_URL = "https://api.openai.com/v1"

MORE_ROOM = 4
"""Factor by which the token limit grows after a reply was cut off before its answer."""


RANGES: dict[str, tuple[float, float]] = {
    "max_tokens": (1, MOST_REPLY_TOKENS),
    "temperature": (0, 2),
    "top_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
    "most_tokens": (1, MOST_REPLY_TOKENS),
}
"""The lowest and the highest value of settings."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Model and sampling parameters, on which replies depend.

    `temperature` is in [0, 2] (0 is greedy), `top_p` in [0, 1], each penalty in [-2, 2]; `max_tokens` limits a reply.
    """

    model: str = "gpt-4o-mini"
    max_tokens: int = 4096
    temperature: float = 0.0
    top_p: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0

    def __post_init__(self) -> None:
        """Raise ConfigurationError if a parameter is outside its range or the model's name is invalid."""
        for name in ("max_tokens", "temperature", "top_p", "frequency_penalty", "presence_penalty"):
            low, high = RANGES[name]
            if not low <= getattr(self, name) <= high:
                raise ConfigurationError(f"LLM_{name.upper()} is {getattr(self, name)}: must be from {low} to {high}")
        if not self.model:
            raise ConfigurationError("LLM_MODEL is empty: name a model, such as gpt-4o-mini")
        if "://" in self.model or "@http" in self.model:
            raise ConfigurationError(
                f"the model {self.model.partition('@http')[0].partition('://')[0]!r}... holds an address: set it as "
                "LLM_API_BASE, and name the model alone; for several addresses name endpoints in a file (--endpoints)"
            )


class ReplyFormat(StrEnum):
    """Ways to make an endpoint reply in JSON."""

    JSON_SCHEMA = "json_schema"
    JSON_OBJECT = "json_object"
    TEXT = "text"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Address and settings of a model's endpoint; `base_url` None means OpenAI's.

    `name` is that of a named endpoint, else empty; requests are shared out over `base_url` and `more_urls`. `extra` are
    further fields of each request (`backends.extra`).

    `reply_format` None tries the formats from JSON_SCHEMA on. `timeout` and `longest_wait` are in seconds; if an
    endpoint asks for a longer wait, the step fails at once. `most_tokens` is the raised limit for a model that spends
    its `max_tokens` on thinking; None means four times those.
    """

    sampling: Sampling
    base_url: str | None = None
    reply_format: ReplyFormat | None = None
    timeout: float = 120.0
    longest_wait: float = 600.0
    most_tokens: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    more_urls: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise ConfigurationError if a time or the raised token limit is outside its range."""
        for name in ("timeout", "longest_wait"):
            seconds = getattr(self, name)
            if not 0 < seconds < float("inf"):
                raise ConfigurationError(f"LLM_{name.upper()} is {seconds}: must be a number of seconds above 0")
        if self.most_tokens is not None and not 0 < self.most_tokens <= MOST_REPLY_TOKENS:
            raise ConfigurationError(f"LLM_MOST_TOKENS is {self.most_tokens}: must be from 1 to {MOST_REPLY_TOKENS}")

    def setting(self, name: str) -> str:
        """Return what a setting is called where the user sets it; see `setting_of`."""
        return setting_of(self.name, name)

    @property
    def longest_reply(self) -> int:
        """The highest limit of reply tokens that any request has."""
        most = MORE_ROOM * self.sampling.max_tokens if self.most_tokens is None else self.most_tokens
        return max(most, self.sampling.max_tokens)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the LLM_* variables, with defaults for unset or empty; raise ConfigurationError if one is invalid."""
        values: dict[str, Any] = {}
        for name, kind in _VARIABLES.items():
            text = environment.get(f"LLM_{name.upper()}", "").strip()
            if text:
                try:
                    values[name] = kind(text)
                except ValueError:
                    raise ConfigurationError(f"LLM_{name.upper()} is {text!r}: must be {_KINDS[kind]}") from None
        base_url = environment.get("LLM_API_BASE", "").strip()
        if base_url:
            check_url(base_url)
        if text := environment.get("LLM_EXTRA", "").strip():
            try:
                values["extra"] = extra_fields.parsed(text)
            except ValueError as error:
                raise ConfigurationError(f"LLM_EXTRA: {error}") from None
        of_endpoint = {name: values.pop(name) for name in _OF_ENDPOINT if name in values}
        return cls(Sampling(**values), base_url or None, **of_endpoint)

    def of_model(self, model: str) -> Self:
        """Return the same endpoint for another model."""
        return replace(self, sampling=replace(self.sampling, model=model))

    @property
    def urls(self) -> tuple[str, ...]:
        """All addresses."""
        return (self.base_url or OPENAI_URL, *self.more_urls)

    @property
    def is_local(self) -> bool:
        """Whether the endpoint is on this machine or a private network, and may need no key."""
        return all(map(_is_local, self.urls))


def is_loopback(url: str) -> bool:
    """Whether an address is on this machine."""
    host = _host(url)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_local(url: str) -> bool:
    host = _host(url)
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return host != "" and ("." not in host or host.endswith((".local", ".internal", ".localhost")))


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def check_url(url: str, setting: str = "LLM_API_BASE", key: str = "OPENAI_API_KEY") -> None:
    """Raise ConfigurationError if a URL is invalid; the message omits the URL, which may hold a password.

    `setting` names the place of the URL, and `key` that of the key.
    """
    remedy = f"{setting} must be a URL such as http://127.0.0.1:8000/v1"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        raise ConfigurationError(remedy) from None
    if not usable or not url.isprintable() or any(character.isspace() for character in url):
        raise ConfigurationError(remedy)
    if parts.query or parts.fragment:
        raise ConfigurationError(f"{setting} holds a query or a fragment: leave out what begins with ? or #")
    if parts.path.rstrip("/").endswith("/completions"):
        raise ConfigurationError(f"{setting} goes on after the endpoint's address: leave out /chat/completions")
    if "@" in parts.netloc:
        raise ConfigurationError(f"{setting} holds a user or a password: an endpoint is sent {key} alone")


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

_OF_ENDPOINT = ("reply_format", "timeout", "longest_wait", "most_tokens", "extra")
"""Settings that are no sampling parameters."""


def setting_of(endpoint: str, name: str) -> str:
    """Return what a setting is called where the user sets it: a key of a named endpoint's table, or a variable."""
    return f"endpoints.{endpoint}.{name}" if endpoint else _VARIABLE_OF.get(name, f"LLM_{name.upper()}")


_VARIABLE_OF = {"base_url": "LLM_API_BASE", "key": "OPENAI_API_KEY"}
"""Variables that are not called as the setting."""

_KINDS = {int: "a whole number", float: "a number", ReplyFormat: f"one of {', '.join(ReplyFormat)}"}
