"""Base class of questions, their coordinates, and the order of their options.

A question is a frozen dataclass; a backend sees its fields and nothing else. Its answer is a pydantic model: a closed
choice is an enum; a choice among agents is a text field, which `candidates` turns into an enum for this question.
Small models prefer the first option, so the order of every closed choice is drawn from the keyed random stream of the
question, used in both prompt and schema, and stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from functools import cache
from random import Random
from typing import Any, ClassVar, NamedTuple, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from repunet_model.mechanism import Institution
from repunet_model.questions.labels import PLAIN, Labels
from repunet_model.reputation import Level, ReputationRecord
from repunet_model.util.text import one_line


def said(text: str) -> str:
    """Quote a text in one line, within quotation marks that it cannot close."""
    return f"«{one_line(text.replace('«', '‹').replace('»', '›'))}»"


Options = dict[str, tuple[str, ...]]


class Answer(BaseModel):
    """Base class of answers: immutable, without extra fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def free_text(longest: int, description: str) -> Any:
    """Describe a free text of an answer.

    Args:
        longest: The characters it should have at most, which the prompt says and the schema asks for. A reply that is
            longer is kept all the same, up to the limit of `Words`.
        description: What it holds.
    """
    return Field(description=description, json_schema_extra={"maxLength": longest})


REASON, MESSAGE, LEARNED = 300, 500, 800
"""Characters of a reason or another thought of a sentence, of what is said, and of what an agent goes on with."""


class Credibility(StrEnum):
    """The five levels of a listener's judgement of gossip."""

    VERY_UNCREDIBLE = "very uncredible"
    UNCREDIBLE = "uncredible"
    NEUTRAL = "neutral"
    CREDIBLE = "credible"
    VERY_CREDIBLE = "very credible"


UNCREDIBLE = frozenset({Credibility.UNCREDIBLE, Credibility.VERY_UNCREDIBLE})
"""The levels that count as disbelief."""

SCALES: tuple[type[StrEnum], ...] = (Level, Credibility)
"""Enums with a natural order; their options are listed upwards or downwards, never shuffled."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """The present record of an agent in a question; None before the first. Without reputation there are no opinions."""

    record: ReputationRecord | None

    @property
    def score(self) -> float:
        """The score of the record; 0 without a record."""
        return self.record.score if self.record else 0.0

    @property
    def is_known(self) -> bool:
        """Whether there is anything to go by: a record."""
        return self.record is not None


@dataclass(frozen=True, slots=True)
class Report:
    """A report on the public board.

    Attributes:
        step: The step of the encounter.
        by: The name of the agent that reports.
        role: The role of the subject.
        level: Its conduct as reported.
        text: The report in words.
    """

    step: int
    by: str
    role: str
    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class PublicOpinion(Opinion):
    """What a public institution shows everybody of an agent, in place of a record.

    Templates do not see it in the fields of a question: `Prompts` shows all of a question's together
    (`institution_view.j2`).

    Attributes:
        subject: The name of the agent.
        role: Its role; empty where the institution does not tell roles apart.
        institution: The institution.
        value: The number shown: a mean score in [-1, 1], or an image score; None without one.
        count: The number of records or acts behind it.
        reports: The latest reports, oldest first.
        standing: The same as a score in [-1, 1]; 0 if nothing is known.
    """

    subject: str
    role: str
    institution: Institution
    value: float | None = None
    count: int = 0
    reports: tuple[Report, ...] = ()
    standing: float = 0.0

    @property
    def score(self) -> float:
        """What is shown as a score in [-1, 1]; 0 if nothing is known."""
        return self.standing

    @property
    def is_known(self) -> bool:
        """Whether there is anything to go by: a number or a report."""
        return self.value is not None or bool(self.reports)


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether an agent that follows a norm, and its partner, are good in its eyes (`backends.norms`)."""

    own: bool
    partner: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """An agent that can be picked, and the picking agent's opinion of it."""

    name: str
    opinion: Opinion | None


@dataclass(frozen=True, slots=True)
class Line:
    """One turn of a dialogue."""

    speaker: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question[A: Answer]:
    """Base class of questions; a subclass sets the class variables and adds the fields of its view.

    Attributes:
        template: The name of a packaged file, which ends in .j2, or the text of a template.
    """

    name: ClassVar[str]
    template: ClassVar[str]
    answer: ClassVar[type[Answer]]

    def candidates(self) -> Options:
        """Return the names that may be chosen, by field of the answer."""
        return {}

    def bounds(self) -> dict[str, tuple[float, float]]:
        """Return the minimum and maximum of numbers limited by the view, by field of the answer."""
        return {}

    def check(self, answer: A) -> None:
        """Raise a ValueError of one line if the fields of an answer contradict each other."""

    def as_answer(self, answer: Answer) -> A:
        """Cast an answer to the answer type of this question."""
        return cast("A", answer)

    def options(self, digest: bytes) -> Options:
        """Draw the order of the options of every closed choice from the digest of the coordinates."""
        closed, candidates = closed_choices(self.answer), self.candidates()
        if not closed and not candidates:
            return {}
        random = Random(digest)
        drawn: Options = {}
        for field, kind in closed.items():
            values = _values(kind)
            if kind in SCALES:
                drawn[field] = values if random.random() < 0.5 else values[::-1]
            else:
                drawn[field] = tuple(random.sample(values, len(values)))
        for field, names in candidates.items():
            drawn[field] = tuple(random.sample(names, len(names)))
        return drawn

    def labelled(self, options: Options, labels: Labels) -> Options:
        """Return the options of closed choices under their labels, in the same order, and the others as they are."""
        if not labels.options:
            return options
        closed = closed_choices(self.answer)
        return {
            field: tuple(labels.of_value(closed[field], value) for value in values) if field in closed else values
            for field, values in options.items()
        }

    def schema(self, options: Options) -> dict[str, Any]:
        """Return the JSON schema of the answer, with labelled options, in the form that strict output requires."""
        fields = _plain_schema(self.answer)["properties"]
        bounds = self.bounds()

        def described(name: str, field: dict[str, Any]) -> dict[str, Any]:
            if name in options:
                closed = {"type": "string", "enum": list(options[name])}
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

    def lengths(self) -> dict[str, int]:
        """Return the most characters of every free text of the answer, by its field."""
        fields, chosen = _plain_schema(self.answer)["properties"], self.candidates()
        return {name: each["maxLength"] for name, each in fields.items() if "maxLength" in each and name not in chosen}

    def read(self, text: str, labels: Labels = PLAIN) -> A:
        """Parse a reply, in which choices have labels.

        Raises:
            ValueError: If the reply is not a valid answer; the message has one line.
        """
        text = labels.in_values(text, closed_choices(self.answer))
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
def closed_choices(answer: type[Answer]) -> dict[str, type[Enum]]:
    """Return the enumeration of each field that is a closed choice."""
    return {
        name: field.annotation
        for name, field in answer.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Enum)
    }


@cache
def _values(kind: type[Enum]) -> tuple[str, ...]:
    return tuple(member.value for member in kind)


@cache
def _plain_schema(answer: type[Answer]) -> dict[str, Any]:
    """Return the JSON schema of an answer without titles."""
    schema = answer.model_json_schema()
    for field in schema["properties"].values():
        field.pop("title", None)
    return schema


class Coordinates(NamedTuple):
    """The identity of a question, unique within a run, and the key of its random draws.

    Attributes:
        about: The agent that the question concerns, or empty.
        source: The path of gossip, or another discriminator of equal questions; may be empty.
    """

    step: int
    stage: str
    question: str
    agent: str
    about: str = ""
    source: str = ""
