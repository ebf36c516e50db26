"""The games, one file each, and the registry in which a run looks its game up."""

from __future__ import annotations

from repunet_model.errors import ConfigurationError
from repunet_model.games.base import Game
from repunet_model.games.investment import Investment
from repunet_model.games.prisoners_dilemma import PrisonersDilemma
from repunet_model.games.sign_up import SignUpGame
from repunet_model.util.text import SCENARIOS

GAMES: dict[str, Game] = {}


def register(game: Game) -> Game:
    """Make a game known by its name, to models and on the command line."""
    GAMES[game.name] = game
    SCENARIOS[game.name] = game.name
    return game


def find(name: str) -> Game:
    """Return the game of a name.

    Raises:
        ConfigurationError: If there is none.
    """
    try:
        return GAMES[name]
    except KeyError:
        raise ConfigurationError(
            f"unknown game {name!r}: choose one of {', '.join(GAMES)}, or name the file it is in by --extension"
        ) from None


register(PrisonersDilemma())
register(Investment())
register(SignUpGame())
