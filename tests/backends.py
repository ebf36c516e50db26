"""Backends for tests: the rules, recorded or made to fail."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from repunet_model.backends.base import Request
from repunet_model.backends.mind import Rules
from repunet_model.backends.rules import RulesBackend
from repunet_model.errors import EndpointError
from repunet_model.questions.base import Answer
from repunet_model.testing import random_reply

PRIVATE_FIELDS = ("reason", "own_reason", "partner_reason", "text", "learned", "summary")
"""Fields of answers that are private."""

SPOKEN_FIELDS = ("message", "reply")
"""Fields of answers that others hear."""


class Overheard(RulesBackend):
    """The rules backend with all requests recorded, and every private text marked with its author."""

    def __init__(self, rules: Rules | None = None, published: frozenset[tuple[str, str]] = frozenset()) -> None:
        """Create the backend; `published` names private fields that others may read, as (question, field)."""
        super().__init__(rules)
        self.requests: list[Request[Any]] = []
        self._published = published

    async def answer[A: Answer](self, request: Request[A]) -> A:
        self.requests.append(request)
        answer = await super().answer(request)
        own = mark(request.coordinates.agent)
        question = request.coordinates.question
        texts = {
            field: str(value).replace(own, "") for field, value in answer if field in (*PRIVATE_FIELDS, *SPOKEN_FIELDS)
        }
        private = [name for name in texts if name in PRIVATE_FIELDS and (question, name) not in self._published]
        thought = {field: f"{texts[field]} {own}" for field in private}
        return answer.model_copy(update=texts | thought)


def mark(name: str) -> str:
    return f"[thought of {name}]"


class RandomReplies(RulesBackend):
    """A backend with random answers that fit the schema."""

    async def answer[A: Answer](self, request: Request[A]) -> A:
        return request.read(json.dumps(random_reply(request.schema, request.random())))


class FailsFirst(RulesBackend):
    """The rules backend, slowed down, which fails at its first question."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.answered = 0

    async def answer[A: Answer](self, request: Request[A]) -> A:
        self.asked += 1
        if self.asked == 1:
            raise EndpointError("the endpoint is down")
        await asyncio.sleep(0.02)
        self.answered += 1
        return await super().answer(request)


class FailsAt(RulesBackend):
    """The rules backend, which fails at a question of a step while `failing` is true."""

    def __init__(self, step: int, question: str) -> None:
        super().__init__()
        self.failing = True
        self._where = (step, question)

    async def answer[A: Answer](self, request: Request[A]) -> A:
        if self.failing and (request.coordinates.step, request.coordinates.question) == self._where:
            raise EndpointError("the endpoint is down")
        return await super().answer(request)
