"""Prompts: the text of a question for a language model, rendered from files.

Order of a prompt: first the rules of the game, which are the same for all agents and all steps, so that the
prefix caches of providers and local servers serve them; then who the agent is; then what is new.
Templates are Jinja2 with undefined names as errors; what agents say and write goes in as data, is never rendered
again, and cannot begin a turn of the chat.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from hashlib import sha256
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from repunet_model.personas import Persona
from repunet_model.questions.base import Opinion, Options, Question, said
from repunet_model.questions.compound import Compound, options_of
from repunet_model.reputation import LEVELS, ReputationRecord
from repunet_model.util.text import without_marks

_PACKAGE = PackageLoader("repunet_model", "questions/templates")


def _record_in_words(record: ReputationRecord | None) -> str:
    if record is None:
        return "none so far"
    return f"{said(record.text)} ({record.role}: {_shares_in_words(record.distribution)})"


def _shares_in_words(distribution: Sequence[float]) -> str:
    """Return the shares of the levels in per cent: one by name, where all others are equal; else all that there are."""
    shares = [round(100 * share) for share in distribution]
    (common, times), *_ = Counter(shares).most_common(1)
    if times == len(LEVELS):
        return f"each level {common} %"
    if times == len(LEVELS) - 1:
        (place,) = (place for place, share in enumerate(shares) if share != common)
        return f"{LEVELS[place].value} {shares[place]} %" + (f", others {common} % each" if common else "")
    return ", ".join(f"{level.value} {share} %" for level, share in zip(LEVELS, shares, strict=True) if share)


def _opinion_in_words(opinion: Opinion) -> str:
    return _record_in_words(opinion.record)


def _environment() -> Environment:
    environment = Environment(
        loader=_PACKAGE, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    environment.filters["record"] = _record_in_words
    environment.filters["opinion"] = _opinion_in_words
    environment.filters["said"] = said
    return environment


_ENVIRONMENT = _environment()


class Prompts:
    """The prompts of one run.

    Attributes:
        system: The rules: the part that all agents and steps share.
    """

    def __init__(self, rules: str, *, reputation: bool, gossip: bool, random_pairs: bool = False) -> None:
        """Prepare the prompts of a game in a mode.

        Args:
            rules: The rules of the game, a Jinja2 template or the name of a packaged one.
            reputation: Whether agents keep reputations.
            gossip: Whether agents gossip.
            random_pairs: Whether pairs are random in every mode.
        """
        self.system = _template(rules).render(reputation=reputation, gossip=gossip, random_pairs=random_pairs).strip()

    def user(self, question: Question[Any], persona: Persona, learned: str, options: Options) -> str:
        """Return the part of a prompt that is an agent's own: who it is, what it sees, what it is asked."""
        about = {"persona": persona, "learned": learned}
        if isinstance(question, Compound):
            sections = [
                (
                    ask,
                    _block("view", ask.question, about, options_of(ask.part, options)),
                    _block("ask", ask.question, about, options_of(ask.part, options)),
                )
                for ask in question.asks
            ]
            text = _template(question.template).render(**about, sections=sections)
        else:
            text = _template(question.template).render(**_view(question), **about, options=options)
        lengths = question.lengths()
        stated = _template("lengths.j2").render(lengths=lengths) if lengths else ""
        return without_marks(f"{text.strip()}\n{stated}").strip()


def _view(question: Question[Any]) -> dict[str, Any]:
    return {field.name: getattr(question, field.name) for field in fields(question)}


def _block(name: str, question: Question[Any], about: Mapping[str, Any], options: Options) -> str:
    """Render one of the two blocks of a template that can be part of a compound: what the agent sees, or is asked."""
    template = _template(question.template)
    context = template.new_context({**_view(question), **about, "options": options})
    return "".join(template.blocks[name](context)).strip()


@cache
def _template(name: str) -> Template:
    """Return a packaged template by its name, which ends in .j2, or one that is given as text."""
    return _ENVIRONMENT.get_template(name) if name.endswith(".j2") else _ENVIRONMENT.from_string(name)


def prompt_hash() -> str:
    """Return a hash of all packaged prompt files, for the manifest of a run."""
    digest = sha256()
    for name in sorted(_PACKAGE.list_templates()):
        source, _, _ = _PACKAGE.get_source(_ENVIRONMENT, name)
        digest.update(f"{name}\0{source}\0".encode())
    return digest.hexdigest()
