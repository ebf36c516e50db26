"""Dependencies point one way; only a few modules know Mesa."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import repunet_model

PACKAGE = Path(repunet_model.__file__).parent

LAYERS = [
    {"errors", "rng", "exact", "runtime", "concurrency", "words", "modes", "extensions"},
    {"reputation", "network", "memory", "personas", "populations", "storage", "journal", "metrics"},
    {"questions"},
    {"backends"},
    {"games"},
    {"stages"},
    {"agents", "parameters", "persistence", "measures", "archive", "stepping", "model"},
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
    {"cli", "testing"},
]
"""From the ground up: a part imports from its own layer and those before it."""

KNOW_MESA = {"stepping", "model", "agents"}


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


def part(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = sorted(file for file in PACKAGE.rglob("*.py") if file != PACKAGE / "__init__.py")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_dependencies_point_one_way(file: Path) -> None:
    layer = {name: height for height, names in enumerate(LAYERS) for name in names}
    used = {module.split(".")[1] for module in imports(file) if module.startswith("repunet_model.")}
    assert {name for name in used if layer[name] > layer[part(file)]} == set()


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_only_model_and_agents_know_mesa(file: Path) -> None:
    knows = any(module.split(".")[0] == "mesa" for module in imports(file))
    assert not knows or part(file) in KNOW_MESA


PAGE = sorted((PACKAGE.parent / "visualization").glob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_the_model_does_not_know_the_page(file: Path) -> None:
    knows = {module.split(".")[0] for module in imports(file)} & {"visualization", "solara"}
    assert knows <= ({"visualization"} if part(file) == "cli" else set())


@pytest.mark.parametrize("file", PAGE, ids=lambda file: file.name)
def test_what_is_drawn_does_not_know_how(file: Path) -> None:
    if file.stem in {"drawing", "palette"}:
        assert not {module.split(".")[0] for module in imports(file)} & {"mesa", "solara"}


def test_a_forbidden_import_would_be_seen(tmp_path: Path) -> None:
    file = tmp_path / "network.py"
    file.write_text("import mesa\nfrom repunet_model.model import RepuNetModel\n")
    assert {"mesa", "repunet_model.model"} <= imports(file)
