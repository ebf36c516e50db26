"""Results of stored runs as tables: parameters and measures by step, read from run folders.

The first columns identify the run (`Manifest.described`), the others are measures, and last construct checks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from repunet_model import games
from repunet_model.backends.asked import not_taken
from repunet_model.backends.base import Usage
from repunet_model.measures import COSTS
from repunet_model.results.attack import attack_of
from repunet_model.results.constructs import columns_of
from repunet_model.storage import Manifest, Row, StepReader
from repunet_model.storage.schema import InteractionRow

PHASE = 10
"""The number of last steps that form the final phase of a run."""


def cooperation_by_agent(interactions: Iterable[InteractionRow]) -> dict[str, float]:
    """Return the cooperation rate of each agent with choices, by name."""
    acts: dict[str, list[bool]] = {}
    for row in interactions:
        sides = {row["first"]: row["first_cooperated"], row["second"]: row["second_cooperated"]}
        for name, cooperated in sides.items():
            if cooperated is not None:
                acts.setdefault(name, []).append(cooperated)
    return {name: sum(own) / len(own) for name, own in acts.items()}


def measures_of(run: StepReader, last: int | None = None, first: int = 1) -> pd.DataFrame:
    """Return the measures and costs of a run by step.

    Args:
        run: The run.
        last: The last step; None for that of the run.
        first: The first step.

    Returns:
        A row for each step, with the column `step`.

    Raises:
        StorageError: If the run cannot be read.
    """
    rows: list[Row] = []
    for step in run.steps(first, last):
        usage = Usage.total(step.usage)
        costs = {name: getattr(usage, name) for name in COSTS}
        rows.append({"step": step.number, **step.measures, **costs})
    return pd.DataFrame(rows)


def identity(run: StepReader, manifest: Manifest) -> dict[str, Any]:
    """Return everything that identifies a run under a manifest of it, except its name, as columns."""
    config = manifest.config
    parameters = manifest.game_parameters or games.find(config.game).parameters.stored()
    return manifest.described(run.population, parameters)


def table_of(run: StepReader, last: int | None = None) -> pd.DataFrame:
    """Return the identifying parameters and the measures of a run, a row for each step up to `last`.

    Construct checks (`results.constructs`), and the measures of an attack (`results.attack`), which are of all steps
    together, are the last columns, equal in all rows.

    The steps that a fork copied from its parent have the parent's parameters; they are omitted if a fork of an earlier
    format does not store these.

    Raises:
        StorageError: If the run cannot be read.
    """
    tables = []
    for first, end, manifest in run.manifest.eras(run.last if last is None else last):
        if manifest is not None:
            measures = measures_of(run, end, first)
            known = {
                "run": run.folder.path.name,
                **identity(run, manifest),
                **not_taken(run, manifest, first, end),
            }
            checked = columns_of(run, first, end)
            if end == run.last and (attack := attack_of(run, PHASE)) is not None:
                checked |= {f"attack_{name}": value for name, value in asdict(attack).items()}
            tables.append(pd.concat([pd.DataFrame([known] * len(measures)), measures], axis=1).assign(**checked))
    return joined(tables)


def joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Concatenate tables of runs; the columns of parameters come before those of measures."""
    if not tables:
        return pd.DataFrame()
    parameters: dict[str, None] = {}
    measured: dict[str, None] = {}
    for table in tables:
        columns = list(table.columns)
        parameters |= dict.fromkeys(columns[: columns.index("step")])
        measured |= dict.fromkeys(columns[columns.index("step") :])
    one = pd.concat([table.astype(object) for table in tables], ignore_index=True)
    one = one[[*parameters, *measured]].infer_objects()
    # A measure without any value is a column of numbers, too.
    return one.assign(**{name: pd.to_numeric(one[name]) for name in measured})
