"""Import of a published step folder as step 0 of a new run of ours, with the history up to it as tables.

What is read is what the files say. What they say in a form that has no exact counterpart is left out or mapped by a
rule named here, and a line of the import report says so:

- A tie or blacklist entry that is a bare name holds no role. A tie is taken in the roles in which the other completed
  an encounter with the agent (a tie comes of one), a blacklist entry in the role in which the agent last met or heard
  of the other; where memory knows of neither, in the role of those who are chosen.
- Five numbers of a record that sum to 0.95 to 1.05 are scaled. Others are no record: it is left out, and where there
  was an older one, that one stands.
- The step and cause of a record are those at which the one before it was replaced; of a first record they are unknown.
- The disposition of an agent is in no file. It is that of a given persona file or, of the built-in personas, that of
  their name.
- Payoffs and shares follow from amounts by the rules of the game; what differs from a promise by rounding keeps it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from repunet_model.backends.base import Backend
from repunet_model.backends.setup import respondents
from repunet_model.config import RunConfig
from repunet_model.errors import ConfigurationError
from repunet_model.games import find
from repunet_model.games.base import Course
from repunet_model.personas import Persona, Population, built_in, population, validated
from repunet_model.questions.base import UNCREDIBLE
from repunet_model.reference_layout.files import (
    Person,
    Report,
    Snapshot,
    file_of,
    find_step,
    read_snapshot,
)
from repunet_model.reference_layout.history import History
from repunet_model.reference_layout.records import Records
from repunet_model.reference_layout.ties import Ties
from repunet_model.reference_layout.words import EXTRA, PREDICATES, SIGN_UP
from repunet_model.reputation import ReputationLedger, Standings
from repunet_model.storage import Manifest, Row, RunFolder
from repunet_model.storage.reader import update_of
from repunet_model.storage.schema import RecordRow
from repunet_model.util.text import first_problem

OF_COMPLETED = {
    *("first_cooperated", "second_cooperated", "first_judges_second", "second_judges_first"),
    *("amount", "outcome", "actual_share", "reported_outcome", "allocation_reason", "conversation", "summary"),
}
"""The columns of interactions that only an encounter has that took place in full."""

_KEPT = {"dialogue_turns": 2, "questions": "single", "label": ""}
"""Parameters that an export of ours keeps, with what they are in a run of the published implementation."""

NAMED = (("invest", "investment"), ("pd_game", "prisoners_dilemma"), ("sign", "sign_up"))
"""What the name of a published run says of its game."""

_TRAITS = re.compile(
    r"(?:You are|I am) [^,.]+, an? (\d{1,3})-year-old (\w+) from ((?:the )?[A-Z][\w'-]*(?: [A-Z][\w'-]*)*)"
)


@dataclass(frozen=True, slots=True)
class Imported:
    """An import that is done.

    Attributes:
        folder: The new run.
        step: The published step it starts from.
        counts: How much of everything was read.
        report: What could not be read exactly, one line each.
    """

    folder: RunFolder
    step: int
    counts: Mapping[str, int]
    report: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the user says of a run where its files may not; None to go by the files.

    Attributes:
        game: The game.
        reputation: Whether agents keep reputations.
        gossip: Whether they gossip.
        personas: A persona file with the traits and dispositions.
    """

    game: str | None = None
    reputation: bool | None = None
    gossip: bool | None = None
    personas: Path | None = None


