"""The state of a run after each of its steps: ties, opinions, memories, events and questions.

A step stores only its own additions and a small state. A chronicle reads each step once and reconstructs the state
after any step, for a stored run and for a model in memory. Questions and answers are read on demand: from disk for a
stored run, from a compressed copy for a model.
"""

from __future__ import annotations

import json
import math
import zlib
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Self, cast

from repunet_model.errors import ConfigurationError
from repunet_model.memory import MEMORY_LENGTH, Event, Heard
from repunet_model.network import SocialNetwork
from repunet_model.personas import Persona
from repunet_model.reputation import RecordUpdate
from repunet_model.results.stored_game import game_of
from repunet_model.storage import Manifest, Step, StepReader, to_json, understood
from repunet_model.storage.roster import LEAVES, Roster
from repunet_model.storage.schema import (
    CALLS,
    DECLARATIONS,
    GOSSIP,
    INTERACTIONS,
    TIES,
    TURNOVER,
    AgentState,
    CallRow,
    Row,
    StepLog,
    TurnoverRow,
)

if TYPE_CHECKING:
    from repunet_model.model import RepuNetModel

_STEP = attrgetter("step")

_KEPT = (INTERACTIONS, DECLARATIONS, GOSSIP, TIES, TURNOVER)
"""The tables that a chronicle holds in memory."""


