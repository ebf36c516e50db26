"""What the scenarios are called: by this package, by the published runner, and in its files."""

from __future__ import annotations

SCENARIOS = {
    "pd": "prisoners_dilemma",
    "p": "prisoners_dilemma",
    "pd_game": "prisoners_dilemma",
    "prisoners_dilemma": "prisoners_dilemma",
    "investment": "investment",
    "invest": "investment",
    "i": "investment",
    "sign_up": "sign_up",
    "sign": "sign_up",
    "s": "sign_up",
}
"""Names of games by all that they are called."""
