"""Interview an agent in its state after a step; its model answers, and nothing is written into the run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from repunet_model import games
from repunet_model.backends.base import Request, Usage
from repunet_model.backends.limits import Limits
from repunet_model.backends.setup import Respondents, recorded
from repunet_model.backends.wrappers import service
from repunet_model.chronicle import Chronicle
from repunet_model.errors import ConfigurationError
from repunet_model.mechanism import GossipMemory, Institution
from repunet_model.questions.base import Coordinates, PublicOpinion
from repunet_model.questions.encounter import hearsay_of
from repunet_model.questions.interview import Interview
from repunet_model.questions.prompt_sets import PromptSet
from repunet_model.rng import Streams
from repunet_model.stages.institutions import PublicRecords
from repunet_model.storage.journal import Journal
from repunet_model.util import event_loop
from repunet_model.util.text import one_line

LONGEST_QUESTION = 2000


@dataclass(frozen=True, slots=True)
class Interviewed:
    """The answer of an agent, and its cost."""

    text: str
    usage: Usage


def talking(chronicle: Chronicle, step: int, name: str, environment: Mapping[str, str] = os.environ) -> Respondents:
    """Return a run's backends; raise ConfigurationError if the agent has no model, or one cannot be set up."""
    _check_talks(name, chronicle.backend_of(name, step))
    return recorded(chronicle.manifest, environment=environment)


def interview(chronicle: Chronicle, step: int, name: str, text: str, who: Respondents, limits: Limits) -> Interviewed:
    """Ask an agent a free question in its state after a step; raise RepuNetError without a step, model or reply."""
    persona = chronicle.persona(name)
    backend = who.of(*chronicle.backend_key(name, step))
    _check_talks(name, backend.description)
    asked = one_line(text)
    if not asked or len(asked) > LONGEST_QUESTION:
        raise ConfigurationError(f"the question has {len(asked)} characters: ask in 1 to {LONGEST_QUESTION:,}")
    config = chronicle.manifest.config
    prompts = games.find(config.game, chronicle.manifest.game_parameters).prompts(
        config, PromptSet.restored(chronicle.manifest.prompts)
    )
    where = Coordinates(step, "interview", Interview.name, name, about=asked)
    digest = Streams(config.seed).digest(*where)
    by_role = chronicle.agent_state(name, step)["learned"]
    learned = "\n".join(f"As {role}: {text}" if len(by_role) > 1 else text for role, text in by_role.items())
    question = _question(chronicle, step, name, asked)
    request = Request(where, question, persona, learned, digest, prompts, backend.description)
    reply = event_loop.run(service(backend, limits, Journal()).answer(request))
    return Interviewed(str(reply.answer), request.usage)


def _check_talks(name: str, described: Mapping[str, Any]) -> None:
    """Raise ConfigurationError unless a model answers for an agent, by the description of its backend."""
    if "model" not in described:
        raise ConfigurationError(
            f"{name} cannot talk: the backend {described['backend']!r} answers for them, and only a language model can"
        )


def _public(chronicle: Chronicle, step: int, institution: Institution, name: str) -> tuple[PublicOpinion, ...]:
    """Return what a public institution shows after a step of an agent and of those it is tied to."""
    if not institution.is_public:
        return ()
    public = PublicRecords(institution)
    public.restore(chronicle.step(step).state)
    tied = chronicle.network(step).graph.adj[name]
    seen = [(name, role) for role in chronicle.roles] + [
        (other, role) for other in tied for role in tied[other]["roles"]
    ]
    for subject in dict.fromkeys(subject for subject, _ in seen):
        for (_, role), history in chronicle.opinions_about(subject, step).items():
            public.standings.replace(subject, role, None, history[-1].record)
    return tuple(dict.fromkeys(public.opinion(*each) for each in seen))


def _question(chronicle: Chronicle, step: int, name: str, asked: str) -> Interview:
    """Return the question with the state of the agent after a step."""
    network = chronicle.network(step)
    config = chronicle.manifest.config
    mechanism = games.find(config.game).mechanism(config)
    opinions = [history[-1].record for history in chronicle.opinions_of(name, step).values()]
    remembers = mechanism.gossip_memory is GossipMemory.ALWAYS
    return Interview(
        asked=asked,
        step=step,
        resources=Decimal(chronicle.agent_state(name, step)["resources"]),
        records=tuple(
            record
            for record in opinions
            if (mechanism.self_records if record.subject == name else mechanism.peer_records)
        ),
        public=_public(chronicle, step, mechanism.institution, name),
        events=chronicle.memory(name, step),
        heard=tuple((each.subject, hearsay_of(each)) for each in chronicle.heard(name, step)) if remembers else (),
        tied_to=tuple((other, edge["roles"]) for other, edge in network.graph.adj[name].items()),
        avoids=network.blacklist(name),
    )
