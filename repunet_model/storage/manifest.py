"""The manifest of a run: everything its outcome depends on, and what identifies it in tables and reports."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

from repunet_model import extensions
from repunet_model.config import RESOLVED, RunConfig, mode_of
from repunet_model.errors import ConfigurationError
from repunet_model.questions.prompts import prompt_hash
from repunet_model.storage.schema import Row

FORMAT = 4
"""The layout that is written."""

READ_FORMATS = (3, FORMAT)
"""The layouts that are read. Format 3 names neither population nor extensions, and not what a fork has changed."""

PACKAGES = ("mesa", "networkx", "numpy", "openai", "pydantic", "jinja2")
"""Packages beside this one that results may depend on."""

SHOWN_DIGITS = 12
"""Digits of a hash in tables."""

_ROOT = Path(__file__).resolve().parents[2]


def made_by(used: Iterable[Callable[..., object]] = ()) -> Row:
    """Return what makes the steps to come: this package, those it builds on, and the files that extend it.

    Args:
        used: Classes and functions in use that may come from such files.
    """
    return {
        "extensions": extensions.hashes(used),
        "repunet": version("repunet-mesa"),
        "prompts": prompt_hash(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "commit": commit(),
    }


@cache
def commit() -> str | None:
    """Return the Git commit of this package, with "-dirty" behind it if files were changed; None outside Git."""
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
    """The manifest of a run.

    Attributes:
        data: The content of its file.
    """

    data: Row

    @classmethod
    def of_run(
        cls,
        config: RunConfig,
        population: Mapping[str, Any],
        answering: Mapping[str, Any],
        measures: Iterable[str] = (),
        stages: Iterable[str] = (),
        used: Iterable[Callable[..., object]] = (),
        **more: Any,
    ) -> Self:
        """Return the manifest of a new run.

        Args:
            config: Its parameters.
            population: What identifies its agents: see `Population.described`.
            answering: Descriptions of its backends, under "backend" and "backend_for".
            measures: Names of registered measures.
            stages: Names of registered stages, in their order.
            used: See `made_by`.
            more: Further entries.
        """
        return cls(
            {
                "format": FORMAT,
                **config.stored(),
                "population": dict(population),
                **answering,
                "measures": sorted(measures),
                "stages": list(stages),
                **more,
                **made_by(used),
            }
        )

    @classmethod
    def of_data(cls, data: Row) -> Self:
        """Return a manifest that was read.

        Raises:
            ConfigurationError: If something is missing, or is not what it should be.
        """
        manifest = cls(data)
        _ = manifest.config
        for name in ("backend", "backend_for"):
            if not isinstance(data.get(name), dict):
                raise ConfigurationError(f"{name} is missing, or is not an object")
        parent = data.get("parent")
        if parent is not None and not (isinstance(parent, dict) and isinstance(parent.get("step"), int)):
            raise ConfigurationError("parent is not that of a fork")
        return manifest

    @cached_property
    def config(self) -> RunConfig:
        """The parameters of the run, except for those that are described instead: see `RESOLVED`."""
        return RunConfig.of_manifest(self.data)

    @property
    def mode(self) -> str:
        """The name of the mode."""
        return mode_of(self.config.reputation, self.config.gossip)

    @property
    def backend(self) -> Row:
        """The description of the backend of all agents without one of their own."""
        described: Row = self.data["backend"]
        return described

    @property
    def backend_for(self) -> dict[str, Row]:
        """Descriptions of backends of single agents, by name."""
        described: dict[str, Row] = self.data["backend_for"]
        return described

    def backend_of(self, name: str) -> Row:
        """Return the description of the backend of an agent."""
        return self.backend_for.get(name, self.backend)

    @property
    def measures(self) -> list[str]:
        """The names of registered measures that the run takes."""
        return list(self.data.get("measures", ()))

    @property
    def stages(self) -> list[str]:
        """The names of registered stages that its steps have, in their order."""
        return list(self.data.get("stages", ()))

    @property
    def parent(self) -> Row | None:
        """For a fork: run, step and hash of its parent, what the fork has changed ("was"), and the parent's parent."""
        described: Row | None = self.data.get("parent")
        return described

    @property
    def shared_steps(self) -> int:
        """The last step that a fork shares with its parent; 0 for a run that is no fork."""
        return 0 if self.parent is None else int(self.parent["step"])

    @property
    def imported(self) -> Row | None:
        """For an import: the published run and its step."""
        described: Row | None = self.data.get("imported")
        return described

    def forked(self, run: str, step: int, step_hash: str, changes: Mapping[str, Any]) -> Self:
        """Return the manifest of a fork.

        Args:
            run: The name of this run.
            step: The last step that both share.
            step_hash: The hash of that step's manifest.
            changes: Entries that the fork changes.
        """
        was = {name: self.data.get(name) for name, value in changes.items() if self.data.get(name) != value}
        parent = {"run": run, "step": step, "manifest": step_hash, "was": was}
        if self.parent is not None:
            parent["parent"] = self.parent
        return type(self)({**self.data, **changes, "format": FORMAT, "parent": parent})

    def eras(self, last: int) -> Iterator[tuple[int, int, Self | None]]:
        """Yield the first and last step of each stretch of a run, and the manifest under which it was made.

        A run that is no fork has one stretch. The manifest is None where a fork of format 3 does not say what it has
        changed.

        Args:
            last: The last step.
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

    def described(self, population: Mapping[str, Any]) -> dict[str, Any]:
        """Return everything that identifies the run, as columns of a table, without its name.

        Runs with equal columns but for the seed are repetitions of each other. Backends are flattened: "backend" is a
        name, and "backend.NAME" a parameter of it.

        Args:
            population: What identifies its agents.
        """
        own = self.config.stored()
        parent = self.parent if self.shared_steps else None
        return {
            "game": own.pop("game"),
            "mode": self.mode,
            **{name: None if value == "" else value for name, value in own.items()},
            "n_agents": population["agents"],
            "population": population["name"],
            "population_hash": population["sha256"],
            **_flat("backend", self.backend),
            **{
                name: value
                for agent, described in self.backend_for.items()
                for name, value in _flat(f"backend_for.{agent}", described).items()
            },
            "prompts": self.data["prompts"][:SHOWN_DIGITS] if self.reads_prompts else None,
            "extensions": " ".join(f"{name}:{digest}" for name, digest in self.data.get("extensions", {}).items())
            or None,
            "version": self.data["repunet"],
            "parent": None if parent is None else parent["run"],
            "parent_step": None if parent is None else parent["step"],
            "before_fork": None if parent is None else _before(parent),
        }

    @property
    def reads_prompts(self) -> bool:
        """Whether any agent answers from prompts."""
        return any(described.get("reads_prompts") for described in (self.backend, *self.backend_for.values()))


def _flat(prefix: str, described: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description of a backend as columns."""
    parameters = {f"{prefix}.{name}": value for name, value in described.items() if name not in _NOT_PARAMETERS}
    return {prefix: described["backend"], **parameters}


_NOT_PARAMETERS = {"backend", "reads_prompts"}


def _before(parent: Mapping[str, Any]) -> str:
    """Return in words what was otherwise before a fork."""
    if "was" not in parent:
        return "unknown"
    names = {*RunConfig.model_fields, *RESOLVED}
    return " ".join(f"{name}={json.dumps(value)}" for name, value in parent["was"].items() if name in names)
