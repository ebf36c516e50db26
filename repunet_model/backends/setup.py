"""Backends by their names, and the mapping from agents to backends.

The names in `RepuNetModel(backend=...)` and `--backend`::

    rules                    the rules, offline and free (`backends.rules`)
    rules:NAME=VALUE,...     the rules with other parameters, such as rules:learning_rate=0.3,gossip_threshold=0.5
    always_cooperate, always_defect, tit_for_tat, trembling, honest_defector, clique, booster, slanderer, silent
                             the rules with a fixed policy for the cooperative choice or for gossip
                             (`backends.policies`); they take the same parameters, and trembling:rate=0.1,
                             clique:members=Emma Dubois+Akiko Sato and booster:members=... some of their own
    norm:NAME                the rules with the action rule of a norm for the cooperative choice, such as
                             norm:stern_judging or norm:L3,assessment=private,observed=0.5 (`backends.norm_follower`)
    human                    a human at the keyboard of this process (`backends.human`)
    openai, openai:MODEL     an endpoint, configured by OPENAI_API_KEY and the LLM_* variables (`backends.openai`)
    openai:NAME              a named endpoint of the file in LLM_ENDPOINTS (`backends.endpoints`), before a model's name
    local:FILE, local        a GGUF file on this machine, by default that of LLM_GGUF (`backends.local`)
    replay:RUN               the recorded answers of the run in a folder (`backends.replay`)

`register` adds a backend.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from repunet_model.backends import extra as extra_fields
from repunet_model.backends.base import Backend
from repunet_model.backends.endpoint import Endpoint, Sampling
from repunet_model.backends.endpoints import Environment
from repunet_model.backends.human import HumanBackend
from repunet_model.backends.local import LocalBackend, settings
from repunet_model.backends.mind import Rules
from repunet_model.backends.norm_follower import NAME as NORM
from repunet_model.backends.norm_follower import Assessment, NormFollower
from repunet_model.backends.openai import OpenAIBackend, connect
from repunet_model.backends.planted import PlantedBackend, Settings
from repunet_model.backends.policies import FixedPolicy
from repunet_model.backends.replay import Recording, ReplayBackend
from repunet_model.backends.rules import RulesBackend
from repunet_model.errors import ConfigurationError
from repunet_model.personas import GIVEN
from repunet_model.storage.manifest import Manifest
from repunet_model.util import event_loop
from repunet_model.util.text import assignments


@dataclass(frozen=True, slots=True)
class Respondents:
    """The mapping from agents to backends, by the agents' names, with a default for all other agents.

    `planted` are the backends that agents get in events, by their names in the events.
    """

    default: Backend
    by_name: Mapping[str, Backend] = field(default_factory=dict)
    planted: Mapping[str, Backend] = field(default_factory=dict)

    def of(self, name: str, planted: str = "") -> Backend:
        """Return the backend of an agent, given the name of the one that an event gave to it, or ""."""
        return self.planted[planted] if planted else self.by_name.get(name, self.default)

    def distinct(self) -> Iterator[Backend]:
        """Yield every backend once."""
        every = (self.default, *self.by_name.values(), *self.planted.values())
        yield from {id(backend): backend for backend in every}.values()

    @property
    def is_costly(self) -> bool:
        """Whether answers of any backend cost money or time."""
        return any(backend.is_costly for backend in self.distinct())

    @property
    def has_human(self) -> bool:
        """Whether any agent is a human."""
        return any(isinstance(backend, HumanBackend) for backend in self.distinct())

    @property
    def read_prompts(self) -> bool:
        """Whether any backend reads prompts."""
        return any(backend.reads_prompts for backend in self.distinct())

    def to_dict(self) -> dict[str, Any]:
        """Return the descriptions of the backends, for the manifest of a run."""

        def described(backend: Backend) -> dict[str, Any]:
            return {**backend.description, "reads_prompts": backend.reads_prompts}

        planted = {name: described(backend) for name, backend in self.planted.items()}
        return {
            "backend": described(self.default),
            "backend_for": {name: described(backend) for name, backend in self.by_name.items()},
            **({"planted": planted} if planted else {}),
        }

    def check_replay(self, own: Mapping[str, Any], game_parameters: Mapping[str, Any]) -> None:
        """Compare a run with the one that is replayed, if one is; arguments and errors as in `ReplayBackend.check`."""
        for backend in self.distinct():
            if isinstance(backend, ReplayBackend):
                backend.check(own, game_parameters)

    def served(self, names: Sequence[str], wrap: Callable[[Backend], Backend]) -> dict[int, Backend]:
        """Return each backend wrapped, by the identity of the backend.

        Raises:
            ConfigurationError: If a backend is for an agent that is not named.
        """
        strangers = sorted(set(self.by_name) - set(names))
        if strangers:
            raise ConfigurationError(f"backend_for: no agent is called {strangers[0]!r}")
        return {id(backend): wrap(backend) for backend in self.distinct()}

    async def close(self) -> None:
        """Close every backend."""
        for backend in self.distinct():
            await backend.close()

    def close_later(self) -> None:
        """Close every backend in the background."""
        event_loop.BackgroundTask[None]().start(self.close())


def names_of(backend_for: object) -> object:
    """Return the names of the backends of single agents, with `GIVEN` for objects; anything but a mapping as it is."""
    if backend_for is None:
        return {}
    if not isinstance(backend_for, Mapping):
        return backend_for
    return {name: backend if isinstance(backend, str) else GIVEN for name, backend in backend_for.items()}


def respondents(
    backend: str | Backend | Respondents,
    backend_for: Mapping[str, str | Backend] | None = None,
    environment: Mapping[str, str] = os.environ,
    planted: Iterable[str] = (),
) -> Respondents:
    """Return the mapping from agents to backends; agents with the same name of a backend share it.

    Args:
        backend: A name (see above) or a backend, for all agents that are not in `backend_for`; or a mapping, which is
            returned.
        backend_for: The same for single agents, by their names.
        environment: The environment variables that configure endpoints and keys.
        planted: The names of the backends that agents get in events.

    Raises:
        ConfigurationError: If a name is unknown, or a backend cannot be set up.
    """
    if isinstance(backend, Respondents):
        return backend
    made: dict[str, Backend] = {}
    known = Environment.of(environment)

    def make(given: str | Backend) -> Backend:
        if not isinstance(given, str):
            return given
        if given not in made:
            made[given] = _kind(given).make(given.partition(":")[2], known)
        return made[given]

    own = {name: make(given) for name, given in (backend_for or {}).items()}
    if isinstance(backend, str) and backend.startswith("replay:"):
        replayed = _replayed(backend.partition(":")[2])
        return Respondents(
            replayed.default,
            {**replayed.by_name, **own},
            {name: replayed.planted.get(name) or make(name) for name in planted},
        )
    return Respondents(make(backend), own, {name: make(name) for name in planted})


@dataclass(frozen=True, slots=True)
class Kind:
    """The functions that create backends of a kind.

    Attributes:
        make: Create a backend from the part of its name after the colon (or "") and the environment.
        restore: Create a backend of a stored run from its description in the manifest, without "backend", and the
            environment.
        has_rules: Whether the part of the name after the colon holds parameters of the rules.
    """

    make: Callable[[str, Mapping[str, str]], Backend]
    restore: Callable[[dict[str, Any], Mapping[str, str]], Backend]
    has_rules: bool = False


def register(
    name: str,
    make: Callable[[str, Mapping[str, str]], Backend],
    restore: Callable[[dict[str, Any], Mapping[str, str]], Backend],
) -> None:
    """Register a kind of backend.

    Args:
        name: The name, without a colon; also the "backend" entry of its description.
        make: See `Kind`; raises `ConfigurationError` for an invalid name.
        restore: See `Kind`.
    """
    _KINDS[name] = Kind(make, restore)


def has_rules(name: str) -> bool:
    """Whether the backend with a name has the parameters of the rules.

    Raises:
        ConfigurationError: If the name is unknown.
    """
    return _kind(name).has_rules


def _kind(name: str) -> Kind:
    """Return the kind of the backend with a name; raise ConfigurationError if it is unknown or a replay."""
    kind = name.partition(":")[0]
    if kind == "replay":
        raise ConfigurationError("replay:RUN repeats all agents of a run: it cannot stand for single ones")
    if kind not in _KINDS:
        raise ConfigurationError(
            f"unknown backend {name!r}: choose one of {', '.join(_KINDS)}, or rules:NAME=VALUE, openai:MODEL, "
            "openai:NAME of a file of endpoints, local:FILE, replay:RUN"
        )
    return _KINDS[kind]


def _rules(backend: str, values: str) -> Rules:
    """Return the parameters that a backend's name holds as values; raise ConfigurationError if one is invalid."""
    known = [field.name for field in fields(Rules)]
    given: dict[str, float] = {}
    for name, value in assignments(values, f"backend {backend!r}").items():
        if name not in known:
            raise ConfigurationError(f"backend {backend!r}: unknown parameter {name!r}; known are {', '.join(known)}")
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
    """Return the backend of the human at the terminal; raise ConfigurationError if its name has more parts."""
    if detail:
        raise ConfigurationError(f"backend 'human:{detail}': human stands alone")
    return HumanBackend(lambda: sys.stdin, lambda: sys.stdout)


