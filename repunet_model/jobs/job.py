"""Jobs: runs that are described before they are made, checked as a whole, and taken up again until they are done.

A job says how many steps its run has at the end, so that the same jobs can be given again: what is done is skipped,
what is not goes on from where it was, and a stored run that is not what its job describes is a failure of that job.
`batch` runs jobs side by side in this process, `sweep.spread` over many.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Protocol, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from rich import box
from rich.table import Table

from repunet_model.backends.base import Usage
from repunet_model.backends.limits import Limits
from repunet_model.backends.setup import Respondents, recorded
from repunet_model.config import RunConfig
from repunet_model.errors import ConfigurationError, RepuNetError
from repunet_model.jobs.resume import Start, check_nobody_types, start
from repunet_model.storage import Manifest, RunFolder, StepReader
from repunet_model.util.text import check_name, first_problem


class Section(BaseModel):
    """A section of a file of jobs: nothing unknown, nothing of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


Steps = Annotated[int, Field(ge=1)]


def _run_name(name: str) -> str:
    try:
        return check_name(name)
    except ConfigurationError as error:
        raise ValueError(str(error)) from None


RunName = Annotated[str, AfterValidator(_run_name)]


class LimitsTable(Section):
    """The limits of all jobs together; see `Limits`."""

    concurrency: int = 32
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    budget_tokens: int | None = None
    budget_usd: float | None = None


class _NewRunKeys(Section):
    sim_name: RunName
    steps: Steps = 5


@dataclass(frozen=True, slots=True)
class NewRun:
    """A job that makes a run.

    Attributes:
        name: The name of the run.
        steps: How many steps it has at its end.
        config: Its parameters.
        sets_steps: Whether the job says how many steps; a replay that does not has those of the run it repeats.
    """

    name: str
    steps: int
    config: RunConfig
    sets_steps: bool = True

    @classmethod
    def of_table(cls, table: Mapping[str, Any], where: str) -> Self:
        """Read a job from a table of a file.

        Args:
            table: The table: `sim_name`, `steps`, and the parameters of a run.
            where: Where it stands, for messages.

        Raises:
            ConfigurationError: If a key is unknown or missing, or a value cannot be used.
        """
        own = {name: value for name, value in table.items() if name in _NewRunKeys.model_fields}
        config = RunConfig.checked({name: value for name, value in table.items() if name not in own}, where)
        keys = parsed(_NewRunKeys, own, where)
        return cls(keys.sim_name, keys.steps, config, "steps" in own)


class ResumedRun(Section):
    """A job that goes on with a stored run."""

    resume: RunName
    steps: Steps = 5

    @property
    def name(self) -> str:
        """The name of the run."""
        return self.resume


@dataclass(frozen=True, slots=True)
class Job:
    """A job that can be run.

    Attributes:
        name: The name of its run.
        steps: How many steps the run has at its end.
        start: How a new run is made; None for a stored run.
        who: Makes the backends anew, for each model its own.
        is_costly: Whether any of its agents asks an endpoint.
        described: What the manifest of the run must say; None if the run alone says it.
    """

    name: str
    steps: int
    start: Start | None
    who: Callable[[], Respondents]
    is_costly: bool
    described: Manifest | None


def read_toml(file: Path) -> dict[str, Any]:
    """Return what is in a TOML file.

    Raises:
        ConfigurationError: If it cannot be read, or is no TOML.
    """
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{file} is no TOML: {error}") from None


def parsed[T: BaseModel](kind: type[T], data: Mapping[str, Any], where: str) -> T:
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
        raise ConfigurationError(f"{where}: {first_problem(error)}; it is {first['input']!r:.60}") from None


def new_job(wanted: NewRun, where: str, storage: Path, limits: Limits) -> Job:
    """Check a job that makes a run, down to its backends and personas, and write nothing.

    Args:
        wanted: The run.
        where: How errors name it.
        storage: The folder of all runs.
        limits: What all jobs may not exceed together.

    Raises:
        ConfigurationError: If the run cannot be made.
    """
    try:
        begun = start(wanted.config, storage)
        answering = begun.who()
        check_nobody_types(answering)
        with begun.make(answering, limits) as described:
            return Job(
                name=wanted.name,
                steps=wanted.steps if wanted.sets_steps or begun.replayed_steps is None else begun.replayed_steps,
                start=begun,
                who=begun.who,
                is_costly=answering.is_costly,
                described=described.manifest(),
            )
    except RepuNetError as error:
        raise ConfigurationError(f"{where}: {error}") from None


