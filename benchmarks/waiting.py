"""Time of a step on an endpoint that replies after 200 ms, against the critical path.

    uv run benchmarks/waiting.py

The critical path is the longest chain of calls that each depend on the one before. The endpoint is a process on this
machine and replies by the probabilities of `benchmarks/chances.py`. Printed are medians: for 20 agents over five runs
of six steps, for 200 agents over five runs of two steps, and the seconds of a step of the published implementation on
the same kind of endpoint. The clock starts after a run's set-up and its first call, which starts the sending process.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory

import openai
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.chances import served
from repunet_model import RepuNetModel
from repunet_model.backends.limits import Limits
from repunet_model.games import GAMES
from repunet_model.results import profile
from repunet_model.storage import StepReader

LATENCY = 0.2
RUNS = 5
STEPS = 6
LARGE, LARGE_STEPS = 200, 2

PUBLISHED = {"prisoners_dilemma": (11.0, 25.6), "investment": (39.7,), "sign_up": (58.8,)}
"""Seconds of a step of the published implementation: of the prisoner's dilemma steps 1 and 2, else the mean."""

PROMISED = {"prisoners_dilemma": (3, 8), "investment": (10, 25), "sign_up": (12, 30)}
"""The promised ratio of their seconds to ours, one question a call and fused."""


@dataclass(frozen=True)
class Timed:
    """A step with its calls, the length of its critical path in calls, and its seconds."""

    step: int
    calls: int
    path: int
    seconds: float

    @property
    def ratio(self) -> float:
        """The seconds of the step over those of its critical path."""
        return self.seconds / (self.path * LATENCY)


def run(game: str, questions: str, n_agents: int, seed: int, steps: int, storage: str) -> Iterator[Timed]:
    """Run a society and time its steps."""
    with RepuNetModel(
        game=game,
        questions=questions,
        n_agents=n_agents,
        rng=seed,
        backend="openai",
        limits=Limits(concurrency=1000),
        storage=storage,
    ) as model:
        assert model.folder is not None
        for _ in range(steps):
            started = time.perf_counter()
            model.step()
            seconds = time.perf_counter() - started
            done = profile.of_step(StepReader(model.folder), model.steps)
            yield Timed(done.step, done.calls, len(done.path), seconds)


def cpu_of_a_bare_call(url: str, calls: int = 1000) -> float:
    """Return the CPU seconds of a call of the bare SDK, 200 in flight."""
    prompt = [{"role": "system", "content": "s" * 1100}, {"role": "user", "content": "u" * 800}]
    answer = {"type": "object", "properties": {"decision": {"type": "string", "enum": ["cooperate", "defect"]}}}
    wanted = {"name": "question", "strict": True, "schema": answer}

    async def measure() -> float:
        places = asyncio.Semaphore(200)
        async with openai.AsyncOpenAI(api_key="none", base_url=url, max_retries=0) as client:

            async def call() -> None:
                async with places:
                    await client.chat.completions.create(  # type: ignore[call-overload]  # plain dictionaries
                        model="test",
                        messages=prompt,
                        response_format={"type": "json_schema", "json_schema": wanted},
                    )

            await call()
            started = time.process_time()
            await asyncio.gather(*(call() for _ in range(calls)))
            return (time.process_time() - started) / calls

    return asyncio.run(measure())


def small(storage: str, questions: str, console: Console) -> None:
    """Print the figures of 20 agents."""
    table = Table(title=f"20 agents, {questions}")
    table.add_column("game")
    for heading in ("calls", "critical path", "seconds a step", "seconds / path", "published", "times faster"):
        table.add_column(heading, justify="right")
    for game in GAMES:
        runs = [list(run(game, questions, 20, seed, STEPS, storage)) for seed in range(1, RUNS + 1)]
        ratio = median(one.ratio for steps in runs for one in steps)
        if len(PUBLISHED[game]) == 1:
            compared = [(game, runs)]
        else:
            compared = [
                (f"{game}, step {number + 1}", [[steps[number]] for steps in runs])
                for number in range(len(PUBLISHED[game]))
            ]
        for (name, timed), theirs in zip(compared, PUBLISHED[game], strict=True):
            seconds = median(mean(one.seconds for one in steps) for steps in timed)
            table.add_row(
                name,
                f"{mean(one.calls for steps in timed for one in steps):.0f}",
                f"{mean(one.path for steps in timed for one in steps):.1f}",
                f"{seconds:.2f}",
                f"{ratio:.2f}",
                f"{theirs:.1f}",
                f"{theirs / seconds:.1f}",
            )
    console.print(table)
    promised = ", ".join(f"{game} {PROMISED[game][questions == 'fused']}" for game in PROMISED)
    path = "seconds / path at most 1.15; " if questions == "single" else ""
    console.print(f"Promised: {path}times faster at least {promised}.")


def large(storage: str, url: str, console: Console) -> None:
    """Print the figures of 200 agents."""
    table = Table(title=f"{LARGE} agents, one question a call")
    table.add_column("game")
    for heading in ("calls", "critical path, s", "calls × bare CPU, s", "seconds a step", "seconds / larger"):
        table.add_column(heading, justify="right")
    for game in GAMES:
        rows = []
        for seed in range(1, RUNS + 1):
            bare = cpu_of_a_bare_call(url)
            rows += [
                (one.calls, one.path * LATENCY, one.calls * bare, one.seconds)
                for one in run(game, "single", LARGE, seed, LARGE_STEPS, storage)
            ]
        ratio = median(seconds / max(path, work) for _, path, work, seconds in rows)
        calls, path, work, seconds = (median(column) for column in zip(*rows, strict=True))
        table.add_row(game, f"{calls:.0f}", f"{path:.2f}", f"{work:.2f}", f"{seconds:.2f}", f"{ratio:.2f}")
    console.print(table)
    console.print("Promised: seconds over the larger of both at most 1.5.")


def main() -> None:
    """Print all figures."""
    console = Console()
    with served(LATENCY) as url, TemporaryDirectory() as storage:
        os.environ["LLM_API_BASE"] = url
        list(run("prisoners_dilemma", "single", 2, 1, 1, storage))
        for questions in ("single", "fused"):
            small(storage, questions, console)
        large(storage, url, console)


if __name__ == "__main__":
    main()
