"""The parameters of a run, checked: each function returns what was meant or says in one line what is wrong."""

from __future__ import annotations

import operator
import secrets
from collections.abc import Sequence
from enum import StrEnum
from typing import SupportsIndex, cast

from repunet_model import words
from repunet_model.errors import ConfigurationError
from repunet_model.personas import Persona
from repunet_model.stages.step import Activation, Questions


def seed_of(rng: int | str | None) -> int:
    """Return the seed of a run; a page hands it over as text, and None draws one.

    Raises:
        ConfigurationError: If it is no integer.
    """
    if rng is None or rng == "":
        return secrets.randbelow(2**31)
    try:
        return int(rng) if isinstance(rng, str) else operator.index(rng)
    except (TypeError, ValueError):
        raise ConfigurationError(f"rng is {rng!r}: the seed must be an integer") from None


def flag(name: str, value: object) -> bool:
    """Return a truth value.

    Raises:
        ConfigurationError: If it is anything else.
    """
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name} is {value!r}: must be True or False")
    return value


def text(name: str, value: object) -> str:
    """Return a text without null characters.

    Raises:
        ConfigurationError: If it is anything else.
    """
    if not isinstance(value, str) or "\0" in value:
        raise ConfigurationError(f"{name} is {value!r}: must be a text")
    return value


def personas(value: str | Sequence[Persona]) -> str | Sequence[Persona]:
    """Return what names personas, or a list of them.

    Raises:
        ConfigurationError: If it is neither.
    """
    return value if isinstance(value, list | tuple) else text("personas", value)


def whole(name: str, value: object, low: int, high: int | None = None) -> int:
    """Return a whole number within limits; NumPy's integers are whole numbers too.

    Raises:
        ConfigurationError: If it is anything else.
    """
    limits = f"at least {low}" if high is None else f"from {low} to {high}"
    try:
        number = operator.index(cast("SupportsIndex", value))  # what is none raises TypeError
    except TypeError:
        number = low - 1
    if isinstance(value, bool) or number < low or (high is not None and number > high):
        raise ConfigurationError(f"{name} is {value!r}: must be a whole number, {limits}")
    return number


MOST_DIALOGUE_TURNS = 10


def dialogue_turns(value: int | str) -> int:
    """Return most turns of a dialogue.

    Raises:
        ConfigurationError: If it is no whole number from 2 to 10.
    """
    number = words.whole(value) if isinstance(value, str) else None
    return whole("dialogue_turns", value if number is None else number, 2, MOST_DIALOGUE_TURNS)


def activation_of(name: str) -> Activation:
    """Return the activation of a name.

    Raises:
        ConfigurationError: If there is none.
    """
    return _member(Activation, "activation", name)


def questions_of(name: str) -> Questions:
    """Return the way of asking of a name.

    Raises:
        ConfigurationError: If there is none.
    """
    return _member(Questions, "questions", name)


def _member[E: StrEnum](kind: type[E], parameter: str, name: str) -> E:
    try:
        return kind(name)
    except ValueError:
        known = ", ".join(member.value for member in kind)
        raise ConfigurationError(f"unknown {parameter} {name!r}: choose one of {known}") from None
