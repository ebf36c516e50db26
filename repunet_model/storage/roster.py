"""Who is in a society: folded from the personas before the first step and the rows of events. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from repunet_model.personas import Persona
from repunet_model.storage.schema import TurnoverRow

BECOMES, ENTERS, LEAVES = "becomes", "enters", "leaves"
"""The kinds of rows of events."""


@dataclass(slots=True)
class Roster:
    """The people of a run after a step.

    Attributes:
        personas: The personas of all agents so far by name, in the order in which they entered.
        present: The names of the agents that are present, in that order, as keys.
        first_names: The name under which the person of an agent first was in the run, for agents that whitewashed.
        planted: The names of the backends that events gave to agents, by agent.
    """

    personas: dict[str, Persona]
    present: dict[str, None]
    first_names: dict[str, str] = field(default_factory=dict)
    planted: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, personas: Iterable[Persona], rows: Iterable[TurnoverRow] = ()) -> Self:
        """Return the people of a run, given those before the first step and the rows of events since."""
        people = {persona.name: persona for persona in personas}
        roster = cls(people, dict.fromkeys(people))
        for row in rows:
            roster.turn(row)
        return roster

    def copy(self) -> Self:
        """Return an independent copy."""
        return type(self)(dict(self.personas), dict(self.present), dict(self.first_names), dict(self.planted))

    def person(self, name: str) -> str:
        """Return the name under which the person of an agent first was in the run."""
        return self.first_names.get(name, name)

    def turn(self, row: TurnoverRow) -> None:
        """Apply a row."""
        name = row["agent"]
        if row["kind"] == LEAVES:
            del self.present[name]
            return
        if row["persona"] is not None:
            self.personas[name] = Persona.model_validate(row["persona"])
            self.present[name] = None
        if row["former"]:
            self.first_names[name] = self.person(row["former"])
        if row["becomes"]:
            self.planted[name] = row["becomes"]