def stored_job(wanted: ResumedRun, where: str, storage: Path) -> Job:
    """Check a job that goes on with a stored run.

    Args:
        wanted: The run.
        where: How errors name it.
        storage: The folder of all runs.

    Raises:
        ConfigurationError: If there is no such run, or it cannot be gone on with.
    """
    try:
        manifest = RunFolder.open(storage / wanted.resume).manifest()
        answering = recorded(manifest)
        check_nobody_types(answering)
    except RepuNetError as error:
        raise ConfigurationError(f"{where}: resume: {error}") from None
    return Job(wanted.resume, wanted.steps, None, partial(recorded, manifest), answering.is_costly, described=None)


class Result(StrEnum):
    """The result of a job."""

    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """The outcome of a job, as plain data that processes can exchange.

    Attributes:
        name: The name of its run.
        wanted: How many steps the run was to have.
        result: See `Result`.
        steps: How many steps it has.
        reason: Why it failed.
        calls: How many questions were answered for it since it was taken up.
    """

    name: str
    wanted: int
    result: Result
    steps: int
    reason: str = ""
    calls: int = 0

    def __str__(self) -> str:
        return self.result.value + (f": {self.reason}" if self.reason else "")


class Runner(Protocol):
    """Whoever runs jobs, wherever they run."""

    @property
    def count(self) -> int:
        """The number of jobs."""

    @property
    def steps_wanted(self) -> int:
        """The number of steps that all runs have at the end."""

    @property
    def steps_done(self) -> int:
        """The number of steps that are done."""

    @property
    def seconds_left(self) -> float | None:
        """The expected seconds for the remaining steps, from those so far; None before the first."""

    def total(self) -> tuple[int, Usage]:
        """Return how many questions were answered since the start, and what they cost."""

    def stop(self) -> None:
        """Let nothing new begin, and end what is under way as soon as nothing is lost by it; twice: at once."""

    def run(self, note: Callable[[JobOutcome], None]) -> list[JobOutcome]:
        """Run the jobs, and return what became of them, in their order.

        Args:
            note: Told what became of each job, as soon as it has ended.

        Raises:
            RepuNetError: If they cannot be run at all.
        """


def outcomes_table(outcomes: Sequence[JobOutcome]) -> Table:
    """Return what became of jobs.

    Args:
        outcomes: One of each job.
    """
    table = Table(title="Jobs", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("run")
    table.add_column("steps", justify="right")
    table.add_column("result", overflow="fold")
    for outcome in outcomes:
        table.add_row(outcome.name, f"{outcome.steps}/{outcome.wanted}", str(outcome))
    return table


def check_same(run: StepReader, wanted: Manifest) -> None:
    """Make sure that a stored run is the one that a job describes.

    Raises:
        ConfigurationError: If it is another.
        StorageError: If it cannot be read.
    """
    place = run.folder.path
    if run.manifest.parent is not None:
        raise ConfigurationError(f"{place} is a fork: go on with it by resume, or choose another sim_name")
    entries = ("backend", "backend_for", "measures", "extensions")
    stored = {**run.manifest.config.stored(), "stages": run.manifest.stages, "population": run.population["sha256"]}
    described = {**wanted.config.stored(), "stages": wanted.stages, "population": wanted.data["population"]["sha256"]}
    stored |= {name: run.manifest.data.get(name, wanted.data[name]) for name in entries}
    described |= json.loads(json.dumps({name: wanted.data[name] for name in entries}))
    for name, value in described.items():
        if stored[name] != value:
            raise ConfigurationError(
                f"{place} is another run: its {name} is {json.dumps(stored[name])}, the job's {json.dumps(value)}; "
                "choose another sim_name"
            )
