"""Sweeps: grids of parameters, each run with every seed.

A file that describes one::

    name = "temptation"
    steps = 30
    seeds = "1-20"                      # or "1,3,7-9", or [1, 2, 3]

    [grid]                              # a value, or a list of them; what is not named has its default
    scenario = ["pd", "investment"]
    reputation = [true, false]
    gossip = [true, false]
    backend = "rules"
    n_agents = [20, 50]

    [grid.rules]                        # parameters of the backend rules, by their names
    learning_rate = [0.2, 0.4]

    [limits]                            # all runs together, as in a file of jobs
    budget_usd = 5

A cell of a sweep is a job that makes a run (`jobs.NewRun`); its name says its scenario, mode and seed, and by a short
hash whatever else is not as by default, so that it stays the same when the grid grows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field

from repunet_model.backends.setup import has_rules
from repunet_model.config import FIELD_OF, RunConfig, mode_of, name_of
from repunet_model.errors import ConfigurationError
from repunet_model.jobs.job import LimitsTable, NewRun, RunName, Section, Steps, parsed, read_toml
from repunet_model.storage import to_json
from repunet_model.util.text import check_name


class Grid:
    """Values of the parameters of a run; every combination of them is run.

    Attributes:
        values: Values by parameter (see `RunConfig`), those that were not given with their default.
        rules: Values of parameters of the backend rules, by name.
    """

    def __init__(self, table: Mapping[str, Any], where: str = "grid") -> None:
        """Read a grid.

        Args:
            table: By the name of a parameter in files, a value or a list of them; under "rules" a table of such.
            where: Where it stands, for messages.

        Raises:
            ConfigurationError: If a name is unknown, or a value cannot be used.
        """
        own = {name: values for name, values in table.items() if name != "rules"}
        for name, values in own.items():
            if values == []:
                raise ConfigurationError(f"{where}: {name}: give at least one value")
        varied = {FIELD_OF.get(name, name) for name in own}
        if "seed" in varied:
            raise ConfigurationError(f"{where}: seed: name the seeds of a sweep under seeds")
        checked: dict[str, list[Any]] = {}
        for name, values in own.items():
            configs = [RunConfig.checked({name: value}, where) for value in _listed(values)]
            checked[FIELD_OF[name]] = [getattr(config, FIELD_OF[name]) for config in configs]
        self.values = {
            field: checked.get(field, [default])
            for field, default in RunConfig().model_dump().items()
            if field != "seed"
        }
        self.rules = parsed(_Rules, {"rules": table.get("rules", {})}, where).rules

    def stored(self) -> dict[str, Any]:
        """Return the grid as a table of a file."""
        return {**{name_of(field): values for field, values in self.values.items()}, "rules": self.rules}

    def backends(self) -> list[str]:
        """Return every backend with every combination of parameters of the rules.

        Raises:
            ConfigurationError: If there are such parameters for a backend that has none, or a backend is a replay.
        """
        backends: list[str] = self.values["backend"]
        if any(backend.partition(":")[0] == "replay" for backend in backends):
            raise ConfigurationError("backend: a replay repeats one run, and cannot be swept")
        if not self.rules:
            return backends
        named = [[f"{name}={value!r}" for value in values] for name, values in self.rules.items()]
        combined = []
        for backend in backends:
            if not has_rules(backend):
                raise ConfigurationError(f"rules: the backend {backend!r} has no such parameters")
            joint = "," if ":" in backend else ":"
            combined += [f"{backend}{joint}{','.join(values)}" for values in product(*named)]
        return combined

    def points(self) -> Iterator[RunConfig]:
        """Yield every combination."""
        values = {**self.values, "backend": self.backends()}
        for combination in product(*values.values()):
            yield RunConfig.checked(dict(zip(values, combination, strict=True)))


def _listed(value: object) -> Any:
    return value if isinstance(value, list) else [value]


class _Rules(Section):
    rules: dict[str, Annotated[list[float], BeforeValidator(_listed), Field(min_length=1)]]


class _File(Section):
    name: RunName | None = None
    steps: Steps = 30
    seeds: str | list[int] = "1"
    grid: dict[str, Any] = Field(default_factory=dict)
    limits: LimitsTable = Field(default_factory=LimitsTable)


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep: some grids, each with every seed.

    Attributes:
        name: Its name, and that of its folder.
        steps: How many steps every run has at its end.
        seeds: The seeds.
        grids: The grids; a cell that two of them have is run once.
        limits: What all runs may not exceed together.
    """

    name: str
    steps: int
    seeds: Sequence[int]
    grids: Sequence[Grid]
    limits: LimitsTable = field(default_factory=LimitsTable)

    def cells(self) -> list[NewRun]:
        """Return the runs, in the order of the grids, each once.

        Raises:
            ConfigurationError: If a grid cannot be expanded.
        """
        found: dict[str, NewRun] = {}
        for grid in self.grids:
            for point in grid.points():
                for seed in self.seeds:
                    name = _cell_name(point, seed)
                    found.setdefault(name, NewRun(name, self.steps, point.changed({"seed": seed})))
        return list(found.values())

    @classmethod
    def load(cls, file: Path, name: str | None = None) -> Self:
        """Read a sweep from a TOML file.

        Args:
            file: The file.
            name: The name, instead of the file's own; without either it is that of the file.

        Raises:
            ConfigurationError: If anything in it cannot be used; the message names the key.
        """
        content = parsed(_File, read_toml(file), str(file))
        grid = Grid(content.grid, f"{file}: grid")
        try:
            seeds = seeds_of(content.seeds)
        except ConfigurationError as error:
            raise ConfigurationError(f"{file}: {error}") from None
        if not (name := name or content.name):
            try:
                name = check_name(file.stem)
            except ConfigurationError as error:
                raise ConfigurationError(f"{file}: {error}, as name or --name") from None
        return cls(name, content.steps, seeds, [grid], content.limits)

    @classmethod
    def of_values(
        cls,
        name: str,
        steps: int,
        seeds: str | Sequence[int],
        values: Mapping[str, Any],
        limits: Mapping[str, Any] | None = None,
    ) -> Self:
        """Return a sweep of one grid.

        Args:
            name: Its name.
            steps: See `Sweep`.
            seeds: As in a file.
            values: The grid, as in a file.
            limits: What all runs may not exceed together, as in a file.

        Raises:
            ConfigurationError: If a value cannot be used.
        """
        return cls(name, steps, seeds_of(seeds), [Grid(values)], LimitsTable(**(limits or {})))


