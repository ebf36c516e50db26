"""Scaling of a society without language models: time and memory against agents and steps, and response time.

    uv run benchmarks/scale.py

Stored runs with the rules backend, with reputation and gossip, each in a process of its own; time is wall clock, memory
is the peak of the process beyond its imports. Figures are medians over five runs, except those of the long run and of
the other games, which are single runs. An exponent is the slope of a straight line through the logarithms: 1 is
proportional to the number of agents, 2 quadratic.
"""

from __future__ import annotations

import math
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import linear_regression, median

import psutil

from repunet_model import RepuNetModel, populations
from repunet_model.config import Activation
from repunet_model.games import GAMES

if sys.platform != "win32":
    import resource

RUNS = 5
SIZES = (100, 1_000, 10_000)
SMALL_SIZES = (200, 1_000)
LONG = 20
PROGRAM = Path(__file__).resolve().parent.parent / "run.py"


@dataclass(frozen=True, slots=True)
class Measured:
    """Time and memory of a run.

    Attributes:
        seconds: Seconds by step.
        calls: Answered questions by step.
        total: Seconds from the parameters to the last step.
        imports: The memory of the process before the run, in MB.
        peak: The peak memory of the process, in MB.
    """

    seconds: list[float]
    calls: list[int]
    total: float
    imports: float
    peak: float


def memory() -> float:
    """Return the peak memory of this process, in MB of a million bytes."""
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset) / 1e6
    else:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def run(game: str, agents: int | None, steps: int, activation: Activation) -> Measured:
    """Run and store a society of some agents, or of the built-in ones."""
    imports, started = memory(), time.perf_counter()
    seconds, calls = [], [0]
    people = "built-in" if agents is None else populations.generate(agents, seed=1, altruistic=0.5)
    with (
        tempfile.TemporaryDirectory() as storage,
        RepuNetModel(game=game, personas=people, activation=activation, rng=1, storage=storage) as model,
    ):
        for _ in range(steps):
            begun = time.perf_counter()
            model.step()
            seconds.append(time.perf_counter() - begun)
            calls.append(model.calls)
    asked = [after - before for before, after in pairwise(calls)]
    return Measured(seconds, asked, time.perf_counter() - started, imports, memory())


def measured(game: str, agents: int | None, steps: int, activation: Activation = Activation.SIMULTANEOUS) -> Measured:
    """Run a society in a separate process."""
    with multiprocessing.get_context("spawn").Pool(1) as process:
        return process.apply(run, (game, agents, steps, activation))


def program(*words: str) -> float:
    """Return the seconds of a command, from the start of its process to the end."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        subprocess.run([sys.executable, PROGRAM, *words], cwd=folder, check=True, capture_output=True)
        return time.perf_counter() - started


def exponent(sizes: Sequence[int], values: Sequence[float]) -> float:
    """Return the exponent of the growth of values."""
    return linear_regression([math.log(size) for size in sizes], [math.log(value) for value in values]).slope


def medians(make: Callable[[], float]) -> float:
    """Return the median of a figure over the runs."""
    return median(make() for _ in range(RUNS))


def main() -> None:
    """Print the figures."""
    game = "prisoners_dilemma"
    runs = {size: [measured(game, size, 2) for _ in range(RUNS)] for size in SIZES}
    first, second = ([median(each.seconds[step] for each in runs[size]) for size in SIZES] for step in (0, 1))
    grown = [median(each.peak - each.imports for each in runs[size]) for size in SIZES]
    for size, one, two, megabytes in zip(SIZES, first, second, grown, strict=True):
        print(f"{size:,} agents: step 1 {one:.2f} s, step 2 {two:.2f} s, {megabytes:.0f} MB beyond imports")
    print(f"one step of {SIZES[-1]:,} agents: {first[-1]:.2f} s (promised: at most 5 s)")
    for name, values in (("step 1", first), ("step 2", second), ("memory", grown)):
        print(f"{name} grows with exponent {exponent(SIZES, values):.2f} (promised: at most 1.1)")
    for each in GAMES:
        for activation in Activation:
            times = [measured(each, size, 6, activation).total for size in SMALL_SIZES]
            grows = exponent(SMALL_SIZES, times)
            print(f"6 steps of {each}, {activation}: exponent {grows:.2f} (promised: at most 1.1)")
    small = medians(lambda: measured(game, None, 30).total)
    print(f"30 steps of 20 agents: {small:.2f} s (promised: at most 1 s)")
    print(f"run.py --help: {medians(lambda: program('--help')):.2f} s (promised: under 0.3 s)")
    once = medians(lambda: program("run", "--steps", "1", "--storage", "."))
    print(f"run.py run --steps 1: {once:.2f} s (promised: under 6 s)")
    long = measured(game, SIZES[-1], LONG)
    print(f"{LONG} steps of {SIZES[-1]:,} agents: {long.peak:.0f} MB with imports (promised: at most 1,500 MB)")
    for step in (2, LONG // 2, LONG):
        taken, asked = long.seconds[step - 1], long.calls[step - 1]
        print(f"step {step}: {taken:.1f} s for {asked:,} questions, {1e6 * taken / asked:.0f} microseconds each")


if __name__ == "__main__":
    main()
