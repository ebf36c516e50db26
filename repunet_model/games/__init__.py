"""The games, one file each, and their registry."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature

from repunet_model.errors import ConfigurationError
from repunet_model.games.base import Game
from repunet_model.games.donation import Donation
from repunet_model.games.investment import Investment
from repunet_model.games.prisoners_dilemma import PrisonersDilemma
from repunet_model.games.sign_up import SignUpGame
from repunet_model.util.text import SCENARIOS

GAMES: dict[str, Game] = {}


def register(game: Game) -> Game:
    """Register a game under its name, for models and the command line.

    Raises:
        ConfigurationError: If it does not have two roles, or its `play` is not for two players.
    """
    roles = game.roles if isinstance(game.roles, tuple) else (game.roles,)
    if len(roles) != 2:
        raise ConfigurationError(
            f"game {game.name!r}: its roles are {', '.join(map(repr, roles))}; games are for pairs, so name two: the "
            "role of the side that chooses its partner, and of the side that is chosen (they may be equal)"
        )
    players = [each for each in signature(game.play).parameters.values() if each.default is each.empty]
    if len(players) != 2:
        raise ConfigurationError(
            f"game {game.name!r}: play takes {', '.join(each.name for each in players)}; games are for pairs, so it "
            "takes two players, first and second"
        )
    GAMES[game.name] = game
    SCENARIOS[game.name] = game.name
    return game


def find(name: str, parameters: Mapping[str, object] | None = None) -> Game:
    """Return the game with a name, with values of its parameters; None for its defaults.

    Raises:
        ConfigurationError: If the name or a parameter is unknown, or a value is outside its bounds.
    """
    try:
        game = GAMES[name]
    except KeyError:
        raise ConfigurationError(
            f"unknown game {name!r}: choose one of {', '.join(GAMES)}, or name the file it is in by --extension"
        ) from None
    return game if parameters is None else game.with_parameters(parameters)


register(PrisonersDilemma())
register(Investment())
register(SignUpGame())
register(Donation())