def seeds_of(given: str | Sequence[int]) -> list[int]:
    """Return seeds from a list, or from words such as "1-20" or "1,3,7-9".

    Raises:
        ConfigurationError: If they are no seeds, or one is there twice.
    """
    if isinstance(given, str):
        seeds: list[int] = []
        for part in given.split(","):
            match = re.fullmatch(r"\s*(\d{1,18})\s*(?:-\s*(\d{1,18})\s*)?", part)
            if match is None:
                raise ConfigurationError(f"seeds {given!r}: write them as in 1-20 or 1,3,7-9")
            first, last = int(match[1]), int(match[2] or match[1])
            if not first <= last < first + 1_000_000:
                raise ConfigurationError(f"seeds {given!r}: {part.strip()} is no range")
            seeds += range(first, last + 1)
    else:
        seeds = list(given)
    if not seeds:
        raise ConfigurationError("seeds: name at least one")
    if len(set(seeds)) < len(seeds):
        raise ConfigurationError(f"seeds {given!r}: one is there twice")
    return seeds


_IN_NAME = ("game", "reputation", "gossip", "seed")


def _cell_name(point: RunConfig, seed: int) -> str:
    """Return the name of a run: scenario, mode and seed, and a hash of what else is not as by default."""
    mode = mode_of(point.reputation, point.gossip).replace(" ", "_")
    default = RunConfig().model_dump(mode="json")
    other = {
        name_of(field): value
        for field, value in sorted(point.model_dump(mode="json").items())
        if field not in _IN_NAME and value != default[field]
    }
    mark = f"_{sha256(to_json(other).encode()).hexdigest()[:10]}" if other else ""
    return f"{point.game}_{mode}{mark}_seed{seed}"
