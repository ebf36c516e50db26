"""Files on disk: read with a clear word where they cannot be, written whole or not at all, and seen to the disk."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from repunet_model.errors import ConfigurationError, StorageError
from repunet_model.util.text import is_file_name

_DROPPED = frozenset({".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini"})


def content(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        StorageError: If it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise StorageError(f"{path} is missing") from None
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror or error}") from error


def parsed(text: bytes, path: Path) -> Any:
    """Return the data of JSON.

    Args:
        text: The JSON.
        path: The file it is from.

    Raises:
        StorageError: If it is none.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StorageError(f"{path} is damaged: {error}") from error


def entries(folder: Path) -> list[Path]:
    """Return what is in a folder, without the files that macOS and Windows drop into every folder they show.

    Raises:
        OSError: If it cannot be read.
    """
    return [path for path in folder.iterdir() if path.name.casefold() not in _DROPPED and path.name[:2] != "._"]


def check_new(path: Path) -> None:
    """Make sure that what has to be made of a path, folders above it included, has names that every system takes.

    Raises:
        ConfigurationError: If a name is none.
    """
    for each in (path, *path.parents):
        if os.path.exists(each):
            return
        if each.name not in {"", ".."} and not is_file_name(each.name):
            raise ConfigurationError(
                f"{str(path)[:200]!r}: {each.name[:80]!r} cannot be the name of a file on every system: use no "
                "control character and none of <>:\"/\\|?*, no blank or '.' last, and no name of a device such as CON"
            )


def make_folder(path: Path) -> None:
    """Make a folder and those above it, unless they are there.

    Raises:
        ConfigurationError: If a name is none that every system takes.
        OSError: If it cannot be made.
    """
    check_new(path)
    path.mkdir(parents=True, exist_ok=True)


def write(path: Path, text: bytes) -> None:
    """Write a file that is not there yet, and see it to the disk.

    Raises:
        OSError: If it is there, or cannot be written; it may be there in part then.
    """
    with path.open("xb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def sync(folder: Path) -> None:
    """See a folder's entries to the disk; Windows has no call for that, and needs none.

    Raises:
        OSError: If that fails.
    """
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet, whole or not at all; its folder is made if it is missing.

    Raises:
        ConfigurationError: If it is there: nothing is overwritten. Or if its name is none that every system takes.
        StorageError: If it cannot be written.
    """
    try:
        taken = path.exists()
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error
    if taken:
        raise ConfigurationError(f"{path} is already there: name another file, or remove it")
    check_new(path)
    replace(path, text.encode())


def replace(path: Path, text: bytes) -> None:
    """Write a file whole, in place of one that may be there; its folder is made if it is missing.

    Raises:
        StorageError: If it cannot be written; what was there is there still.
    """
    try:
        make_folder(path.parent)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            part.unlink(missing_ok=True)
            write(part, text)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        sync(path.parent)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error
