"""Prompts of questions, rendered from the Jinja2 templates of a prompt set.

A prompt starts with the rules of the game, which are equal for all agents and steps, so that prefix caches serve
them; the persona and the question follow. An undefined name in a template is an error. Texts of agents are data:
they are never rendered as templates and cannot start a chat turn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import lru_cache, partial
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined, Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from repunet_model.errors import ConfigurationError
from repunet_model.mechanism import Mechanism
from repunet_model.personas import Persona
from repunet_model.questions.base import Candidate, Options, PublicOpinion, Question, said
from repunet_model.questions.compound import Compound, options_of
from repunet_model.questions.prompt_sets import FILTERS, PromptSet, of_packaged
from repunet_model.reputation import LEVELS, Level, ReputationRecord
from repunet_model.util.text import without_marks


class Prompts:
    """Prompts of one run; `system` holds the rules of the game, which all agents and steps share."""

    def __init__(
        self, rules: str, mechanism: Mechanism, parameters: object = None, chosen: PromptSet | None = None
    ) -> None:
        """Render the rules of a game, given as a Jinja2 template or the name of a template of the set.

        Args:
            rules: The template, which may read `mechanism`, `parameters`, and in short `reputation` and `gossip`.
            mechanism: The switches as they act in the run (`Game.mechanism`).
            parameters: The parameters of the game.
            chosen: The prompt set; None for `neutral`.

        Raises:
            ConfigurationError: If the rules cannot be rendered.
        """
        self.set = of_packaged() if chosen is None else chosen
        self.labels = self.set.labels
        self._environment = _environment(self.set)
        self._compiled: dict[str, Template] = {}
        facts = {
            "mechanism": mechanism,
            "reputation": mechanism.self_records or mechanism.peer_records,
            "gossip": mechanism.first_order,
            "parameters": parameters,
        }
        self.system = self.text(rules, **facts)
        if mechanism.institution.is_public:
            self.system += f"\n{self.text('institution_rules.j2', **facts)}"

    def text(self, template: str, **facts: Any) -> str:
        """Render a text of the set, such as the account of an encounter, from facts.

        Raises:
            ConfigurationError: If it cannot be rendered.
        """
        with self._rendering(template):
            return self._template(template).render(facts).strip()

    def user(self, question: Question[Any], persona: Persona, learned: str, shown: Options) -> str:
        """Return the user part of a prompt: persona, view and question; `shown` are the options under their labels.

        Raises:
            ConfigurationError: If it cannot be rendered.
        """
        about = {"persona": persona, "learned": learned}
        with self._rendering(question.template):
            if isinstance(question, Compound):
                sections = [
                    (ask, *self._blocks(ask.question, about, options_of(ask.part, shown))) for ask in question.asks
                ]
                text = self._template(question.template).render(**about, sections=sections)
            else:
                text = self._template(question.template).render(**_view(question), **about, options=shown)
        if shown_in_public := _public_opinions(question):
            facts = {"name": persona.name, "institution": shown_in_public[0].institution, "people": shown_in_public}
            text = f"{text.strip()}\n{self.text('institution_view.j2', **facts)}"
        lengths = question.lengths()
        stated = self.text("lengths.j2", lengths=lengths) if lengths else ""
        return without_marks(f"{text.strip()}\n{stated}").strip()

    def _blocks(self, question: Question[Any], about: Mapping[str, Any], shown: Options) -> list[str]:
        """Render the blocks "view" and "ask" of the template of a part."""
        template = self._template(question.template)
        context = template.new_context({**_view(question), **about, "options": shown})
        for name in ("view", "ask"):
            if name not in template.blocks:
                raise ConfigurationError(f"prompts {self.set.name}: {question.template:.60}: has no block {name!r}")
        return ["".join(template.blocks[name](context)).strip() for name in ("view", "ask")]

    def _template(self, name: str) -> Template:
        """Return a template of the set by name, or compile a text."""
        if name not in self._compiled:
            is_name = name.endswith(".j2")
            self._compiled[name] = (
                self._environment.get_template(name) if is_name else self._environment.from_string(name)
            )
        return self._compiled[name]

    @contextmanager
    def _rendering(self, template: str) -> Iterator[None]:
        """Report an error of a template as a ConfigurationError that names it."""
        try:
            yield
        except (TemplateError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError) as error:
            name = template if template.endswith(".j2") else "a text of the game"
            raise ConfigurationError(f"prompts {self.set.name}: {name}: {error}") from error


@lru_cache(maxsize=32)
def _environment(chosen: PromptSet) -> Environment:
    environment = ImmutableSandboxedEnvironment(
        loader=DictLoader(chosen.templates),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
        auto_reload=False,
    )
    record = partial(_record_in_words, environment)
    own = (chosen.labels.of, lambda opinion: record(opinion.record), record, chosen.labels.of_role, said)
    environment.filters |= dict(zip(FILTERS, own, strict=True))
    return environment


def _record_in_words(environment: Environment, record: ReputationRecord | None) -> str:
    named, rest = ([], 0) if record is None else _named_shares(record.distribution)
    return environment.get_template("record.j2").render(record=record, named=named, rest=rest).strip()


def _named_shares(distribution: Sequence[float]) -> tuple[list[tuple[Level, int]], int]:
    """Return the shares of levels that a prompt names, in per cent, and the equal share of each other level.

    Named are all levels with a share; if all but one are equal, that one; if all are equal, none.
    """
    shares = [round(100 * share) for share in distribution]
    (common, times), *_ = Counter(shares).most_common(1)
    pairs = list(zip(LEVELS, shares, strict=True))
    if times >= len(LEVELS) - 1:
        return [(level, share) for level, share in pairs if share != common], common
    return [(level, share) for level, share in pairs if share], 0


def _view(question: Question[Any]) -> dict[str, Any]:
    """Return the fields of a question without what public institutions show, which has a place of its own."""
    return {field.name: _without_public(getattr(question, field.name)) for field in fields(question)}


def _without_public(value: Any) -> Any:
    if isinstance(value, PublicOpinion):
        return None
    if isinstance(value, tuple):
        return tuple(
            replace(each, opinion=_without_public(each.opinion)) if isinstance(each, Candidate) else each
            for each in value
        )
    return value


def _public_opinions(question: Question[Any]) -> list[PublicOpinion]:
    """Return what a question shows of agents in public, each once, in the order of its fields and parts."""
    asked = [ask.question for ask in question.asks] if isinstance(question, Compound) else [question]
    values = [getattr(each, field.name) for each in asked for field in fields(each)]
    within = [each for value in values if isinstance(value, tuple) for each in value]
    people = [each.opinion if isinstance(each, Candidate) else each for each in within]
    return list(dict.fromkeys(each for each in (*values, *people) if isinstance(each, PublicOpinion)))
