"""A run up to a step as one JSON object, and the steps in it, to be stored again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from repunet_model.network import SocialNetwork
from repunet_model.storage.reader import StepReader, update_of
from repunet_model.storage.schema import CALLS, RECORDS, TABLES, TIES, Row

StoredStep = tuple[Row, dict[str, list[Row]]]
"""The documents and the tables of a step, as `RunFolder.create` takes them."""


def pack(run: StepReader, step: int, more: Iterable[str] = ()) -> Row:
    """Return the parameters, personas and steps of a run up to a step, without calls and usage.

    Args:
        run: The run.
        step: The last step.
        more: Names of further tables.
    """
    tables = [*(name for name, table in TABLES.items() if table.is_built_in and table is not CALLS), *more]
    return {
        "config": run.manifest.config.stored(),
        "game_parameters": run.manifest.game_parameters,
        "network": run.manifest.network,
        "prompts": run.manifest.prompts,
        "population": run.population,
        "personas": [persona.model_dump(mode="json") for persona in run.personas],
        "steps": [
            {
                "state": each.state,
                "metrics": each.measures,
                "tables": {name: rows for name in tables if (rows := run.folder.table(each.number, name))},
            }
            for each in run.steps(0, step)
        ],
    }


def unpack(packed: Mapping[str, Any]) -> list[StoredStep]:
    """Return the steps that `pack` packed; raise LookupError, TypeError or ValueError if they are damaged."""
    built_in = [name for name, table in TABLES.items() if table.is_in_every_step]
    steps: list[StoredStep] = []
    for number, step in enumerate(packed["steps"]):
        SocialNetwork.from_dict(step["state"]["network"])
        for row in step["tables"].get(RECORDS.name, ()):
            update_of(row, number)
        measures = {"metrics": step["metrics"], "usage": {}} if number else {}
        empty: dict[str, list[Row]] = {name: [] for name in built_in if number}
        steps.append(({"state": step["state"], **measures}, {**empty, **step["tables"]}))
    return steps


def sizes(steps: Sequence[StoredStep]) -> dict[str, int]:
    """Return the number of agents, ties and present records after some steps, and of the rows of built-in tables."""
    state, counts, present = steps[-1][0]["state"], Counter[str](), set()
    for _, tables in steps:
        counts.update({name: len(rows) for name, rows in tables.items() if name in TABLES and name != TIES.name})
        present |= {(row["holder"], row["subject"], row["role"]) for row in tables.get(RECORDS.name, ())}
    return {
        "agents": len(state["agents"]),
        "ties": len(state["network"]["ties"]),
        "blacklisted": sum(map(len, state["network"]["blacklists"].values())),
        "present records": len(present),
        **{name: count for name, count in counts.items() if count},
    }
