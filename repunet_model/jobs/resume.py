"""Make societies: new ones from their parameters, or from stored runs, which go on in place or in a fork.

A new society may have the personas of a stored run. Nothing stored is overwritten.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repunet_model import games, measures, populations, stages
from repunet_model.backends.limits import Limits
from repunet_model.backends.setup import Respondents, recorded, respondents
from repunet_model.config import RunConfig, name_of, read_text, shown
from repunet_model.errors import ConfigurationError
from repunet_model.model import RepuNetModel
from repunet_model.personas import Population
from repunet_model.storage import Manifest, StepReader
from repunet_model.storage.manifest import made_by
from repunet_model.util.text import command, replayable


@dataclass(frozen=True, slots=True)
class Start:
    """A new society that can be made.

    Attributes:
        config: Its parameters.
        personas: The source of its personas.
        who: Makes its backends; each call makes others.
        replayed_steps: The steps of the run that it repeats; None unless it is a replay.
    """

    config: RunConfig
    personas: str | Population
    who: Callable[[], Respondents]
    replayed_steps: int | None = None

    def make(
        self, who: Respondents, limits: Limits | None, storage: Path | None = None, run_name: str | None = None
    ) -> RepuNetModel:
        """Return the society.

        Args:
            who: Its backends, from `who`.
            limits: What requests may not exceed.
            storage: The folder of all runs; None to store nothing.
            run_name: The name of the run.

        Raises:
            RepuNetError: If it cannot be made.
        """
        return RepuNetModel(
            **self.config.keywords(),
            n_agents=self.config.n_agents,
            personas=self.personas,
            backend=who.default,
            backend_for=who.by_name,
            limits=limits,
            storage=storage,
            run_name=run_name,
        )


def start(
    config: RunConfig,
    storage: Path,
    environment: Mapping[str, str] = os.environ,
    population: Population | None = None,
) -> Start:
    """Prepare a new society. A replay takes what was not set from the run that it repeats.

    Args:
        config: Its parameters.
        storage: The folder of all runs, where a run to replay is.
        environment: Where endpoints and keys are configured.
        population: Its personas, in place of those that the parameters name.

    Raises:
        RepuNetError: If a run to replay cannot be read, or has a stage that is not registered.
    """
    backend = replayable(config.backend, storage)
    personas: str | Population = config.personas if population is None else population
    steps = None
    kind, _, replayed = backend.partition(":")
    if kind == "replay" and replayed:
        run = StepReader.open(Path(replayed))
        steps = max(run.last, 1)
        stages.named(run.manifest.stages)
        stored = run.manifest.config.stored()
        config = config.changed({name: stored[name] for name in stored if name not in config.model_fields_set})
        if population is None and "personas" not in config.model_fields_set:
            personas = Population(run.population["name"], run.personas)
    return Start(config, personas, lambda: respondents(backend, config.backend_for, environment), steps)


def start_from(run: StepReader, config: RunConfig, storage: Path, environment: Mapping[str, str]) -> Start:
    """Prepare a new society with the personas of a run before its first step, and their learned texts.

    Parameters that are not set are those of the run, its seed and label included; its backends are not taken over.

    Args:
        run: The run.
        config: The parameters of the society.
        storage: The folder of all runs.
        environment: Where endpoints and keys are configured.

    Raises:
        RepuNetError: If the run cannot be read, or `personas` or `n_agents` is set.
    """
    for field in ("personas", "n_agents"):
        if field in config.model_fields_set:
            raise ConfigurationError(
                f"--{name_of(field).replace('_', '-')}: {run.folder.path} has its own; leave the option out"
            )
    stored = run.manifest.config.stored()
    config = config.changed({name: stored[name] for name in stored if name not in config.model_fields_set})
    return start(config, storage, environment, populations.of_run(run, 0))


@dataclass(frozen=True, slots=True)
class Resumed:
    """A society that was taken up.

    Attributes:
        model: The society.
        is_fork: Whether it goes on in a new run.
    """

    model: RepuNetModel
    is_fork: bool


def resumed(
    path: Path,
    step: int | None,
    storage: Path,
    *,
    config: RunConfig | None = None,
    name: str | None = None,
    allow_human: bool = True,
    environment: Mapping[str, str] = os.environ,
    limits: Limits | None = None,
) -> Resumed:
    """Take up a stored run: from its last step in place; from an earlier one, or with other backends, in a fork.

    Args:
        path: The folder of the run.
        step: The step to go on from; None for the last one.
        storage: The folder of all runs, where a fork and a run to replay are.
        config: What was asked for; whatever is set and is otherwise in the run makes a fork.
        name: The name of the fork; None derives one.
        allow_human: Whether somebody at the keyboard may answer.
        environment: Where endpoints and keys are configured.
        limits: What requests may not exceed.

    Raises:
        RepuNetError: If the run cannot be read or forked, or there is a name though nothing is forked.
    """
    run = StepReader.open(path, step)
    folder, manifest = run.folder, run.manifest
    wanted = config or RunConfig()
    if "backend" in wanted.model_fields_set:
        named = respondents(replayable(wanted.backend, storage), None, environment)
        who = recorded(manifest, {**named.by_name, **wanted.backend_for}, environment, named.default)
    else:
        who = recorded(manifest, wanted.backend_for, environment)
    if not allow_human:
        check_nobody_types(who)
    was, now = {**manifest.config.stored(), **manifest.data}, who.to_dict()
    for field in wanted.model_fields_set - {"backend", "backend_for"}:
        if not shown(field).may_change:
            raise ConfigurationError(
                f"--{name_of(field).replace('_', '-')}: {path} has steps and its own agents; leave the option out"
            )
        now[field] = wanted.stored()[field]
    changes = {key: value for key, value in now.items() if was[key] != value}
    is_fork = bool(changes) or not folder.is_last(run.last)
    if is_fork:
        changes |= _made_by(manifest, who)
        folder = folder.fork(run.last, storage, name, changes)
    elif name is not None:
        raise ConfigurationError(
            f"name {name!r} (--sim-name): the run goes on in place; to fork it, name an earlier step, or use fork"
        )
    return Resumed(RepuNetModel.load(folder.path, backend=who, limits=limits), is_fork)


def fork_changes(manifest: Manifest, settings: Mapping[str, str], storage: Path) -> dict[str, Any]:
    """Return the entries of a manifest that a fork changes by wish; backends of single agents stay.

    Args:
        manifest: Of the run that is forked.
        settings: Values as `fork --set NAME=VALUE` has them, by name.
        storage: The folder of all runs, where a run to replay is.

    Raises:
        ConfigurationError: If a name is none that a fork may change, or a value cannot be used.
    """
    known = [field for field in RunConfig.model_fields if shown(field).may_change]
    changed: dict[str, Any] = {}
    for name, text in settings.items():
        if name not in known:
            raise ConfigurationError(f"{name}={text}: set {', '.join(known[:-1])} or {known[-1]}")
        if name == "backend":
            changed[name] = respondents(replayable(text, storage)).to_dict()["backend"]
        else:
            changed |= {name: RunConfig.checked({name: read_text(name, text)}).stored()[name]}
    return changed | _made_by(manifest)


def _made_by(manifest: Manifest, who: Respondents | None = None) -> dict[str, Any]:
    """Return what makes the steps of a fork."""
    backends = () if who is None else map(type, who.distinct())
    own_measures, own_stages = measures.named(manifest.measures).values(), stages.named(manifest.stages)
    return made_by([type(games.find(manifest.config.game)), *backends, *own_measures, *own_stages])


def check_nobody_types(who: Respondents) -> None:
    """Make sure that no agent's answers come from the keyboard, where something else is typed.

    Raises:
        ConfigurationError: If some do.
    """
    if who.has_human:
        raise ConfigurationError(f"a human has the keyboard to themselves: use {command('run')} or {command('resume')}")