def import_run(
    path: Path,
    storage: Path,
    name: str | None = None,
    told: Told | None = None,
    backend: str | Backend = "rules",
    seed: int = 1,
) -> Imported:
    """Make a run of ours from a published one.

    Args:
        path: A step folder, or a run folder, of which the last step is taken.
        storage: The folder of all runs.
        name: The name of the new run; None for one after the source.
        told: What the files may not say.
        backend: Who answers in the steps to come.
        seed: The seed of the steps to come; published runs do not say theirs.

    Raises:
        RepuNetError: If it cannot be read or written; no run is left behind.
    """
    reading = _Reading(read_snapshot(find_step(path)), told or Told())
    try:
        documents, tables = reading.documents(), reading.tables()
        standings = Standings()
        ledgers: dict[str, ReputationLedger] = defaultdict(lambda: ReputationLedger(standings))
        for row in tables["records"]:
            ledgers[row["holder"]].add(update_of(cast("RecordRow", row), step=0))
        roles, names = find(reading.game).roles, reading.snapshot.names
        documents["state"]["scores"] = standings.over_roles(roles, names)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        # The layout's own fields are checked one by one; this is what an export of ours has kept beside them.
        raise ConfigurationError(f"{path}: damaged under {EXTRA!r}, {type(error).__name__} {error}") from error
    documents["import_report"] = reading.report.lines
    config = RunConfig.checked(
        {
            "game": reading.game,
            "reputation": reading.reputation,
            "gossip": reading.gossip,
            # Published runs of these two games play one pair after another.
            "activation": reading.kept(
                "activation", "simultaneous" if reading.game == "prisoners_dilemma" else "sequential"
            ),
            **{name: reading.kept(name, default) for name, default in _KEPT.items()},
            "seed": reading.kept("seed", seed),
        }
    )
    learned = {agent["name"]: agent["learned"] for agent in documents["state"]["agents"]}
    people = Population(reading.snapshot.source, validated(documents["personas"], reading.snapshot.source))
    manifest = Manifest.of_run(
        config,
        people.described(learned),
        respondents(backend).to_dict(),
        imported={"from": reading.snapshot.source, "step": reading.step},
    )
    default = re.sub(r"[^A-Za-z0-9._-]+", "_", f"imported_{reading.snapshot.source.replace('/', '_')}")
    folder = RunFolder.create(storage, name, default[:90].rstrip("._-") or "imported", manifest, documents, tables)
    return Imported(folder, reading.step, reading.counts(documents["state"], tables), tuple(reading.report.lines))


