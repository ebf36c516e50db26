"""Request fields that a user adds for an endpoint, such as `reasoning_effort` or OpenRouter's `provider`.

They are sent as they are, and stored in the manifest, since replies depend on them; so they may hold no secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_OWN = {
    "messages": "it holds the prompts",
    "stream": "replies are read whole",
    "n": "one reply is read",
    "seed": "each request has its own",
    "response_format": "set the reply format",
    "tools": "set the reply format",
    "tool_choice": "set the reply format",
    **dict.fromkeys(
        (
            "model",
            "max_tokens",
            "max_completion_tokens",
            "temperature",
            "top_p",
            "frequency_penalty",
            "presence_penalty",
        ),
        "it is a setting of its own",
    ),
}
"""Fields that every request sets, with the reason."""

_SECRET_NAME = re.compile(
    r"(?:^|_)(?:(?:api|access|secret|private|auth)_?key|key|token|secret|password|auth|authorization|credentials?)$"
)

_SECRET_VALUE = re.compile(r"bearer\s|(?:sk|gsk|hf|xai|pplx|nvapi)[-_]\w{6}|AIza\w{6}", re.IGNORECASE)
"""Matches the beginning of keys of known providers."""

_NO_SECRETS = {"prompt_cache_key"}


def checked(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return request fields with sorted names; raise ValueError, which shows no value, if one cannot be sent."""
    for name in fields:
        if name in _OWN:
            raise ValueError(f"{name!r} is set by every request: leave it out ({_OWN[name]})")
    for path, name, value in _walk(fields):
        plain = re.sub(r"(?<=[a-z])(?=[A-Z])|[-\s]", "_", name).lower()
        if name not in _NO_SECRETS and _SECRET_NAME.search(plain):
            raise ValueError(f"{path!r} looks like a secret, which would stand in every manifest: leave it out")
        if isinstance(value, str) and _SECRET_VALUE.match(value.strip()):
            raise ValueError(f"{path!r} holds what looks like a key, which would stand in every manifest: leave it out")
    try:
        return dict(json.loads(json.dumps(fields, sort_keys=True, allow_nan=False)))
    except (TypeError, ValueError):
        raise ValueError("JSON has no such value: use texts, finite numbers, booleans, lists and tables") from None


def parsed(text: str) -> dict[str, Any]:
    """Parse request fields from JSON; raise ValueError, which shows no value, if they cannot be sent."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise ValueError('must be a JSON object, such as {"reasoning_effort": "low"}')
    return checked(fields)


def _walk(value: Any, path: str = "", name: str = "") -> Iterator[tuple[str, str, Any]]:
    """Yield all values in fields with their paths, and the name of the innermost field that holds them."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _walk(each, f"{path}.{key}".lstrip("."), str(key))
    elif isinstance(value, list):
        for each in value:
            yield from _walk(each, path, name)
    else:
        yield path, name, value
