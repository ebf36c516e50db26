"""The data of a report: stored runs, read once and grouped by panel, mode and seed.

The runs of a panel differ only in mode and seed, so that modes can be compared seed by seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from repunet_model.backends.asked import not_taken
from repunet_model.backends.base import Usage, usage_by_backend
from repunet_model.config import MODES, OF_GAME
from repunet_model.errors import ConfigurationError
from repunet_model.measures import isolated
from repunet_model.personas import Disposition, Persona
from repunet_model.results.constructs import Check, own_checks
from repunet_model.results.stored_game import title_of
from repunet_model.results.tables import PHASE, cooperation_by_agent, identity, measures_of
from repunet_model.storage import StepReader, understood
from repunet_model.storage.manifest import PLANTED
from repunet_model.storage.schema import GOSSIP, INTERACTIONS, GossipRow, InteractionRow, State
from repunet_model.util.text import visible

FIRST = PHASE // 2
"""The number of steps of the first phase, which runs of fewer than `FIRST + PHASE` steps do not have."""

EXPLOITS_BELOW = 0.5
"""An exploiter is an agent whose cooperation rate in the final phase is below this."""

Gossip = Counter[tuple[str | None, int, str | None]]
"""Numbers of messages by tone, order and credibility."""


type Repetition = tuple[int, str]
"""A key of runs that differ in nothing but the random draws: see `Run.apart`."""


@dataclass(frozen=True)
class Run:
    """A stored run.

    Attributes:
        stored: The run on disk.
        parameters: All parameters that identify the run, by column.
        measures: A row for each step, with the column `step`; for a fork only steps after the fork.
        agents: A row for each agent after the last step: name, disposition, resources, score (None without records),
            reputation (its mean score over the final phase; None without records), ties_to (number of agents tied to
            it), isolated (whether that is 0), cooperation (share of its choices in the final phase; None without any),
            gossip (number of messages it told) and told_about (number of messages about it).
        gossip: Numbers of messages.
        graph: The ties after the last step.
        costs: The usage of its own steps by label of the backend.
    """

    stored: StepReader
    parameters: Mapping[str, Any]
    measures: pd.DataFrame
    agents: pd.DataFrame
    gossip: Gossip
    graph: nx.DiGraph[str]
    costs: Mapping[str, Usage]

    @cached_property
    def checks(self) -> list[Check]:
        """The construct checks of its own steps."""
        return own_checks(self.stored)

    @property
    def mode(self) -> str:
        """The name of the mode."""
        return str(self.parameters["mode"])

    @property
    def seed(self) -> int | None:
        """The random seed; None if the first steps were not made here."""
        return None if self.parameters["seed"] is None else int(self.parameters["seed"])

    @property
    def apart(self) -> Repetition:
        """The key of a repetition, which sorts and pairs runs: the seed, or the name of a run without one."""
        return (0, str(self.parameters["run"])) if self.seed is None else (self.seed, "")

    @property
    def label(self) -> str:
        """The key that tells repetitions apart, in words."""
        return str(self.parameters["run"]) if self.seed is None else f"seed {self.seed}"

    def total(self, measure: str) -> float:
        """Return the sum of a measure over the steps; 0 without it."""
        return float(self.measures[measure].sum()) if measure in self.measures else 0.0

    @property
    def last_step(self) -> int:
        """The number of the last step."""
        return int(self.measures["step"].iloc[-1])

    @property
    def shared_steps(self) -> int:
        """The number of steps copied from the parent of a fork, which reports omit; 0 without a parent."""
        return self.stored.manifest.shared_steps

    @property
    def dispositions(self) -> dict[str, Disposition]:
        """The disposition of each agent that ever was present, by name."""
        return {name: persona.disposition for name, persona in self.stored.roster().personas.items()}

    @property
    def cooperation(self) -> dict[str, float]:
        """The cooperation rate in the final phase of each agent with choices, by name."""
        known = self.agents.dropna(subset=["cooperation"])
        return dict(zip(known["name"], known["cooperation"].astype(float), strict=True))

    def phase(self, first: bool = False) -> tuple[int, int] | None:
        """Return the first and the last step of the final phase, or of the first one.

        Returns:
            None for the first phase if the final one would overlap it.
        """
        steps = self.measures["step"].astype(int).tolist()
        if first and len(steps) < FIRST + PHASE:
            return None
        return (steps[0], steps[FIRST - 1]) if first else (steps[-PHASE:][0], steps[-1])

    def mean_of(self, measure: str, first: bool = False) -> float | None:
        """Return the mean of a measure over the final phase, or over the first one.

        Returns:
            None if it was not measured in these steps, or there is no such phase.
        """
        ends = self.phase(first)
        if measure not in self.measures or ends is None:
            return None
        values = self.measures.loc[self.measures["step"].between(*ends), measure].dropna()
        return float(values.mean()) if len(values) else None


@dataclass(frozen=True)
class Panel:
    """The runs of a scenario with equal parameters, by mode.

    Attributes:
        title: The scenario, and the parameters that distinguish the panel from others of the report.
        game: The name of the scenario.
        runs: The runs of each mode that has any, by seed.
    """

    title: str
    game: str
    runs: Mapping[str, Sequence[Run]]

    def series(self, mode: str, measure: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the steps, and a matrix (runs × steps) of a measure in a mode; NaN where it was not measured."""
        columns = {
            number: run.measures.set_index("step")[measure] if measure in run.measures else pd.Series(dtype=float)
            for number, run in enumerate(self.runs[mode])
        }
        frame = pd.DataFrame(columns).sort_index()
        return frame.index.to_numpy(dtype=float), frame.to_numpy(dtype=float).T

    def has(self, measure: str) -> bool:
        """Whether any run has a measure in any step."""
        frames = (run.measures for runs in self.runs.values() for run in runs)
        return any(measure in frame and bool(frame[measure].notna().any()) for frame in frames)

    @property
    def events(self) -> list[str]:
        """The events of its runs, which are the same in all."""
        return list(next(iter(self.all_runs)).stored.manifest.config.events)

    @property
    def all_runs(self) -> list[Run]:
        """The runs of all modes."""
        return [run for runs in self.runs.values() for run in runs]

    def by_seed(self, mode: str, measure: str, first: bool = False) -> dict[Repetition, float]:
        """Return `Run.mean_of` for each run that has the measure, by repetition."""
        found = {run.apart: run.mean_of(measure, first) for run in self.runs.get(mode, ())}
        return {seed: value for seed, value in found.items() if value is not None}


