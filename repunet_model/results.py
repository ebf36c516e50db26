"""What came of stored runs, as tables: parameters and measures by step, read from run folders.

The first columns are everything that identifies a run (`Manifest.described`), the others what was measured. A run
of the published implementation that was imported has measures too: the rates of its encounters and its gossip by step,
and the measures of its society at the step that was imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import cast

import pandas as pd

from repunet_model import games, metrics
from repunet_model.backends.asked import not_taken
from repunet_model.backends.base import Usage
from repunet_model.games.base import Account, Course, Game, Outcome
from repunet_model.measures import COSTS, of_graph
from repunet_model.storage import Row, Step, StepReader
from repunet_model.storage.schema import DECLARATIONS, GOSSIP, INTERACTIONS, InteractionRow

PHASE = 10
"""How many last steps make the final phase of a run."""


def cooperation_by_agent(interactions: Iterable[InteractionRow]) -> dict[str, float]:
    """Return the share of each agent's choices that were cooperative, by name, for those that had a choice.

    Args:
        interactions: Rows of the table of interactions.
    """
    acts: dict[str, list[bool]] = {}
    for row in interactions:
        for name, cooperated in (
            (row["first"], row["first_cooperated"]),
            (row["second"], row["second_cooperated"]),
        ):
            if cooperated is not None:
                acts.setdefault(name, []).append(cooperated)
    return {name: sum(own) / len(own) for name, own in acts.items()}


def measures_of(run: StepReader, last: int | None = None, first: int = 1) -> pd.DataFrame:
    """Return the measures of a run by step, and what each has cost.

    Args:
        run: The run.
        last: The last step; None for that of the run.
        first: The first step.

    Returns:
        A row a step, with the column `step`; the steps of an imported past have the numbers they had there, and those
        after it go on from there.

    Raises:
        StorageError: If it cannot be read.
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


def table_of(run: StepReader, last: int | None = None) -> pd.DataFrame:
    """Return everything that identifies a run and its measures, a row a step.

    Steps that a fork shares with its parent have the parameters under which they were made. Where a fork of an earlier
    format does not say what those were, such steps are left out.

    Args:
        run: The run.
        last: Up to which step; None for all.

    Raises:
        StorageError: If it cannot be read.
    """
    tables = []
    for first, end, manifest in run.manifest.eras(run.last if last is None else last):
        if manifest is not None:
            measures = measures_of(run, end, first)
            known = {
                "run": run.folder.path.name,
                **manifest.described(run.population),
                **not_taken(run, manifest, first, end),
            }
            tables.append(pd.concat([pd.DataFrame([known] * len(measures)), measures], axis=1))
    return joined(tables)


def joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the tables of some runs as one; parameters come first, whichever run is the first to have them."""
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
    # What was never measured is a number that is not there, too.
    return one.assign(**{name: pd.to_numeric(one[name]) for name in measured})


def _of_past(run: StepReader, game: Game) -> list[Row]:
    """Return the measures of the past with which an imported run begins, by step."""
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
        counts: dict[str, float | None] = {**metrics.gossip_counts(told)}
        if any(row["tone"] is None for row in told):
            counts |= {"gossip_positive": None, "gossip_negative": None}
        if any(row["credibility"] is None for row in told):
            counts["gossip_credible"] = None
        measured.append({"step": step, **rates, **counts})
    if measured:
        measured[-1] |= _of_society(past, run.manifest.config.seed)
    return measured


def _outcome(row: InteractionRow, game: Game) -> Outcome:
    """Return what came of an encounter, as far as its row says."""
    sides = (
        Account(Decimal(str(row["first_payoff"] or 0)), row["first_cooperated"], ""),
        Account(Decimal(str(row["second_payoff"] or 0)), row["second_cooperated"], ""),
    )
    return Outcome(sides, Course(row["course"]), {name: cast("Row", row)[name] for name in game.facts})


def _of_society(step: Step, seed: int) -> dict[str, float | None]:
    """Return the measures of the society with which an imported run begins."""
    graph = step.network.graph
    count, modularity = metrics.communities(graph, seed)
    return {
        **of_graph(graph),
        "communities": count,
        "modularity": modularity,
        "gini": metrics.gini([float(agent["resources"]) for agent in step.state["agents"]]),
    }
