"""Jobs: descriptions of runs, validated before any run starts, and repeatable until all runs are complete.

`batch` runs jobs concurrently in this process, `sweep.spread` in many processes.
"""

from __future__ import annotations

import json
import os
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
from repunet_model.backends.waits import Waits
from repunet_model.config import RunConfig
from repunet_model.errors import ConfigurationError, RepuNetError
from repunet_model.jobs.resume import Start, check_nobody_types, start
from repunet_model.stability import OPTION, StabilityRule
from repunet_model.storage import Manifest, RunFolder, StepReader
from repunet_model.storage.manifest import SHOWN_DIGITS
from repunet_model.util.text import check_name, first_problem


class Section(BaseModel):
    """A section of a file of jobs, strict about keys and types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


Steps = Annotated[int, Field(ge=1)]


def _run_name(name: str) -> str:
    try:
        return check_name(name)
    except ConfigurationError as error:
        raise ValueError(str(error)) from None


RunName = Annotated[str, AfterValidator(_run_name)]


class LimitsTable(Section):
    """The limits on all jobs together; see `Limits`."""

    concurrency: int = 32
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    budget_tokens: int | None = None
    budget_usd: float | None = None


class _NewRunKeys(Section):
    sim_name: RunName
    steps: Steps = 5
    until_stable: bool = False


def game_table(value: object, where: str) -> Mapping[str, Any]:
    """Return the table `game` of a file; raise ConfigurationError if it is no table."""
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{where}: game: must be a table of its parameters; scenario names the game itself")
    return value


@dataclass(frozen=True, slots=True)
class NewRun:
    """A job that creates a run; without `sets_steps`, `steps` is a default, and a replay is as long as its original.

    With `until_stable` the run ends when it is stable, and has at most so many steps.
    """

    name: str
    steps: int
    config: RunConfig
    sets_steps: bool = True
    until_stable: bool = False

    @classmethod
    def of_table(cls, table: Mapping[str, Any], where: str) -> Self:
        """Parse a table with `sim_name`, `steps` and parameters; a ConfigurationError names its place, `where`."""
        own = {name: value for name, value in table.items() if name in _NewRunKeys.model_fields}
        others = {name: value for name, value in table.items() if name not in own}
        if "game" in others:
            others["game_parameters"] = game_table(others.pop("game"), where)
        config = RunConfig.checked(others, where)
        keys = parsed(_NewRunKeys, own, where)
        return cls(keys.sim_name, keys.steps, config, "steps" in own, keys.until_stable)


class ResumedRun(Section):
    """A job that continues a stored run."""

    resume: RunName
    steps: Steps = 5
    until_stable: bool = False

    @property
    def name(self) -> str:
        """The name of the run."""
        return self.resume


@dataclass(frozen=True, slots=True)
class Job:
    """A validated job; `is_costly` if any agent asks an endpoint.

    `start` is None for a stored run; `described` is the manifest that a stored run must match, None for any; `rule` is
    the rule by which the run ends before its last step, None to run all.
    """

    name: str
    steps: int
    start: Start | None
    who: Callable[[], Respondents]
    is_costly: bool
    described: Manifest | None
    rule: StabilityRule | None = None


def parsed[T: BaseModel](kind: type[T], data: Mapping[str, Any], where: str) -> T:
    """Validate data; raise ConfigurationError, which names the first invalid key."""
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


def new_job(
    wanted: NewRun, where: str, storage: Path, limits: Limits, environment: Mapping[str, str] = os.environ
) -> Job:
    """Validate a new run with backends and personas, writing nothing; a ConfigurationError begins with `where`."""
    try:
        begun = start(wanted.config, storage, environment)
        answering = begun.who()
        check_nobody_types(answering)
        steps = wanted.steps if wanted.sets_steps or begun.replayed_steps is None else begun.replayed_steps
        rule = rule_for(wanted.until_stable, steps)
        with begun.make(answering, limits) as described:
            return Job(
                name=wanted.name,
                steps=steps,
                start=begun,
                who=begun.who,
                is_costly=answering.is_costly,
                described=described.manifest(),
                rule=rule,
            )
    except RepuNetError as error:
        raise ConfigurationError(f"{where}: {error}") from None


def stored_job(wanted: ResumedRun, where: str, storage: Path, environment: Mapping[str, str] = os.environ) -> Job:
    """Validate a job that continues a stored run; raise ConfigurationError, beginning with `where`, if it cannot."""
    try:
        manifest = RunFolder.open(storage / wanted.resume).manifest()
        who = partial(recorded, manifest, environment=environment)
        answering = who()
        check_nobody_types(answering)
    except RepuNetError as error:
        raise ConfigurationError(f"{where}: resume: {error}") from None
    return Job(
        name=wanted.resume,
        steps=wanted.steps,
        start=None,
        who=who,
        is_costly=answering.is_costly,
        described=None,
        rule=StabilityRule() if wanted.until_stable else None,
    )


def rule_for(until_stable: bool, steps: int, name: str = OPTION) -> StabilityRule | None:
    """Return the rule by which a new run of at most `steps` steps ends; None if it has them all.

    Raises:
        ConfigurationError: If a run of so many steps is never stable.
    """
    if not until_stable:
        return None
    rule = StabilityRule()
    rule.check(steps, name)
    return rule


class Result(StrEnum):
    """The result of a job."""

    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """The picklable outcome of a job: its run has `steps` of `wanted` steps; `calls` were answered since it began.

    `stable_after` is the step after which the run was stable, if that is why it ended.
    """

    name: str
    wanted: int
    result: Result
    steps: int
    reason: str = ""
    calls: int = 0
    stable_after: int | None = None

    @property
    def last(self) -> int:
        """The last step of a complete run that counts."""
        return self.wanted if self.stable_after is None else self.stable_after

    def __str__(self) -> str:
        reason = self.reason or ("" if self.stable_after is None else f"stable after step {self.stable_after}")
        return self.result.value + (f": {reason}" if reason else "")


class Runner(Protocol):
    """The interface of all ways of running jobs."""

    @property
    def count(self) -> int:
        """The number of jobs."""

    @property
    def steps_wanted(self) -> int:
        """The total number of steps of all runs."""

    @property
    def steps_done(self) -> int:
        """The number of completed steps."""

    @property
    def seconds_left(self) -> float | None:
        """The estimated remaining time; None if unknown."""

    @property
    def waits(self) -> Waits:
        """The waits for endpoints that are under way."""

    def total(self) -> tuple[int, Usage]:
        """Return the number of calls answered since the start, and their cost."""

    def stop(self) -> None:
        """Start nothing new, and end running jobs as soon as that loses nothing; the second time, at once."""

    def run(self, note: Callable[[JobOutcome], None]) -> list[JobOutcome]:
        """Run the jobs and return their outcomes in order; `note` gets each outcome at once."""


def outcomes_table(outcomes: Sequence[JobOutcome]) -> Table:
    """Build the table of the outcomes of jobs."""
    table = Table(title="Jobs", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("run")
    table.add_column("steps", justify="right")
    table.add_column("result", overflow="fold")
    for outcome in outcomes:
        table.add_row(outcome.name, f"{outcome.steps}/{outcome.wanted}", str(outcome))
    return table


def _prompts_of(manifest: Manifest) -> str:
    """Return what identifies a prompt set beside the version of this package: its name, and the hash of own folders."""
    known = manifest.prompts
    return f"{known['set']} ({known['sha256'][:SHOWN_DIGITS]})" if "folders" in known else str(known["set"])


def check_same(run: StepReader, wanted: Manifest) -> None:
    """Check that a stored run has the description in a manifest; raise ConfigurationError if not."""
    place = run.folder.path
    if run.manifest.parent is not None:
        raise ConfigurationError(f"{place} is a fork: continue it with resume, or choose another sim_name")
    entries = ("game_parameters", "network", "backend", "backend_for", "measures", "extensions")
    stored, described = (
        {
            **manifest.config.in_table(),
            "stages": manifest.stages,
            "prompts": _prompts_of(manifest),
            "backends of events": manifest.planted,
            **_agents(population),
        }
        for manifest, population in ((run.manifest, run.population), (wanted, wanted.data["population"]))
    )
    stored |= {name: run.manifest.data.get(name, wanted.data[name]) for name in entries}
    described |= json.loads(json.dumps({name: wanted.data[name] for name in entries}))
    for name, value in described.items():
        if stored[name] != value:
            raise ConfigurationError(
                f"{place} is another run: its {name} is {json.dumps(stored[name])}, the job's {json.dumps(value)}; "
                "choose another sim_name"
            )


def _agents(population: Mapping[str, Any]) -> dict[str, Any]:
    return {"population": population["sha256"], "draw of the population": population.get("drawn")}
