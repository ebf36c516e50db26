"""Dialects of endpoints: the accepted form of a request, and the next form to try where one is rejected.

Replies are asked for as JSON of a strict schema; where an endpoint rejects that, as any JSON, and then as plain text,
with the schema in the prompt. A sampling parameter that it rejects is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from repunet_model.backends.endpoint import ReplyFormat

_NEXT_FORMAT = {
    ReplyFormat.JSON_SCHEMA: ReplyFormat.JSON_OBJECT,
    ReplyFormat.JSON_OBJECT: ReplyFormat.TEXT,
    ReplyFormat.TOOL: ReplyFormat.TEXT,
}
"""What to try where an endpoint rejects a format."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """The form of requests that an endpoint is known to accept.

    Attributes:
        reply_format: How to ask for JSON.
        token_limit: The name of the parameter that limits a reply.
        left_out: Parameters that it rejects.
    """

    reply_format: ReplyFormat = ReplyFormat.JSON_SCHEMA
    token_limit: str = "max_tokens"
    left_out: frozenset[str] = frozenset()

    def adapted(
        self, complaint: str, parameter: object, sent: Mapping[str, Any], *, is_proven: bool = False
    ) -> Dialect | None:
        """Return how to ask instead, after a request was rejected; None if it was not rejected for its form.

        Args:
            complaint: What the endpoint said.
            parameter: The parameter it named, if it did.
            sent: The parameters of the request.
            is_proven: Whether the endpoint has replied in this format: then the format is not what is wrong.
        """
        about = f"{parameter or ''} {complaint}".lower()
        if any(word in about for word in _OF_LENGTH):
            return None
        newer = "max_completion_tokens"
        if self.token_limit == "max_tokens" and (parameter == "max_tokens" or newer in about):
            return replace(self, token_limit=newer)
        named = [name for name in _DISPENSABLE if name in sent and re.search(rf"\b{name}\b", about)]
        if named:
            return replace(self, left_out=self.left_out | set(named))
        if self.reply_format in _NEXT_FORMAT and not is_proven and any(word in about for word in _FORMAT_WORDS):
            return replace(self, reply_format=_NEXT_FORMAT[self.reply_format])
        return None

    def differences(self) -> set[str]:
        """Return in words how this differs from what is sent by default."""
        words = {f"without {name}" for name in self.left_out}
        if self.token_limit != "max_tokens":
            words.add(self.token_limit)
        if self.reply_format is not ReplyFormat.JSON_SCHEMA:
            words.add(f"replies as {self.reply_format.value}")
        return words


_DISPENSABLE = ("seed", "temperature", "top_p", "frequency_penalty", "presence_penalty")
"""Parameters without which a model can still be asked."""

_OF_LENGTH = ("too large", "too long", "context length", "maximum context")
"""Complaints about the size of a request, not its form."""

_FORMAT_WORDS = ("response_format", "json_schema", "json_object", "schema", "structured output", "tool", "grammar")
