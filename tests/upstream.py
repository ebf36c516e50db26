"""Run the tests with other versions of the dependencies; the result is a report, never a failure.

    uv run python -m tests.upstream [mesa] [newest] [lowest]

Each run uses a copy of the checkout with its own environment:

mesa      Mesa's newest version, pre-releases included, regardless of bounds; everything else pinned
newest    the newest versions within the bounds of pyproject.toml
lowest    the lowest versions of the packages in pyproject.toml, on the lowest Python

Reported are the tests by file, the first error of each file, and the missing names of Mesa.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from pathlib import Path

from packaging.requirements import Requirement

from tests.environments import PROJECT, UV, copy_checkout

FOLDERS = ("tests/unit", "tests/societies")
"""The tests to run: those without endpoints, processes and browsers, which take minutes."""

LEFT_OUT = "tests/unit/test_architecture.py"
"""A test of the checkout itself."""

SECONDS = 240
"""The time limit of the tests of one environment; later tests are not reported."""

PINS = "constraint-dependencies = ["

PRE_RELEASE = "mesa[rec]>=4.0.0a0"


def prepare(checkout: Path, name: str) -> list[str]:
    """Copy the checkout, unpin versions, and return the options of uv."""
    copy_checkout(checkout)
    file = checkout / "pyproject.toml"
    text = file.read_text()
    before, _, after = text.partition(PINS)
    pins, _, rest = after.partition("]\n")
    match name:
        case "mesa":
            others = "\n".join(line for line in pins.splitlines() if not line.strip().startswith('"mesa=='))
            file.write_text(f'{before}override-dependencies = ["{PRE_RELEASE}"]\n{PINS}{others}]\n{rest}')
            return ["--prerelease", "if-necessary-or-explicit"]
        case "newest":
            file.write_text(before + rest)
            return []
        case "lowest":
            file.write_text(before + rest)
            (checkout / ".python-version").write_text(f"{PROJECT['project']['requires-python'].removeprefix('>=')}\n")
            # Versions without a wheel are skipped, not compiled.
            wheels = [word for each in direct() for word in ("--no-build-package", each)]
            return ["--resolution", "lowest-direct", *wheels]
    raise SystemExit(f"unknown: {name}; known are mesa, newest, lowest")


def direct() -> set[str]:
    """Return the names of the packages in pyproject.toml, without this project's own."""
    project = PROJECT["project"]
    extras, groups = project["optional-dependencies"].values(), PROJECT["dependency-groups"].values()
    lists = [project["dependencies"], *extras, *groups]
    names = {Requirement(each).name for requirements in lists for each in requirements}
    return names - {project["name"]}


def run(checkout: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run uv in a copy of the checkout, with its own environment."""
    assert UV is not None
    of_checkout = {"VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", "PYENV_VERSION", "PYENV_DIR"}
    own = {name: value for name, value in os.environ.items() if name not in of_checkout}
    return subprocess.run([UV, *words], cwd=checkout, env=own, capture_output=True, text=True, check=False)


def results(file: Path) -> tuple[dict[str, Counter[str]], dict[str, str]]:
    """Return the number of tests by file and outcome, and the first error of each file."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    first: dict[str, str] = {}
    for case in ET.parse(file).iter("testcase"):
        # A file that cannot be imported is a case without a class, named like the module.
        module = ".".join((case.get("classname") or case.get("name") or "").split(".")[:3])
        outcome = next((child for child in case if child.tag in {"failure", "error", "skipped"}), None)
        kind = "passed" if outcome is None else outcome.tag
        counts[module][kind] += 1
        if outcome is not None and kind != "skipped":
            first.setdefault(module, reason(outcome))
    return counts, first


def reason(outcome: ET.Element) -> str:
    """Return the line of the error."""
    marked = [line[1:].strip() for line in (outcome.text or "").splitlines() if line.startswith("E ")]
    return (marked or (outcome.get("message") or "").splitlines() or [""])[0][:160]


def report(name: str, folder: Path) -> None:
    """Create an environment, run the tests in it, and print the results."""
    started = time.monotonic()
    checkout = folder / name
    print(f"\n== {name}", flush=True)
    made = run(checkout, "sync", "--quiet", *prepare(checkout, name))
    if made.returncode:
        print("no environment:", *made.stderr.strip().splitlines()[:5], sep="\n")
        return
    versions = run(checkout, "pip", "freeze").stdout.splitlines()
    named = ("mesa", "networkx", "numpy", "openai", "pandas", "pydantic", "solara", "typer")
    print(", ".join(line for line in versions if line.partition("==")[0] in named))
    print(run(checkout, "run", "--no-sync", "python", "-m", "tests.mesa_names").stdout, end="")
    written = folder / f"{name}.xml"
    tested = run(
        checkout,
        *("run", "--no-sync", "pytest", "--quiet", "--session-timeout", str(SECONDS), "--junitxml", written),
        *(*FOLDERS, f"--ignore={LEFT_OUT}"),
    )
    if not written.is_file():
        print(f"no tests were run:\n{tested.stdout[-2000:]}{tested.stderr[-2000:]}")
        return
    counts, first = results(written)
    print(f"{'':40}{'passed':>8}{'failed':>8}{'errors':>8}{'skipped':>8}")
    kinds = ("passed", "failure", "error", "skipped")
    for module, each in sorted(counts.items()):
        print(f"{module:40}{''.join(f'{each[kind]:8}' for kind in kinds)}  {first.get(module, '')}".rstrip())
    files = (file for folder in FOLDERS for file in (checkout / folder).glob("test_*.py"))
    names = {".".join(file.relative_to(checkout).with_suffix("").parts) for file in files if LEFT_OUT not in str(file)}
    if unreached := sorted(names - set(counts)):
        print(f"not tested within {SECONDS} s: {', '.join(unreached)}")
    total = sum(counts.values(), Counter[str]())
    print(f"{'all':40}{''.join(f'{total[kind]:8}' for kind in kinds)}  in {time.monotonic() - started:.0f} s")


def main(names: list[str]) -> None:
    """Print the reports."""
    with tempfile.TemporaryDirectory() as folder:
        for name in names or ["mesa", "newest", "lowest"]:
            report(name, Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
