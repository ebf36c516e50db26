"""Imports point one way, and only a few modules know Mesa, the page or an extra."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ROOT, mesa_names

LAYERS = [
    {"errors", "rng", "exact", "runtime", "concurrency", "words", "modes", "extensions", "disk", "config"},
    {"reputation", "network", "memory", "personas", "metrics", "journal"},
    {"questions", "storage", "populations"},
    {"backends"},
    {"games"},
    {"stages"},
    {"agents", "measures", "archive", "stepping", "model"},
    {
        "results",
        "stored_run",
        "inspection",
        "estimate",
        "export",
        "reference_layout",
        "starting",
        "report",
        "profile",
        "chronicle",
        "interviewing",
    },
    {"jobs", "batch", "shell"},
    {"sweep"},
    {"study"},
    {"cli", "testing", "__main__"},
]
"""From the ground up: a part imports from its own layer and those before it."""

MAY_IMPORT = {
    "mesa": {"stepping", "model", "agents"},
    "visualization": {"cli"},
    "solara": set(),
    "distributed": {"sweep"},
    "dask": set(),
    "xllamacpp": {"backends"},
    "aiohttp": {"testing", "backends"},
    "pytest": {"testing"},
    "SALib": {"study"},
    "statsmodels": {"report"},
    "typer": {"cli"},
}
"""Which parts of the package know a library that not all of it should know."""

WITHOUT_A_BROWSER = {"drawing", "palette"}
"""What of the page is plain data: it knows neither Mesa nor Solara."""


def imports(file: Path) -> set[str]:
    """Return the modules a file imports when it runs, those for type checkers alone left out."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Import):
            found.update(name.name for name in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{name.name}" for name in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(file.read_text()))
    return found


def violations(root: Path) -> Iterator[str]:
    """Yield every import of a checkout that points the wrong way, as "FILE: MODULE"."""
    height_of = {name: height for height, names in enumerate(LAYERS) for name in names}
    package = root / "repunet_model"
    for file in sorted(package.rglob("*.py")):
        if file == package / "__init__.py":
            continue
        place = file.relative_to(package)
        part = place.parts[0].removesuffix(".py")
        for module in sorted(imports(file)):
            top, *rest = module.split(".")
            if top == "repunet_model":
                is_wrong = bool(rest) and height_of[rest[0]] > height_of[part]
            else:
                is_wrong = top in MAY_IMPORT and part not in MAY_IMPORT[top]
            if is_wrong:
                yield f"{place}: {module}"
    for name in WITHOUT_A_BROWSER:
        for module in sorted(imports(root / "visualization" / f"{name}.py")):
            if module.split(".")[0] in {"mesa", "solara"}:
                yield f"visualization/{name}.py: {module}"


def test_imports_point_one_way() -> None:
    assert list(violations(ROOT)) == []


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("repunet_model/network.py", "from repunet_model.model import RepuNetModel"),
        ("repunet_model/stages/gossip.py", "import repunet_model.sweep.grid"),
        ("repunet_model/questions/base.py", "from repunet_model import backends"),
        ("repunet_model/reputation.py", "import mesa"),
        ("repunet_model/report/page.py", "import solara"),
        ("repunet_model/sweep/grid.py", "from dask.distributed import Client"),
        ("repunet_model/model.py", "from visualization import app"),
        ("visualization/drawing.py", "import solara"),
    ],
)
def test_a_forbidden_import_is_found(file: str, line: str, tmp_path: Path) -> None:
    for folder in ("repunet_model", "visualization"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    changed = tmp_path / file
    changed.write_text(f"{changed.read_text()}\n\ndef _late() -> None:\n    {line}\n")
    module = line.split()[1]
    found = list(violations(tmp_path))
    assert found
    assert all(each.startswith(f"{file.removeprefix('repunet_model/')}: {module}") for each in found)


def test_what_is_used_of_mesa_is_found_and_is_there() -> None:
    assert {("mesa", "Agent"), ("mesa.time", "EventGenerator"), ("mesa.visualization", "SolaraViz")} <= set(
        mesa_names.used()
    )
    assert mesa_names.missing() == []
