"""The history of a published run, reconstructed from memories, gossip databases and result files of one step."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from repunet_model.games.base import EncounterStatus, Game
from repunet_model.memory import Event
from repunet_model.questions.base import Credibility
from repunet_model.reference_layout import encounters
from repunet_model.reference_layout.files import Message, Node, Person, Report, Snapshot, plain
from repunet_model.reference_layout.words import EVERYBODY, GOSSIP, ORDERS, PREDICATES, RESULTS, SIGN_UP
from repunet_model.storage import Row
from repunet_model.util.text import first_problem

CREDIBILITIES = tuple(credibility.value for credibility in Credibility)


@dataclass
class History:
    """The history of a run up to a published step; the report takes what could not be read exactly."""

    snapshot: Snapshot
    game: Game
    report: Report

    @cached_property
    def nodes(self) -> dict[str, list[Node]]:
        """The memories of each agent."""
        found: dict[str, list[Node]] = {}
        for person in self.snapshot.people:
            found[person.name] = []
            for number, data in enumerate(person.nodes, start=1):
                try:
                    found[person.name].append(Node.model_validate(data))
                except ValidationError as error:
                    self.report.say(f"{person.name}/nodes.json", f"node {number}, {first_problem(error)}", "left out")
        return found

    @cached_property
    def interactions(self) -> dict[tuple[int, frozenset[str]], Row]:
        """All encounters, by step and pair."""
        found: dict[tuple[int, frozenset[str]], Row] = {}
        for name, node in self._encounters():
            row = self._encounter(name, node)
            if row is None:
                continue
            key = (row["step"], frozenset((row["first"], row["second"])))
            found[key], differing = encounters.merged(found.setdefault(key, row), row)
            if differing:
                what = f"step {row['step']}, {', '.join(differing)} not as the other side has it"
                self.report.say(f"{name}/nodes.json", what, "the other's kept")
        for person in self.snapshot.people:
            # The layout has no memory of meetings that did not take place; our export stores them under its own key.
            for kept in person.scratch.extra.get("meetings", []):
                row = plain(kept["interaction"])
                if row is not None:
                    found.setdefault((row["step"], frozenset((row["first"], row["second"]))), row)
        self._add_results(found)
        for row in found.values():
            if self.game.name == "investment" and encounters.parts_differ(row):
                self.report.say(
                    "nodes.json",
                    f"step {row['step']}, {row['first']} and {row['second']}: what both got is not the doubled amount",
                    "kept; the actual share is of the doubled amount",
                )
        return dict(sorted(found.items(), key=lambda item: item[0][0]))

    def _encounters(self) -> Iterator[tuple[str, Node]]:
        """Yield every memory of an encounter with its agent; report the number of unknown ones."""
        other: Counter[str] = Counter()
        predicate = PREDICATES[self.game.name]
        for name, nodes in self.nodes.items():
            for node in nodes:
                if node.predicate == predicate and node.type in {"EVENT", "CHAT"}:
                    yield name, node
                elif node.predicate not in {GOSSIP, SIGN_UP}:
                    other[f"{node.type} {node.predicate}"] += 1
        for what, count in other.items():
            self.report.say("nodes.json", f"{count} node(s) of the kind {what!r} have no counterpart", "left out")

    def _encounter(self, name: str, node: Node) -> Row | None:
        row: Row | None
        kept = node.extra.get("interaction")
        if isinstance(kept, dict):
            row = plain(kept)
        elif self.game.name == "sign_up":
            row = {
                **encounters.blank("sign_up", node.created_at, node.subject, node.object, EncounterStatus.COMPLETED),
                **{"first_payoff": 0.0, "second_payoff": 0.0, "talked": True, "summary": node.text},
                "conversation": encounters.dialogue(node.conversation, self.snapshot.names) or None,
            }
        else:
            row = encounters.from_memory(self.game.name, node.created_at, node.text)
        if (
            row is None
            or name not in (row["first"], row["second"])
            or {row["first"], row["second"]} - set(self.snapshot.names)
        ):
            self.report.say(f"{name}/nodes.json", f"step {node.created_at}, the encounter cannot be read", "left out")
            return None
        return row

    def _add_results(self, found: dict[tuple[int, frozenset[str]], Row]) -> None:
        """Add from result files what memories lack: the shares promised to investors who refused."""
        if self.game.name != "investment":
            return
        for step, text in self._result_files():
            for row in encounters.from_results(step, text, self.snapshot.names):
                file = f"step_{step}, result file"
                if isinstance(row, str):
                    self.report.say(file, row, "left out")
                    continue
                key = (step, frozenset((row["first"], row["second"])))
                pair = f"{row['first']} and {row['second']}"
                if key not in found:
                    self.report.say(file, f"{pair} do not remember it", "taken from the file")
                found[key], differing = encounters.merged(found.setdefault(key, row), row)
                if differing:
                    self.report.say(file, f"{pair}: {', '.join(differing)} not as remembered", "memory kept")

    def _result_files(self) -> Iterator[tuple[int, str]]:
        """Yield the result files of the step, and of the earlier steps whose folders are there."""
        folder, stem = RESULTS[self.game.name]
        for step in range(1, self.snapshot.meta.step + 1):
            path = self.snapshot.path
            place = path if step == self.snapshot.meta.step else path.parent / f"step_{step}"
            file = place / folder / f"{stem}_{step}.txt"
            try:
                yield step, file.read_text(encoding="utf-8-sig")
            except FileNotFoundError:
                continue
            except (OSError, UnicodeDecodeError):
                self.report.say(f"step_{step}/{file.name}", "cannot be read", "left out")

    @cached_property
    def events(self) -> dict[str, list[Row]]:
        """The events that each agent remembers, oldest first."""
        found: dict[str, list[Row]] = defaultdict(list)
        sides = self.game.roles
        for person in self.snapshot.people:
            for kept in person.scratch.extra.get("meetings", []):
                told = Event.from_dict(plain(kept["event"])).to_dict()
                found[person.name].append({"agent": person.name, **told})
        for name, nodes in self.nodes.items():
            for node in nodes:
                row = self.interactions.get((node.created_at, frozenset((node.subject, node.object))))
                if (
                    row is None
                    or node.predicate != PREDICATES[self.game.name]
                    or name not in (node.subject, node.object)
                ):
                    continue
                mine, theirs = ("first", "second") if row["first"] == name else ("second", "first")
                event = {
                    "step": node.created_at,
                    "partner": row[theirs],
                    "role": sides[0] if mine == "first" else sides[1],
                    "own_cooperated": row[f"{mine}_cooperated"],
                    "partner_cooperated": row[f"{theirs}_cooperated"],
                    "payoff": row[f"{mine}_payoff"],
                    "text": node.text,
                }
                kept = node.extra.get("event")
                found[name].append({"agent": name, **(plain(kept) if isinstance(kept, dict) else event)})
        for events in found.values():
            events.sort(key=lambda event: event["step"])
        return found

    @cached_property
    def declarations(self) -> list[Row]:
        """All public choices; every agent remembers all of them."""
        found: dict[tuple[int, str], Row] = {}
        for nodes in self.nodes.values():
            for node in nodes:
                if node.predicate != SIGN_UP or node.object != EVERYBODY:
                    continue
                for line in node.text.splitlines():
                    name, _, choice = line.rpartition(": ")
                    signed = {"yes": True, "no": False}.get(choice.strip().lower())
                    if name in self.snapshot.names and signed is not None:
                        row = {"step": node.created_at, "agent": name, "cooperated": signed, "reason": None}
                        found.setdefault((node.created_at, name), row)
        return sorted(found.values(), key=lambda row: row["step"])

    @cached_property
    def gossip(self) -> list[Row]:
        """All gossip messages, by step and order."""
        found = [row for person in self.snapshot.people for row in self._heard(person)]
        onward = {
            (row["step"], row["gossiper"], row["origin"], row["subject"]): row["listener"]
            for row in found
            if row["order"] == 2
        }
        for row in found:
            if row["passed_on_to"] is None:
                key = (row["step"], row["listener"], row["gossiper"], row["subject"])
                row["passed_on_to"] = onward.get(key, "") if row["order"] == 1 else ""
        if silent := sum(not row["dialogue"] for row in found):
            what = f"{silent} of {len(found)} gossip dialogues cannot be told apart or split"
            self.report.say("nodes.json", what, "left out")
        if untold := sum(row["tone"] is None for row in found):
            what = f"{untold} messages do not say their tone and the gossiper's role"
            self.report.say("gossip_database.json", what, "null")
        return sorted(found, key=lambda row: (row["step"], row["order"]))

    def _heard(self, person: Person) -> list[Row]:
        messages: list[Message] = []
        for number, data in enumerate(person.gossip, start=1):
            try:
                messages.append(self._message(data))
            except (ValidationError, ValueError) as error:
                what = first_problem(error) if isinstance(error, ValidationError) else str(error)
                self.report.say(f"{person.name}/gossip_database.json", f"message {number}, {what}", "left out")
        told = self._dialogues(person.name)
        often = Counter((message.created_at, message.gossiper) for message in messages)
        rows = []
        for message in messages:
            key = (message.created_at, message.gossiper)
            # The order tells apart several messages from one gossiper in one step.
            known = told[key].pop(0) if told[key] and len(told[key]) == often[key] else []
            often[key] -= 1
            row = {
                "step": message.created_at,
                "order": ORDERS[message.type],
                "gossiper": message.gossiper,
                "gossiper_role": None,
                "listener": person.name,
                "subject": message.subject,
                "subject_role": message.subject_role.lower(),
                "origin": message.origin,
                "tone": None,
                "dialogue": known,
                "summary": message.summary,
                "credibility": message.credibility.lower(),
                "passed_on_to": None,
            }
            rows.append({**row, **plain({k: v for k, v in message.extra.items() if k in row})})
        return rows

    def _message(self, data: Any) -> Message:
        """Parse a message; raise ValueError if it names an unknown agent, order, credibility or role."""
        message = Message.model_validate(data)
        named = {message.subject, message.gossiper, message.origin} - {""}
        if strangers := sorted(named - set(self.snapshot.names)):
            raise ValueError(f"{strangers[0]!r} is unknown")
        if message.type not in ORDERS or message.credibility.lower() not in CREDIBILITIES:
            raise ValueError(f"{message.type!r} and {message.credibility!r} are no order and credibility")
        if message.subject_role.lower() not in self.game.roles:
            raise ValueError(f"the role {message.subject_role!r} is unknown")
        return message

    def _dialogues(self, listener: str) -> dict[tuple[int, str], list[list[list[str]]]]:
        """Return the conversations in which an agent heard gossip, by step and gossiper."""
        found: dict[tuple[int, str], list[list[list[str]]]] = defaultdict(list)
        for node in self.nodes[listener]:
            if node.type == "CHAT" and node.predicate == GOSSIP and node.object == listener:
                found[node.created_at, node.subject].append(encounters.dialogue(node.conversation, self.snapshot.names))
        return found

    def roles_met(self, name: str, other: str, *, completed: bool) -> list[str]:
        """Return the roles of `other` in the encounters of an agent with it, the latest last.

        If `completed`, only completed encounters count; else all encounters, and gossip that the agent heard.
        """
        first, second = self.game.roles
        met = [
            (event["step"], second if event["role"] == first else first)
            for event in self.events[name]
            if event["partner"] == other and (not completed or self._is_completed(event, name))
        ]
        if not completed:
            heard = (row for row in self.gossip if (row["listener"], row["subject"]) == (name, other))
            met += [(row["step"], row["subject_role"]) for row in heard]
        latest = {role: step for step, role in sorted(met)}
        return sorted(latest, key=lambda role: latest[role])

    def _is_completed(self, event: Row, name: str) -> bool:
        row = self.interactions.get((event["step"], frozenset((name, event["partner"]))))
        return row is not None and row["course"] == EncounterStatus.COMPLETED.value
