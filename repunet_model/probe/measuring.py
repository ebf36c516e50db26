"""From observations to numbers with intervals: one line of the card each.

Shares have Wilson's interval; differences and slopes of shares the one of `report.statistics.combined_shares`; means of
other numbers Student's. Everything is a function of the rows that a card stores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from repunet_model.probe import verdict
from repunet_model.probe.battery import Block
from repunet_model.probe.verdict import Rule, Verdict
from repunet_model.report.statistics import Estimate, combined_shares, estimate, share, slope_of_shares

Row = Mapping[str, Any]
Rows = Sequence[Row]


@dataclass(frozen=True, slots=True)
class LineForm:
    """The description of a line.

    Attributes:
        name: The name in files.
        block: The part of the battery without which the line cannot be measured.
        title: The line in words.
        number: What the number is.
        use: For what a model is fit that passes.
        rule: The thresholds.
        measure: Returns the number from all rows of a game; None if too few replies are there.
    """

    name: str
    block: Block
    title: str
    number: str
    use: str
    rule: Rule
    measure: Callable[[Rows], Estimate | None]


@dataclass(frozen=True, slots=True)
class Line:
    """A measured line of the card.

    Attributes:
        measured: The number with its interval; None if it was not measured.
        why: Why it was not measured; empty if it was.
    """

    form: LineForm
    measured: Estimate | None
    why: str = ""

    @property
    def verdict(self) -> Verdict:
        """The verdict."""
        return Verdict.NONE if self.measured is None else self.form.rule.verdict(self.measured)


def lines_of(rows: Rows, unasked: Mapping[Block, str]) -> list[Line]:
    """Return the lines of a game.

    Args:
        rows: What the replies show (`battery.Item.row`).
        unasked: Why a part of the battery was not asked.
    """
    found = []
    for form in FORMS:
        if form.block in unasked and form.name not in OF_ALL_CALLS:
            found.append(Line(form, None, unasked[form.block]))
            continue
        measured = form.measure(rows)
        found.append(Line(form, measured, "" if measured else "too few valid replies"))
    return found


def _of(rows: Rows, *blocks: Block) -> list[Row]:
    """Return the answered rows of some parts."""
    return [row for row in rows if row["block"] in blocks and not is_unanswered(row)]


def is_unanswered(row: Row) -> bool:
    """Whether a call got no valid reply."""
    return "unanswered" in row


def costs_of(rows: Rows) -> dict[str, Estimate | None]:
    """Return the mean cost of a call with its interval: tokens, seconds and US dollars; None if unknown.

    Re-asked replies count with their call.
    """
    values = {name: [row[name] for row in rows if row[name] is not None] for name in ("tokens", "seconds", "usd")}
    return {name: estimate(each) if len(each) > 1 and len(each) == len(rows) else None for name, each in values.items()}


def _count(rows: Iterable[Row], is_success: Callable[[Row], bool]) -> tuple[int, int]:
    """Return successes and trials."""
    found = [is_success(row) for row in rows]
    return sum(found), len(found)


def _share_of(rows: Rows, is_success: Callable[[Row], bool]) -> Estimate | None:
    successes, trials = _count(rows, is_success)
    return share(successes, trials) if trials else None


def _difference(rows: Rows, splits: Callable[[Row], bool], is_success: Callable[[Row], bool]) -> Estimate | None:
    """Return the difference between the rows for which a split is true and the others in a share."""
    counts = [_count((row for row in rows if splits(row) is side), is_success) for side in (True, False)]
    return combined_shares((1.0, -1.0), counts) if all(trials for _, trials in counts) else None


def _says_yes(row: Row) -> bool:
    return bool(row["yes"])


def _is_high(row: Row) -> bool:
    """Whether a level in a reply is in the upper half of the scale."""
    return bool(row["level"] > 0)


def _judges_right(row: Row) -> bool:
    """Whether the judged level is on the side of what happened."""
    return bool(row["level"] > 0 if row["cooperated"] else row["level"] < 0)


def _shown(rows: Rows) -> list[Row]:
    """Return the choices with a record of the partner."""
    return [row for row in _of(rows, Block.CHOICE) if row["dose"] is not None]


def _by_dose(rows: Rows) -> Estimate | None:
    counts = {dose: _count(group, _says_yes) for dose, group in doses_of(rows).items()}
    return slope_of_shares(list(counts), list(counts.values())) if len(counts) > 1 else None


def doses_of(rows: Rows) -> dict[float, list[Row]]:
    """Return the choices with a record of the partner by the record's score, in increasing order."""
    doses = sorted({row["dose"] for row in _shown(rows)})
    return {dose: [row for row in _shown(rows) if row["dose"] == dose] for dose in doses}


def _moves(rows: Rows) -> list[float]:
    """Return by how much records moved in the direction of the conduct, in units of score."""
    return [(row["now"] - row["was"]) * (1 if row["good"] else -1) for row in _of(rows, Block.RECORD)]


def _moved_right(rows: Rows) -> Estimate | None:
    moves = _moves(rows)
    return share(sum(move > 0 for move in moves), len(moves)) if moves else None


def _mean_move(rows: Rows) -> Estimate | None:
    moves = _moves(rows)
    return estimate(moves) if len(moves) > 1 else None


