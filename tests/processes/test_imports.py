"""What an import loads: the core stays light, and nothing optional comes with it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

# Mesa brings pandas, and pandas brings pyarrow where it is installed: those two are not ours to leave out.
OPTIONAL = {"solara", "reacton", "ipywidgets", "ipyvue", "dask", "distributed", "xllamacpp", "uvicorn", "aiohttp"}
LATER = {"matplotlib", "SALib", "statsmodels", "openai", "rich", "typer", "prompt_toolkit"}


def loaded(statement: str, folder: Path) -> set[str]:
    """Return the packages that a statement loads in a new interpreter, started where no checkout is."""
    program = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in json.loads(done.stdout)}


def test_importing_the_package_loads_nothing_but_it(tmp_path: Path) -> None:
    nothing = loaded("", tmp_path)
    assert loaded("import repunet_model", tmp_path) - nothing - set(sys.stdlib_module_names) == {"repunet_model"}


@pytest.mark.parametrize(
    "statement",
    [
        "from repunet_model import RepuNetModel, RepuNetAgent, Rules",
        "from repunet_model import RepuNetModel; RepuNetModel(n_agents=4, rng=1).step()",
    ],
)
def test_the_core_loads_nothing_optional(statement: str, tmp_path: Path) -> None:
    packages = loaded(statement, tmp_path)
    assert "mesa" in packages
    assert packages & (OPTIONAL | LATER) == set()


def test_the_core_loads_little_beyond_mesa(tmp_path: Path) -> None:
    mesa = loaded("import mesa", tmp_path)
    core = loaded("from repunet_model import RepuNetModel, RepuNetAgent, Rules", tmp_path)
    standard = set(sys.stdlib_module_names)
    assert {name for name in core - mesa - standard if not name.startswith("_")} == {
        "repunet_model",
        "pydantic",
        "pydantic_core",
        "annotated_types",
        "typing_extensions",
        "typing_inspection",
        "jinja2",
        "markupsafe",
        "filelock",
    }


@pytest.mark.parametrize("words", ["--help", "run --help", "run --steps none"])
def test_help_and_errors_wait_for_nothing(words: str, tmp_path: Path) -> None:
    line = f"import sys; from repunet_model.cli import main; sys.stdout = sys.stderr; main({words.split()})"
    packages = loaded(f"{line}; sys.stdout = sys.__stdout__", tmp_path)
    slow = {"mesa", "numpy", "pandas", "networkx", "matplotlib", "openai"}
    assert packages & (OPTIONAL | slow) == set()
