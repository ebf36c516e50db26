"""Shares of a whole: read from what users write, and counted."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from repunet_model.errors import ConfigurationError


def share(value: object, what: str) -> float:
    """Return a share in [0, 1], given as a number or a text; a ConfigurationError begins with `what`."""
    try:
        number = float(str(value))
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise ConfigurationError(f"{what} is {value!r:.60}: must be a share from 0 to 1")
    return abs(number)


def part(n: int, of_all: float) -> int:
    """Return the number of members of a share of n, rounded to the nearest whole number, halves up."""
    return int((n * Decimal(repr(of_all))).to_integral_value(ROUND_HALF_UP))
