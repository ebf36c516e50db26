"""The four modes in which a society runs, and their names."""

from __future__ import annotations

MODES: dict[str, tuple[bool, bool]] = {
    "reputation and gossip": (True, True),
    "reputation only": (True, False),
    "gossip only": (False, True),
    "neither": (False, False),
}
"""The modes by name: whether there is reputation, and whether there is gossip."""


def mode_of(reputation: bool, gossip: bool) -> str:
    """Return the name of a mode."""
    return next(name for name, mode in MODES.items() if mode == (reputation, gossip))
