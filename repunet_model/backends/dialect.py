"""Dialects of endpoints: the accepted form of a request, and the next form to try after a rejection.

Requests ask for JSON of a strict schema; if the endpoint rejects that, for any JSON, and then for plain text, with the
schema in the prompt. They omit rejected sampling parameters; of two that conflict, the one at its default. If a model's
template has no system role, the rules begin the user's message.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from repunet_model.backends.endpoint import ReplyFormat

_NEXT_FORMAT = {
    ReplyFormat.JSON_SCHEMA: ReplyFormat.JSON_OBJECT,
    ReplyFormat.JSON_OBJECT: ReplyFormat.TEXT,
    ReplyFormat.TOOL: ReplyFormat.TEXT,
}
"""The format to try after an endpoint rejects one."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """Form of requests that an endpoint accepts, as far as known.

    `token_limit` is the name of the parameter that limits a reply; `left_out` holds rejected parameters. With
    `has_bounds`, schemas limit the lengths of texts and the sizes of numbers; with `has_system`, a system message holds
    the rules.
    """

    reply_format: ReplyFormat = ReplyFormat.JSON_SCHEMA
    token_limit: str = "max_tokens"
    left_out: frozenset[str] = frozenset()
    has_bounds: bool = True
    has_system: bool = True

    def adapted(
        self, complaint: str, parameter: object, sent: Mapping[str, Any], *, is_proven: bool = False
    ) -> Dialect | None:
        """Return the dialect to try after a rejected request; None if its form was not the reason.

        `complaint` is the error's message. If the endpoint has replied in this format (`is_proven`), the format stays.
        """
        about = f"{parameter or ''} {complaint}".lower()
        if is_about_length(about):
            return None
        if self.has_system and is_about_system(about):
            return replace(self, has_system=False)
        newer = "max_completion_tokens"
        if self.token_limit == "max_tokens" and (parameter == "max_tokens" or newer in about):
            return replace(self, token_limit=newer)
        named = [name for name in _DISPENSABLE if name in sent and re.search(rf"\b{name}\b", about)]
        if named:
            idle = [name for name in named if sent[name] == _IDLE.get(name, sent[name])]
            if not idle and _TOGETHER.search(about):
                idle = named[-1:]
            return replace(self, left_out=self.left_out | set(idle or named))
        if self.has_bounds and self.reply_format in _WITH_SCHEMA and _BOUNDS.search(about):
            return replace(self, has_bounds=False)
        if self.reply_format in _NEXT_FORMAT and not is_proven and any(word in about for word in _FORMAT_WORDS):
            return replace(self, reply_format=_NEXT_FORMAT[self.reply_format])
        return None

    def differences(self) -> set[str]:
        """Describe the differences from the default dialect in words."""
        words = {f"without {name}" for name in self.left_out}
        if self.token_limit != "max_tokens":
            words.add(self.token_limit)
        if self.reply_format is not ReplyFormat.JSON_SCHEMA:
            words.add(f"replies as {self.reply_format.value}")
        if not self.has_bounds:
            words.add("schemas without bounds")
        if not self.has_system:
            words.add("rules in the user's message")
        return words

    def schema(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """Return a JSON schema in the form that the endpoint accepts."""
        return dict(schema) if self.has_bounds else _without_bounds(schema)

    def messages(self, messages: list[dict[str, str]]) -> list[dict[str, str]]:
        """Return a chat, which begins with the rules and the question, in the form that the endpoint accepts."""
        if self.has_system:
            return messages
        rules, question, *rest = messages
        return [{"role": "user", "content": f"{rules['content']}\n\n{question['content']}"}, *rest]


def is_about_length(complaint: str) -> bool:
    """Whether an error message says that a request is too long for the model."""
    return any(word in complaint.lower() for word in _OF_LENGTH)


def is_about_system(complaint: str) -> bool:
    """Whether an error message says that a model's template has no system role."""
    return _SYSTEM.search(complaint.lower()) is not None


def lost(adaptations: Iterable[str], described: Mapping[str, Any]) -> str:
    """Return in words the described sampling parameters that requests omitted, except those at their default."""
    left_out = (name for name in _IDLE if f"without {name}" in adaptations)
    return ", ".join(f"{name}={described[name]}" for name in left_out if described.get(name, 1) != _IDLE[name])


def _without_bounds(schema: Any) -> Any:
    if isinstance(schema, Mapping):
        return {name: _without_bounds(value) for name, value in schema.items() if name not in _BOUNDS_OF_SCHEMA}
    return [_without_bounds(each) for each in schema] if isinstance(schema, list) else schema


_IDLE = {"temperature": 1.0, "top_p": 1.0, "frequency_penalty": 0.0, "presence_penalty": 0.0}
"""Values that equal the parameter's absence. The description of a run has no seed, so the seed is not listed."""

_DISPENSABLE = ("seed", *_IDLE)
"""Parameters that a request may omit."""

_TOGETHER = re.compile(r"\bboth\b|together|only one|mutually exclusive|\beither\b")
"""Matches messages about conflicting parameters, of which one may stay."""

_BOUNDS_OF_SCHEMA = ("minLength", "maxLength", "minimum", "maximum")

_BOUNDS = re.compile(r"\b(?:min_?length|max_?length|minimum|maximum)\b")
"""Matches messages about bounds in a schema."""

_WITH_SCHEMA = (ReplyFormat.JSON_SCHEMA, ReplyFormat.TOOL)

_SYSTEM = re.compile(r"(?:system|developer) (?:role|message|prompt|instruction)|role\W+system\b|roles must alternate")

_OF_LENGTH = ("too large", "too long", "context length", "maximum context", "context size", "context window")
"""Words of messages about the size of a request, not its form."""

_FORMAT_WORDS = ("response_format", "json_schema", "json_object", "schema", "structured output", "tool", "grammar")
