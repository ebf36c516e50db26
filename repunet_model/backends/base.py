"""The one protocol between an agent's question and whoever answers it.

A request carries everything an answer may depend on: the question with its typed view, the persona, the order of
options, a random stream of its own, and the prompts for those who need text. Wrappers (`backends.wrappers`) follow
the same protocol, so retries, limits and re-asking compose.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any, Protocol, Self

from repunet_model.personas import Persona
from repunet_model.questions.base import Answer, Coordinates, Options, Question
from repunet_model.questions.compound import Ask
from repunet_model.questions.prompts import Prompts
from repunet_model.util.text import without_marks


@dataclass(slots=True)
class Usage:
    """The cost of answers. It may differ between equal runs and is never part of a result.

    Attributes:
        attempts: Requests sent to an endpoint.
        failures: Attempts that failed in transit.
        retries: Attempts after one that failed in transit.
        reasks: Attempts after a reply that did not fit.
        recalled: Replies that were recorded before and so were not asked for again.
        prompt_tokens: As the endpoint reports them, those from a cache included.
        cached_tokens: Prompt tokens that the endpoint served from its cache.
        completion_tokens: As the endpoint reports them.
        seconds: Time spent waiting for the endpoint.
        usd: What the tokens cost in US dollars, as far as prices are known.
        unpriced_tokens: Tokens of models without a known price.
        counted: Replies whose tokens the endpoint has counted.
        assumed_tokens: The most that attempts can have cost whose tokens are not known.
        assumed_usd: The same in US dollars, as far as prices are known.
        adaptations: Where the endpoint had to be asked otherwise than by default, such as "without seed".
    """

    attempts: int = 0
    failures: int = 0
    retries: int = 0
    reasks: int = 0
    recalled: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    usd: float = 0.0
    unpriced_tokens: int = 0
    counted: int = 0
    assumed_tokens: int = 0
    assumed_usd: float = 0.0
    adaptations: frozenset[str] = frozenset()

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens

    def add(self, other: Usage) -> None:
        """Add another usage to this one."""
        if other == _NOTHING:  # of most questions, where nobody costly answers
            return
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.adaptations |= other.adaptations

    def since(self, earlier: Usage) -> Usage:
        """Return what was added to an earlier copy of this usage."""
        counts = {name: getattr(self, name) - getattr(earlier, name) for name in _COUNTS}
        return Usage(**counts, adaptations=self.adaptations)

    def copy(self) -> Usage:
        """Return a copy."""
        return replace(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the usage as plain data, without what is zero."""
        data = {name: value for name in _COUNTS if (value := getattr(self, name))}
        return data | ({"adaptations": sorted(self.adaptations)} if self.adaptations else {})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read a usage from the data of `to_dict`."""
        return cls(**{**data, "adaptations": frozenset(data.get("adaptations", ()))})

    @classmethod
    def total(cls, by_question: Mapping[str, Mapping[str, Any]]) -> Self:
        """Return the sum of usages as a step stores them, by question."""
        total = cls()
        for each in by_question.values():
            total.add(cls.from_dict(each))
        return total


_COUNTS = tuple(field.name for field in fields(Usage) if field.name != "adaptations")

_NOTHING = Usage()


@dataclass(frozen=True, slots=True)
class Correction:
    """A reply that did not fit, and what was wrong with it."""

    text: str
    problem: str


@dataclass(frozen=True)
class Request[A: Answer]:
    """A question on its way to a backend.

    Attributes:
        coordinates: Where in the run it is asked.
        question: What is asked, with all the agent may see.
        persona: Who is asked.
        learned: What the agent acts on, in its role.
        digest: The digest of the coordinates, which keys every draw made for this question.
        prompts: The prompts of the run, for backends that need text.
        answered_by: The description of who answers.
        corrections: Earlier replies to this request that did not fit, as far as the model is told of them.
        attempt: The number of the reply that is asked for, from 0; more than 0 after replies that did not fit.
        room: The longest reply in tokens where it is not the backend's `max_tokens`; else None.
        usage: What it has cost so far; backends and wrappers add to it.
        earlier: What replies that were recorded before had cost when they came.
        mailbox: The file where replies are found that came for an earlier process, and left if this one ends; None for
            a run that is not stored.
        receipts: Called once a reply is written down or of no use, so that nobody else needs to keep it.
    """

    coordinates: Coordinates
    question: Question[A]
    persona: Persona
    learned: str
    digest: bytes
    prompts: Prompts
    answered_by: Mapping[str, Any]
    corrections: tuple[Correction, ...] = ()
    attempt: int = 0
    room: int | None = None
    usage: Usage = field(default_factory=Usage)
    earlier: Usage = field(default_factory=Usage)
    mailbox: Path | None = None
    receipts: list[Callable[[], None]] = field(default_factory=list)

    def random(self) -> Random:
        """Return the random stream of this question, from its beginning."""
        return Random(int.from_bytes(self.digest))

    @cached_property
    def options(self) -> Options:
        """The order in which options are named."""
        return self.question.options(self.digest)

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the answer."""
        return self.question.schema(self.options)

    @cached_property
    def schema_text(self) -> str:
        """The JSON schema of the answer as text."""
        return json.dumps(self.schema, ensure_ascii=False)

    @cached_property
    def prompt(self) -> str:
        """The agent's own part of the prompt."""
        return self.prompts.user(self.question, self.persona, self.learned, self.options)

    def messages(self) -> list[dict[str, str]]:
        """Return the whole prompt as chat messages, with every correction so far.

        A correction names the schema again, for endpoints that do not hold a model to it.
        """
        messages = [
            {"role": "system", "content": self.prompts.system},
            {"role": "user", "content": self.prompt},
        ]
        for correction in self.corrections:
            messages.append({"role": "assistant", "content": without_marks(correction.text) or "(nothing)"})
            messages.append(
                {
                    "role": "user",
                    "content": f"That reply does not fit: {correction.problem}. Answer the question again, with JSON "
                    f"of this schema: {self.schema_text}",
                }
            )
        return messages

    def most_prompt_tokens(self) -> int:
        """Return more tokens than the prompt can have: no tokenizer makes more of them than there are bytes."""
        messages = self.messages()
        text = "".join(message["content"] for message in messages)
        return len(text.encode()) + len(self.schema_text.encode()) + _TEMPLATE_TOKENS * (1 + len(messages))

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all that a reply may depend on."""
        all_of_it = json.dumps([self.answered_by, self.messages(), self.schema], ensure_ascii=False)
        return sha256(all_of_it.encode()).hexdigest()[:32]

    def part(self, ask: Ask[Any], digest: bytes) -> Request[Any]:
        """Return the request for a part of a compound question, as if it were asked alone.

        Args:
            ask: The part.
            digest: What keys its draws.
        """
        where = self.coordinates._replace(question=ask.question.name, about=ask.about, source=ask.source)
        return replace(
            self, coordinates=where, question=ask.question, digest=digest, usage=Usage(), corrections=(), attempt=0
        )

    def corrected(self, correction: Correction) -> Self:
        """Return the next attempt, with one more correction."""
        return replace(self, corrections=(*self.corrections, correction), attempt=self.attempt + 1)

    def in_room(self, room: int) -> Self:
        """Return the next attempt, with the same words and more tokens for the reply."""
        return replace(self, room=room, attempt=self.attempt + 1)

    def anew(self) -> Self:
        """Return the next attempt, without the corrections so far."""
        return replace(self, corrections=(), attempt=self.attempt + 1)


_TEMPLATE_TOKENS = 32
"""Tokens that an endpoint's chat template may add to a message, and to a prompt as a whole."""


class Backend(Protocol):
    """Whoever answers questions.

    A backend makes one attempt at an answer. Whatever is costly is served through `backends.wrappers.service`, which
    retries, re-asks, limits and records.
    """

    @property
    def description(self) -> dict[str, Any]:
        """The parameters that an outcome depends on, as plain data; no secret, nothing that only concerns speed.

        The backend's name is under "backend"; "model" names what prices are looked up for, and "max_tokens" the
        longest reply, where there are such.
        """

    @property
    def reads_prompts(self) -> bool:
        """Whether it answers from the prompt; if not, no prompt is rendered or recorded."""

    @property
    def is_costly(self) -> bool:
        """Whether an answer costs money, time or patience, so that it is recorded before it is used."""

    @property
    def asks_model(self) -> bool:
        """Whether a language model is asked: limits, rates, budget and prices apply to it, and not to a human."""

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Answer a question.

        Raises:
            TransientError: If the attempt failed in a way that may pass.
            InvalidReplyError: If the reply does not fit the question.
            BackendError: If no answer can be had.
        """

    async def close(self) -> None:
        """Give back connections; the backend is not used afterwards."""
