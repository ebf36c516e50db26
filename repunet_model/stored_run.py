"""Read a stored run as tables and graphs."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from repunet_model.reputation import score_of
from repunet_model.results.constructs import frame_of, own_checks
from repunet_model.results.stored_game import game_of
from repunet_model.results.tables import measures_of
from repunet_model.storage import Manifest, RunFolder, StepReader
from repunet_model.storage.roster import Roster
from repunet_model.storage.schema import DECLARATIONS, GOSSIP, INTERACTIONS, RECORDS, TIES, TURNOVER, Table
from repunet_model.util.text import counted, path_of

if TYPE_CHECKING:
    import networkx as nx


def load_run(path: str | Path, storage: str | Path | None = None) -> StoredRun:
    """Open a stored run for reading; `RepuNetModel.load` resumes one.

    Args:
        path: The name of the run, or its folder.
        storage: The folder of all runs, for a name; by default that of the command line (`REPUNET_STORAGE`, or
            sim_storage).

    Raises:
        ConfigurationError: If there is no such run.
        StorageError: If the run has another format, or a file was changed or damaged.
    """
    place = Path(storage if storage is not None else os.environ.get("REPUNET_STORAGE", "sim_storage"))
    named = path_of(path, place) if isinstance(path, str) and not Path(path).is_dir() else Path(path)
    run = StepReader.open(named)
    run.folder.check_chain(0, run.last)
    return StoredRun(run)


class StoredRun:
    """A stored run as tables, which are read on first access.

    Tables of events have the column `step` and those of their schema (`repunet_model.storage.schema`). Reading a file
    that was changed raises `StorageError`.

    Attributes:
        folder: The run folder.
        manifest: The description of the run: parameters, backends, versions.
        last_step: The last step.
    """

    def __init__(self, run: StepReader) -> None:
        self._run = run
        self.folder: RunFolder = run.folder
        self.manifest: Manifest = run.manifest
        self.last_step: int = run.last

    def __repr__(self) -> str:
        return f"<StoredRun {self.folder.path}: {self.manifest.config.game}, {counted(self.last_step, 'step')}>"

    @cached_property
    def personas(self) -> pd.DataFrame:
        """The personas of all agents by name, in the order in which they entered: disposition, age and so on."""
        people = self._run.roster().personas.values()
        return pd.DataFrame([persona.columns() for persona in people]).set_index("name")

    @cached_property
    def measures(self) -> pd.DataFrame:
        """The measures and costs by step."""
        return measures_of(self._run).set_index("step")

    @cached_property
    def checks(self) -> pd.DataFrame:
        """The construct checks by name (docs/checks.md): value, interval, observations, agents and meaning."""
        return frame_of(own_checks(self._run))

    @cached_property
    def agents(self) -> pd.DataFrame:
        """The state of each agent that is present after each step, with its score and the name of its backend.

        `planted` is the name of the backend that an event gave it, as the event has it; `person` is the name under
        which it first was in the run, which differs from its own after whitewashing.
        Under the institution `image` there is also its image score.
        """
        rows = []
        roster = Roster.of(self._run.personas)
        for step in self._run.steps():
            for row in step.rows(TURNOVER):
                roster.turn(row)
            for agent in step.state["agents"]:
                name, planted = agent["name"], agent.get("planted")
                person = roster.person(name)
                backend = self.manifest.backend_of(person, planted or "")["backend"]
                numbers = {"resources": float(agent["resources"]), "payoff": _number(agent["payoff"])}
                more: dict[str, Any] = {"planted": planted, "backend": backend, "person": person}
                if "images" in step.state:
                    more["image"] = step.state["images"].get(name, 0)
                rows.append({"step": step.number, **agent, **numbers, "score": step.state["scores"].get(name), **more})
        return pd.DataFrame(rows)

    @cached_property
    def interactions(self) -> pd.DataFrame:
        """All encounters: pair, choices, reasons and payoffs."""
        return self.table(INTERACTIONS)

    @cached_property
    def declarations(self) -> pd.DataFrame:
        """All public choices."""
        return self.table(DECLARATIONS)

    @cached_property
    def records(self) -> pd.DataFrame:
        """All reputation records: holder, subject, distribution, score, text and cause."""
        frame = self.table(RECORDS)
        scores = [score_of(distribution) for distribution in frame["distribution"]]
        return frame.assign(score=pd.Series(scores, index=frame.index, dtype=float))

    @cached_property
    def gossip(self) -> pd.DataFrame:
        """All gossip messages: gossiper, listener, subject, content and credibility."""
        return self.table(GOSSIP)

    @cached_property
    def ties(self) -> pd.DataFrame:
        """All ties that were made or cut."""
        return self.table(TIES)

    @cached_property
    def calls(self) -> pd.DataFrame:
        """All answered questions: agent, question, subject, answer, and the prompt if it was rendered."""
        return pd.DataFrame([{"step": step.number, **row} for step in self._run.steps(1) for row in step.asked()])

    @cached_property
    def turnover(self) -> pd.DataFrame:
        """What events did: who got another backend, entered or left."""
        return self.table(TURNOVER)

    def table(self, table: Table[Any]) -> pd.DataFrame:
        """Return the rows of a table (of `repunet_model.storage.schema`, or your own) with the column `step`."""
        facts = game_of(self._run).facts
        columns = dict.fromkeys(["step", *table.columns_with(facts)])
        rows = [{"step": step.number, **row} for step in self._run.steps() for row in step.rows(table)]
        return pd.DataFrame(rows, columns=list(columns))

    def graph(self, step: int | None = None) -> nx.DiGraph[str]:
        """Return the ties after a step (None: the last one); edges have the attribute `roles`.

        Raises:
            ConfigurationError: If the step does not exist.
        """
        return self._run.step(self.last_step if step is None else step).network.view


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)
