"""Events: what happens to single agents at the start of a step of a run.

An event is written as a text::

    step=10 share=0.2 becomes=always_defect     at the start of step 10, a fifth of the agents get another backend
    step=10 agents=3 becomes=leave              three agents leave
    step=10 agents=3 becomes=enter              three agents enter
    step=10 names=Ann,Ben becomes=whitewash     Ann and Ben leave and enter under new names

`becomes` is `enter`, `leave`, `whitewash` or the name of a backend (`backends.setup`), which answers for the agents
from the step on. Several events are separated by ";", and those of one step happen in their order. In files an event
may be a table with the same keys.

Agents that are not named are drawn by the seed: all agents of a run are in one random order, and an event takes the
first of those that are present and not yet what it makes of them. So the agents of a smaller number are among those of
a larger one, and agents that an earlier event has turned come first in later ones. A name stands for a person: also for
the agent that it has become by whitewashing. A share is of the agents that are present, rounded to the nearest whole
number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from repunet_model.errors import ConfigurationError
from repunet_model.util.shares import share
from repunet_model.util.text import whole

ENTER, LEAVE, WHITEWASH = "enter", "leave", "whitewash"

BETWEEN = "; "
"""The text between two events."""

_KEYS = ("step", "agents", "share", "names", "becomes")

_KEY = re.compile(r"(?:^|\s)([a-z_]+)=")

_FORM = "must read as in 'step=10 agents=3 becomes=always_defect', with agents, share or names"


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a run; it has one of `agents`, `share` and `names`.

    Attributes:
        step: The step at whose start it happens, from 1.
        becomes: `ENTER`, `LEAVE`, `WHITEWASH`, or the name of a backend.
        agents: How many agents it concerns.
        share: Which share of the agents that are present it concerns.
        names: The names of the agents that it concerns.
    """

    step: int
    becomes: str
    agents: int | None = None
    share: float | None = None
    names: tuple[str, ...] = ()

    @property
    def plants(self) -> bool:
        """Whether agents get another backend."""
        return self.becomes not in (ENTER, LEAVE, WHITEWASH)

    @classmethod
    def read(cls, given: object) -> Self:
        """Return the event that a text or a table stands for.

        Raises:
            ConfigurationError: If it is malformed.
        """
        what = f"event {given!r:.100}"
        found = _in_text(given, what) if isinstance(given, str) else given
        if not isinstance(found, Mapping):
            raise ConfigurationError(f"{what}: {_FORM}")
        for name in found:
            if name not in _KEYS:
                raise ConfigurationError(f"{what}: {name!r:.40}: unknown; known are {', '.join(_KEYS)}")
        for name in ("step", "becomes"):
            if name not in found:
                raise ConfigurationError(f"{what}: {name} is missing; it {_FORM}")
        chosen = [name for name in ("agents", "share", "names") if name in found]
        if len(chosen) != 1:
            raise ConfigurationError(f"{what}: needs one of agents, share and names, and has {len(chosen)}")
        becomes = found["becomes"]
        if not isinstance(becomes, str) or not becomes.strip() or ";" in becomes or not becomes.isprintable():
            raise ConfigurationError(
                f"{what}: becomes is {becomes!r:.60}: must be {ENTER}, {LEAVE}, {WHITEWASH} or the name of a backend"
            )
        event = cls(
            _number(found["step"], 1, f"{what}: step"),
            becomes.strip(),
            _number(found["agents"], 0, f"{what}: agents") if "agents" in found else None,
            share(found["share"], f"{what}: share") if "share" in found else None,
            _names(found["names"], what) if "names" in found else (),
        )
        if event.becomes == ENTER and event.names:
            raise ConfigurationError(f"{what}: agents that enter have new names; give their number as agents")
        return event

    def __str__(self) -> str:
        """Return the event as a text in its canonical form."""
        if self.names:
            who = f"names={','.join(self.names)}"
        else:
            who = f"agents={self.agents}" if self.share is None else f"share={self.share!r}"
        return f"step={self.step} {who} becomes={self.becomes}"


def canonical(given: object, what: str = "events") -> tuple[str, ...]:
    """Return events as texts in their canonical form, by step.

    Args:
        given: A text with any number of events, a table, or a list of texts and tables.
        what: The beginning of errors about the whole.

    Raises:
        ConfigurationError: If an event is malformed.
    """
    if isinstance(given, str):
        given = [text for text in given.split(";") if text.strip()]
    elif isinstance(given, Mapping):
        given = [given]
    if not isinstance(given, list | tuple):
        raise ConfigurationError(f"{what} is {given!r:.60}: must be a text, a table, or a list of these")
    return tuple(map(str, sorted(map(Event.read, given), key=lambda event: event.step)))


def backends(texts: tuple[str, ...]) -> list[str]:
    """Return the names of the backends that agents get in events, each once, in their order."""
    return list(dict.fromkeys(event.becomes for event in map(Event.read, texts) if event.plants))


def _in_text(text: str, what: str) -> dict[str, Any]:
    """Return the values of an event by key; the values may have blanks."""
    first, *parts = _KEY.split(text.strip())
    if first or not parts:
        raise ConfigurationError(f"{what}: {_FORM}")
    found: dict[str, Any] = {}
    for name, value in zip(parts[::2], parts[1::2], strict=True):
        if name in found:
            raise ConfigurationError(f"{what}: {name} is there twice")
        found[name] = value.strip()
    return found


def _number(value: object, low: int, what: str) -> int:
    number = whole(value) if isinstance(value, str) else value
    if not isinstance(number, int) or isinstance(number, bool) or number < low:
        raise ConfigurationError(f"{what} is {value!r:.40}: must be a whole number, at least {low}")
    return number


def _names(value: object, what: str) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) for name in names):
        raise ConfigurationError(f"{what}: names is {value!r:.60}: must be names of agents")
    found = tuple(str(name).strip() for name in names)
    for name in found:
        if not name or "," in name or ";" in name or _KEY.search(name) or not name.isprintable():
            raise ConfigurationError(f"{what}: {name!r:.40} cannot name an agent in an event; draw agents instead")
    if len(set(found)) < len(found):
        raise ConfigurationError(f"{what}: a name is there twice")
    return found
