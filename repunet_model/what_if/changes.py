"""Changes of what a question shows: a record, the memory, a fact, the disposition, the order of options.

A change is given as NAME=VALUE. What can be changed in a question follows from its typed view:

    X_record                 a record in the view, such as partner_record or own_record: a level (very_bad to
                             very_good), none, or flipped. The new record is the one that the offline rules write after
                             conduct of that level alone, text included.
    heard, events            messages about the partner and remembered encounters: none, or without_last
    hearsay                  the credibility of the message that the question is about: very_uncredible to very_credible
    a fact of the view       a number, a truth (y, n), a level or another choice; flipped for truths and levels
    disposition              altruistic, self_interested or exchanged, with the first text of that disposition in place
                             of what the agent has learned
    order                    reversed: the options in the opposite order
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from types import NoneType
from typing import Any, get_args, get_type_hints

from repunet_model.backends.base import Request
from repunet_model.errors import ConfigurationError
from repunet_model.games.base import Game
from repunet_model.memory import Event
from repunet_model.personas import Disposition, describe
from repunet_model.probe.encounters import record_of
from repunet_model.questions.base import Credibility, Opinion, Question
from repunet_model.questions.encounter import Hearsay
from repunet_model.reputation import LEVELS, Level, ReputationRecord
from repunet_model.util.text import yes_or_no

RECORD = "_record"
"""The end of the names of records."""

ORDER, DISPOSITION, HEARSAY = "order", "disposition", "hearsay"

FLIPPED, NOTHING, WITHOUT_LAST, REVERSED, EXCHANGED = "flipped", "none", "without_last", "reversed", "exchanged"

_PARTNERS = ("partner", "trustee", "investor", "recipient", "other", "subject")
"""Fields that name the agent that a question is about, in the order of preference."""


class UnchangeableError(ConfigurationError):
    """A question that a change does not fit, such as one without the role of a record; it is left out and counted."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a request, and its text NAME=VALUE."""

    text: str
    apply: Callable[[Request[Any]], Request[Any]]


def changeable(request: Request[Any]) -> dict[str, str]:
    """Return the names of what can be changed in a question, each with the values it takes."""
    levels = ", ".join(_named(level) for level in LEVELS)
    found = {}
    for name, kind in _kinds(type(request.question)).items():
        if kind is Opinion or kind is ReputationRecord:
            found[_record_name(name)] = f"{levels}, {NOTHING}, {FLIPPED}"
        elif kind is Hearsay:
            found[HEARSAY] = ", ".join(_named(level) for level in Credibility)
        elif kind in ("messages", "encounters"):
            found[name] = f"{NOTHING}, {WITHOUT_LAST}"
        elif isinstance(kind, type) and issubclass(kind, StrEnum):
            found[name] = ", ".join(map(_named, kind)) + (f", {FLIPPED}" if kind is Level else "")
        elif kind is bool:
            found[name] = f"y, n, {FLIPPED}"
        elif kind in (int, float, Decimal):
            found[name] = "a number"
    found[DISPOSITION] = f"{', '.join(map(_named, Disposition))}, {EXCHANGED}"
    if request.options:
        found[ORDER] = REVERSED
    return found


def read_change(name: str, value: str, example: Request[Any], game: Game) -> Change:
    """Return a change of the questions of which `example` is one.

    Raises:
        ConfigurationError: If these questions have no such thing, or the value does not fit; the message names what
            can be changed.
    """
    can = changeable(example)
    name = _alias(name, can)
    if name not in can:
        raise ConfigurationError(
            f"--set {name}={value}: {example.question.name} shows nothing of this name; it can change {', '.join(can)}"
        )
    text = f"{name}={value}"
    wrong = ConfigurationError(f"--set {text}: must be one of {can[name]}".replace("one of a number", "a number"))
    if name == ORDER:
        return Change(text, _checked(value, {REVERSED: _reversed}, wrong))
    if name == DISPOSITION:
        ways = {_named(each): _to(each, game) for each in Disposition}
        return Change(text, _checked(value, {**ways, EXCHANGED: _exchanged(game)}, wrong))
    if name == HEARSAY:
        return Change(text, _checked(value, {_named(each): _believed(each) for each in Credibility}, wrong))
    field = next(each for each in _kinds(type(example.question)) if each == name or _record_name(each) == name)
    kind = _kinds(type(example.question))[field]
    if kind in ("messages", "encounters"):
        return Change(text, _checked(value, {NOTHING: _without(field, 0), WITHOUT_LAST: _without(field, -1)}, wrong))
    if kind is Opinion or kind is ReputationRecord:
        return Change(text, _record_change(field, value, game, wrong))
    return Change(text, _fact_change(field, kind, value, wrong))


def _checked[T](value: str, ways: Mapping[str, T], wrong: ConfigurationError) -> T:
    if value not in ways:
        raise wrong
    return ways[value]


def _named(member: StrEnum) -> str:
    """Return the value of an option as --set takes it."""
    return member.value.replace(" ", "_").replace("-", "_")


def _record_name(field: str) -> str:
    """Return the name of a record by the field that holds it."""
    return "record" if field == "opinion" else f"{field.removesuffix('_opinion')}{RECORD}"


def _alias(name: str, can: Mapping[str, str]) -> str:
    """Return the record of the agent that a question is about for `partner_record`."""
    if name == f"partner{RECORD}" and name not in can:
        return next((each for each in (*(f"{who}{RECORD}" for who in _PARTNERS), "record") if each in can), name)
    return name


