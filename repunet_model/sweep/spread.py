"""Jobs spread over processes: workers of this machine, or those of a Dask cluster.

Each job is run where it lands as a batch of its own, so that it is made, taken up and logged as in one process, and
its run folder has the same bytes. What asks endpoints is not spread: rates and budgets hold in one process.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from multiprocessing import active_children, connection, get_context, parent_process
from pathlib import Path
from time import monotonic

from repunet_model import extensions
from repunet_model.backends.base import Usage
from repunet_model.backends.limits import Limits
from repunet_model.config import BUILT_IN
from repunet_model.errors import ConfigurationError
from repunet_model.jobs.batch import POLL, Batch, Plan
from repunet_model.jobs.job import JobOutcome, NewRun, Result, new_job
from repunet_model.util.text import to_install

AHEAD = 2
"""Jobs handed out for each worker at a time: enough that none waits, few enough that a stop is soon."""


@contextmanager
def worker_processes(count: int) -> Iterator[Executor]:
    """Give a pool of processes on this machine, which end with this one, however it ends."""
    with ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_begin_worker) as pool:
        yield pool


@contextmanager
def dask_cluster(address: str) -> Iterator[tuple[Executor, int]]:
    """Give the workers of a Dask cluster, which see the same folders as this process, and how many jobs run at once.

    Raises:
        ConfigurationError: If the extra `cluster` is not installed, or nobody answers at the address.
    """
    if find_spec("distributed") is None:
        raise ConfigurationError(f"--scheduler needs Dask: {to_install('cluster')}")
    from distributed import Client  # noqa: PLC0415 - an extra

    try:
        client = Client(address, timeout=10, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigurationError(f"--scheduler {address!r}: no Dask scheduler answers: {error}") from None
    with client:
        at_once = sum(client.ncores().values())
        if not at_once:
            raise ConfigurationError(f"--scheduler {address!r}: the cluster has no worker yet")
        yield client.get_executor(pure=False), at_once


def _begin_worker() -> None:
    """Leave interrupts to the main process, and end when it has ended, even by a kill."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    # At once: whoever goes on must find no other writer. Windows has no SIGKILL; there every signal ends a process.
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


def run_job(wanted: NewRun, runs: str, logs: str, files: Sequence[str]) -> JobOutcome:
    """Run one job to its end, in the process in which this is called.

    Args:
        wanted: The run.
        runs: The folder of all runs.
        logs: The folder of the logs.
        files: Extensions to load before.

    Raises:
        RepuNetError: If it cannot be run at all.
    """
    extensions.load(files)
    limits = Limits()
    job = new_job(wanted, wanted.name, Path(runs), limits)
    (outcome,) = Batch(Plan([job], limits, 1, Path(runs)), Path(logs)).run(lambda _: None)
    return outcome


class Spread:
    """Jobs while they run in other processes; a `jobs.Runner`."""

    def __init__(self, wanted: Sequence[NewRun], runs: Path, logs: Path, pool: Executor, at_once: int) -> None:
        """Prepare to run jobs.

        Args:
            wanted: The runs.
            runs: The folder of all runs.
            logs: The folder of the logs.
            pool: Where to run them.
            at_once: How many run at once.
        """
        self._wanted = wanted
        self._runs, self._logs = str(runs.resolve()), str(logs.resolve())
        self._pool = pool
        self._at_once = at_once
        self._outcomes: dict[str, JobOutcome] = {}
        self._stops = 0
        self._started = monotonic()

    @property
    def count(self) -> int:
        """The number of jobs."""
        return len(self._wanted)

    @property
    def steps_wanted(self) -> int:
        """The number of steps that all runs have at the end."""
        return sum(each.steps for each in self._wanted)

    @property
    def steps_done(self) -> int:
        """The number of steps of runs that have ended."""
        return sum(min(each.steps, each.wanted) for each in list(self._outcomes.values()))

    @property
    def seconds_left(self) -> float | None:
        """The expected seconds for the remaining runs, from those that ended; None before the first."""
        run = [each for each in list(self._outcomes.values()) if each.calls]
        if not run:
            return None
        return (monotonic() - self._started) / len(run) * (len(self._wanted) - len(self._outcomes))

    def total(self) -> tuple[int, Usage]:
        """Return how many questions were answered; offline they cost nothing."""
        return sum(each.calls for each in list(self._outcomes.values())), Usage()

    def stop(self) -> None:
        """Let no run begin any more; twice: end those under way on this machine, which stay whole up to a step."""
        self._stops += 1

    def run(self, note: Callable[[JobOutcome], None]) -> list[JobOutcome]:
        """Run the jobs, and return what became of them, in their order.

        Args:
            note: Told what became of each, as soon as it has ended.
        """
        self._started = monotonic()
        waiting = iter(self._wanted)
        under_way: dict[Future[JobOutcome], NewRun] = {}
        while True:
            while len(under_way) < self._at_once * AHEAD and not self._stops:
                following = next(waiting, None)
                if following is None:
                    break
                under_way[self._submit(following)] = following
            if not under_way:
                break
            done, _ = wait(under_way, timeout=POLL, return_when=FIRST_COMPLETED)
            for future in done:
                outcome = _ended(future, under_way.pop(future))
                self._outcomes[outcome.name] = outcome
                note(outcome)
            if self._stops:
                for future in under_way:
                    future.cancel()
            if self._stops > 1:
                for child in active_children():
                    child.terminate()
        for each in waiting:
            self._outcomes[each.name] = _stopped(each)
        return [self._outcomes[each.name] for each in self._wanted]

    def _submit(self, wanted: NewRun) -> Future[JobOutcome]:
        """Hand out a job; where no worker is left to take it, it has failed."""
        try:
            return self._pool.submit(run_job, _at_home(wanted), self._runs, self._logs, extensions.loaded())
        except RuntimeError as error:
            lost: Future[JobOutcome] = Future()
            lost.set_exception(error)
            return lost


def _ended(future: Future[JobOutcome], wanted: NewRun) -> JobOutcome:
    """Return what became of a job, whatever happened to its worker; nothing that goes wrong stops another job."""
    try:
        return future.result()
    except CancelledError:
        return _stopped(wanted)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        return JobOutcome(wanted.name, wanted.steps, Result.FAILED, 0, reason)


def _stopped(wanted: NewRun) -> JobOutcome:
    return JobOutcome(wanted.name, wanted.steps, Result.STOPPED, 0)


def _at_home(wanted: NewRun) -> NewRun:
    """Return a run whose files are named so that a worker in another folder finds them."""
    if wanted.config.personas == BUILT_IN:
        return wanted
    config = wanted.config.changed({"personas": str(Path(wanted.config.personas).resolve())})
    return replace(wanted, config=config)
