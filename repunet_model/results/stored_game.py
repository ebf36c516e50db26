"""What reading a stored run needs of its game, also where the file of the game is not loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from repunet_model import games
from repunet_model.measures import MEASURES
from repunet_model.storage import StepReader
from repunet_model.storage.schema import INTERACTIONS, Column


@dataclass(frozen=True, slots=True)
class StoredGame:
    """The game of a stored run, as far as tables, pages and reports show it.

    Attributes:
        title: The name in figures and tables.
        roles: The role of the side that chooses its partner, and of the side that is chosen.
        rates: The names of the game's rates.
        facts: The columns that the game adds to the table of interactions.
        caveat: What users should know of its parameters; empty for nothing.
    """

    title: str
    roles: tuple[str, str]
    rates: tuple[str, ...]
    facts: Mapping[str, Column]
    caveat: str


def title_of(name: str) -> str:
    """Return the title of a game; its name in words if its file is not loaded."""
    game = games.GAMES.get(name)
    return game.title if game is not None else name.replace("_", " ").capitalize()


def game_of(run: StepReader) -> StoredGame:
    """Return the game of a run: the registered one, else what the stored steps show of it.

    Raises:
        RepuNetError: If a parameter of a registered game is invalid, or the run cannot be read.
    """
    name = run.manifest.config.game
    if name in games.GAMES:
        game = games.find(name, run.manifest.game_parameters)
        return StoredGame(game.title, game.roles, game.rates, game.facts, game.caveat())
    measured = run.step(run.last).measures if run.last else {}
    rates = list(measured)[: list(measured).index(MEASURES[0])] if MEASURES[0] in measured else []
    rows = (row for step in run.steps(1) for row in step.rows(INTERACTIONS))
    roles = list(run.step(0).state["agents"][0]["learned"])  # One text for each distinct role.
    return StoredGame(title_of(name), (roles[0], roles[-1]), tuple(rates), dict(_facts(rows)), "")


def _facts(rows: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, Column]]:
    """Yield the columns of encounters that the schema does not have, with the type of their first value."""
    found: dict[str, Column] = {}
    for row in rows:
        for name, value in row.items():
            if name not in INTERACTIONS.columns and value is not None and name not in found:
                found[name] = Column(type(value), "")
    return found.items()
