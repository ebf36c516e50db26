"""Files of one's own that register games, backends and measures, imported when a program is told to."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from repunet_model.errors import ConfigurationError

_LOADED: dict[str, ModuleType] = {}


def load(files: Sequence[str]) -> None:
    """Import files that were not imported yet, each as a module of its name.

    Args:
        files: Paths of Python files.

    Raises:
        ConfigurationError: If one is not there, has the name of another module, or fails.
    """
    for file in files:
        path = Path(file).resolve()
        if str(path) not in _LOADED:
            _LOADED[str(path)] = _imported(path)


def loaded() -> list[str]:
    """Return the paths of all files that `load` has imported, for other processes to load."""
    return list(_LOADED)


def _imported(path: Path) -> ModuleType:
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
