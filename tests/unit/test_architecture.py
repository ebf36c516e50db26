"""Imports point one way, and only a few modules know Mesa, the page or an extra."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest

from tests import ROOT, mesa_names

LAYERS = [
    {"errors", "rng", "util", "extensions"},
    {"mechanism", "error_rates", "events"},
    {"config", "stability"},
    {"reputation", "network", "memory", "personas"},
    {"questions", "storage"},
    {"backends", "populations", "initial_network", "composition"},
    {"games"},
    {"stages"},
    {"agents", "measures"},
    {"stepping", "model"},
    {"results", "stored_run", "chronicle", "export", "jobs", "prompt_check"},
    {"reference_layout", "report", "sweep"},
    {"study", "probe", "what_if"},
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
    "SALib": {"study", "sweep"},
    "vaderSentiment": {"results"},
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


def module_name(file: Path) -> str:
    """Return the name of a module of the package, given its path in it."""
    return ".".join(("repunet_model", *file.with_suffix("").parts)).removesuffix(".__init__")


def all_imports(file: Path) -> Iterator[str]:
    """Yield the modules a file names in imports, those for type checkers alone included."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{name.name}" for name in node.names)


def test_imports_point_one_way() -> None:
    assert list(violations(ROOT)) == []
    assert len(LAYERS) <= 14


KNOWS_IMPORTS = {"storage/manifest.py", "cli/stored.py"}
"""Who beside `reference_layout` names runs that were imported: the manifest says that one was, and the command."""


def test_only_the_manifest_and_the_command_name_imported_runs() -> None:
    package = ROOT / "repunet_model"
    places = [*package.rglob("*.py"), *(ROOT / "visualization").rglob("*.py")]
    for file in places:
        place = file.relative_to(package if file.is_relative_to(package) else ROOT).as_posix()
        if place.startswith("reference_layout/") or place in KNOWS_IMPORTS:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            assert getattr(node, "value", None) != "imported", f"{place} reads an entry of the manifest"
        assert not any("reference_layout" in module for module in all_imports(file)), place


def test_no_module_imports_itself_by_others_not_even_for_types() -> None:
    package = ROOT / "repunet_model"
    files = {module_name(file.relative_to(package)): file for file in package.rglob("*.py")}
    imported: nx.DiGraph[str] = nx.DiGraph()
    for name, file in files.items():
        if name != "repunet_model":  # which names what users import, and loads it when it is used
            found = (each if each in files else each.rpartition(".")[0] for each in all_imports(file))
            imported.add_edges_from((name, other) for other in found if other in files and other != name)
    assert list(nx.simple_cycles(imported, length_bound=10)) == []
    assert nx.is_directed_acyclic_graph(imported)


def test_modules_at_the_top_are_those_that_users_import_and_none_is_long() -> None:
    package = ROOT / "repunet_model"
    named = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    # stepping is the base of the model, with which the reference shows it
    at_the_top = [file.stem for file in package.glob("*.py") if file.stem[:2] != "__" and file.stem != "stepping"]
    assert [name for name in at_the_top if f"### repunet_model.{name}\n" not in named] == []
    lengths = {file.name: len(file.read_text(encoding="utf-8").splitlines()) for file in package.rglob("*.py")}
    assert max(lengths.values()) <= 571, lengths


FORBIDDEN = {
    "repunet_model/network.py": "from repunet_model.model import RepuNetModel",
    "repunet_model/stages/gossip.py": "import repunet_model.sweep.grid",
    "repunet_model/questions/base.py": "from repunet_model import backends",
    "repunet_model/reputation.py": "import mesa",
    "repunet_model/report/page.py": "import solara",
    "repunet_model/sweep/grid.py": "from dask.distributed import Client",
    "repunet_model/model.py": "from visualization import app",
    "visualization/drawing.py": "import solara",
}
"""Imports that point the wrong way, by file."""


def test_a_forbidden_import_is_found(tmp_path: Path) -> None:
    for folder in ("repunet_model", "visualization"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file, line in FORBIDDEN.items():
        changed = tmp_path / file
        changed.write_text(f"{changed.read_text()}\n\ndef _late() -> None:\n    {line}\n")
    found = list(violations(tmp_path))
    for file, line in FORBIDDEN.items():
        start = f"{file.removeprefix('repunet_model/')}: {line.split()[1]}"
        assert any(each.startswith(start) for each in found), start
        found = [each for each in found if not each.startswith(start)]
    assert found == []


@pytest.mark.thorough
def test_what_is_used_of_mesa_is_found_and_is_there() -> None:
    assert {("mesa", "Agent"), ("mesa.time", "EventGenerator"), ("mesa.visualization", "SolaraViz")} <= set(
        mesa_names.used()
    )
    assert mesa_names.missing() == []
