"""A stored run to look at, as tables and graphs."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from repunet_model import games
from repunet_model.reputation import score_of
from repunet_model.results.tables import measures_of
from repunet_model.storage import Manifest, RunFolder, StepReader
from repunet_model.storage.schema import DECLARATIONS, GOSSIP, INTERACTIONS, RECORDS, TIES, Table
from repunet_model.util.text import path_of

if TYPE_CHECKING:
    import networkx as nx


def load_run(path: str | Path, storage: str | Path | None = None) -> StoredRun:
    """Return a stored run to look at; to go on with one, see `RepuNetModel.load`.

    Args:
        path: The name of the run, or its folder.
        storage: The folder of all runs, where a name is looked up; by default that of the command line
            (`REPUNET_STORAGE`, or sim_storage).

    Raises:
        ConfigurationError: If there is none.
        StorageError: If it is of another format, or its manifest or a step is not what was written.
    """
    place = Path(storage if storage is not None else os.environ.get("REPUNET_STORAGE", "sim_storage"))
    named = path_of(path, place) if isinstance(path, str) and not Path(path).is_dir() else Path(path)
    run = StepReader.open(named)
    run.folder.check_chain(0, run.last)
    return StoredRun(run)


class StoredRun:
    """A stored run as tables, each read when it is first asked for.

    A table of what happened has the column `step` and those of its schema (`repunet_model.storage.schema`). Reading
    raises `StorageError` where a file is not what was written.

    Attributes:
        folder: The run folder.
        manifest: What the run is: parameters, backends, versions.
        last_step: The last step.
    """

    def __init__(self, run: StepReader) -> None:
        self._run = run
        self.folder: RunFolder = run.folder
        self.manifest: Manifest = run.manifest
        self.last_step: int = run.last

    def __repr__(self) -> str:
        return f"<StoredRun {self.folder.path}: {self.manifest.config.game}, {self.last_step} steps>"

    @cached_property
    def personas(self) -> pd.DataFrame:
        """The agents in the order of the population, by name: disposition, age, country and so on."""
        return pd.DataFrame([persona.model_dump(mode="json") for persona in self._run.personas]).set_index("name")

    @cached_property
    def measures(self) -> pd.DataFrame:
        """The measures and costs of each step, by step."""
        return measures_of(self._run).set_index("step")

    @cached_property
    def agents(self) -> pd.DataFrame:
        """Each agent after each step: resources, payoff, learned, and its score where it is known."""
        rows = []
        for step in self._run.steps():
            for agent in step.state["agents"]:
                numbers = {"resources": float(agent["resources"]), "payoff": _number(agent["payoff"])}
                rows.append({"step": step.number, **agent, **numbers, "score": step.state["scores"].get(agent["name"])})
        return pd.DataFrame(rows)

    @cached_property
    def interactions(self) -> pd.DataFrame:
        """Encounters: both sides, their choices and reasons, and their payoffs."""
        return self.table(INTERACTIONS)

    @cached_property
    def declarations(self) -> pd.DataFrame:
        """Public choices, in the steps that have them."""
        return self.table(DECLARATIONS)

    @cached_property
    def records(self) -> pd.DataFrame:
        """Every reputation record written: by whom, of whom, its five shares, its score, its text, and its cause."""
        frame = self.table(RECORDS)
        scores = [score_of(distribution) for distribution in frame["distribution"]]
        return frame.assign(score=pd.Series(scores, index=frame.index, dtype=float))

    @cached_property
    def gossip(self) -> pd.DataFrame:
        """Messages of gossip: gossiper, listener, subject, words and credibility."""
        return self.table(GOSSIP)

    @cached_property
    def ties(self) -> pd.DataFrame:
        """Ties made and cut."""
        return self.table(TIES)

    @cached_property
    def calls(self) -> pd.DataFrame:
        """Every question that was answered: who was asked what about whom, the answer, the prompt if it was read."""
        return pd.DataFrame([{"step": step.number, **row} for step in self._run.steps(1) for row in step.asked()])

    def table(self, table: Table[Any]) -> pd.DataFrame:
        """Return the rows of all steps of a table, with the column `step`.

        Args:
            table: The table, one of `repunet_model.storage.schema` or of your own.
        """
        facts = games.find(self.manifest.config.game).facts
        columns = dict.fromkeys(["step", *table.columns_with(facts)])
        rows = [{"step": step.number, **row} for step in self._run.steps() for row in step.rows(table)]
        return pd.DataFrame(rows, columns=list(columns))

    def graph(self, step: int | None = None) -> nx.DiGraph[str]:
        """Return the ties after a step; an edge's attribute `roles` says in which roles.

        Args:
            step: The step; None for the last one.

        Raises:
            ConfigurationError: If the step is not there.
        """
        return self._run.step(self.last_step if step is None else step).network.view


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)
