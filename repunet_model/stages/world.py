"""The context of a step: the world, which stages read and change, and the desk, which sends questions to backends."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repunet_model.backends.base import Backend, Request, Usage, label_of
from repunet_model.questions.base import Answer, Coordinates, Question
from repunet_model.questions.compound import Compound
from repunet_model.questions.prompts import Prompts
from repunet_model.rng import Streams
from repunet_model.storage.schema import CallRow, StepLog, TurnoverRow
from repunet_model.util.causality import Cause, causes, follow_from
from repunet_model.util.exact_mean import ExactMean

if TYPE_CHECKING:
    from decimal import Decimal
    from random import Random

    from repunet_model.agents import Membership, RepuNetAgent
    from repunet_model.error_rates import ErrorKind, ErrorRates
    from repunet_model.games.base import Game
    from repunet_model.mechanism import Mechanism
    from repunet_model.network import SocialNetwork
    from repunet_model.stages.institutions import PublicRecords


@dataclass(frozen=True, slots=True)
class Call:
    """Answered question; it depends directly on `after`, and the backend read its prompt if `with_prompt`."""

    request: Request[Any]
    answer: Answer
    with_prompt: bool
    after: tuple[Coordinates, ...]

    def to_row(self, places: Mapping[Coordinates, int]) -> CallRow:
        """Return the call as plain data; `places` are the positions of all calls of the step."""
        where = self.request.coordinates
        row: CallRow = {
            "stage": where.stage,
            "agent": where.agent,
            "question": where.question,
            "about": where.about,
            "source": where.source,
            "options": self.request.options,
            "answer": self.answer.model_dump(mode="json"),
            "after": sorted(places[cause] for cause in self.after),
        }
        if isinstance(self.request.question, Compound):
            row["parts"] = {ask.part: [ask.question.name, ask.about, ask.source] for ask in self.request.question.asks}
        if self.with_prompt:
            row |= {"request": self.request.fingerprint, "prompt": self.request.prompt}
        if self.request.thoughts:
            row["thought"] = self.request.thoughts[-1]
        return row


@dataclass(slots=True, eq=False)
class Desk:
    """Desk that sends the questions of one step to backends and keeps the answers.

    `answering` has the backend of each agent, by name. `on_call` is called after each call with question name, label
    of the backend, usage, and whether it was answered. `mailbox` is the file of unread replies, None if the run is not
    stored. `usage` is by question and label; a reused reply counts in it as it first did, but not in `spent`.
    """

    step: int
    streams: Streams
    prompts: Prompts
    answering: Mapping[str, Backend]
    on_call: Callable[[str, str, Usage, bool], None]
    stages: Sequence[str]
    mailbox: Path | None = None
    calls: dict[Coordinates, Call] = field(default_factory=dict, init=False)
    usage: defaultdict[tuple[str, str], Usage] = field(default_factory=lambda: defaultdict(Usage), init=False)
    spent: Usage = field(default_factory=Usage, init=False)
    _last: Cause | None = field(default=None, init=False)
    _same: dict[int, frozenset[str]] = field(default_factory=dict, init=False)

    async def ask[A: Answer](
        self,
        agent: RepuNetAgent,
        learned: str,
        question: Question[A],
        stage: str,
        about: str,
        source: str = "",
    ) -> A:
        """Ask an agent, given its learned text and other `Coordinates`; raise BackendError if there is no answer."""
        where = Coordinates(self.step, stage, question.name, agent.name, about, source)
        if where in self.calls:
            raise RuntimeError(f"asked twice: {where}")
        backend = self.answering[agent.name]
        digest = self.streams.digest(*where)
        request = Request(
            where,
            question,
            agent.persona,
            learned,
            digest,
            self.prompts,
            backend.description,
            alike=self._alike,
            mailbox=self.mailbox,
        )
        answer: A | None = None
        try:
            answer = await backend.answer(request)
        finally:
            label = label_of(backend.description)
            self.on_call(question.name, label, request.usage, answer is not None)
            usage = self.usage[question.name, label]
            usage.add(request.usage)
            self.spent.add(request.usage)
            usage.add(request.earlier)
        built_on = causes()
        self.calls[where] = Call(request, answer, backend.reads_prompts, tuple(cause.key for cause in built_on))
        cause = Cause(where, 1 + max((cause.depth for cause in built_on), default=0))
        follow_from(cause)
        if self._last is None or (cause.depth, cause.key) > (self._last.depth, self._last.key):
            self._last = cause
        return answer

    def _alike(self, name: str) -> frozenset[str]:
        """Return the names of the agents whose backends have the description of that of an agent."""
        own = self.answering[name].description
        key = id(self.answering[name])
        if key not in self._same:
            self._same[key] = frozenset(
                other for other, backend in self.answering.items() if backend.description == own
            )
        return self._same[key]

    def barrier(self) -> None:
        """Make later calls depend on all calls so far, represented by the end of the longest chain."""
        if self._last is not None:
            follow_from(self._last)

    def rows(self) -> Iterator[CallRow]:
        """Yield the calls as plain data, sorted by stage, agent, question, subject and source."""
        rank = {stage: place for place, stage in enumerate(dict.fromkeys(self.stages))}

        def key(where: Coordinates) -> tuple[int | str, ...]:
            return (rank[where.stage], where.agent, where.question, where.about, where.source)

        places = {where: place for place, where in enumerate(sorted(self.calls, key=key))}
        return (self.calls[where].to_row(places) for where in places)


@dataclass(frozen=True, slots=True)
class StepContext:
    """The state that a step reads and changes.

    Attributes:
        mechanism: The switches as they act in the mode and game of the run.
        errors: The probability of each kind of error.
        fused: Whether sequences of questions are asked in one call.
        members: Who is present.
        turnover: What events do to agents at the start of the step.
        public: What everybody may see of agents, and their scores.
        log: The rows that the step adds to the run.
    """

    step: int
    game: Game
    mechanism: Mechanism
    fused: bool
    dialogue_turns: int
    errors: ErrorRates
    members: Membership
    turnover: Sequence[TurnoverRow]
    network: SocialNetwork
    public: PublicRecords
    streams: Streams
    desk: Desk
    log: StepLog

    @property
    def agents(self) -> Mapping[str, RepuNetAgent]:
        """The agents by name, in the order of the population."""
        return self.members.by_name

    def random(self, *key: str) -> Random:
        """Return the random stream of a purpose in this step."""
        return self.streams.at(self.step, *key)

    def errs(self, kind: ErrorKind, *key: str) -> bool:
        """Draw whether an error of a kind happens, by what it concerns; the same at each call."""
        rate = self.errors.of(kind)
        return rate > 0 and self.random("error", kind, *key).random() < rate


class Census:
    """Figures of the whole society for games, computed once per step and updated after each encounter."""

    def __init__(self, world: StepContext) -> None:
        self._world = world
        self._role = world.game.roles[1]

    def mutual_ties(self, name: str) -> int:
        """Return the number of mutual ties of an agent in the role of chosen agents."""
        return len(self._world.network.mutually_bound(name, self._role))

    def completed_share(self, name: str) -> float | None:
        """Return the share of an agent's encounters that took place in full; None before the first."""
        agent = self._world.agents[name]
        return agent.completed / agent.encounters if agent.encounters else None

    def mean_mutual_ties(self) -> float:
        """Return the mean of `mutual_ties` over all agents."""
        return 2 * self._world.network.mutual_pairs(self._role) / len(self._world.agents)

    def mean_completed_share(self) -> float | None:
        """Return the mean of `completed_share` over all agents that have met others; None before."""
        return self._shares.value

    @cached_property
    def _shares(self) -> ExactMean:
        mean = ExactMean()
        for name in self._world.agents:
            mean.replace(None, self.completed_share(name))
        return mean

    def words(self, template: str, **facts: Any) -> str:
        """Return a text of the run's prompt set."""
        return self._world.desk.prompts.text(template, **facts)

    def meet(self, name: str, payoff: Decimal, *, completed: bool) -> None:
        """Apply an encounter to an agent and update the figures."""
        shares, before = self._shares, self.completed_share(name)
        self._world.agents[name].met(payoff, completed=completed)
        shares.replace(before, self.completed_share(name))