class Chronicle:
    """The state of a run after each of its steps.

    Attributes:
        name: The name of the run.
        manifest: The description of the run: parameters and backends.
        roles: The distinct roles of the game.
        rates: The names of the game's rates.
        first: The first known step; 0 unless a model joined at a later step.
    """

    def __init__(
        self,
        name: str,
        manifest: Manifest,
        personas: Sequence[Persona],
        roles: Sequence[str],
        rates: Sequence[str],
        first: int = 0,
    ) -> None:
        """Create a chronicle without steps."""
        self.name = name
        self.manifest = manifest
        self._roster = Roster.of(personas)
        self._left: dict[str, int] = {}
        self._entered: dict[str, int] = {}
        self._places = {persona.name: place for place, persona in enumerate(personas)}
        self.roles = tuple(dict.fromkeys(roles))
        self.rates = tuple(rates)
        self.first = first
        self._steps: list[Step] = []
        self._by_holder: dict[str, dict[tuple[str, str], list[RecordUpdate]]] = defaultdict(dict)
        self._by_subject: dict[str, dict[tuple[str, str], list[RecordUpdate]]] = defaultdict(dict)
        self._events: dict[str, list[Event]] = defaultdict(list)
        self._heard: dict[str, list[tuple[int, Heard]]] = defaultdict(list)

    @classmethod
    def of_run(cls, run: StepReader, last: int | None = None) -> Self:
        """Read a stored run up to step `last` (None: all steps); raise RepuNetError if it cannot be read."""
        with understood(run.folder):
            game = game_of(run)
            chronicle = cls(run.name, run.manifest, run.personas, game.roles, game.rates)
            for step in run.steps(last=last):
                chronicle._add(step)
        return chronicle

    @classmethod
    def of_model(cls, model: RepuNetModel, name: str = "this society") -> Self:
        """Start with the present state of a model, which must be between two steps, and add each further step."""
        people = [agent.persona for agent in model.agents.to_list()]
        chronicle = cls(name, model.manifest(), people, model.game.roles, model.game.rates, first=model.steps)
        for agent in model.agents.to_list():
            chronicle._events[agent.name] = list(agent.memory.snapshot())
            chronicle._heard[agent.name] = [(model.steps, heard) for heard in agent.memory.heard()]
            for record in agent.ledger.present():
                for update in agent.ledger.history(record.subject, record.role):
                    chronicle._add_update(agent.name, update)
        measures = dict(model.measures)
        chronicle._steps.append(Step.made(model.steps, model.state, measures, {}, StepLog(), tuple))
        model.watchers.append(chronicle._watch)
        return chronicle

    def _watch(self, step: Step) -> None:
        """Add a step of a model in memory, with its calls compressed."""
        log, packed = StepLog(), zlib.compress(to_json(list(step.rows(CALLS))).encode(), level=1)
        for table in _KEPT:
            for row in step.rows(table):
                log.add(table, row)

        def calls() -> list[CallRow]:
            return cast("list[CallRow]", json.loads(zlib.decompress(packed)))

        self._add(step)
        self._steps[-1] = Step.made(step.number, step.state, step.measures, step.usage, log, calls)

    def _add(self, step: Step) -> None:
        for row in step.rows(TURNOVER):
            self._roster.turn(row)
            if row["kind"] == LEAVES:
                self._left[row["agent"]] = step.number
            elif row["persona"] is not None:
                self._entered[row["agent"]] = step.number
        for holder, update in step.updates():
            self._add_update(holder, update)
        for name, event in step.events():
            self._events[name].append(event)
        for name, heard in step.heard():
            self._heard[name].append((step.number, heard))
        for table in _KEPT:  # read now, so that damage is reported when the run is opened
            step.rows(table)
        _ = step.state, step.measures
        self._steps.append(step)

    def _add_update(self, holder: str, update: RecordUpdate) -> None:
        subject, role = update.record.subject, update.record.role
        history = self._by_holder[holder].setdefault((subject, role), [])
        self._by_subject[subject][holder, role] = history
        history.append(update)

    @property
    def personas(self) -> Mapping[str, Persona]:
        """The personas of all agents so far by name, in the order in which they entered."""
        return self._roster.personas

    def present(self, step: int) -> list[str]:
        """Return the agents that are present after a step, in the order of the population."""
        return [agent["name"] for agent in self.step(step).state["agents"]]

    def entered(self, name: str) -> int:
        """Return the first known step after which an agent is present."""
        return self._entered.get(name, self.first)

    def turnover(self, step: int) -> list[TurnoverRow]:
        """Return what events did to agents at the start of a step."""
        return self.step(step).rows(TURNOVER)

    def backend_of(self, name: str, step: int) -> Row:
        """Return the description of the backend of an agent in a step."""
        return self.manifest.backend_of(*self.backend_key(name, step))

    def backend_key(self, name: str, step: int) -> tuple[str, str]:
        """Return an agent's first name in the run, and the name of the backend that an event gave it, or ""."""
        return self._roster.person(name), self.agent_state(name, step).get("planted", "")

    @property
    def last(self) -> int:
        """The last step."""
        return self.first + len(self._steps) - 1

    def step(self, number: int) -> Step:
        """Return a step."""
        return self._steps[number - self.first]

    def persona(self, name: str) -> Persona:
        """Return the persona with a name; raise ConfigurationError if there is none."""
        if name not in self.personas:
            raise ConfigurationError(f"nobody in {self.name} is called {name!r}: choose {', '.join(self.personas)}")
        return self.personas[name]

    def agent_state(self, name: str, step: int) -> AgentState:
        """Return the state of an agent after a step: resources, payoff, learned and so on.

        Raises:
            ConfigurationError: If the agent is not present.
        """
        agents = self.step(step).state["agents"]
        place = self._places.get(name, 0)
        if place >= len(agents) or agents[place]["name"] != name:  # others left or entered since
            found = (place for place, agent in enumerate(agents) if agent["name"] == name)
            place = self._places[name] = next(found, -1)
        if place < 0:
            raise ConfigurationError(f"{name} is not present after step {step} of {self.name}")
        return agents[place]

    def network(self, step: int) -> SocialNetwork:
        """Return ties and blacklists after a step."""
        return self.step(step).network

    def calls(self, step: int) -> list[CallRow]:
        """Return the questions of a step with answers and rendered prompts; raise StorageError if unreadable."""
        return list(self.step(step).asked())

    def memory(self, name: str, step: int) -> tuple[Event, ...]:
        """Return the events that an agent remembers after a step, oldest first."""
        events = self._events.get(name, [])
        return tuple(events[: bisect_right(events, step, key=_STEP)][-MEMORY_LENGTH:])

    def heard(self, name: str, step: int) -> tuple[Heard, ...]:
        """Return the messages of gossip that an agent remembers after a step, oldest first."""
        messages = self._heard.get(name, [])
        return tuple(heard for _, heard in messages[: bisect_right(messages, step, key=itemgetter(0))][-MEMORY_LENGTH:])

    def opinions_of(self, holder: str, step: int) -> dict[tuple[str, str], Sequence[RecordUpdate]]:
        """Return the records an agent wrote up to a step, by subject and role, oldest first."""
        return _until(self._by_holder.get(holder, {}), step)

    def opinions_about(self, subject: str, step: int) -> dict[tuple[str, str], Sequence[RecordUpdate]]:
        """Return the records about an agent up to a step, by holder and role, oldest first."""
        return _until(self._by_subject.get(subject, {}), step)

    def score(self, name: str, step: int, role: str | None = None) -> float | None:
        """Return the mean score of an agent after a step, over the records about it; None without any.

        Without a role, the score is the mean over the agent's roles; so it is under an institution that does not tell
        roles apart, an image or a board.
        """
        state = self.step(step).state
        if role is None or "images" in state or "reports" in state:
            return state["scores"].get(name)
        scores = [
            history[-1].record.score
            for (holder, known_role), history in self.opinions_about(name, step).items()
            if known_role == role and self._left.get(holder, step + 1) > step
        ]
        return math.fsum(scores) / len(scores) if scores else None

    def measured(self, name: str, last: int) -> list[tuple[int, float]]:
        """Return the steps up to `last` with a value of a measure, and the values."""
        values = ((number, self.step(number).measures.get(name)) for number in range(self.first, last + 1))
        return [(number, value) for number, value in values if value is not None]


def _until(
    histories: Mapping[tuple[str, str], Sequence[RecordUpdate]], step: int
) -> dict[tuple[str, str], Sequence[RecordUpdate]]:
    counts = {key: bisect_right(history, step, key=_STEP) for key, history in histories.items()}
    return {key: histories[key][:count] for key, count in counts.items() if count}
