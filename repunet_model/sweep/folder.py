"""A sweep on disk: its description, runs, failures, and table of results.

The layout of the folder::

    <storage>/<sweep>/
        sweep.json                 grids, seeds, steps, whether runs end when they are stable, and versions
        runs/<run>/                a run folder for each cell, for `show`, `check`, `resume` and `fork`
        logs/<run>.log             the log of each run
        results.parquet            all parameters and measures of all complete runs by step
        results.csv                the same as text
        failures.json              the incomplete runs, with reasons

Running a sweep again completes it: complete runs are skipped, interrupted ones resumed. Its grids may grow, but not
change otherwise.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import pandas as pd
from filelock import FileLock, Timeout

from repunet_model.errors import ConfigurationError, RepuNetError, StorageError
from repunet_model.jobs.job import JobOutcome, NewRun, Result, Section, Steps, parsed
from repunet_model.results.tables import joined, table_of
from repunet_model.stability import StabilityRule
from repunet_model.storage import Row, StepReader, stopping
from repunet_model.storage.manifest import made_by
from repunet_model.sweep.grid import Grid, Sweep
from repunet_model.util import files

FORMAT = 1

MANIFEST = "sweep.json"


class Stored(Section):
    """The entries of `sweep.json` that determine the runs."""

    steps: Steps
    until_stable: bool = False  # missing where an earlier version wrote it
    seeds: list[int]
    grids: list[dict[str, Any]]


def is_sweep(path: Path) -> bool:
    """Whether a folder holds a sweep."""
    return (path / MANIFEST).is_file()


@dataclass(frozen=True, slots=True)
class SweepFolder:
    """A sweep and its folder."""

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
        """Open a stored sweep.

        Raises:
            ConfigurationError: If the folder holds no sweep.
            StorageError: If the sweep cannot be read.
        """
        if not is_sweep(path):
            raise ConfigurationError(f"no sweep at {path}: there is no {MANIFEST}")
        file = path / MANIFEST
        try:
            content = files.parsed(files.content(file), file)
            if content["format"] != FORMAT:
                raise StorageError(
                    f"{file}: format {content['format']!r} is not known to this version, which reads format "
                    f"{FORMAT}: use version {content.get('repunet')} of this package, which made it, or choose "
                    "another name (--name)"
                )
            known = {name: content[name] for name in Stored.model_fields if name in content}
            stored = parsed(Stored, known, str(file))
            grids = [Grid(grid, str(file)) for grid in stored.grids]
            return cls(path, Sweep(path.name, stored.steps, stored.seeds, grids, until_stable=stored.until_stable))
        except (KeyError, TypeError, ConfigurationError) as error:
            raise StorageError(f"{file} is damaged: {error}") from error

    @classmethod
    def prepare(cls, storage: Path, sweep: Sweep) -> Self:
        """Create the folder of a sweep in `storage`, or continue with an existing one.

        Raises:
            ConfigurationError: If the folder holds another sweep, or something else.
            StorageError: If the folder cannot be written.
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
            "until_stable": sweep.until_stable,
            "seeds": list(sweep.seeds),
            "grids": [grid.stored() for grid in sweep.grids],
            **made_by(),
        }
        folder._write_json(MANIFEST, content)
        return folder

    def lock(self) -> FileLock:
        """Lock the sweep against other processes until the lock is released or this process ends.

        Raises:
            StorageError: If another process runs the sweep, or the folder cannot be written.
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
        """Remove incomplete run folders of a killed process; call it only under the lock."""
        for part in self.runs.glob(".*.part"):
            shutil.rmtree(part, ignore_errors=True)

    def whole_runs(self) -> list[StepReader]:
        """Return the complete runs up to their last step that counts, in the order of the cells."""
        ends = ((cell, self._end(cell)) for cell in self.sweep.cells())
        return [StepReader.open(self.runs / cell.name, end) for cell, end in ends if end is not None]

    def failures(self) -> list[Row]:
        """Return run, steps, result ("missing" if never started) and error of each incomplete run."""
        try:
            known = {row["run"]: row for row in json.loads((self.path / "failures.json").read_bytes())}
        except FileNotFoundError:
            known = {}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StorageError(f"{self.path / 'failures.json'} is damaged: {error}") from error
        return [
            known.get(cell.name, {"run": cell.name, "steps": 0, "result": "missing", "error": ""})
            for cell in self.sweep.cells()
            if self._end(cell) is None
        ]

    def _end(self, cell: NewRun) -> int | None:
        """Return the last step that counts of the run of a cell; None if the run is not complete."""
        path = self.runs / cell.name
        if cell.until_stable and path.is_dir():
            found = stopping.stopped(StepReader.open(path), StabilityRule())
            if found is not None and found.step <= cell.steps:
                return found.step
        return cell.steps if (path / f"step_{cell.steps}").is_dir() else None

    def gather(self, outcomes: Sequence[JobOutcome]) -> tuple[pd.DataFrame, list[JobOutcome]]:
        """Write the results of all complete runs, and the failures.

        Equal runs give equal bytes, wherever and whenever they were made: rows are in the order of the cells.

        Args:
            outcomes: The outcomes of all cells.

        Returns:
            The results, a row for each run and step, and the outcomes of the incomplete runs.

        Raises:
            StorageError: If a file cannot be written.
        """
        tables: list[pd.DataFrame] = []
        others: list[JobOutcome] = []
        for outcome in outcomes:
            try:
                run = StepReader.open(self.runs / outcome.name)
                if outcome.result is Result.DONE:
                    tables.append(table_of(run, outcome.last))
                else:
                    others.append(replace(outcome, steps=run.last))
            except RepuNetError as error:
                result = Result.FAILED if outcome.result is Result.DONE else outcome.result
                others.append(replace(outcome, result=result, steps=0, reason=outcome.reason or str(error), calls=0))
        results = joined(tables)
        files.replace(self.path / "results.csv", results.to_csv(index=False, lineterminator="\n").encode())
        buffer = io.BytesIO()
        results.to_parquet(buffer, index=False)
        files.replace(self.path / "results.parquet", buffer.getvalue())
        rows = [{"run": each.name, "steps": each.steps, "result": each.result, "error": each.reason} for each in others]
        self._write_json("failures.json", rows)
        return results, others

    def _write_json(self, name: str, content: object) -> None:
        files.replace(self.path / name, (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode())


def _check_grown(stored: Sweep, wanted: Sweep, path: Path) -> None:
    """Check that a sweep contains all runs and steps of the stored one."""
    if wanted.steps < stored.steps:
        raise ConfigurationError(
            f"{path} is another sweep: its runs have {stored.steps} steps, not {wanted.steps}; choose another name "
            "(--name)"
        )
    if wanted.until_stable and not stored.until_stable:
        raise ConfigurationError(
            f"{path} is another sweep: its runs have all {stored.steps} steps, and do not end when they are stable; "
            "choose another name (--name)"
        )
    missing = {cell.name for cell in stored.cells()} - {cell.name for cell in wanted.cells()}
    if missing:
        raise ConfigurationError(
            f"{path} is another sweep: {len(missing)} of its runs are not in this one, such as {min(missing)}; "
            "choose another name (--name)"
        )
