"""Import a published step folder as step 0 of a new run, with the history up to it as tables.

Entries without an exact counterpart are left out or mapped by one of these rules, and reported in the import report:

- A tie or blacklist entry that is a bare name has no role. A tie takes the roles of the other in their completed
  encounters, a blacklist entry the role in which the agent last met or heard of the other; without either, it takes
  the role of those who are chosen.
- Five numbers of a record that sum to 0.95 to 1.05 are scaled. Other records are left out; an older one then remains.
- The step and cause of a record are those at which its predecessor was replaced; those of a first record are unknown.
- No file holds dispositions. They come from a persona file, or from the built-in personas of the same names.
- Payoffs and shares follow from amounts by the rules of the game; a rounding difference to a promise is ignored.
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
from repunet_model.games.base import EncounterStatus
from repunet_model.personas import Persona, Population, built_in, population, validated
from repunet_model.questions.base import UNCREDIBLE
from repunet_model.questions.prompt_sets import PromptSet
from repunet_model.reference_layout.files import Person, Report, Snapshot, find_step, read_snapshot
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
"""The columns of interactions that only completed encounters have."""

_KEPT = {"dialogue_turns": 2, "questions": "single", "mechanism": "published", "label": ""}
"""Parameters stored by our export, with their values in runs of the published implementation."""

NAMED = (("invest", "investment"), ("pd_game", "prisoners_dilemma"), ("sign", "sign_up"))
"""Parts of the names of published runs, and the game that each stands for."""

_TRAITS = re.compile(
    r"(?:You are|I am) [^,.]+, an? (\d{1,3})-year-old (\w+) from ((?:the )?[A-Z][\w'-]*(?: [A-Z][\w'-]*)*)"
)


@dataclass(frozen=True, slots=True)
class Imported:
    """A finished import: the new run, its published step, the number of entries by kind, and the import report."""

    folder: RunFolder
    step: int
    counts: Mapping[str, int]
    report: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Facts about a published run that the user states, and a persona file; None to infer them from its files."""

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
    """Import a published run.

    Args:
        path: A step folder, or a run folder, whose last step is imported.
        storage: The folder of all runs.
        name: The name of the new run; None derives one from the path.
        told: Facts that the files may not hold.
        backend: The backend of the following steps.
        seed: The seed of the following steps; published runs do not store theirs.

    Raises:
        RepuNetError: If the run cannot be read or written; no partial run remains.
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
        # The layout's own fields are checked one by one, so the damage is in those that our export added.
        raise ConfigurationError(f"{path}: damaged under {EXTRA!r}, {type(error).__name__} {error}") from error
    documents["import_report"] = reading.report.lines
    # Published runs of the other two games play one pair after another.
    activation = "simultaneous" if reading.game == "prisoners_dilemma" else "sequential"
    config = RunConfig.checked(
        {
            "game": reading.game,
            "reputation": reading.reputation,
            "gossip": reading.gossip,
            "activation": reading.kept("activation", activation),
            **{name: reading.kept(name, default) for name, default in _KEPT.items()},
            "seed": reading.kept("seed", seed),
        }
    )
    learned = {agent["name"]: agent["learned"] for agent in documents["state"]["agents"]}
    people = Population(reading.snapshot.source, validated(documents["personas"], reading.snapshot.source))
    game = find(reading.game, reading.kept("game_parameters", {}))
    chosen = PromptSet.restored(reading.kept("prompts", {}))
    manifest = Manifest.of_run(
        config,
        people.described(learned),
        respondents(backend).to_dict(),
        game.prompts(config, chosen).system,
        game_parameters=game.parameters.stored(),
        network=reading.kept("network", {"kind": "none"}),
        prompts=chosen.described(game.name),
        imported={"from": reading.snapshot.source, "step": reading.step},
    )
    default = re.sub(r"[^A-Za-z0-9._-]+", "_", f"imported_{reading.snapshot.source.replace('/', '_')}")
    folder = RunFolder.create(storage, name, default[:90].rstrip("._-") or "imported", manifest, documents, tables)
    return Imported(folder, reading.step, reading.counts(documents["state"], tables), tuple(reading.report.lines))


@dataclass
class _Reading:
    """The conversion of a published step."""

    snapshot: Snapshot
    told: Told
    report: Report = field(default_factory=Report)

    @property
    def step(self) -> int:
        """The published step."""
        return self.snapshot.meta.step

    @cached_property
    def history(self) -> History:
        """The history up to the step."""
        return History(self.snapshot, find(self.game), self.report)

    def kept(self, name: str, default: Any) -> Any:
        """Return a value that our export stored beside the layout."""
        return self.snapshot.meta.extra.get(name, default)

    @cached_property
    def game(self) -> str:
        """The game: stated by the user, stored by our export, shown by the files, or implied by the run's name."""
        shown = set(self._games_in_files())
        if len(shown) > 1:
            raise ConfigurationError(f"{self.snapshot.source} holds more than one game: {', '.join(sorted(shown))}")
        known = self.told.game or self.kept("game", None) or next(iter(shown), None)
        if shown and known not in shown:
            raise ConfigurationError(f"{self.snapshot.source} is of the game {shown.pop()!r}, not {known!r}")
        if known is None:
            named = {game for word, game in NAMED if word in self.snapshot.source.lower()}
            if len(named) != 1:
                raise ConfigurationError(f"{self.snapshot.source}: the game is unknown; name it with --scenario")
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
        """Whether agents gossip."""
        return self._mode("gossip", "gossip", self.told.gossip, any(person.gossip for person in self.snapshot.people))

    def _mode(self, name: str, word: str, told: bool | None, shown: bool) -> bool:
        """Whether a part of the mechanism is on; the sources and their order are those of `game`."""
        if told is not None:
            return told
        kept = self.kept(name, None)
        if isinstance(kept, bool):
            return kept
        if shown:
            return True
        source = self.snapshot.source.lower()
        on = f"without_{word}" not in source
        done = f"{'on' if on else 'off'} {'by the name of the folder' if word in source else 'by default'}"
        self.report.say(self.snapshot.source, f"no file shows whether there is {name}", done)
        return on

    def documents(self) -> dict[str, Any]:
        """Return the documents of step 0: personas and state."""
        people = [self._persona(person).model_dump(mode="json") for person in self.snapshot.people]
        agents = [self._state(person) for person in self.snapshot.people]
        ties = Ties(self.snapshot, find(self.game), self.history, self.report).network()
        return {"personas": people, "state": {"agents": agents, "network": ties.to_dict(), "board": self._board()}}

    @cached_property
    def _known_personas(self) -> Mapping[str, Persona]:
        if self.told.personas is not None:
            given = population(str(self.told.personas), self.game, find(self.game).roles, None)
            return {persona.name: persona for persona in given.personas}
        known = {persona.name: persona for persona in built_in()}
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
        """Return the unknown ones of age, gender and country, parsed from the first sentence of `learned`."""
        for text in self._learned(person).values():
            found = _TRAITS.match(text)
            if found is None or found[2] not in {"male", "female"}:
                continue
            told = {"age": int(found[1]), "gender": found[2], "country": found[3]}
            if told["age"] != known["age"] and known["age"] is not None:
                self.report.say(f"{person.name}/scratch.json", f"age {told['age']}", f"{known['age']} is known")
            return {name: value for name, value in told.items() if known[name] is None}
        return {}

    def _learned(self, person: Person) -> dict[str, str]:
        roles = find(self.game).roles
        learned = person.scratch.learned
        if isinstance(learned, str):
            return dict.fromkeys(roles, learned)
        missing = [role for role in roles if role not in learned]
        if missing:
            raise ConfigurationError(f"{f'{person.name}/scratch.json'}: `learned` says nothing as {missing[0]}")
        return {role: learned[role] for role in roles}

    def _state(self, person: Person) -> Row:
        scratch, extra = person.scratch, person.scratch.extra.get("state", {})
        heard = [row for row in self.history.gossip if row["listener"] == person.name]
        total = scratch.total_chat_num or scratch.total_num_investor + scratch.total_num_trustee
        success = scratch.success_chat_num or scratch.success_num_investor + scratch.success_num_trustee
        if scratch.complain_buffer:
            count = len(scratch.complain_buffer)
            self.report.say(f"{person.name}/scratch.json", f"{count} wish(es) to gossip left over", "left out")
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
        """Return the resources of an agent, with the digits stored by our export if the value is equal."""
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
            what = "observations hold neither observer nor judgement"
            self.report.say("scratch.json", what, f"left out, up to {max(observed)} each")
        return board

    def tables(self) -> dict[str, list[Row]]:
        """Return the tables of the history up to the step, and report columns with missing values."""
        interactions = list(self.history.interactions.values())
        completed = [row for row in interactions if row["course"] == EncounterStatus.COMPLETED.value]
        for column in interactions[0] if interactions else ():
            rows, kind = (completed, "completed ") if column in OF_COMPLETED else (interactions, "")
            if missing := sum(row[column] is None for row in rows):
                what = f"{column} is not told of {missing} of {len(rows)} {kind}encounters"
                self.report.say("interactions", what, "null")
        return {
            "interactions": interactions,
            "events": [event for name in self.snapshot.names for event in self.history.events[name]],
            "records": Records(self.snapshot, find(self.game), self.history.gossip, self.report).rows(),
            "gossip": self.history.gossip,
            "declarations": self.history.declarations,
        }

    def counts(self, state: Row, tables: Mapping[str, list[Row]]) -> dict[str, int]:
        """Return the number of imported entries by kind."""
        present = {(row["holder"], row["subject"], row["role"]) for row in tables["records"]}
        network = state["network"]
        return {
            "agents": len(state["agents"]),
            "ties": len(network["ties"]),
            "blacklisted": sum(len(entries) for entries in network["blacklists"].values()),
            "present records": len(present),
            **{name: len(rows) for name, rows in tables.items() if rows},
        }
