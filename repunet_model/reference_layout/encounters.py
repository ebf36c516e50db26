"""Encounters as the published layout words them: parsed from memories and result files, and written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from repunet_model.games import find
from repunet_model.games.base import EncounterStatus
from repunet_model.games.investment import CENT, Investment
from repunet_model.games.prisoners_dilemma import Move, PrisonersDilemma
from repunet_model.reference_layout.words import AVOIDED, SAYS_AVOIDED
from repunet_model.storage.schema import INTERACTIONS, Row
from repunet_model.util.text import one_line

NUMBER = r"(?<![\d.,-])(\d+(?:\.\d+)?)(?!\d|[.,]\d|[eE][+-]?\d)"
"""A plain decimal number that is not part of a longer one, such as 1,000 or 1e3."""

SAID = ("course", "accepted", "promised_share", "amount", "first_payoff", "second_payoff", "first_move", "second_move")
"""The columns in which two sources of one encounter must agree; others follow from these or are free text."""

_PARTIES = re.compile(r"(Success|Failed) investment[:.] [Ii]nvestor is (.+?)(?:,| and) [Tt]rustee is (.+?)\.?(?:\n|$)")
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
        return _refused(step, investor, trustee, told, avoided=SAYS_AVOIDED in told)
    plan, _, rest = told.partition("\nstage 2:")
    promised = _found(rf"investor receives {NUMBER} ?%", plan)
    invested, _, allocation = rest.partition("\nstage 3:")
    reported = re.findall(NUMBER, allocation.partition("reported_investment_outcome is ")[2])
    return _settled(
        blank("investment", step, investor, trustee, EncounterStatus.COMPLETED),
        promised=promised,
        amount=_found(rf"investor invests {NUMBER} unit", invested),
        returned=_found(rf"['\"]investor['\"]: ['\"]?{NUMBER}['\"]?", allocation),
        kept=_found(rf"['\"]trustee['\"]: ['\"]?{NUMBER}['\"]?", allocation),
        share=_found(rf"investor receives {NUMBER} ?%", allocation),
        reported=Decimal(reported[0]) if len(reported) == 1 else None,
    )


def _refused(step: int, investor: str, trustee: str, decision: str, *, avoided: bool) -> Row:
    """Return the row of a deal that the investor refused or, if avoided, a blacklist forbade."""
    reason = decision.partition("Refuse")[2].strip(" .\n")
    return {
        **blank(
            "investment", step, investor, trustee, EncounterStatus.NOT_HELD if avoided else EncounterStatus.REFUSED
        ),
        **{"accepted": False, "first_payoff": 0.0, "second_payoff": 0.0},
        "investor_reason": None if avoided else reason or None,
    }


def _settled(
    row: Row,
    *,
    promised: Decimal | None,
    amount: Decimal | None,
    returned: Decimal | None,
    kept: Decimal | None,
    share: Decimal | None = None,
    reported: Decimal | None = None,
) -> Row:
    """Return the row of an accepted deal, with all columns that follow from its numbers; the others stay null.

    The actual share is in per cent of the doubled amount, even where the two parts do not sum to it. It equals the
    promised share if the returned amount differs from the promise by less than a hundredth of a unit (rounding).
    """
    outcome = None if amount is None else Investment.parameters.growth * amount
    if outcome and share is not None:
        returned = outcome * share / 100 if returned is None else returned
        kept = outcome - returned if kept is None else kept
    if outcome and share is None and returned is not None:
        is_promised = promised is not None and abs(returned - outcome * promised / 100) < CENT
        share = promised if is_promised else 100 * returned / outcome
    return {
        **row,
        "accepted": True,
        "first_cooperated": True,
        "second_cooperated": None if share is None or promised is None else share >= promised,
        "first_payoff": None if returned is None or amount is None else float(returned - amount),
        "second_payoff": _float(kept),
        "promised_share": _float(promised),
        "amount": _float(amount),
        "outcome": _float(outcome),
        "actual_share": _float(share),
        "reported_outcome": _float(reported),
    }


def parts_differ(row: Row) -> bool:
    """Whether the two parts of a deal do not sum to the doubled amount."""
    if not row.get("accepted") or None in (row["outcome"], row["first_payoff"], row["second_payoff"]):
        return False
    return abs(float(row["first_payoff"] + row["amount"] + row["second_payoff"] - row["outcome"])) > 1e-6


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
    blocks = re.split(r"End of Investment", text)
    for number, block in enumerate(blocks[:-1], start=1):
        plan = re.search(rf"^\| Trustee: ({name}): allocated plan (.*)$", block, re.MULTILINE)
        decision = re.search(rf"^\| Investor: ({name}): investor decided (.*)$", block, re.MULTILINE)
        if plan is None or decision is None:
            yield f"encounter {number} names no known investor and trustee"
            continue
        trustee, promise, investor, decided = *plan.groups(), *decision.groups()
        promised = _found(rf"investor_part: {NUMBER} ?%", promise)
        if "Refuse" in decided:
            row = _refused(step, investor, trustee, decided.rstrip(" |"), avoided=SAYS_AVOIDED in promise)
            yield {**row, "promised_share": _float(promised)}
        else:
            yield _settled(
                blank("investment", step, investor, trustee, EncounterStatus.COMPLETED),
                promised=promised,
                amount=_found(rf"Allocation {NUMBER} unit", decided),
                returned=_found(rf"Investor: {re.escape(investor)}: actual allocation {NUMBER}", block),
                kept=_found(rf"Trustee: {re.escape(trustee)}: actual allocation {NUMBER}", block),
            )


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


def _float(number: Decimal | None) -> float | None:
    return None if number is None else float(number)


def _text(number: float | None) -> str:
    """Format a number without an exponent."""
    return "unknown" if number is None else f"{Decimal(repr(float(number))):f}"
