"""Export a step of a run as a step folder of the published layout."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from repunet_model.errors import ConfigurationError
from repunet_model.export import whole
from repunet_model.games import find
from repunet_model.games.base import EncounterStatus
from repunet_model.reference_layout import words
from repunet_model.reference_layout.encounters import boxed, memory_of, result_of
from repunet_model.reference_layout.files import META
from repunet_model.reference_layout.kept import kept_of
from repunet_model.reference_layout.words import EXTRA, PREDICATES, PUBLISHED, SIGN_UP, key_of, reason_of
from repunet_model.reputation import Cause
from repunet_model.storage import Row, StepReader, schema
from repunet_model.util.text import check_folder_names, one_line

TABLES = (schema.INTERACTIONS, schema.EVENTS, schema.RECORDS, schema.GOSSIP, schema.DECLARATIONS)


def export_step(run: StepReader, step: int, out: Path) -> Path:
    """Write a step of a run in the published layout.

    Args:
        run: The run.
        step: The step.
        out: The folder to create; it will hold the step as `step_<N>`.

    Returns:
        The step folder.

    Raises:
        RepuNetError: If the run cannot be read, the layout does not support its game or a name, or `out` exists or
            cannot be written; no partial folder remains.
    """
    past = _Past(run, step)
    written = {
        file: content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, indent=2) + "\n"
        for file, content in past.files()
    }
    own = kept_of(run, step, {file: text.encode() for file, text in written.items()})
    meta = {"persona_names": list(past.number), "step": step, EXTRA: own}
    written[META] = json.dumps(meta, ensure_ascii=False, indent=2) + "\n"
    with whole(out) as place:
        for file, text in written.items():
            path = place / f"step_{step}" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
    return out / f"step_{step}"


class _Past:
    """A run up to a step, in tables whose rows have their steps."""

    def __init__(self, run: StepReader, step: int) -> None:
        """Read a run, and check that the layout supports it."""
        self.config, self.step, self.state = run.manifest.config, step, run.step(step).state
        if self.config.game not in PREDICATES:
            raise ConfigurationError(f"the published layout has no place for the game {self.config.game!r}")
        names = [persona.name for persona in run.personas]
        if list(run.roster(step).personas) != names or len(self.state["agents"]) != len(names):
            raise ConfigurationError(
                f"{run.folder.path}: agents entered or left, and the published layout has no place for that; choose "
                "another layout"
            )
        check_folder_names(names, "the published layout has a folder for each agent")
        self.tables: dict[str, list[Row]] = defaultdict(list)
        for each in run.steps(1, step):
            for table in TABLES:
                self.tables[table.name] += [{**row, "step": each.number} for row in each.rows(table)]
        self.scratch = {row["agent"]: row["scratch"] for row in run.folder.table(step, PUBLISHED)}
        self.number = {name: number for number, name in enumerate(names)}
        self.number |= {name: own["ID"] for name, own in self.scratch.items()}

    def files(self) -> Iterator[tuple[str, Any]]:
        """Yield the relative path of each file of the step folder but meta.json, with its data or text."""
        for state in self.state["agents"]:
            name = state["name"]
            place = f"personas/{name}"
            yield f"{place}/memory/scratch.json", self._scratch(name, state)
            yield f"{place}/memory/associative_memory/nodes.json", self._nodes(name)
            present, replaced = self._records(name)
            yield f"{place}/reputation/reputation_database.json", present
            yield f"{place}/reputation/out_of_date_reputation_database.json", replaced
            yield f"{place}/reputation/gossip_database.json", list(self._messages(name))
        results = self._results()
        if results:
            folder, stem = words.RESULTS[self.config.game]
            yield f"{folder}/{stem}_{self.step}.txt", results

    def _scratch(self, name: str, state: schema.AgentState) -> Row:
        roles = find(self.config.game).roles
        learned = state["learned"] if roles[0] != roles[1] else state["learned"][roles[0]]
        resources = Decimal(state["resources"])
        ties = [
            [other, role] for agent, other, bound in self.state["network"]["ties"] if agent == name for role in bound
        ]
        return {
            "name": name,
            "innate": None,
            "learned": learned,
            "currently": None,
            "ID": self.number[name],
            "role": None,
            "curr_step": self.step,
            "complain_buffer": [],
            **self._counts(name, state),
            "relationship": {"bind_list": ties, "black_list": self.state["network"]["blacklists"][name]},
            "resources_unit": int(resources) if resources == int(resources) else float(resources),
            "observed": self._observed(),
            **self.scratch.get(name, {}),
        }

    def _counts(self, name: str, state: schema.AgentState) -> dict[str, int]:
        """Return the encounters of an agent: by role in the investment game, in total in the others."""
        met: Counter[str] = Counter()
        for row in self.tables["interactions"]:
            for side, role in (("first", "investor"), ("second", "trustee")):
                if row[side] == name and self.config.game == "investment":
                    met[f"total_num_{role}"] += 1
                    met[f"success_num_{role}"] += row["course"] == EncounterStatus.COMPLETED.value
        names = [f"{what}_num_{role}" for role in ("investor", "trustee") for what in ("total", "success")]
        chats = (0, 0) if self.config.game == "investment" else (state["encounters"], state["completed"])
        return {**{name: met[name] for name in names}, "total_chat_num": chats[0], "success_chat_num": chats[1]}

    def _observed(self) -> dict[str, list[str]]:
        """Return the observations on the board, by name and role."""
        seen: dict[str, list[str]] = defaultdict(list)
        for row in self.state["board"]:
            seen[f"{row['subject']}:{row['role']}"].append(row["text"])
        return dict(seen)

    def _remembered(self, name: str) -> list[Row]:
        return [event for event in self.tables["events"] if event["agent"] == name]

    @cached_property
    def _by_sides(self) -> dict[tuple[int, frozenset[str]], Row]:
        return {(row["step"], frozenset((row["first"], row["second"]))): row for row in self.tables["interactions"]}

    def _row(self, event: Row, name: str) -> Row | None:
        """Return the encounter of an event."""
        return self._by_sides.get((event["step"], frozenset((name, event["partner"]))))

    def _has_node(self, event: Row, name: str) -> bool:
        """Whether the layout has a memory for an event; it has none for a conversation that did not take place."""
        row = self._row(event, name)
        return row is not None and (self.config.game != "sign_up" or row["course"] == EncounterStatus.COMPLETED.value)

    def _nodes(self, name: str) -> list[Row]:
        """Return the memories of an agent: public choices, encounters and gossip, by step."""
        nodes = [*self._rounds(name), *self._encounters(name), *self._told(name)]
        nodes.sort(key=lambda node: node["created_at"])
        return [{"id": number, **node} for number, node in enumerate(nodes, start=1)]

    def _rounds(self, name: str) -> Iterator[Row]:
        rounds: dict[int, list[str]] = defaultdict(list)
        for row in self.tables["declarations"]:
            rounds[row["step"]].append(f"{row['agent']}: {'Yes' if row['cooperated'] else 'No'}\n")
        for step, lines in rounds.items():
            yield _node("EVENT", name, SIGN_UP, words.EVERYBODY, "".join(lines), step)

    def _encounters(self, name: str) -> Iterator[Row]:
        game = self.config.game
        for event in self._remembered(name):
            row = self._row(event, name)
            if row is None or not self._has_node(event, name):
                continue
            if game == "sign_up":
                text = row["summary"] or event["text"]
                chat = _node("CHAT", row["first"], PREDICATES[game], row["second"], text, row["step"])
                yield {**chat, "conversation": _spoken(row["conversation"] or ())}
            else:
                text = memory_of(game, row, event["text"])
                yield _node("EVENT", name, PREDICATES[game], event["partner"], text, event["step"])

    def _told(self, name: str) -> Iterator[Row]:
        """Yield the conversations in which an agent told or heard gossip."""
        for row in self.tables["gossip"]:
            if name in (row["gossiper"], row["listener"]):
                node = _node("CHAT", row["gossiper"], words.GOSSIP, row["listener"], row["summary"], row["step"])
                yield {**node, "conversation": _spoken(row["dialogue"])}

    def _messages(self, name: str) -> Iterator[Row]:
        """Yield the gossip messages that an agent heard."""
        kinds = {order: kind for kind, order in words.ORDERS.items()}
        for row in self.tables["gossip"]:
            if row["listener"] != name:
                continue
            message = {
                "type": kinds[row["order"]],
                "complained ID": str(self.number[row["subject"]]),
                "complained name": row["subject"],
                "complained role": row["subject_role"],
            }
            judged = {"gossip info": row["summary"], "credibility level": row["credibility"]}
            if row["order"] == 1:
                message |= {
                    "gossiper name": row["gossiper"],
                    **judged,
                    "whether to spread gossip second-hand": "Yes" if row["passed_on_to"] else "No",
                    "reasons": "",
                }
            else:
                message |= {
                    "first-order listener name": row["gossiper"],
                    "original gossiper name": row["origin"],
                    **judged,
                    "gossiper name": row["gossiper"],
                }
            yield {**message, **row.get(PUBLISHED, {}), "created_at": row["step"]}

    def _records(self, name: str) -> tuple[Row, Row]:
        """Return the present records of an agent, and the replaced ones."""
        present: Row = {}
        replaced: Row = {}
        reasons: dict[str, str | None] = {}
        for row in self.tables["records"]:
            if row["holder"] != name:
                continue
            key = key_of(row["role"], self.number[row["subject"]])
            if key in present:
                reason = reasons[key] or reason_of(Cause(row["cause"]), self.config.game)
                replaced[_free(replaced, f"{key}_pre_{row['step']}")] = {**present[key], "reason": reason}
            own = dict(row.get(PUBLISHED, {}))
            reasons[key] = own.pop("reason", None)
            present[key] = {
                "ID": self.number[row["subject"]],
                "scenario": "pd_game" if self.config.game == "prisoners_dilemma" else self.config.game,
                "role": row["role"],
                "name": row["subject"],
                "content": row["text"],
                "numerical record": f"({', '.join(map(repr, row['distribution']))})",
                **own,
            }
        return present, replaced

    def _results(self) -> str:
        """Return the text of the result file of the step; empty without encounters or choices."""
        game = self.config.game
        rows = [row for row in self.tables["interactions"] if row["step"] == self.step]
        if game == "investment":
            return "".join(result_of(row) for row in rows)
        if game == "prisoners_dilemma":
            return "".join(_played(row) for row in rows)
        choices = [row for row in self.tables["declarations"] if row["step"] == self.step]
        lines = [
            one_line(f"{number}. {row['agent']}: {'Yes' if row['cooperated'] else 'No'}. {row['reason'] or ''}")
            for number, row in enumerate(choices, start=1)
        ]
        rule = "-" * 20
        framed = [f"{rule}Sign up info {self.step}{rule}", *lines, f"{rule}End of Sign up info{rule}", "", ""]
        return "\n".join(framed) if lines else ""


def _played(row: Row) -> str:
    sides = (("Player1", "first"), ("Player2", "second"))
    moves = memory_of("prisoners_dilemma", row, "").partition(". ")[0].removeprefix("Game_result is ")
    return boxed(
        [
            "**Stage  1**",
            [f"{player}: {row[side]}: decision Accept to play." for player, side in sides],
            "**Stage  2**",
            [
                *(f"{player}: {row[side]}: payoff {row[f'{side}_payoff']:g}" for player, side in sides),
                f"Game Result: {moves}",
            ],
            "End of PD Game",
        ]
    )


def _node(kind: str, subject: str, predicate: str, other: str, words: str, step: int) -> Row:
    return {
        "type": kind,
        "subject": subject,
        "predicate": predicate,
        "object": other,
        "description": words,
        "created_at": step,
    }


def _spoken(lines: Iterable[Iterable[str]]) -> str:
    return "\n\n".join(": ".join(line) for line in lines)


def _free(taken: Mapping[str, Any], key: str) -> str:
    """Return an unused key; a number is appended for a record that was replaced more than once in a step."""
    number = 2
    free = key
    while free in taken:
        free, number = f"{key}_{number}", number + 1
    return free
