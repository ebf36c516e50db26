"""The command that README begins with."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT
from tests.conftest import LONG_ENOUGH


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_without_a_command_the_main_job_runs_offline_and_draws() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "run.py"], capture_output=True, text=True, timeout=LONG_ENOUGH, check=True
    )
    assert "cooperation, steps 26-30" in done.stdout
    assert "Traceback" not in done.stderr
    assert Path("outputs/with_and_without_repunet.png").read_bytes().startswith(b"\x89PNG")
    assert len(list(Path("sim_storage").glob("*/step_30"))) == 2
