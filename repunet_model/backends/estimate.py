"""Estimates of the cost of a run, without a model.

The estimated run is offline: agents answer by the rules, and all prompts are rendered and counted. Texts in answers
have the length of those of a language model, since later prompts quote them.
"""

from __future__ import annotations

import json
import re

from repunet_model.backends.base import Backend, Request
from repunet_model.backends.limits import terms_of
from repunet_model.backends.prices import Prices
from repunet_model.backends.rules import RulesBackend
from repunet_model.backends.setup import Respondents
from repunet_model.backends.wrappers import Meter
from repunet_model.questions.base import Answer

CHARACTERS_PER_TOKEN = 4.0
"""The length of a token of English prose or JSON."""

CHARACTERS_PER_SENTENCE = 195
"""The length of a model's sentence: the 200 final learned texts (three to five sentences) of two runs published with
the paper have 778 characters on average."""

_NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5}


def estimating(who: Respondents, prices: Prices) -> Respondents:
    """Return a mapping in which estimators, which count the cost at these prices, replace all language models."""
    stand_ins: dict[int, Backend] = {
        id(backend): Meter(Estimator(backend), prices) if backend.asks_model else backend for backend in who.distinct()
    }
    own, planted = (
        {name: stand_ins[id(backend)] for name, backend in given.items()} for given in (who.by_name, who.planted)
    )
    return Respondents(stand_ins[id(who.default)], own, planted)


class Estimator(RulesBackend):
    """The rules backend with answers of realistic length and counted tokens, under the description of a model."""

    def __init__(self, model: Backend) -> None:
        super().__init__()
        self.description = model.description
        self.terms = terms_of(model)

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Answer by the rules in texts of realistic length, and add the estimated tokens to the request's usage."""
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
    """Repeat a text to the number of sentences in the description; return it unchanged if there is none."""
    if "sentence" not in description:
        return text
    named = [_NUMBERS[word] for word in re.findall("|".join(_NUMBERS), description)]
    characters = round(CHARACTERS_PER_SENTENCE * sum(named) / len(named)) if named else CHARACTERS_PER_SENTENCE
    return (f"{text} " * (characters // (len(text) + 1) + 1))[:characters].strip()
