"""The manifest of a run: everything its outcome depends on, and the columns that identify it in tables and reports."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self, cast

from repunet_model import extensions
from repunet_model.config import OF_GAME, RESOLVED, RunConfig, mode_of
from repunet_model.errors import ConfigurationError
from repunet_model.mechanism import Mechanism
from repunet_model.questions.prompt_sets import NEUTRAL
from repunet_model.storage.schema import Row

FORMAT = 5
"""The layout version that is written."""

READ_FORMATS = (3, 4, FORMAT)
"""The layout versions that are read.

Format 4 lacks the mechanism, which was `published`; format 3 also the population, the extensions and the changes of a
fork.
"""

PACKAGES = ("mesa", "networkx", "numpy", "openai", "pydantic", "jinja2")
"""Other packages that results may depend on."""

SHOWN_DIGITS = 12
"""Digits of a hash shown in tables."""

PLANTED = "planted."
"""The beginning of the columns of backends that agents get in events."""

_ROOT = Path(__file__).resolve().parents[2]


def made_by(used: Iterable[Callable[..., object]] = ()) -> Row:
    """Return the versions that produce the steps: of this package, its dependencies and the extension files.

    `used` are classes and functions in use that extension files may define.
    """
    return {
        "extensions": extensions.hashes(used),
        "repunet": version_of("repunet-mesa"),
        "versions": {"python": platform.python_version(), **{name: version_of(name) for name in PACKAGES}},
        "commit": commit(),
    }


@cache
def version_of(package: str) -> str:
    """Return the version of an installed package; reading it takes a millisecond, and every run names eight."""
    return version(package)


@cache
def commit() -> str | None:
    """Return the Git commit of this package, with "-dirty" appended if files were changed; None outside Git."""
    if not (_ROOT / ".git").exists():
        return None
    command = ["git", "-C", str(_ROOT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None


@dataclass(frozen=True)
class Manifest:
    """The manifest of a run; `data` is the content of its file."""

    data: Row

    @classmethod
    def of_run(
        cls,
        config: RunConfig,
        population: Mapping[str, Any],
        answering: Mapping[str, Any],
        system_prompt: str,
        measures: Iterable[str] = (),
        stages: Iterable[str] = (),
        used: Iterable[Callable[..., object]] = (),
        *,
        game_parameters: Mapping[str, Any],
        network: Mapping[str, Any],
        prompts: Mapping[str, Any],
        **more: Any,
    ) -> Self:
        """Create the manifest of a new run.

        Args:
            config: Its parameters.
            population: The identity of its agents: see `Population.described`.
            answering: Descriptions of its backends, under "backend" and "backend_for".
            system_prompt: The system half of its prompts (`Prompts.system`), which all calls share.
            measures: Names of registered measures.
            stages: Names of registered stages, in their order.
            used: See `made_by`.
            game_parameters: All parameters of its game.
            network: The description of its ties at the start.
            prompts: The description of its prompt set.
            more: Further entries.
        """
        return cls(
            {
                "format": FORMAT,
                **config.stored(),
                "game_parameters": dict(game_parameters),
                "population": dict(population),
                "network": dict(network),
                "prompts": dict(prompts),
                **answering,
                "measures": sorted(measures),
                "stages": list(stages),
                "system_prompt": system_prompt,
                **more,
                **made_by(used),
            }
        )

    @classmethod
    def of_data(cls, data: Row) -> Self:
        """Create a manifest from the content of its file.

        Raises:
            ConfigurationError: If an entry is missing or malformed.
        """
        manifest = cls(data)
        _ = manifest.config
        further = ("game_parameters", "network", "planted", "newcomers")
        for name in ("backend", "backend_for", *(name for name in further if data.get(name))):
            if not isinstance(data.get(name), dict):
                raise ConfigurationError(f"{name} is missing, or is not an object")
        described = manifest.prompts if "prompts" in data else {}
        if not all(isinstance(described.get(name), str) for name in ("set", "sha256")):
            raise ConfigurationError("prompts is missing, or is not the description of a prompt set")
        parent = data.get("parent")
        if parent is not None and not (isinstance(parent, dict) and isinstance(parent.get("step"), int)):
            raise ConfigurationError("parent is not that of a fork")
        return manifest

    @cached_property
    def config(self) -> RunConfig:
        """The parameters; those in `RESOLVED` have defaults here: see `backend`, `StepReader.population`."""
        return RunConfig.of_manifest(self.data)

    @property
    def game_parameters(self) -> dict[str, Any]:
        """The parameters of the game; none before format 5, whose runs have the game's defaults."""
        return cast("dict[str, Any]", self.data.get("game_parameters") or {})

    @property
    def network(self) -> dict[str, Any]:
        """The description of the ties at the start; there were none before format 5."""
        return cast("dict[str, Any]", self.data.get("network") or {"kind": "none"})

    @property
    def prompts(self) -> dict[str, Any]:
        """The description of the prompt set; before format 5 there was one, and a hash of all its templates."""
        stored = self.data["prompts"]
        return stored if isinstance(stored, dict) else {"set": NEUTRAL, "sha256": stored}

    @property
    def mode(self) -> str:
        """The name of the mode."""
        return mode_of(self.config.reputation, self.config.gossip)

    @property
    def backend(self) -> Row:
        """The description of the default backend."""
        return cast("Row", self.data["backend"])

    @property
    def backend_for(self) -> dict[str, Row]:
        """The descriptions of the backends of single agents, by name."""
        return cast("dict[str, Row]", self.data["backend_for"])

    @property
    def planted(self) -> dict[str, Row]:
        """The descriptions of the backends that agents get in events, by their names in the events."""
        return cast("dict[str, Row]", self.data.get("planted") or {})

    def backend_of(self, name: str, planted: str = "") -> Row:
        """Return the description of the backend of an agent, given the name of the one that an event gave to it."""
        return self.planted[planted] if planted else self.backend_for.get(name, self.backend)

    @property
    def measures(self) -> list[str]:
        """The names of registered measures that the run takes."""
        return list(self.data.get("measures", ()))

    @property
    def stages(self) -> list[str]:
        """The names of registered stages that its steps have, in their order."""
        return list(self.data.get("stages", ()))

    @property
    def system_prompt(self) -> str | None:
        """The system half of all prompts; None in a run that an earlier version made, which did not store it."""
        return self.data.get("system_prompt")

    @property
    def parent(self) -> Row | None:
        """For a fork: run, step and hash of its parent, the entries it changed ("was"), and the parent's parent."""
        return self.data.get("parent")

    @property
    def shared_steps(self) -> int:
        """The last step that a fork shares with its parent; 0 for other runs."""
        return 0 if self.parent is None else int(self.parent["step"])

    @property
    def origin(self) -> str | None:
        """For an import: the name of the published run, which had no seed and no backend of ours."""
        imported: Row = self.data.get("imported") or {}
        return imported.get("from")

    def forked(self, run: str, step: int, step_hash: str, changes: Mapping[str, Any]) -> Self:
        """Create the manifest of a fork at a step of this run, whose manifest has the given hash."""
        mechanism = self.config.stored()["mechanism"]  # Missing in data of older formats.
        data = {**self.data, "mechanism": mechanism}
        was = {name: data.get(name) for name, value in changes.items() if data.get(name) != value}
        parent = {"run": run, "step": step, "manifest": step_hash, "was": was}
        if self.parent is not None:
            parent["parent"] = self.parent
        return type(self)({**data, **changes, "format": FORMAT, "parent": parent})

    def eras(self, last: int) -> Iterator[tuple[int, int, Self | None]]:
        """Yield, up to a step, the first and last step made under each manifest, and that manifest.

        A fork has an era for each ancestor, other runs have one. The manifest is None where a fork of format 3 does not
        name its changes.
        """
        if self.shared_steps:
            assert self.parent is not None
            if "was" in self.parent:
                data = {name: value for name, value in self.data.items() if name != "parent"} | self.parent["was"]
                grandparent = self.parent.get("parent")
                earlier = type(self)(data if grandparent is None else {**data, "parent": grandparent})
                yield from earlier.eras(min(last, self.shared_steps))
            else:
                yield 1, min(last, self.shared_steps), None
        if last > self.shared_steps:
            yield self.shared_steps + 1, last, self

    def at(self, step: int) -> Self | None:
        """Return the manifest under which a step was made: see `eras`."""
        *_, (_, _, manifest) = self.eras(max(step, 1))
        return manifest

    def described(
        self, population: Mapping[str, Any], game_parameters: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return everything that identifies the run except its name, as columns of a table.

        Runs with equal columns but for the seed and the parent are repetitions of each other. An import has no seed,
        and the published run is its parent. Backends are flattened: "backend" is a name, and "backend.NAME" a parameter
        of it. So are the parameters of the game, as "game.NAME".

        Args:
            population: The identity of its agents: see `Population.described`.
            game_parameters: All parameters of its game; None for the stored ones.
        """
        game_parameters = self.game_parameters if game_parameters is None else game_parameters
        own, backend = self.config.in_table(), _flat("backend", self.backend)
        if self.origin is not None:
            own["seed"], backend["backend"] = None, f"the published implementation, then {backend['backend']}"
        parent: Row = (self.parent if self.shared_steps else None) or {"run": self.origin}
        return {
            "game": own.pop("game"),
            **{f"{OF_GAME}{name}": value for name, value in game_parameters.items()},
            "mode": self.mode,
            **{name: None if value == "" else value for name, value in own.items()},
            "n_agents": population["agents"],
            "population": population["name"],
            **_of_draw(population),
            **_of_network(self.network),
            **backend,
            **{
                name: value
                for agent, described in self.backend_for.items()
                for name, value in _flat(f"backend_for.{agent}", described).items()
            },
            **{
                name: value
                for planted, described in self.planted.items()
                for name, value in _flat(f"{PLANTED}{planted}", described).items()
            },
            **_of_newcomers(self.data.get("newcomers") or {}),
            "prompts": self.prompts["set"],
            "prompts_hash": self.prompts["sha256"][:SHOWN_DIGITS] if self.reads_prompts else None,
            "extensions": " ".join(f"{name}:{digest}" for name, digest in (self.data.get("extensions") or {}).items())
            or None,
            "version": self.data["repunet"],
            "parent": parent.get("run"),
            "parent_step": parent.get("step"),
            "before_fork": _before(parent, game_parameters, self.prompts["set"]) if self.shared_steps else None,
        }

    @property
    def reads_prompts(self) -> bool:
        """Whether any agent answers from prompts."""
        return any(
            described.get("reads_prompts")
            for described in (self.backend, *self.backend_for.values(), *self.planted.values())
        )


def _flat(prefix: str, described: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description of a backend as columns; each further field of its requests has one."""
    columns = {prefix: described["backend"]}
    for name, value in described.items():
        if name == "extra" and isinstance(value, dict):
            columns |= {f"{prefix}.extra.{field}": _cell(each) for field, each in value.items()}
        elif name not in _NOT_PARAMETERS:
            columns[f"{prefix}.{name}"] = value
    return columns


def _of_newcomers(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return what identifies the personas of agents that enter as a column: their set, since the seed draws them."""
    return {"newcomers_hash": described["set"]} if "set" in described else {}


def _of_draw(population: Mapping[str, Any]) -> dict[str, Any]:
    """Return what identifies the agents as columns: one that is drawn by the seed is identified by its set."""
    drawn = population.get("drawn") or {}
    known = {"population_hash": drawn.get("set", population["sha256"])}
    if "altruistic" not in drawn:
        return known
    return {
        **known,
        "share_of_altruists": drawn["altruistic"],
        "placement_of_altruists": drawn.get("placed", "random"),
    }


def _of_network(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description of an initial network as columns; a file is identified by its content, not its name."""
    known = {name: value for name, value in described.items() if name not in ("kind", "file")}
    if "sha256" in known:
        known["sha256"] = known["sha256"][:SHOWN_DIGITS]
    return {"network": described["kind"], **{f"network.{name}": value for name, value in known.items()}}


def _cell(value: Any) -> Any:
    """Return a value as a cell of a table: lists and objects as JSON."""
    return json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else value


_NOT_PARAMETERS = {"backend", "reads_prompts"}


def _before(parent: Mapping[str, Any], game_parameters: Mapping[str, Any], prompts: str) -> str:
    """Return the parameters before a fork, in words; `game_parameters` and the name of the set are those after it."""
    if "was" not in parent:
        return "unknown"
    names = {*RunConfig.model_fields, *RESOLVED}
    was = {name: value for name, value in parent["was"].items() if name in names}
    if "mechanism" in was:
        was["mechanism"] = str(Mechanism.read(was["mechanism"]))
    if "prompts" in was:
        before = was.pop("prompts")
        name = before["set"] if isinstance(before, dict) else NEUTRAL
        was |= {"prompts": name} if name != prompts else {}  # Else the same set of another version.
    for name, value in (was.pop("game_parameters", None) or {}).items():
        if game_parameters.get(name) != value:
            was[f"{OF_GAME}{name}"] = value
    return " ".join(f"{name}={json.dumps(value)}" for name, value in was.items())
