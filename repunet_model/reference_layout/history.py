"""The history of a published run, reconstructed from memories, gossip databases and result files."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from repunet_model.games.base import EncounterStatus, Game
from repunet_model.games.investment import parts_differ
from repunet_model.questions.base import Credibility
from repunet_model.reference_layout import encounters
from repunet_model.reference_layout.files import Message, Node, Person, Published, plain
from repunet_model.reference_layout.words import EVERYBODY, GOSSIP, ORDERS, PREDICATES, PUBLISHED, RESULTS, SIGN_UP
from repunet_model.storage import Row
from repunet_model.util.report import Report
from repunet_model.util.text import first_problem

UNTOLD = {"whether to spread gossip second-hand", "reasons"}
"""The keys of a message that no column holds, and that an export writes again."""

CREDIBILITIES = tuple(credibility.value for credibility in Credibility)


@dataclass
class History:
    """The history of a published run; the report takes what could not be read exactly."""

    published: Published
    game: Game
    report: Report

    @cached_property
    def nodes(self) -> dict[str, list[Node]]:
        """The memories of each agent."""
        found: dict[str, list[Node]] = {}
        for person in self.published.last.people:
            found[person.name] = []
            for number, data in enumerate(person.nodes, start=1):
                where = f"{person.name}/nodes.json, node {number}"
                try:
                    node = Node.model_validate(data)
                except ValidationError as error:
                    self.report.say(where, first_problem(error), "left out")
                    continue
                if self._is_there(node.created_at, where):
                    found[person.name].append(node)
        return found

    def _is_there(self, step: int, where: str) -> bool:
        """Whether a memory is of a step of the run; report one that is not."""
        is_there = 1 <= step <= self.published.step
        if not is_there:
            self.report.say(where, f"is of step {step}, which is not there", "left out")
        return is_there

    @cached_property
    def interactions(self) -> dict[tuple[int, frozenset[str]], Row]:
        """All encounters, by step and pair."""
        found: dict[tuple[int, frozenset[str]], Row] = {}
        nameless: dict[tuple[int, frozenset[str]], Node] = {}
        for name, node in self._encounters():
            if self.game.name == "investment" and encounters.is_refusal(node.text):
                nameless.setdefault((node.created_at, frozenset((node.subject, node.object))), node)
                continue
            row = self._encounter(name, node)
            if row is None:
                continue
            key = (row["step"], frozenset((row["first"], row["second"])))
            found[key], differing = encounters.merged(found.setdefault(key, row), row)
            if differing:
                where = f"{name}/nodes.json, step {row['step']}"
                self.report.say(where, f"{', '.join(differing)} not as the other side has it", "the other's kept")
        self._add_results(found, nameless)
        for (step, pair), node in nameless.items():
            if (step, pair) not in found and len(pair & set(self.published.names)) == 2:
                where, what = f"step {step}, {node.subject} and {node.object}", "a refusal does not tell who is who"
                self.report.say(where, what, "the first taken as investor")
                found[step, pair] = encounters.refusal(step, node.subject, node.object)
        for row in found.values():
            where = f"step {row['step']}, {row['first']} and {row['second']}"
            if self.game.name == "investment" and parts_differ(row):
                done = "kept; the actual share is of the doubled amount"
                self.report.say(where, "what both got is not the doubled amount", done)
            if row.get("accepted") and row["promised_share"] is None:
                done = "left out of both halves of the rates of cooperation and of kept promises"
                self.report.say(where, "the promise is not told in per cent", done)
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
        if self.game.name == "sign_up":
            row = {
                **encounters.blank("sign_up", node.created_at, node.subject, node.object, EncounterStatus.COMPLETED),
                **{"first_payoff": 0.0, "second_payoff": 0.0, "talked": True, "summary": node.text},
                "conversation": encounters.dialogue(node.conversation, self.published.names) or None,
            }
        else:
            row = encounters.from_memory(self.game.name, node.created_at, node.text)
        sides = set() if row is None else {row["first"], row["second"]}
        if name not in sides or sides - set(self.published.names):
            self.report.say(f"{name}/nodes.json, step {node.created_at}", "the encounter cannot be read", "left out")
            return None
        return row

    def _add_results(
        self, found: dict[tuple[int, frozenset[str]], Row], nameless: dict[tuple[int, frozenset[str]], Node]
    ) -> None:
        """Add from result files what memories lack, such as the shares promised to investors who refused."""
        if self.game.name != "investment":
            return
        for step, text in self._result_files():
            for row in encounters.from_results(step, text, self.published.names):
                file = f"step_{step}, result file"
                if isinstance(row, str):
                    self.report.say(file, row, "left out")
                    continue
                key = (step, frozenset((row["first"], row["second"])))
                where = f"{file}, {row['first']} and {row['second']}"
                if key not in found and key not in nameless:
                    self.report.say(where, "the two do not remember it", "taken from the file")
                found[key], differing = encounters.merged(found.setdefault(key, row), row)
                if differing:
                    self.report.say(where, f"{', '.join(differing)} not as remembered", "memory kept")

    def _result_files(self) -> Iterator[tuple[int, str]]:
        """Yield the result files by step."""
        folder, stem = RESULTS[self.game.name]
        for step, place in sorted(self.published.folders.items()):
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
        for name, nodes in self.nodes.items():
            for node in nodes:
                row = self.interactions.get((node.created_at, frozenset((node.subject, node.object))))
                is_own = node.predicate == PREDICATES[self.game.name] and name in (node.subject, node.object)
                if row is None or not is_own:
                    continue
                mine, theirs = ("first", "second") if row["first"] == name else ("second", "first")
                event = {
                    "agent": name,
                    "step": node.created_at,
                    "partner": row[theirs],
                    "role": sides[0] if mine == "first" else sides[1],
                    "own_cooperated": row[f"{mine}_cooperated"],
                    "partner_cooperated": row[f"{theirs}_cooperated"],
                    "payoff": row[f"{mine}_payoff"],
                    "text": node.text,
                }
                found[name].append(event)
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
                    if name in self.published.names and signed is not None:
                        row = {"step": node.created_at, "agent": name, "cooperated": signed, "reason": None}
                        found.setdefault((node.created_at, name), row)
        return sorted(found.values(), key=lambda row: row["step"])

    @cached_property
    def gossip(self) -> list[Row]:
        """All gossip messages, by step and order."""
        found = [row for person in self.published.last.people for row in self._heard(person)]
        onward = {
            (row["step"], row["gossiper"], row["origin"], row["subject"]): row["listener"]
            for row in found
            if row["order"] == 2
        }
        for row in found:
            key = (row["step"], row["listener"], row["gossiper"], row["subject"])
            row["passed_on_to"] = onward.get(key, "") if row["order"] == 1 else ""
        if silent := sum(not row["dialogue"] for row in found):
            what = f"{silent} of {len(found)} gossip dialogues cannot be told apart or split"
            self.report.say("nodes.json", what, "left out")
        if found:
            what = f"{len(found)} messages do not say their tone and the gossiper's role"
            self.report.say("gossip_database.json", what, "null")
        return sorted(found, key=lambda row: (row["step"], row["order"]))

    def _heard(self, person: Person) -> list[Row]:
        messages: list[tuple[Message, Row]] = []
        for number, data in enumerate(person.gossip, start=1):
            where = f"{person.name}/gossip_database.json, message {number}"
            try:
                message = self._message(data)
            except (ValidationError, ValueError) as error:
                what = first_problem(error) if isinstance(error, ValidationError) else str(error)
                self.report.say(where, what, "left out")
                continue
            if self._is_there(message.created_at, where):
                messages.append((message, data))
        told = self._dialogues(person.name)
        often = Counter((message.created_at, message.gossiper) for message, _ in messages)
        rows = []
        for message, data in messages:
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
                "passed_on_to": "",
                PUBLISHED: {key: plain(value) for key, value in data.items() if key in UNTOLD},
            }
            rows.append(row)
        return rows

    def _message(self, data: Any) -> Message:
        """Parse a message; raise ValueError if it names an unknown agent, order, credibility or role."""
        message = Message.model_validate(data)
        named = {message.subject, message.gossiper, message.origin} - {""}
        if strangers := sorted(named - set(self.published.names)):
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
                found[node.created_at, node.subject].append(
                    encounters.dialogue(node.conversation, self.published.names)
                )
        return found

    @cached_property
    def _first_met(self) -> dict[tuple[str, str, str], int]:
        found: dict[tuple[str, str, str], int] = {}
        first, second = self.game.roles
        for row in self.interactions.values():
            for holder in (row["first"], row["second"]):
                found.setdefault((holder, row["first"], first), row["step"])
                found.setdefault((holder, row["second"], second), row["step"])
        return found

    def first_met(self, holder: str, subject: str, role: str) -> int | None:
        """Return the step in which an agent first met another, or itself played, in a role; None if it never did."""
        return self._first_met.get((holder, subject, role))

    def roles_met(self, name: str, other: str, until: int, *, completed: bool) -> list[str]:
        """Return the roles of `other` in the encounters of an agent with it up to a step, the latest last.

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
        latest = {role: step for step, role in sorted(met) if step <= until}
        return sorted(latest, key=lambda role: latest[role])

    def _is_completed(self, event: Row, name: str) -> bool:
        row = self.interactions.get((event["step"], frozenset((name, event["partner"]))))
        return row is not None and row["course"] == EncounterStatus.COMPLETED.value
