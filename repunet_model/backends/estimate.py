"""Estimate the cost of a run without asking a model.

The run is made offline: the rules decide, every prompt is rendered and counted, and every free text of an answer is
as long as language models write them, so that the prompts that quote it later are as long as they would be.
"""

from __future__ import annotations

import json
import re
from typing import Any

from repunet_model.backends.base import Backend, Request
from repunet_model.backends.prices import Prices
from repunet_model.backends.rules import RulesBackend
from repunet_model.backends.setup import Respondents
from repunet_model.backends.wrappers import Meter
from repunet_model.questions.base import Answer

CHARACTERS_PER_TOKEN = 4.0
"""Of English prose and JSON."""

CHARACTERS_PER_SENTENCE = 195
"""Of what a model writes: the 200 texts of three to five sentences that agents act on at the end of two runs published
with the paper have 778 characters in the mean."""

_NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5}


def estimating(who: Respondents, prices: Prices) -> Respondents:
    """Return stand-ins for all models, which count what asking them would cost, and ask nobody.

    Args:
        who: Who would answer for whom.
        prices: What tokens cost.
    """
    stand_ins: dict[int, Backend] = {
        id(backend): Meter(Estimator(backend.description), prices) if backend.asks_model else backend
        for backend in who.distinct()
    }
    own = {name: stand_ins[id(backend)] for name, backend in who.by_name.items()}
    return Respondents(stand_ins[id(who.default)], own)


class Estimator(RulesBackend):
    """The rules, which write as much as a model would, and count the tokens."""

    def __init__(self, description: dict[str, Any]) -> None:
        """Make a stand-in.

        Args:
            description: Of the backend it stands in for.
        """
        super().__init__()
        self.description = description

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Answer by the rules, at length, and add what it would cost to the request's usage."""
        answer = await super().answer(request)
        texts = {
            name: _at_length(getattr(answer, name), field.get("description", ""))
            for name, field in request.schema["properties"].items()
            if field.get("type") == "string" and "enum" not in field
        }
        answer = answer.model_copy(update=texts)
        prompt = sum(len(message["content"]) for message in request.messages()) + len(request.schema_text)
        request.usage.attempts += 1
        request.usage.counted += 1
        request.usage.prompt_tokens += _tokens(prompt)
        request.usage.completion_tokens += _tokens(len(json.dumps(answer.model_dump(mode="json"))))
        return answer


def _tokens(characters: int) -> int:
    return round(characters / CHARACTERS_PER_TOKEN)


def _at_length(text: str, description: str) -> str:
    """Return a text repeated to the length that is asked for, in sentences; as it is if none is."""
    if "sentence" not in description:
        return text
    named = [_NUMBERS[word] for word in re.findall("|".join(_NUMBERS), description)]
    characters = round(CHARACTERS_PER_SENTENCE * sum(named) / len(named)) if named else CHARACTERS_PER_SENTENCE
    return (f"{text} " * (characters // (len(text) + 1) + 1))[:characters].strip()
