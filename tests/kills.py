"""Kill runs at random moments, resume them, and compare them with undisturbed runs.

    uv run python -m tests.kills 40

Runs of 10 steps of 6 agents over HTTP, in each of the three scenarios, are killed with SIGKILL while the endpoint
answers, and resumed until they are complete. Printed are whether the folders are equal, and the number of requests that
were answered twice.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random

from repunet_model.cli import main
from repunet_model.storage import RunFolder
from repunet_model.testing import Endpoint, endpoint
from tests import ROOT
from tests.conftest import contents

STEPS = 10
SCENARIOS = ("pd", "investment", "sign_up")


@dataclass
class Tally:
    """The result of killing a run.

    Attributes:
        kills: The number of kills.
        answered_twice: The number of requests that were answered twice.
        is_equal: Whether the run's files equal those of the undisturbed run.
    """

    kills: int = 0
    answered_twice: int = 0
    is_equal: bool = False


def kill_and_resume(scenario: str, kills: int, random: Random, storage: Path) -> Tally:
    """Kill a run some times, finish it, and compare it."""
    tally = Tally()
    draw = Random(random.random())
    with endpoint(latency=lambda: draw.uniform(0.0, 0.03)) as running:
        os.environ["LLM_API_BASE"] = running.url
        assert main(_command(scenario, storage / "alone")) == 0
        moments = sorted(random.randrange(len(running.requests)) for _ in range(kills))
        running.requests.clear()
        running.answered.clear()
        for moment in moments:
            if _kill(_command(scenario, storage), moment, running, random):
                tally.kills += 1
        if _left(storage / "it"):
            assert main(_command(scenario, storage)) == 0
    tally.answered_twice = sum(times > 1 for times in Counter(body["seed"] for body in running.answered).values())
    tally.is_equal = contents(storage / "it") == contents(storage / "alone" / "it")
    return tally


def _left(folder: Path) -> int:
    """Return the number of steps that a run still has to do."""
    return STEPS - RunFolder.open(folder).steps()[-1] if folder.exists() else STEPS


def _command(scenario: str, storage: Path) -> list[str]:
    """Return the command that starts or resumes a run."""
    steps = ["--steps", str(_left(storage / "it")), "--storage", str(storage), "--concurrency", "8"]
    if (storage / "it").exists():
        return ["resume", "it", *steps]
    return ["run", "--scenario", scenario, "--backend", "openai", "-n", "6", "--sim-name", "it", *steps]


def _kill(command: list[str], moment: int, running: Endpoint, random: Random) -> bool:
    """Run a command and kill it soon after a number of requests; return whether it was still running."""
    if "0" in command:
        return False
    with subprocess.Popen(
        [sys.executable, str(ROOT / "run.py"), *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None and len(running.requests) <= moment:
            time.sleep(0.001)
        time.sleep(random.uniform(0.0, 0.05))
        process.kill()
        return process.wait() < 0


def report(kills: int) -> None:
    """Kill runs some times in total, and print the results."""
    random = Random(1)
    for number, scenario in enumerate(SCENARIOS):
        share = kills // len(SCENARIOS) + (number < kills % len(SCENARIOS))
        with tempfile.TemporaryDirectory() as folder:
            tally = kill_and_resume(scenario, share, random, Path(folder))
        print(
            f"{scenario}: {tally.kills} kills, folders {'equal' if tally.is_equal else 'DIFFERENT'}, "
            f"{tally.answered_twice} requests answered twice"
        )


if __name__ == "__main__":
    report(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
