"""A sweep on disk: what it is, its runs, what failed, and the table of results.

What lies where::

    <storage>/<sweep>/
        sweep.json                 the grids, seeds and steps, and what made it
        runs/<run>/                a run folder for each cell: `show`, `check`, `resume` and `fork` work on it
        logs/<run>.log             what each run said while it ran
        results.parquet            every parameter and measure of every whole run by step
        results.csv                the same as text
        failures.json              the runs that are not whole, and why

A sweep is run again to complete it: runs that are whole are skipped, those that were cut off go on. Its grids may grow,
since what is there stays; they may not change otherwise.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import pandas as pd
from filelock import FileLock, Timeout

from repunet_model.errors import ConfigurationError, RepuNetError, StorageError
from repunet_model.jobs.job import JobOutcome, NewRun, Result, Section, Steps, parsed
from repunet_model.results.tables import joined, table_of
from repunet_model.storage import Row, StepReader
from repunet_model.storage.manifest import made_by
from repunet_model.sweep.grid import Grid, Sweep
from repunet_model.util import files

FORMAT = 1

MANIFEST = "sweep.json"


class Stored(Section):
    """The part of `sweep.json` that determines the runs."""

    steps: Steps
    seeds: list[int]
    grids: list[dict[str, Any]]


def is_sweep(path: Path) -> bool:
    """Whether there is a sweep in a folder."""
    return (path / MANIFEST).is_file()


@dataclass(frozen=True, slots=True)
class SweepFolder:
    """A sweep and its place.

    Attributes:
        path: The folder.
        sweep: The sweep.
    """

    path: Path
    sweep: Sweep

    @property
    def runs(self) -> Path:
        """The folder of the runs."""
        return self.path / "runs"

    @property
    def logs(self) -> Path:
        """The folder of the logs."""
        return self.path / "logs"

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a sweep that is there.

        Raises:
            ConfigurationError: If there is none.
            StorageError: If it cannot be read.
        """
        if not is_sweep(path):
            raise ConfigurationError(f"no sweep at {path}: there is no {MANIFEST}")
        file = path / MANIFEST
        try:
            content = files.parsed(files.content(file), file)
            if content["format"] != FORMAT:
                raise StorageError(
                    f"{file}: format {content['format']!r} is not known to this version, which reads format "
                    f"{FORMAT}: go on with version {content.get('repunet')} of this package, which made it, or choose "
                    "another name (--name)"
                )
            known = {name: content[name] for name in Stored.model_fields}
            stored = parsed(Stored, known, str(file))
            grids = [Grid(grid, str(file)) for grid in stored.grids]
            return cls(path, Sweep(path.name, stored.steps, stored.seeds, grids))
        except (KeyError, TypeError, ConfigurationError) as error:
            raise StorageError(f"{file} is damaged: {error}") from error

    @classmethod
    def prepare(cls, storage: Path, sweep: Sweep) -> Self:
        """Make the folder of a sweep, or take up the one that is there.

        Args:
            storage: The folder of all sweeps and runs; made if it is missing.
            sweep: The sweep.

        Raises:
            ConfigurationError: If there is another sweep or something else of that name.
            StorageError: If it cannot be written.
        """
        path = storage / sweep.name
        if path.exists():
            if not is_sweep(path):
                raise ConfigurationError(f"{path} is there and is no sweep: choose another name (--name)")
            _check_grown(cls.open(path).sweep, sweep, path)
        folder = cls(path, sweep)
        content = {
            "format": FORMAT,
            "steps": sweep.steps,
            "seeds": list(sweep.seeds),
            "grids": [grid.stored() for grid in sweep.grids],
            **made_by(),
        }
        folder._write(MANIFEST, (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode())
        return folder

    def lock(self) -> FileLock:
        """Keep other processes from running the sweep, until the lock is released or the process ends.

        Raises:
            StorageError: If another process runs it, or its folder cannot be written.
        """
        lock = FileLock(self.path.resolve() / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise StorageError(f"another process runs the sweep {self.path}: let it end") from None
        except OSError as error:
            raise StorageError(f"{self.path} cannot be written: {error.strerror or error}") from error
        return lock

    def remove_leftovers(self) -> None:
        """Remove what a killed process left of a run that it was about to make; nobody else may be making any."""
        for part in self.runs.glob(".*.part"):
            shutil.rmtree(part, ignore_errors=True)

    def whole_runs(self) -> list[StepReader]:
        """Return the runs of the sweep that have all their steps, in the order of its cells."""
        return [StepReader.open(self.runs / cell.name) for cell in self.sweep.cells() if self._is_whole(cell)]

    def failures(self) -> list[Row]:
        """Return the runs that are not whole: run, steps, result ("missing" if it was never tried), and error."""
        try:
            known = {row["run"]: row for row in json.loads((self.path / "failures.json").read_bytes())}
        except FileNotFoundError:
            known = {}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StorageError(f"{self.path / 'failures.json'} is damaged: {error}") from error
        return [
            known.get(cell.name, {"run": cell.name, "steps": 0, "result": "missing", "error": ""})
            for cell in self.sweep.cells()
            if not self._is_whole(cell)
        ]

    def _is_whole(self, cell: NewRun) -> bool:
        return (self.runs / cell.name / f"step_{cell.steps}").is_dir()

    def gather(self, outcomes: Sequence[JobOutcome]) -> tuple[pd.DataFrame, list[JobOutcome]]:
        """Write the results of all whole runs, and what became of the others.

        The order is that of the cells, and nothing in it depends on where or when a run was made, so that the files
        have the same bytes for the same runs.

        Args:
            outcomes: What became of every cell.

        Returns:
            The results, a row for each run and step, and the outcomes of all runs that are not whole.

        Raises:
            StorageError: If the files cannot be written.
        """
        tables: list[pd.DataFrame] = []
        others: list[JobOutcome] = []
        for outcome in outcomes:
            try:
                run = StepReader.open(self.runs / outcome.name)
                if outcome.result is Result.DONE:
                    tables.append(table_of(run, outcome.wanted))
                else:
                    others.append(replace(outcome, steps=run.last))
            except RepuNetError as error:
                reason = outcome.reason or str(error)
                others.append(JobOutcome(outcome.name, outcome.wanted, _worse(outcome.result), 0, reason))
        results = joined(tables)
        self._write_table(results)
        rows = [{"run": each.name, "steps": each.steps, "result": each.result, "error": each.reason} for each in others]
        self._write("failures.json", (json.dumps(rows, ensure_ascii=False, indent=2) + "\n").encode())
        return results, others

    def _write_table(self, frame: pd.DataFrame) -> None:
        self._write("results.csv", frame.to_csv(index=False, lineterminator="\n").encode())
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False)
        self._write("results.parquet", buffer.getvalue())

    def _write(self, name: str, content: bytes) -> None:
        """Write a file of the sweep, whole, in place of the one that is there."""
        files.replace(self.path / name, content)


def _worse(result: Result) -> Result:
    """Return what became of a run that cannot be read."""
    return Result.FAILED if result is Result.DONE else result


def _check_grown(stored: Sweep, wanted: Sweep, path: Path) -> None:
    """Make sure that a sweep has all that the stored one of its name has.

    Raises:
        ConfigurationError: If it has not.
    """
    if wanted.steps < stored.steps:
        raise ConfigurationError(
            f"{path} is another sweep: its runs have {stored.steps} steps, not {wanted.steps}; choose another name "
            "(--name)"
        )
    missing = _names(stored.cells()) - _names(wanted.cells())
    if missing:
        raise ConfigurationError(
            f"{path} is another sweep: {len(missing)} of its runs are not in this one, such as {min(missing)}; "
            "choose another name (--name)"
        )


def _names(cells: Iterable[NewRun]) -> set[str]:
    return {cell.name for cell in cells}
