"""A run as it was after each of its steps: what everybody held, thought, did and was asked.

A step of a run holds what it added, and the small state after it. A chronicle reads each step once and finds in it what
held at any step, for a run on disk and for a society that goes on in memory alike. Questions and answers are read when
somebody looks at them: of a run on disk from there, of a society in memory from a packed copy.
"""

from __future__ import annotations

import json
import math
import zlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Self

from repunet_model import games
from repunet_model.errors import ConfigurationError
from repunet_model.memory import MEMORY_LENGTH, Event
from repunet_model.network import SocialNetwork
from repunet_model.persistence import asked, update_of
from repunet_model.personas import Persona, validated
from repunet_model.reputation import Cause, RecordUpdate, ReputationRecord
from repunet_model.storage import Row, RunFolder, to_json, understood

if TYPE_CHECKING:
    from repunet_model.model import RepuNetModel
    from repunet_model.stages.world import World

_STEP = attrgetter("step")


@dataclass(frozen=True, slots=True)
class Step:
    """What is kept of a step.

    Attributes:
        state: The state after it, as it is stored.
        measures: Its measures; empty where none were taken, as for a seed.
        interactions: Who met whom, and what came of it.
        declarations: Public choices.
        gossip: What was told.
        ties: Ties made and cut.
    """

    state: Mapping[str, Any]
    measures: Mapping[str, float | None]
    interactions: Sequence[Row] = ()
    declarations: Sequence[Row] = ()
    gossip: Sequence[Row] = ()
    ties: Sequence[Row] = ()


