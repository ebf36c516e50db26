"""Create models from descriptions and from stored runs.

A new model is described by `RunConfig`, and may take its personas from a stored run. A stored run continues in place or
in a fork; stored steps are never overwritten.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repunet_model import events, games, measures, populations, stages
from repunet_model.backends.limits import Limits
from repunet_model.backends.setup import Respondents, check_endpoints, recorded, respondents
from repunet_model.config import OF_GAME, RunConfig, changeable, name_of, read_text, shown
from repunet_model.errors import ConfigurationError
from repunet_model.initial_network import InitialNetwork
from repunet_model.personas import Population, validated
from repunet_model.questions.prompt_sets import PromptSet
from repunet_model.rng import Streams
from repunet_model.stages.turnover import plan
from repunet_model.storage import Manifest, StepReader
from repunet_model.storage.manifest import made_by
from repunet_model.util.text import command, replayable

if TYPE_CHECKING:
    from repunet_model.model import RepuNetModel


@dataclass(frozen=True, slots=True)
class Start:
    """The description of a new model; `replayed_steps` is the length of a replayed run, None without a replay."""

    config: RunConfig
    personas: str | Population
    network: str | InitialNetwork
    prompts: str | PromptSet
    who: Callable[[], Respondents]
    replayed_steps: int | None = None

    def make(
        self, who: Respondents, limits: Limits | None, storage: Path | None = None, run_name: str | None = None
    ) -> RepuNetModel:
        """Create the model, with backends from `who`; raise RepuNetError if it is invalid."""
        from repunet_model.model import RepuNetModel

        return RepuNetModel(
            **self.config.keywords(),
            game_parameters=self.config.game_parameters,
            n_agents=self.config.n_agents,
            personas=self.personas,
            population=self.config.population,
            network=self.network,
            prompts=self.prompts,
            backend=who,
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
    network: InitialNetwork | None = None,
    prompts: PromptSet | None = None,
) -> Start:
    """Prepare a new model; a replay takes unset parameters from the replayed run, which is in `storage`.

    `environment` configures endpoints and keys; `population`, `network` and `prompts` replace those that the
    parameters name.
    Raises RepuNetError if a run to replay cannot be read, or has a stage that is not registered.
    """
    backend = replayable(config.backend, storage)
    personas: str | Population = config.personas if population is None else population
    ties: str | InitialNetwork = config.network if network is None else network
    chosen: str | PromptSet = config.prompts if prompts is None else prompts
    steps = None
    kind, _, replayed = backend.partition(":")
    if kind == "replay" and replayed:
        run = StepReader.open(Path(replayed))
        steps = max(run.last, 1)
        stages.named(run.manifest.stages)
        stored = run.manifest.config.stored()
        config = config.changed({name: stored[name] for name in stored if name not in config.model_fields_set})
        config = _with_game_of(run.manifest, config)
        if population is None and not config.model_fields_set & {"personas", "population"}:
            entering = run.manifest.data.get("newcomers") or {}
            personas = Population(run.population["name"], run.personas, run.population.get("drawn"), entering)
        if "network" not in config.model_fields_set:
            ties = _network_of(run)
        if "prompts" not in config.model_fields_set:
            chosen = PromptSet.restored(run.manifest.prompts)
    planted = events.backends(config.events)
    return Start(
        config, personas, ties, chosen, lambda: respondents(backend, config.backend_for, environment, planted), steps
    )


def start_from(run: StepReader, config: RunConfig, storage: Path, environment: Mapping[str, str]) -> Start:
    """Prepare a model with a run's initial personas and learned texts, and its values of unset parameters.

    Raises RepuNetError if the run cannot be read, or `config` sets another population.
    """
    for field in ("personas", "population", "n_agents"):
        if field in config.model_fields_set:
            raise ConfigurationError(
                f"--{name_of(field).replace('_', '-')}: {run.folder.path} has its own; leave the option out"
            )
    stored = run.manifest.config.stored()
    config = config.changed({name: stored[name] for name in stored if name not in config.model_fields_set})
    config = _with_game_of(run.manifest, config)
    network = None if "network" in config.model_fields_set else _network_of(run)
    prompts = None if "prompts" in config.model_fields_set else PromptSet.restored(run.manifest.prompts)
    return start(config, storage, environment, populations.of_run(run, 0), network, prompts)


def _network_of(run: StepReader) -> InitialNetwork:
    """Return the initial network of a stored run, with its very ties if the agents were placed in it."""
    is_kept = "placed" in (run.population.get("drawn") or {})
    return InitialNetwork.of_run(run.manifest.network, run.step(0).state["network"]["ties"], is_kept=is_kept)


def _with_game_of(manifest: Manifest, config: RunConfig) -> RunConfig:
    """Give unset parameters of the game a run's values, if the game is the same."""
    if config.game != manifest.config.game:
        return config
    return config.changed({"game_parameters": {**manifest.game_parameters, **config.game_parameters}})


