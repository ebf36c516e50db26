"""Copies of the checkout, and virtual environments outside it, for tests and for .ci/upstream."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from tests import ROOT

UV = os.environ.get("UV") or shutil.which("uv")
"""The program uv; `uv run` sets the variable."""

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def uv(*words: str | Path) -> str:
    """Run uv from the checkout, and return its output.

    Raises:
        RuntimeError: If it fails, with its output.
    """
    assert UV is not None
    done = subprocess.run([UV, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"uv {' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
    return done.stdout


def copy_checkout(to: Path) -> None:
    """Copy the files of the checkout, without those that Git ignores."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():  # A deleted file is listed until the deletion is committed.
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)


def environment(folder: Path, *requirements: str, constraints: list[str]) -> Path:
    """Create a virtual environment with requirements and pinned versions, and return its folder of programs."""
    pins = folder.parent / f"{folder.name}_constraints.txt"
    pins.write_text("\n".join(constraints))
    uv("venv", "--python", sys.executable, folder)
    uv("pip", "install", "--python", folder, "--constraints", pins, *requirements)
    return folder / "bin"
