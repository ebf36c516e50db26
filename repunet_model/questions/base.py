"""The form of a question, the coordinates it is asked at, and the order in which its options are named.

A question is a frozen dataclass: its fields are all that whoever answers may see. Its answer is a pydantic model;
a closed choice is an enum, a choice among people is a text field that `candidates` turns into an enum for this one
question. Small models prefer the option that is named first, so the order of every closed choice is drawn from
the keyed stream of the question, used in the prompt and the schema alike, and recorded.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from functools import cache
from random import Random
from typing import Any, ClassVar, NamedTuple, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from repunet_model.reputation import Level, ReputationRecord
from repunet_model.util.text import one_line


def said(text: str) -> str:
    """Return a text of somebody's between quotation marks that it cannot close, in one line."""
    return f"«{one_line(text.replace('«', '‹').replace('»', '›'))}»"


Options = dict[str, tuple[str, ...]]


class Answer(BaseModel):
    """Base of all answers: nothing beyond the named fields, nothing changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Credibility(StrEnum):
    """The five levels on which a listener judges gossip."""

    VERY_UNCREDIBLE = "very uncredible"
    UNCREDIBLE = "uncredible"
    NEUTRAL = "neutral"
    CREDIBLE = "credible"
    VERY_CREDIBLE = "very credible"


UNCREDIBLE = frozenset({Credibility.UNCREDIBLE, Credibility.VERY_UNCREDIBLE})
"""The levels of gossip that counts as not believed."""


SCALES: tuple[type[StrEnum], ...] = (Level, Credibility)
"""Enums with a natural order: they are named upwards or downwards, never shuffled."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """An opinion about an agent, as a question shows it.

    A question in a run without reputation carries no opinions at all: the field is None there.

    Attributes:
        record: The present record, or None if there is none yet.
    """

    record: ReputationRecord | None

    @property
    def score(self) -> float:
        """The score of the record; 0 where there is none."""
        return self.record.score if self.record else 0.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """Somebody who can be picked, and what the picking agent thinks of them."""

    name: str
    opinion: Opinion | None


@dataclass(frozen=True, slots=True)
class Line:
    """One turn of a dialogue."""

    speaker: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question[A: Answer]:
    """Base of all questions; a subclass names its answer and its template and adds the fields of its view.

    The template is the name of a packaged file, which ends in .j2, or the text of a template itself.
    """

    name: ClassVar[str]
    template: ClassVar[str]
    answer: ClassVar[type[Answer]]

    def candidates(self) -> Options:
        """Return the names to choose from, by the answer's field, where it is a choice among people."""
        return {}

    def bounds(self) -> dict[str, tuple[float, float]]:
        """Return the least and the greatest value of a number, by the answer's field, where the view sets them."""
        return {}

    def check(self, answer: A) -> None:
        """Refuse an answer whose parts do not go together.

        Raises:
            ValueError: In one line, what does not fit.
        """

    def as_answer(self, answer: Answer) -> A:
        """Return an answer to this question as one of its type, which the class variable cannot name."""
        return cast("A", answer)

    def options(self, digest: bytes) -> Options:
        """Draw the order in which the options of every closed choice are named.

        Args:
            digest: The digest of the question's coordinates.
        """
        closed, candidates = _closed_choices(self.answer), self.candidates()
        if not closed and not candidates:
            return {}
        random = Random(digest)
        drawn: Options = {}
        for field, (values, is_scale) in closed.items():
            if is_scale:
                drawn[field] = values if random.random() < 0.5 else values[::-1]
            else:
                drawn[field] = tuple(random.sample(values, len(values)))
        for field, names in candidates.items():
            drawn[field] = tuple(random.sample(names, len(names)))
        return drawn

    def schema(self, options: Options) -> dict[str, Any]:
        """Return the JSON schema of the answer, closed choices in the drawn order.

        Every field is required and nothing else is allowed, as strict structured output asks for.
        """
        fields = _plain_schema(self.answer)["properties"]
        bounds = self.bounds()

        def described(name: str, field: dict[str, Any]) -> dict[str, Any]:
            if name in options:
                closed: dict[str, Any] = {"type": "string", "enum": list(options[name])}
                return closed | {key: text for key, text in field.items() if key == "description"}
            if name in bounds:
                return field | dict(zip(("minimum", "maximum"), bounds[name], strict=True))
            return field

        return {
            "type": "object",
            "properties": {name: described(name, field) for name, field in fields.items()},
            "required": list(fields),
            "additionalProperties": False,
        }

    def read(self, text: str) -> A:
        """Read a reply.

        Raises:
            ValueError: In one line, what does not fit.
        """
        try:
            answer = self.as_answer(self.answer.model_validate_json(text))
        except ValidationError as error:
            problems = (f"{'.'.join(map(str, e['loc'])) or 'reply'}: {e['msg']}" for e in error.errors())
            raise ValueError("; ".join(problems)) from None
        for field, names in self.candidates().items():
            if getattr(answer, field) not in names:
                raise ValueError(f"{field}: must be one of {', '.join(names)}")
        self.check(answer)
        for field, (low, high) in self.bounds().items():
            if not low <= getattr(answer, field) <= high:
                raise ValueError(f"{field}: must be from {low} to {high}")
        return answer


@cache
def _closed_choices(answer: type[Answer]) -> dict[str, tuple[tuple[str, ...], bool]]:
    """Return the values of each enum field of an answer, and whether they form a scale."""
    return {
        name: (tuple(member.value for member in field.annotation), field.annotation in SCALES)
        for name, field in answer.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Enum)
    }


@cache
def _plain_schema(answer: type[Answer]) -> dict[str, Any]:
    """Return the answer's JSON schema without titles."""
    schema = answer.model_json_schema()
    for field in schema["properties"].values():
        field.pop("title", None)
    return schema


class Coordinates(NamedTuple):
    """Where in a run a question is asked; unique within a run, and the key of everything drawn for it.

    Attributes:
        step: The step.
        stage: The stage of the step.
        question: The question's name.
        agent: Who is asked.
        about: Whom the question is about; empty if nobody in particular.
        source: Through whom the matter came, for gossip; empty otherwise.
    """

    step: int
    stage: str
    question: str
    agent: str
    about: str = ""
    source: str = ""
