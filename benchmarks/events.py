"""The cost of events: the time of a step of 10,000 agents with events against that of one without.

    uv run benchmarks/events.py

Two societies of the offline rules, not stored, take their steps in turn; times are CPU seconds of the process:
one without events and one in which, in every measured step, some agents become defectors, leave, enter and whitewash.
The ratio is that of the medians over the steps; planning the events, once at the start, is timed apart.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

from repunet_model import RepuNetModel

WARM_UP = 1
"""Steps that are not measured: nobody has records yet."""

MOST = 1.15
"""The largest ratio that is wanted."""


def events_in(steps: int, agents: int) -> list[str]:
    """Return four events for each measured step, of a hundredth of the agents each."""
    dose = max(agents // 100, 1)
    kinds = ("always_defect", "leave", "enter", "whitewash")
    return [
        f"step={step} agents={dose} becomes={kind}"
        for step in range(WARM_UP + 1, WARM_UP + steps + 1)
        for kind in kinds
    ]


def made(agents: int, events: list[str]) -> tuple[RepuNetModel, float]:
    """Return a society, and the CPU seconds that it took to make it."""
    start = time.process_time()
    model = RepuNetModel(n_agents=agents, rng=1, events=events)
    return model, time.process_time() - start


def seconds(model: RepuNetModel) -> float:
    """Run a step, and return its CPU seconds."""
    start = time.process_time()
    model.step()
    return time.process_time() - start


def main() -> None:
    """Measure, and print a line for each society and the ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--agents", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=4)
    asked = parser.parse_args()
    plain, start = made(asked.agents, [])
    eventful, planned = made(asked.agents, events_in(asked.steps, asked.agents))
    taken: dict[str, list[float]] = {"without events": [], "with events": []}
    for step in range(1, WARM_UP + asked.steps + 1):
        order = [("without events", plain), ("with events", eventful)]
        for name, model in order if step % 2 else reversed(order):
            spent = seconds(model)
            if step > WARM_UP:
                taken[name].append(spent)
    print(f"{asked.agents:,} agents; made in {start:.1f} s, with the plan of events in {planned:.1f} s")
    for name, all_spent in taken.items():
        print(f"{name}: {median(all_spent):.2f} s a step (from {min(all_spent):.2f} to {max(all_spent):.2f})")
    ratio = median(taken["with events"]) / median(taken["without events"])
    print(f"ratio {ratio:.2f}, wanted: at most {MOST}")


if __name__ == "__main__":
    main()
