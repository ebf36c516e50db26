"""A methods paragraph of a stored run, filled from its manifest, with the references to cite."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from repunet_model.backends.base import Usage, label_of
from repunet_model.config import RunConfig, parts_in_words
from repunet_model.results.stored_game import title_of
from repunet_model.storage import Manifest, StepReader
from repunet_model.util.text import counted

PAPER = (
    "Ren, S., Fu, W., Zou, X., Shen, C., Cai, Y., Chu, C., Wang, Z., Hu, S. (2026). Reputation as a Solution to "
    "Cooperation Collapse in LLM-based MASs. AAMAS 2026, 245-253. doi:10.65109/UEHN4980; arXiv:2505.05029."
)

MESA = (
    "ter Hoeven, E., et al. (2025). Mesa 3: Agent-based modeling with Python in 2025. Journal of Open Source "
    "Software, 10(107), 7668. doi:10.21105/joss.07668."
)


def of_run(run: StepReader) -> Iterator[str]:
    """Yield a paragraph that describes how a run was made, and then the references, one per line.

    Everything in it comes from the manifest, the personas and the usage of the run. An import of a published run is
    named as one, since its first steps were made by other software.
    """
    manifest = run.manifest
    yield " ".join([*_society(run), *_mechanism(manifest), *_answers(run), *_software(manifest)])
    yield ""
    yield PAPER
    yield f"RepuNet for Mesa, version {manifest.data['repunet']} (software)."
    yield MESA


def _society(run: StepReader) -> Iterator[str]:
    """Yield sentences on the game, the agents, the ties at the start and the steps."""
    manifest, config = run.manifest, run.manifest.config
    kinds = Counter(persona.disposition.value for persona in run.personas)
    people = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    steps = counted(run.last, "step")
    if manifest.origin is not None:
        yield f"The first steps are those of the published run {manifest.origin}, which has no known seed."
        steps += " in all"
    yield (
        f"{counted(len(run.personas), 'agent')} ({people}; population {run.population['name']!r}) played the game "
        f"{title_of(config.game)} for {steps}, with {parts_in_words(config.reputation, config.gossip)}"
        f"{'' if manifest.origin is not None else f' and random seed {config.seed}'}."
    )
    if manifest.game_parameters:
        yield f"The game's parameters were {_listed(manifest.game_parameters)}."
    network = dict(manifest.network)
    kind = network.pop("kind")
    yield (
        "There were no ties at the start."
        if kind == "none"
        else f"The ties at the start were {kind.replace('_', ' ')}{f' ({_listed(network)})' if network else ''}."
    )
    if manifest.parent is not None:
        parent = manifest.parent
        was = {name: value for name, value in parent.get("was", {}).items() if name in RunConfig.model_fields}
        plain = {name: value for name, value in was.items() if not isinstance(value, (dict, list))}
        earlier = [*([_listed(plain)] if plain else []), *(f"another {name}" for name in was if name not in plain)]
        yield (
            f"The run is a fork of {parent['run']} after step {parent['step']} (SHA-256 of the step "
            f"{parent['manifest'][:12]}); the parameters given here are those of the later steps"
            f"{f', those before had {", ".join(earlier)}' if earlier else ''}."
        )


def _mechanism(manifest: Manifest) -> Iterator[str]:
    """Yield sentences on the mechanism and the order of events."""
    config = manifest.config
    asked = "each in a call of its own" if config.questions == "single" else "consecutive ones in one call"
    yield (
        f"The mechanism was {str(config.mechanism)!r}, activation {config.activation.value}; questions were asked "
        f"{asked}, dialogues had at most {config.dialogue_turns} turns."
    )
    if manifest.stages:
        yield f"Stages were added: {', '.join(manifest.stages)}."


def _answers(run: StepReader) -> Iterator[str]:
    """Yield sentences on who answered, from which prompts, and at what cost."""
    manifest = run.manifest
    yield f"The agents' answers came from {_backend(manifest.backend)}."
    for name, described in manifest.backend_for.items():
        yield f"Those of {name} came from {_backend(described)}."
    if manifest.reads_prompts:
        prompts = manifest.prompts
        yield f"The prompts were those of the set {prompts['set']!r} (SHA-256 {prompts['sha256'][:12]})."
    usage = Usage()
    for step in run.steps(1):
        usage.add(Usage.total(step.usage))
    if usage.attempts:
        dollars = f" and {usage.usd:,.2f} US dollars" if usage.usd else ""
        yield (
            f"This took {counted(usage.attempts, 'request')}, {counted(usage.tokens, 'token')}{dollars}; "
            f"{counted(usage.reasks, 're-ask')} followed replies that did not fit the schema."
        )


def _backend(described: Mapping[str, Any]) -> str:
    """Return the description of a backend in words."""
    parameters = {name: value for name, value in described.items() if name not in ("backend", "model", "reads_prompts")}
    words = "offline rules" if described["backend"] == "rules" else label_of(described)
    return f"{words} ({_listed(parameters)})" if parameters else words


def _software(manifest: Manifest) -> Iterator[str]:
    """Yield a sentence on the versions."""
    versions = manifest.data["versions"]
    commit = manifest.data.get("commit")
    yield (
        f"It was made with RepuNet for Mesa {manifest.data['repunet']}"
        f"{f' (commit {commit[:12]})' if commit else ''} on Mesa {versions['mesa']} and Python {versions['python']}."
    )


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items() if value is not None)
