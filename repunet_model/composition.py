"""The composition of a population that is drawn from a persona set by the seed of the run.

A composition is written as a text::

                        the first personas of the set, as they are; the default
    drawn               personas drawn from the set, as they are
    altruistic=0.3      personas drawn from the set, of whom this share is altruistic and the rest self-interested
    altruistic=0.3,placed=hubs      the same, but the altruists have places of a kind in the initial network

`n_agents` personas are drawn; None takes the whole set. For more than it has, the built-in set is repeated as without a
draw. They keep the order of the set. The number of altruists is n_agents · share, rounded to the nearest whole number,
halves up. Who they are is the beginning of one random order of the set, which depends on the seed of the run alone:
runs of one seed have the same people, the altruists at a share are also altruists at every larger share, and a smaller
population drawn from a set is part of a larger one.

With `placed` the altruists are instead the beginning of an order of the agents by their places in the initial network,
in which the seed decides between equal places: see `Placement`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

import networkx as nx

from repunet_model.errors import ConfigurationError
from repunet_model.personas import Disposition, Persona, Population, population
from repunet_model.rng import Streams
from repunet_model.util.shares import part, share
from repunet_model.util.text import assignments

Personas = str | Sequence[Persona] | Population
"""Personas as in `personas.population`."""

Learned = Callable[[Persona], Mapping[str, str]]
"""A function that returns the initial texts of a persona by role."""

DRAWN = "drawn"
"""The composition without a share."""


class Placement(StrEnum):
    """The places of altruists in the initial network; neighbours are tied in any direction and role.

    RANDOM: anywhere. HUBS: those with most neighbours. PERIPHERY: those with fewest. CLUSTERED: an agent, its
    neighbours, their neighbours and so on (breadth first); where these end, the same from another agent.
    """

    RANDOM = "random"
    HUBS = "hubs"
    PERIPHERY = "periphery"
    CLUSTERED = "clustered"


_ALIKE = {
    "none": "the society has no ties at its start",
    "block": "its ties are drawn by the dispositions, so that those cannot be placed in it",
    "complete": "everybody is tied to everybody, so that all places are alike",
}
"""Initial networks in which nobody can be placed, with the reason."""

_EQUAL = "everybody has equally many ties"
"""The reason against hubs and periphery in a ring."""

FORM = f"{DRAWN}, altruistic=SHARE, or altruistic=SHARE,placed=PLACE with PLACE one of {', '.join(Placement)}"
"""The form of a composition, for messages."""


@dataclass(frozen=True, slots=True)
class Composition:
    """The draw of a population.

    Attributes:
        altruistic: The share of altruists; None to keep the dispositions of the set.
        placed: The places of the altruists in the initial network.
    """

    altruistic: float | None = None
    placed: Placement = Placement.RANDOM

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Return the composition that a text stands for; None for an empty one.

        Raises:
            ConfigurationError: If the text has another form, the share is not in [0, 1], or the place is unknown.
        """
        if not text.strip():
            return None
        if text.strip() == DRAWN:
            return cls()
        if "=" not in text:
            raise ConfigurationError(f"population {text!r:.60}: must read {FORM}")
        given = assignments(text, f"population {text!r:.60}")
        for name in given:
            if name not in ("altruistic", "placed"):
                raise ConfigurationError(f"population: {name!r:.60}: unknown; write {FORM}")
        if "altruistic" not in given:
            raise ConfigurationError("population: placed says where altruists are: give altruistic=SHARE, too")
        place = str(given.get("placed", Placement.RANDOM))
        if place not in list(Placement):
            raise ConfigurationError(f"population: placed is {place!r:.60}: choose {', '.join(Placement)}")
        return cls(share(given["altruistic"], "population: altruistic"), Placement(place))

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
            if self.placed is not Placement.RANDOM:
                drawn["placed"] = str(self.placed)
            altruists = {people[place].name for place in order[: part(len(places), self.altruistic)]}
            people = _disposed(people, altruists)
        return Population(whole.name, [people[place] for place in places], drawn)

    def in_network(
        self, people: Sequence[Persona], graph: nx.DiGraph[str], kind: str, streams: Streams
    ) -> Sequence[Persona]:
        """Return the agents with dispositions by their places in the initial network, if the altruists are placed.

        Args:
            people: The agents of `drawn_from`.
            graph: The ties at the start, by name.
            kind: The kind of network, as in `repunet_model.initial_network`.
            streams: The random streams of the run.

        Raises:
            ConfigurationError: If nobody can be placed in a network of this kind.
        """
        if self.altruistic is None or self.placed is Placement.RANDOM:
            return people
        reason = _ALIKE.get(kind)
        if kind == "ring" and self.placed is not Placement.CLUSTERED:
            reason = _EQUAL
        if reason is None and not graph.number_of_edges() and kind in ("edges", "ties", "graphml"):
            reason = _ALIKE["none"]
        if reason is not None:
            raise ConfigurationError(
                f"population: placed={self.placed} with the network {kind}: {reason}; give another network, or leave "
                "'placed' out"
            )
        names = [persona.name for persona in people]
        streams.at("population", "placement").shuffle(names)
        order = _by_place(names, graph.to_undirected(), self.placed)
        return _disposed(people, set(order[: part(len(people), self.altruistic)]))


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


def placed(
    text: str, people: Sequence[Persona], graph: nx.DiGraph[str], kind: str, streams: Streams
) -> Sequence[Persona]:
    """Return the agents of a composition given as a text in their initial network; see `Composition.in_network`.

    Raises:
        ConfigurationError: If nobody can be placed in a network of this kind.
    """
    composition = Composition.read(text)
    return people if composition is None else composition.in_network(people, graph, kind, streams)


def _order(n: int, streams: Streams, purpose: str) -> list[int]:
    """Return the places of a set in a random order."""
    places = list(range(n))
    streams.at("population", purpose).shuffle(places)
    return places


def _disposed(people: Sequence[Persona], altruists: set[str]) -> list[Persona]:
    """Return the personas, of whom those with these names are altruistic and the others self-interested."""
    kinds = {True: Disposition.ALTRUISTIC, False: Disposition.SELF_INTERESTED}
    return [persona.model_copy(update={"disposition": kinds[persona.name in altruists]}) for persona in people]


def _by_place(names: Sequence[str], graph: nx.Graph[str], placement: Placement) -> list[str]:
    """Return the names in the order of their places; equal places keep the order of `names`."""
    if placement is Placement.CLUSTERED:
        return list(_breadth_first(names, graph))
    sign = -1 if placement is Placement.HUBS else 1
    return sorted(names, key=lambda name: sign * graph.degree(name))


def _breadth_first(names: Sequence[str], graph: nx.Graph[str]) -> Iterator[str]:
    """Yield every name, component by component, neighbours before their neighbours."""
    rank = {name: number for number, name in enumerate(names)}
    seen: set[str] = set()
    for first in names:
        queue = deque([first])
        while queue:
            name = queue.popleft()
            if name not in seen:
                seen.add(name)
                yield name
                queue.extend(sorted(graph.neighbors(name), key=rank.__getitem__))


def _refuse_learned(people: Sequence[Persona]) -> None:
    for persona in people:
        if persona.learned is not None:
            raise ConfigurationError(
                f"population: {persona.name} has a 'learned' text, which takes the place of the words of a "
                "disposition: leave it out (a 'biography' is shown beside them), or draw without a share"
            )
