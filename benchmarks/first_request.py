"""Time from the start of a run to its first request.

    uv run benchmarks/first_request.py
    uv run benchmarks/first_request.py OTHER_CHECKOUT

The `run.py` of this checkout, and of another one if it is named, starts a run of six agents over HTTP with the
interpreter of its own `.venv`; the run is killed after its first request. The two take turns. Printed are the medians
over nine runs each, and the ratio of this checkout's to the other's.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from repunet_model.testing import endpoint

ROUNDS = 9
LONGEST = 60.0
"""Seconds after which a run without a request is an error."""


def python_of(checkout: Path) -> Path:
    """Return the interpreter of a checkout."""
    folder, name = ("Scripts", "python.exe") if sys.platform == "win32" else ("bin", "python")
    python = checkout / ".venv" / folder / name
    if not python.is_file():
        raise SystemExit(f"{checkout} has no .venv: run uv sync there")
    return python


def first_request(checkout: Path) -> float:
    """Return the seconds from the start of a run to its first request."""
    with endpoint() as running, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as storage:
        words = ["run", "--backend", "openai", "-n", "6", "--steps", "1", "--storage", storage]
        started = time.perf_counter()
        with subprocess.Popen(
            [python_of(checkout), "run.py", *words],
            cwd=checkout,
            env={**os.environ, "LLM_API_BASE": running.url},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            while not running.requests:
                if process.poll() is not None or time.perf_counter() - started > LONGEST:
                    process.kill()
                    raise SystemExit(f"a run of {checkout} sent no request")
                time.sleep(0.001)
            seconds = time.perf_counter() - started
            process.kill()
    return seconds


def main() -> None:
    """Print the medians, and the ratio if there are two."""
    checkouts = [Path(__file__).resolve().parent.parent, *(Path(word).resolve() for word in sys.argv[1:2])]
    for checkout in checkouts:
        first_request(checkout)  # Compiles modules that are not compiled yet.
    rounds = [[first_request(checkout) for checkout in checkouts] for _ in range(ROUNDS)]
    medians = [median(column) for column in zip(*rounds, strict=True)]
    for checkout, seconds in zip(checkouts, medians, strict=True):
        print(f"{seconds:.2f} s to the first request: {checkout}")
    if len(medians) > 1:
        print(f"ratio {medians[0] / medians[1]:.2f} (promised: at most 1)")


if __name__ == "__main__":
    main()
