"""Many jobs side by side, under one gate and one budget: a file of jobs, checked as a whole before any starts.

    [limits]                        # all jobs together
    concurrency = 32
    budget_usd = 5

    [defaults]                      # for every job that does not say otherwise
    steps = 10
    backend = "openai:gpt-4o-mini"

    [[jobs]]
    sim_name = "trust"
    scenario = "investment"

    [[jobs]]
    resume = "earlier"              # goes on with a stored run
    steps = 20                      # until it has so many

Steps are what a run has at its end, so that the same file can be run again: what is done is skipped, what is not goes
on from where it was, and a stored run that is not what its job describes is a failure of that job. What stored steps
have cost counts into the budget.
"""

from __future__ import annotations

import threading
import traceback
from asyncio import CancelledError
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Annotated, Any, Self

from pydantic import Field

from repunet_model import games
from repunet_model.backends.base import Usage
from repunet_model.backends.limits import Limits
from repunet_model.backends.prices import Prices
from repunet_model.errors import ConfigurationError, RepuNetError, StorageError
from repunet_model.jobs.job import (
    Job,
    JobOutcome,
    LimitsTable,
    NewRun,
    Result,
    ResumedRun,
    Section,
    check_same,
    new_job,
    parsed,
    read_toml,
    stored_job,
)
from repunet_model.model import RepuNetModel
from repunet_model.storage import StepReader
from repunet_model.util import files
from repunet_model.util.text import one_line, to_go_on, visible

OFFLINE_AT_ONCE = 2
"""How many jobs without an endpoint run at once. They compute, on the one loop of the process: more would only wait."""

POLL = 0.1
"""Seconds between two looks at whether to stop."""


