"""Run steps under a progress display, and print the results."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from repunet_model.backends.waits import in_words
from repunet_model.errors import RepuNetError
from repunet_model.util.screen import make_console, say, say_next
from repunet_model.util.text import command, counted, quoted, to_go_on

if TYPE_CHECKING:
    from repunet_model.backends.base import Usage
    from repunet_model.backends.waits import Waits
    from repunet_model.jobs.job import JobOutcome, Runner
    from repunet_model.model import RepuNetModel
    from repunet_model.probe.asking import Progress
    from repunet_model.stability import StabilityRule
    from repunet_model.storage import RunFolder

SECONDS_BETWEEN_LINES = 5.0
"""The interval of progress lines without a terminal."""

REASON = 80
"""Limit of the characters that a progress line shows of the reason for a wait."""


def run_and_show(
    model: RepuNetModel, steps: int, rule: StabilityRule | None = None, endpoints: Path | None = None
) -> None:
    """Run a model for some steps or until it is stable by a rule, then print its rates by step and its folder.

    `endpoints` is the file of its endpoints, for the command to go on.
    """
    first = model.steps + 1
    if caveat := model.game.caveat():
        say(f"Note: {caveat}", stderr=True)
    with model:
        run_steps(model, steps, "step", rule, endpoints)
        found = None if rule is None else model.stable(rule)
    from repunet_model.report.tables import rates_table, usage_table

    console = make_console()
    console.print(rates_table(model, first))
    if model.usage.attempts:
        console.print(usage_table(model.usage_by_question, "What the questions cost"))
    if len(by_backend := model.costs_by_backend) > 1:
        console.print(usage_table(by_backend, "What the backends cost", "backend"))
    say_how_asked(model.usage)
    if rule is not None:
        console.print(
            f"Not stable after {counted(model.steps, 'step')}." if found is None else f"The run is {found}.",
            soft_wrap=True,
            highlight=False,
        )
    path = folder_of(model).path
    console.print(f"Run: {path}", soft_wrap=True)
    say_next(look_at_it=command(f"viz {quoted(path)}"), go_on=to_go_on(path, steps, endpoints=endpoints))


def say_how_asked(usage: Usage) -> None:
    """Print the departures from the default form of requests, if any."""
    if usage.adaptations:
        say(f"The endpoint was asked: {', '.join(sorted(usage.adaptations))}.")


def run_steps(
    model: RepuNetModel, steps: int, label: str, rule: StabilityRule | None = None, endpoints: Path | None = None
) -> None:
    """Run steps under a progress display; raise RepuNetError with the command to go on if one fails or is stopped."""

    def going_on(left: int) -> str:
        return to_go_on(folder_of(model).path, left, until_stable=rule is not None, endpoints=endpoints)

    with telling_how_to_go_on(model, model.steps + steps, going_on):
        advance(model, steps, label, rule)


@contextmanager
def telling_how_to_go_on(model: RepuNetModel, last: int, command: Callable[[int], str]) -> Iterator[None]:
    """Add the command that runs the steps that are left, up to `last`, to the message of a failure or an interrupt."""
    try:
        yield
    except (RepuNetError, KeyboardInterrupt) as error:
        folder_of(model).check_there()
        reason = str(error) if isinstance(error, RepuNetError) else "interrupted"
        raise RepuNetError(
            f"{reason}; the run is whole up to step {model.steps}, go on with: {command(last - model.steps)}"
        ) from error


def advance(model: RepuNetModel, steps: int, label: str = "step", rule: StabilityRule | None = None) -> None:
    """Run some steps, or until the run is stable by a rule, under a progress display; errors are not changed."""
    last = model.steps + steps

    with showing_progress(model, last, label) as done, _explaining_interrupts(asks_models=model.asks_models):
        while model.steps < last and not (rule and model.stable(rule)):
            model.step()
            done()


@contextmanager
def _explaining_interrupts(*, asks_models: bool) -> Iterator[None]:
    """On Ctrl-C, explain that pending paid replies are awaited and that a second Ctrl-C drops them."""

    def explain() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if asks_models:
            say("Waiting for replies that are under way; interrupt again to lose them.", stderr=True)
        raise KeyboardInterrupt

    with _on_interrupt(explain):
        yield


@contextmanager
def _on_interrupt(react: Callable[[], None]) -> Iterator[None]:
    """Call a function on Ctrl-C, unless the program has a handler of its own."""
    previous = signal.getsignal(signal.SIGINT)
    if previous is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, lambda number, frame: react())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


@contextmanager
def showing_progress(model: RepuNetModel, last: int, label: str) -> Iterator[Callable[[], None]]:
    """Show steps, calls, tokens and time left on stderr; as lines without a terminal, or if a human types on it."""
    console = make_console(stderr=True)
    if model.has_human or not console.is_terminal:
        yield _progress_lines(model, last, label)
        return
    from rich import progress as display
    from rich.text import Text

    from repunet_model.report.tables import spending

    class Counters(display.ProgressColumn):
        max_refresh = 0.2

        def render(self, task: display.Task) -> Text:
            return Text(f"{counted(model.calls, 'call')} · {spending(model.usage)}{waiting(model.limits.waits)}")

    bar = (display.TextColumn(label), display.BarColumn(), display.MofNCompleteColumn())
    with display.Progress(*bar, Counters(), display.TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task(label, total=last, completed=model.steps)
        yield lambda: progress.update(task, completed=model.steps)


@contextmanager
def keeping_what_was_answered(progress: Progress) -> Iterator[None]:
    """Add to the message of a failure or an interrupt of a probe that its replies are kept."""
    try:
        with _explaining_interrupts(asks_models=True):
            yield
    except (RepuNetError, KeyboardInterrupt) as error:
        reason = str(error) if isinstance(error, RepuNetError) else "interrupted"
        raise RepuNetError(
            f"{reason}; {progress.done} of {progress.total} calls are answered and kept: the same command goes on"
        ) from error


@contextmanager
def showing_calls(progress: Progress, waits: Waits) -> Iterator[Callable[[], None]]:
    """Show the calls of a probe, tokens, cost and time left on stderr; as lines without a terminal."""
    from repunet_model.report.tables import spending

    console, printed = make_console(stderr=True), time.monotonic()
    started: float | None = None

    def counts() -> str:
        nonlocal started
        if started is None and progress.done:  # The first call also starts a server.
            started = time.monotonic()
        told = spending(progress.usage)
        if started is not None and progress.done > 1:
            left = (time.monotonic() - started) / (progress.done - 1) * (progress.total - progress.done)
            told = f"{told}, {left:.0f} s left"
        return f"{told}{waiting(waits)}"

    if not console.is_terminal:

        def line() -> None:
            nonlocal printed
            told = counts()
            if progress.done == progress.total or time.monotonic() - printed >= SECONDS_BETWEEN_LINES:
                printed = time.monotonic()
                say(f"call {progress.done}/{progress.total}: {told}", stderr=True)

        yield line
        return
    from rich import progress as display
    from rich.text import Text

    class Counters(display.ProgressColumn):
        max_refresh = 0.2

        def render(self, task: display.Task) -> Text:
            return Text(counts())

    bar = (display.TextColumn("call"), display.BarColumn(), display.MofNCompleteColumn(), Counters())
    with display.Progress(*bar, console=console) as shown:
        task = shown.add_task("call", total=progress.total)
        yield lambda: shown.update(task, completed=progress.done)


def waiting(waits: Waits) -> str:
    """Return how long an endpoint still has to be waited for, and why; empty if for less than a second."""
    seconds, reason = waits.last()
    return f" · waiting, {in_words(seconds)} left: {reason:.{REASON}}" if seconds >= 1.0 else ""


@contextmanager
def stopping_jobs(jobs: Runner) -> Iterator[None]:
    """Stop all jobs on Ctrl-C after their pending replies, and on a second Ctrl-C at once."""

    def stop() -> None:
        jobs.stop()
        say("Stopping; interrupt again to lose replies that are under way.", stderr=True)

    with _on_interrupt(stop):
        yield


@contextmanager
def showing_jobs(jobs: Runner, seconds: float = 0.0) -> Iterator[Callable[[JobOutcome], None]]:
    """Show a line for each job that has ended, and the total: live on a terminal, elsewhere in each line.

    Lines of completed jobs are at least so many seconds apart; failures are always shown.
    """
    from rich.progress import BarColumn, Progress, ProgressColumn, Task
    from rich.text import Text

    from repunet_model.jobs.job import Result
    from repunet_model.report.tables import spending

    console = make_console(stderr=True)
    ended, said = 0, -math.inf

    def note(outcome: JobOutcome) -> None:
        nonlocal ended, said
        ended += 1
        now = time.monotonic()
        if outcome.result is Result.DONE and ended < jobs.count and now - said < seconds:
            return
        said = now
        line = f"{ended}/{jobs.count} {outcome.name}: {outcome}, {outcome.steps}/{outcome.wanted} steps"
        if console.is_terminal:
            console.print(line, highlight=False, soft_wrap=True)
        else:
            say(f"{line}; in all {total()}", stderr=True)

    def total() -> str:
        calls, usage = jobs.total()
        left = "" if jobs.seconds_left is None else f", {jobs.seconds_left:.0f} s left"
        counts = f"{jobs.steps_done}/{jobs.steps_wanted} steps, {counted(calls, 'call')}, {spending(usage)}{left}"
        return f"{counts}{waiting(jobs.waits)}"

    if not console.is_terminal:
        yield note
        return

    class Total(ProgressColumn):
        def render(self, task: Task) -> Text:
            progress.update(task.id, completed=jobs.steps_done)
            return Text(total())

    with Progress(BarColumn(), Total(), console=console) as progress:
        progress.add_task("jobs", total=jobs.steps_wanted)
        yield note


def _progress_lines(model: RepuNetModel, last: int, label: str) -> Callable[[], None]:
    """Return a function that prints a line of progress after a step, at an interval and at the end."""
    from repunet_model.report.tables import spending

    first, started = model.steps, time.monotonic()
    printed = started

    def done() -> None:
        nonlocal printed
        step, now = model.steps, time.monotonic()
        if step == last or now - printed >= SECONDS_BETWEEN_LINES:
            printed = now
            left = (now - started) / (step - first) * (last - step)
            counts = f"{counted(model.calls, 'call')}, {spending(model.usage)}, {left:.0f} s left"
            say(f"{label} {step}/{last}: {counts}", stderr=True)

    return done


@contextmanager
def showing_count(label: str) -> Iterator[Callable[[int, int], None]]:
    """Show how much of some work is done: live on a terminal, elsewhere at intervals."""
    from rich.status import Status

    console = make_console(stderr=True)
    printed = time.monotonic()
    with Status(label, spinner="line", console=console) as status:

        def done(number: int, of: int) -> None:
            nonlocal printed
            status.update(f"{label} {number}/{of}")
            if not console.is_terminal and time.monotonic() - printed >= SECONDS_BETWEEN_LINES:
                printed = time.monotonic()
                say(f"{label} {number}/{of}", stderr=True)

        yield done


def exit_unless_done(outcomes: Iterable[JobOutcome]) -> None:
    """Exit with code 130 if a job was stopped, or with 1 if one failed."""
    from repunet_model.jobs.job import Result

    results = {outcome.result for outcome in outcomes} - {Result.DONE}
    if results:
        raise typer.Exit(130 if Result.STOPPED in results else 1)


@contextmanager
def quietly_imported() -> Iterator[type[RepuNetModel]]:
    """Import the model, which takes seconds, with a notice on a terminal."""
    from rich.status import Status

    with Status("Loading Mesa ...", spinner="line", console=make_console(stderr=True)):
        from repunet_model.model import RepuNetModel
    yield RepuNetModel


def folder_of(model: RepuNetModel) -> RunFolder:
    """Return the folder of a stored run."""
    assert model.folder is not None
    return model.folder
