"""Export a step of a run as a step folder of the published layout."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from repunet_model.config import RunConfig
from repunet_model.errors import ConfigurationError
from repunet_model.export import whole
from repunet_model.games import find
from repunet_model.games.base import EncounterStatus
from repunet_model.reference_layout.encounters import boxed, memory_of, result_of
from repunet_model.reference_layout.files import is_folder_name
from repunet_model.reference_layout.words import (
    EVERYBODY,
    EXTRA,
    GOSSIP,
    ORDERS,
    PREDICATES,
    RESULTS,
    SIGN_UP,
    key_of,
    reason_of,
)
from repunet_model.reputation import Cause
from repunet_model.storage import Row, StepReader
from repunet_model.storage.schema import DECLARATIONS, EVENTS, INTERACTIONS, RECORDS, AgentState, State
from repunet_model.storage.schema import GOSSIP as MESSAGES
from repunet_model.util.text import one_line

TABLES = (INTERACTIONS, EVENTS, RECORDS, MESSAGES, DECLARATIONS)


def export_step(run: StepReader, step: int, out: Path) -> Path:
    """Write a step of a run in the published layout.

    Args:
        run: The run.
        step: The step. In an imported run, the published number is this plus the number of the imported step.
        out: The folder to create; it will hold the step as `step_<N>`.

    Returns:
        The step folder.

    Raises:
        RepuNetError: If the run cannot be read, the layout does not support its game or a name, or `out` exists or
            cannot be written; no partial folder remains.
    """
    past = _Past.read(run, step)
    with whole(out) as place:
        for file, content in past.files():
            path = place / f"step_{past.step}" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, indent=2) + "\n"
            path.write_text(text, encoding="utf-8", newline="\n")
    return out / f"step_{past.step}"


@dataclass(frozen=True)
class _Past:
    """A run up to a step; steps have the published numbers, in the rows of the tables too."""

    config: RunConfig
    resolved: Row
    step: int
    people: list[Row]
    state: State
    tables: Mapping[str, list[Row]]
    number: Mapping[str, int]

    @classmethod
    def read(cls, run: StepReader, step: int) -> _Past:
        """Read a run, and check that the layout supports it."""
        config = run.manifest.config
        if config.game not in PREDICATES:
            raise ConfigurationError(f"the published layout has no place for the game {config.game!r}")
        folders: dict[str, str] = {}
        for name in (persona.name for persona in run.personas):
            if not is_folder_name(name):
                raise ConfigurationError(
                    f"the published layout has a folder for each agent, and {name!r} cannot be one"
                )
            other = folders.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
            if other != name:
                raise ConfigurationError(
                    f"the published layout has a folder for each agent, and those of {other!r} and {name!r} would be "
                    "one where capitals do not count"
                )
        imported = run.manifest.imported
        start = imported["step"] if imported else 0
        tables: dict[str, list[Row]] = defaultdict(list)
        for each in run.steps(0 if imported else 1, step):
            for table in TABLES:
                added = {"step": start + each.number} if each.number else {}
                tables[table.name] += [{**row, **added} for row in each.rows(table)]
        manifest = run.manifest
        resolved = {
            "game_parameters": manifest.game_parameters,
            "network": manifest.network,
            "prompts": manifest.prompts,
        }
        names = {persona.name: position for position, persona in enumerate(run.personas)}
        people = [persona.model_dump(mode="json") for persona in run.personas]
        return cls(config, resolved, start + step, people, run.step(step).state, tables, names)

    def files(self) -> Iterator[tuple[str, Any]]:
        """Yield the relative path of each file of the step folder, with its data or text."""
        kept = {**self.config.stored(), **self.resolved, "board": self.state["board"]}
        meta = {"persona_names": list(self.number), "step": self.step, EXTRA: kept}
        yield "reverie/meta.json", meta
        for persona, state in zip(self.people, self.state["agents"], strict=True):
            place = f"personas/{persona['name']}"
            yield f"{place}/memory/scratch.json", self._scratch(persona, state)
            yield f"{place}/memory/associative_memory/nodes.json", self._nodes(persona["name"])
            present, replaced = self._records(persona["name"])
            yield f"{place}/reputation/reputation_database.json", present
            yield f"{place}/reputation/out_of_date_reputation_database.json", replaced
            yield f"{place}/reputation/gossip_database.json", list(self._messages(persona["name"]))
        results = self._results()
        if results:
            folder, stem = RESULTS[self.config.game]
            yield f"{folder}/{stem}_{self.step}.txt", results

    def _scratch(self, persona: Row, state: AgentState) -> Row:
        name = persona["name"]
        roles = find(self.config.game).roles
        learned = state["learned"] if roles[0] != roles[1] else state["learned"][roles[0]]
        resources = Decimal(state["resources"])
        ties = [
            [other, role] for agent, other, bound in self.state["network"]["ties"] if agent == name for role in bound
        ]
        untold = [event for event in self._remembered(name) if not self._has_node(event, name)]
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
            EXTRA: {
                "persona": persona,
                "state": {key: value for key, value in state.items() if key not in {"name", "learned"}},
                "meetings": [_kept(event, self._row(event, name)) for event in untold],
            },
        }

    def _counts(self, name: str, state: AgentState) -> dict[str, int]:
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
            yield _node("EVENT", name, SIGN_UP, EVERYBODY, "".join(lines), step)

    def _encounters(self, name: str) -> Iterator[Row]:
        game = self.config.game
        for event in self._remembered(name):
            row = self._row(event, name)
            if row is None or not self._has_node(event, name):
                continue
            kept = _kept(event, row)
            if game == "sign_up":
                words = row["summary"] or event["text"]
                chat = _node("CHAT", row["first"], PREDICATES[game], row["second"], words, row["step"])
                yield {**chat, "conversation": _spoken(row["conversation"] or ()), EXTRA: kept}
            else:
                words = memory_of(game, row, event["text"])
                yield {**_node("EVENT", name, PREDICATES[game], event["partner"], words, event["step"]), EXTRA: kept}

    def _told(self, name: str) -> Iterator[Row]:
        """Yield the conversations in which an agent told or heard gossip."""
        for row in self.tables["gossip"]:
            if name in (row["gossiper"], row["listener"]):
                node = _node("CHAT", row["gossiper"], GOSSIP, row["listener"], row["summary"], row["step"])
                yield {**node, "conversation": _spoken(row["dialogue"])}

    def _messages(self, name: str) -> Iterator[Row]:
        """Yield the gossip messages that an agent heard."""
        kinds = {order: kind for kind, order in ORDERS.items()}
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
            kept = {key: row[key] for key in ("gossiper_role", "tone", "dialogue", "passed_on_to")}
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
            yield {**message, "created_at": row["step"], EXTRA: kept}

    def _records(self, name: str) -> tuple[Row, Row]:
        """Return the present records of an agent, and the replaced ones."""
        present: Row = {}
        replaced: Row = {}
        for row in self.tables["records"]:
            if row["holder"] != name:
                continue
            key = key_of(row["role"], self.number[row["subject"]])
            if key in present:
                reason = reason_of(Cause(row["cause"]), self.config.game)
                replaced[_free(replaced, f"{key}_pre_{row['step']}")] = {**present[key], "reason": reason}
            present[key] = {
                "ID": self.number[row["subject"]],
                "scenario": "pd_game" if self.config.game == "prisoners_dilemma" else self.config.game,
                "role": row["role"],
                "name": row["subject"],
                "content": row["text"],
                "numerical record": f"({', '.join(map(repr, row['distribution']))})",
                EXTRA: {key: row[key] for key in ("step", "cause", "source")},
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


def _kept(event: Row, interaction: Row | None) -> Row:
    """Return the data of an event from which an import restores it exactly."""
    return {"event": {key: value for key, value in event.items() if key != "agent"}, "interaction": interaction}


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
