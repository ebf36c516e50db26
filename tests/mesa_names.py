"""The names of Mesa that this project uses, and those that the installed Mesa lacks.

uv run python -m tests.mesa_names
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version

import mesa

from tests import ROOT

OF_MODELS = ("_default_schedule", "_wrapped_step", "agents", "random", "rng", "running", "step", "steps", "time")
"""The attributes of Mesa's models that are used, public or not."""


def used() -> Iterator[tuple[str, str]]:
    """Yield the modules of Mesa and their names that the project uses."""
    for file in sorted(
        path for folder in ("repunet_model", "visualization", "tests") for path in (ROOT / folder).rglob("*.py")
    ):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.ImportFrom(module=str(module), names=names) if module.split(".")[0] == "mesa":
                    yield from ((module, each.name) for each in names)
                case ast.Attribute(value=ast.Name(id="mesa"), attr=name):
                    yield "mesa", name


def missing() -> list[str]:
    """Return the full names that the installed Mesa lacks."""
    gone = []
    for module, name in sorted(set(used())):
        try:
            getattr(import_module(module), name)
        except (ImportError, AttributeError):
            gone.append(f"{module}.{name}")
    model = mesa.Model()
    return gone + [f"mesa.Model().{name}" for name in OF_MODELS if not hasattr(model, name)]


if __name__ == "__main__":
    print(f"Mesa {version('mesa')}; names used here that it does not have: {', '.join(missing()) or 'none'}")
