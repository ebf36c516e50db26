"""Sequences of dependent questions, and compound questions that ask a whole sequence in one call.

A `QuestionFlow` is a generator: it yields a `FlowQuestion`, receives the answer, and builds the next question from
it. A sequence is asked either with one call per question or as one `Compound`. The prompt of a compound shows the
first view and all questions in order; its reply has a part for each question, read by that question. Both ways share
questions, prompts and checks.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Coroutine, Generator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar

from pydantic import SerializeAsAny, model_serializer

from repunet_model.questions.base import Answer, Options, Question
from repunet_model.questions.labels import PLAIN, Labels


@dataclass(frozen=True, slots=True)
class FlowQuestion[A: Answer]:
    """Question in a sequence; see `Coordinates` for `about` and `source`.

    `part` names its answer in a compound answer, whose prompt shows its view only if `shows_view`. `condition` is the
    case, in words, in which an earlier answer makes it necessary (empty if always). `stage` asks it alone, if that
    differs from the stage of the compound.
    """

    part: str
    question: Question[A]
    about: str
    source: str = ""
    condition: str = ""
    shows_view: bool = False
    stage: str = ""


type QuestionFlow[T] = Generator[FlowQuestion[Any], Any, T]
"""A sequence of dependent questions that returns a T."""


class MissingPartError(ValueError):
    """A part of a compound reply is null, though its condition is met; `part` is its name."""

    def __init__(self, part: str, condition: str) -> None:
        super().__init__(f"{part}: is null, but has to be answered, since {condition}")
        self.part = part


class Answers(Answer):
    """A compound answer: an answer for each part, None for a part whose condition was not met."""

    parts: dict[str, SerializeAsAny[Answer] | None]

    @model_serializer
    def _plain(self) -> dict[str, Any]:
        return {name: None if answer is None else answer.model_dump(mode="json") for name, answer in self.parts.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Compound(Question[Answers]):
    """Sequence of dependent questions, asked in one call.

    `think` starts it on a copy of the agent's draft. `digest_of` digests the coordinates of a part as if asked alone.
    `asks` holds all possible parts in order; fields that depend on earlier answers are placeholders.
    """

    template: ClassVar[str] = "compound.j2"
    answer: ClassVar[type[Answer]] = Answers

    think: Callable[[], QuestionFlow[Any]] = field(repr=False)
    digest_of: Callable[[FlowQuestion[Any]], bytes] = field(repr=False)
    asks: tuple[FlowQuestion[Any], ...]

    def options(self, digest: bytes) -> Options:
        """Draw the options of every part, by "part.field", in the same order as when asked alone."""
        return {
            f"{ask.part}.{name}": order
            for ask in self.asks
            for name, order in ask.question.options(self.digest_of(ask)).items()
        }

    def labelled(self, options: Options, labels: Labels) -> Options:
        """Return the options of every part under their labels."""
        return {
            f"{ask.part}.{name}": order
            for ask in self.asks
            for name, order in ask.question.labelled(options_of(ask.part, options), labels).items()
        }

    def schema(self, options: Options) -> dict[str, Any]:
        """Return the JSON schema of the answer, an object of objects."""

        def of(ask: FlowQuestion[Any]) -> dict[str, Any]:
            schema = ask.question.schema(options_of(ask.part, options))
            return {"anyOf": [schema, {"type": "null"}]} if ask.condition else schema

        return {
            "type": "object",
            "properties": {ask.part: of(ask) for ask in self.asks},
            "required": [ask.part for ask in self.asks],
            "additionalProperties": False,
        }

    def lengths(self) -> dict[str, int]:
        """Return the most characters of every free text of the parts, by its field: the same in each."""
        return {name: longest for ask in self.asks for name, longest in ask.question.lengths().items()}

    def read(self, text: str, labels: Labels = PLAIN) -> Answers:
        """Parse a reply, part by part.

        Raises:
            MissingPartError: If a part is null whose condition is met.
            ValueError: If the reply or another part is no valid answer; in one line.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"reply: not JSON ({error})") from None
        wanted = [ask.part for ask in self.asks]
        if not isinstance(data, dict) or set(data) != set(wanted):
            raise ValueError(f"reply: must be one object with just these fields: {', '.join(wanted)}")
        parts: dict[str, Answer | None] = dict.fromkeys(wanted)

        def read_part(ask: FlowQuestion[Any]) -> Answer:
            if data[ask.part] is None:
                if ask.condition:
                    raise MissingPartError(ask.part, ask.condition)
                raise ValueError(f"{ask.part}: is null, but has to be answered")
            try:
                answer: Answer = ask.question.read(json.dumps(data[ask.part]), labels)
            except ValueError as error:
                raise ValueError(f"{ask.part}.{error}") from None
            parts[ask.part] = answer
            return answer

        follow(self.think(), read_part)
        return Answers(parts=parts)

    async def in_turn(self, answer: Callable[[FlowQuestion[Any], bytes], Coroutine[Any, Any, Answer]]) -> Answers:
        """Answer the parts one after another with a coroutine that receives each part and its digest."""
        parts: dict[str, Answer | None] = {ask.part: None for ask in self.asks}

        async def answer_part(ask: FlowQuestion[Any]) -> Answer:
            parts[ask.part] = given = await answer(ask, self.digest_of(ask))
            return given

        await follow_async(self.think(), answer_part)
        return Answers(parts=parts)


def follow[T](thought: QuestionFlow[T], answer: Callable[[FlowQuestion[Any]], Answer | None]) -> T:
    """Run a sequence of questions to its end and return its result."""
    try:
        ask = next(thought)
        while True:
            ask = thought.send(answer(ask))
    except StopIteration as end:
        result: T = end.value
        return result


async def follow_async[T](thought: QuestionFlow[T], answer: Callable[[FlowQuestion[Any]], Awaitable[Answer]]) -> T:
    """Run a sequence of questions like `follow`, with a coroutine that answers."""
    try:
        ask = next(thought)
        while True:
            ask = thought.send(await answer(ask))
    except StopIteration as end:
        result: T = end.value
        return result


def answered(schema: dict[str, Any], parts: Collection[str]) -> dict[str, Any]:
    """Return the schema of a compound answer in which some conditional parts, by their names, cannot be null."""
    own = schema["properties"]
    required = {part: own[part]["anyOf"][0] for part in parts}
    return {**schema, "properties": {**own, **required}}


def options_of(part: str, options: Options) -> Options:
    """Return the options of a part from those of its compound question."""
    return {name.partition(".")[2]: order for name, order in options.items() if name.startswith(f"{part}.")}


def asks_of(thought: QuestionFlow[Any]) -> tuple[FlowQuestion[Any], ...]:
    """Return all questions that a sequence may ask, by running it with placeholder answers.

    A closed choice takes its first option, so the first option must lead to the most further questions.
    """
    found = []

    def answer(ask: FlowQuestion[Any]) -> Answer:
        found.append(ask)
        return _blank(ask.question)

    follow(thought, answer)
    return tuple(found)


def _blank(question: Question[Any]) -> Answer:
    """Return a placeholder answer."""
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
    """The questions after an encounter: evaluation, records, learned text, tie and gossip."""

    name: ClassVar[str] = "aftermath"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing(Compound):
    """The questions to a listener: judgement, record, tie and passing the gossip on."""

    name: ClassVar[str] = "hearing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading(Compound):
    """The questions after public news: a record and a tie for each of several agents."""

    name: ClassVar[str] = "reading"
