"""How a society is taken up from a stored run: in place, or in a fork, so that nothing stored is overwritten."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repunet_model import persistence
from repunet_model.backends.limits import Limits
from repunet_model.backends.setup import Respondents, recorded, respondents
from repunet_model.errors import ConfigurationError
from repunet_model.model import RepuNetModel
from repunet_model.storage import RunFolder
from repunet_model.words import command, replayable


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
    backend: str | None = None,
    backend_for: Mapping[str, str] | None = None,
    name: str | None = None,
    keeps_seed: bool = False,
    allow_human: bool = True,
    environment: Mapping[str, str] = os.environ,
    limits: Limits | None = None,
) -> Resumed:
    """Take up a stored run: from its last step in place; from an earlier one, or with other backends, in a fork.

    Args:
        path: The folder of the run.
        step: The step to go on from; None for the last one.
        storage: The folder of all runs, where a fork and a run to replay are.
        backend: Who answers from now on; None for who answered before.
        backend_for: The same for single agents.
        name: The name of the fork; None derives one.
        keeps_seed: Whether a run without steps is forked as well, so that it can be started from again.
        allow_human: Whether somebody at the keyboard may answer.
        environment: Where endpoints and keys are configured.
        limits: What requests may not exceed.

    Raises:
        RepuNetError: If the run cannot be read or forked, or there is a name though nothing is forked.
    """
    folder = RunFolder.open(path)
    manifest = folder.manifest()
    last = folder.steps()[-1] if step is None else step
    folder.check_step(last)
    if backend is None:
        who = recorded(manifest, backend_for, environment)
    else:
        named = respondents(replayable(backend, storage), None, environment)
        who = recorded(manifest, {**named.by_name, **(backend_for or {})}, environment, named.default)
    if not allow_human:
        check_nobody_types(who)
    changes = {key: value for key, value in who.to_dict().items() if manifest[key] != value}
    is_fork = bool(changes) or not folder.is_last(last) or (keeps_seed and last == 0)
    if is_fork:
        changes |= persistence.made_by()
        folder = folder.fork(last, storage, name, changes)
    elif name is not None:
        raise ConfigurationError(f"name {name!r} (--sim-name): the run goes on in place; to fork it, name a step")
    return Resumed(RepuNetModel.load(folder.path, backend=who, limits=limits), is_fork)


def replayed_parameters(backend: str) -> dict[str, Any]:
    """Return the parameters of the run that a backend repeats, by the names that the command line gives them.

    Args:
        backend: The name of a backend; there are no such parameters unless it is replay:RUN.

    Raises:
        RepuNetError: If the run cannot be read.
    """
    kind, _, replayed = backend.partition(":")
    if kind != "replay" or not replayed:
        return {}
    folder = RunFolder.open(Path(replayed))
    manifest = folder.manifest()
    return {
        "scenario": manifest["game"],
        "steps": max(folder.steps()[-1], 1),
        "personas": str(folder.path / "step_0" / "personas.json"),
        **{name: manifest[name] for name in persistence.PARAMETERS if name != "game"},
    }


def model_parameters(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a model, without backends, from values by the names that the command line gives them."""
    names = ("reputation", "gossip", "n_agents", "personas", "activation", "dialogue_turns", "questions")
    return {"game": values["scenario"], **{name: values[name] for name in names}, "rng": values["seed"]}


def check_nobody_types(who: Respondents) -> None:
    """Make sure that no agent's answers come from the keyboard, where something else is typed.

    Raises:
        ConfigurationError: If some do.
    """
    if who.has_human:
        raise ConfigurationError(f"a human has the keyboard to themselves: use {command('run')} or {command('resume')}")
