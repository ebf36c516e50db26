"""A session at the prompt in a process of its own: through a pipe, and on a terminal."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from repunet_model.model import RepuNetModel
from repunet_model.testing import endpoint
from tests import ROOT
from tests.conftest import LONG_ENOUGH, until

STORED = Path("sim_storage")


NEW = ["", "y", "n", "pd"]
"""A new run with reputation and without gossip."""


OWN = STORED / "prisoners_dilemma_reputation_seed1"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_second_interrupt_gives_up_replies_and_the_session_goes_on() -> None:
    said = Path("said.txt")
    with endpoint(latency=5 * LONG_ENOUGH) as running, said.open("wb") as error:
        command = [sys.executable, str(ROOT / "run.py"), "shell", "-n", "4", "--backend", "openai"]
        environment = {**os.environ, "LLM_API_BASE": running.url}
        typed = "\n".join([*NEW, "run 2", "status", ""])
        with (
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=error,
                text=True,
                env=environment,
            ) as process,
            ExitStack() as stack,
        ):
            stack.callback(process.kill)
            assert process.stdin is not None
            process.stdin.write(typed)
            process.stdin.flush()
            until(lambda: running.requests)
            process.send_signal(signal.SIGINT)
            until(lambda: "interrupt again" in said.read_text())
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=LONG_ENOUGH)
        assert process.returncode == 0
    err = said.read_text()
    assert "error: interrupted; the run is whole up to step 0, go on with: run 2" in err
    assert "Traceback" not in err
    assert f"{OWN}, step 0" in out.partition("> status")[2]


PROMPT = "\x1b[?2004h"
"""What a terminal is sent when a line can be typed."""


class Typist:
    """Somebody at a terminal."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self.shown = ""

    def sees(self, text: str) -> None:
        """Wait until something is on the screen, which is then forgotten."""
        until = time.monotonic() + LONG_ENOUGH
        while text not in self.shown:
            ready, _, _ = select.select([self._terminal], [], [], max(0.0, until - time.monotonic()))
            assert ready, self.shown
            self.shown += os.read(self._terminal, 100_000).decode(errors="replace")
        self.shown = self.shown.partition(text)[2]

    def types(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())


def test_on_a_terminal_there_are_completion_history_and_control_keys() -> None:
    with endpoint(latency=0.05) as running:
        terminal, side = pytest.importorskip("pty").openpty()
        command = [sys.executable, str(ROOT / "run.py"), "shell", "-n", "4", "--backend", "openai"]
        environment = {**os.environ, "LLM_API_BASE": running.url, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
        with (
            subprocess.Popen(
                command, stdin=side, stdout=side, stderr=side, env=environment, start_new_session=True
            ) as process,
            ExitStack() as stack,
        ):
            os.close(side)
            stack.callback(process.kill)
            somebody = Typist(terminal)
            for question, answer in (("Start from", ""), ("Reputation", "n"), ("Gossip", "n"), ("Scenario", "p")):
                somebody.sees(question)
                somebody.types(f"{answer}\r")
            somebody.sees("Type help")
            somebody.sees(PROMPT)
            somebody.types("run pd 1\r")
            somebody.sees("Rates by step")
            somebody.sees(PROMPT)
            asked = len(running.requests)
            somebody.types("run 50\r")
            while len(running.requests) == asked:
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            somebody.sees("error: interrupted; the run is whole up to step")
            somebody.sees(PROMPT)
            somebody.types("no such thing\x03")
            somebody.sees(PROMPT)
            somebody.types("sho")
            somebody.sees("show")
            somebody.types("\t aki")
            somebody.sees("Akiko Sato")
            somebody.types("\t\r")
            somebody.sees("Akiko Sato after step")
            somebody.sees(PROMPT)
            somebody.types("\x04")
            somebody.sees("Stored: ")
            assert process.wait(timeout=LONG_ENOUGH) == 0
        os.close(terminal)
    (folder,) = (path for path in STORED.iterdir() if path.is_dir())
    model = RepuNetModel.load(folder, backend="rules")
    assert 1 <= model.steps < 50
    history = (STORED / ".shell_history").read_text()
    assert "+run pd 1" in history
    assert "no such thing" not in history
