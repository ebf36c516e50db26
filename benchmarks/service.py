"""CPU time of a call, beside that of the bare SDK on the same endpoint.

    uv run benchmarks/service.py

Ours is everything between an agent's question and its answer: options, prompt and schema, all wrappers, the process
that sends the request, the journal, the validation. The SDK's is `chat.completions.create` with a prepared body. Both
send the questions of one step of 200 agents, 200 in flight, to a local endpoint in a process of its own. Printed are
the medians over five rounds that take turns, and the median of the rounds' ratios.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import openai
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.chances import served
from repunet_model import RepuNetModel
from repunet_model.backends.base import Request, Usage
from repunet_model.backends.dialect import Dialect
from repunet_model.backends.endpoint import Endpoint
from repunet_model.backends.limits import Limits
from repunet_model.backends.openai import OpenAIBackend, connect
from repunet_model.backends.rules import RulesBackend
from repunet_model.backends.wrappers import service
from repunet_model.questions.base import Answer
from repunet_model.storage.journal import Journal

IN_FLIGHT = 200
AGENTS = 200
ROUNDS = 5


class Collector(RulesBackend):
    """The rules backend, which records its requests."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Request[Any]] = []

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Record the request, and answer it."""
        self.requests.append(request)
        return await super().answer(request)


async def in_flight(calls: Sequence[Callable[[], Awaitable[object]]]) -> float:
    """Run calls at a fixed concurrency, and return the CPU seconds per call."""
    places = asyncio.Semaphore(IN_FLIGHT)

    async def call(make: Callable[[], Awaitable[object]]) -> None:
        async with places:
            await make()

    started = cpu_seconds()
    await asyncio.gather(*(call(make) for make in calls))
    return (cpu_seconds() - started) / len(calls)


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its senders."""
    senders = (child for child in psutil.Process().children() if "sender.process" in " ".join(child.cmdline()))
    times = [sender.cpu_times() for sender in senders]
    return time.process_time() + sum(each.user + each.system for each in times)


async def ours(requests: Sequence[Request[Any]], place: Endpoint, folder: Path) -> float:
    """Return the CPU seconds of a call through all wrappers."""
    journal = Journal()
    journal.open(folder / f"replies_{time.monotonic_ns()}.jsonl", 0)
    backend = service(connect(place), Limits(IN_FLIGHT), journal)
    fresh = [replace(request, usage=Usage(), answered_by=backend.description) for request in requests]
    first = replace(fresh[0], usage=Usage())
    try:
        await backend.answer(first)  # Starts the process that sends requests.
        journal.clear()
        return await in_flight([partial(backend.answer, request) for request in fresh])
    finally:
        await backend.close()


async def bare(bodies: Sequence[dict[str, Any]], url: str) -> float:
    """Return the CPU seconds of a call of the SDK."""
    async with openai.AsyncOpenAI(api_key="none", base_url=url, max_retries=0) as client:
        return await in_flight([partial(client.chat.completions.create, **body) for body in bodies])


def main() -> None:
    """Print the ratio."""
    collector = Collector()
    RepuNetModel(n_agents=AGENTS, rng=1, backend=collector).step()
    requests = collector.requests
    rounds = []
    with served(by_chance=False) as url, tempfile.TemporaryDirectory() as folder:
        os.environ["LLM_API_BASE"] = url
        place = Endpoint.from_environment()
        asking = OpenAIBackend(place, "none")
        bodies = [asking.body(request, Dialect()) for request in requests]
        for _ in range(ROUNDS):
            theirs = asyncio.run(bare(bodies, url))
            rounds.append((asyncio.run(ours(requests, place, Path(folder))), theirs))
    mine, theirs = (median(column) * 1000 for column in zip(*rounds, strict=True))
    ratio = median(own / other for own, other in rounds)
    print(f"{len(requests)} calls, {IN_FLIGHT} in flight: ours {mine:.2f} ms CPU a call, the bare SDK {theirs:.2f} ms")
    print(f"ratio {ratio:.2f} (promised: at most 1.5)")


if __name__ == "__main__":
    main()
