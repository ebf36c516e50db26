"""Turnover: the stage in which events happen to agents, and the plan of what they will do.

The plan follows from the seed, the agents and the events alone, so that it is known, and checked, before the first
step. Agents that enter have the personas of the set that are left, in a random order, and then personas of the run
under new names, which are made of the parts of known ones. An agent that enters has no past: no records, no ties, no
memory, and the resources of the start. One that leaves takes its records with it; others keep theirs of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from repunet_model.errors import ConfigurationError
from repunet_model.events import ENTER, LEAVE, WHITEWASH, Event
from repunet_model.personas import LONGEST_LABEL, Persona, Population, population
from repunet_model.stages.base import PopulationStage
from repunet_model.storage.roster import BECOMES, ENTERS, LEAVES, Roster
from repunet_model.storage.schema import TURNOVER, TurnoverRow
from repunet_model.util.shares import part

if TYPE_CHECKING:
    from random import Random

    from repunet_model.rng import Streams
    from repunet_model.stages.world import StepContext

_TRIES = 100
"""How many names are drawn from the parts of known ones before one is numbered."""


class Turnover(PopulationStage):
    """The stage in which the events of a step happen, before all others."""

    name: ClassVar[str] = "turnover"

    @classmethod
    def takes_part(cls, world: StepContext) -> bool:
        """Whether the step has events."""
        return bool(world.turnover)

    async def decide(self) -> None:
        """Do nothing: what happens is planned."""

    def apply(self) -> None:
        """Turn, remove and add agents, and log it."""
        for row in self.world.turnover:
            self.world.members.turn(row, self.world.network)
            self.world.log.add(TURNOVER, row)


BackendOf = Callable[[str, str], Mapping[str, Any]]
"""Returns the description of the backend of a person, given its name and that of the backend an event gave to it."""


def plan(
    events: Iterable[str],
    roster: Roster,
    streams: Streams,
    entering: Sequence[Persona],
    backend_of: BackendOf,
    after: int = 0,
) -> dict[int, list[TurnoverRow]]:
    """Return the rows of the events after a step, by step.

    Args:
        events: The events of the run.
        roster: The people after the step.
        streams: The random streams of the run.
        entering: The personas of agents that enter, in their order; then come those of the run, under new names.
        backend_of: See `BackendOf`; the name that an event gave is "" for a person that has its own backend.
        after: The step.

    Raises:
        ConfigurationError: If an event concerns agents that are not there, or would leave fewer than two.
    """
    planner = _Planner(streams, entering, backend_of)
    roster = roster.copy()
    planned: dict[int, list[TurnoverRow]] = {}
    for place, event in enumerate(map(Event.read, events)):
        if event.step > after and (rows := planner.rows(event, place, roster)):
            planned.setdefault(event.step, []).extend(rows)
            if len(roster.present) < 2:
                raise ConfigurationError(
                    f"event '{event}': would leave {len(roster.present)} of the agents; at least 2 are needed to meet"
                )
    return planned


class _Planner:
    """Planner of the events of a run; arguments as those of `plan`."""

    def __init__(self, streams: Streams, entering: Sequence[Persona], backend_of: BackendOf) -> None:
        self._streams = streams
        self._entering = entering
        self._backend_of = backend_of

    def rows(self, event: Event, place: int, roster: Roster) -> list[TurnoverRow]:
        """Return the rows of an event, and apply them to the roster."""
        rows: list[TurnoverRow] = []

        def turn(name: str, kind: str, becomes: str = "", former: str = "", persona: Persona | None = None) -> None:
            data = None if persona is None else persona.model_dump(mode="json")
            rows.append(
                {
                    "event": str(event),
                    "agent": name,
                    "kind": kind,
                    "becomes": becomes,
                    "former": former,
                    "persona": data,
                }
            )
            roster.turn(rows[-1])

        if event.becomes == ENTER:
            wanted = self._count(event, roster)
            left = [persona for persona in self._entering if persona.name not in roster.personas][:wanted]
            for persona in left:
                turn(persona.name, ENTERS, persona=persona)
            people = list(roster.personas.values())
            for number in range(len(left), wanted):
                draw = self._streams.at("events", place, event.step, number)
                name = _new_name(people, roster, draw)
                turn(name, ENTERS, persona=draw.choice(people).model_copy(update={"name": name}))
            return rows
        people = list(roster.personas.values())
        for number, name in enumerate(self._chosen(event, roster)):
            if event.becomes == LEAVE:
                turn(name, LEAVES)
            elif event.becomes == WHITEWASH:
                new = _new_name(people, roster, self._streams.at("events", place, event.step, number))
                turn(name, LEAVES)
                again = roster.personas[name].model_copy(update={"name": new})
                turn(new, ENTERS, roster.planted.get(name, ""), former=name, persona=again)
            else:
                turn(name, BECOMES, event.becomes)
        return rows

    def _chosen(self, event: Event, roster: Roster) -> list[str]:
        """Return the agents that an event concerns, in the order of the draw or as they are named."""
        by_person = {roster.person(name): name for name in roster.present}
        if event.names:
            for name in event.names:
                if by_person.get(roster.person(name)) is None:
                    why = "left before" if name in roster.personas else "is no agent"
                    raise ConfigurationError(f"event '{event}': {name!r} {why}")
            return [by_person[roster.person(name)] for name in event.names]
        free = by_person
        if event.plants:
            goal = self._backend_of("", event.becomes)
            free = {
                person: name
                for person, name in by_person.items()
                if self._backend_of(person, roster.planted.get(name, "")) != goal
            }
        wanted = self._count(event, roster)
        if wanted > len(free):
            are = f"{len(free)} are not {event.becomes} yet" if event.plants else f"{len(free)} are there"
            raise ConfigurationError(f"event '{event}': concerns {wanted} agents, and {are}")
        order = sorted(free, key=lambda person: self._streams.digest("events", person))
        return [free[person] for person in order[:wanted]]

    def _count(self, event: Event, roster: Roster) -> int:
        """Return how many agents an event concerns that draws them."""
        if event.share is not None:
            return part(len(roster.present), event.share)
        assert event.agents is not None
        return event.agents


def newcomers(
    events: Iterable[str],
    personas: str | Sequence[Persona] | Population,
    game: str,
    roles: Sequence[str],
    present: Sequence[Persona],
    streams: Streams,
    learned: Callable[[Persona], Mapping[str, str]],
) -> dict[str, Any]:
    """Return the personas of agents that enter in events, for the manifest of a run.

    Args:
        events: The events.
        personas: The set from which the agents of the run are, as in `personas.population`.
        game: The name of the game.
        roles: The roles of the game.
        present: The personas of the agents before the first step.
        streams: The random streams of the run.
        learned: Returns the initial texts of a persona by role.

    Returns:
        Under "personas" those of the set that nobody has, in a random order, as many as may be needed, and under "set"
        a hash of the set; nothing if nobody enters or none is left.
    """
    entering = [event for event in map(Event.read, events) if event.becomes == ENTER]
    if not entering:
        return {}
    if isinstance(personas, Population) and personas.newcomers:
        return dict(personas.newcomers)
    whole = population(personas, game, roles, None)
    taken = {persona.name for persona in present}
    left = [persona for persona in whole.personas if persona.name not in taken]
    if not left:
        return {}
    streams.at("events", "newcomers").shuffle(left)
    most = (
        len(left) if any(event.agents is None for event in entering) else sum(event.agents or 0 for event in entering)
    )
    return {
        "set": whole.described({persona.name: learned(persona) for persona in whole.personas})["sha256"],
        "personas": [persona.model_dump(mode="json") for persona in left[:most]],
    }


def _new_name(people: Sequence[Persona], roster: Roster, draw: Random) -> str:
    """Return a name that nobody has had, from the first word of one known name and the others of another."""
    for _ in range(_TRIES):
        first, last = draw.choice(people).name.split(), draw.choice(people).name.split()
        name = " ".join([first[0], *last[1:]])
        if name not in roster.personas and len(name) <= LONGEST_LABEL:
            return name
    base = draw.choice(people).name[: LONGEST_LABEL - 10]
    number = 2
    while f"{base} {number}" in roster.personas:
        number += 1
    return f"{base} {number}"
