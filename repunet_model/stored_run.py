"""A stored run to look at, as tables and graphs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from repunet_model import games
from repunet_model.persistence import asked
from repunet_model.reputation import ReputationRecord
from repunet_model.results import measures_of, network_of
from repunet_model.stages.draft import RECORD_COLUMNS, TIE_COLUMNS
from repunet_model.stages.gossip import GOSSIP_COLUMNS
from repunet_model.stages.interaction import INTERACTION_COLUMNS
from repunet_model.stages.opening import DECLARATION_COLUMNS
from repunet_model.storage import Row, RunFolder

if TYPE_CHECKING:
    import networkx as nx


def load_run(path: str | Path) -> StoredRun:
    """Return a stored run to look at; to go on with one, see `RepuNetModel.load`.

    Args:
        path: The run folder.

    Raises:
        ConfigurationError: If there is none.
        StorageError: If it is of another format, or its manifest or a step is not what was written.
    """
    folder = RunFolder.open(Path(path))
    folder.check_chain(0, folder.steps()[-1])
    return StoredRun(folder)


class StoredRun:
    """A stored run, read when it is asked for.

    A table of what happened has a row for each thing that happened and the column `step`; its other columns are the
    fields of the files of a step. Reading raises `StorageError` where a file is not what was written.

    Attributes:
        folder: The run folder.
        manifest: What the run is: parameters, seed, backends, versions.
        last_step: The last step.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.manifest: Row = folder.manifest()
        self.last_step = folder.steps()[-1]

    def __repr__(self) -> str:
        return f"<StoredRun {self.folder.path}: {self.manifest['game']}, {self.last_step} steps>"

    @cached_property
    def personas(self) -> pd.DataFrame:
        """The agents in the order of the population, by name: disposition, age, country and so on."""
        return pd.DataFrame(self.folder.document(0, "personas")).set_index("name")

    @cached_property
    def measures(self) -> pd.DataFrame:
        """The measures and costs of each step, by step."""
        return measures_of(self.folder).set_index("step")

    @cached_property
    def agents(self) -> pd.DataFrame:
        """Each agent after each step: resources, payoff, learned, and its score where it is known."""
        rows = []
        for step in range(self.last_step + 1):
            state = self.folder.document(step, "state")
            for agent in state["agents"]:
                numbers = {name: _number(agent[name]) for name in ("resources", "payoff")}
                rows.append({"step": step, **agent, **numbers, "score": state["scores"].get(agent["name"])})
        return pd.DataFrame(rows)

    @cached_property
    def interactions(self) -> pd.DataFrame:
        """Who met whom, what both chose and why, and what they got."""
        return self._table("interactions", [*INTERACTION_COLUMNS, *games.find(self.manifest["game"]).facts])

    @cached_property
    def declarations(self) -> pd.DataFrame:
        """Public choices, in the steps that have them."""
        return self._table("declarations", DECLARATION_COLUMNS)

    @cached_property
    def records(self) -> pd.DataFrame:
        """Every reputation record written: by whom, of whom, its five shares, its score, its text, and its cause."""
        rows = [{**row, "score": ReputationRecord.from_dict(row).score} for row in self._rows("records")]
        return pd.DataFrame(rows, columns=["step", *RECORD_COLUMNS, "score"])

    @cached_property
    def gossip(self) -> pd.DataFrame:
        """Who told whom what of whom, and how far it was believed."""
        return self._table("gossip", GOSSIP_COLUMNS)

    @cached_property
    def ties(self) -> pd.DataFrame:
        """Ties made and cut."""
        return self._table("ties", ["step", *TIE_COLUMNS])

    @cached_property
    def calls(self) -> pd.DataFrame:
        """Every question that was answered: who was asked what about whom, the answer, the prompt if it was read."""
        steps = range(1, self.last_step + 1)
        rows = [{"step": step, **row} for step in steps for row in asked(self.folder.table(step, "calls"))]
        return pd.DataFrame(rows)

    def graph(self, step: int | None = None) -> nx.DiGraph[str]:
        """Return the ties after a step; an edge's attribute `roles` says in which roles.

        Args:
            step: The step; None for the last one.

        Raises:
            ConfigurationError: If the step is not there.
        """
        at = self.last_step if step is None else step
        self.folder.check_step(at)
        return network_of(self.folder, at).graph

    def _rows(self, name: str) -> list[Row]:
        steps = range(self.last_step + 1)
        return [{"step": step, **row} for step in steps for row in self.folder.table(step, name)]

    def _table(self, name: str, columns: Sequence[str]) -> pd.DataFrame:
        return pd.DataFrame(self._rows(name), columns=list(columns))


def _number(text: Any) -> float | None:
    return None if text is None else float(text)
