"""Run many jobs concurrently under one gate and one budget, from a file that is validated before any job starts.

    [limits]                        # for all jobs together
    concurrency = 32
    budget_usd = 5

    [defaults]                      # for jobs without these keys
    steps = 10
    backend = "openai:small"

    [endpoints.small]               # named endpoints, beside those of --endpoints (`backends.endpoints`)
    base_url = "http://127.0.0.1:8000/v1"
    model = "qwen2.5-7b-instruct"

    [[jobs]]
    sim_name = "trust"
    scenario = "investment"

    [[jobs]]
    resume = "earlier"              # continues a stored run
    steps = 60                      # up to this step at most
    until_stable = true             # ends before that if it is stable (see stability.py)

`steps` is the final number of steps of a run, so that a file can be run again: complete runs are skipped, others
continue from their last step, and a job fails if the stored run of its name has other parameters. The cost of stored
steps counts towards the budget.
"""

from __future__ import annotations

import os
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
from repunet_model.backends import endpoints
from repunet_model.backends.base import Usage
from repunet_model.backends.endpoints import Environment
from repunet_model.backends.limits import Limits
from repunet_model.backends.prices import Prices
from repunet_model.backends.waits import Waits
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
    stored_job,
)
from repunet_model.model import RepuNetModel
from repunet_model.stability import OPTION
from repunet_model.storage import StepReader, stopping
from repunet_model.util import files
from repunet_model.util.files import read_toml
from repunet_model.util.text import counted, one_line, to_go_on, visible

OFFLINE_AT_ONCE = 2
"""The number of concurrent jobs without an endpoint; they compute on one event loop, so more gain nothing."""

POLL = 0.1
"""Seconds between two checks for a stop."""


