"""The design of a sweep: grids of parameters, each combined with every seed.

A file with a sweep::

    name = "temptation"
    steps = 30                          # of every run; with until_stable = true the most that it may have
    seeds = "1-20"                      # or "1,3,7-9", or [1, 2, 3]

    design = "full"                     # or "fraction", or "lhs" with points = 20 (see `sweep.design`)

    [grid]                              # a value or a list of values; other parameters have defaults
    scenario = ["pd", "investment"]
    reputation = [true, false]
    gossip = [true, false]
    mechanism = ["paper", {base = "published", second_order = "off"}]
    errors = ["none", "slip=0.05", {slip = 0.05, garble = 0.02}]
    backend = "rules"
    n_agents = [20, 50]
    events = ["", "step=10 agents=2 becomes=always_defect; step=20 agents=2 becomes=leave"]

    [[grid.events]]                     # or, in place of such a list, tables of events that all happen in each run,
    step = 10                           # in which a list stands for values to vary
    agents = [0, 2, 4]
    becomes = "always_defect"

    [grid.game]                         # parameters of the scenarios that have them, by their names
    temptation = [4, 5, 6]

    [grid.rules]                        # parameters of the backend rules, by their names
    learning_rate = [0.2, 0.4]

    [endpoints.small]                   # named endpoints, for backend = "openai:small", as in a file of jobs
    model = "qwen2.5-7b-instruct"

    [limits]                            # all runs together, as in a file of jobs
    budget_usd = 5

A cell of a sweep is a job that creates a run (`jobs.NewRun`). Its name consists of scenario, mode, seed and a short
hash of the other parameters that differ from their defaults, so that it stays the same when the grid grows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field

from repunet_model import games
from repunet_model.backends import endpoints
from repunet_model.backends.endpoints import NamedEndpoint
from repunet_model.backends.setup import has_rules
from repunet_model.config import FIELD_OF, RunConfig, mode_of, name_of
from repunet_model.errors import ConfigurationError
from repunet_model.events import BETWEEN
from repunet_model.jobs.job import LimitsTable, NewRun, RunName, Section, Steps, parsed
from repunet_model.storage import to_json
from repunet_model.sweep.design import Kind, designed
from repunet_model.util.files import read_toml
from repunet_model.util.text import check_name


class Grid:
    """Values of the parameters of a run; the sweep runs every combination.

    Attributes:
        values: The values of every parameter (see `RunConfig`); the default if none was given.
        game: The values of parameters of games, by name; they apply to the games that have them.
        rules: The values of parameters of the backend rules, by name.
    """

    def __init__(self, table: Mapping[str, Any], where: str = "grid") -> None:
        """Parse a grid.

        Args:
            table: A value or a list of values by parameter name; under "game" and "rules" such tables for the games
                and for the backend rules.
            where: The place of the table, for error messages.

        Raises:
            ConfigurationError: If a name is unknown, or a value is invalid.
        """
        own = {name: values for name, values in table.items() if name not in _Tables.model_fields}
        for name, values in own.items():
            if values == []:
                raise ConfigurationError(f"{where}: {name}: give at least one value")
        varied = {FIELD_OF.get(name, name) for name in own}
        if "seed" in varied:
            raise ConfigurationError(f"{where}: seed: name the seeds of a sweep under seeds")
        checked: dict[str, list[Any]] = {}
        for name, values in own.items():
            alternatives = _varied_events(values) if name == "events" else _listed(values)
            configs = [RunConfig.checked({name: value}, where) for value in alternatives]
            checked[FIELD_OF[name]] = [getattr(config, FIELD_OF[name]) for config in configs]
        self.values = {
            field: checked.get(field, [default])
            for field, default in RunConfig()
            if field not in ("seed", "game_parameters")
        }
        tables = parsed(_Tables, {name: table[name] for name in _Tables.model_fields if name in table}, where)
        self.game, self.rules = tables.game, tables.rules

    def stored(self) -> dict[str, Any]:
        """Return the grid in the form that the constructor takes."""
        texts = {field: [str(value) for value in self.values[field]] for field in ("mechanism", "errors")}
        events = [BETWEEN.join(value) for value in self.values["events"]]
        plain = {**self.values, **texts, "events": events}
        own = {name_of(field): values for field, values in plain.items()}
        return {**own, "game": self.game, "rules": self.rules}

    def backends(self) -> list[str]:
        """Return every combination of a backend with parameters of the rules.

        Raises:
            ConfigurationError: If a backend does not have these parameters, or is a replay.
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

    def played(self) -> list[tuple[str, dict[str, Any]]]:
        """Return every combination of a game with its parameters, without those that have their default.

        Raises:
            ConfigurationError: If no game has a parameter, or a value is outside its bounds.
        """
        combined: dict[str, tuple[str, dict[str, Any]]] = {}
        known: set[str] = set()
        for name in self.values["game"]:
            own = {each: self.game[each] for each in games.find(name).parameters.stored() if each in self.game}
            known |= set(own)
            for values in product(*own.values()):
                parameters = games.find(name, dict(zip(own, values, strict=True))).parameters.set_apart()
                combined[to_json([name, parameters])] = name, parameters
        for name in set(self.game) - known:
            games.find(self.values["game"][0], {name: self.game[name][0]})  # Raises an error that names what there is.
        return list(combined.values())

    def points(self) -> Iterator[RunConfig]:
        """Yield every combination of parameters."""
        values = {**self.values, "game": self.played(), "backend": self.backends()}
        for combination in product(*values.values()):
            point = dict(zip(values, combination, strict=True))
            point["game"], point["game_parameters"] = point["game"]
            yield RunConfig.checked(point)


