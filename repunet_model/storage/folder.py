"""Run folders: every step of a run on disk, whole or absent.

Layout::

    <storage>/<run>/
        manifest.json              the run: parameters, seed, backends, versions, system prompt, the parent of a fork
        manifest.sha256            its hash
        step_0/                    the seed run: personas.json, state.json
        step_<N>/                  the rows of step N and the small state after it
            state.json             agents, ties, blacklists
            metrics.json           the measures of the step
            interactions.jsonl, events.jsonl, records.jsonl, gossip.jsonl, ties.jsonl, declarations.jsonl, calls.jsonl
            usage.json             attempts, tokens, seconds
            manifest.json          hashes of these files, of the run's manifest and of the previous step's
            usage_manifest.json    the hash of usage.json
        replies.jsonl              while a step is under way or has failed: the replies it has so far
        replies_unread.jsonl       replies that arrived after the process that requested them had ended
        usage_failed.jsonl         usage of failed steps, if any failed
        stopped.json               where and why the run ended, if it was run until it is stable

A step is written to a temporary folder, synced, and renamed; so is a new run. Two runs with equal parameters and equal
replies have equal bytes in every file whose name does not begin with "usage". Every file is compared with its hash when
it is read. A process that stores steps holds a lock, which ends with the process.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from filelock import FileLock, Timeout

from repunet_model.errors import ConfigurationError, StorageError
from repunet_model.storage.manifest import READ_FORMATS, Manifest
from repunet_model.storage.schema import Row
from repunet_model.storage.writing import (
    MANIFEST,
    USAGE_MANIFEST,
    copy_step,
    hash_of,
    move_to_free_name,
    taken,
    to_json,
    write_step,
)
from repunet_model.util import files
from repunet_model.util.text import PACKAGED_RUNS, check_name, command, quoted

_HASH = "manifest.sha256"


@contextmanager
def understood(folder: RunFolder) -> Iterator[None]:
    """Report malformed content as StorageError.

    Hashes prove that files are unchanged, not that they are well-formed.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, StopIteration) as error:
        raise StorageError(
            f"{folder.path}: damaged, {type(error).__name__} {error} where a step was expected"
        ) from error


def run_names(storage: Path) -> list[str]:
    """Return the sorted names of the runs in a storage, without hidden folders (runs being made or deleted)."""
    found = storage.glob(f"*/{MANIFEST}") if storage.is_dir() else ()
    return sorted(path.parent.name for path in found if not path.parent.name.startswith("."))


