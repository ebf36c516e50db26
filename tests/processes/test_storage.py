"""A run that is killed, and one that two processes would write."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

from repunet_model import RepuNetModel
from repunet_model.cli import main
from repunet_model.testing import endpoint
from tests import ROOT
from tests.conftest import contents
from tests.kills import SCENARIOS, kill_and_resume


def run(storage: Path, steps: int, name: str = "it", **parameters: Any) -> Path:
    """Run and store a society of six; return its folder."""
    with RepuNetModel(**{"rng": 1, "n_agents": 6, **parameters}, storage=str(storage), run_name=name) as model:
        for _ in range(steps):
            model.step()
    return storage / name


@pytest.fixture
def one_line(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return what was said last on the error stream: a single line."""

    def read() -> str:
        lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith(("step ", "Fork: "))]
        assert len(lines) == 1, lines
        assert lines[0].startswith("error: ")
        return lines[0]

    return read


@pytest.mark.parametrize(("scenario", "kills"), list(zip(SCENARIOS, (2, 1, 1), strict=True)))
def test_a_run_that_is_killed_loses_nothing(
    scenario: str, kills: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_API_BASE", "")
    tally = kill_and_resume(scenario, kills, Random(scenario), tmp_path)
    assert tally.kills > 0
    assert tally.is_equal
    assert tally.answered_twice == 0


def test_two_processes_do_not_write_to_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_line: Any) -> None:
    with endpoint(latency=0.2) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        run(tmp_path, 2, "alone", backend="openai")
        sent = len(running.requests)
        command = ["run", "--steps", "2", "-n", "6", "--backend", "openai", "--storage", str(tmp_path)]
        with subprocess.Popen([sys.executable, str(ROOT / "run.py"), *command, "--sim-name", "it"]) as other:
            while len(running.requests) == sent:
                assert other.poll() is None
            assert main(["resume", str(tmp_path / "it")]) == 2
            assert "another process writes to" in one_line()
            assert other.wait(60) == 0
    assert contents(tmp_path / "it") == contents(tmp_path / "alone")