def _listed(value: object) -> Any:
    return value if isinstance(value, list) else [value]


def _varied_events(values: object) -> list[Any]:
    """Return the alternatives of events: those of a list, or all combinations of what tables of events vary."""
    tables = [values] if isinstance(values, Mapping) else _listed(values)
    if not all(isinstance(table, Mapping) for table in tables):
        return list(tables)
    alternatives = []
    for table in tables:
        choices = {name: value if _is_varied(name, value) else [value] for name, value in table.items()}
        alternatives.append([dict(zip(choices, chosen, strict=True)) for chosen in product(*choices.values())])
    return [list(chosen) for chosen in product(*alternatives)]


def _is_varied(name: str, value: object) -> bool:
    """Whether a value of a table of events is a list of values; names are a list themselves."""
    return isinstance(value, list) and (name != "names" or any(isinstance(each, list) for each in value))


_Values = dict[str, Annotated[list[float], BeforeValidator(_listed), Field(min_length=1)]]


class _Tables(Section):
    game: _Values = Field(default_factory=dict)
    rules: _Values = Field(default_factory=dict)


class _File(Section):
    name: RunName | None = None
    steps: Steps = 30
    until_stable: bool = False
    seeds: str | list[int] = "1"
    design: Literal["full", "fraction", "lhs"] | None = None
    points: int | None = None
    grid: dict[str, Any] = Field(default_factory=dict)
    endpoints: dict[str, Any] = Field(default_factory=dict)
    limits: LimitsTable = Field(default_factory=LimitsTable)


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep: some grids, each with every seed.

    Attributes:
        name: The name of the sweep and its folder.
        steps: The number of steps of every run.
        seeds: The seeds.
        grids: The grids; a cell that occurs in two grids is run once.
        limits: The limits on all runs together.
        endpoints: Named endpoints of its file.
        until_stable: Whether a run ends when it is stable, and `steps` is the most that it may have.
        notes: What its design confounds, in sentences; none for a sweep without a named design.
    """

    name: str
    steps: int
    seeds: Sequence[int]
    grids: Sequence[Grid]
    limits: LimitsTable = field(default_factory=LimitsTable)
    endpoints: Mapping[str, NamedEndpoint] = field(default_factory=dict)
    until_stable: bool = False
    notes: Sequence[str] = ()

    def cells(self) -> list[NewRun]:
        """Return the distinct runs, in the order of the grids; raise ConfigurationError if a grid is invalid."""
        found: dict[str, NewRun] = {}
        for grid in self.grids:
            for point in grid.points():
                for seed in self.seeds:
                    name = _cell_name(point, seed)
                    config = point.changed({"seed": seed})
                    found.setdefault(name, NewRun(name, self.steps, config, until_stable=self.until_stable))
        return list(found.values())

    @classmethod
    def load(cls, file: Path, name: str | None = None) -> Self:
        """Read a sweep from a TOML file.

        Args:
            file: The file.
            name: The name of the sweep; None takes the entry `name`, or else the name of the file.

        Raises:
            ConfigurationError: If an entry is invalid; the message names the key.
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
        own = endpoints.parsed(content.endpoints, str(file))
        try:
            grids, notes = designed_grids(grid, content.design, content.points)
        except ConfigurationError as error:
            raise ConfigurationError(f"{file}: {error}") from None
        return cls(name, content.steps, seeds, grids, content.limits, own, content.until_stable, notes)

    @classmethod
    def of_values(
        cls,
        name: str,
        steps: int,
        seeds: str | Sequence[int],
        values: Mapping[str, Any],
        limits: Mapping[str, Any] | None = None,
        until_stable: bool = False,
        design: Kind | None = None,
        points: int | None = None,
        apart: Sequence[str] = (),
    ) -> Self:
        """Return a sweep of one grid, from values as in a file; raise ConfigurationError if one is invalid.

        Parameters in `apart` are combined with every cell of the design.
        """
        grids, notes = designed_grids(Grid(values), design, points, apart)
        own = LimitsTable(**(limits or {}))
        return cls(name, steps, seeds_of(seeds), grids, own, until_stable=until_stable, notes=notes)


def designed_grids(
    grid: Grid, design: Kind | None, points: int | None, apart: Sequence[str] = ()
) -> tuple[list[Grid], Sequence[str]]:
    """Return the grids of a design, and what it confounds; see `design.designed`."""
    if design is None and points is None:
        return [grid], ()
    found = designed(grid.stored(), design or "full", points, apart)
    return [Grid(table) for table in found.grids], found.notes


def seeds_of(given: str | Sequence[int]) -> list[int]:
    """Return seeds from a list, or from text such as "1-20" or "1,3,7-9".

    Raises:
        ConfigurationError: If the text is invalid, or a seed is repeated.
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
    """Return the name of a cell; see the module docstring."""
    mode = mode_of(point.reputation, point.gossip).replace(" ", "_")
    default, own = (config.model_dump(mode="json") | config.in_table() for config in (RunConfig(), point))
    other = {
        name_of(field): value
        for field, value in sorted(own.items())
        if field not in _IN_NAME and value != default[field]
    }
    mark = f"_{sha256(to_json(other).encode()).hexdigest()[:10]}" if other else ""
    return f"{point.game}_{mode}{mark}_seed{seed}"
