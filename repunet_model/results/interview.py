"""Interviews: a free question to an agent as it was after a step, answered by its model, never written into the run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from repunet_model import games
from repunet_model.backends.base import Backend, Request, Usage
from repunet_model.backends.limits import Limits
from repunet_model.backends.setup import Respondents, recorded
from repunet_model.backends.wrappers import service
from repunet_model.chronicle import Chronicle
from repunet_model.errors import ConfigurationError
from repunet_model.questions.base import Coordinates
from repunet_model.questions.interview import Interview
from repunet_model.questions.prompts import Prompts
from repunet_model.rng import Streams
from repunet_model.storage import Manifest
from repunet_model.storage.journal import Journal
from repunet_model.util import event_loop
from repunet_model.util.text import one_line

LONGEST_QUESTION = 2000


@dataclass(frozen=True, slots=True)
class Interviewed:
    """The answer of an interview.

    Attributes:
        text: The answer.
        usage: What it cost.
    """

    text: str
    usage: Usage


def talking(manifest: Manifest, name: str, environment: Mapping[str, str] = os.environ) -> Respondents:
    """Return who answers for the agents of a stored run, if one of them can talk.

    Args:
        manifest: Of the run.
        name: The agent.
        environment: Where endpoints and keys are configured.

    Raises:
        ConfigurationError: If it cannot, or the backend cannot be set up.
    """
    _check_talks(name, manifest.backend_of(name))
    return recorded(manifest, environment=environment)


def interview(chronicle: Chronicle, step: int, name: str, text: str, who: Respondents, limits: Limits) -> Interviewed:
    """Put a free question to an agent, as it was after a step.

    Args:
        chronicle: The run; nothing is written into it.
        step: The step.
        name: The agent.
        text: The question.
        who: Who answers for the agents of the run.
        limits: What requests may not exceed.

    Raises:
        RepuNetError: If there is no such agent, it cannot talk, or it could not be asked.
    """
    persona = chronicle.persona(name)
    backend = who.of(name)
    _check_talks(name, backend.description)
    asked = one_line(text)
    if not asked or len(asked) > LONGEST_QUESTION:
        raise ConfigurationError(f"the question has {len(asked)} characters: ask in 1 to {LONGEST_QUESTION:,}")
    config = chronicle.manifest.config
    game = games.find(config.game)
    prompts = Prompts(game.rules, reputation=config.reputation, gossip=config.gossip, random_pairs=game.random_pairs)
    where = Coordinates(step, "interview", Interview.name, name, about=asked)
    digest = Streams(config.seed).digest(*where)
    learned = _learned(chronicle.agent_state(name, step)["learned"])
    question = _question(chronicle, step, name, asked)
    request = Request(where, question, persona, learned, digest, prompts, backend.description)
    said = event_loop.run(_answered(service(backend, limits, Journal()), request))
    return Interviewed(said, request.usage)


def _check_talks(name: str, described: Mapping[str, Any]) -> None:
    """Make sure that a model answers for an agent.

    Raises:
        ConfigurationError: If none does.
    """
    if "model" not in described:
        raise ConfigurationError(
            f"{name} cannot talk: the backend {described['backend']!r} answers for them, and only a language model can"
        )


async def _answered(backend: Backend, request: Request[Any]) -> str:
    return str((await backend.answer(request)).answer)


def _learned(by_role: Mapping[str, str]) -> str:
    """Return what an agent acts on: in a game of two roles, in each."""
    if len(by_role) == 1:
        return next(iter(by_role.values()))
    return "\n".join(f"As {role}: {text}" for role, text in by_role.items())


def _question(chronicle: Chronicle, step: int, name: str, asked: str) -> Interview:
    """Return the question with all that the agent holds after a step."""
    network = chronicle.network(step)
    opinions = chronicle.opinions_of(name, step).values()
    return Interview(
        asked=asked,
        step=step,
        resources=Decimal(chronicle.agent_state(name, step)["resources"]),
        records=tuple(history[-1].record for history in opinions) if chronicle.manifest.config.reputation else None,
        events=chronicle.memory(name, step),
        tied_to=tuple((other, edge["roles"]) for other, edge in network.graph.adj[name].items()),
        avoids=network.blacklist(name),
    )
