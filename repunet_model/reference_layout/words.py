"""Fixed strings of the published layout: names of folders and keys, and reasons of updates."""

from __future__ import annotations

import re

from repunet_model.reputation import Cause

EXTRA = "repunet_mesa"
"""The key under which an export keeps what the layout has no field for."""

PUBLISHED = "published"
"""The key in a row of a run, and the table of its steps, that keep what an export writes again."""

PREDICATES = {"investment": "investment", "prisoners_dilemma": "pd_game", "sign_up": "basic chat"}
"""The predicate of an encounter's memory, by game."""

GOSSIP = "gossip"
SIGN_UP = "sign up"
EVERYBODY = "All persona"

RESULTS = {
    "investment": ("investment results", "investment_results"),
    "prisoners_dilemma": ("pd_game results", "pd_game_results"),
    "sign_up": ("sign up result", "sign_up_results"),
}
"""Folder and file name of a step's results, by game."""

ORDERS = {"first-order": 1, "second-order": 2}

CAUSES = {
    "reputation update agter stage 1": Cause.EXPERIENCE,
    "reputation update agter stage 4": Cause.EXPERIENCE,
    "reputation update after pd_game": Cause.EXPERIENCE,
    "reputation update after interaction": Cause.EXPERIENCE,
    "reputation update after first order gossip": Cause.FIRST_ORDER_GOSSIP,
    "reputation update after second order gossip": Cause.SECOND_ORDER_GOSSIP,
    "observed": Cause.OBSERVATION,
    "reputation update after sign up": Cause.SIGN_UP,
}
"""Causes by the reason that the layout stores with a replaced record."""

EXPERIENCED = {
    "investment": "reputation update agter stage 4",
    "prisoners_dilemma": "reputation update after pd_game",
    "sign_up": "reputation update after interaction",
}
"""The reason of an update by direct experience, by game."""

AVOIDED = "One of the two is on the other's blacklist."
"""The text of plan and refusal where a blacklist forbids the deal."""

SAYS_AVOIDED = re.compile(r"other's blacklist|because they are in black list")
"""The words by which an import recognises such a deal: those of `AVOIDED`, and two of the published code."""


def reason_of(cause: Cause, game: str) -> str:
    """Return the reason that the layout stores for a cause; "unknown" where it has none."""
    if cause is Cause.EXPERIENCE:
        return EXPERIENCED[game]
    return next((reason for reason, known in CAUSES.items() if known is cause), "unknown")


def key_of(role: str, number: int | str) -> str:
    """Return the key of the record of an agent in a role, as in "Trustee_7"."""
    return f"{role.capitalize()}_{number}"
