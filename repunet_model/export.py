"""A stored run in the files of other programs: its network as a graph, its tables by column."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import networkx as nx
import pandas as pd

from repunet_model import disk
from repunet_model.errors import ConfigurationError, StorageError
from repunet_model.storage import Row, RunFolder, to_json

TABLES = ("interactions", "events", "records", "gossip", "ties", "declarations")


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
    disk.check_new(out)
    try:
        disk.make_folder(out.parent)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=out.parent) as temporary:
            place = Path(temporary) / "whole"
            if not is_file:
                place.mkdir()
            yield place
            place.rename(out)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise StorageError(f"{out} cannot be written: {reason}") from error


def export_graph(folder: RunFolder, step: int, out: Path, layout: str) -> None:
    """Write the network after a step for programs that draw and measure graphs.

    A node has the attributes name, disposition, resources (in units) and score (the mean of all records held of the
    agent, over its roles, as in a run); an edge has roles, a text with ", " between them.

    Args:
        folder: The run.
        step: The step.
        out: The file to make.
        layout: "graphml" or "gexf".

    Raises:
        RepuNetError: If the run cannot be read, or `out` is there or cannot be written.
    """
    state = folder.document(step, "state")
    people = folder.document(0, "personas")
    graph: nx.DiGraph[str] = nx.DiGraph()
    for persona, agent in zip(people, state["agents"], strict=True):
        name = persona["name"]
        graph.add_node(
            name,
            name=name,
            disposition=persona["disposition"],
            resources=float(agent["resources"]),
            score=state["scores"].get(name, 0.0),
        )
    for agent, other, roles in state["network"]["ties"]:
        graph.add_edge(agent, other, roles=", ".join(roles))
    with whole(out, is_file=True) as place:
        if layout == "graphml":
            nx.write_graphml(graph, place)
        else:
            nx.write_gexf(graph, place)


def export_tables(folder: RunFolder, step: int, out: Path, layout: str) -> None:
    """Write every table of all steps up to one, a file a table; what is no plain value is JSON text.

    Args:
        folder: The run.
        step: The last step. The past of an imported run is included, its rows with the step they had there.
        out: The folder to make.
        layout: "csv" or "parquet".

    Raises:
        RepuNetError: If the run cannot be read, or `out` is there or cannot be written.
    """
    with whole(out) as place:
        for name in TABLES:
            rows = [_flat(row) for row in _all_rows(folder, step, name)]
            if not rows:
                continue
            frame = pd.DataFrame(rows)
            if layout == "csv":
                frame.to_csv(place / f"{name}.csv", index=False, lineterminator="\n")
            else:
                frame.to_parquet(place / f"{name}.parquet", index=False)


def _all_rows(folder: RunFolder, step: int, name: str) -> Iterator[Row]:
    """Yield the rows of a table up to a step, each with its step; an imported past has the steps it had there."""
    if "imported" in folder.manifest() and name != "ties":
        yield from ({"imported": True, **row} for row in folder.table(0, name))
    for number in range(1, step + 1):
        yield from ({"imported": False, "step": number, **row} for row in folder.table(number, name))


def _flat(row: Row) -> Row:
    return {name: to_json(value) if isinstance(value, list | dict) else value for name, value in row.items()}
