"""Questions that one agent answers one after another from the same view, as one call with one compound answer.

A line of thought is a generator: it yields what to ask, is sent each answer, and builds the next question on it. The
same line is asked one question a call, or as a whole (`Compound`): then the prompt shows the first view and asks all
questions in their order, the reply has a part for each, and each part is read as the answer to its own question, which
is built on the parts before it. So there is one set of questions, prompts and checks for both ways.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar

from pydantic import SerializeAsAny, model_serializer

from repunet_model.questions.base import Answer, Options, Question


@dataclass(frozen=True, slots=True)
class Ask[A: Answer]:
    """A question in a line of thought.

    Attributes:
        part: Its name in a compound answer.
        question: The question.
        about: Whom it is about.
        source: Through whom the matter came.
        condition: In words, if it is asked only in case an earlier answer says so; else empty.
        shows_view: Whether a compound prompt shows its view, because it holds what no earlier view did.
        stage: The stage it belongs to when it is asked alone, if that is another one; else empty.
    """

    part: str
    question: Question[A]
    about: str
    source: str = ""
    condition: str = ""
    shows_view: bool = False
    stage: str = ""


type Thought[T] = Generator[Ask[Any], Any, T]
"""A line of thought that ends in a T."""


class Answers(Answer):
    """A compound answer.

    Attributes:
        parts: The answers by the names of the parts; None to what was not asked in the end.
    """

    parts: dict[str, SerializeAsAny[Answer] | None]

    @model_serializer
    def _plain(self) -> dict[str, Any]:
        return {name: None if answer is None else answer.model_dump(mode="json") for name, answer in self.parts.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Compound(Question[Answers]):
    """A line of thought, asked as a whole.

    Attributes:
        think: Begins the line anew, without a trace in what the agent holds.
        digest_of: Returns the digest that keys the draws of a part: the one it has when it is asked alone.
        asks: What may be asked, in order. Of questions that build on answers only what is known before.
    """

    template: ClassVar[str] = "compound.j2"
    answer: ClassVar[type[Answer]] = Answers

    think: Callable[[], Thought[Any]] = field(repr=False)
    digest_of: Callable[[Ask[Any]], bytes] = field(repr=False)
    asks: tuple[Ask[Any], ...]

    def options(self, digest: bytes) -> Options:
        """Return the order of the options of every part, by "part.field": the order it has when asked alone."""
        return {
            f"{ask.part}.{name}": order
            for ask in self.asks
            for name, order in ask.question.options(self.digest_of(ask)).items()
        }

    def schema(self, options: Options) -> dict[str, Any]:
        """Return the JSON schema of the answer: an object with an object for each part."""

        def of(ask: Ask[Any]) -> dict[str, Any]:
            schema = ask.question.schema(options_of(ask.part, options))
            return {"anyOf": [schema, {"type": "null"}]} if ask.condition else schema

        return {
            "type": "object",
            "properties": {ask.part: of(ask) for ask in self.asks},
            "required": [ask.part for ask in self.asks],
            "additionalProperties": False,
        }

    def read(self, text: str) -> Answers:
        """Read a reply, part by part.

        Raises:
            ValueError: In one line, what does not fit.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"reply: not JSON ({error})") from None
        wanted = [ask.part for ask in self.asks]
        if not isinstance(data, dict) or set(data) != set(wanted):
            raise ValueError(f"reply: must be one object with just these fields: {', '.join(wanted)}")
        parts: dict[str, Answer | None] = dict.fromkeys(wanted)
        thought = self.think()
        try:
            ask = next(thought)
            while True:
                parts[ask.part] = answer = _read_part(ask, data[ask.part])
                ask = thought.send(answer)
        except StopIteration:
            return Answers(parts=parts)

    async def in_turn(self, answer: Callable[[Ask[Any], bytes], Coroutine[Any, Any, Answer]]) -> Answers:
        """Have the parts answered one after another, by somebody who sees each question as it is when asked alone.

        Args:
            answer: Answers a part, by the digest of its own.
        """
        parts: dict[str, Answer | None] = {ask.part: None for ask in self.asks}
        thought = self.think()
        try:
            ask = next(thought)
            while True:
                parts[ask.part] = await answer(ask, self.digest_of(ask))
                ask = thought.send(parts[ask.part])
        except StopIteration:
            return Answers(parts=parts)


def _read_part(ask: Ask[Any], data: Any) -> Answer:
    """Read a part as the answer to its question.

    Raises:
        ValueError: In one line, what does not fit.
    """
    if data is None:
        raise ValueError(f"{ask.part}: is null, but has to be answered")
    try:
        answer: Answer = ask.question.read(json.dumps(data))
    except ValueError as error:
        raise ValueError(f"{ask.part}.{error}") from None
    return answer


def options_of(part: str, options: Options) -> Options:
    """Return the orders of options that belong to a part of a compound question."""
    return {name.partition(".")[2]: order for name, order in options.items() if name.startswith(f"{part}.")}


def asks_of(thought: Thought[Any]) -> tuple[Ask[Any], ...]:
    """Return all that a line of thought may ask.

    It is followed with blank answers, of which nothing is shown or kept. A closed choice on which further questions
    depend has, as its first option, the one after which most is asked.
    """
    found = []
    try:
        ask = next(thought)
        while True:
            found.append(ask)
            ask = thought.send(_blank(ask.question))
    except StopIteration:
        return tuple(found)


def conclusion[T](thought: Thought[T], answers: Answers) -> T:
    """Return what a line of thought comes to with the answers to it."""
    try:
        ask = next(thought)
        while True:
            ask = thought.send(answers.parts[ask.part])
    except StopIteration as end:
        value: T = end.value
        return value


def _blank(question: Question[Any]) -> Answer:
    """Return an answer that says nothing."""
    candidates = question.candidates()
    values: dict[str, Any] = {}
    for name, described in question.answer.model_fields.items():
        kind = described.annotation
        if name in candidates:
            values[name] = candidates[name][0]
        elif isinstance(kind, type) and issubclass(kind, Enum):
            values[name] = next(iter(kind))
        elif isinstance(kind, type):
            values[name] = kind()
    return question.answer.model_construct(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath(Compound):
    """The thoughts after an encounter in one call: evaluation, records, learned text, tie, and gossip."""

    name: ClassVar[str] = "aftermath"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing(Compound):
    """The thoughts of a listener in one call: judgement, record, tie, and passing the gossip on."""

    name: ClassVar[str] = "hearing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading(Compound):
    """The conclusions from public news in one call: a record and a tie for each of several agents."""

    name: ClassVar[str] = "reading"
