"""Encounters as the published layout words them: parsed from memories and result files, and written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from repunet_model.games import find
from repunet_model.games.base import EncounterStatus
from repunet_model.games.investment import settled_deal
from repunet_model.games.prisoners_dilemma import Move, PrisonersDilemma
from repunet_model.reference_layout.words import AVOIDED, SAYS_AVOIDED
from repunet_model.storage.schema import INTERACTIONS, Row
from repunet_model.util.text import one_line

NUMBER = r"(?<![\d.,-])(\d+(?:\.\d+)?)(?!\d|[.,]\d|[eE][+-]?\d)"
"""A plain decimal number that is not part of a longer one, such as 1,000 or 1e3."""

SAID = ("course", "accepted", "promised_share", "amount", "first_payoff", "second_payoff", "first_move", "second_move")
"""The columns in which two sources of one encounter must agree; others follow from these or are free text."""

_PARTIES = re.compile(r"(Success|Failed) investment[:.] [Ii]nvestor is (.+?)(?:,| and) [Tt]rustee is (.+?)\.?(?:\n|$)")
_DEAL = re.compile(r"^(?=\| Trustee: .*?: allocated plan )", re.MULTILINE)
"""The first line of an encounter in a result file; a deal that a blacklist forbids may have no end line."""

_MOVES = re.compile(r"Game_result is .+?\. (.+) chose (Cooperate|Defect), (.+) chose (Cooperate|Defect)")


def blank(game: str, step: int, first: str, second: str, course: EncounterStatus) -> Row:
    """Return a row of interactions whose other columns are null."""
    known = {"step": step, "first": first, "second": second, "course": course.value}
    return {**dict.fromkeys(INTERACTIONS.columns_with(find(game).facts)), **known}


def from_memory(game: str, step: int, text: str) -> Row | None:
    """Parse the description of a memory into an encounter; None if it has no known form."""
    return _investment(step, text) if game == "investment" else _dilemma(step, text)


def _investment(step: int, text: str) -> Row | None:
    parties = _PARTIES.match(text)
    if parties is None:
        return None
    kind, investor, trustee = parties.groups()
    told = text[parties.end() :]
    if kind == "Failed":
        return _refused(step, investor, trustee, told, avoided=bool(SAYS_AVOIDED.search(told)))
    plan, _, rest = told.partition("\nstage 2:")
    promised = _found(rf"investor receives {NUMBER} ?%", plan)
    invested, _, allocation = rest.partition("\nstage 3:")
    reported = re.findall(NUMBER, allocation.partition("reported_investment_outcome is ")[2])
    settled = settled_deal(
        promised,
        _found(rf"investor invests {NUMBER} unit", invested),
        _found(rf"['\"]investor['\"]: ['\"]?{NUMBER}['\"]?", allocation),
        _found(rf"['\"]trustee['\"]: ['\"]?{NUMBER}['\"]?", allocation),
        _found(rf"investor receives {NUMBER} ?%", allocation),
        Decimal(reported[0]) if len(reported) == 1 else None,
    )
    return {**blank("investment", step, investor, trustee, EncounterStatus.COMPLETED), **settled}


def _refused(step: int, investor: str, trustee: str, decision: str, *, avoided: bool) -> Row:
    """Return the row of a deal that the investor refused or, if avoided, a blacklist forbade."""
    reason = decision.partition("Refuse")[2].strip(" .\n")
    course = EncounterStatus.NOT_HELD if avoided else EncounterStatus.REFUSED
    return {
        **blank("investment", step, investor, trustee, course),
        **{"accepted": False, "first_payoff": 0.0, "second_payoff": 0.0},
        "investor_reason": None if avoided else reason or None,
    }


def _dilemma(step: int, text: str) -> Row | None:
    moves = _MOVES.match(text)
    if moves is None:
        return None
    first, one, second, other = moves.groups()
    mine, theirs = Move(one.lower()), Move(other.lower())
    payoff = PrisonersDilemma.parameters.payoff
    return {
        **blank("prisoners_dilemma", step, first, second, EncounterStatus.COMPLETED),
        "first_cooperated": mine is Move.COOPERATE,
        "second_cooperated": theirs is Move.COOPERATE,
        "first_payoff": float(payoff(mine, theirs)),
        "second_payoff": float(payoff(theirs, mine)),
        "first_move": mine.value,
        "second_move": theirs.value,
    }


def from_results(step: int, text: str, names: Iterable[str]) -> Iterator[Row | str]:
    """Yield the encounters in the text of an investment result file; for an unreadable part, an error message."""
    name = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    for number, block in enumerate(_DEAL.split(text)[1:], start=1):
        plan = re.search(rf"^\| Trustee: ({name}): allocated plan (.*)$", block, re.MULTILINE)
        decision = re.search(rf"^\| Investor: ({name}): investor decided (.*)$", block, re.MULTILINE)
        if plan is None or decision is None:
            yield f"encounter {number} names no known investor and trustee"
            continue
        trustee, promise, investor, decided = *plan.groups(), *decision.groups()
        promised = _found(rf"investor_part: {NUMBER} ?%", promise)
        if re.match(r"Refuse|Reject", decided):
            row = _refused(step, investor, trustee, decided.rstrip(" |"), avoided=bool(SAYS_AVOIDED.search(promise)))
            yield {**row, "promised_share": None if promised is None else float(promised)}
        elif decided.startswith("Accept"):
            amount = _found(rf"Allocation {NUMBER} unit", decided)
            returned = _found(rf"Investor: {re.escape(investor)}: actual allocation {NUMBER}", block)
            kept = _found(rf"Trustee: {re.escape(trustee)}: actual allocation {NUMBER}", block)
            row = blank("investment", step, investor, trustee, EncounterStatus.COMPLETED)
            yield {**row, **settled_deal(promised, amount, returned, kept)}
        else:
            yield f"encounter {number} neither accepts nor refuses"


def is_refusal(text: str) -> bool:
    """Whether a memory is a refused deal without the names of investor and trustee."""
    return text.strip().rstrip(".") == "Failed investment"


def refusal(step: int, first: str, second: str) -> Row:
    """Return the row of a refused deal of which nothing else is told."""
    return _refused(step, first, second, "", avoided=False)


def is_published(text: str) -> bool:
    """Whether a remembered text is in the published code's own words."""
    return is_refusal(text) or bool(_PARTIES.match(text) or _MOVES.match(text))


