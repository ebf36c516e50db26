"""Verdicts by stated thresholds on intervals: fit, doubtful or unfit, and for what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from repunet_model.report.statistics import Estimate


class Verdict(StrEnum):
    """The judgement of a line."""

    FIT = "fit"
    DOUBTFUL = "doubtful"
    UNFIT = "unfit"
    NONE = "-"


@dataclass(frozen=True, slots=True)
class Rule:
    """The thresholds of a kind of number.

    Attributes:
        words: The thresholds in words; empty for a number that is reported without a verdict.
        is_fit: Whether the ends of an interval are those of a fit model.
        is_unfit: Whether they are those of an unfit one.
    """

    words: str
    is_fit: Callable[[float, float], bool]
    is_unfit: Callable[[float, float], bool]

    def verdict(self, measured: Estimate) -> Verdict:
        """Return the verdict on a number with its interval; doubtful without an interval."""
        if not self.words:
            return Verdict.NONE
        if measured.low is None or measured.high is None:
            return Verdict.DOUBTFUL
        if self.is_fit(measured.low, measured.high):
            return Verdict.FIT
        return Verdict.UNFIT if self.is_unfit(measured.low, measured.high) else Verdict.DOUBTFUL


def _share(least: float, enough: float) -> Rule:
    return Rule(
        f"fit if the interval is above {least:g}, unfit if it is below {enough:g}",
        lambda low, high: low > least,
        lambda low, high: high < enough,
    )


def _effect(enough: float) -> Rule:
    return Rule(
        f"fit if the interval is above 0 and reaches {enough:g}, unfit if it is below {enough:g} and reaches 0",
        lambda low, high: low > 0 and high >= enough,
        lambda low, high: low <= 0 and high < enough,
    )


RIGHT = _share(0.5, 0.8)
"""A share of right answers."""

EFFECT = _effect(0.5)
"""A difference of shares between a very good and a very bad record, or two personas: half of all answers changes."""

SLOPE = _effect(0.25)
"""A slope of a share per unit of score; a record spans two units from very bad to very good."""

MOVE = _effect(0.1)
"""A movement of a record in units of score."""

BIAS = Rule(
    "fit if the interval lies within -0.5 to 0.5, unfit if it lies beyond -0.2 or 0.2",
    lambda low, high: low > -0.5 and high < 0.5,
    lambda low, high: low > 0.2 or high < -0.2,
)
"""A difference of shares that should be 0."""

RARE = Rule(
    "fit if the interval is below 0.25, unfit if it is above",
    lambda low, high: high < 0.25,
    lambda low, high: low > 0.25,
)
"""A share of failures."""

NEVER = Rule(
    "fit if it is 0 and the interval is below 0.1, unfit if it is not 0",
    lambda low, high: low < 1e-9 and high < 0.1,
    lambda low, high: low >= 1e-9,
)
"""A share of failures that stop a run."""

PLAIN = Rule("", lambda low, high: False, lambda low, high: False)
"""A number without a verdict."""