@dataclass
class _Reading:
    """A published step on its way into ours.

    Attributes:
        snapshot: What is read.
        told: What the user says of it.
        report: What could not be read exactly.
    """

    snapshot: Snapshot
    told: Told
    report: Report = field(default_factory=Report)

    @property
    def step(self) -> int:
        """The published step."""
        return self.snapshot.meta.step

    @cached_property
    def history(self) -> History:
        """What happened up to the step."""
        return History(self.snapshot, find(self.game), self.report)

    def kept(self, name: str, default: Any) -> Any:
        """Return what an export of ours has kept of the run beside the layout."""
        return self.snapshot.meta.extra.get(name, default)

    # What is played, and how

    @cached_property
    def game(self) -> str:
        """The game: as told, as kept, as the files show, as the name of the run says."""
        shown = set(self._games_in_files())
        if len(shown) > 1:
            raise ConfigurationError(f"{self.snapshot.source} holds more than one game: {', '.join(sorted(shown))}")
        known = self.told.game or self.kept("game", None) or next(iter(shown), None)
        if shown and known not in shown:
            raise ConfigurationError(f"{self.snapshot.source} is of the game {shown.pop()!r}, not {known!r}")
        if known is None:
            named = {game for word, game in NAMED if word in self.snapshot.source.lower()}
            if len(named) != 1:
                raise ConfigurationError(
                    f"{self.snapshot.source}: nothing says which game it is, name it by --scenario"
                )
            known = named.pop()
            self.report.say(self.snapshot.source, "no file says which game it is", f"{known} by the folder's name")
        if known not in PREDICATES:
            raise ConfigurationError(f"the game {known!r} is not one of the published: {', '.join(PREDICATES)}")
        return find(known).name

    def _games_in_files(self) -> Iterator[str]:
        by_role = {role: name for name in PREDICATES for role in find(name).roles}
        for person in self.snapshot.people:
            if isinstance(person.scratch.learned, dict):
                yield from (by_role[role] for role in person.scratch.learned if role in by_role)
            for entry in (*person.records.values(), *person.old_records.values()):
                if isinstance(entry, dict) and str(entry.get("role")).lower() in by_role:
                    yield by_role[str(entry["role"]).lower()]
            for node in person.nodes:
                if isinstance(node, dict):
                    predicate = "basic chat" if node.get("predicate") == SIGN_UP else node.get("predicate")
                    yield from (game for game, word in PREDICATES.items() if word == predicate)

    @cached_property
    def reputation(self) -> bool:
        """Whether agents keep reputations."""
        held = any(person.records for person in self.snapshot.people)
        return self._mode("reputation", "repu", self.told.reputation, held)

    @cached_property
    def gossip(self) -> bool:
        """Whether they gossip."""
        return self._mode("gossip", "gossip", self.told.gossip, any(person.gossip for person in self.snapshot.people))

    def _mode(self, name: str, word: str, told: bool | None, shown: bool) -> bool:
        """Return whether a part of the mechanism is on: as told, as kept, as the files show, as the name says."""
        if told is not None:
            return told
        kept = self.kept(name, None)
        if isinstance(kept, bool):
            return kept
        if shown:
            return True
        source = self.snapshot.source.lower()
        on = f"without_{word}" not in source
        self.report.say(
            self.snapshot.source,
            f"no file shows whether there is {name}",
            f"{'on' if on else 'off'} {'by the name of the folder' if word in source else 'by default'}",
        )
        return on

    # Agents

    def documents(self) -> dict[str, Any]:
        """Return personas and state."""
        people = [self._persona(person).model_dump(mode="json") for person in self.snapshot.people]
        agents = [self._state(person) for person in self.snapshot.people]
        ties = Ties(self.snapshot, find(self.game), self.history, self.report).network()
        return {
            "personas": people,
            "state": {"agents": agents, "network": ties.to_dict(), "board": self._board()},
        }

    @cached_property
    def _known_personas(self) -> Mapping[str, Persona]:
        if self.told.personas is not None:
            return {
                persona.name: persona
                for persona in population(str(self.told.personas), self.game, find(self.game).roles, None).personas
            }
        known = {persona.name: persona for persona in built_in(self.game)}
        taken = [name for name in self.snapshot.names if name in known and not self._kept_persona(name)]
        if taken:
            self.report.say(
                "scratch.json",
                f"dispositions are in no file ({len(taken)} agents)",
                "those of the built-in personas of the same names, whatever `learned` says; name others by --personas",
            )
        return known

    def _kept_persona(self, name: str) -> Any:
        return next(person for person in self.snapshot.people if person.name == name).scratch.extra.get("persona")

    def _persona(self, person: Person) -> Persona:
        kept = self._kept_persona(person.name)
        try:
            if kept is not None:
                return Persona.model_validate({**kept, "name": person.name})
            if person.name not in self._known_personas:
                raise ConfigurationError(
                    f"{person.name}: the published layout holds no disposition, give --personas FILE"
                )
            learned = set(self._learned(person).values())
            first = learned.pop().strip() if self.step == 0 and len(learned) == 1 else ""
            known = self._known_personas[person.name].model_dump(exclude={"learned"})
            return Persona.model_validate({**known, **self._traits(person, known), "learned": first or None})
        except ValidationError as error:
            raise ConfigurationError(f"{person.name}: {first_problem(error)}") from None

    def _traits(self, person: Person, known: Row) -> Row:
        """Return age, gender and country as `learned` opens with them; others are those that are known."""
        for text in self._learned(person).values():
            found = _TRAITS.match(text)
            if found is None or found[2] not in {"male", "female"}:
                continue
            told = {"age": int(found[1]), "gender": found[2], "country": found[3]}
            if told["age"] != known["age"] and known["age"] is not None:
                self.report.say(file_of(person, "scratch.json"), f"age {told['age']}", f"{known['age']} is known")
            return {name: value for name, value in told.items() if known[name] is None}
        return {}

    def _learned(self, person: Person) -> dict[str, str]:
        roles = find(self.game).roles
        learned = person.scratch.learned
        if isinstance(learned, str):
            return dict.fromkeys(roles, learned)
        missing = [role for role in roles if role not in learned]
        if missing:
            raise ConfigurationError(f"{file_of(person, 'scratch.json')}: `learned` says nothing as {missing[0]}")
        return {role: learned[role] for role in roles}

    def _state(self, person: Person) -> Row:
        scratch, extra = person.scratch, person.scratch.extra.get("state", {})
        heard = [row for row in self.history.gossip if row["listener"] == person.name]
        total = scratch.total_chat_num or scratch.total_num_investor + scratch.total_num_trustee
        success = scratch.success_chat_num or scratch.success_num_investor + scratch.success_num_trustee
        if scratch.complain_buffer:
            count = len(scratch.complain_buffer)
            self.report.say(file_of(person, "scratch.json"), f"{count} wish(es) to gossip left over", "left out")
        return {
            "name": person.name,
            "resources": self._resources(person),
            "payoff": extra.get("payoff", self._last_payoff(person)),
            "learned": self._learned(person),
            "declared": extra.get("declared", self._declared(person)),
            "encounters": int(extra.get("encounters", total)),
            "completed": int(extra.get("completed", success)),
            "gossip_heard": int(extra.get("gossip_heard", len(heard))),
            "gossip_uncredible": int(
                extra.get("gossip_uncredible", sum(row["credibility"] in UNCREDIBLE for row in heard))
            ),
        }

    def _resources(self, person: Person) -> str:
        """Return what an agent owns, with the digits that an export of ours has kept if the value is the same."""
        value = person.scratch.resources_unit
        exact = str(person.scratch.extra.get("state", {}).get("resources", value))
        return exact if re.fullmatch(r"-?\d+(\.\d+)?", exact) and float(exact) == float(value) else f"{value:f}"

    def _last_payoff(self, person: Person) -> str | None:
        last = [event for event in self.history.events[person.name] if event["step"] == self.step]
        return f"{Decimal(repr(last[-1]['payoff'])):f}" if last and last[-1]["payoff"] is not None else None

    def _declared(self, person: Person) -> bool | None:
        own = [row["cooperated"] for row in self.history.declarations if row["agent"] == person.name]
        return own[-1] if own else None

    def _board(self) -> list[Any]:
        observed = {len(person.scratch.observed) for person in self.snapshot.people} - {0}
        board = list(self.kept("board", []))
        if observed and not board:
            self.report.say(
                "scratch.json",
                "observations hold neither observer nor judgement",
                f"left out, up to {max(observed)} each",
            )
        return board

    # All of it

    def tables(self) -> dict[str, list[Row]]:
        """Return the history up to the step."""
        interactions = list(self.history.interactions.values())
        for column in interactions[0] if interactions else ():
            self._say_missing(column, interactions)
        return {
            "interactions": interactions,
            "events": [event for name in self.snapshot.names for event in self.history.events[name]],
            "records": Records(self.snapshot, find(self.game), self.history.gossip, self.report).rows(),
            "gossip": self.history.gossip,
            "declarations": self.history.declarations,
        }

    def _say_missing(self, column: str, rows: list[Row]) -> None:
        """Say how often a column is not told where it could be."""
        completed = [row for row in rows if row["course"] == Course.COMPLETED.value]
        asked = completed if column in OF_COMPLETED else rows
        missing = sum(row[column] is None for row in asked)
        if missing:
            kind = "completed encounters" if asked is completed else "encounters"
            self.report.say("interactions", f"{column} is not told of {missing} of {len(asked)} {kind}", "null")

    def counts(self, state: Row, tables: Mapping[str, list[Row]]) -> dict[str, int]:
        """Return how much was read."""
        present = {(row["holder"], row["subject"], row["role"]) for row in tables["records"]}
        network = state["network"]
        return {
            "agents": len(state["agents"]),
            "ties": len(network["ties"]),
            "blacklisted": sum(len(entries) for entries in network["blacklists"].values()),
            "present records": len(present),
            **{name: len(rows) for name, rows in tables.items() if rows},
        }
