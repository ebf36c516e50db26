"""Results of stored runs as tables: parameters and measures by step, read from run folders.

The first columns identify the run (`Manifest.described`), the others are measures. For the published steps of an
imported run these are the rates of encounters and gossip, and at the imported step the measures of its society.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, cast

import pandas as pd

from repunet_model import games, measures
from repunet_model.backends.asked import not_taken
from repunet_model.backends.base import Usage
from repunet_model.games.base import EncounterStatus, Game, Outcome, PlayerOutcome
from repunet_model.measures import COSTS, of_graph
from repunet_model.storage import Manifest, Row, Step, StepReader
from repunet_model.storage.schema import DECLARATIONS, GOSSIP, INTERACTIONS, InteractionRow

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
        A row for each step, with the column `step`; an imported run continues the published numbers of steps.

    Raises:
        StorageError: If the run cannot be read.
    """
    rows: list[Row] = []
    before = 0
    if run.manifest.imported is not None:
        rows = _of_past(run, games.find(run.manifest.config.game))
        before = run.manifest.imported["step"]
    for step in run.steps(first, last):
        usage = Usage.total(step.usage)
        costs = {name: getattr(usage, name) for name in COSTS}
        rows.append({"step": before + step.number, **step.measures, **costs})
    return pd.DataFrame(rows)


def identity(run: StepReader, manifest: Manifest) -> dict[str, Any]:
    """Return everything that identifies a run under a manifest of it, except its name, as columns."""
    config = manifest.config
    parameters = manifest.game_parameters or games.find(config.game).parameters.stored()
    return manifest.described(run.population, parameters)


def table_of(run: StepReader, last: int | None = None) -> pd.DataFrame:
    """Return the identifying parameters and the measures of a run, a row for each step up to `last`.

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
            tables.append(pd.concat([pd.DataFrame([known] * len(measures)), measures], axis=1))
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


def _of_past(run: StepReader, game: Game) -> list[Row]:
    """Return the measures of the published steps of an imported run, by step."""
    by_step: dict[int, list[InteractionRow]] = {}
    past = run.step(0)
    for row in past.rows(INTERACTIONS):
        by_step.setdefault(row["step"], []).append(row)
    gossip = past.rows(GOSSIP)
    declarations = sorted(past.rows(DECLARATIONS), key=lambda row: row["step"])
    measured = []
    for step, rows in sorted(by_step.items()):
        declared = {row["agent"]: row["cooperated"] for row in declarations if row["step"] <= step}
        rates = game.measure([_outcome(row, game) for row in rows], list(declared.values()))
        told = [row for row in gossip if row["step"] == step]
        counts: dict[str, float | None] = {**measures.gossip_counts(told)}
        if any(row["tone"] is None for row in told):
            counts |= {"gossip_positive": None, "gossip_negative": None}
        if any(row["credibility"] is None for row in told):
            counts["gossip_credible"] = None
        measured.append({"step": step, **rates, **counts})
    if measured:
        measured[-1] |= _of_society(past, run.manifest.config.seed)
    return measured


def _outcome(row: InteractionRow, game: Game) -> Outcome:
    """Reconstruct the outcome of an encounter from its row."""
    sides = (
        PlayerOutcome(Decimal(str(row["first_payoff"] or 0)), row["first_cooperated"], ""),
        PlayerOutcome(Decimal(str(row["second_payoff"] or 0)), row["second_cooperated"], ""),
    )
    return Outcome(sides, EncounterStatus(row["course"]), {name: cast("Row", row)[name] for name in game.facts})


def _of_society(step: Step, seed: int) -> dict[str, float | None]:
    """Return the measures of the society at the imported step."""
    graph = step.network.graph
    count, modularity = measures.communities(graph, seed)
    return {
        **of_graph(graph),
        "communities": count,
        "modularity": modularity,
        "gini": measures.gini([float(agent["resources"]) for agent in step.state["agents"]]),
    }
