"""Prompts of questions, rendered from Jinja2 templates.

A prompt starts with the rules of the game, which are equal for all agents and steps, so that prefix caches serve
them; the persona and the question follow. An undefined name in a template is an error. Texts of agents are data:
they are never rendered as templates and cannot start a chat turn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from hashlib import sha256
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from repunet_model.mechanism import Mechanism
from repunet_model.personas import Persona
from repunet_model.questions.base import Options, Question, said
from repunet_model.questions.compound import Compound, options_of
from repunet_model.reputation import LEVELS, ReputationRecord
from repunet_model.util.text import without_marks

_PACKAGE = PackageLoader("repunet_model", "questions/templates")


def _record_in_words(record: ReputationRecord | None) -> str:
    if record is None:
        return "none so far"
    return f"{said(record.text)} ({record.role}: {_shares_in_words(record.distribution)})"


def _shares_in_words(distribution: Sequence[float]) -> str:
    """Return the shares of the levels in per cent; if all but one are equal, name only that one."""
    shares = [round(100 * share) for share in distribution]
    (common, times), *_ = Counter(shares).most_common(1)
    if times == len(LEVELS):
        return f"each level {common} %"
    if times == len(LEVELS) - 1:
        (place,) = (place for place, share in enumerate(shares) if share != common)
        return f"{LEVELS[place].value} {shares[place]} %" + (f", others {common} % each" if common else "")
    return ", ".join(f"{level.value} {share} %" for level, share in zip(LEVELS, shares, strict=True) if share)


_ENVIRONMENT = Environment(
    loader=_PACKAGE, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
)
_ENVIRONMENT.filters["record"] = _record_in_words
_ENVIRONMENT.filters["opinion"] = lambda opinion: _record_in_words(opinion.record)
_ENVIRONMENT.filters["said"] = said


class Prompts:
    """Prompts of one run; `system` holds the rules of the game, which all agents and steps share."""

    def __init__(self, rules: str, mechanism: Mechanism, parameters: object = None) -> None:
        """Render the rules of a game, given as a Jinja2 template or the name of a packaged one.

        Args:
            rules: The template, which may read `mechanism`, `parameters`, and in short `reputation` and `gossip`.
            mechanism: The switches as they act in the run (`Game.mechanism`).
            parameters: The parameters of the game.
        """
        given = {
            "mechanism": mechanism,
            "reputation": mechanism.self_records or mechanism.peer_records,
            "gossip": mechanism.first_order,
            "parameters": parameters,
        }
        self.system = _template(rules).render(given).strip()

    def user(self, question: Question[Any], persona: Persona, learned: str, options: Options) -> str:
        """Return the user part of a prompt: persona, view and question."""
        about = {"persona": persona, "learned": learned}
        if isinstance(question, Compound):
            sections = [(ask, *_blocks(ask.question, about, options_of(ask.part, options))) for ask in question.asks]
            text = _template(question.template).render(**about, sections=sections)
        else:
            text = _template(question.template).render(**_view(question), **about, options=options)
        lengths = question.lengths()
        stated = _template("lengths.j2").render(lengths=lengths) if lengths else ""
        return without_marks(f"{text.strip()}\n{stated}").strip()


def _view(question: Question[Any]) -> dict[str, Any]:
    return {field.name: getattr(question, field.name) for field in fields(question)}


def _blocks(question: Question[Any], about: Mapping[str, Any], options: Options) -> list[str]:
    """Render the blocks "view" and "ask" of the template of a part."""
    template = _template(question.template)
    context = template.new_context({**_view(question), **about, "options": options})
    return ["".join(template.blocks[name](context)).strip() for name in ("view", "ask")]


@cache
def _template(name: str) -> Template:
    """Return a packaged template by name, or compile a text."""
    return _ENVIRONMENT.get_template(name) if name.endswith(".j2") else _ENVIRONMENT.from_string(name)


def prompt_hash() -> str:
    """Return the hash of all packaged templates, for the manifest."""
    digest = sha256()
    for name in sorted(_PACKAGE.list_templates()):
        source, _, _ = _PACKAGE.get_source(_ENVIRONMENT, name)
        digest.update(f"{name}\0{source}\0".encode())
    return digest.hexdigest()
