"""A report of what could not be taken over exactly."""

from __future__ import annotations

from dataclasses import dataclass, field

from repunet_model.util.text import one_line

SHOWN_PLACES = 3
"""The largest number of places that a line names one by one."""


@dataclass(slots=True)
class Report:
    """The parts that could not be taken over exactly, where, and what was taken instead; like entries share a line."""

    _places: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def say(self, where: str, what: str, done: str) -> None:
        """Add an entry; entries that differ only in the place share a line."""
        self._places.setdefault((one_line(what), one_line(done)), []).append(one_line(where))

    @property
    def lines(self) -> list[str]:
        """The lines of the report."""
        return [f"{_in_words(places)}: {what}; {done}" for (what, done), places in self._places.items()]


def _in_words(places: list[str]) -> str:
    if len(places) <= SHOWN_PLACES:
        return " and ".join(dict.fromkeys(places))
    return f"{len(places)} times, as in {places[0]}"
