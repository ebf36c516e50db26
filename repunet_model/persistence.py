"""What of a society is stored, and how it is read again: the manifest of a run, and the content of a step.

A step holds what it added, as rows, and the small state after it. What an agent knows at a step is the fold of the
rows up to it: records into ledgers, events into memories.
"""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from repunet_model import parameters
from repunet_model.backends.base import Usage
from repunet_model.backends.setup import respondents
from repunet_model.errors import ConfigurationError
from repunet_model.memory import Event
from repunet_model.questions.prompts import prompt_hash
from repunet_model.reputation import Cause, RecordUpdate, ReputationRecord
from repunet_model.stages.world import StepLog, World
from repunet_model.storage import FORMAT, Row, RunFolder
from repunet_model.words import yes_or_no

PARAMETERS = ("game", "reputation", "gossip", "activation", "dialogue_turns", "questions", "seed")
"""The parameters of a model in its manifest: what the outcome depends on beside personas and backends."""

PACKAGES = ("mesa", "networkx", "numpy", "openai", "pydantic", "jinja2")
"""What results may depend on beside this package."""


def made_by() -> Row:
    """Return what makes the steps to come: the versions of this package and of those it builds on."""
    return {
        "repunet": version("repunet-mesa"),
        "prompts": prompt_hash(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "commit": commit(),
    }


def run_manifest(own: Mapping[str, Any], answering: Mapping[str, Any], measures: Iterable[str]) -> Row:
    """Return the manifest of a new run: all its outcome depends on, and nothing else.

    Args:
        own: The parameters of the model.
        answering: Who answers for whom.
        measures: The names of what is measured beside what all runs measure.
    """
    return {
        "format": FORMAT,
        **own,
        **answering,
        "measures": sorted(measures),
        **made_by(),
    }


def changes(settings: Mapping[str, str]) -> Row:
    """Return what a fork's manifest says otherwise by wish; who answers for single agents stays.

    Args:
        settings: Values in words, by name: reputation and gossip (y or n), activation, dialogue_turns, questions, seed,
            backend.

    Raises:
        ConfigurationError: If a name is none of them, or a value cannot be used.
    """
    changed: Row = {}
    for name, text in settings.items():
        match name:
            case "reputation" | "gossip":
                try:
                    changed[name] = yes_or_no(text)
                except ConfigurationError:
                    raise ConfigurationError(f"{name}={text}: say y or n") from None
            case "activation":
                changed[name] = parameters.activation_of(text).value
            case "dialogue_turns":
                changed[name] = parameters.dialogue_turns(text)
            case "questions":
                changed[name] = parameters.questions_of(text).value
            case "seed":
                changed[name] = parameters.seed_of(text)
            case "backend":
                changed["backend"] = respondents(text).to_dict()["backend"]
            case _:
                raise ConfigurationError(
                    f"{name}={text}: set reputation, gossip, activation, dialogue_turns, questions, seed or backend"
                )
    return changed


@cache
def commit() -> str | None:
    """Return the Git commit of this package, with "-dirty" behind it if files were changed; None outside Git."""
    folder = Path(__file__).resolve().parent.parent
    if not (folder / ".git").exists():
        return None
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None


def write_step(folder: RunFolder, world: World, state: Mapping[str, Any], measures: Mapping[str, float | None]) -> None:
    """Write a step that is done.

    Args:
        folder: The run.
        world: The world after the step, with its log and its calls.
        state: The state after it.
        measures: Its measures.

    Raises:
        StorageError: If it cannot be written.
    """
    log = world.log
    folder.write_step(
        world.step,
        {
            "state": state,
            "metrics": measures,
            "usage": {name: usage.to_dict() for name, usage in sorted(world.desk.usage.items())},
        },
        {
            "interactions": log.interactions,
            "events": log.events,
            "records": log.records,
            "gossip": log.gossip,
            "ties": log.ties,
            "declarations": log.declarations,
            "calls": world.desk.rows(),
        },
    )


@dataclass(frozen=True, slots=True)
class StoredStep:
    """A step as it was stored.

    Attributes:
        state: The state after it.
        records: What it wrote into ledgers, by the name of the holder.
        events: What it left in memories, by the name of the agent.
        measures: Its measures; None for a seed, which has none.
        usage: What it cost.
        log: Its interactions, its gossip, and its ties made and cut.
    """

    state: dict[str, Any]
    records: list[tuple[str, RecordUpdate]]
    events: list[tuple[str, Event]]
    measures: dict[str, float | None] | None
    usage: Usage
    log: StepLog


def read_step(folder: RunFolder, step: int) -> StoredStep:
    """Read a step. A seed may come with a past, which is all of step 0.

    Raises:
        StorageError: If it is not whole.
    """
    return StoredStep(
        state=folder.document(step, "state"),
        records=[(row["holder"], update_of(row, step)) for row in folder.table(step, "records")],
        events=[(row.pop("agent"), Event.from_dict(row)) for row in folder.table(step, "events")],
        measures=folder.document(step, "metrics") if step > 0 else None,
        usage=usage_of(folder, step) if step > 0 else Usage(),
        log=StepLog(
            interactions=folder.table(step, "interactions"),
            gossip=folder.table(step, "gossip"),
            ties=folder.table(step, "ties"),
        ),
    )


def usage_of(folder: RunFolder, step: int) -> Usage:
    """Return what a step has cost, over all its questions; a seed has cost nothing, and has no such file.

    Raises:
        StorageError: If it is not whole.
    """
    usage = Usage()
    for each in folder.document(step, "usage").values():
        usage.add(Usage.from_dict(each))
    return usage


def update_of(row: Row, step: int) -> RecordUpdate:
    """Return what a row of a step's records wrote into a ledger."""
    return RecordUpdate(step, Cause(row["cause"]), row["source"], ReputationRecord.from_dict(row))


def asked(calls: Iterable[Row]) -> Iterator[Row]:
    """Yield a row for each question that was answered; a compound call yields its parts, in their order.

    Args:
        calls: Rows of the calls of a step.
    """
    for call in calls:
        if "parts" not in call:
            yield call
            continue
        for part, (question, about, source) in call["parts"].items():
            if (answer := call["answer"][part]) is not None:
                yield {**call, "question": question, "about": about, "source": source, "answer": answer}