def _kinds(question: type[Question[Any]]) -> dict[str, Any]:
    """Return the kind of each field that can be changed: a type, "messages" or "encounters"."""
    found: dict[str, Any] = {}
    for name, hint in get_type_hints(question).items():
        options = get_args(hint)
        if options and options[0] in (Hearsay, Event):
            found[name] = "messages" if options[0] is Hearsay else "encounters"
            continue
        kind = next((each for each in options if each is not NoneType), hint) if NoneType in options else hint
        if kind in (Opinion, ReputationRecord, Hearsay, bool, int, float, Decimal) or (
            isinstance(kind, type) and issubclass(kind, StrEnum)
        ):
            found[name] = kind
    return {field.name: found[field.name] for field in fields(question) if field.name in found}


def _with(request: Request[Any], **values: Any) -> Request[Any]:
    """Return a request whose question shows something else."""
    return replace(request, question=replace(request.question, **values))


def _without(field: str, end: int) -> Callable[[Request[Any]], Request[Any]]:
    return lambda request: _with(request, **{field: getattr(request.question, field)[:end]})


def _believed(credibility: Credibility) -> Callable[[Request[Any]], Request[Any]]:
    """Return the change of the credibility of the message that a question is about, if it is about one."""

    def apply(request: Request[Any]) -> Request[Any]:
        hearsay: Hearsay | None = getattr(request.question, HEARSAY)
        if hearsay is None:
            raise UnchangeableError("the question is about no message")
        return _with(request, hearsay=replace(hearsay, credibility=credibility))

    return apply


def _reversed(request: Request[Any]) -> Request[Any]:
    return replace(request, order={name: options[::-1] for name, options in request.options.items()})


def _to(disposition: Disposition, game: Game) -> Callable[[Request[Any]], Request[Any]]:
    """Return the change to a disposition, with its first text."""

    def apply(request: Request[Any]) -> Request[Any]:
        if request.persona.disposition is disposition:
            return request
        words = game.dispositions.get(disposition) or describe(disposition, game.name)
        persona = request.persona.model_copy(update={"disposition": disposition})
        return replace(request, persona=persona, learned=words)

    return apply


def _exchanged(game: Game) -> Callable[[Request[Any]], Request[Any]]:
    others = dict(zip(Disposition, reversed(Disposition), strict=True))
    return lambda request: _to(others[request.persona.disposition], game)(request)


def _record_change(
    field: str, value: str, game: Game, wrong: ConfigurationError
) -> Callable[[Request[Any]], Request[Any]]:
    """Return the change of the record in a field."""
    levels: dict[str, Level | None] = {_named(level): level for level in LEVELS}
    wanted = _checked(value, {**levels, NOTHING: None, FLIPPED: None}, wrong)

    def apply(request: Request[Any]) -> Request[Any]:
        shown = getattr(request.question, field)
        is_opinion = _kinds(type(request.question))[field] is Opinion
        if is_opinion and shown is None:
            raise UnchangeableError("agents keep no such records in this run")
        old: ReputationRecord | None = shown.record if isinstance(shown, Opinion) else shown
        new: ReputationRecord | None = None
        if value == FLIPPED:
            level = None if old is None else _opposite(old)
            new = old if old is None or level is None else record_of(old.subject, old.role, level)
        elif wanted is not None:
            subject = _subject(request, field, old)
            new = record_of(subject, _role(request, field, old, game), wanted)
        return _with(request, **{field: Opinion(new) if is_opinion else new})

    return apply


def _opposite(record: ReputationRecord) -> Level | None:
    """Return the level whose record has about the opposite score; None for a record that leans nowhere."""
    place = round(2 - 2 * record.score)
    return None if abs(record.score) < 1e-9 else LEVELS[place]


def _subject(request: Request[Any], field: str, old: ReputationRecord | None) -> str:
    """Return the name of the agent that a record is about."""
    question, who = request.question, field.removesuffix("_opinion")
    if old is not None:
        return old.subject
    if who == "own":
        return request.persona.name
    name = next(each for each in (who, *_PARTNERS) if isinstance(getattr(question, each, None), str))
    return str(getattr(question, name))


def _role(request: Request[Any], field: str, old: ReputationRecord | None, game: Game) -> str:
    """Return the role of the agent that a record is about."""
    who, roles = field.removesuffix("_opinion"), game.roles
    if old is not None:
        return old.role
    if who in roles or len(set(roles)) == 1:
        return who if who in roles else roles[0]
    known = _kinds(type(request.question))
    if who == "own":
        for role, other in zip(roles, reversed(roles), strict=True):
            if f"{role}_opinion" in known:
                return other
    named = getattr(request.question, "role", None)
    if isinstance(named, str) and who in {"opinion", "previous"}:
        return named
    raise UnchangeableError("the role of the new record is not known where there was none")


def _fact_change(
    field: str, kind: Any, value: str, wrong: ConfigurationError
) -> Callable[[Request[Any]], Request[Any]]:
    """Return the change of a number, a truth or a choice."""
    if value == FLIPPED and kind in (bool, Level):

        def flip(request: Request[Any]) -> Request[Any]:
            shown = getattr(request.question, field)
            if shown is None:
                raise UnchangeableError(f"{field} is not known")
            return _with(request, **{field: not shown if kind is bool else LEVELS[4 - LEVELS.index(shown)]})

        return flip
    try:
        if issubclass(kind, StrEnum):
            new = {_named(each): each for each in kind}[value]
        else:
            new = yes_or_no(value) if kind is bool else kind(value)
    except (KeyError, ValueError, InvalidOperation, ConfigurationError):
        raise wrong from None
    return lambda request: _with(request, **{field: new})
