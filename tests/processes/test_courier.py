"""Requests that are on their way when a process ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from repunet_model import RepuNetModel
from repunet_model.cli import main
from repunet_model.testing import Endpoint, endpoint
from tests import ROOT
from tests.conftest import contents, until

SLOW = 1.0
"""Seconds of a reply that comes too late for a process that was killed."""


def killed_with_requests_on_their_way(storage: Path, running: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Start a run of six agents, and kill it when the first six requests have been sent; return its folder."""
    monkeypatch.setenv("LLM_API_BASE", running.url)
    command = ["run", "--backend", "openai", "-n", "6", "--steps", "1", "--sim-name", "it", "--storage", str(storage)]
    with subprocess.Popen([sys.executable, str(ROOT / "run.py"), *command], stderr=subprocess.DEVNULL) as process:
        until(lambda: len(running.requests) == 6)
        process.kill()
    assert running.answered == []
    return storage / "it"


def test_replies_on_their_way_to_a_killed_process_are_not_paid_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    latency = SLOW
    with endpoint(latency=lambda: latency) as running:
        folder = killed_with_requests_on_their_way(tmp_path, running, monkeypatch)
        latency = 0.0
        with RepuNetModel.load(folder) as model:
            model.step()
        seeds = [body["seed"] for body in running.requests]
        assert len(set(seeds)) == len(seeds) == model.calls
        assert model.usage.attempts == model.calls
        assert not (folder / "replies_unread.jsonl").exists()
        with RepuNetModel(backend="openai", n_agents=6, rng=1, storage=str(tmp_path), run_name="alone") as alone:
            alone.step()
    assert contents(folder) == contents(tmp_path / "alone")


def test_what_came_too_late_and_is_damaged_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with endpoint(latency=SLOW) as running:
        folder = killed_with_requests_on_their_way(tmp_path, running, monkeypatch)
        unread = folder / "replies_unread.jsonl"
        until(lambda: unread.exists() and unread.read_bytes().count(b"\n") == 6)
    unread.write_bytes(b'{"content": 1}\n' + unread.read_bytes())
    assert main(["resume", str(folder), "--steps", "1"]) == 2
    assert "replies_unread.jsonl, line 1: damaged" in capsys.readouterr().err


def test_a_run_outlives_its_courier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def children() -> list[int]:
        listed = Path(f"/proc/{os.getpid()}/task").glob("*/children")
        pids = [int(pid) for children in listed for pid in children.read_text().split()]
        return [pid for pid in pids if b"courier_process" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    with endpoint() as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with RepuNetModel(backend="openai", n_agents=4, rng=1) as model:
            model.step()
            (courier,) = children()
            os.kill(courier, signal.SIGKILL)
            model.step()
            assert children() != [courier]
    assert len(running.requests) == model.calls
