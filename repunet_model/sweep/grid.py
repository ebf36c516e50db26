"""What a sweep varies: grids of parameters, each with every seed, and the runs that come of them.

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

from repunet_model import parameters
from repunet_model.backends.setup import has_rules
from repunet_model.errors import ConfigurationError
from repunet_model.jobs import (
    ActivationName,
    LimitsTable,
    NewRun,
    Parameters,
    QuestionsName,
    RunName,
    ScenarioName,
    Section,
    parsed,
    read_toml,
)
from repunet_model.modes import mode_of
from repunet_model.storage import to_json
from repunet_model.words import check_name


def _listed(value: object) -> object:
    return value if isinstance(value, list) else [value]


type Values[T] = Annotated[list[T], BeforeValidator(_listed), Field(min_length=1)]
"""One value, or a list of them."""


def _one(value: object) -> Any:
    """Return the default of a parameter: one value."""
    return Field(default_factory=lambda: [value])


class Grid(Section):
    """Values of the parameters of a run; every combination of them is run."""

    scenario: Values[ScenarioName] = _one("prisoners_dilemma")
    backend: Values[str] = _one("rules")
    rules: dict[str, Values[float]] = Field(default_factory=dict)
    n_agents: Values[Annotated[int, Field(ge=2)] | None] = _one(None)
    personas: Values[str] = _one("built-in")
    activation: Values[ActivationName] = _one("simultaneous")
    dialogue_turns: Values[Annotated[int, Field(ge=2, le=parameters.MOST_DIALOGUE_TURNS)]] = _one(2)
    questions: Values[QuestionsName] = _one("single")
    reputation: Values[bool] = _one(True)
    gossip: Values[bool] = _one(True)

    def backends(self) -> list[str]:
        """Return every backend with every combination of parameters of the rules.

        Raises:
            ConfigurationError: If there are such parameters for a backend that has none, or a backend is a replay.
        """
        if any(backend.partition(":")[0] == "replay" for backend in self.backend):
            raise ConfigurationError("backend: a replay repeats one run, and cannot be swept")
        if not self.rules:
            return self.backend
        named = [[f"{name}={value!r}" for value in values] for name, values in self.rules.items()]
        combined = []
        for backend in self.backend:
            if not has_rules(backend):
                raise ConfigurationError(f"rules: the backend {backend!r} has no such parameters")
            joint = "," if ":" in backend else ":"
            combined += [f"{backend}{joint}{','.join(values)}" for values in product(*named)]
        return combined

    def points(self) -> Iterator[dict[str, Any]]:
        """Yield every combination, by the names of a run's parameters."""
        values = {name: getattr(self, name) for name in Grid.model_fields if name != "rules"}
        values["backend"] = self.backends()
        for combination in product(*values.values()):
            yield dict(zip(values, combination, strict=True))


class _File(Section):
    name: RunName | None = None
    steps: Annotated[int, Field(ge=1)] = 30
    seeds: str | list[int] = "1"
    grid: Grid = Field(default_factory=Grid)
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
                    found.setdefault(name, NewRun(sim_name=name, steps=self.steps, seed=seed, **point))
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
        try:
            seeds = seeds_of(content.seeds)
        except ConfigurationError as error:
            raise ConfigurationError(f"{file}: {error}") from None
        if not (name := name or content.name):
            try:
                name = check_name(file.stem)
            except ConfigurationError as error:
                raise ConfigurationError(f"{file}: {error}, as name or --name") from None
        return cls(name, content.steps, seeds, [content.grid], content.limits)

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
        return cls(name, steps, seeds_of(seeds), [parsed(Grid, values, "grid")], LimitsTable(**(limits or {})))


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


_IN_NAME = ("scenario", "reputation", "gossip")


def _cell_name(point: Mapping[str, Any], seed: int) -> str:
    """Return the name of a run: scenario, mode and seed, and a hash of what else is not as by default."""
    mode = mode_of(point["reputation"], point["gossip"]).replace(" ", "_")
    other = {
        name: value
        for name, value in sorted(point.items())
        if name not in _IN_NAME and value != Parameters.model_fields[name].default
    }
    mark = f"_{sha256(to_json(other).encode()).hexdigest()[:10]}" if other else ""
    return f"{point['scenario']}_{mode}{mark}_seed{seed}"
