"""Export a stored run to other programs: its network as a graph file, its tables as CSV or Parquet."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import networkx as nx
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from repunet_model import stages
from repunet_model.errors import ConfigurationError, StorageError
from repunet_model.personas import Persona
from repunet_model.results.stored_game import game_of
from repunet_model.storage import Row, StepReader, to_json
from repunet_model.storage.schema import Column
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
    people = run.roster(number).personas
    for agent in state["agents"]:
        persona = people[agent["name"]]
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
        last: The last step.
        out: The folder to create.
        layout: "csv" or "parquet".

    Raises:
        RepuNetError: If the run cannot be read, or `out` exists or cannot be written.
    """
    facts = game_of(run).facts
    with whole(out) as place:
        for table in (table for table in stages.tables() if table.is_exported):
            columns = {**_STEP, **table.columns_with(facts)}
            rows = [
                {name: _plain({"step": step.number, **row}.get(name), column.kind) for name, column in columns.items()}
                for step in run.steps(1, last)
                for row in step.rows(table)
            ]
            _write(rows, {name: column.kind for name, column in columns.items()}, place / table.name, layout)
        people = [_persona_row(persona) for persona in run.roster(last).personas.values()]
        kinds = {**_PERSONA, **{name: str for row in people for name in row if name not in _PERSONA}}
        _write(people, kinds, place / "personas", layout)


def _write(rows: Sequence[Row], columns: Mapping[str, type], file: Path, layout: str) -> None:
    """Write rows to a file; `file` has no ending, `columns` are the types by name."""
    if layout == "csv":
        frame = pd.DataFrame(rows, columns=list(columns), dtype=object)
        frame.to_csv(file.with_name(f"{file.name}.csv"), index=False, lineterminator="\n")
    else:
        schema = pa.schema([(name, _ARROW[kind]) for name, kind in columns.items()])
        parquet.write_table(pa.Table.from_pylist(rows, schema), file.with_name(f"{file.name}.parquet"))


def _persona_row(persona: Persona) -> Row:
    """Return a persona as a row; values of a trait are text, since those of others may be no numbers."""
    row = persona.columns() | {name: str(value) for name, value in persona.trait_columns().items()}
    return row | {"learned": _plain(row["learned"], dict)}


_PERSONA = {name: int if name == "age" else str for name in Persona.model_fields if name != "traits"}
"""The first columns of the table of personas."""

_STEP = {"step": Column(int, "step of the row")}
"""The first column of every exported table."""

_ARROW = {int: pa.int64(), float: pa.float64(), bool: pa.bool_(), **dict.fromkeys((str, list, dict), pa.string())}


def _plain(value: Any, kind: type) -> Any:
    """Convert a nested value to JSON text, and a number to the type of its column."""
    if isinstance(value, list | dict):
        return to_json(value)
    return float(value) if kind is float and value is not None else value
