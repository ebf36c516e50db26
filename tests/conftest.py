"""What the tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from repunet_model.cli import main
from repunet_model.modes import MODES as MODES_BY_NAME

pytest_plugins = ["repunet_model.testing"]

MODE_NAMES = list(MODES_BY_NAME)
MODES = list(MODES_BY_NAME.values())


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's own settings out of the tests."""
    for name in [name for name in os.environ if name.startswith(("LLM_", "OPENAI_", "REPUNET_"))]:
        monkeypatch.delenv(name)


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of a run that equal runs must share byte for byte."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith("usage") and not path.name.endswith(".lock")
    }


def complaint(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line that a command line gives for bad input, and check that nothing was written."""
    before = set(Path().rglob("*"))
    assert main(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert shown.err.startswith("error: ")
    assert set(Path().rglob("*")) == before
    return shown.err
