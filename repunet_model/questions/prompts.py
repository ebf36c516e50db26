"""Prompts: the text of a question for a language model, rendered from files.

Order of a prompt: first the rules of the game, which are the same for all agents and all steps, so that the
prefix caches of providers and local servers serve them; then who the agent is; then what is new.
Templates are Jinja2 with undefined names as errors; what agents say and write goes in as data and is never
rendered again.
"""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from hashlib import sha256
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from repunet_model.personas import Persona
from repunet_model.questions.base import Opinion, Options, Question, said
from repunet_model.reputation import LEVELS, ReputationRecord

_PACKAGE = PackageLoader("repunet_model", "questions/templates")


def _record_in_words(record: ReputationRecord | None) -> str:
    if record is None:
        return "none so far"
    shares = ", ".join(
        f"{level.value} {share:.0%}" for level, share in zip(LEVELS, record.distribution, strict=True) if share >= 0.005
    )
    return f"{said(record.text)} (as {record.role}: {shares})"


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
        view = {field.name: getattr(question, field.name) for field in fields(question)}
        return _template(question.template).render(**view, persona=persona, learned=learned, options=options).strip()


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