class _File(Section):
    limits: LimitsTable = LimitsTable()
    defaults: dict[str, Any] = Field(default_factory=dict)
    endpoints: dict[str, Any] = Field(default_factory=dict)
    jobs: Annotated[list[dict[str, Any]], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Plan:
    """Validated jobs, their common limits, their concurrent requests, and the folder of all runs."""

    jobs: Sequence[Job]
    limits: Limits
    concurrency: int
    storage: Path

    @classmethod
    def load(
        cls,
        file: Path,
        storage: Path,
        prices: Prices | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> Self:
        """Read and validate a file of jobs, writing nothing; a ConfigurationError names the job and the key.

        `environment` configures endpoints and keys, beside the file's own endpoints.
        """
        content = parsed(_File, read_toml(file), str(file))
        if "sim_name" in content.defaults:
            raise ConfigurationError(f"{file}: defaults: sim_name: unknown; each job has a name of its own")
        NewRun.of_table({**content.defaults, "sim_name": "defaults"}, f"{file}: defaults")
        try:
            limits = Limits(**content.limits.model_dump(), prices=prices)
        except ConfigurationError as error:
            raise ConfigurationError(f"{file}: limits: {error}") from None
        known = Environment.of(environment).with_endpoints(endpoints.parsed(content.endpoints, str(file)))
        jobs: list[Job] = []
        for number, table in enumerate(content.jobs, start=1):
            name = table.get("sim_name", table.get("resume"))
            where = f"{file}: job {number}" + (f" ({name!r})" if isinstance(name, str) else "")
            job = _job(table, content.defaults, where, storage, limits, known)
            # Some file systems ignore case.
            if any(job.name.casefold() == other.name.casefold() for other in jobs):
                key = "resume" if "resume" in table else "sim_name"
                raise ConfigurationError(f"{where}: {key}: another job has this run")
            jobs.append(job)
        return cls(jobs, limits, content.limits.concurrency, storage)


def _job(
    table: Mapping[str, Any],
    defaults: Mapping[str, Any],
    where: str,
    storage: Path,
    limits: Limits,
    environment: Mapping[str, str],
) -> Job:
    """Validate the table of a job, including backends and personas."""
    if "resume" in table:
        inherited = {name: defaults[name] for name in ("steps", OPTION) if name in defaults}
        return stored_job(parsed(ResumedRun, {**inherited, **table}, where), where, storage, environment)
    if "sim_name" not in table:
        raise ConfigurationError(f"{where}: sim_name: is missing")
    return new_job(NewRun.of_table({**defaults, **table}, where), where, storage, limits, environment)


@dataclass(slots=True)
class _Running:
    """The state of a job; `has_run` if its run exists with its parameters, `calls` as of when the model was closed.

    `stable_after` is the step after which its run was stable, None if it is not yet or need not be.
    """

    job: Job
    model: RepuNetModel | None = None
    has_run: bool = False
    steps: int = 0
    interrupts: int = 0
    calls: int = 0
    stable_after: int | None = None

    @property
    def is_over(self) -> bool:
        """Whether the run is complete."""
        return self.stable_after is not None or self.steps >= self.job.steps

    def outcome(self, result: Result, reason: str = "") -> JobOutcome:
        """Return the outcome of the job."""
        calls = self.calls if self.model is None else self.model.calls
        return JobOutcome(self.job.name, self.job.steps, result, self.steps, reason, calls, self.stable_after)


class Batch:
    """The runner of a plan: costly jobs run concurrently within the limit of requests, offline jobs a few at a time."""

    def __init__(self, plan: Plan, logs: Path) -> None:
        """Prepare to run a plan, with a log for each job in the folder `logs`."""
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
        """The total number of steps of all runs."""
        return sum(job.steps for job in self._plan.jobs)

    @property
    def steps_done(self) -> int:
        """The number of completed steps; a complete run counts with all that it might have had."""
        return sum(each.job.steps if each.is_over else each.steps for each in self._running)

    @property
    def seconds_left(self) -> float | None:
        """The remaining time by the mean time per step so far; None before the first."""
        done = self.steps_done
        new = done - self._steps_before
        return (monotonic() - self._started) / new * (self.steps_wanted - done) if new else None

    @property
    def waits(self) -> Waits:
        """The waits for endpoints that are under way."""
        return self._plan.limits.waits

    def total(self) -> tuple[int, Usage]:
        """Return the number of calls answered since the start, and their cost."""
        with self._totals:
            calls, usage = self._calls, self._usage.copy()
            for each in self._running:
                if each.model is not None:
                    calls += each.model.calls
                    usage.add(each.model.usage)
        return calls, usage

    def stop(self) -> None:
        """Start no more steps, and stop the current ones after pending replies; the second time, at once."""
        self._stops += 1

    def run(self, note: Callable[[JobOutcome], None]) -> list[JobOutcome]:
        """Run the jobs, `note` each outcome at once, and return all in the plan's order; may raise StorageError."""
        try:
            files.make_folder(self._logs)
        except OSError as error:
            raise StorageError(f"{self._logs} cannot be written: {error.strerror or error}") from error
        # The cost of stored steps must be counted before the first request is sent.
        outcomes = {each.job.name: outcome for each in self._running if (outcome := self._taken_up(each)) is not None}
        self._started, self._steps_before = monotonic(), self.steps_done
        for outcome in outcomes.values():
            note(outcome)
        with ThreadPoolExecutor(OFFLINE_AT_ONCE) as offline, ThreadPoolExecutor(self._plan.concurrency) as costly:
            under_way = {
                (costly if each.job.is_costly else offline).submit(self._run, each)
                for each in self._running
                if each.job.name not in outcomes
            }
            for outcome in self._ends(under_way):
                outcomes[outcome.name] = outcome
                note(outcome)
        return [outcomes[job.name] for job in self._plan.jobs]

    def _ends(self, under_way: set[Future[JobOutcome]]) -> Iterator[JobOutcome]:
        """Yield outcomes as they arrive, and pass stops on to the models."""
        while under_way:
            done, under_way = wait(under_way, timeout=POLL, return_when=FIRST_COMPLETED)
            yield from (each.result() for each in done)
            for each in self._running:
                model = each.model
                # A model between two steps cannot be interrupted, so it is tried again.
                if each.interrupts < self._stops and model is not None and model.interrupt():
                    each.interrupts += 1

    def _taken_up(self, each: _Running) -> JobOutcome | None:
        """Load the stored run of a job, if any; return an outcome if nothing is left to do."""
        job = each.job
        path = self._plan.storage / job.name
        if not path.exists():
            return None
        try:
            run = StepReader.open(path)
            if job.described is not None:
                check_same(run, job.described)
            each.steps = run.last
            if job.rule is not None and (found := stopping.stopped(run, job.rule)) and found.step <= job.steps:
                stopping.note(run.folder, found)
                each.stable_after = found.step
            if each.is_over and not job.is_costly:
                # It has no cost to count, so its steps need not be read.
                run.folder.check_chain(0, each.steps)
                return each.outcome(Result.DONE)
            each.model = RepuNetModel.load(path, backend=job.who(), limits=self._plan.limits)
        except RepuNetError as error:
            return self._failed(each, str(error))
        each.has_run = True
        if not each.is_over:
            return None
        self._let_go(each)
        return each.outcome(Result.DONE)

    def _run(self, each: _Running) -> JobOutcome:
        """Run a job in its own thread; any error is a failure of this job alone."""
        job = each.job
        if self._stops:
            self._let_go(each)
            return each.outcome(Result.STOPPED)
        try:
            if each.model is None:
                assert job.start is not None  # a stored run was loaded before
                each.model = job.start.make(job.who(), self._plan.limits, self._plan.storage, job.name)
                each.has_run = True
            while not each.is_over and not self._stops:
                each.model.step()
                each.steps = each.model.steps
                self._log(job, _step_line(each.model))
                if job.rule is not None and (found := each.model.stable(job.rule)):
                    each.stable_after = found.step
                    self._log(job, str(found))
        except CancelledError:
            pass
        except RepuNetError as error:
            return self._failed(each, str(error))
        except Exception as error:
            # A defect of the program, which must not stop other jobs.
            return self._failed(each, f"{type(error).__name__}: {error}", traceback.format_exc())
        finally:
            self._let_go(each)
        if each.is_over:
            return each.outcome(Result.DONE)
        return self._failed(each, "interrupted", result=Result.STOPPED)

    def _let_go(self, each: _Running) -> None:
        """Close the model of a job, and add up its cost."""
        with self._totals:
            model, each.model = each.model, None
            if model is not None:
                each.calls = model.calls
                self._calls += model.calls
                self._usage.add(model.usage)
        if model is not None:
            model.close()

    def _failed(self, each: _Running, reason: str, details: str = "", result: Result = Result.FAILED) -> JobOutcome:
        """Log why a job ended early, and the command that continues it; return the outcome."""
        job = each.job
        how = ""
        if each.has_run and (self._plan.storage / job.name / "manifest.json").is_file():
            path = self._plan.storage / job.name
            going_on = to_go_on(path, job.steps - each.steps, until_stable=job.rule is not None)
            how = f"; the run is whole up to step {each.steps}, go on with: {going_on}"
        try:
            self._log(job, f"error: {one_line(reason)}{how}", *details.splitlines())
        except StorageError as error:
            reason = f"{reason}; {error}"
        return each.outcome(result, reason)

    def _log(self, job: Job, *lines: str) -> None:
        """Append lines to the log of a job; raise StorageError if that fails."""
        path = self._logs / f"{job.name}.log"
        now = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        try:
            with path.open("a", encoding="utf-8", newline="\n") as file:
                file.writelines(f"{now} {visible(line)}\n" for line in lines)
        except OSError as error:
            raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error


def _step_line(model: RepuNetModel) -> str:
    """Format the rates and the cost of the last step of a model."""
    rates = {name: model.measures[name] for name in games.find(model.config.game).rates}
    shown = ", ".join(f"{name} {'-' if rate is None else f'{rate:.3g}'}" for name, rate in rates.items())
    calls, usage = int(model.measures["calls"] or 0), model.step_usage
    return f"step {model.steps}: {shown}; {counted(calls, 'call')}, {counted(usage.tokens, 'token')}, ${usage.usd:,.4f}"