class RunFolder:
    """One run on disk.

    Attributes:
        path: The folder.
        replies: The file of the replies of a step that is under way or has failed.
        unread: The file of replies that arrived after the process that requested them had ended.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.replies = path / "replies.jsonl"
        self.unread = path / "replies_unread.jsonl"
        self._lock = FileLock(path.resolve() / ".lock", timeout=0, thread_local=False, is_singleton=True)
        self._holds = False
        self._hashes: dict[int, tuple[str, Row]] = {}

    # New runs

    @classmethod
    def create(
        cls,
        storage: Path,
        name: str | None,
        default_name: str,
        manifest: Manifest,
        documents: Mapping[str, Any],
        tables: Mapping[str, Iterable[Row]] | None = None,
        steps: Iterable[tuple[Mapping[str, Any], Mapping[str, Iterable[Row]]]] = (),
    ) -> Self:
        """Create the folder of a new run with its step 0 and any further steps, atomically.

        Args:
            storage: The folder of all runs; made if it is missing.
            name: The run's name; None for the default name, with a number appended if it exists already.
            default_name: See `name`.
            manifest: The manifest of the run.
            documents: Data of the JSON files of step 0, by name.
            tables: Rows of the JSON-lines files of step 0, by name.
            steps: Documents and tables of the further steps, from step 1 on.

        Raises:
            ConfigurationError: If the name is invalid or taken.
            StorageError: If the folder cannot be written.
        """

        def fill(part: Path) -> None:
            previous = None
            for step, (own_documents, own_tables) in enumerate([(documents, tables or {}), *steps]):
                write_step(part, step, previous, own_documents, own_tables)
                previous = hash_of(files.content(part / f"step_{step}" / MANIFEST))

        return cls._make(storage, name, default_name, manifest, fill)

    def fork(self, step: int, storage: Path, name: str | None, changes: Row) -> Self:
        """Create a new run that shares this one's past up to a step.

        Args:
            step: The last shared step.
            storage: The folder of all runs.
            name: The new run's name; None to derive one from this run's name and the step.
            changes: Manifest entries that the fork overrides.

        Raises:
            ConfigurationError: If the name is invalid or taken, or the step does not exist.
            StorageError: If the past is damaged, or the new run cannot be written.
        """
        self.check_step(step)
        for damage in self.damages(step):
            raise StorageError(damage)
        own = self.path.resolve().name
        manifest = self.manifest().forked(own, step, self._step_hash(step), changes)

        def fill(part: Path) -> None:
            for number in range(step + 1):
                copy_step(self.path / f"step_{number}", part / f"step_{number}")
            if step == max(self._found()):
                for replies in filter(Path.exists, (self.replies, self.unread)):
                    files.write(part / replies.name, replies.read_bytes())

        return self._make(storage, name, f"{own[:80]}_from_{step}", manifest, fill)

    @classmethod
    def _make(
        cls, storage: Path, name: str | None, default_name: str, manifest: Manifest, fill: Callable[[Path], None]
    ) -> Self:
        """Write a run to a temporary folder, and rename it to the first free name."""
        check_name(name if name is not None else default_name)
        part = storage / f".{uuid4().hex}.part"
        with files.reporting(f"storage {storage} cannot be written"):
            files.make_folder(storage)
            if name is not None and (storage / name).exists():
                raise ConfigurationError(taken(name, storage))
            part.mkdir()
            try:
                files.write(part / MANIFEST, (json.dumps(manifest.data, ensure_ascii=False, indent=2) + "\n").encode())
                files.write(part / _HASH, (hash_of(files.content(part / MANIFEST)) + "\n").encode())
                fill(part)
                files.sync(part)
                path = move_to_free_name(part, storage, name, default_name)
            finally:
                shutil.rmtree(part, ignore_errors=True)
            files.sync(storage)
        return cls(path)

    # Reading

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open an existing run.

        Raises:
            ConfigurationError: If there is no run at the path.
            StorageError: If the folder cannot be read or contains a symbolic link.
        """
        # Unlike Path.is_file, os.path.isfile raises no error for a path that is too long for the system.
        if not os.path.isfile(path / MANIFEST):
            runs = path / "runs"
            sweep = f"; it is a sweep: name one of its runs, as in {quoted(runs)}/NAME" if os.path.isdir(runs) else ""
            raise ConfigurationError(f"no run at {path}: there is no manifest.json{sweep}")
        for each in _entries(path):
            if each.is_symlink():
                raise StorageError(f"{each} is a link: a run's own files are in its folder; put the file itself there")
        return cls(path)

    def manifest(self) -> Manifest:
        """Read the manifest of the run.

        Raises:
            StorageError: If it cannot be read or has an unknown format.
        """
        path = self.path / MANIFEST
        content = files.content(path)
        data = files.parsed(content, path)
        if not isinstance(data, dict):
            raise StorageError(f"{path} is damaged: not an object")
        known = data.get("format")
        if known not in READ_FORMATS:
            raise StorageError(
                f"{self.path}: format {known!r} is not known to this version, which reads formats "
                f"{' and '.join(map(str, READ_FORMATS))}: read it with version {data.get('repunet')} of this package, "
                "which made it"
            )
        if files.content(self.path / _HASH).decode("ascii", "replace").strip() != hash_of(content):
            raise _altered(path, content)
        try:
            return Manifest.of_data(data)
        except ConfigurationError as error:
            raise StorageError(f"{path} is damaged: {error}") from None

    def steps(self) -> list[int]:
        """Return the numbers of the stored steps, from 0 on.

        Raises:
            StorageError: If one is missing.
        """
        steps = sorted(self._found())
        missing = next((step for step in range(steps[-1]) if step not in steps), None) if steps else 0
        if missing is not None:
            whole = f"; name a step before it, as in {quoted(self.path)}/step_{missing - 1}" if missing else ""
            raise StorageError(f"{self.path} is damaged: step {missing} is missing{whole}")
        return steps

    def _found(self) -> set[int]:
        """Return the numbers of the stored steps, with gaps if a step is missing."""
        found = (re.fullmatch(r"step_(\d+)", path.name) for path in _entries(self.path))
        return {int(match[1]) for match in found if match}

    def is_last(self, step: int) -> bool:
        """Whether no later step is stored."""
        return step >= max(self._found(), default=0)

    def check_step(self, step: int) -> None:
        """Raise an error unless a step is stored.

        Raises:
            ConfigurationError: If it is not.
            StorageError: If it is missing between other steps.
        """
        if not (self.path / f"step_{step}").is_dir():
            raise ConfigurationError(f"step {step} of {self.path} is not there; the last is {self.steps()[-1]}")

    def document(self, step: int, name: str) -> Any:
        """Read a JSON file of a step.

        Raises:
            StorageError: If it is missing or altered.
        """
        file = f"{name}.json"
        return files.parsed(self._read(step, file), self.path / f"step_{step}" / file)

    def table(self, step: int, name: str) -> list[Row]:
        """Read the rows of a JSON-lines file of a step; none if the step never had the file.

        Raises:
            StorageError: If a file that the step had is missing or altered.
        """
        file = f"{name}.jsonl"
        if file not in self._step_manifest(step)["files"]:
            return []
        lines = self._read(step, file).split(b"\n")[:-1]
        rows = files.parsed(b"[" + b",".join(lines) + b"]", self.path / f"step_{step}" / file)
        assert isinstance(rows, list)
        return rows

    def damages(self, last: int | None = None) -> Iterator[str]:
        """Yield one line for each missing, altered or foreign file, up to a step or in the whole run."""
        try:
            self.manifest()
            steps = range(max(self._found(), default=0) + 1 if last is None else last + 1)
        except StorageError as error:
            yield str(error)
            return
        for step in steps:
            if not (self.path / f"step_{step}").is_dir():
                yield f"{self.path} is damaged: step {step} is missing"
                return
            yield from self._damages_of(step)

    def last_whole(self) -> int | None:
        """Return the last step that is whole, as are all before it; None if step 0 or the manifest is damaged."""
        if any(self.damages(0)):
            return None
        found = self._found()
        whole = takewhile(lambda step: step in found and not any(self._damages_of(step)), range(1, max(found) + 1))
        return max(whole, default=0)

    def _damages_of(self, step: int) -> Iterator[str]:
        """Yield one line for each missing, altered or foreign file of a step."""
        try:
            self.check_chain(step, step)
            files = [*self._step_manifest(step)["files"], *self._usage_hashes(step)]
        except StorageError as error:
            yield str(error)
            return
        for file in files:
            try:
                self._verified(step, file)
            except StorageError as error:
                yield str(error)
        known = {*files, MANIFEST, USAGE_MANIFEST}
        for path in sorted(_entries(self.path / f"step_{step}")):
            if path.name not in known:
                yield f"{path} does not belong to the step"

    def check_chain(self, first: int, last: int) -> None:
        """Check that steps follow each other and belong to the manifest of the run or of its parent.

        Raises:
            StorageError: If a step does not fit.
        """
        manifest = self.manifest()
        run = hash_of(files.content(self.path / MANIFEST))
        parent = manifest.parent
        for step in range(first, last + 1):
            own = self._step_manifest(step)
            previous = self._step_hash(step - 1) if step > 0 else None
            if own["step"] != step or own["previous"] != previous:
                raise StorageError(f"{self.path / f'step_{step}'} does not follow the step before it")
            if parent is None or step > parent["step"]:
                if own["run"] != run:
                    raise StorageError(f"{self.path / MANIFEST} is not what it was when step {step} was written")
            elif step == parent["step"] and self._step_hash(step) != parent["manifest"]:
                raise StorageError(f"{self.path / f'step_{step}'} is not the step of the parent that was forked")

    # Writing

    def hold(self) -> bool:
        """Lock the run for writing, until `release` or the end of the process.

        Returns:
            Whether the lock is new, so that other processes may have written to the run before.

        Raises:
            StorageError: If the run came with this package, another process holds the lock, or the folder cannot be
                written.
        """
        if self._holds:
            return False
        self.check_writable()
        self.check_there()
        with files.reporting(f"{self.path} cannot be written"):
            try:
                self._lock.acquire()
            except Timeout:
                raise StorageError(f"another process writes to {self.path}: let it end") from None
        self._holds = True
        return True

    def release(self) -> None:
        """Unlock the run, once no other user in this process holds it."""
        if self._holds:
            self._holds = False
            self._lock.release()

    def check_writable(self) -> None:
        """Raise an error if the run is one that came with this package.

        Raises:
            StorageError: If it is.
        """
        if self.path.parent == PACKAGED_RUNS:
            raise StorageError(
                f"{self.path.name} came with this package and stays as it is: go on with a fork, as in "
                f"{command(f'fork {self.path.name} --set backend=rules --sim-name mine')}"
            )

    def check_there(self) -> None:
        """Raise an error if the run's folder was deleted.

        Raises:
            StorageError: If it was deleted or moved.
        """
        if not (self.path / MANIFEST).is_file():
            raise StorageError(f"{self.path} is gone: it was deleted or moved while the run was under way")

    def check_next(self, step: int) -> None:
        """Check that a step can be written next, before its calls are paid for.

        Raises:
            StorageError: If the run ends at another step.
        """
        self.check_there()
        if (self.path / f"step_{step}").exists():
            raise StorageError(f"step {step} is already in {self.path}: fork the run from step {step - 1}")
        if not (self.path / f"step_{step - 1}").is_dir():
            raise StorageError(f"step {step - 1} is no longer in {self.path}")

    def write_step(self, step: int, documents: Mapping[str, Any], tables: Mapping[str, Iterable[Row]]) -> None:
        """Write a step atomically: JSON files from documents, and JSON-lines files from tables, by name.

        Raises:
            StorageError: If it cannot be written.
        """
        place, part = self.path / f"step_{step}", self.path / f".step_{step}.part"
        leftovers = [part]
        with files.reporting(f"step {step} cannot be written to {self.path}"):
            try:
                shutil.rmtree(part, ignore_errors=True)
                part.mkdir()
                write_step(self.path, step, self._step_hash(step - 1), documents, tables, into=part)
                part.rename(place)
                leftovers.append(place)
                files.sync(self.path)
            except (OSError, ValueError):
                for leftover in leftovers:
                    shutil.rmtree(leftover, ignore_errors=True)
                self.check_there()
                raise

    def note_failure(self, step: int, error: str, usage: Row) -> None:
        """Append the error and the usage of a failed step, its only trace beside the replies."""
        with (self.path / "usage_failed.jsonl").open("a", encoding="utf-8", newline="\n") as file:
            file.write(to_json({"step": step, "error": error, **usage}) + "\n")

    def delete(self) -> None:
        """Delete the run, renaming it first so that a partial deletion leaves no run.

        Raises:
            StorageError: If another process writes to it, or it cannot be deleted.
        """
        self.hold()
        self.release()  # Windows cannot rename a folder with an open file.
        leaving = self.path.with_name(f".{self.path.name}.{os.getpid()}.deleted")
        with files.reporting(f"{self.path} cannot be deleted"):
            self.path.rename(leaving)
            shutil.rmtree(leaving)

    # Hashes

    def _step_manifest(self, step: int) -> Row:
        """Return the manifest of a step: hashes of its files, of the run's manifest and of the previous step's."""
        return self._hashed(step)[1]

    def _step_hash(self, step: int) -> str:
        """Return the hash of a step's manifest, which covers its whole past."""
        return self._hashed(step)[0]

    def _hashed(self, step: int) -> tuple[str, Row]:
        if step not in self._hashes:
            path = self.path / f"step_{step}" / MANIFEST
            content = files.content(path)
            if b"\r\n" in content:
                raise _altered(path, content)
            manifest = files.parsed(content, path)
            is_whole = isinstance(manifest, dict) and {"step", "run", "previous", "files"} <= set(manifest)
            if not is_whole or not isinstance(manifest["files"], dict) or not all(map(_is_plain, manifest["files"])):
                raise StorageError(f"{path} is damaged: not the manifest of a step")
            self._hashes[step] = (hash_of(content), manifest)
        return self._hashes[step]

    def _usage_hashes(self, step: int) -> Row:
        path = self.path / f"step_{step}" / USAGE_MANIFEST
        hashes = files.parsed(files.content(path), path)
        if not isinstance(hashes, dict) or not all(map(_is_plain, hashes)):
            raise StorageError(f"{path} is damaged: not the hashes of files")
        return hashes

    def _read(self, step: int, file: str) -> bytes:
        """Return the content of a step's file; the error of an altered one points to `check`."""
        check = command(f"check {quoted(self.path)}")
        return self._verified(step, file, f"; steps before it may be whole: see `{check}`")

    def _verified(self, step: int, file: str, otherwise: str = "") -> bytes:
        """Return the content of a step's file, after comparing it with its hash."""
        path = self.path / f"step_{step}" / file
        hashes = self._usage_hashes(step) if file.startswith("usage") else self._step_manifest(step)["files"]
        content = files.content(path)
        if hashes.get(file) != hash_of(content):
            raise _altered(path, content, otherwise)
        return content


def _altered(path: Path, content: bytes, otherwise: str = "") -> StorageError:
    """Return the error of an altered file. CR LF is the likely cause, since no file is written with it."""
    if b"\r\n" in content:
        otherwise = (
            ": its line endings were changed from LF to CR LF on the way, as Git may do; copy the run again without "
            "that, in Git with the line `* -text` in .gitattributes"
        )
    return StorageError(f"{path} is not what was written{otherwise}")


def _entries(folder: Path) -> list[Path]:
    """List a folder."""
    with files.reporting(f"{folder} cannot be read"):
        return files.entries(folder)


def _is_plain(name: str) -> bool:
    """Whether a name is the plain name of a file of a step."""
    return re.fullmatch(r"[a-z_]+\.jsonl?", name) is not None