def _again(rows: Rows) -> Estimate | None:
    first = {row["key"]: row["yes"] for row in rows if "yes" in row and row["block"] != Block.REPEATED}
    again = [row for row in _of(rows, Block.REPEATED) if row["of"] in first]
    return _share_of(again, lambda row: row["yes"] is first[row["of"]])


OF_ALL_CALLS = ("replies", "unanswered")
"""The lines about all calls, whatever was asked."""

FORMS: tuple[LineForm, ...] = (
    LineForm(
        "comprehension",
        Block.QUIZ,
        "Rules and payoffs",
        "share of right answers in the quiz",
        "reasoning about rules and payoffs",
        verdict.RIGHT,
        lambda rows: _share_of(_of(rows, Block.QUIZ), lambda row: row["right"]),
    ),
    LineForm(
        "order_of_options",
        Block.TIE,
        "Order of options",
        "share of cooperative choices and ties if that option is listed first, minus if not",
        "choices between options",
        verdict.BIAS,
        lambda rows: _difference(_of(rows, Block.CHOICE, Block.TIE), lambda row: row["first"], _says_yes),
    ),
    LineForm(
        "order_of_scales",
        Block.CONDUCT,
        "Order of scales",
        "share of levels in the upper half if the best is listed first, minus if the worst is",
        "judgements on scales",
        verdict.BIAS,
        lambda rows: _difference(
            _of(rows, Block.CONDUCT, Block.RECORD, Block.CREDIBILITY), lambda row: row["best_first"], _is_high
        ),
    ),
    LineForm(
        "conduct",
        Block.CONDUCT,
        "Conduct of partners",
        "share judged good after cooperation and bad after defection",
        "judging conduct",
        verdict.RIGHT,
        lambda rows: _share_of(_of(rows, Block.CONDUCT), _judges_right),
    ),
    LineForm(
        "record_direction",
        Block.RECORD,
        "Records, direction",
        "share that rises after good conduct and falls after bad conduct",
        "keeping reputation records",
        verdict.RIGHT,
        _moved_right,
    ),
    LineForm(
        "record_movement",
        Block.RECORD,
        "Records, movement",
        "mean movement in the direction of the conduct, in units of score",
        "records that follow conduct",
        verdict.MOVE,
        _mean_move,
    ),
    LineForm(
        "credibility",
        Block.CREDIBILITY,
        "Credibility of gossip",
        "share believed from gossipers with a very good record, minus with a very bad one",
        "weighing gossip by its source",
        verdict.EFFECT,
        lambda rows: _difference(_of(rows, Block.CREDIBILITY), lambda row: row["dose"] > 0, _is_high),
    ),
    LineForm(
        "choice_by_record",
        Block.CHOICE,
        "Choice by record",
        "slope of cooperation per unit of the partner's score, from -1 to 1",
        "choices that answer to reputation",
        verdict.SLOPE,
        _by_dose,
    ),
    LineForm(
        "choice_by_persona",
        Block.CHOICE,
        "Choice by persona",
        "share of cooperation of altruistic agents, minus that of self-interested ones",
        "choices that answer to the persona",
        verdict.EFFECT,
        lambda rows: _difference(_of(rows, Block.CHOICE), lambda row: row["altruistic"], _says_yes),
    ),
    LineForm(
        "choice_without_record",
        Block.CHOICE,
        "Choice without a record",
        "share of cooperation with a partner of whom there is no record",
        "",
        verdict.PLAIN,
        lambda rows: _share_of([row for row in _of(rows, Block.CHOICE) if row["dose"] is None], _says_yes),
    ),
    LineForm(
        "ties_by_record",
        Block.TIE,
        "Ties by record",
        "share of ties made or kept with a very good record of the other, minus with a very bad one",
        "ties that answer to reputation",
        verdict.EFFECT,
        lambda rows: _difference(_of(rows, Block.TIE), lambda row: row["dose"] > 0, _says_yes),
    ),
    LineForm(
        "repeatability",
        Block.REPEATED,
        "Repeatability",
        "share of repetitions of a question, at the sampling of runs, with the same choice as the first time",
        "conclusions from single choices",
        verdict.RIGHT,
        _again,
    ),
    LineForm(
        "fused",
        Block.FUSED,
        "Single and fused calls",
        "share of conduct judged right in single calls, minus in fused ones",
        "fused calls (--questions fused)",
        verdict.BIAS,
        lambda rows: _difference(
            _of(rows, Block.CONDUCT, Block.FUSED), lambda row: row["block"] == Block.CONDUCT, _judges_right
        ),
    ),
    LineForm(
        "replies",
        Block.CONDUCT,
        "Replies that fit",
        "share of calls whose first reply did not fit its schema and was re-asked",
        "runs without many re-asked replies",
        verdict.RARE,
        lambda rows: _share_of(rows, lambda row: bool(row["reasks"])),
    ),
    LineForm(
        "unanswered",
        Block.CONDUCT,
        "Calls without a valid reply",
        "share of calls that no attempt answered; each would stop a run",
        "runs that go on unattended",
        verdict.NEVER,
        lambda rows: _share_of(rows, is_unanswered),
    ),
)
"""The lines of a game, in the order of the card."""
