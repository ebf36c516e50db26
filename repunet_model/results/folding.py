"""The state and the measures of a society after each step, folded from the rows of its steps without a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from repunet_model import measures
from repunet_model.games.base import EncounterStatus, Game, Outcome
from repunet_model.memory import Event, Memory
from repunet_model.network import SocialNetwork
from repunet_model.personas import Persona
from repunet_model.questions.base import UNCREDIBLE
from repunet_model.reputation import ReputationLedger, Standings
from repunet_model.storage.reader import update_of
from repunet_model.storage.schema import (
    DECLARATIONS,
    EVENTS,
    GOSSIP,
    INTERACTIONS,
    RECORDS,
    AgentState,
    State,
    StepLog,
)


@dataclass
class Member:
    """An agent of a folded society."""

    persona: Persona
    state: AgentState
    ledger: ReputationLedger
    memory: Memory = field(default_factory=Memory)

    @property
    def name(self) -> str:
        """Its name."""
        return self.persona.name

    @property
    def resources(self) -> Decimal:
        """Its resources, in units."""
        return Decimal(self.state["resources"])


class FoldedSociety:
    """A society whose steps are given as rows.

    Attributes:
        members: The agents by name. States may be changed between steps by what is known of them otherwise.
        network: Ties and blacklists; rows of ties are not folded.
    """

    def __init__(self, game: Game, personas: Sequence[Persona], learned: Mapping[str, Mapping[str, str]]) -> None:
        """Create a society before its first step; learned texts are by name and role."""
        self._game = game
        self._standings = Standings()
        self.network = SocialNetwork(persona.name for persona in personas)
        self.members = {
            persona.name: Member(persona, _first(game, persona, learned), ReputationLedger(self._standings))
            for persona in personas
        }

    def fold(self, step: int, log: StepLog) -> None:
        """Fold the rows of a step."""
        for record in log.rows(RECORDS):
            self.members[record["holder"]].ledger.add(update_of(record, step))
        for event in log.rows(EVENTS):
            told = {name: value for name, value in event.items() if name != "agent"}
            self.members[event["agent"]].memory.add(Event.from_dict(told))
        for member in self.members.values():
            member.state["payoff"] = None
        for row in log.rows(INTERACTIONS):
            for name, payoff in ((row["first"], row["first_payoff"]), (row["second"], row["second_payoff"])):
                state = self.members[name].state
                state["encounters"] += 1
                state["completed"] += row["course"] == EncounterStatus.COMPLETED.value
                if payoff is not None:
                    gained = Decimal(repr(float(payoff)))
                    state["payoff"] = plain_number(Decimal(state["payoff"] or 0) + gained)
                    state["resources"] = plain_number(Decimal(state["resources"]) + gained)
        for message in log.rows(GOSSIP):
            state = self.members[message["listener"]].state
            state["gossip_heard"] += 1
            state["gossip_uncredible"] += message["credibility"] in UNCREDIBLE
        for choice in log.rows(DECLARATIONS):
            self.members[choice["agent"]].state["declared"] = choice["cooperated"]

    def state(self) -> State:
        """Return the present state, as it is stored."""
        return {
            "agents": [{**member.state} for member in self.members.values()],
            "network": self.network.to_dict(),
            "board": [],
            "scores": self._standings.over_roles(self._game.roles, self.members),
        }

    def measures(self, step: int, log: StepLog, seed: int, *, reputation: bool) -> dict[str, Any]:
        """Measure a step that was folded; wishes to gossip that lapsed are None, since no table has them."""
        outcomes = [Outcome.of_row(row, self._game.facts) for row in log.rows(INTERACTIONS)]
        declared = [member.state["declared"] for member in self.members.values()]
        scores = self._standings.over_roles(self._game.roles, self.members) if reputation else None
        return {
            **self._game.measure(outcomes, declared),
            **measures.of_society(self.members.values(), self.network.graph, scores, seed, step),
            **measures.of_step(log, 0),
            "gossip_lapsed": None,
        }


def _first(game: Game, persona: Persona, learned: Mapping[str, Mapping[str, str]]) -> AgentState:
    return {
        "name": persona.name,
        "resources": str(game.parameters.start_resources),
        "payoff": None,
        "learned": dict(learned[persona.name]),
        "declared": None,
        "encounters": 0,
        "completed": 0,
        "gossip_heard": 0,
        "gossip_uncredible": 0,
    }


def plain_number(number: Decimal) -> str:
    """Format a number without an exponent and without zeros at its end."""
    return f"{number.normalize():f}"
