"""A person who answers, at a keyboard of a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import ROOT
from tests.conftest import LONG_ENOUGH

AKIKO = "Akiko Sato"


OFF = ["--reputation", "n", "--gossip", "n"]


ONES = "1\n" * 400
"""Fits every field: the text "1", the first option, the number 1. So the order of questions does not matter."""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def command(*words: str) -> list[str]:
    return [
        *(sys.executable, str(ROOT / "run.py"), "run", "-n", "4", "--steps", "1", "--sim-name", "demo"),
        *("--backend-for", f"{AKIKO}=human", *words),
    ]


def test_an_interrupt_ends_the_process_though_nobody_types() -> None:
    with subprocess.Popen(
        command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:  # fmt: skip
        assert process.stdout is not None
        while "choose_move" not in process.stdout.readline():
            pass
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        code = process.wait(timeout=LONG_ENOUGH)
        assert process.stderr is not None
        error = process.stderr.read()
    assert code == 130
    assert error.splitlines()[-1].startswith("error: interrupted; the run is whole up to step 0")
    assert "Traceback" not in error
    assert "Fatal" not in error


def test_no_live_display_writes_where_a_human_types() -> None:
    terminal, side = pytest.importorskip("pty").openpty()
    try:
        done = subprocess.run(
            command(*OFF), input=ONES, stdout=subprocess.PIPE, stderr=side, text=True, check=True, timeout=LONG_ENOUGH
        )
        os.set_blocking(terminal, False)
        shown = os.read(terminal, 100_000).decode()
    finally:
        os.close(side)
        os.close(terminal)
    assert "choose_move" in done.stdout
    loading, _, after = shown.partition("step 1/1")
    assert after
    assert "━" not in loading + after