def _gguf(environment: Mapping[str, str]) -> Path:
    """Return the GGUF file in LLM_GGUF; raise ConfigurationError if there is none."""
    file = environment.get("LLM_GGUF", "").strip()
    if not file:
        raise ConfigurationError("the backend local needs a model: name its GGUF file by --gguf FILE or LLM_GGUF")
    return Path(file)


def _replayed(folder: str) -> Respondents:
    """Return the backends of the stored run in a folder, each with its recorded answers."""
    if not folder:
        raise ConfigurationError("replay: which run? name it, as in replay:sim_storage/first")
    recording = Recording(Path(folder))
    if (parent := recording.run.manifest.parent) is not None:
        raise ConfigurationError(f"{folder} is a fork of {parent['run']!r}: only whole runs replay")

    def repeat(description: Mapping[str, Any], *, reads_prompts: bool) -> Backend:
        return ReplayBackend(recording, description, reads_prompts=reads_prompts)

    return replaying(recording, repeat)


def replaying(recording: Recording, make: Callable[..., Backend]) -> Respondents:
    """Return the backends of a recorded run; `make` gets each description and, by name, whether it read prompts."""

    def repeat(described: Mapping[str, Any]) -> Backend:
        description = dict(described)
        return make(description, reads_prompts=description.pop("reads_prompts"))

    manifest = recording.run.manifest
    own = {name: repeat(described) for name, described in manifest.backend_for.items()}
    planted = {name: repeat(described) for name, described in manifest.planted.items()}
    return Respondents(repeat(manifest.backend), own, planted)


