"""Export a stored run to other programs: its network as a graph file, its tables as CSV or Parquet."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import networkx as nx
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from repunet_model import games, stages
from repunet_model.errors import ConfigurationError, StorageError
from repunet_model.personas import Persona
from repunet_model.storage import Row, StepReader, to_json
from repunet_model.storage.schema import TIES, Column, Table
from repunet_model.util import files


@contextmanager
def whole(out: Path, *, is_file: bool = False) -> Iterator[Path]:
    """Yield a temporary path that is renamed to `out` at the end of the block, or removed if the block fails.

    Args:
        out: The final path; missing parents are created.
        is_file: Whether the block creates a file at the path; else the path is an existing folder.

    Raises:
        ConfigurationError: If `out` exists, or its name is invalid on some system.
        StorageError: If `out` cannot be written.
    """
    try:
        taken = out.exists() or out.is_symlink()
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{str(out)[:200]!r}: {getattr(error, 'strerror', None) or error}") from None
    if taken:
        raise ConfigurationError(f"{out} is there already: name another place")
    files.check_new(out)
    try:
        files.make_folder(out.parent)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=out.parent) as temporary:
            place = Path(temporary) / "whole"
            if not is_file:
                place.mkdir()
            yield place
            place.rename(out)
    except (OSError, ValueError) as error:
        raise StorageError(f"{out} cannot be written: {getattr(error, 'strerror', None) or error}") from error


def export_graph(run: StepReader, number: int, out: Path, layout: str) -> None:
    """Write the network after a step as a graph file.

    Nodes have the attributes name, disposition, resources (in units), score (the mean of all records about the agent,
    over its roles) and "traits.NAME" for each trait; edges have roles, as a comma-separated text.

    Args:
        run: The run.
        number: The step.
        out: The file to create.
        layout: "graphml" or "gexf".

    Raises:
        RepuNetError: If the run cannot be read, or `out` exists or cannot be written.
    """
    state = run.step(number).state
    graph: nx.DiGraph[str] = nx.DiGraph()
    for persona, agent in zip(run.personas, state["agents"], strict=True):
        name, resources, score = persona.name, float(agent["resources"]), state["scores"].get(persona.name, 0.0)
        known = {"name": name, "disposition": persona.disposition.value, "resources": resources, "score": score}
        graph.add_node(name, **known, **persona.trait_columns())
    for name, other, roles in state["network"]["ties"]:
        graph.add_edge(name, other, roles=", ".join(roles))
    with whole(out, is_file=True) as place:
        if layout == "graphml":
            nx.write_graphml(graph, place)
        else:
            nx.write_gexf(graph, place)


def export_tables(run: StepReader, last: int, out: Path, layout: str) -> None:
    """Write a file for each table, with the rows of all steps up to one, and `personas`; nested values are JSON text.

    Args:
        run: The run.
        last: The last step. The history of an imported run is included, with the published numbers of steps.
        out: The folder to create.
        layout: "csv" or "parquet".

    Raises:
        RepuNetError: If the run cannot be read, or `out` exists or cannot be written.
    """
    facts = games.find(run.manifest.config.game).facts
    with whole(out) as place:
        for table in (table for table in stages.tables() if table.is_exported):
            columns = {**_ADDED, **table.columns_with(facts)}
            rows = [
                {name: _plain(row.get(name), column.kind) for name, column in columns.items()}
                for row in _all_rows(run, last, table)
            ]
            if layout == "csv":
                frame = pd.DataFrame(rows, columns=list(columns), dtype=object)
                frame.to_csv(place / f"{table.name}.csv", index=False, lineterminator="\n")
            else:
                schema = pa.schema([(name, _ARROW[column.kind]) for name, column in columns.items()])
                parquet.write_table(pa.Table.from_pylist(rows, schema), place / f"{table.name}.parquet")
        people = pd.DataFrame([_persona_row(persona) for persona in run.personas])
        if layout == "csv":
            people.to_csv(place / "personas.csv", index=False, lineterminator="\n")
        else:
            people.to_parquet(place / "personas.parquet", index=False)


def _persona_row(persona: Persona) -> Row:
    """Return a persona as a row; values of a trait are text, since those of others may be no numbers."""
    row = persona.columns() | {name: str(value) for name, value in persona.trait_columns().items()}
    return {"biography": None, **row, "learned": _plain(row["learned"], dict)}


_ADDED = {
    "imported": Column(bool, "whether the row is from the past of an imported run"),
    "step": Column(int, "step of the row"),
}
"""The first columns of every exported table."""

_ARROW = {int: pa.int64(), float: pa.float64(), bool: pa.bool_(), **dict.fromkeys((str, list, dict), pa.string())}


def _all_rows(run: StepReader, last: int, table: Table[Any]) -> Iterator[Row]:
    """Yield the rows of a table up to a step, with the added columns."""
    if run.manifest.imported is not None and table is not TIES:
        yield from ({"imported": True, **row} for row in run.step(0).rows(table))
    for step in run.steps(1, last):
        yield from ({"imported": False, "step": step.number, **row} for row in step.rows(table))


def _plain(value: Any, kind: type) -> Any:
    """Convert a nested value to JSON text, and a number to the type of its column."""
    if isinstance(value, list | dict):
        return to_json(value)
    return float(value) if kind is float and value is not None else value