class _File(Section):
    limits: LimitsTable = LimitsTable()
    defaults: dict[str, Any] = Field(default_factory=dict)
    jobs: Annotated[list[dict[str, Any]], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Plan:
    """A file of jobs that was checked.

    Attributes:
        jobs: The jobs, in the order of the file.
        limits: What all of them may not exceed together.
        concurrency: How many requests they may have under way at once.
        storage: The folder of all runs.
    """

    jobs: Sequence[Job]
    limits: Limits
    concurrency: int
    storage: Path

    @classmethod
    def load(cls, file: Path, storage: Path, prices: Prices | None = None) -> Self:
        """Read and check a file of jobs, and write nothing.

        Args:
            file: The file (TOML).
            storage: The folder of all runs.
            prices: What tokens cost.

        Raises:
            ConfigurationError: If anything in it cannot be used; the message names the job and the key.
        """
        content = parsed(_File, read_toml(file), str(file))
        if "sim_name" in content.defaults:
            raise ConfigurationError(f"{file}: defaults: sim_name: unknown; each job has a name of its own")
        NewRun.of_table({**content.defaults, "sim_name": "defaults"}, f"{file}: defaults")
        try:
            limits = Limits(**content.limits.model_dump(), prices=prices)
        except ConfigurationError as error:
            raise ConfigurationError(f"{file}: limits: {error}") from None
        jobs: list[Job] = []
        for number, table in enumerate(content.jobs, start=1):
            job = _job(table, content.defaults, f"{file}: {_label(number, table)}", storage, limits)
            # Some systems hold names to be the same that differ in capitals.
            if any(job.name.casefold() == other.name.casefold() for other in jobs):
                key = "resume" if "resume" in table else "sim_name"
                raise ConfigurationError(f"{file}: {_label(number, table)}: {key}: another job has this run")
            jobs.append(job)
        return cls(jobs, limits, content.limits.concurrency, storage)


def _label(number: int, table: Mapping[str, Any]) -> str:
    """Return how errors call a job."""
    name = table.get("sim_name", table.get("resume"))
    return f"job {number}" + (f" ({name!r})" if isinstance(name, str) else "")


def _job(table: Mapping[str, Any], defaults: Mapping[str, Any], where: str, storage: Path, limits: Limits) -> Job:
    """Check a job down to its backends and personas.

    Raises:
        ConfigurationError: If it cannot be run.
    """
    if "resume" in table:
        steps = {"steps": defaults["steps"]} if "steps" in defaults else {}
        return stored_job(parsed(ResumedRun, {**steps, **table}, where), where, storage)
    if "sim_name" not in table:
        raise ConfigurationError(f"{where}: sim_name: is missing")
    return new_job(NewRun.of_table({**defaults, **table}, where), where, storage, limits)


@dataclass(slots=True)
class _Running:
    """A job, and how far it is.

    Attributes:
        job: The job.
        model: Its society, while there is one.
        has_run: Whether its run is there, and is the one that the job describes.
        steps: How many steps the run has.
        interrupts: How often a step of it was asked to stop.
        calls: How many questions its society had answered when it was let go.
    """

    job: Job
    model: RepuNetModel | None = None
    has_run: bool = False
    steps: int = 0
    interrupts: int = 0
    calls: int = 0

    def outcome(self, result: Result, reason: str = "") -> JobOutcome:
        """Return what became of the job."""
        calls = self.calls if self.model is None else self.model.calls
        return JobOutcome(self.job.name, self.job.steps, result, self.steps, reason, calls)


class Batch:
    """The jobs of a plan while they run.

    Costly jobs run side by side as far as there are places for their requests, offline ones a few at once.
    """

    def __init__(self, plan: Plan, logs: Path) -> None:
        """Prepare to run a plan.

        Args:
            plan: The plan.
            logs: The folder of the logs, one a job, by the name of its run.
        """
        self._plan = plan
        self._logs = logs
        self._running = [_Running(job) for job in plan.jobs]
        self._stops = 0
        self._totals = threading.Lock()
        self._calls, self._usage = 0, Usage()
        self._started, self._steps_before = monotonic(), 0

    @property
    def count(self) -> int:
        """The number of jobs."""
        return len(self._running)

    @property
    def steps_wanted(self) -> int:
        """The number of steps that all runs have at the end."""
        return sum(job.steps for job in self._plan.jobs)

    @property
    def steps_done(self) -> int:
        """The number of steps that are done."""
        return sum(min(each.steps, each.job.steps) for each in self._running)

    @property
    def seconds_left(self) -> float | None:
        """The expected seconds for the remaining steps, from those so far; None before the first."""
        done = self.steps_done
        new = done - self._steps_before
        return (monotonic() - self._started) / new * (self.steps_wanted - done) if new else None

    def total(self) -> tuple[int, Usage]:
        """Return how many questions were answered since the batch was started, and what they cost."""
        with self._totals:
            calls, usage = self._calls, self._usage.copy()
            for each in self._running:
                if each.model is not None:
                    calls += each.model.calls
                    usage.add(each.model.usage)
        return calls, usage

    def stop(self) -> None:
        """Let no step begin any more and stop those under way, once replies under way are there; twice: at once."""
        self._stops += 1

    def run(self, note: Callable[[JobOutcome], None]) -> list[JobOutcome]:
        """Run the jobs, and return what became of them, in the order of the plan.

        Args:
            note: Told what became of each job, as soon as it has ended.

        Raises:
            StorageError: If the folder of the logs cannot be written.
        """
        try:
            files.make_folder(self._logs)
        except OSError as error:
            raise StorageError(f"{self._logs} cannot be written: {error.strerror or error}") from error
        # Whatever stored steps have cost must be counted before the first request is sent.
        early = {each.job.name: outcome for each in self._running if (outcome := self._taken_up(each)) is not None}
        self._started, self._steps_before = monotonic(), self.steps_done
        for outcome in early.values():
            note(outcome)
        outcomes = dict(early)
        with ThreadPoolExecutor(OFFLINE_AT_ONCE) as offline, ThreadPoolExecutor(self._plan.concurrency) as costly:
            under_way = {
                (costly if each.job.is_costly else offline).submit(self._run, each)
                for each in self._running
                if each.job.name not in early
            }
            for outcome in self._ends(under_way):
                outcomes[outcome.name] = outcome
                note(outcome)
        return [outcomes[job.name] for job in self._plan.jobs]

    def _ends(self, under_way: set[Future[JobOutcome]]) -> Iterator[JobOutcome]:
        """Yield outcomes as they come, and hand on the wish to stop."""
        while under_way:
            done, under_way = wait(under_way, timeout=POLL, return_when=FIRST_COMPLETED)
            yield from (each.result() for each in done)
            for each in self._running:
                model = each.model
                # Whoever was between two steps is asked again, until it was in one or has ended.
                if each.interrupts < self._stops and model is not None and model.interrupt():
                    each.interrupts += 1

    def _taken_up(self, each: _Running) -> JobOutcome | None:
        """Take up the run of a job, if it is there; return what became of the job if nothing is left to do."""
        job = each.job
        path = self._plan.storage / job.name
        if not path.exists():
            return None
        try:
            run = StepReader.open(path)
            if job.described is not None:
                check_same(run, job.described)
            each.steps = run.last
            if each.steps >= job.steps and not job.is_costly:
                # It has cost nothing that would count, so there is no need to read it all.
                run.folder.check_chain(0, each.steps)
                return each.outcome(Result.DONE)
            each.model = RepuNetModel.load(path, backend=job.who(), limits=self._plan.limits)
        except RepuNetError as error:
            return self._failed(each, str(error))
        each.has_run = True
        if each.steps < job.steps:
            return None
        self._let_go(each)
        return each.outcome(Result.DONE)

    def _run(self, each: _Running) -> JobOutcome:
        """Run a job to its end, in a thread of its own; nothing that goes wrong here stops another job."""
        job = each.job
        if self._stops:
            self._let_go(each)
            return each.outcome(Result.STOPPED)
        try:
            if each.model is None:
                assert job.start is not None  # a stored run was taken up before
                each.model = job.start.make(job.who(), self._plan.limits, self._plan.storage, job.name)
                each.has_run = True
            while each.steps < job.steps and not self._stops:
                each.model.step()
                each.steps = each.model.steps
                self._log(job, _step_line(each.model))
        except CancelledError:
            pass
        except RepuNetError as error:
            return self._failed(each, str(error))
        except Exception as error:
            # A defect of the program, but not one that other jobs should pay for.
            return self._failed(each, f"{type(error).__name__}: {error}", traceback.format_exc())
        finally:
            self._let_go(each)
        if each.steps >= job.steps:
            return each.outcome(Result.DONE)
        return self._failed(each, "interrupted", result=Result.STOPPED)

    def _let_go(self, each: _Running) -> None:
        """Close the society of a job, and keep what it has cost."""
        with self._totals:
            model, each.model = each.model, None
            if model is not None:
                each.calls = model.calls
                self._calls += model.calls
                self._usage.add(model.usage)
        if model is not None:
            model.close()

    def _failed(self, each: _Running, reason: str, details: str = "", result: Result = Result.FAILED) -> JobOutcome:
        """Log why a job did not get to its end, and how to go on, and return what became of it."""
        job = each.job
        how = ""
        if each.has_run and (self._plan.storage / job.name / "manifest.json").is_file():
            going_on = to_go_on(self._plan.storage / job.name, job.steps - each.steps)
            how = f"; the run is whole up to step {each.steps}, go on with: {going_on}"
        try:
            self._log(job, f"error: {one_line(reason)}{how}", *details.splitlines())
        except StorageError as error:
            reason = f"{reason}; {error}"
        return each.outcome(result, reason)

    def _log(self, job: Job, *lines: str) -> None:
        """Add lines to the log of a job.

        Raises:
            StorageError: If it cannot be written.
        """
        path = self._logs / f"{job.name}.log"
        now = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        try:
            with path.open("a", encoding="utf-8", newline="\n") as file:
                file.writelines(f"{now} {visible(line)}\n" for line in lines)
        except OSError as error:
            raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error


def _step_line(model: RepuNetModel) -> str:
    """Return what came of the last step of a model."""
    rates = {name: model.measures[name] for name in games.find(model.config.game).rates}
    shown = ", ".join(f"{name} {'-' if rate is None else f'{rate:.3g}'}" for name, rate in rates.items())
    calls, usage = model.measures["calls"], model.step_usage
    return f"step {model.steps}: {shown}; {calls:,} calls, {usage.tokens:,} tokens, ${usage.usd:,.4f}"
