"""Extension files: Python files of the user that register games, backends and measures."""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from repunet_model.errors import ConfigurationError

_LOADED: dict[str, ModuleType] = {}


def load(files: Sequence[str]) -> None:
    """Import Python files that were not imported yet, each as a module of its name.

    Raises:
        ConfigurationError: If a file is missing, has the name of another module, or raises an error.
    """
    for file in files:
        path = Path(file).resolve()
        if str(path) not in _LOADED:
            _LOADED[str(path)] = module_at(path)


def loaded() -> list[str]:
    """Return the paths of all files that `load` has imported, for worker processes."""
    return list(_LOADED)


def hashes(used: Iterable[Callable[..., object]]) -> dict[str, str]:
    """Return the first 12 digits of the SHA-256 of every extension file, by name.

    These are the files that `load` has imported, and those that define the given classes and functions, but not the
    modules they import.
    """
    files = {Path(file) for file in _LOADED}
    for each in used:
        if not each.__module__.startswith("repunet_model."):
            with contextlib.suppress(TypeError):  # Defined at a prompt, without a file.
                files.add(Path(inspect.getfile(each)).resolve())
    return {file.name: sha256(file.read_bytes()).hexdigest()[:12] for file in sorted(files) if file.is_file()}


def check(recorded: Mapping[str, str], used: Iterable[Callable[..., object]]) -> None:
    """Check that a run continues with the extension files it was made with, by their recorded hashes.

    Raises:
        ConfigurationError: If a file has changed.
    """
    for name, digest in hashes(used).items():
        if recorded.get(name, digest) != digest:
            raise ConfigurationError(
                f"the run was made with another {name} (SHA-256 {recorded[name]}..., now {digest}...): go on with that "
                "one, or fork the run"
            )


def module_at(path: Path) -> ModuleType:
    """Import a Python file as a module of its name; raise ConfigurationError if that fails. `load` also keeps it."""
    name = path.stem
    if path.suffix != ".py" or not path.is_file():
        raise ConfigurationError(f"extension {path}: no Python file is there")
    if name in sys.modules:
        raise ConfigurationError(f"extension {path}: there is another module {name!r}; rename the file")
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ConfigurationError(f"extension {path}: {type(error).__name__}: {error}") from error
    return module
