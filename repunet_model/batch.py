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

import json
import threading
import tomllib
import traceback
from asyncio import CancelledError
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from time import monotonic
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from rich import box
from rich.table import Table
from rich.text import Text

from repunet_model import games, parameters
from repunet_model.backends.base import Usage
from repunet_model.backends.limits import Limits
from repunet_model.backends.prices import Prices
from repunet_model.backends.setup import Respondents, recorded, respondents
from repunet_model.errors import ConfigurationError, RepuNetError, StorageError
from repunet_model.model import RepuNetModel
from repunet_model.persistence import PARAMETERS
from repunet_model.starting import check_nobody_types, parameters_of
from repunet_model.storage import Row, RunFolder
from repunet_model.words import check_name, replayable, scenario, to_go_on

OFFLINE_AT_ONCE = 2
"""How many jobs without an endpoint run at once. They compute, on the one loop of the process: more would only wait."""

POLL = 0.1
"""Seconds between two looks at whether to stop."""


def _checked[T](check: Callable[[str], T]) -> AfterValidator:
    """Return a validator that words errors as everywhere else."""

    def validate(value: str) -> T:
        try:
            return check(value)
        except ConfigurationError as error:
            raise ValueError(str(error)) from None

    return AfterValidator(validate)


RunName = Annotated[str, _checked(check_name)]
ScenarioName = Annotated[str, _checked(scenario)]
ActivationName = Annotated[str, _checked(lambda name: parameters.activation_of(name).value)]
QuestionsName = Annotated[str, _checked(lambda name: parameters.questions_of(name).value)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class LimitsTable(_Table):
    """What all jobs may not exceed together; see `Limits`."""

    concurrency: int = 32
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    budget_tokens: int | None = None
    budget_usd: float | None = None


class Parameters(_Table):
    """What a job may say of a new run, with the defaults of the command line."""

    scenario: ScenarioName = "prisoners_dilemma"
    reputation: bool = True
    gossip: bool = True
    steps: Annotated[int, Field(ge=1)] = 5
    seed: int = 1
    n_agents: Annotated[int, Field(ge=2)] | None = None
    personas: str = "built-in"
    backend: str = "rules"
    backend_for: dict[str, str] = {}
    activation: ActivationName = "simultaneous"
    dialogue_turns: Annotated[int, Field(ge=2, le=parameters.MOST_DIALOGUE_TURNS)] = 2
    questions: QuestionsName = "single"


class NewRun(Parameters):
    """A job that makes a run."""

    sim_name: RunName

    @property
    def name(self) -> str:
        """The name of the run."""
        return self.sim_name


class StoredRun(_Table):
    """A job that goes on with a stored run."""

    resume: RunName
    steps: Annotated[int, Field(ge=1)] = 5

    @property
    def name(self) -> str:
        """The name of the run."""
        return self.resume


class _File(_Table):
    limits: LimitsTable = LimitsTable()
    defaults: dict[str, Any] = {}
    jobs: Annotated[list[dict[str, Any]], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Job:
    """A job that can be run.

    Attributes:
        name: The name of its run.
        steps: How many steps the run has at its end.
        parameters: What a new run is made of, by the names of the model's parameters, without backends.
        who: Makes the backends anew, for each model its own.
        is_costly: Whether any of its agents asks an endpoint.
        described: What the manifest of the run must say, and its personas; None if the run alone says it.
    """

    name: str
    steps: int
    parameters: Mapping[str, Any]
    who: Callable[[], Respondents]
    is_costly: bool
    described: tuple[Row, list[Row]] | None


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
        content = _parsed(_File, _read(file), str(file))
        _parsed(Parameters, content.defaults, f"{file}: defaults")
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


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{file} is no TOML: {error}") from None


def _label(number: int, table: Mapping[str, Any]) -> str:
    """Return how errors call a job."""
    name = table.get("sim_name", table.get("resume"))
    return f"job {number}" + (f" ({name!r})" if isinstance(name, str) else "")


def _parsed[T: BaseModel](kind: type[T], data: Mapping[str, Any], where: str) -> T:
    """Return data as what it is to be.

    Raises:
        ConfigurationError: If it is not; the message names the first key that is wrong.
    """
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        match first["type"]:
            case "extra_forbidden":
                raise ConfigurationError(f"{where}: {key}: unknown; known are {', '.join(kind.model_fields)}") from None
            case "missing":
                raise ConfigurationError(f"{where}: {key}: is missing") from None
            case "value_error":
                raise ConfigurationError(f"{where}: {key}: {first['ctx']['error']}") from None
        raise ConfigurationError(f"{where}: {key}: {first['msg']}; it is {first['input']!r:.60}") from None


def _job(table: Mapping[str, Any], defaults: Mapping[str, Any], where: str, storage: Path, limits: Limits) -> Job:
    """Check a job down to its backends and personas.

    Raises:
        ConfigurationError: If it cannot be run.
    """
    if "resume" in table:
        steps = {"steps": defaults["steps"]} if "steps" in defaults else {}
        return _of_stored(_parsed(StoredRun, {**steps, **table}, where), where, storage)
    return _of_new(_parsed(NewRun, {**defaults, **table}, where), where, storage, limits)


def _of_new(wanted: NewRun, where: str, storage: Path, limits: Limits) -> Job:
    def who() -> Respondents:
        return respondents(replayable(wanted.backend, storage), wanted.backend_for)

    values = wanted.model_dump()
    _backends(lambda: respondents(replayable(wanted.backend, storage)), f"{where}: backend")
    answering = _backends(who, f"{where}: backend_for")
    kind, _, replayed = replayable(wanted.backend, storage).partition(":")
    if kind == "replay":
        own = parameters_of(RunFolder.open(Path(replayed)))
        values |= {name: value for name, value in own.items() if name not in wanted.model_fields_set}
    made_of = {
        "game": values["scenario"],
        **{name: values[name] for name in ("reputation", "gossip", "n_agents", "personas")},
        **{name: values[name] for name in ("activation", "dialogue_turns", "questions")},
        "rng": values["seed"],
    }
    try:
        with RepuNetModel(
            **made_of, backend=answering.default, backend_for=answering.by_name, limits=limits
        ) as described:
            return Job(
                name=wanted.sim_name,
                steps=values["steps"],
                parameters=made_of,
                who=who,
                is_costly=answering.is_costly,
                described=(described.manifest(), described.personas()),
            )
    except RepuNetError as error:
        raise ConfigurationError(f"{where}: {error}") from None


def _of_stored(wanted: StoredRun, where: str, storage: Path) -> Job:
    try:
        manifest = RunFolder.open(storage / wanted.resume).manifest()
    except RepuNetError as error:
        raise ConfigurationError(f"{where}: resume: {error}") from None

    def who() -> Respondents:
        return recorded(manifest)

    answering = _backends(who, f"{where}: resume")
    return Job(wanted.resume, wanted.steps, {}, who, answering.is_costly, described=None)


def _backends(make: Callable[[], Respondents], where: str) -> Respondents:
    try:
        answering = make()
        check_nobody_types(answering)
    except RepuNetError as error:
        raise ConfigurationError(f"{where}: {error}") from None
    return answering


class Result(StrEnum):
    """What became of a job."""

    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job.

    Attributes:
        job: The job.
        result: See `Result`.
        steps: How many steps its run has.
        reason: Why it failed.
    """

    job: Job
    result: Result
    steps: int
    reason: str = ""


@dataclass(slots=True)
class _Running:
    """A job, and how far it is.

    Attributes:
        job: The job.
        model: Its society, while there is one.
        has_run: Whether its run is there, and is the one that the job describes.
        steps: How many steps the run has.
        interrupts: How often a step of it was asked to stop.
    """

    job: Job
    model: RepuNetModel | None = None
    has_run: bool = False
    steps: int = 0
    interrupts: int = 0


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
    def steps_wanted(self) -> int:
        """How many steps all runs have at the end."""
        return sum(job.steps for job in self._plan.jobs)

    @property
    def steps_done(self) -> int:
        """How many of them are done."""
        return sum(min(each.steps, each.job.steps) for each in self._running)

    @property
    def seconds_left(self) -> float | None:
        """How long the steps that are left take, if they take as long as those before; None if nothing is known."""
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

    def run(self, note: Callable[[Outcome], None]) -> list[Outcome]:
        """Run the jobs, and return what became of them, in the order of the plan.

        Args:
            note: Told what became of each job, as soon as it has ended.

        Raises:
            StorageError: If the folder of the logs cannot be written.
        """
        try:
            self._logs.mkdir(parents=True, exist_ok=True)
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
                outcomes[outcome.job.name] = outcome
                note(outcome)
        return [outcomes[job.name] for job in self._plan.jobs]

    def _ends(self, under_way: set[Future[Outcome]]) -> Iterator[Outcome]:
        """Yield outcomes as they come, and hand on the wish to stop."""
        while under_way:
            done, under_way = wait(under_way, timeout=POLL, return_when=FIRST_COMPLETED)
            yield from (each.result() for each in done)
            for each in self._running:
                model = each.model
                # Whoever was between two steps is asked again, until it was in one or has ended.
                if each.interrupts < self._stops and model is not None and model.interrupt():
                    each.interrupts += 1

    def _taken_up(self, each: _Running) -> Outcome | None:
        """Take up the run of a job, if it is there; return what became of the job if nothing is left to do."""
        job = each.job
        path = self._plan.storage / job.name
        if not path.exists():
            return None
        try:
            folder = RunFolder.open(path)
            if job.described is not None:
                _check_same(folder, *job.described)
            each.model = RepuNetModel.load(path, backend=job.who(), limits=self._plan.limits)
        except RepuNetError as error:
            return self._failed(each, str(error))
        each.has_run, each.steps = True, each.model.steps
        if each.steps < job.steps:
            return None
        self._let_go(each)
        return Outcome(job, Result.DONE, each.steps)

    def _run(self, each: _Running) -> Outcome:
        """Run a job to its end, in a thread of its own; nothing that goes wrong here stops another job."""
        job = each.job
        if self._stops:
            self._let_go(each)
            return Outcome(job, Result.STOPPED, each.steps)
        try:
            if each.model is None:
                who = job.who()
                each.model = RepuNetModel(
                    **job.parameters,
                    backend=who.default,
                    backend_for=who.by_name,
                    limits=self._plan.limits,
                    storage=str(self._plan.storage),
                    run_name=job.name,
                )
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
            return Outcome(job, Result.DONE, each.steps)
        return self._failed(each, "interrupted", result=Result.STOPPED)

    def _let_go(self, each: _Running) -> None:
        """Close the society of a job, and keep what it has cost."""
        with self._totals:
            model, each.model = each.model, None
            if model is not None:
                self._calls += model.calls
                self._usage.add(model.usage)
        if model is not None:
            model.close()

    def _failed(self, each: _Running, reason: str, details: str = "", result: Result = Result.FAILED) -> Outcome:
        """Log why a job did not get to its end, and how to go on, and return what became of it."""
        job = each.job
        how = ""
        if each.has_run:
            going_on = to_go_on(self._plan.storage / job.name, job.steps - each.steps)
            how = f"; the run is whole up to step {each.steps}, go on with: {going_on}"
        try:
            self._log(job, f"error: {' '.join(reason.split())}{how}", *details.splitlines())
        except StorageError as error:
            reason = f"{reason}; {error}"
        return Outcome(job, result, each.steps, reason)

    def _log(self, job: Job, *lines: str) -> None:
        """Add lines to the log of a job.

        Raises:
            StorageError: If it cannot be written.
        """
        path = self._logs / f"{job.name}.log"
        now = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        try:
            with path.open("a", encoding="utf-8") as file:
                file.writelines(f"{now} {line}\n" for line in lines)
        except OSError as error:
            raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error


def outcomes_table(outcomes: Sequence[Outcome]) -> Table:
    """Return what became of jobs.

    Args:
        outcomes: One of each job.
    """
    table = Table(title="Jobs", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("run")
    table.add_column("steps", justify="right")
    table.add_column("result", overflow="fold")
    for outcome in outcomes:
        table.add_row(outcome.job.name, f"{outcome.steps}/{outcome.job.steps}", Text(in_words(outcome)))
    return table


def in_words(outcome: Outcome) -> str:
    """Return what became of a job."""
    return outcome.result.value + (f": {outcome.reason}" if outcome.reason else "")


def _check_same(folder: RunFolder, manifest: Row, people: Sequence[Row]) -> None:
    """Make sure that a stored run is the one that a job describes.

    Raises:
        ConfigurationError: If it is another.
        StorageError: If it cannot be read.
    """
    stored = folder.manifest()
    if "parent" in stored:
        raise ConfigurationError(f"{folder.path} is a fork: go on with it by resume, or choose another sim_name")
    wanted = json.loads(json.dumps(manifest))
    for name in (*PARAMETERS, "backend", "backend_for"):
        if stored.get(name) != wanted[name]:
            raise ConfigurationError(
                f"{folder.path} is another run: its {name} is {json.dumps(stored.get(name))}, the job's "
                f"{json.dumps(wanted[name])}; choose another sim_name"
            )
    if folder.document(0, "personas") != json.loads(json.dumps(people)):
        raise ConfigurationError(f"{folder.path} is another run: its personas are others; choose another sim_name")


def _step_line(model: RepuNetModel) -> str:
    """Return what came of the last step of a model."""
    rates = {name: model.measures[name] for name in games.find(model.game).rates}
    shown = ", ".join(f"{name} {'-' if rate is None else f'{rate:.3g}'}" for name, rate in rates.items())
    calls, usage = model.measures["calls"], model.step_usage
    return f"step {model.steps}: {shown}; {calls:,} calls, {usage.tokens:,} tokens, ${usage.usd:,.4f}"
