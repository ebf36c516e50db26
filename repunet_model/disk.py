"""Files on disk: read with a clear word where they cannot be, written whole or not at all, and seen to the disk."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from repunet_model.errors import ConfigurationError, StorageError


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
    """See a folder's entries to the disk.

    Raises:
        OSError: If that fails.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet, whole or not at all; its folder is made if it is missing.

    Raises:
        ConfigurationError: If it is there: nothing is overwritten.
        StorageError: If it cannot be written.
    """
    try:
        taken = path.exists()
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error
    if taken:
        raise ConfigurationError(f"{path} is already there: name another file, or remove it")
    replace(path, text.encode())


def replace(path: Path, text: bytes) -> None:
    """Write a file whole, in place of one that may be there; its folder is made if it is missing.

    Raises:
        StorageError: If it cannot be written; what was there is there still.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
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
