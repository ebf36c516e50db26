"""A backend of one's own, in one file: agents that draw lots, the baseline that needs no mind.

Traders that know nothing but the rules are called zero-intelligence traders (Gode & Sunder 1993). Agents of this
backend answer every question with something that is allowed, each possibility as likely as any other.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any

from repunet_model.backends.base import Request
from repunet_model.backends.setup import register
from repunet_model.questions.base import Answer

NAME = "zero_intelligence"


class ZeroIntelligence:
    """Whoever draws lots."""

    description = {"backend": NAME}  # noqa: RUF012 - what a run's manifest says of it
    reads_prompts = False  # answers from the form of the question: no prompt is rendered
    is_costly = False  # no retries and records of replies
    asks_model = False  # no limits, budget and prices

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Draw until the parts of an answer go together; the question says whether they do."""
        random = request.random()
        while True:
            try:
                return request.question.read(json.dumps(drawn(request.schema, random)))
            except ValueError:
                continue

    async def close(self) -> None:
        """Give back nothing: there is no connection."""


def drawn(schema: dict[str, Any], random: Random) -> Any:
    """Return something that fits a JSON schema of the kinds that questions have."""
    if "anyOf" in schema:
        return drawn(schema["anyOf"][0], random)
    if "enum" in schema:
        return random.choice(schema["enum"])
    match schema["type"]:
        case "object":
            return {name: drawn(field, random) for name, field in schema["properties"].items()}
        case "integer":
            return random.randint(schema.get("minimum", 0), schema.get("maximum", 100))
        case "number":
            return random.uniform(schema.get("minimum", 0), schema.get("maximum", 100))
    return "I drew lots."


register(NAME, make=lambda *_: ZeroIntelligence(), restore=lambda *_: ZeroIntelligence())
