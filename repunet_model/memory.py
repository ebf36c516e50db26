"""An agent's memory: the last encounters, newest last. Pure.

The whole past of a run is on disk; memory holds only the encounters that questions may show.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, fields
from typing import Any, Self

MEMORY_LENGTH = 20


@dataclass(frozen=True, slots=True)
class Event:
    """One encounter as one side remembers it.

    Attributes:
        step: The step of the encounter.
        partner: The partner's name.
        role: The agent's own role.
        own_cooperated: Whether the agent cooperated; None without a choice.
        partner_cooperated: Whether the partner cooperated; None without a choice.
        payoff: The agent's gain, in units of resources.
        text: The encounter in the agent's words.
    """

    step: int
    partner: str
    role: str
    own_cooperated: bool | None
    partner_cooperated: bool | None
    payoff: float
    text: str

    def to_dict(self) -> dict[str, Any]:
        """Return the event as plain data."""
        return {name: getattr(self, name) for name in _FIELDS}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Read an event from the data of `to_dict`."""
        return cls(**data)


_FIELDS = tuple(each.name for each in fields(Event))


@dataclass(slots=True)
class Memory:
    """The last events of one agent."""

    _events: deque[Event] = field(default_factory=lambda: deque(maxlen=MEMORY_LENGTH))

    def add(self, event: Event) -> None:
        """Remember an event, forgetting the oldest when memory is full."""
        self._events.append(event)

    def last(self, count: int, role: str) -> tuple[Event, ...]:
        """Return the last events in a role, oldest first."""
        return tuple(event for event in self._events if event.role == role)[-count:]

    def snapshot(self) -> tuple[Event, ...]:
        """Return all events, oldest first."""
        return tuple(self._events)

    def replace(self, events: tuple[Event, ...]) -> None:
        """Remember these events instead of the present ones."""
        self._events.clear()
        self._events.extend(events)
