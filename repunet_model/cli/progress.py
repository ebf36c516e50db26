"""Running steps under a progress display, and showing what came of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from repunet_model.cli.screen import make_console, say
from repunet_model.errors import RepuNetError
from repunet_model.words import to_go_on

if TYPE_CHECKING:
    from types import FrameType

    from repunet_model.backends.limits import Limits
    from repunet_model.jobs import JobOutcome, Runner
    from repunet_model.model import RepuNetModel


def run_and_show(model: RepuNetModel, steps: int) -> None:
    """Run a model, then show its rates by step and where it lies."""
    first = model.steps + 1
    with model:
        run_steps(model, steps, "step")
    from repunet_model.report.tables import rates_table, usage_table

    console = make_console()
    console.print(rates_table(model, first))
    if model.usage.attempts:
        console.print(usage_table(model.usage_by_question, "What the questions cost"))
    if model.usage.adaptations:
        console.print(f"The endpoint was asked: {', '.join(sorted(model.usage.adaptations))}.", highlight=False)
    console.print(f"Run: {folder_of(model)}", soft_wrap=True)


def run_steps(model: RepuNetModel, steps: int, label: str) -> None:
    """Run some steps under a progress display.

    Raises:
        RepuNetError: If a step failed, with the way to go on.
    """
    last = model.steps + steps
    try:
        advance(model, steps, label)
    except (RepuNetError, KeyboardInterrupt) as error:
        _check_there(model)
        reason = str(error) if isinstance(error, RepuNetError) else "interrupted"
        raise RepuNetError(
            f"{reason}; the run is whole up to step {model.steps}, go on with: "
            f"{to_go_on(folder_of(model), last - model.steps)}"
        ) from error


def advance(model: RepuNetModel, steps: int, label: str = "step") -> None:
    """Run some steps under a progress display, whatever comes of them."""
    last = model.steps + steps
    with showing_progress(model, last, label) as done, _patience(model):
        while model.steps < last:
            model.step()
            done()


@contextmanager
def _patience(model: RepuNetModel) -> Iterator[None]:
    """Say at an interrupt that replies under way are waited for, which are paid for, and how not to wait."""
    import signal

    previous = signal.getsignal(signal.SIGINT)

    def explain(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, previous)
        if model.asks_models:
            say("Waiting for replies that are under way; interrupt again to lose them.", stderr=True)
        signal.default_int_handler(number, frame)

    if previous is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, explain)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


@contextmanager
def showing_progress(model: RepuNetModel, last: int, label: str) -> Iterator[Callable[[], None]]:
    """Show steps, calls, tokens and the time left, on the standard error stream.

    Without a terminal, and where a human types on it, it is a line a step.
    """
    console = make_console(stderr=True)
    if model.has_human or not console.is_terminal:
        yield _ProgressLines(model, last, label)
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    from repunet_model.report.tables import spending

    class Counters(ProgressColumn):
        max_refresh = 0.2

        def render(self, task: Task) -> Text:
            return Text(f"{model.calls:,} calls · {spending(model.usage)}{waiting(model.limits)}")

    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), Counters(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(label, total=last, completed=model.steps)
        yield lambda: progress.update(task, completed=model.steps)


def waiting(limits: Limits) -> str:
    """Return how long an endpoint still has to be waited for; empty if for less than a second."""
    seconds = limits.waits.seconds_left
    return f" · waiting, {seconds:.0f} s left" if seconds >= 1.0 else ""


@contextmanager
def stopping_jobs(jobs: Runner) -> Iterator[None]:
    """Let an interrupt stop all jobs once replies under way are there, and a second one at once."""
    import signal

    previous = signal.getsignal(signal.SIGINT)
    if previous is not signal.default_int_handler:
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        jobs.stop()
        say("Stopping; interrupt again to lose replies that are under way.", stderr=True)

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


@contextmanager
def showing_jobs(jobs: Runner, seconds: float = 0.0) -> Iterator[Callable[[JobOutcome], None]]:
    """Show a line for each job that has ended, and the total: on a terminal live, elsewhere in each line.

    Args:
        jobs: Whoever runs them.
        seconds: How long to say nothing of jobs that are done after the last such line; failures are always told.
    """
    from rich.progress import BarColumn, Progress, ProgressColumn, Task
    from rich.text import Text

    from repunet_model.jobs import Result
    from repunet_model.report.tables import spending

    console = make_console(stderr=True)
    ended, said = 0, -math.inf

    def counts_as_news(outcome: JobOutcome) -> bool:
        """Count an outcome, and tell whether to say it."""
        nonlocal ended, said
        ended += 1
        now = time.monotonic()
        if outcome.result is Result.DONE and ended < jobs.count and now - said < seconds:
            return False
        said = now
        return True

    def line(outcome: JobOutcome) -> str:
        return f"{ended}/{jobs.count} {outcome.name}: {outcome}, {outcome.steps}/{outcome.wanted} steps"

    def total() -> str:
        calls, usage = jobs.total()
        left = "" if jobs.seconds_left is None else f", {jobs.seconds_left:.0f} s left"
        return f"{jobs.steps_done}/{jobs.steps_wanted} steps, {calls:,} calls, {spending(usage)}{left}"

    if not console.is_terminal:

        def tell(outcome: JobOutcome) -> None:
            if counts_as_news(outcome):
                say(f"{line(outcome)}; in all {total()}", stderr=True)

        yield tell
        return

    class Total(ProgressColumn):
        def render(self, task: Task) -> Text:
            progress.update(task.id, completed=jobs.steps_done)
            return Text(total())

    with Progress(BarColumn(), Total(), console=console) as progress:
        progress.add_task("jobs", total=jobs.steps_wanted)

        def show(outcome: JobOutcome) -> None:
            if counts_as_news(outcome):
                console.print(line(outcome), highlight=False, soft_wrap=True)

        yield show


class _ProgressLines:
    """Progress without a live display: a line every few seconds, and one at the end."""

    seconds = 5.0

    def __init__(self, model: RepuNetModel, last: int, label: str) -> None:
        self._model = model
        self._first, self._last = model.steps, last
        self._label = label
        self._started = self._printed = time.monotonic()

    def __call__(self) -> None:
        """Take note that a step is done."""
        from repunet_model.report.tables import spending

        step, now = self._model.steps, time.monotonic()
        if step < self._last and now - self._printed < self.seconds:
            return
        self._printed = now
        left = (now - self._started) / (step - self._first) * (self._last - step)
        say(
            f"{self._label} {step}/{self._last}: {self._model.calls:,} calls, "
            f"{spending(self._model.usage)}, {left:.0f} s left",
            stderr=True,
        )


@contextmanager
def quietly_imported() -> Iterator[type[RepuNetModel]]:
    """Import the model, which takes seconds, saying so on a terminal."""
    from rich.status import Status

    with Status("Loading Mesa ...", spinner="line", console=make_console(stderr=True)):
        from repunet_model.model import RepuNetModel
    yield RepuNetModel


def _check_there(model: RepuNetModel) -> None:
    """Make sure that the run's folder was not deleted under way.

    Raises:
        StorageError: If it was.
    """
    assert model.folder is not None
    model.folder.check_there()


def folder_of(model: RepuNetModel) -> Path:
    """Return where a stored run lies."""
    assert model.folder is not None
    return model.folder.path
