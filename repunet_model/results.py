"""What came of stored runs, as tables: parameters and measures by step, read from run folders.

The columns of a run's parameters are those of its manifest; what a backend depends on is named "backend.NAME". A run
of the published implementation that was imported has measures too: the rates of its encounters and its gossip by step,
and the measures of its society at the step that was imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pandas as pd

from repunet_model import games, metrics
from repunet_model.games.base import Account, Course, Game, Outcome
from repunet_model.measures import COSTS, of_graph
from repunet_model.modes import mode_of
from repunet_model.network import SocialNetwork
from repunet_model.persistence import PARAMETERS, usage_of
from repunet_model.storage import Row, RunFolder

PHASE = 10
"""How many last steps make the final phase of a run."""


def cooperation_by_agent(interactions: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Return the share of each agent's choices that were cooperative, by name, for those that had a choice.

    Args:
        interactions: Rows of the table of interactions.
    """
    acts: dict[str, list[bool]] = {}
    for row in interactions:
        for side in ("first", "second"):
            if row[f"{side}_cooperated"] is not None:
                acts.setdefault(row[side], []).append(bool(row[f"{side}_cooperated"]))
    return {name: sum(own) / len(own) for name, own in acts.items()}


def parameters_of(folder: RunFolder) -> dict[str, Any]:
    """Return the parameters of a run, by column.

    Raises:
        StorageError: If it cannot be read.
    """
    manifest = folder.manifest()
    own = {name: manifest[name] for name in PARAMETERS}
    backend = {f"backend.{name}": value for name, value in manifest["backend"].items() if name != "reads_prompts"}
    return {
        "run": folder.path.name,
        "game": own.pop("game"),
        "mode": mode_of(own["reputation"], own["gossip"]),
        **own,
        "n_agents": len(folder.document(0, "personas")),
        "backend": backend.pop("backend.backend"),
        **backend,
        **{f"backend_for.{name}": described["backend"] for name, described in manifest["backend_for"].items()},
    }


def measures_of(folder: RunFolder, steps: int | None = None) -> pd.DataFrame:
    """Return the measures of a run by step, and what each has cost.

    Args:
        folder: The run.
        steps: Up to which step; None for all.

    Returns:
        A row a step, with the column `step`; the steps of an imported past have the numbers they had there, and those
        after it go on from there.

    Raises:
        StorageError: If it cannot be read.
    """
    manifest = folder.manifest()
    rows: list[Row] = []
    before = 0
    if "imported" in manifest:
        rows = _of_past(folder, games.find(manifest["game"]))
        before = manifest["imported"]["step"]
    last = folder.steps()[-1] if steps is None else steps
    for step in range(1, last + 1):
        usage = usage_of(folder, step)
        costs = {name: getattr(usage, name) for name in COSTS}
        rows.append({"step": before + step, **folder.document(step, "metrics"), **costs})
    return pd.DataFrame(rows)


def table_of(folder: RunFolder, steps: int | None = None) -> pd.DataFrame:
    """Return parameters and measures of a run, a row a step.

    Args:
        folder: The run.
        steps: Up to which step; None for all.

    Raises:
        StorageError: If it cannot be read.
    """
    measures = measures_of(folder, steps)
    known = pd.DataFrame([parameters_of(folder)] * len(measures))
    return pd.concat([known, measures], axis=1)


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


def network_of(folder: RunFolder, step: int) -> SocialNetwork:
    """Return the ties after a step.

    Raises:
        StorageError: If it cannot be read.
    """
    return SocialNetwork.from_dict(folder.document(step, "state")["network"])


def _of_past(folder: RunFolder, game: Game) -> list[Row]:
    """Return the measures of the past with which an imported run begins, by step."""
    by_step: dict[int, list[Row]] = {}
    for row in folder.table(0, "interactions"):
        by_step.setdefault(row["step"], []).append(row)
    gossip = folder.table(0, "gossip")
    declarations = sorted(folder.table(0, "declarations"), key=lambda row: int(row["step"]))
    measured = []
    for step, rows in sorted(by_step.items()):
        declared = {row["agent"]: row["cooperated"] for row in declarations if row["step"] <= step}
        rates = game.measure([_outcome(row, game) for row in rows], list(declared.values()))
        told = [row for row in gossip if row["step"] == step]
        counts: dict[str, float | None] = {**metrics.gossip_counts(told)}
        for column, kind in (("tone", "positive"), ("tone", "negative"), ("credibility", "credible")):
            if any(row[column] is None for row in told):
                counts[f"gossip_{kind}"] = None
        measured.append({"step": step, **rates, **counts})
    if measured:
        measured[-1] |= _of_society(folder)
    return measured


def _outcome(row: Row, game: Game) -> Outcome:
    """Return what came of an encounter, as far as its row says."""
    sides = (
        Account(Decimal(str(row[f"{side}_payoff"] or 0)), row[f"{side}_cooperated"], "") for side in ("first", "second")
    )
    first, second = sides
    return Outcome((first, second), Course(row["course"]), {name: row[name] for name in game.facts})


def _of_society(folder: RunFolder) -> dict[str, float | None]:
    """Return the measures of the society with which an imported run begins."""
    state = folder.document(0, "state")
    graph = network_of(folder, 0).graph
    count, modularity = metrics.communities(graph, folder.manifest()["seed"])
    return {
        **of_graph(graph),
        "communities": count,
        "modularity": modularity,
        "gini": metrics.gini([float(agent["resources"]) for agent in state["agents"]]),
    }
