"""The rule by which a run is stable: its cooperation rate no longer changes by more than a tolerance.

A run is stable after a step if the mean cooperation rate of its last `window` steps differs from that of the `window`
steps before by less than `tolerance`, and it has at least `least` steps. Steps without a choice count in no mean; a
window without any choice is compared with none. In a fork only the steps after the fork count.

The defaults suit 20 agents. A rate is then a mean of about 20 choices, so that by chance alone two means of ten steps
differ with a standard error of up to 0.05. `benchmarks/stability.py` simulates how often the rule ends a run too early
or too late.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from repunet_model.errors import ConfigurationError

MEASURE = "cooperation_rate"
"""The measure that has to be stable; every game has it."""

OPTION = "until_stable"
"""The name of the rule in files of jobs and sweeps."""


@dataclass(frozen=True, slots=True)
class StabilityRule:
    """The rule by which a run is stable; see the module.

    Attributes:
        window: The number of steps of each of the two means.
        tolerance: The difference between the means, as a share of choices, that a stable run stays below.
        least: The least number of steps.
    """

    window: int = 10
    tolerance: float = 0.08
    least: int = 30

    def __post_init__(self) -> None:
        if not (self.window >= 1 and self.least >= 2 * self.window and 0 < self.tolerance <= 1):
            raise ConfigurationError(
                f"{self}: window must be at least 1, least at least two windows, and tolerance above 0 and at most 1"
            )

    def means(self, rates: Sequence[float | None], steps: int) -> tuple[float, float] | None:
        """Return the means of the window before the last and of the last window of the first `steps` rates.

        Returns:
            None if there are fewer steps than two windows, or a window has no rate.
        """
        if steps < 2 * self.window:
            return None
        before, last = (
            [rate for rate in rates[end - self.window : end] if rate is not None and not math.isnan(rate)]
            for end in (steps - self.window, steps)
        )
        return (math.fsum(before) / len(before), math.fsum(last) / len(last)) if before and last else None

    def stable_after(self, rates: Sequence[float | None]) -> int | None:
        """Return the first number of steps after which a run with these rates is stable; None if it is not yet."""
        for steps in range(self.least, len(rates) + 1):
            means = self.means(rates, steps)
            if means is not None and abs(means[1] - means[0]) < self.tolerance:
                return steps
        return None

    def check(self, steps: int, name: str) -> None:
        """Check that a run may become stable within so many steps of its own.

        Raises:
            ConfigurationError: If it may not; the message names the setting by `name`.
        """
        if steps < self.least:
            raise ConfigurationError(
                f"{name}: a run is stable after {self.least} steps at the earliest, and may have {steps}: "
                "raise steps, which is the most that it may have"
            )


@dataclass(frozen=True, slots=True)
class Stopped:
    """Where and why a run ended as stable: the content of its `stopped.json`.

    Attributes:
        step: The step after which it was stable.
        before: The mean cooperation rate of the window before the last.
        last: That of the last window.
        rule: The rule.
    """

    step: int
    before: float
    last: float
    rule: StabilityRule

    @classmethod
    def of(cls, rule: StabilityRule, rates: Sequence[float | None], first: int = 1) -> Self | None:
        """Return where a run with these rates of its steps from `first` on is stable; None if it is not yet."""
        steps = rule.stable_after(rates)
        means = None if steps is None else rule.means(rates, steps)
        if steps is None or means is None:
            return None
        return cls(first - 1 + steps, *means, rule)

    @classmethod
    def of_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the content of a file; raise LookupError, TypeError or ConfigurationError if it is malformed."""
        return cls(data["step"], data["before"], data["last"], StabilityRule(**data["rule"]))

    def to_dict(self) -> dict[str, Any]:
        """Return the content of the file."""
        return asdict(self)

    def __str__(self) -> str:
        window, tolerance = self.rule.window, self.rule.tolerance
        return (
            f"stable after step {self.step}: cooperation {self.last:.3f} in the last {window} steps, {self.before:.3f} "
            f"in the {window} before (less than {tolerance:g} apart)"
        )
