"""The steps of a published run as steps of ours: the rows of each step, the state after it, and its measures.

Every step has the encounters, gossip, records and public choices that memories tell of it. Ties, blacklists, `learned`
and counters are only in step folders: a step without one keeps those of the step before, measures of its ties are null,
and the next step with a folder has all ties made or cut since. Resources follow from payoffs in between.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from repunet_model import measures, mechanism
from repunet_model.games.base import EncounterStatus
from repunet_model.network import SocialNetwork
from repunet_model.personas import Persona
from repunet_model.reference_layout.files import Person, Snapshot, plain
from repunet_model.reference_layout.history import History
from repunet_model.reference_layout.records import Records
from repunet_model.reference_layout.words import PUBLISHED
from repunet_model.results.folding import FoldedSociety, plain_number
from repunet_model.storage import Row, schema
from repunet_model.storage.packed import StoredStep
from repunet_model.storage.schema import TABLES, StepLog
from repunet_model.util.text import ranges

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
class Past:
    """The steps of a published run; `seed` is that of the measures of communities."""

    history: History
    personas: list[Persona]
    seed: int
    reputation: bool

    def __post_init__(self) -> None:
        """Look up what every method needs."""
        self.published, self.game, self.report = self.history.published, self.history.game, self.history.report

    def steps(self) -> Iterator[StoredStep]:
        """Yield the documents and the tables of each step, from step 0 on."""
        first = self.published.snapshots[min(self.published.snapshots)]
        learned = {person.name: person.scratch.by_role(self.game.roles) for person in first.people}
        society = FoldedSociety(self.game, self.personas, learned)
        earned = dict.fromkeys(self.published.names, self.game.parameters.start_resources)
        self._report_gaps()
        logs = self._logs()
        for step in range(self.published.step + 1):
            log = logs[step]
            society.fold(step, log)
            snapshot = self.published.snapshots.get(step)
            people = () if snapshot is None else snapshot.people
            for name, member in society.members.items():
                earned[name] += Decimal(member.state["payoff"] or 0)
            for person in people:
                society.members[person.name].state |= _told(person, self.game.roles)
                if step == 0:
                    earned[person.name] = person.scratch.resources_unit
                elif step == self.published.step:
                    self._compare(person, earned[person.name])
            if snapshot is not None:
                before = society.network
                society.network = Ties(step, snapshot, self.history).network()
                for row in society.network.changes_since(before) if step else ():
                    log.add(schema.TIES, row)
            raw = [{"agent": person.name, "scratch": plain(dict(person.raw))} for person in people]
            if step == 0:
                yield {"state": society.state()}, {PUBLISHED: raw}
                continue
            measured = society.measures(step, log, self.seed, reputation=self.reputation)
            if log.rows(schema.GOSSIP):
                measured |= dict.fromkeys(("gossip_positive", "gossip_negative"))
            if snapshot is None:
                measured |= dict.fromkeys(_OF_TIES)
            tables = {name: log.named(name) for name, table in TABLES.items() if table.is_in_every_step}
            yield {"state": society.state(), "metrics": measured, "usage": {}}, {**tables, PUBLISHED: raw}

    def _logs(self) -> Mapping[int, StepLog]:
        """Return the rows of all tables but that of ties, by step."""
        interactions = list(self.history.interactions.values())
        self._report_untold(interactions)
        events = [event for name in self.published.names for event in self.history.events[name]]
        return StepLog.by_step(
            {
                schema.INTERACTIONS: interactions,
                schema.EVENTS: events,
                schema.RECORDS: Records(self.history).rows(),
                schema.GOSSIP: self.history.gossip,
                schema.DECLARATIONS: self.history.declarations,
            }
        )

    def _report_untold(self, interactions: list[Row]) -> None:
        """Report the columns with missing values."""
        completed = [row for row in interactions if row["course"] == COMPLETED]
        missing: dict[str, list[str]] = defaultdict(list)
        for column in interactions[0] if interactions else ():
            rows, kind = (completed, "completed ") if column in OF_COMPLETED else (interactions, "")
            if count := sum(row[column] is None for row in rows):
                missing[f"{count} of {len(rows)} {kind}encounters"].append(column)
        for where, columns in missing.items():
            self.report.say("interactions", f"{', '.join(columns)} not told of {where}", "null")

    def _report_gaps(self) -> None:
        last, there = self.published.step, self.published.snapshots
        if 0 not in there:
            units = self.game.parameters.start_resources
            done = f"{units} units each and nobody tied, with `learned` of step {min(there)}"
            self.report.say(self.published.source, "step 0 has no folder", done)
        if untold := [step for step in range(1, last + 1) if step not in there]:
            what = f"{len(untold)} of {last} steps have no folder ({ranges(untold)})"
            done = (
                "ties, blacklists and `learned` stay as they were, measures of ties are null, and the next step with a "
                "folder has all ties made or cut since"
            )
            self.report.say(self.published.source, what, done)

    def _compare(self, person: Person, earned: Decimal) -> None:
        """Hold the tables against the counters of the last step."""
        name, scratch = person.name, person.scratch
        where = f"{name}/scratch.json"
        rows = [row for row in self.history.interactions.values() if name in (row["first"], row["second"])]
        completed = [row for row in rows if row["course"] == COMPLETED]
        numbers = {"success_chat_num": len(completed)}
        if self.game.name == "investment":
            numbers = {
                f"{kind}_num_{role}": sum(row[side] == name for row in counted)
                for side, role in (("first", "investor"), ("second", "trustee"))
                for kind, counted in (("total", rows), ("success", completed))
            }
        for counter, found in numbers.items():
            if (told := getattr(scratch, counter)) != found:
                self.report.say(where, f"{counter} is {told}, and {found} are found", "both kept as they are")
        if abs(earned - scratch.resources_unit) >= Decimal("0.01"):
            what = f"resources_unit is {scratch.resources_unit:f}, and payoffs make {plain_number(earned)}"
            self.report.say(where, what, "the former taken")
        if scratch.complain_buffer:
            self.report.say(where, f"{len(scratch.complain_buffer)} wish(es) to gossip left over", "left out")
        if scratch.observed:
            self.report.say(where, "observations hold neither observer nor judgement", "left out")


def _told(person: Person, roles: tuple[str, str]) -> schema.AgentState:
    """Return what the files of an agent tell of its state."""
    scratch = person.scratch
    total = scratch.total_chat_num or scratch.total_num_investor + scratch.total_num_trustee
    success = scratch.success_chat_num or scratch.success_num_investor + scratch.success_num_trustee
    told = {"resources": f"{scratch.resources_unit:f}", "encounters": total, "completed": success}
    return {**told, "learned": scratch.by_role(roles)}  # type: ignore[typeddict-item]


@dataclass(frozen=True, slots=True)
class Ties:
    """The ties of a published step folder."""

    step: int
    snapshot: Snapshot
    history: History

    def network(self) -> SocialNetwork:
        """Return the network of ties and blacklists."""
        network = SocialNetwork(self.snapshot.meta.persona_names)
        bare = 0
        for person in self.snapshot.people:
            avoided: list[list[str]] = []
            for entry in person.scratch.black_list:
                for other, role in self._pairs(person, entry, "black_list"):
                    if [other, role] not in avoided:
                        avoided.append([other, role])
                    else:
                        self.history.report.say(self._place(person, other), "is in black_list twice", "kept once")
            for entry in person.scratch.bind_list:
                bare += isinstance(entry, str)
                for other, role in self._pairs(person, entry, "bind_list"):
                    if [other, role] in avoided:
                        where, what = self._place(person, f"{other} ({role})"), "is in bind_list and in black_list"
                        self.history.report.say(where, what, "not bound, as the published code has it")
                    else:
                        network.bind(person.name, other, role)
            data = network.to_dict()
            data["blacklists"][person.name] = avoided[-mechanism.PUBLISHED.blacklist_length :]
            network = SocialNetwork.from_dict(data)
        if bare and len(set(self.history.game.roles)) > 1:
            done = "see the rule for bare names"
            where = f"step_{self.step}, {bare} ties"
            self.history.report.say(where, "bare names without a role", done)
        return network

    def _pairs(self, person: Person, entry: Any, of: str) -> list[tuple[str, str]]:
        """Return the pairs of name and role that an entry stands for; none if it is invalid."""
        roles, names = self.history.game.roles, self.snapshot.meta.persona_names
        match entry:
            case str(other):
                found = self.history.roles_met(person.name, other, self.step, completed=of == "bind_list")
                chosen = found or [roles[1]]
                if of == "black_list":
                    chosen = chosen[-1:]
                if len(found) != 1 and roles[0] != roles[1] and other in names:
                    evidence = "both roles are possible" if found else "no role is known"
                    what = f"is a bare name in {of}, {evidence}"
                    self.history.report.say(self._place(person, other), what, f"taken as {' and '.join(chosen)}")
            case [str(other), str(role)] if role.lower() in roles:
                chosen = [role.lower()]
            case _:
                where = self._place(person, repr(str(entry)[:80]))
                self.history.report.say(where, f"is no name and no pair of name and role in {of}", "left out")
                return []
        if other == person.name or other not in names:
            what = f"is {'the agent itself' if other == person.name else 'unknown'} in {of}"
            self.history.report.say(self._place(person, repr(other)), what, "left out")
            return []
        return [(other, role) for role in chosen]

    def _place(self, person: Person, other: str) -> str:
        return f"step_{self.step}, {person.name}/scratch.json, {other}"
