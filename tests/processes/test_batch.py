"""Jobs side by side, interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from repunet_model.cli import main
from repunet_model.storage import RunFolder
from repunet_model.testing import endpoint
from tests import ROOT
from tests.conftest import LONG_ENOUGH, contents, until

STORED = Path("sim_storage")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def batch(text: str, *options: str) -> int:
    Path("jobs.toml").write_text(text)
    return main(["batch", "jobs.toml", *options])


def lines(name: str, logs: str = "outputs") -> list[str]:
    """Return the lines of a log, without the time."""
    return [line[26:] for line in (Path(logs) / f"{name}.log").read_text().splitlines()]


TWO = """
[limits]
{limits}
[defaults]
n_agents = 6
steps = 2
backend = "openai"
[[jobs]]
sim_name = "a"
[[jobs]]
sim_name = "b"
seed = 2
"""


def test_an_interrupt_stops_all_jobs_whole_and_the_same_command_completes_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("jobs.toml").write_text(TWO.format(limits=""))
    with endpoint(latency=0.05) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        command = [sys.executable, str(ROOT / "run.py"), "batch", "jobs.toml"]
        environment = {**os.environ, "LLM_API_BASE": running.url}
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
            until(lambda: len(running.requests) >= 20)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=LONG_ENOUGH)
        assert process.returncode == 130
        assert out.decode().count("stopped: interrupted") == 2
        assert "Traceback" not in err.decode()
        for name in ("a", "b"):
            assert "error: interrupted; the run is whole up to step" in lines(name)[-1]
            assert list(RunFolder.open(STORED / name).damages()) == []
        answered = [json.dumps(body) for body in running.answered]
        assert batch(TWO.format(limits="")) == 0
        again = [json.dumps(body) for body in running.answered[len(answered) :]]
        assert not set(answered) & set(again)
        for name, seed in (("a", "1"), ("b", "2")):
            words = ["--steps", "2", "-n", "6", "--backend", "openai", "--seed", seed, "--storage", "single"]
            assert main(["run", *words, "--sim-name", name]) == 0
            assert contents(STORED / name) == contents(Path("single") / name)


def test_a_second_interrupt_gives_up_replies() -> None:
    Path("jobs.toml").write_text(TWO.format(limits=""))
    said = Path("said.txt")
    with endpoint(latency=5 * LONG_ENOUGH) as running, said.open("wb") as error:
        command = [sys.executable, str(ROOT / "run.py"), "batch", "jobs.toml"]
        environment = {**os.environ, "LLM_API_BASE": running.url}
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=error, env=environment) as process:
            until(lambda: len(running.requests) >= 2)
            process.send_signal(signal.SIGINT)
            until(lambda: "interrupt again" in said.read_text())
            process.send_signal(signal.SIGINT)
            try:
                out, _ = process.communicate(timeout=LONG_ENOUGH)
            finally:
                process.kill()
        assert process.returncode == 130
    assert out.decode().count("stopped: interrupted") == 2
    assert "Traceback" not in said.read_text()
