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
from pathlib import Path
from typing import Annotated, Any, Protocol

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from rich import box
from rich.table import Table

from repunet_model import parameters
from repunet_model.backends.base import Usage
from repunet_model.backends.limits import Limits
from repunet_model.backends.setup import Respondents, recorded, respondents
from repunet_model.errors import ConfigurationError, RepuNetError
from repunet_model.model import RepuNetModel
from repunet_model.persistence import PARAMETERS
from repunet_model.starting import check_nobody_types, model_parameters, replayed_parameters
from repunet_model.storage import Row, RunFolder
from repunet_model.words import check_name, first_problem, replayable, scenario


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


class Section(BaseModel):
    """A section of a file of jobs: nothing unknown, nothing of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class LimitsTable(Section):
    """What all jobs may not exceed together; see `Limits`."""

    concurrency: int = 32
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    budget_tokens: int | None = None
    budget_usd: float | None = None


class Parameters(Section):
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


class ResumedRun(Section):
    """A job that goes on with a stored run."""

    resume: RunName
    steps: Annotated[int, Field(ge=1)] = 5

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

    def who() -> Respondents:
        return respondents(replayable(wanted.backend, storage), wanted.backend_for)

    values = wanted.model_dump()
    _backends(lambda: respondents(replayable(wanted.backend, storage)), f"{where}: backend")
    answering = _backends(who, f"{where}: backend_for")
    own = replayed_parameters(replayable(wanted.backend, storage))
    values |= {name: value for name, value in own.items() if name not in wanted.model_fields_set}
    made_of = model_parameters(values)
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
class JobOutcome:
    """What became of a job; plain data, which another process can hand over.

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
        """How many jobs there are."""

    @property
    def steps_wanted(self) -> int:
        """How many steps all runs have at the end."""

    @property
    def steps_done(self) -> int:
        """How many of them are done."""

    @property
    def seconds_left(self) -> float | None:
        """How long the steps that are left take, if they take as long as those before; None if nothing is known."""

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


def check_same(folder: RunFolder, manifest: Row, people: Sequence[Row]) -> None:
    """Make sure that a stored run is the one that a job describes.

    Raises:
        ConfigurationError: If it is another.
        StorageError: If it cannot be read.
    """
    stored = {"measures": [], **folder.manifest()}
    if "parent" in stored:
        raise ConfigurationError(f"{folder.path} is a fork: go on with it by resume, or choose another sim_name")
    wanted = json.loads(json.dumps(manifest))
    for name in (*PARAMETERS, "backend", "backend_for", "measures"):
        if stored.get(name) != wanted[name]:
            raise ConfigurationError(
                f"{folder.path} is another run: its {name} is {json.dumps(stored.get(name))}, the job's "
                f"{json.dumps(wanted[name])}; choose another sim_name"
            )
    if folder.document(0, "personas") != json.loads(json.dumps(people)):
        raise ConfigurationError(f"{folder.path} is another run: its personas are others; choose another sim_name")
