"""Find the critical path of a step: the longest chain of dependent calls, which bounds its duration from below.

Each call of a stored step names the calls it depends on, by their positions among the calls of the step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from repunet_model.storage import understood
from repunet_model.storage.schema import CALLS

if TYPE_CHECKING:
    from repunet_model.storage import StepReader
    from repunet_model.storage.schema import CallRow


@dataclass(frozen=True, slots=True)
class StepProfile:
    """The number of calls of a step, and its critical path, first call first."""

    step: int
    calls: int
    path: tuple[CallRow, ...]


def critical_path(calls: Sequence[CallRow]) -> list[int]:
    """Return the positions of the calls on the longest chain, in order; of equal chains the first found."""
    length: dict[int, int] = {}
    for place in TopologicalSorter({place: call["after"] for place, call in enumerate(calls)}).static_order():
        length[place] = 1 + max((length[other] for other in calls[place]["after"]), default=0)
    path: list[int] = []
    place = max(range(len(calls)), key=lambda one: length[one], default=-1)
    while place >= 0:
        path.append(place)
        place = max(calls[place]["after"], key=lambda one: length[one], default=-1)
    return path[::-1]


def of_step(run: StepReader, step: int) -> StepProfile:
    """Return the profile of a step of a stored run; raise StorageError if it cannot be read."""
    calls = run.step(step).rows(CALLS)
    with understood(run.folder):
        return StepProfile(step, len(calls), tuple(calls[place] for place in critical_path(calls)))


def table(profiles: Sequence[StepProfile]) -> Table:
    """Build the table of critical paths by step."""
    columns = ("step", "calls", "critical path", "calls / path", "where the path goes")
    result = Table(*columns, title="What waits for what", box=box.SIMPLE)
    for column in result.columns[:4]:
        column.justify = "right"
    for profile in profiles:
        stages = Counter(call["stage"] for call in profile.path)
        result.add_row(
            str(profile.step),
            f"{profile.calls:,}",
            str(len(profile.path)),
            f"{profile.calls / len(profile.path):.1f}" if profile.path else "-",
            ", ".join(f"{count} {stage}" for stage, count in stages.items()),
        )
    return result


def path_in_words(profile: StepProfile) -> list[str]:
    """Return a line for each call of the critical path."""
    return [
        f"  {number:2}  {call['question']} to {call['agent']}" + (f" about {call['about']}" if call["about"] else "")
        for number, call in enumerate(profile.path, 1)
    ]