def recorded(
    manifest: Manifest,
    backend_for: Mapping[str, str | Backend] | None = None,
    environment: Mapping[str, str] = os.environ,
    default: Backend | None = None,
    planted: Iterable[str] | None = None,
) -> Respondents:
    """Return the mapping from agents to backends of a stored run, to resume it.

    Args:
        manifest: The manifest of the run.
        backend_for: Names of backends, or backends, that replace those of single agents.
        environment: The environment variables that configure endpoints, keys and, in LLM_GGUF, a local model.
        default: The backend that replaces the default of the run.
        planted: The names of the backends that agents get in events; None for those of the run.

    Raises:
        ConfigurationError: If a backend cannot be created from its description.
    """
    made: dict[str, Backend] = {}
    known, others = Environment.of(environment), backend_for or {}

    def make(description: Mapping[str, Any]) -> Backend:
        key = repr(sorted(description.items()))
        if key not in made:
            try:
                parameters = {**description}
                name = parameters.pop("backend")
                del parameters["reads_prompts"]
                if name not in _KINDS:
                    raise ConfigurationError(
                        f"the run was made with the backend {name!r}: name the backend to go on with, or its file by "
                        "--extension"
                    )
                made[key] = _KINDS[name].restore(parameters, known)
            except (KeyError, TypeError, ValueError) as error:  # the manifest of another version or program
                raise ConfigurationError(f"the manifest describes no backend that is known here ({error})") from None
        return made[key]

    own = {name: make(description) for name, description in manifest.backend_for.items() if name not in others}
    default = default or make(manifest.backend)
    stored = {name: make(description) for name, description in manifest.planted.items()}
    wanted = stored if planted is None else dict.fromkeys(planted)
    new = respondents(default, others, known, [name for name in wanted if name not in stored])
    given = {**stored, **new.planted}
    return Respondents(default, {**own, **new.by_name}, {name: given[name] for name in wanted})


def check_endpoints(described: Iterable[Mapping[str, Any]], environment: Mapping[str, str]) -> None:
    """Raise ConfigurationError if a named endpoint among descriptions of backends is not configured."""
    known = Environment.of(environment)
    for each in described:
        if "endpoint" in each:
            known.find(each["endpoint"])


def _endpoint(name: str, environment: Mapping[str, str]) -> Backend:
    """Return the endpoint with a name; without one, that of the LLM_* variables, where a name is that of a model."""
    if name in (known := Environment.of(environment)).endpoints:
        return _named(name, known)
    endpoint = Endpoint.from_environment(environment)
    try:
        return connect(endpoint.of_model(name) if name else endpoint, environment)
    except ConfigurationError as error:
        if not name:
            raise
        if not known.endpoints:
            raise ConfigurationError(
                f"{error}; or, if {name!r} is a named endpoint, name its file by --endpoints"
            ) from None
        raise ConfigurationError(
            f"openai:{name}: the file of endpoints has {', '.join(known.endpoints)}, but no {name!r}, and it cannot be "
            f"asked as a model either: {error}"
        ) from None


