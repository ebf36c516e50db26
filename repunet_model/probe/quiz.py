"""The quiz of a game's rules and payoffs: the only questions of a probe that no run asks."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, ClassVar

from pydantic import Field

from repunet_model.games.base import QuizFact
from repunet_model.personas import Words
from repunet_model.questions.base import Answer, Options, Question

_TEMPLATE = """\
{% include "persona.j2" %}
About the rules, for anybody who takes part: {{ asks }} answer: """


class NumberAnswer(Answer):
    """A number."""

    answer: Annotated[float, Field(description="the number")]


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberQuiz(Question[NumberAnswer]):
    """A question of the quiz whose answer is a number."""

    name: ClassVar[str] = "quiz_number"
    template: ClassVar[str] = f"{_TEMPLATE}a number."
    answer: ClassVar[type[Answer]] = NumberAnswer

    asks: str


class ClosedAnswer(Answer):
    """One of the options of the question."""

    answer: Annotated[Words, Field(description="the option that is right")]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedQuiz(Question[ClosedAnswer]):
    """A question of the quiz with options."""

    name: ClassVar[str] = "quiz_options"
    template: ClassVar[str] = f"{_TEMPLATE}{{{{ options.answer | join(' or ') }}}}."
    answer: ClassVar[type[Answer]] = ClosedAnswer

    asks: str
    choices: tuple[str, ...]

    def candidates(self) -> Options:
        """Return the options."""
        return {"answer": self.choices}


def question_of(fact: QuizFact) -> NumberQuiz | ClosedQuiz:
    """Return the question that asks for a fact."""
    if fact.options:
        return ClosedQuiz(asks=fact.asks, choices=fact.options)
    return NumberQuiz(asks=fact.asks)


def is_right(fact: QuizFact, answer: Answer) -> bool:
    """Whether an answer states a fact; numbers may differ by less than a hundredth."""
    if isinstance(answer, ClosedAnswer):
        return answer.answer == fact.answer
    assert isinstance(answer, NumberAnswer)
    return abs(answer.answer - float(Decimal(fact.answer))) < 0.01
