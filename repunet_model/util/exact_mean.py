"""Sums of floats that lose nothing, so that neither the order of terms nor those taken back change them. Pure."""

from __future__ import annotations

_SCALE = 1074
"""Every finite float is a whole number of 2 to the minus 1074th (IEEE 754, double precision)."""


def _whole(value: float) -> int:
    """Return a float as a whole number of the smallest floats."""
    numerator, denominator = value.as_integer_ratio()  # the denominator is a power of two
    return numerator << (_SCALE + 1 - denominator.bit_length())


class ExactMean:
    """The mean of floats that come and go, the same as if `math.fsum` had summed up those that are there.

    Attributes:
        count: How many there are.
    """

    __slots__ = ("_total", "count")

    def __init__(self) -> None:
        self._total = 0
        self.count = 0

    def replace(self, old: float | None, new: float | None) -> None:
        """Put a value in the place of one that came before; None where there is none."""
        if old is not None:
            self._total -= _whole(old)
            self.count -= 1
        if new is not None:
            self._total += _whole(new)
            self.count += 1

    @property
    def value(self) -> float | None:
        """The sum, exactly rounded, / the count; None if there is nothing."""
        # The quotient of two whole numbers is exactly rounded.
        return self._total / (1 << _SCALE) / self.count if self.count else None
