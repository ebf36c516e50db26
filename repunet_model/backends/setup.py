"""Backends by their names, and the mapping from agents to backends.

The names, as `RepuNetModel(backend=...)` and `--backend` take them::

    rules                    offline and free (`backends.rules`)
    rules:NAME=VALUE,...     the same, with other parameters, as in rules:learning_rate=0.3,gossip_threshold=0.5
    always_cooperate, always_defect, tit_for_tat
                             the same, with a fixed policy for the cooperative choice (`backends.policies`), and with
                             parameters in the same way
    human                    somebody at the keyboard of this process (`backends.human`)
    openai, openai:MODEL     an endpoint, configured by OPENAI_API_KEY and the LLM_* variables (`backends.openai`)
    local:FILE, local        a GGUF file on this machine, by default that of LLM_GGUF (`backends.local`)
    replay:RUN               the recorded answers of the run in a folder (`backends.replay`)

A backend of one's own gets a name by `register`.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from repunet_model.backends.base import Backend
from repunet_model.backends.endpoint import Endpoint, Sampling
from repunet_model.backends.human import HumanBackend
from repunet_model.backends.local import LocalBackend, settings
from repunet_model.backends.mind import Rules
from repunet_model.backends.openai import connect
from repunet_model.backends.policies import FixedPolicy, PlantedBackend
from repunet_model.backends.replay import Recording, ReplayBackend
from repunet_model.backends.rules import RulesBackend
from repunet_model.errors import ConfigurationError
from repunet_model.storage.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Respondents:
    """The mapping from agents to backends.

    Attributes:
        default: Who answers for everybody without a backend of their own.
        by_name: Who answers for an agent, by its name.
    """

    default: Backend
    by_name: Mapping[str, Backend] = field(default_factory=dict)

    def of(self, name: str) -> Backend:
        """Return who answers for an agent."""
        return self.by_name.get(name, self.default)

    def distinct(self) -> Iterator[Backend]:
        """Yield every backend once."""
        yield from {id(backend): backend for backend in (self.default, *self.by_name.values())}.values()

    @property
    def is_costly(self) -> bool:
        """Whether somebody answers whose answers cost money or time."""
        return any(backend.is_costly for backend in self.distinct())

    @property
    def has_human(self) -> bool:
        """Whether somebody at a keyboard answers."""
        return any(isinstance(backend, HumanBackend) for backend in self.distinct())

    @property
    def read_prompts(self) -> bool:
        """Whether any backend answers from prompts."""
        return any(backend.reads_prompts for backend in self.distinct())

    def to_dict(self) -> dict[str, Any]:
        """Return who answers, for the manifest of a run."""

        def described(backend: Backend) -> dict[str, Any]:
            return {**backend.description, "reads_prompts": backend.reads_prompts}

        return {
            "backend": described(self.default),
            "backend_for": {name: described(backend) for name, backend in self.by_name.items()},
        }

    async def close(self) -> None:
        """Close every backend."""
        for backend in self.distinct():
            await backend.close()


def respondents(
    backend: str | Backend,
    backend_for: Mapping[str, str | Backend] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Respondents:
    """Return who answers for whom; agents whose backends have the same name share one.

    Args:
        backend: A name (see above) or a backend, for everybody who is not in `backend_for`.
        backend_for: The same for single agents, by their names.
        environment: Where endpoints and keys are configured.

    Raises:
        ConfigurationError: If a name is unknown, or a backend cannot be set up.
    """
    made: dict[str, Backend] = {}

    def make(given: str | Backend) -> Backend:
        if not isinstance(given, str):
            return given
        if given not in made:
            made[given] = _named(given, environment)
        return made[given]

    own = {name: make(given) for name, given in (backend_for or {}).items()}
    if isinstance(backend, str) and backend.startswith("replay:"):
        replayed = _replayed(_folder_of(backend))
        return Respondents(replayed.default, {**replayed.by_name, **own})
    return Respondents(make(backend), own)


Environment = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Kind:
    """The set-up of a kind of backends.

    Attributes:
        make: Returns one, given what follows the colon in its name (empty without a colon) and the environment.
        restore: Returns one to go on with a run, given its description in the manifest of the run, without "backend",
            and the environment.
        has_rules: Whether what follows the colon are parameters of the rules.
    """

    make: Callable[[str, Environment], Backend]
    restore: Callable[[dict[str, Any], Environment], Backend]
    has_rules: bool = False


def register(
    name: str,
    make: Callable[[str, Environment], Backend],
    restore: Callable[[dict[str, Any], Environment], Backend],
) -> None:
    """Make a kind of backend known by its name, which is also what it says of itself under "backend".

    Args:
        name: The name, without a colon.
        make: See `Kind`; raises `ConfigurationError` for what cannot be set up.
        restore: See `Kind`.
    """
    _KINDS[name] = Kind(make, restore)


def has_rules(name: str) -> bool:
    """Whether the backend of a name has the parameters of the rules.

    Raises:
        ConfigurationError: If the name is unknown.
    """
    return _kind(name).has_rules


def _kind(name: str) -> Kind:
    """Return the kind of a backend, given its name.

    Raises:
        ConfigurationError: If it is unknown, or a replay, which is no backend but those of a whole run.
    """
    kind = name.partition(":")[0]
    if kind == "replay":
        raise ConfigurationError("replay:RUN repeats all agents of a run: it cannot stand for single ones")
    if kind not in _KINDS:
        raise ConfigurationError(
            f"unknown backend {name!r}: choose one of {', '.join(_KINDS)}, or rules:NAME=VALUE, openai:MODEL, "
            "local:FILE, replay:RUN"
        )
    return _KINDS[kind]


def _named(name: str, environment: Environment) -> Backend:
    return _kind(name).make(name.partition(":")[2], environment)


def _rules(kind: str, values: str) -> Rules:
    """Return the parameters of offline agents, as the name of a backend says.

    Args:
        kind: What of the name comes before the colon.
        values: What of it follows the colon: NAME=VALUE, ...; empty for the defaults.

    Raises:
        ConfigurationError: If a parameter is unknown or named twice, or a value cannot be used.
    """
    backend = f"{kind}:{values}"
    known = [field.name for field in fields(Rules)]
    given: dict[str, float] = {}
    for part in values.split(",") if values else ():
        name, is_there, value = (word.strip() for word in part.partition("="))
        if not is_there:
            raise ConfigurationError(f"backend {backend!r}: {part!r} must read NAME=VALUE")
        if name not in known:
            raise ConfigurationError(f"backend {backend!r}: unknown parameter {name!r}; known are {', '.join(known)}")
        if name in given:
            raise ConfigurationError(f"backend {backend!r}: {name} is there twice")
        try:
            given[name] = float(value)
        except ValueError:
            given[name] = math.nan
        if not math.isfinite(given[name]):
            raise ConfigurationError(f"backend {backend!r}: {name} is {value!r}: must be a number")
    try:
        return Rules(**given)
    except ConfigurationError as error:
        raise ConfigurationError(f"backend {backend!r}: {error}") from None


def _human(detail: str = "") -> HumanBackend:
    """Return the backend for whoever sits at the terminal.

    Raises:
        ConfigurationError: If the name goes on behind a colon.
    """
    if detail:
        raise ConfigurationError(f"backend 'human:{detail}': human stands alone")
    return HumanBackend(lambda: sys.stdin, lambda: sys.stdout)


def _gguf(environment: Mapping[str, str]) -> Path:
    """Return the GGUF file that is named beside the backend.

    Raises:
        ConfigurationError: If there is none.
    """
    file = environment.get("LLM_GGUF", "").strip()
    if not file:
        raise ConfigurationError("the backend local needs a model: name its GGUF file by --gguf FILE or LLM_GGUF")
    return Path(file)


def _folder_of(name: str) -> Path:
    folder = name.partition(":")[2]
    if not folder:
        raise ConfigurationError("replay: which run? name it, as in replay:sim_storage/first")
    return Path(folder)


def _replayed(path: Path) -> Respondents:
    """Return the backends of a stored run, each with its recorded answers."""
    recording = Recording(path)

    def repeat(described: Mapping[str, Any]) -> Backend:
        description = dict(described)
        return ReplayBackend(recording, description, reads_prompts=description.pop("reads_prompts"))

    manifest = recording.run.manifest
    own = {name: repeat(described) for name, described in manifest.backend_for.items()}
    return Respondents(repeat(manifest.backend), own)


def recorded(
    manifest: Manifest,
    backend_for: Mapping[str, str | Backend] | None = None,
    environment: Mapping[str, str] = os.environ,
    default: Backend | None = None,
) -> Respondents:
    """Return who answers for whom as a manifest says, to go on with a run.

    Args:
        manifest: Of the run.
        backend_for: Who answers for single agents instead, by their names.
        environment: Where endpoints and keys are configured, and in LLM_GGUF the file of a local model.
        default: Who answers instead for everybody without a backend of their own.

    Raises:
        ConfigurationError: If it is not one that can be set up by its description.
    """
    made: dict[str, Backend] = {}

    def make(description: Mapping[str, Any]) -> Backend:
        key = repr(sorted(description.items()))
        if key not in made:
            try:
                made[key] = _described(description, environment)
            except (KeyError, TypeError, ValueError) as error:  # a manifest of another version, or of somebody else's
                raise ConfigurationError(f"the manifest describes no backend that is known here ({error})") from None
        return made[key]

    own = {name: make(description) for name, description in manifest.backend_for.items()}
    if default is None:
        default = make(manifest.backend)
    return Respondents(default, {**own, **respondents(default, backend_for, environment).by_name})


def _described(description: Mapping[str, Any], environment: Environment) -> Backend:
    parameters = dict(description)
    name = parameters.pop("backend")
    del parameters["reads_prompts"]
    if name not in _KINDS:
        raise ConfigurationError(
            f"the run was made with the backend {name!r}: name the backend to go on with, or its file by --extension"
        )
    return _KINDS[name].restore(parameters, environment)


def _endpoint(model: str, environment: Environment) -> Backend:
    endpoint = Endpoint.from_environment(environment)
    return connect(endpoint.of_model(model) if model else endpoint, environment)


def _same_endpoint(parameters: dict[str, Any], environment: Environment) -> Backend:
    endpoint = Endpoint.from_environment(environment)
    return connect(replace(endpoint, sampling=Sampling(**parameters)), environment)


def _local(file: str, environment: Environment) -> Backend:
    return LocalBackend(Path(file) if file else _gguf(environment), settings(environment))


def _same_local(parameters: dict[str, Any], environment: Environment) -> Backend:
    """Return a local model again.

    Raises:
        ConfigurationError: If the file is not the one the run was made with.
    """
    sha256 = parameters.pop("sha256")
    backend = LocalBackend(_gguf(environment), replace(settings(environment), sampling=Sampling(**parameters)))
    given = backend.description
    if (given["model"], given["sha256"]) != (parameters["model"], sha256):
        raise ConfigurationError(
            f"the run was made with {parameters['model']} (SHA-256 {sha256}...), and --gguf or LLM_GGUF names "
            f"{given['model']} (SHA-256 {given['sha256']}...): name the file it was made with"
        )
    return backend


def _planted(policy: FixedPolicy) -> Kind:
    return Kind(
        make=lambda values, _: PlantedBackend(policy, _rules(policy, values)),
        restore=lambda parameters, _: PlantedBackend(policy, Rules(**parameters)),
        has_rules=True,
    )


_KINDS: dict[str, Kind] = {
    "rules": Kind(
        make=lambda values, _: RulesBackend(_rules("rules", values)),
        restore=lambda parameters, _: RulesBackend(Rules(**parameters)),
        has_rules=True,
    ),
    **{policy.value: _planted(policy) for policy in FixedPolicy},
    "human": Kind(make=lambda detail, _: _human(detail), restore=lambda *_: _human()),
    "openai": Kind(make=_endpoint, restore=_same_endpoint),
    "local": Kind(make=_local, restore=_same_local),
}
