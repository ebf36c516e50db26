"""The interface of backends, and the request that a backend answers.

A request holds everything that an answer may depend on: the question, the persona, the order of the options, a random
stream, and the prompts. Wrappers (`backends.wrappers`) have the same interface, so retries, limits and re-asking
compose.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any, Protocol, Self

from repunet_model.errors import InvalidReplyError
from repunet_model.personas import Persona
from repunet_model.questions.base import Answer, Coordinates, Options, Question
from repunet_model.questions.compound import FlowQuestion, answered
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
        recalled: Replies that were taken from the journal instead of an endpoint.
        mended: Values that were read though written in another form, such as " Cooperate." or "85 %".
        prompt_tokens: Prompt tokens that the endpoint reported, cached ones included.
        cached_tokens: Prompt tokens that the endpoint served from its cache.
        completion_tokens: Completion tokens that the endpoint reported, those of reasoning included.
        reasoning_tokens: Completion tokens that the model spent on reasoning, as far as the endpoint reported them.
        seconds: Time spent waiting for the endpoint.
        usd: The price of the tokens in US dollars, of models with a known price.
        unpriced_tokens: Tokens of models without a known price.
        counted: Replies with a reported number of tokens.
        assumed_tokens: The largest possible number of tokens of attempts without a reported number.
        assumed_usd: The price of `assumed_tokens` in US dollars, of models with a known price.
        adaptations: Departures from the default form of requests, such as "without seed".
    """

    attempts: int = 0
    failures: int = 0
    retries: int = 0
    reasks: int = 0
    recalled: int = 0
    mended: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    seconds: float = 0.0
    usd: float = 0.0
    unpriced_tokens: int = 0
    counted: int = 0
    assumed_tokens: int = 0
    assumed_usd: float = 0.0
    adaptations: frozenset[str] = frozenset()

    @property
    def tokens(self) -> int:
        """The sum of prompt and completion tokens."""
        return self.prompt_tokens + self.completion_tokens

    def add(self, other: Usage) -> None:
        """Add another usage to this one."""
        if other == _NOTHING:  # the usage of most questions in offline runs
            return
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.adaptations |= other.adaptations

    def since(self, earlier: Usage) -> Usage:
        """Return the difference from an earlier copy of this usage."""
        counts = {name: getattr(self, name) - getattr(earlier, name) for name in _COUNTS}
        return Usage(**counts, adaptations=self.adaptations)

    def copy(self) -> Usage:
        """Return a copy."""
        return replace(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the usage as plain data, without zeros."""
        data = {name: value for name in _COUNTS if (value := getattr(self, name))}
        return data | ({"adaptations": sorted(self.adaptations)} if self.adaptations else {})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the usage that `to_dict` stored, without its parts."""
        own = {name: value for name, value in data.items() if name != BY_BACKEND}
        return cls(**{**own, "adaptations": frozenset(data.get("adaptations", ()))})

    @classmethod
    def total(cls, by_question: Mapping[str, Mapping[str, Any]]) -> Self:
        """Return the sum of the stored usages of questions."""
        total = cls()
        for each in by_question.values():
            total.add(cls.from_dict(each))
        return total


BY_BACKEND = "by_backend"
"""The entry of a question's stored usage with its parts by the label of the backend."""


def stored_usage(usage: Mapping[tuple[str, str], Usage]) -> dict[str, dict[str, Any]]:
    """Return usage by question and label of the backend as plain data by question, with its parts by backend.

    Backends that cost nothing have no part.
    """
    stored: dict[str, dict[str, Any]] = {}
    for question in sorted({question for question, _ in usage}):
        total, parts = Usage(), {}
        for (name, label), each in sorted(usage.items()):
            if name == question:
                total.add(each)
                if part := each.to_dict():
                    parts[label] = part
        stored[question] = total.to_dict() | ({BY_BACKEND: parts} if parts else {})
    return stored


def usage_by_backend(stored: Mapping[str, Mapping[str, Any]]) -> dict[str, Usage]:
    """Return the usage of a step, as `stored_usage` returned it, by the label of the backend."""
    found: dict[str, Usage] = {}
    for row in stored.values():
        for label, part in row.get(BY_BACKEND, {}).items():
            found.setdefault(label, Usage()).add(Usage.from_dict(part))
    return found


_COUNTS = tuple(field.name for field in fields(Usage) if field.name != "adaptations")

_NOTHING = Usage()


@dataclass(frozen=True, slots=True)
class Correction:
    """A reply that did not fit, and the problem with it.

    Attributes:
        text: The reply.
        problem: The problem, in the words that are sent to the model.
        required: The parts of a compound reply that were null, and cannot be in the next reply.
    """

    text: str
    problem: str
    required: frozenset[str] = frozenset()

    @classmethod
    def of(cls, error: InvalidReplyError, earlier: Correction | None) -> Self:
        """Return the correction for a reply that did not fit, after an earlier one of the same question."""
        required = frozenset() if earlier is None else earlier.required
        return cls(error.text, error.problem, required | {error.missing} if error.missing else required)


def _nobody(name: str) -> Collection[str]:
    return ()


@dataclass(frozen=True)
class Request[A: Answer]:
    """A question to an agent, with everything that a backend needs to answer it.

    Attributes:
        coordinates: The place of the question in the run.
        question: The question, with all facts that the agent may see.
        persona: The persona of the agent.
        learned: The agent's learned text in its role.
        digest: The digest of the coordinates, which seeds all draws for this question.
        prompts: The prompts of the run.
        answered_by: The description of the backend.
        order: The order of the options by field; None draws it from the digest.
        correction: The last reply, if it did not fit, and why; the model is shown it, but no earlier one.
        attempt: The number of the requested reply, from 0.
        room: The longest reply in tokens; None for the backend's `max_tokens`.
        usage: The cost so far; backends and wrappers add to it.
        earlier: The original cost of replies that were taken from the journal.
        alike: Returns the names of all agents whose backends have the description of that of an agent, by its name.
        mailbox: The file of replies that arrived after their process had ended; None for a run that is not stored.
        thoughts: The reasoning before the last reply, if the endpoint returned it; stored, and in no prompt.
        receipts: Functions to call once a reply is recorded or discarded; then no other process needs to keep it.
    """

    coordinates: Coordinates
    question: Question[A]
    persona: Persona
    learned: str
    digest: bytes
    prompts: Prompts
    answered_by: Mapping[str, Any]
    order: Options | None = None
    correction: Correction | None = None
    attempt: int = 0
    room: int | None = None
    usage: Usage = field(default_factory=Usage)
    earlier: Usage = field(default_factory=Usage)
    alike: Callable[[str], Collection[str]] = _nobody
    mailbox: Path | None = None
    thoughts: list[str] = field(default_factory=list)
    receipts: list[Callable[[], None]] = field(default_factory=list)

    def random(self) -> Random:
        """Return a new random stream, the same at each call."""
        return Random(int.from_bytes(self.digest))

    @cached_property
    def options(self) -> Options:
        """The options in the order in which the prompt lists them, by their values, as they are stored."""
        return self.question.options(self.digest) if self.order is None else self.order

    @cached_property
    def shown(self) -> Options:
        """The same under the labels of the prompt set, as prompt and schema have them."""
        return self.question.labelled(self.options, self.prompts.labels)

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the answer, with labels; after a correction, parts that were missing cannot be null."""
        schema = self.question.schema(self.shown)
        required = () if self.correction is None else self.correction.required
        return answered(schema, required) if required else schema

    def read(self, text: str) -> A:
        """Parse a reply, in which choices have labels; raise ValueError, in one line, if it is no valid answer."""
        return self.question.read(text, self.prompts.labels)

    @cached_property
    def schema_text(self) -> str:
        """The JSON schema of the answer as text."""
        return json.dumps(self.schema, ensure_ascii=False)

    @cached_property
    def prompt(self) -> str:
        """The user message of the prompt."""
        return self.prompts.user(self.question, self.persona, self.learned, self.shown)

    def messages(self) -> list[dict[str, str]]:
        """Return the prompt as chat messages, with the correction if there is one.

        It repeats the schema, for endpoints that do not enforce it.
        """
        messages = [
            {"role": "system", "content": self.prompts.system},
            {"role": "user", "content": self.prompt},
        ]
        if self.correction is not None:
            messages.append({"role": "assistant", "content": without_marks(self.correction.text) or "(nothing)"})
            messages.append(
                {
                    "role": "user",
                    "content": f"That reply does not fit: {self.correction.problem}. Answer the question again, with "
                    f"JSON of this schema: {self.schema_text}",
                }
            )
        return messages

    def most_prompt_tokens(self) -> int:
        """Return an upper bound of the prompt's tokens: a tokenizer makes at most one token of a byte."""
        messages = self.messages()
        text = "".join(message["content"] for message in messages)
        return len(text.encode()) + len(self.schema_text.encode()) + _TEMPLATE_TOKENS * (1 + len(messages))

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the backend's description, the messages and the schema."""
        text = json.dumps([self.answered_by, self.messages(), self.schema], ensure_ascii=False)
        return sha256(text.encode()).hexdigest()[:32]

    def part(self, ask: FlowQuestion[Any], digest: bytes) -> Request[Any]:
        """Return the request for a part of a compound question; `digest` seeds the draws of the part."""
        where = self.coordinates._replace(question=ask.question.name, about=ask.about, source=ask.source)
        return replace(
            self, coordinates=where, question=ask.question, digest=digest, usage=Usage(), correction=None, attempt=0
        )

    def corrected(self, correction: Correction) -> Self:
        """Return the next attempt, with a correction in place of an earlier one."""
        return replace(self, correction=correction, attempt=self.attempt + 1)

    def in_room(self, room: int) -> Self:
        """Return the next attempt, with another limit on the tokens of the reply."""
        return replace(self, room=room, attempt=self.attempt + 1)

    def anew(self) -> Self:
        """Return the next attempt, without a correction."""
        return replace(self, correction=None, attempt=self.attempt + 1)


_TEMPLATE_TOKENS = 32
"""The most tokens that a chat template adds to a message, and to a prompt."""


def label_of(description: Mapping[str, Any]) -> str:
    """Return what the backend with a description is called in tables of cost, such as openai:gpt-4o-mini."""
    detail = description.get("endpoint") or description.get("model")
    return ":".join(filter(None, (description.get("backend", ""), detail)))


class Backend(Protocol):
    """The interface of backends, which answer questions.

    A backend makes one attempt at an answer; `backends.wrappers.service` adds retries, re-asking, limits and records
    to costly backends. A backend may also have `terms`: limits and a price of its own (`backends.limits.Terms`).
    """

    @property
    def description(self) -> dict[str, Any]:
        """The parameters that an outcome depends on, as plain data, without secrets.

        "backend" is the backend's name, "endpoint" that of a named endpoint, "model" the key of its price, "max_tokens"
        the longest reply; a backend without a model has only the first.
        """

    @property
    def reads_prompts(self) -> bool:
        """Whether answers come from the prompt; otherwise no prompt is rendered or recorded."""

    @property
    def is_costly(self) -> bool:
        """Whether an answer costs money or time, so that it is recorded before it is used."""

    @property
    def asks_model(self) -> bool:
        """Whether a language model answers, to which limits and prices apply."""

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Answer a question.

        Raises:
            TransientError: If the attempt failed and a later one may succeed.
            InvalidReplyError: If the reply does not fit the question.
            BackendError: If no attempt can succeed.
        """

    async def close(self) -> None:
        """Release connections; the backend is not used afterwards."""