class Chronicle:
    """A run as it was after each of its steps.

    Attributes:
        name: What the run is called.
        manifest: What the run is: its parameters and who answers for whom.
        personas: The agents by name, in the order of the population.
        roles: The roles of its game, each once.
        rates: The names of the game's own rates.
        first: The first step that is known: 0, unless a society was taken up in memory later on.
    """

    def __init__(self, name: str, manifest: Mapping[str, Any], personas: Sequence[Persona], first: int = 0) -> None:
        """Begin a chronicle without steps.

        Args:
            name: What the run is called.
            manifest: What the run is.
            personas: Its agents.
            first: The step that will come first.

        Raises:
            RepuNetError: If the run is of a game that is not there.
        """
        game = games.find(manifest["game"])
        self.name = name
        self.manifest = manifest
        self.personas = {persona.name: persona for persona in personas}
        self.roles = tuple(dict.fromkeys(game.roles))
        self.rates = game.rates
        self.first = first
        self._position = {persona.name: position for position, persona in enumerate(personas)}
        self._steps: list[Step] = []
        self._calls: list[bytes] = []
        self._folder: RunFolder | None = None
        self._by_holder: dict[str, dict[tuple[str, str], list[RecordUpdate]]] = {name: {} for name in self.personas}
        self._by_subject: dict[str, dict[tuple[str, str], list[RecordUpdate]]] = {name: {} for name in self.personas}
        self._events: dict[str, list[Event]] = {name: [] for name in self.personas}

    @classmethod
    def of_folder(cls, folder: RunFolder, last: int | None = None) -> Self:
        """Read a stored run.

        Args:
            folder: The run.
            last: The last step to read; None for all.

        Raises:
            RepuNetError: If it cannot be read.
        """
        last = folder.steps()[-1] if last is None else last
        folder.check_step(last)
        with understood(folder):
            people = validated(folder.document(0, "personas"), f"{folder.path}, personas")
            chronicle = cls(folder.path.resolve().name, folder.manifest(), people)
            for number in range(last + 1):
                chronicle._add_stored(folder, number)
        chronicle._folder = folder
        return chronicle

    @classmethod
    def of_model(cls, model: RepuNetModel, name: str = "this society") -> Self:
        """Begin with a society as it is, and go on with every further step of it.

        Args:
            model: The society; no step of it is under way.
            name: What to call it.
        """
        people = [agent.persona for agent in model.agents.to_list()]
        chronicle = cls(name, model.manifest(), people, first=model.steps)
        for agent in model.agents.to_list():
            chronicle._events[agent.name] = list(agent.memory.snapshot())
            for record in agent.ledger.present():
                for update in agent.ledger.history(record.subject, record.role):
                    chronicle._add_update(agent.name, update)
        chronicle._steps.append(Step(model.state, dict(model.measures) if model.steps else {}))
        chronicle._calls.append(_packed([]))
        model.watchers.append(chronicle._watch)
        return chronicle

    def _add_stored(self, folder: RunFolder, number: int) -> None:
        state = folder.document(number, "state")
        measures = folder.document(number, "metrics") if number > 0 else {}
        for row in folder.table(number, "records"):
            self._add_update(row["holder"], update_of(row, number))
        for row in folder.table(number, "events"):
            self._events[row.pop("agent")].append(Event.from_dict(row))
        tables = {name: folder.table(number, name) for name in ("interactions", "declarations", "gossip", "ties")}
        self._steps.append(Step(state, measures, **tables))

    def _watch(self, world: World, state: Mapping[str, Any], measures: Mapping[str, float | None]) -> None:
        """Take in a step of a society in memory."""
        log = world.log
        for row in log.records:
            record = ReputationRecord.from_dict(row)
            self._add_update(row["holder"], RecordUpdate(world.step, Cause(row["cause"]), row["source"], record))
        for row in log.events:
            fields = {name: value for name, value in row.items() if name != "agent"}
            self._events[row["agent"]].append(Event.from_dict(fields))
        self._calls.append(_packed(list(world.desk.rows())))
        self._steps.append(Step(state, measures, log.interactions, log.declarations, log.gossip, log.ties))

    def _add_update(self, holder: str, update: RecordUpdate) -> None:
        subject, role = update.record.subject, update.record.role
        history = self._by_holder[holder].setdefault((subject, role), [])
        self._by_subject.setdefault(subject, {})[holder, role] = history
        history.append(update)

    @property
    def last(self) -> int:
        """The last step."""
        return self.first + len(self._steps) - 1

    def step(self, number: int) -> Step:
        """Return what is kept of a step."""
        return self._steps[number - self.first]

    def persona(self, name: str) -> Persona:
        """Return the persona of a name.

        Raises:
            ConfigurationError: If there is none.
        """
        if name not in self.personas:
            raise ConfigurationError(f"nobody in {self.name} is called {name!r}: choose {', '.join(self.personas)}")
        return self.personas[name]

    def agent_state(self, name: str, step: int) -> Mapping[str, Any]:
        """Return the state of an agent after a step: resources, payoff, learned and so on."""
        state: Mapping[str, Any] = self.step(step).state["agents"][self._position[name]]
        return state

    def network(self, step: int) -> SocialNetwork:
        """Return ties and blacklists after a step."""
        return SocialNetwork.from_dict(self.step(step).state["network"])

    def calls(self, step: int) -> list[Row]:
        """Return the questions of a step with their answers, and the prompts if they were read.

        Raises:
            StorageError: If they cannot be read.
        """
        if self._folder is not None:
            rows = self._folder.table(step, "calls")
        else:
            rows = json.loads(zlib.decompress(self._calls[step - self.first]))
        return list(asked(rows))

    def memory(self, name: str, step: int) -> tuple[Event, ...]:
        """Return what an agent remembers after a step, oldest first."""
        events = self._events[name]
        return tuple(events[: bisect_right(events, step, key=_STEP)][-MEMORY_LENGTH:])

    def opinions_of(self, holder: str, step: int) -> dict[tuple[str, str], Sequence[RecordUpdate]]:
        """Return what an agent thinks after a step and thought before, by subject and role, oldest first."""
        return _until(self._by_holder[holder], step)

    def opinions_about(self, subject: str, step: int) -> dict[tuple[str, str], Sequence[RecordUpdate]]:
        """Return what is thought of an agent after a step and was before, by holder and role, oldest first."""
        return _until(self._by_subject.get(subject, {}), step)

    def score(self, name: str, step: int, role: str | None = None) -> float | None:
        """Return the mean score of an agent after a step, over all who have an opinion of it; None if nobody has.

        Args:
            name: The agent.
            step: The step.
            role: The role it is known in; None for the mean over its roles.
        """
        if role is None:
            known: float | None = self.step(step).state["scores"].get(name)
            return known
        opinions = self.opinions_about(name, step).items()
        scores = [history[-1].record.score for (_, known_role), history in opinions if known_role == role]
        return math.fsum(scores) / len(scores) if scores else None

    def measured(self, name: str, last: int) -> list[tuple[int, float]]:
        """Return a measure by step up to a step, without the steps in which it was not taken."""
        values = ((number, self.step(number).measures.get(name)) for number in range(self.first, last + 1))
        return [(number, value) for number, value in values if value is not None]


def _until(
    histories: Mapping[tuple[str, str], Sequence[RecordUpdate]], step: int
) -> dict[tuple[str, str], Sequence[RecordUpdate]]:
    found = {}
    for key, history in histories.items():
        count = bisect_right(history, step, key=_STEP)
        if count:
            found[key] = history[:count]
    return found


def _packed(rows: Sequence[Row]) -> bytes:
    return zlib.compress(to_json(rows).encode(), level=1)
