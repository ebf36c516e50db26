"""Distribute jobs over worker processes of this machine, or of a Dask cluster.

A worker runs each job as a batch of one, so that runs are created, resumed and logged as in a single process, with the
same bytes. Jobs that ask endpoints are not distributed: rates and budgets hold within a process.
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

from repunet_model import extensions, initial_network
from repunet_model.backends.base import Usage
from repunet_model.backends.limits import Limits
from repunet_model.backends.waits import Waits
from repunet_model.config import PERSONA_SETS
from repunet_model.errors import ConfigurationError
from repunet_model.jobs.batch import POLL, Batch, Plan
from repunet_model.jobs.job import JobOutcome, NewRun, Result, new_job
from repunet_model.questions import prompt_sets
from repunet_model.util.text import to_install

AHEAD = 2
"""Jobs submitted per worker at a time: enough to keep workers busy, few enough to stop soon."""


@contextmanager
def worker_processes(count: int) -> Iterator[Executor]:
    """Yield a pool of processes on this machine, which end with this process even if it is killed."""
    with ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_begin_worker) as pool:
        yield pool


@contextmanager
def dask_cluster(address: str) -> Iterator[tuple[Executor, int]]:
    """Yield the workers and cores of a Dask cluster that shares this machine's folders, or raise ConfigurationError."""
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
    """Ignore interrupts, which the main process handles, and end when that process ends, even by a kill."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    # At once, so that a restarted sweep finds no other writer. On Windows, without SIGKILL, any signal ends a process.
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


def run_job(wanted: NewRun, runs: str, logs: str, files: Sequence[str]) -> JobOutcome:
    """Run one job in this process, after loading the extensions in `files`."""
    extensions.load(files)
    limits = Limits()
    job = new_job(wanted, wanted.name, Path(runs), limits)
    (outcome,) = Batch(Plan([job], limits, 1, Path(runs)), Path(logs)).run(lambda _: None)
    return outcome


class Spread:
    """A `jobs.Runner` in other processes."""

    def __init__(self, wanted: Sequence[NewRun], runs: Path, logs: Path, pool: Executor, at_once: int) -> None:
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
        """The total number of steps of all runs."""
        return sum(each.steps for each in self._wanted)

    @property
    def steps_done(self) -> int:
        """The number of steps of the runs that have ended; a stable one counts with all that it might have had."""
        ended = list(self._outcomes.values())
        return sum(min(each.steps, each.wanted) if each.stable_after is None else each.wanted for each in ended)

    @property
    def seconds_left(self) -> float | None:
        """The remaining time by the mean time per run so far; None before the first."""
        run = [each for each in list(self._outcomes.values()) if each.calls]
        if not run:
            return None
        return (monotonic() - self._started) / len(run) * (len(self._wanted) - len(self._outcomes))

    @property
    def waits(self) -> Waits:
        """No waits: distributed jobs ask no endpoint."""
        return Waits()

    def total(self) -> tuple[int, Usage]:
        """Return the number of answered questions; distributed jobs have no cost."""
        return sum(each.calls for each in list(self._outcomes.values())), Usage()

    def stop(self) -> None:
        """Start no more runs; the second time, end the workers of this machine (their runs keep all whole steps)."""
        self._stops += 1

    def run(self, note: Callable[[JobOutcome], None]) -> list[JobOutcome]:
        """Run the jobs and return their outcomes in order; `note` gets each outcome at once."""
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
        """Submit a job; without a working pool it fails."""
        try:
            return self._pool.submit(run_job, _at_home(wanted), self._runs, self._logs, extensions.loaded())
        except RuntimeError as error:
            lost: Future[JobOutcome] = Future()
            lost.set_exception(error)
            return lost


def _ended(future: Future[JobOutcome], wanted: NewRun) -> JobOutcome:
    """Return the outcome of a job; any error, of its worker too, is a failure of this job alone."""
    try:
        return future.result()
    except CancelledError:
        return _stopped(wanted)
    except Exception as error:
        return JobOutcome(wanted.name, wanted.steps, Result.FAILED, 0, f"{type(error).__name__}: {error}")


def _stopped(wanted: NewRun) -> JobOutcome:
    return JobOutcome(wanted.name, wanted.steps, Result.STOPPED, 0)


def _at_home(wanted: NewRun) -> NewRun:
    """Make paths of the files of personas, network and prompts absolute, for workers in another folder."""
    changes = {
        "network": initial_network.at_home(wanted.config.network),
        "prompts": prompt_sets.at_home(wanted.config.prompts),
    }
    if wanted.config.personas not in PERSONA_SETS:
        changes["personas"] = str(Path(wanted.config.personas).resolve())
    return replace(wanted, config=wanted.config.changed(changes))
