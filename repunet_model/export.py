"""A stored run in the files of other programs: its network as a graph, its tables by column."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import networkx as nx
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from repunet_model import games
from repunet_model.errors import ConfigurationError, StorageError
from repunet_model.storage import Row, StepReader, to_json
from repunet_model.storage.schema import TABLES, TIES, Column, Table
from repunet_model.util import files


@contextmanager
def whole(out: Path, *, is_file: bool = False) -> Iterator[Path]:
    """Give a place to write to, which becomes `out` at the end of the block, or nothing if the block fails.

    Args:
        out: Where it is to lie.
        is_file: Whether it is a file, which the block makes; else it is a folder, which is there. The folder it lies in
            is made if it is missing.

    Raises:
        ConfigurationError: If `out` is there already, or its name is none that every system takes.
        StorageError: If it cannot be written.
    """
    try:
        taken = out.exists() or out.is_symlink()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ConfigurationError(f"{str(out)[:200]!r}: {reason}") from None
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
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise StorageError(f"{out} cannot be written: {reason}") from error


def export_graph(run: StepReader, number: int, out: Path, layout: str) -> None:
    """Write the network after a step for programs that draw and measure graphs.

    A node has the attributes name, disposition, resources (in units) and score (the mean of all records held of the
    agent, over its roles, as in a run); an edge has roles, a text with ", " between them.

    Args:
        run: The run.
        number: The step.
        out: The file to make.
        layout: "graphml" or "gexf".

    Raises:
        RepuNetError: If the run cannot be read, or `out` is there or cannot be written.
    """
    state = run.step(number).state
    graph: nx.DiGraph[str] = nx.DiGraph()
    for persona, agent in zip(run.personas, state["agents"], strict=True):
        name = persona.name
        graph.add_node(
            name,
            name=name,
            disposition=persona.disposition.value,
            resources=float(agent["resources"]),
            score=state["scores"].get(name, 0.0),
        )
    for name, other, roles in state["network"]["ties"]:
        graph.add_edge(name, other, roles=", ".join(roles))
    with whole(out, is_file=True) as place:
        if layout == "graphml":
            nx.write_graphml(graph, place)
        else:
            nx.write_gexf(graph, place)


def export_tables(run: StepReader, last: int, out: Path, layout: str) -> None:
    """Write every table of all steps up to one, a file a table with its columns; nested values are JSON text.

    Args:
        run: The run.
        last: The last step. The past of an imported run is included, its rows with the step they had there.
        out: The folder to make.
        layout: "csv" or "parquet".

    Raises:
        RepuNetError: If the run cannot be read, or `out` is there or cannot be written.
    """
    facts = games.find(run.manifest.config.game).facts
    with whole(out) as place:
        for table in TABLES.values():
            if not table.is_exported:
                continue
            columns = {**_ADDED, **table.columns_with(facts)}
            rows = [_flat(row, columns) for row in _all_rows(run, last, table)]
            if layout == "csv":
                frame = pd.DataFrame(rows, columns=list(columns), dtype=object)
                frame.to_csv(place / f"{table.name}.csv", index=False, lineterminator="\n")
            else:
                parquet.write_table(pa.Table.from_pylist(rows, _schema(columns)), place / f"{table.name}.parquet")


_ADDED = {
    "imported": Column(bool, "whether the row is from the past of an imported run"),
    "step": Column(int, "step of the row"),
}
"""The columns that every exported table has before its own."""

_ARROW = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    list: pa.string(),
    dict: pa.string(),
}


def _schema(columns: Mapping[str, Column]) -> pa.Schema:
    """Return the one schema of a table, whatever its rows are."""
    return pa.schema([(name, _ARROW[column.kind]) for name, column in columns.items()])


def _all_rows(run: StepReader, last: int, table: Table[Any]) -> Iterator[Row]:
    """Yield the rows of a table up to a step, each with its step; an imported past has the steps it had there."""
    if run.manifest.imported is not None and table is not TIES:
        yield from ({"imported": True, **row} for row in run.step(0).rows(table))
    for step in run.steps(1, last):
        yield from ({"imported": False, "step": step.number, **row} for row in step.rows(table))


def _flat(row: Row, columns: Mapping[str, Column]) -> Row:
    """Return a row with all columns: nested values as JSON text, numbers in the type of their column."""
    return {name: _plain(row.get(name), column.kind) for name, column in columns.items()}


def _plain(value: Any, kind: type) -> Any:
    if isinstance(value, list | dict):
        return to_json(value)
    return float(value) if kind is float and value is not None else value
