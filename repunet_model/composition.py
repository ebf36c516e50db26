"""The composition of a population that is drawn from a persona set by the seed of the run.

A composition is written as a text::

                        the first personas of the set, as they are; the default
    drawn               personas drawn from the set, as they are
    altruistic=0.3      personas drawn from the set, of whom this share is altruistic and the rest self-interested

`n_agents` personas are drawn; None takes the whole set. For more than it has, the built-in set is repeated as without a
draw. They keep the order of the set. The number of altruists is n_agents · share, rounded to the nearest whole number,
halves up. Who they are is the beginning of one random order of the set, which depends on the seed of the run alone:
runs of one seed have the same people, the altruists at a share are also altruists at every larger share, and a smaller
population drawn from a set is part of a larger one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Self

from repunet_model.errors import ConfigurationError
from repunet_model.personas import Disposition, Persona, Population, population
from repunet_model.rng import Streams
from repunet_model.util.text import assignments

Personas = str | Sequence[Persona] | Population
"""Personas as in `personas.population`."""

Learned = Callable[[Persona], Mapping[str, str]]
"""A function that returns the initial texts of a persona by role."""

DRAWN = "drawn"
"""The composition without a share."""


@dataclass(frozen=True, slots=True)
class Composition:
    """The draw of a population; `altruistic` is the share of altruists, None to keep the dispositions of the set."""

    altruistic: float | None = None

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Return the composition that a text stands for; None for an empty one.

        Raises:
            ConfigurationError: If the text has another form, or the share is not in [0, 1].
        """
        if not text.strip():
            return None
        if text.strip() == DRAWN:
            return cls()
        if "=" not in text:
            raise ConfigurationError(f"population {text!r:.60}: must read {DRAWN} or altruistic=SHARE")
        given = assignments(text, f"population {text!r:.60}")
        for name in given:
            if name != "altruistic":
                raise ConfigurationError(f"population: {name!r:.60}: unknown; write {DRAWN} or altruistic=SHARE")
        return cls(share(given["altruistic"], "population: altruistic"))

    def drawn_from(
        self,
        personas: Personas,
        game: str,
        roles: Sequence[str],
        n_agents: int | None,
        streams: Streams,
        learned: Learned,
    ) -> Population:
        """Return a population that is drawn from a persona set.

        Args:
            personas: As in `personas.population`.
            game: The name of the game.
            roles: The roles of the game.
            n_agents: The number of agents; None for that of the set.
            streams: The random streams of the run.
            learned: Returns the initial texts of a persona.

        Raises:
            ConfigurationError: If the set is invalid or too small, or a persona with a `learned` text of its own would
                be given a disposition.
        """
        whole = population(personas, game, roles, None)
        if n_agents is not None and n_agents > len(whole.personas):
            whole = population(personas, game, roles, n_agents)
        people = whole.personas
        places = sorted(_order(len(people), streams, "personas")[:n_agents])
        drawn: dict[str, Any] = {"set": whole.described({each.name: learned(each) for each in people})["sha256"]}
        if self.altruistic is not None:
            _refuse_learned(people)
            drawn["altruistic"] = self.altruistic
            is_drawn = set(places)
            order = [place for place in _order(len(people), streams, "dispositions") if place in is_drawn]
            altruists = set(order[: part(len(places), self.altruistic)])
            people = [
                persona.model_copy(
                    update={
                        "disposition": Disposition.ALTRUISTIC if place in altruists else Disposition.SELF_INTERESTED
                    }
                )
                for place, persona in enumerate(people)
            ]
        return Population(whole.name, [people[place] for place in places], drawn)


def composed(
    text: str,
    personas: Personas,
    game: str,
    roles: Sequence[str],
    n_agents: int | None,
    streams: Streams,
    learned: Learned,
) -> Population:
    """Return the population of a run with a composition given as a text; arguments as in `Composition.drawn_from`.

    Raises:
        ConfigurationError: If the text is no composition, or the population cannot be drawn.
    """
    composition = Composition.read(text)
    if composition is None:
        return population(personas, game, roles, n_agents)
    return composition.drawn_from(personas, game, roles, n_agents, streams, learned)


def share(value: object, what: str) -> float:
    """Return a share in [0, 1], given as a number or a text; a ConfigurationError begins with `what`."""
    try:
        number = float(str(value))
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise ConfigurationError(f"{what} is {value!r:.60}: must be a share from 0 to 1")
    return abs(number)


def part(n: int, of_all: float) -> int:
    """Return the number of members of a share of n, rounded to the nearest whole number, halves up."""
    return int((n * Decimal(repr(of_all))).to_integral_value(ROUND_HALF_UP))


def _order(n: int, streams: Streams, purpose: str) -> list[int]:
    """Return the places of a set in a random order."""
    places = list(range(n))
    streams.at("population", purpose).shuffle(places)
    return places


def _refuse_learned(people: Sequence[Persona]) -> None:
    for persona in people:
        if persona.learned is not None:
            raise ConfigurationError(
                f"population: {persona.name} has a 'learned' text, which takes the place of the words of a "
                "disposition: leave it out (a 'biography' is shown beside them), or draw without a share"
            )
