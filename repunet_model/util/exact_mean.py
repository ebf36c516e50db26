"""Exact running means: neither the order of terms nor their removal leaves a rounding error. Pure."""

from __future__ import annotations

_SCALE = 1074
"""Every finite float is a multiple of 2 ** -1074 (IEEE 754, double precision)."""


def _whole(value: float) -> int:
    """Return a float as a multiple of the smallest float."""
    numerator, denominator = value.as_integer_ratio()  # The denominator is a power of two.
    return numerator << (_SCALE + 1 - denominator.bit_length())


class ExactMean:
    """The mean of a changing collection of `count` floats, equal to their `math.fsum` / `count`."""

    __slots__ = ("_total", "count")

    def __init__(self) -> None:
        self._total = 0
        self.count = 0

    def replace(self, old: float | None, new: float | None) -> None:
        """Replace a value by another; None stands for no value."""
        if old is not None:
            self._total -= _whole(old)
            self.count -= 1
        if new is not None:
            self._total += _whole(new)
            self.count += 1

    @property
    def value(self) -> float | None:
        """The exactly rounded sum / the count; None without values."""
        # Python rounds the quotient of two integers exactly.
        return self._total / (1 << _SCALE) / self.count if self.count else None
