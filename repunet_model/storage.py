"""Run folders: every step of a run on disk, whole or absent.

    <storage>/<run>/
        manifest.json              what the run is: parameters, seed, backend, versions
        step_0/                    the seed: personas.json, state.json
        step_<N>/                  what step N added, and the small state after it
            state.json             agents, ties, blacklists
            metrics.json           the measures of the step
            interactions.jsonl, events.jsonl, records.jsonl, gossip.jsonl, ties.jsonl, calls.jsonl
            usage.json             attempts, tokens, seconds
        replies.jsonl              while a step is under way or has failed: the replies it has so far
        usage_failed.jsonl         what failed steps have cost, if any failed

A step is written to a temporary folder beside its place, synced, and renamed. Two runs with equal parameters and
equal replies have equal bytes in every file whose name does not begin with "usage".
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from repunet_model.errors import ConfigurationError, StorageError

Row = dict[str, Any]

FORMAT = 2
"""The layout that is written and read."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}")


def to_json(data: Any) -> str:
    """Return data as JSON in one line, the same bytes for equal data."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


class RunFolder:
    """One run on disk.

    Attributes:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, storage: Path, name: str | None, default_name: str, manifest: Row) -> Self:
        """Make the folder of a new run.

        Args:
            storage: The folder of all runs; made if it is missing.
            name: The run's name. Without one the default name is taken, with a number if it is taken already.
            default_name: See `name`.
            manifest: What the run is.

        Raises:
            ConfigurationError: If the name is no plain name, or there is a run of that name.
            StorageError: If the folder cannot be written.
        """
        if name is not None and not _NAME.fullmatch(name):
            raise ConfigurationError(
                f"run name {name!r}: use at most 100 letters, digits, blanks, '.', '_', '-', a letter or digit first"
            )
        try:
            storage.mkdir(parents=True, exist_ok=True)
            number = 1
            while True:
                path = storage / (name or (default_name if number == 1 else f"{default_name}_{number}"))
                try:
                    path.mkdir()
                    break
                except FileExistsError:
                    if name is not None:
                        raise ConfigurationError(
                            f"run {name!r} is already in {storage}: resume it, or choose another --sim-name"
                        ) from None
                    number += 1
            folder = cls(path)
            _write(path / "manifest.json", json.dumps(manifest, ensure_ascii=False, indent=2) + "\n")
            _sync(path)
        except OSError as error:
            raise StorageError(f"storage {storage} cannot be written: {error.strerror or error}") from error
        return folder

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a run that is there.

        Raises:
            ConfigurationError: If there is none.
        """
        if not (path / "manifest.json").is_file():
            raise ConfigurationError(f"no run at {path}: there is no manifest.json")
        return cls(path)

    def manifest(self) -> Row:
        """Return what the run is.

        Raises:
            StorageError: If it cannot be read, or is of another format.
        """
        manifest = self._read(self.path / "manifest.json")
        if not isinstance(manifest, dict):
            raise StorageError(f"{self.path / 'manifest.json'} is damaged: not an object")
        if manifest.get("format") != FORMAT:
            raise StorageError(
                f"{self.path}: format {manifest.get('format')!r} is not known to this version, which reads format "
                f"{FORMAT}"
            )
        return manifest

    def steps(self) -> list[int]:
        """Return the steps that are there, from 0 on.

        Raises:
            StorageError: If one is missing.
        """
        found = (re.fullmatch(r"step_(\d+)", path.name) for path in self.path.iterdir())
        steps = sorted(int(match[1]) for match in found if match)
        missing = sorted(set(range(max(steps, default=0) + 1)) - set(steps))
        if missing:
            raise StorageError(f"{self.path} is damaged: step {missing[0]} is missing")
        return steps

    def note_failure(self, step: int, error: str, usage: Row) -> None:
        """Note what a step that failed has cost; it leaves no other trace.

        Args:
            step: The step.
            error: Why it failed.
            usage: What its calls cost.
        """
        with (self.path / "usage_failed.jsonl").open("a", encoding="utf-8") as file:
            file.write(to_json({"step": step, "error": error, **usage}) + "\n")

    def write_step(self, step: int, documents: Mapping[str, Any], tables: Mapping[str, Iterable[Row]]) -> None:
        """Write a step: all of it or nothing.

        Args:
            step: The step.
            documents: Data of the JSON files, by name.
            tables: Rows of the JSON-lines files, by name.

        Raises:
            StorageError: If it cannot be written.
        """
        place = self.path / f"step_{step}"
        temporary = self.path / f".step_{step}.part"
        if place.exists():
            raise StorageError(f"step {step} is already in {self.path}: another process writes to this run")
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            for name, data in documents.items():
                _write(temporary / f"{name}.json", to_json(data) + "\n")
            for name, rows in tables.items():
                _write(temporary / f"{name}.jsonl", "".join(to_json(row) + "\n" for row in rows))
            _sync(temporary)
            temporary.rename(place)
            _sync(self.path)
        except (OSError, ValueError) as error:
            for leftover in (temporary, place):
                shutil.rmtree(leftover, ignore_errors=True)
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise StorageError(f"step {step} cannot be written to {self.path}: {reason}") from error

    def document(self, step: int, name: str) -> Any:
        """Return the data of a step's JSON file."""
        return self._read(self.path / f"step_{step}" / f"{name}.json")

    def table(self, step: int, name: str) -> list[Row]:
        """Return the rows of a step's JSON-lines file."""
        path = self.path / f"step_{step}" / f"{name}.jsonl"
        return [self._parse(line, path) for line in self._text(path).split("\n") if line]

    def _read(self, path: Path) -> Any:
        return self._parse(self._text(path), path)

    def _text(self, path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise StorageError(f"{path} cannot be read: {error}") from error

    def _parse(self, text: str, path: Path) -> Any:
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise StorageError(f"{path} is damaged: {error}") from error


def _write(path: Path, text: str) -> None:
    """Write a file and see it to the disk."""
    with path.open("x", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """See a folder's entries to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