def _named(name: str, environment: Environment) -> OpenAIBackend:
    table = environment.find(name)
    return connect(table.settings(name), environment, table.key, table.terms(name))


def _same_endpoint(parameters: dict[str, Any], environment: Mapping[str, str]) -> Backend:
    """Return the endpoint of a stored run; raise ConfigurationError if a named one is missing or has changed."""
    if "endpoint" not in parameters:
        extra = extra_fields.checked(parameters.pop("extra", {}))
        endpoint = replace(Endpoint.from_environment(environment), sampling=Sampling(**parameters), extra=extra)
        return connect(endpoint, environment)
    name = parameters["endpoint"]
    backend = _named(name, Environment.of(environment))
    was, now = {"backend": "openai", "extra": {}, **parameters}, {"extra": {}, **backend.description}
    if was != now:
        differ = [key for key in sorted({*was, *now}) if was.get(key) != now.get(key)]
        then, there = (", ".join(f"{key}={each.get(key)!r}" for key in differ) for each in (was, now))
        raise ConfigurationError(
            f"the run asked the endpoint {name!r} with {then}, and [endpoints.{name}] has {there}: set it back, or go "
            f"on in a fork by --backend openai:{name} (or --backend-for)"
        )
    return backend


def _local(file: str, environment: Mapping[str, str]) -> Backend:
    return LocalBackend(Path(file) if file else _gguf(environment), settings(environment))


def _same_local(parameters: dict[str, Any], environment: Mapping[str, str]) -> Backend:
    """Return the local model of a stored run; raise ConfigurationError if the file is another one."""
    sha256 = parameters.pop("sha256")
    backend = LocalBackend(_gguf(environment), replace(settings(environment), sampling=Sampling(**parameters)))
    given = backend.description
    if (given["model"], given["sha256"]) != (parameters["model"], sha256):
        raise ConfigurationError(
            f"the run was made with {parameters['model']} (SHA-256 {sha256}...), and --gguf or LLM_GGUF names "
            f"{given['model']} (SHA-256 {given['sha256']}...): name the file it was made with"
        )
    return backend


def _norm(detail: str) -> NormFollower:
    """Return the follower of a norm, NAME,SETTING=VALUE,...; raise ConfigurationError if a part of it is invalid."""
    backend = f"norm:{detail}"
    name, _, settings = detail.partition(",")
    given = assignments(settings, f"backend {backend!r}")
    assessment, observed = given.pop("assessment", Assessment.PUBLIC), given.pop("observed", "1")
    rules = _rules(backend, ",".join(f"{each}={value}" for each, value in given.items()))
    try:
        share = float(observed)
    except ValueError:
        share = math.nan
    try:
        return NormFollower(name, assessment, share, rules)
    except ConfigurationError as error:
        raise ConfigurationError(f"backend {backend!r}: {error}") from None


def _same_norm(parameters: dict[str, Any]) -> NormFollower:
    own = {name: parameters.pop(name) for name in ("norm", "assessment", "observed")}
    return NormFollower(**own, rules=Rules(**parameters))


def _planted(policy: FixedPolicy) -> Kind:
    def restore(parameters: dict[str, Any]) -> PlantedBackend:
        own = Settings.taken_from(parameters, policy)
        return PlantedBackend(policy, Rules(**parameters), own)

    def make(values: str) -> PlantedBackend:
        backend = f"backend '{policy}:{values}'"
        given = assignments(values, backend)
        try:
            own = Settings.taken_from(given, policy)
        except ConfigurationError as error:
            raise ConfigurationError(f"{backend}: {error}") from None
        rules = _rules(f"{policy}:{values}", ",".join(f"{name}={value}" for name, value in given.items()))
        return PlantedBackend(policy, rules, own)

    return Kind(make=lambda values, _: make(values), restore=lambda parameters, _: restore(parameters), has_rules=True)


_KINDS: dict[str, Kind] = {
    "rules": Kind(
        make=lambda values, _: RulesBackend(_rules(f"rules:{values}", values)),
        restore=lambda parameters, _: RulesBackend(Rules(**parameters)),
        has_rules=True,
    ),
    **{policy.value: _planted(policy) for policy in FixedPolicy},
    NORM: Kind(
        make=lambda detail, _: _norm(detail),
        restore=lambda parameters, _: _same_norm(parameters),
    ),
    "human": Kind(make=lambda detail, _: _human(detail), restore=lambda *_: _human()),
    "openai": Kind(make=_endpoint, restore=_same_endpoint),
    "local": Kind(make=_local, restore=_same_local),
}