@dataclass(frozen=True, slots=True)
class Resumed:
    """A resumed model, and whether it continues in a fork."""

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
    """Resume a stored run: in place from its last step; in a fork from an earlier step, or with other parameters.

    `step` is the last one if None; `storage` is for a fork and a run to replay. A parameter set in `config` that
    differs from the run's causes a fork; its `name` is derived if None. Raises RepuNetError if the run cannot be read
    or forked, or a name is given without a fork.
    """
    run = StepReader.open(path, step)
    folder, manifest = run.folder, run.manifest
    wanted = config or RunConfig()
    if folder.is_last(run.last) and not (wanted.model_fields_set - {"backend_for"} or wanted.backend_for):
        folder.check_writable()  # before anything asks for the model of the run
    if "events" in wanted.model_fields_set:
        wanted = wanted.changed({"events": _later_events(run, wanted.events)})
    planted = events.backends(wanted.events) if "events" in wanted.model_fields_set else None
    if "backend" in wanted.model_fields_set:
        named = respondents(replayable(wanted.backend, storage), None, environment)
        who = recorded(manifest, {**named.by_name, **wanted.backend_for}, environment, named.default, planted)
    else:
        who = recorded(manifest, wanted.backend_for, environment, planted=planted)
    if not allow_human:
        check_nobody_types(who)
    was, now = {**manifest.config.stored(), **manifest.data}, who.to_dict()
    if manifest.planted:
        now.setdefault("planted", {})
    for field in wanted.model_fields_set - {"backend", "backend_for"}:
        if not shown(field).may_change:
            raise ConfigurationError(
                f"--{name_of(field).replace('_', '-')}: {path} has steps and its own agents; leave the option out"
            )
        if field == "game_parameters":
            now[field] = _changed_game(manifest, wanted.game_parameters)
        elif field == "prompts":
            now[field] = PromptSet.read(wanted.prompts).described(
                manifest.config.game, manifest.config.mechanism.institution
            )
        else:
            now[field] = wanted.stored()[field]
    changes = {key: value for key, value in now.items() if was.get(key) != value}
    is_fork = bool(changes) or not folder.is_last(run.last)
    if is_fork:
        changes |= _consequences(manifest, changes, who)
        _check_events(run, Manifest({**manifest.data, **changes}))
        folder = folder.fork(run.last, storage, name, changes)
    elif name is not None:
        raise ConfigurationError(
            f"name {name!r} (--sim-name): the run goes on in place; to fork it, name an earlier step, or use fork"
        )
    from repunet_model.model import RepuNetModel

    return Resumed(RepuNetModel.load(folder.path, backend=who, limits=limits), is_fork)