def phase_in_words(runs: Iterable[Run], first: bool = False) -> str:
    """Name the steps of the final phase of some runs, or of the first one; empty if no run has it."""
    phases = {ends for run in runs if (ends := run.phase(first)) is not None}
    if not phases:
        return ""
    if len(phases) == 1:
        (start, end), *_ = phases
        return f"step {end}" if start == end else f"steps {start} to {end}"
    (count, *others), ends_of = {end - start + 1 for start, end in phases}, [end for _, end in phases]
    own = f"the first {count}" if first else f"the last {f'{count}' if not others else f'{PHASE} at most'}"
    return f"{own} steps of each run, which end with steps {min(ends_of)} to {max(ends_of)}"


def lengths_in_words(runs: Iterable[Run]) -> str:
    """Say that runs end with different steps; empty if they do not."""
    lasts = {run.last_step for run in runs}
    return f"Runs are of unequal length: they end with steps {min(lasts)} to {max(lasts)}." if len(lasts) > 1 else ""


@dataclass(frozen=True)
class Evidence:
    """All runs of a report."""

    runs: Sequence[Run]

    def scenarios(self) -> Iterator[tuple[str, list[Panel]]]:
        """Yield each game with its panels."""
        for game in dict.fromkeys(panel.game for panel in self.panels):
            yield game, [panel for panel in self.panels if panel.game == game]

    @cached_property
    def panels(self) -> list[Panel]:
        """The runs by panel."""
        games_of = {str(run.parameters["game"]) for run in self.runs}
        apart = {game: varying([run for run in self.runs if run.parameters["game"] == game]) for game in games_of}
        found: dict[tuple[str, str], dict[str, list[Run]]] = {}
        for run in self.runs:
            game = str(run.parameters["game"])
            words = ", ".join(words_of(name, run.parameters.get(name)) for name in apart[game])
            by_mode = found.setdefault((game, words), {mode: [] for mode in MODES})
            by_mode[run.mode].append(run)
        panels = []
        for (game, words), by_mode in found.items():
            runs = {mode: sorted(own, key=lambda run: run.apart) for mode, own in by_mode.items() if own}
            for mode, own in runs.items():
                if len({run.apart for run in own}) < len(own):
                    names = ", ".join(str(run.stored.folder.path) for run in own[:4])
                    raise ConfigurationError(
                        f"two runs of {game} with {mode} have the same parameters and seed: give one of {names}"
                    )
            title = title_of(game)
            panels.append(Panel(f"{title}, {words}" if words else title, game, runs))
        return panels

    @property
    def modes(self) -> list[str]:
        """The modes with runs."""
        return [mode for mode in MODES if any(mode in panel.runs for panel in self.panels)]

    def cells(self) -> Iterator[tuple[Panel, str, Sequence[Run]]]:
        """Yield each panel and mode with its runs."""
        for panel in self.panels:
            for mode, runs in panel.runs.items():
                yield panel, mode, runs