def merged(row: Row, other: Row) -> tuple[Row, list[str]]:
    """Fill the nulls of a row from another source of the same encounter, and name the columns that disagree."""
    differing = [
        name
        for name in SAID
        if name in row and None not in (row[name], other[name]) and not _same(row[name], other[name])
    ]
    return {name: other[name] if value is None else value for name, value in row.items()}, differing


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= 1e-6
    return bool(one == other)


def dialogue(text: Any, names: Iterable[str]) -> list[list[str]]:
    """Return a conversation as pairs of speaker and words; empty if the speakers are not marked."""
    if isinstance(text, list):
        pairs = all(isinstance(line, list) and list(map(type, line)) == [str, str] for line in text)
        return text if pairs else []
    if not isinstance(text, str):
        return []
    speaker = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    parts = re.split(rf"^({speaker}): ", text, flags=re.MULTILINE)
    if parts[0].strip():
        return []
    return [[parts[i], parts[i + 1].strip()] for i in range(1, len(parts), 2)]


def memory_of(game: str, row: Mapping[str, Any], own_words: str) -> str:
    """Return the memory of an encounter in the form that the published code parses; `own_words` if it parses none."""
    if is_published(own_words):
        return own_words
    if game == "investment":
        return _remembered_deal(row)
    if game == "prisoners_dilemma":
        one, other = (row[move].capitalize() for move in ("first_move", "second_move"))
        result = f"All-{one}" if one == other else f"{row['first']}-{one}, {row['second']}-{other}"
        return f"Game_result is {result}. {row['first']} chose {one}, {row['second']} chose {other}"
    return own_words


def _remembered_deal(row: Mapping[str, Any]) -> str:
    if not row["accepted"]:
        return f"Failed investment. Investor is {row['first']} and Trustee is {row['second']}.\n{_refusal(row)}"
    shares = f"trustee receives {_text(_rest(row['actual_share']))}%, investor receives {_text(row['actual_share'])}%"
    parts = {"Final Allocation": shares, "trustee": _text(row["second_payoff"]), "investor": _text(_returned(row))}
    split = f"the investor receives {_text(row['promised_share'])}% and the trustee retains the rest"
    reported = "unknown" if row["reported_outcome"] is None else f"{_text(row['reported_outcome'])} units"
    return (
        f"Success investment: investor is {row['first']}, trustee is {row['second']}\n"
        f"stage 1: trustee_plan is {split}\n"
        f"stage 2: investor invests {_text(row['amount'])} units\n"
        f"stage 3: trustee_allocation is {parts}, and reported_investment_outcome is {reported}"
    )


def _refusal(row: Mapping[str, Any]) -> str:
    if row["course"] == EncounterStatus.NOT_HELD.value:
        return f"Refuse. {AVOIDED}"
    return f"Refuse. {row['investor_reason']}" if row["investor_reason"] else "Refuse"


def result_of(row: Mapping[str, Any]) -> str:
    """Return the block of an investment result file for one encounter."""
    first, second, refused, promised = row["first"], row["second"], not row["accepted"], row["promised_share"]
    plan = f"trustee_part: {_text(_rest(promised))}%, investor_part: {_text(promised)}%"
    if row["course"] == EncounterStatus.NOT_HELD.value:
        plan = AVOIDED
    decided = one_line(_refusal(row)) if refused else f"Accept. Allocation {_text(row['amount'])} unit."
    parts: list[str | list[str]] = [
        "**Stage  1**",
        [f"Trustee: {second}: allocated plan {plan}", f"Investor: {first}: investor decided {decided}"],
    ]
    if not refused:
        parts += [
            "**Stage  3**",
            [
                f"Trustee: {second}: actual allocation {_text(row['second_payoff'])}",
                f"Investor: {first}: actual allocation {_text(_returned(row))}",
            ],
        ]
    return boxed([*parts, "End of Investment"])


def boxed(parts: Iterable[str | list[str]]) -> str:
    """Draw the boxes of a result file; a part is a heading or the lines of one box."""
    rule = "+" + "-" * 98 + "+"
    lines: list[str] = []
    for part in parts:
        inside = [f"|{part:<98}|"] if isinstance(part, str) else [f"| {line:<97}|" for line in part]
        lines += [rule, *inside, rule]
    return "\n".join(lines) + "\n\n\n"


def _returned(row: Mapping[str, Any]) -> float | None:
    if row["first_payoff"] is None or row["amount"] is None:
        return None
    return float(Decimal(repr(row["first_payoff"])) + Decimal(repr(row["amount"])))


def _rest(share: float | None) -> float | None:
    return None if share is None else float(100 - Decimal(repr(float(share))))


def _found(pattern: str, text: str) -> Decimal | None:
    found = re.search(pattern, text)
    return Decimal(found[1]) if found else None


def _text(number: float | None) -> str:
    """Format a number without an exponent."""
    return "unknown" if number is None else f"{Decimal(repr(float(number))):f}"
