"""The parts of a report: sections with texts, a picture and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from repunet_model.report.statistics import Estimate


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a report; the first `words` columns are left-aligned text, the others numbers."""

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1


@dataclass(frozen=True, slots=True)
class Section:
    """A section; `name` is its anchor and its picture's file name, `image` the SVG in base64, empty for none."""

    name: str
    title: str
    texts: Sequence[str] = ()
    caption: str = ""
    image: str = ""
    tables: Sequence[Table] = field(default_factory=list)


def estimate_in_words(value: Estimate) -> tuple[str, str]:
    """Format a mean and its interval."""
    interval = "too few runs" if value.low is None else f"{value.low:.3f} to {value.high:.3f}"
    return f"{value.mean:.3f}", interval
