"""The four modes in which a society runs, and their names."""

from __future__ import annotations

from typing import NamedTuple


class Mode(NamedTuple):
    """Which parts of the mechanism a society has.

    Attributes:
        reputation: Whether agents keep reputations.
        gossip: Whether they gossip.
    """

    reputation: bool
    gossip: bool


FULL, REPUTATION_ONLY, GOSSIP_ONLY, NEITHER = "reputation and gossip", "reputation only", "gossip only", "neither"

MODES: dict[str, Mode] = {
    FULL: Mode(reputation=True, gossip=True),
    REPUTATION_ONLY: Mode(reputation=True, gossip=False),
    GOSSIP_ONLY: Mode(reputation=False, gossip=True),
    NEITHER: Mode(reputation=False, gossip=False),
}
"""The modes by name, in the order in which they are shown."""

IN_FILE_NAMES = {FULL: "full", REPUTATION_ONLY: "reputation", GOSSIP_ONLY: "gossip", NEITHER: "none"}
"""The modes in the names of run folders."""


def mode_of(reputation: bool, gossip: bool) -> str:
    """Return the name of a mode."""
    return next(name for name, mode in MODES.items() if mode == (reputation, gossip))


def parts_in_words(reputation: bool, gossip: bool) -> str:
    """Return what a society has of the mechanism, where nothing says that its mode is meant."""
    parts = [word for word, is_on in (("reputation", reputation), ("gossip", gossip)) if is_on]
    return " and ".join(parts) or "neither reputation nor gossip"