def fork_changes(
    run: StepReader, settings: Mapping[str, str], storage: Path, environment: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """Return the manifest entries that a fork of a run after its last read step overrides, from settings as text.

    Raises ConfigurationError if a setting is invalid, or a named endpoint that the fork keeps is not configured.
    """
    manifest, known = run.manifest, changeable()
    changed: dict[str, Any] = {}
    of_game = {name.removeprefix(OF_GAME): text for name, text in settings.items() if name.startswith(OF_GAME)}
    if of_game:
        changed["game_parameters"] = _changed_game(manifest, of_game)
    for name, text in settings.items():
        if name.startswith(OF_GAME):
            continue
        if name not in known:
            raise ConfigurationError(f"{name}={text}: set {', '.join(known[:-1])} or {known[-1]}")
        if name == "backend":
            changed[name] = respondents(replayable(text, storage), None, environment).to_dict()["backend"]
        elif name == "prompts":
            changed[name] = PromptSet.read(text).described(manifest.config.game, manifest.config.mechanism.institution)
        elif name == "events":
            changed |= _changed_events(run, text, environment)
        else:
            changed |= {name: RunConfig.checked({name: read_text(name, text)}).stored()[name]}
    kept = [] if "backend" in changed else [manifest.backend]
    check_endpoints([*kept, *manifest.backend_for.values(), *manifest.planted.values()], environment)
    if set(changed) & {"backend", "events"}:
        _check_events(run, Manifest({**manifest.data, **changed}))
    return changed | _consequences(manifest, changed)


def _changed_events(run: StepReader, text: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the entries of a fork's manifest for its events, of which `text` has those of the steps to come."""
    later = _later_events(run, RunConfig.checked({"events": text}).events)
    described = recorded(run.manifest, environment=environment, planted=events.backends(later)).to_dict()
    return {"events": list(later), "planted": described.get("planted", {})}


def _later_events(run: StepReader, wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the events of a run up to its last read step, with others for the steps to come.

    Raises:
        ConfigurationError: If one is for a step that is stored, and not an event of the run.
    """
    past = [text for text in run.manifest.config.events if events.Event.read(text).step <= run.last]
    later = []
    for text in wanted:
        if events.Event.read(text).step > run.last:
            later.append(text)
        elif text not in past:
            raise ConfigurationError(
                f"event '{text}': step {events.Event.read(text).step} of {run.folder.path} is stored already; "
                f"name a step after {run.last}, or fork an earlier step"
            )
    return events.canonical([*past, *later])


def _check_events(run: StepReader, changed: Manifest) -> None:
    """Check that the events of a fork after the last read step of a run can happen; raise ConfigurationError if not."""
    entering = validated((changed.data.get("newcomers") or {}).get("personas", ()), "newcomers")
    streams = Streams(changed.config.seed)
    plan(changed.config.events, run.roster(run.last), streams, entering, changed.backend_of, run.last)


def _changed_game(manifest: Manifest, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a run's game with some of them set; raise ConfigurationError if one is invalid."""
    game = games.find(manifest.config.game, manifest.game_parameters)
    before = game.parameters
    after = game.with_parameters({**before.stored(), **given}).parameters
    if after.start_resources != before.start_resources:
        raise ConfigurationError(f"{OF_GAME}start_resources: the agents have theirs already; leave it out")
    return after.stored()


def _consequences(manifest: Manifest, changes: Mapping[str, Any], who: Respondents | None = None) -> dict[str, Any]:
    """Return further entries of a fork's manifest: its versions, and the prompts under the changed parameters."""
    config = RunConfig.of_manifest({**manifest.data, **changes})
    game = games.find(config.game, changes.get("game_parameters", manifest.game_parameters))
    backends = () if who is None else map(type, who.distinct())
    own_measures, own_stages = measures.named(manifest.measures).values(), stages.named(manifest.stages)
    chosen = PromptSet.restored(changes.get("prompts", manifest.prompts))
    return {
        "prompts": chosen.described(config.game, config.mechanism.institution),
        "system_prompt": game.prompts(config, chosen).system,
        **made_by([type(game), *backends, *own_measures, *own_stages]),
    }


def check_nobody_types(who: Respondents) -> None:
    """Raise ConfigurationError if a human answers for an agent, where the keyboard serves another purpose."""
    if who.has_human:
        raise ConfigurationError(f"a human has the keyboard to themselves: use {command('run')} or {command('resume')}")
