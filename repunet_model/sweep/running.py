"""Run a sweep in this process under one gate, in worker processes, or on a Dask cluster.

The results are the same byte for byte, since a run depends on its parameters alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from repunet_model import games
from repunet_model.backends.endpoints import Environment
from repunet_model.backends.limits import Limits
from repunet_model.backends.prices import Prices
from repunet_model.errors import ConfigurationError
from repunet_model.jobs.batch import Batch, Plan
from repunet_model.jobs.job import Job, JobOutcome, NewRun, Runner, new_job
from repunet_model.sweep.folder import SweepFolder
from repunet_model.sweep.grid import Sweep
from repunet_model.sweep.spread import Spread, dask_cluster, worker_processes

WORTH_A_WORKER = 4_000
"""Agent steps by the rules that take as long as starting a worker process, about four seconds."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A sweep with validated cells; nothing is written yet.

    Attributes:
        sweep: The sweep.
        storage: The folder of all sweeps and runs.
        cells: The runs of the sweep.
        jobs: The same as jobs, with validated backends and personas.
        limits: The limits on all jobs together.
    """

    sweep: Sweep
    storage: Path
    cells: Sequence[NewRun]
    jobs: Sequence[Job]
    limits: Limits

    @property
    def is_costly(self) -> bool:
        """Whether any run asks an endpoint."""
        return any(job.is_costly for job in self.jobs)

    def caveats(self) -> list[str]:
        """Return what users should know of the parameters of games, such as that they make no dilemma."""
        described = [job.described for job in self.jobs if job.described is not None]
        return list(
            dict.fromkeys(
                f"{each.config.game}: {caveat}"
                for each in described
                if (caveat := games.find(each.config.game, each.game_parameters).caveat())
            )
        )

    def workers(self) -> int:
        """Return the number of processes that saves time; 1 for small sweeps and those that ask endpoints."""
        if self.is_costly:
            return 1
        described = [(job.steps, job.described) for job in self.jobs if job.described is not None]
        work = sum(steps * int(each.data["population"]["agents"]) for steps, each in described)
        return max(1, min(os.cpu_count() or 1, len(self.cells), work // WORTH_A_WORKER))


def prepare(
    sweep: Sweep, storage: Path, prices: Prices | None = None, environment: Mapping[str, str] = os.environ
) -> Prepared:
    """Validate all cells of a sweep without writing anything; `environment` configures endpoints and keys.

    Raises:
        ConfigurationError: If a cell cannot be run; the message names it.
    """
    try:
        limits = Limits(**sweep.limits.model_dump(), prices=prices)
    except ConfigurationError as error:
        raise ConfigurationError(f"limits: {error}") from None
    cells = sweep.cells()
    runs = storage / sweep.name / "runs"
    known = Environment.of(environment).with_endpoints(sweep.endpoints)
    return Prepared(sweep, storage, cells, [new_job(cell, cell.name, runs, limits, known) for cell in cells], limits)


def complete(
    prepared: Prepared,
    watch: Callable[[Runner], Sequence[JobOutcome]],
    *,
    workers: int | None = None,
    scheduler: str | None = None,
) -> tuple[SweepFolder, pd.DataFrame, list[JobOutcome]]:
    """Run the incomplete runs of a sweep, and collect the results.

    Args:
        prepared: The sweep.
        watch: Runs the runner and shows its progress.
        workers: The number of processes; None for `Prepared.workers`.
        scheduler: The address of a Dask scheduler whose cluster runs the sweep instead.

    Returns:
        The sweep on disk, its results, and the outcomes of the incomplete runs.

    Raises:
        RepuNetError: If the sweep cannot be run there, or its folder cannot be written.
    """
    if prepared.is_costly and (scheduler is not None or (workers or 1) > 1):
        where = "--scheduler" if scheduler is not None else f"--workers {workers}"
        raise ConfigurationError(
            f"{where}: the sweep asks endpoints, whose limits hold in one process only; leave the option out"
        )
    with _pool(prepared, workers, scheduler) as run_in:
        folder = SweepFolder.prepare(prepared.storage, prepared.sweep)
        with folder.lock():
            folder.remove_leftovers()
            outcomes = watch(run_in(folder))
            return folder, *folder.gather(outcomes)


@contextmanager
def _pool(prepared: Prepared, workers: int | None, scheduler: str | None) -> Iterator[Callable[[SweepFolder], Runner]]:
    """Yield a function that creates the runner of a sweep for its folder."""
    count = workers or prepared.workers()
    if scheduler is not None:
        with dask_cluster(scheduler) as (cluster, at_once):
            yield lambda folder: Spread(prepared.cells, folder.runs, folder.logs, cluster, at_once)
    elif count > 1:
        with worker_processes(count) as pool:
            yield lambda folder: Spread(prepared.cells, folder.runs, folder.logs, pool, count)
    else:

        def here(folder: SweepFolder) -> Runner:
            plan = Plan(prepared.jobs, prepared.limits, prepared.sweep.limits.concurrency, folder.runs)
            return Batch(plan, folder.logs)

        yield here