_NOT_APART = {"run", "game", "mode", "reputation", "gossip", "seed", "parent"}
"""Columns in which the runs of a panel may differ; forks are distinguished by the parameters that they changed."""


def varying(runs: Sequence[Run]) -> list[str]:
    """Return the parameters, except mode and seed, that differ between runs of one scenario."""
    names = dict.fromkeys(name for run in runs for name in run.parameters if name not in _NOT_APART)

    def count(*columns: str) -> int:
        return len({tuple(run.parameters.get(name) for name in columns) for run in runs})

    varying = [name for name in names if count(name) > 1]
    if count("events") == count("events", *(name for name in varying if name.startswith(PLANTED))):
        varying = [name for name in varying if not name.startswith(PLANTED)]  # the events tell the backends apart
    if count("population") == count("population", "population_hash") and "population_hash" in varying:
        varying.remove("population_hash")  # the names tell the populations apart
    return varying


def label_of(name: str) -> str:
    """Return the column of a parameter in words."""
    return name.removeprefix("backend.").removeprefix(OF_GAME).replace("_", " ")


def words_of(name: str, value: object) -> str:
    """Return a parameter and its value in words."""
    label = label_of(name)
    return visible(f"no {label}" if value in ("", None) else f"{label} {value}")


def read(stored: Sequence[StepReader]) -> Evidence:
    """Read stored runs.

    Raises:
        ConfigurationError: If there is none, or a run has no steps.
        StorageError: If a run cannot be read.
    """
    runs = []
    for run in stored:
        with understood(run.folder):
            runs.append(_read(run))
    if not runs:
        raise ConfigurationError("there is no complete run to report")
    return Evidence(runs)


def _read(run: StepReader) -> Run:
    measures = measures_of(run, first=run.manifest.shared_steps + 1)
    if measures.empty:
        raise ConfigurationError(f"{run.folder.path} has no step of its own to report: run some first")
    interactions: list[InteractionRow] = []
    scores: dict[str, list[float]] = {}
    costs: dict[str, Usage] = {}
    for step in run.steps(run.manifest.shared_steps + 1):
        for label, usage in usage_by_backend(step.usage).items():
            costs.setdefault(label, Usage()).add(usage)
        if step.number > run.last - PHASE:
            interactions += step.rows(INTERACTIONS)
            for name, score in step.state["scores"].items():
                scores.setdefault(name, []).append(score)
    messages = messages_of(run)
    first = int(measures["step"].iloc[-1]) - PHASE
    cooperation = cooperation_by_agent(row for row in interactions if row["step"] > first)
    last = run.step(run.last)
    graph = last.network.graph
    return Run(
        run,
        {
            "run": run.folder.path.name,
            **identity(run, run.manifest),
            **not_taken(run, run.manifest, run.manifest.shared_steps + 1),
        },
        measures,
        _agents(run.roster().personas, last.state, graph, cooperation, scores, messages),
        Counter((row["tone"], row["order"], row["credibility"]) for row in messages),
        graph,
        costs,
    )


def messages_of(run: StepReader) -> list[GossipRow]:
    """Read the messages of a run's own steps."""
    return [row for step in run.steps(run.manifest.shared_steps + 1) for row in step.rows(GOSSIP)]


def _agents(
    personas: Mapping[str, Persona],
    state: State,
    graph: nx.DiGraph[str],
    cooperation: Mapping[str, float],
    scores: Mapping[str, Sequence[float]],
    messages: Sequence[GossipRow],
) -> pd.DataFrame:
    """Build the table `Run.agents`; `scores` has those of the final phase, by name."""
    told, about = Counter(row["gossiper"] for row in messages), Counter(row["subject"] for row in messages)
    unloved = set(isolated(graph))
    rows = [
        {
            "name": agent["name"],
            "disposition": personas[agent["name"]].disposition.value,
            "resources": float(agent["resources"]),
            "score": state["scores"].get(agent["name"]),
            "reputation": fmean(scores[agent["name"]]) if agent["name"] in scores else None,
            "ties_to": graph.in_degree(agent["name"]),
            "isolated": agent["name"] in unloved,
            "cooperation": cooperation.get(agent["name"]),
            "gossip": told[agent["name"]],
            "told_about": about[agent["name"]],
        }
        for agent in state["agents"]
    ]
    return pd.DataFrame(rows).astype({"score": float, "reputation": float, "cooperation": float})
