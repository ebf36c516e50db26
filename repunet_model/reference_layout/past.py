"""The steps of a published run as steps of ours: the rows of each step, the state after it, and its measures.

Every step has the encounters, gossip, records and public choices that memories tell of it. Ties, blacklists, `learned`
and counters are only in step folders: a step without one keeps those of the step before, measures of its ties are null,
and the next step with a folder has all ties made or cut since. Resources follow from payoffs in between.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any, cast

from repunet_model import measures
from repunet_model.agents import START_RESOURCES
from repunet_model.games.base import EncounterStatus, Game, Outcome, PlayerOutcome
from repunet_model.memory import Event, Memory
from repunet_model.network import SocialNetwork
from repunet_model.personas import Persona
from repunet_model.questions.base import UNCREDIBLE
from repunet_model.reference_layout.files import Person, Published, Report, Snapshot, plain
from repunet_model.reference_layout.history import History
from repunet_model.reference_layout.records import Records
from repunet_model.reference_layout.ties import Ties
from repunet_model.reference_layout.words import PUBLISHED
from repunet_model.reputation import ReputationLedger, Standings
from repunet_model.storage import Row
from repunet_model.storage.reader import update_of
from repunet_model.storage.schema import (
    DECLARATIONS,
    EVENTS,
    GOSSIP,
    INTERACTIONS,
    RECORDS,
    TABLES,
    TIES,
    AgentState,
    StepLog,
)

COMPLETED = EncounterStatus.COMPLETED.value

OF_COMPLETED = {
    *("first_cooperated", "second_cooperated", "first_judges_second", "second_judges_first"),
    *("amount", "outcome", "actual_share", "reported_outcome", "allocation_reason", "conversation", "summary"),
}
"""The columns of interactions that only completed encounters have."""

_OF_TIES = {
    *measures.of_graph(SocialNetwork(["a", "b"]).graph),
    *("assortativity_disposition", "assortativity_cooperation", "communities", "modularity"),
}
"""The measures that need the ties of a step."""


@dataclass
class Member:
    """An agent while its past is told."""

    persona: Persona
    state: AgentState
    ledger: ReputationLedger
    memory: Memory = field(default_factory=Memory)
    earned: Decimal = START_RESOURCES

    @property
    def name(self) -> str:
        """The name of the agent."""
        return self.persona.name

    @property
    def resources(self) -> Decimal:
        """Its resources, in units."""
        return Decimal(self.state["resources"])


@dataclass
class Past:
    """The steps of a published run.

    Attributes:
        published: The step folders.
        game: The game.
        personas: The agents, in the order of the last step's names.
        seed: The seed of the measures of communities.
        reputation: Whether agents keep reputations.
        report: Takes what could not be read exactly.
    """

    published: Published
    history: History
    game: Game
    personas: list[Persona]
    seed: int
    reputation: bool
    report: Report
    counts: dict[str, int] = field(default_factory=dict)

    def steps(self) -> Iterator[tuple[Row, dict[str, list[Row]]]]:
        """Yield the documents and the tables of each step, from step 0 on."""
        standings, network = Standings(), SocialNetwork(self.published.names)
        members = {
            persona.name: Member(persona, self._first_state(persona.name), ReputationLedger(standings))
            for persona in self.personas
        }
        self._report_gaps()
        for step in range(self.published.step + 1):
            log = self._log(step)
            snapshot = self.published.snapshots.get(step)
            before = network
            network = self._network(step, network)
            for row in self._tie_rows(step, before, network):
                log.add(TIES, cast("Any", row))
            people = {} if snapshot is None else {person.name: person for person in snapshot.people}
            for member in members.values():
                self._tell(member, step, log, people.get(member.name))
            scores = standings.over_roles(self.game.roles, members)
            state = {
                "agents": [member.state for member in members.values()],
                "network": network.to_dict(),
                "board": self._board(snapshot),
                "scores": scores,
            }
            tables: dict[str, list[Row]] = {PUBLISHED: _raw(snapshot)}
            documents: Row = {"state": state}
            if step:
                rates = self._measures(step, log, members, network, scores)
                documents |= {"metrics": rates, "usage": {}}
                tables |= {name: log.named(name) for name, table in TABLES.items() if table.is_built_in}
            yield documents, tables
        self._count(network, members)

    # The rows of a step

    @cached_property
    def _rows(self) -> dict[str, dict[int, list[Row]]]:
        """The rows of all tables but that of ties, by table and step."""
        history = self.history
        everything = {
            INTERACTIONS.name: list(history.interactions.values()),
            EVENTS.name: [event for name in self.published.names for event in history.events[name]],
            RECORDS.name: Records(history, self.report).rows(),
            GOSSIP.name: history.gossip,
            DECLARATIONS.name: history.declarations,
        }
        found: dict[str, dict[int, list[Row]]] = {}
        for name, rows in everything.items():
            self.counts[name] = len(rows)
            of_table = found.setdefault(name, defaultdict(list))
            for row in rows:
                of_table[row["step"]].append(row)
        self._report_untold(everything[INTERACTIONS.name])
        return found

    def _log(self, step: int) -> StepLog:
        log = StepLog()
        for name, rows in self._rows.items():
            for row in rows.get(step, ()):
                kept = row if name != RECORDS.name else {key: value for key, value in row.items() if key != "step"}
                log.add(TABLES[name], kept)
        return log

    def _report_untold(self, interactions: list[Row]) -> None:
        completed = [row for row in interactions if row["course"] == COMPLETED]
        for column in interactions[0] if interactions else ():
            rows, kind = (completed, "completed ") if column in OF_COMPLETED else (interactions, "")
            if missing := sum(row[column] is None for row in rows):
                what = f"{column} is not told of {missing} of {len(rows)} {kind}encounters"
                self.report.say("interactions", what, "null")

    # Ties

    @cached_property
    def _kept_ties(self) -> list[Any] | None:
        """The ties made or cut in every step, as rows with their steps, where our export kept them."""
        return self.published.last.meta.extra.get("ties")

    def _is_told(self, step: int) -> bool:
        """Whether the ties after a step are known."""
        if self._kept_ties is not None:
            return step not in self.published.last.meta.extra.get("untold_steps", ())
        return step in self.published.snapshots

    def _network(self, step: int, before: SocialNetwork) -> SocialNetwork:
        snapshot = self.published.snapshots.get(step)
        if snapshot is not None:
            return Ties(step, snapshot, self.game, self.history, self.report).network()
        network = SocialNetwork.from_dict(before.to_dict())
        for at, agent, other, role, bound in self._kept_ties or ():
            if at == step:
                network.apply(agent, other, role, bound=bound)
        return network

    def _tie_rows(self, step: int, before: SocialNetwork, after: SocialNetwork) -> Iterator[Row]:
        """Yield the ties that were cut, then those that were made."""
        if step == 0:
            return
        if self._kept_ties is not None:
            for at, agent, other, role, bound in self._kept_ties:
                if at == step:
                    yield {"agent": agent, "other": other, "role": role, "bound": bound}
            return
        for one, another, bound in ((before, after, False), (after, before, True)):
            for agent, other, roles in one.to_dict()["ties"]:
                for role in roles:
                    if not another.is_bound(agent, other, role):
                        yield {"agent": agent, "other": other, "role": role, "bound": bound}

    def _report_gaps(self) -> None:
        last, there = self.published.step, self.published.snapshots
        if 0 not in there:
            done = f"{START_RESOURCES} units each and nobody tied, with `learned` of step {min(there)}"
            self.report.say(self.published.source, "step 0 has no folder", done)
        untold = [step for step in range(1, last + 1) if not self._is_told(step)]
        if untold:
            what = f"{len(untold)} of {last} steps have no folder ({_ranges(untold)})"
            done = (
                "ties, blacklists, `learned` and counters stay as they were, measures of ties are null, and the next "
                "step with a folder has all ties made or cut since"
            )
            self.report.say(self.published.source, what, done)

    # Agents

    def _first_state(self, name: str) -> AgentState:
        first = self.published.snapshots[min(self.published.snapshots)]
        return {
            "name": name,
            "resources": str(START_RESOURCES),
            "payoff": None,
            "learned": person_of(first, name).scratch.by_role(name, self.game.roles),
            "declared": None,
            "encounters": 0,
            "completed": 0,
            "gossip_heard": 0,
            "gossip_uncredible": 0,
        }

    def _tell(self, member: Member, step: int, log: StepLog, person: Person | None) -> None:
        """Set the state of an agent after a step, given the step's rows and the agent's files, if there are any."""
        name = member.name
        for record in log.rows(RECORDS):
            if record["holder"] == name:
                member.ledger.add(update_of(record, step))
        for event in log.rows(EVENTS):
            if event["agent"] == name:
                member.memory.add(Event.from_dict({key: value for key, value in event.items() if key != "agent"}))
        met = [row for row in log.rows(INTERACTIONS) if name in (row["first"], row["second"])]
        gained = [row["first_payoff"] if row["first"] == name else row["second_payoff"] for row in met]
        told = [Decimal(repr(float(payoff))) for payoff in gained if payoff is not None]
        payoff = sum(told, Decimal(0)) if told else None
        heard = [row for row in log.rows(GOSSIP) if row["listener"] == name]
        choices = [row["cooperated"] for row in log.rows(DECLARATIONS) if row["agent"] == name]
        was = member.state
        member.earned += payoff or 0
        state: Row = {
            **was,
            "resources": _decimal(Decimal(was["resources"]) + (payoff or 0)),
            "payoff": None if payoff is None else _decimal(payoff),
            "declared": choices[-1] if choices else was["declared"],
            "encounters": was["encounters"] + len(met),
            "completed": was["completed"] + sum(row["course"] == COMPLETED for row in met),
            "gossip_heard": was["gossip_heard"] + len(heard),
            "gossip_uncredible": was["gossip_uncredible"] + sum(row["credibility"] in UNCREDIBLE for row in heard),
        }
        if person is not None:
            state |= self._told(person)
            if step == 0:
                member.earned = Decimal(state["resources"])
            elif step == self.published.step:
                self._compare(member, person)
        member.state = cast("AgentState", state)

    def _told(self, person: Person) -> Row:
        """Return what the files of an agent tell of its state."""
        scratch = person.scratch
        kept = {key: value for key, value in plain(scratch.extra.get("state", {})).items() if key in _EXACT}
        total = scratch.total_chat_num or scratch.total_num_investor + scratch.total_num_trustee
        success = scratch.success_chat_num or scratch.success_num_investor + scratch.success_num_trustee
        exact = str(kept.pop("resources", ""))
        value = scratch.resources_unit
        is_exact = re.fullmatch(r"-?\d+(\.\d+)?", exact) and float(exact) == float(value)
        return {
            "resources": exact if is_exact else f"{value:f}",
            "learned": scratch.by_role(person.name, self.game.roles),
            "encounters": total,
            "completed": success,
            **kept,
        }

    def _compare(self, member: Member, person: Person) -> None:
        """Hold the tables against the counters of the last step."""
        name, scratch = member.name, person.scratch
        where = f"{name}/scratch.json"
        rows = [row for row in self.history.interactions.values() if name in (row["first"], row["second"])]
        completed = [row for row in rows if row["course"] == COMPLETED]
        if self.game.name == "investment":
            pairs = {
                (counter := f"{kind}_num_{role}"): (
                    getattr(scratch, counter),
                    sum(row[side] == name for row in counted),
                )
                for side, role in (("first", "investor"), ("second", "trustee"))
                for kind, counted in (("total", rows), ("success", completed))
            }
        else:
            pairs = {"success_chat_num": (scratch.success_chat_num, len(completed))}
        for counter, (told, found) in pairs.items():
            if told != found:
                self.report.say(where, f"{counter} is {told}, and {found} are found", "both kept as they are")
        if abs(member.earned - scratch.resources_unit) >= Decimal("0.01"):
            what = f"resources_unit is {scratch.resources_unit:f}, and payoffs make {_decimal(member.earned)}"
            self.report.say(where, what, "the former taken")
        if scratch.complain_buffer:
            count = len(scratch.complain_buffer)
            self.report.say(where, f"{count} wish(es) to gossip left over", "left out")

    def _board(self, snapshot: Snapshot | None) -> list[Any]:
        if snapshot is None:
            return []
        board = list(snapshot.meta.extra.get("board", []))
        observed = max(len(person.scratch.observed) for person in snapshot.people)
        if observed and not board:
            what = "observations hold neither observer nor judgement"
            self.report.say(f"{snapshot.path.name}/scratch.json", what, f"left out, up to {observed} each")
        return board

    # Measures

    def _measures(
        self,
        step: int,
        log: StepLog,
        members: Mapping[str, Member],
        network: SocialNetwork,
        scores: Mapping[str, float],
    ) -> dict[str, Any]:
        outcomes = [self._outcome(row) for row in log.rows(INTERACTIONS)]
        declared = [member.state["declared"] for member in members.values()]
        known = scores if self.reputation else None
        gossip = log.rows(GOSSIP)
        found: dict[str, Any] = {
            **self.game.measure(outcomes, declared),
            **measures.of_society(members.values(), network.graph, known, self.seed, step),
            **measures.of_step(log, 0),
            **dict.fromkeys(("gossip_lapsed", "calls")),
        }
        if any(row["tone"] is None for row in gossip):
            found |= dict.fromkeys(("gossip_positive", "gossip_negative"))
        return found if self._is_told(step) else {**found, **dict.fromkeys(_OF_TIES)}

    def _outcome(self, row: Mapping[str, Any]) -> Outcome:
        """Reconstruct the outcome of an encounter from its row."""
        first, second = (
            PlayerOutcome(Decimal(str(row[f"{side}_payoff"] or 0)), row[f"{side}_cooperated"], "")
            for side in ("first", "second")
        )
        return Outcome((first, second), EncounterStatus(row["course"]), {name: row[name] for name in self.game.facts})

    def _count(self, network: SocialNetwork, members: Mapping[str, Member]) -> None:
        """Count the imported entries by kind."""
        self.counts = {
            "agents": len(members),
            "ties": measures.ties(network.graph),
            "blacklisted": sum(len(network.blacklist(name)) for name in members),
            "present records": sum(len(list(member.ledger.present())) for member in members.values()),
            **{name: count for name, count in self.counts.items() if count},
        }


_EXACT = {"resources", "payoff", "declared", "encounters", "completed", "gossip_heard", "gossip_uncredible"}
"""The entries of an agent's state that our export keeps beside the layout."""


def person_of(snapshot: Snapshot, name: str) -> Person:
    """Return an agent of a step folder."""
    return next(person for person in snapshot.people if person.name == name)


def _raw(snapshot: Snapshot | None) -> list[Row]:
    """Return what the agents' own files of a step folder hold, which an export writes again."""
    people = () if snapshot is None else snapshot.people
    return [{"agent": person.name, "scratch": plain(dict(person.raw))} for person in people]


def _decimal(number: Decimal) -> str:
    return f"{number.normalize():f}"


def _ranges(steps: list[int]) -> str:
    """Format ascending numbers, consecutive ones as a range."""
    ends = [step for step in steps if step - 1 not in steps or step + 1 not in steps]
    text = ""
    for place, step in enumerate(ends):
        joined = "" if not place else " to " if step - 1 in steps else ", "
        text += f"{joined}{step}"
    return text
