"""Backends for tests: the rules, overheard or made to fail."""

from __future__ import annotations

import asyncio
from typing import Any

from repunet_model.backends.base import Request
from repunet_model.backends.rules import Rules, RulesBackend
from repunet_model.errors import EndpointError
from repunet_model.questions.base import Answer

PRIVATE_FIELDS = ("reason", "own_reason", "partner_reason", "text", "learned", "summary")
"""Fields of answers that are thought, not said."""

SPOKEN_FIELDS = ("message", "reply")
"""Fields of answers that others hear."""


class Overheard(RulesBackend):
    """The rules backend, every request kept; whatever an agent thinks carries a mark of whose thought it is."""

    def __init__(self, rules: Rules | None = None) -> None:
        super().__init__(rules)
        self.requests: list[Request[Any]] = []

    async def answer[A: Answer](self, request: Request[A]) -> A:
        self.requests.append(request)
        answer = await super().answer(request)
        own = mark(request.coordinates.agent)
        fields = type(answer).model_fields
        thought = {field: f"{getattr(answer, field)} {own}" for field in PRIVATE_FIELDS if field in fields}
        said = {field: getattr(answer, field).replace(own, "") for field in SPOKEN_FIELDS if field in fields}
        return answer.model_copy(update=thought | said)


def mark(name: str) -> str:
    return f"[thought of {name}]"


class FailsFirst(RulesBackend):
    """The rules backend, slowed down, which fails at the first question it is asked."""

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
    """The rules backend, which fails at every question of a kind in a step for as long as it is told to."""

    def __init__(self, step: int, question: str) -> None:
        super().__init__()
        self.failing = True
        self._where = (step, question)

    async def answer[A: Answer](self, request: Request[A]) -> A:
        if self.failing and (request.coordinates.step, request.coordinates.question) == self._where:
            raise EndpointError("the endpoint is down")
        return await super().answer(request)
