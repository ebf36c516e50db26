"""An agent's memory: the last encounters and the last gossip that it heard, newest last. Pure.

The whole past of a run is on disk; memory holds only what questions may show.
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


@dataclass(frozen=True, slots=True)
class Heard:
    """One message of gossip as its listener remembers it.

    Attributes:
        gossiper: The name of the agent that told it.
        subject: The name of the agent it was about.
        role: The subject's role.
        summary: The claim in the listener's words.
        positive: Whether it was praise, not a complaint.
        credibility: The listener's judgement, by its name.
    """

    gossiper: str
    subject: str
    role: str
    summary: str
    positive: bool
    credibility: str


_FIELDS = tuple(each.name for each in fields(Event))


@dataclass(slots=True)
class Memory:
    """The last events of one agent, and the last messages of gossip that it heard."""

    _events: deque[Event] = field(default_factory=lambda: deque(maxlen=MEMORY_LENGTH))
    _heard: deque[Heard] = field(default_factory=lambda: deque(maxlen=MEMORY_LENGTH))

    def add(self, event: Event) -> None:
        """Remember an event, forgetting the oldest when memory is full."""
        self._events.append(event)

    def last(self, count: int, role: str) -> tuple[Event, ...]:
        """Return the last events in a role, oldest first."""
        events = tuple(event for event in self._events if event.role == role)
        return events[max(0, len(events) - count) :]

    def hear(self, message: Heard) -> None:
        """Remember a message of gossip, forgetting the oldest when memory is full."""
        self._heard.append(message)

    def heard_about(self, subject: str, role: str, count: int) -> tuple[Heard, ...]:
        """Return the last messages about an agent in a role, oldest first."""
        messages = tuple(message for message in self._heard if (message.subject, message.role) == (subject, role))
        return messages[max(0, len(messages) - count) :]

    def heard(self) -> tuple[Heard, ...]:
        """Return all messages of gossip, oldest first."""
        return tuple(self._heard)

    def snapshot(self) -> tuple[Event, ...]:
        """Return all events, oldest first."""
        return tuple(self._events)

    def copy(self) -> Memory:
        """Return a memory of the same events and messages."""
        return Memory(self._events.copy(), self._heard.copy())
