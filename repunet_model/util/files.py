"""Files on disk: read with clear errors, written atomically, and synced."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from repunet_model.errors import ConfigurationError, StorageError
from repunet_model.util.text import is_file_name

_DROPPED = frozenset({".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini"})


@contextmanager
def reporting(problem: str) -> Iterator[None]:
    """Report errors of the disk as StorageError, with the problem and the reason."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise StorageError(f"{problem}: {getattr(error, 'strerror', None) or error}") from error


def content(path: Path) -> bytes:
    """Return the content of a file; raise StorageError if it cannot be read."""
    with reporting(f"{path} cannot be read"):
        try:
            return path.read_bytes()
        except FileNotFoundError:
            raise StorageError(f"{path} is missing") from None


def read_toml(file: Path) -> dict[str, Any]:
    """Parse a TOML file; raise ConfigurationError if it cannot be read or parsed."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{file} is no TOML: {error}") from None


def parsed(text: bytes, path: Path) -> Any:
    """Parse the JSON of a file; raise StorageError if it is not valid."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StorageError(f"{path} is damaged: {error}") from error


def entries(folder: Path) -> list[Path]:
    """List a folder, without the files that macOS and Windows add to it; raise OSError if it cannot be read."""
    return [path for path in folder.iterdir() if path.name.casefold() not in _DROPPED and path.name[:2] != "._"]


def check_new(path: Path) -> None:
    """Raise ConfigurationError unless the missing parts of a path have names that are valid on every system."""
    for each in (path, *path.parents):
        if os.path.exists(each):
            return
        if each.name not in {"", ".."} and not is_file_name(each.name):
            raise ConfigurationError(
                f"{str(path)[:200]!r}: {each.name[:80]!r} cannot be the name of a file on every system: use no "
                "control character and none of <>:\"/\\|?*, no blank or '.' last, and no name of a device such as CON"
            )


def make_folder(path: Path) -> None:
    """Create a folder and its parents if missing; raise ConfigurationError for an invalid name, else OSError."""
    check_new(path)
    path.mkdir(parents=True, exist_ok=True)


def write(path: Path, text: bytes) -> None:
    """Write and sync a new file; raise OSError if it exists or cannot be written, when a part of it may be left."""
    with path.open("xb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def sync(folder: Path) -> None:
    """Sync the entries of a folder; Windows has no call for that, and needs none."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_new(path: Path, text: str) -> None:
    """Write a new file atomically, with its folder; raise StorageError if that fails.

    Raises ConfigurationError if the file exists, or its name is not valid on every system.
    """
    with reporting(f"{path} cannot be written"):
        if path.exists():
            raise ConfigurationError(f"{path} is already there: name another file, or remove it")
    check_new(path)
    replace(path, text.encode())


def replace(path: Path, text: bytes) -> None:
    """Write or replace a file atomically, with its folder; raise StorageError, and change nothing, if that fails."""
    with reporting(f"{path} cannot be written"):
        make_folder(path.parent)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            part.unlink(missing_ok=True)
            write(part, text)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        sync(path.parent)
