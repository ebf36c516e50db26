"""Colours for colour-blind readers, each combined with a second sign (a shape, a dash, a word).

Scores: brown (bad) over light grey to blue (good), the ends of ColorBrewer's PuOr and RdBu. Lines: Okabe & Ito (2008).
"""

from __future__ import annotations

from typing import Final

LINES: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#6B6B6B")
MADE: Final = "#009E73"
CUT: Final = "#D55E00"

_BAD, _NEUTRAL, _GOOD = (166, 82, 6), (238, 238, 234), (30, 98, 170)


def of_score(score: float) -> str:
    """Return the colour of a score in [-1, 1]."""
    end = _GOOD if score > 0 else _BAD
    share = min(abs(score), 1.0) ** 0.7  # Most scores are near 0.
    red, green, blue = (round(low + (high - low) * share) for low, high in zip(_NEUTRAL, end, strict=True))
    return f"#{red:02x}{green:02x}{blue:02x}"


def scale() -> list[str]:
    """Return the colours of the scores from -1 to 1 in hundredths."""
    return [of_score(hundredths / 100) for hundredths in range(-100, 101)]
