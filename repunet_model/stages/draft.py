"""Drafts: uncommitted decisions of agents during a stage.

A draft reads the agent's state and overlays the decisions made so far, so that later questions of the stage build on
them while other agents see the unchanged world. A draft may also overlay an earlier draft of the same agent. `commit`
applies its decisions.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Self

from repunet_model.error_rates import ErrorKind
from repunet_model.questions.base import Answer, Candidate, Opinion, Question
from repunet_model.reputation import Cause, RecordUpdate, ReputationRecord
from repunet_model.storage.schema import ERRORS, RECORDS, TIES, ErrorRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from repunet_model.stages.world import StepContext


class Draft:
    """The knowledge and the decisions of one agent in one role during a stage; implements `games.base.Resident`."""

    partner = ""

    def __init__(self, world: StepContext, name: str, stage: str, role: str, below: Draft | None = None) -> None:
        """Overlay an agent, or an uncommitted draft `below` of the same agent."""
        self.world = world
        self.name = name
        self.agent = world.agents[name]
        self.stage = stage
        self.role = role
        self._below = below
        self._updates: dict[tuple[str, str], list[RecordUpdate]] = {}
        self._ties: dict[tuple[str, str], bool] = {}
        self._learned: str | None = None
        self._heard: list[bool] = []
        self._errors: dict[ErrorKind, ErrorRow] = {}

    def scratch(self) -> Self:
        """Return an independent copy, on which a sequence of questions can be run without effect."""
        other = copy.copy(self)
        other._updates = {subject: list(updates) for subject, updates in self._updates.items()}
        other._ties = dict(self._ties)
        other._heard = list(self._heard)
        return other

    def _layers(self) -> Iterator[Draft]:
        """Yield this draft and those below it, from the top down."""
        layer: Draft | None = self
        while layer is not None:
            yield layer
            layer = layer._below

    @property
    def declared(self) -> bool | None:
        """The agent's choice in the last public round."""
        return self.agent.declared

    @property
    def own_opinion(self) -> Opinion | None:
        """The agent's opinion of itself, or what everybody is shown of it; None where there is neither."""
        return self.opinion(self.name, self.role)

    @property
    def learned(self) -> str:
        """The learned text of the agent in its role at the start of the stage."""
        for layer in self._layers():
            if layer is not self and layer.role == self.role and layer._learned is not None:
                return layer._learned
        return self.agent.learned[self.role]

    def learn(self, text: str) -> None:
        """Set the learned text for later stages; concurrent questions of this stage still use the old text."""
        self._learned = text

    async def put[A: Answer](self, question: Question[A], about: str, source: str = "") -> A:
        """Ask the agent a question; `about` and `source` are those of its `Coordinates`."""
        return await self.world.desk.ask(self.agent, self.learned, question, self.stage, about, source)

    async def ask[A: Answer](self, question: Question[A], *, turn: int = 0) -> A:
        """Ask the agent a question of a game; `turn` distinguishes repetitions of it."""
        return await self.put(question, about=self.partner, source=f"#{turn}" if turn else "")

    def words(self, template: str, **facts: Any) -> str:
        """Return a text of the run's prompt set."""
        return self.world.desk.prompts.text(template, **facts)

    def does(self, cooperates: bool) -> bool:
        """Return whether the agent cooperates if it decided so, or not: the opposite if its hand slips."""
        slips = self._errs(ErrorKind.SLIP, self.name, cooperates)
        return cooperates is not slips

    def sees(self, cooperated: bool) -> bool:
        """Return whether the agent takes its partner for cooperating: the opposite if it misperceives the act."""
        errs = self._errs(ErrorKind.MISPERCEPTION, self.partner, cooperated)
        return cooperated is not errs

    def _errs(self, kind: ErrorKind, subject: str, cooperation: bool) -> bool:
        """Return whether the agent errs, and note it."""
        if not self.world.errs(kind, self.stage, self.name):
            return False
        acts = ("defection", "cooperation")
        self._errors[kind] = {
            "step": self.world.step,
            "kind": kind.value,
            "agent": self.name,
            "other": self.partner,
            "subject": subject,
            "was": acts[cooperation],
            "became": acts[not cooperation],
        }
        return True

    def log_errors(self) -> None:
        """Add the errors of the agent to the log."""
        for kind in sorted(self._errors):
            self.world.log.add(ERRORS, self._errors[kind])

    def record(self, subject: str, role: str) -> ReputationRecord | None:
        """Return the present record of an agent in a role."""
        for layer in self._layers():
            if updates := layer._updates.get((subject, role)):
                return updates[-1].record
        return self.agent.ledger.record(subject, role)

    def opinion(self, subject: str, role: str) -> Opinion | None:
        """Return the opinion of an agent in a role, or what a public institution shows of it.

        None where agents keep no records of themselves or of others, and no institution shows anything.
        """
        mechanism = self.world.mechanism
        if mechanism.institution.is_public:
            return self.world.public.opinion(subject, role)
        is_kept = mechanism.self_records if subject == self.name else mechanism.peer_records
        return Opinion(self.record(subject, role)) if is_kept else None

    def write(self, record: ReputationRecord, cause: Cause, source: str = "") -> None:
        """Set a record."""
        update = RecordUpdate(self.world.step, cause, source, record)
        self._updates.setdefault((record.subject, record.role), []).append(update)

    def is_bound(self, other: str, role: str) -> bool:
        """Whether the agent has a tie to another agent in the other's role."""
        for layer in self._layers():
            if (decided := layer._ties.get((other, role))) is not None:
                return decided
        return self.world.network.is_bound(self.name, other, role)

    def tie(self, other: str, role: str, *, bound: bool) -> None:
        """Make or cut a tie."""
        self._ties[other, role] = bound

    def acquaintances(self, without: Iterable[str]) -> tuple[Candidate, ...]:
        """Return the agents with a tie in any role, with the opinion of each in the first such role."""
        found: dict[str, Candidate] = {}
        for role in dict.fromkeys(self.world.game.roles):
            made = [other for layer in self._layers() for other, as_role in layer._ties if as_role == role]
            for other in (*self.world.network.bound_to(self.name, role), *made):
                if other not in without and other not in found and self.is_bound(other, role):
                    found[other] = Candidate(other, self.opinion(other, role))
        return tuple(found[name] for name in sorted(found))

    def uncredible_share(self) -> float | None:
        """Return the share of gossip that the agent judged uncredible; None before the first and without records."""
        if not self.world.mechanism.peer_records:
            return None
        judged = [uncredible for layer in self._layers() for uncredible in layer._heard]
        heard = self.agent.gossip_heard + len(judged)
        return (self.agent.gossip_uncredible + sum(judged)) / heard if heard else None

    def judge_gossip(self, *, uncredible: bool) -> None:
        """Count a judgement of gossip."""
        self._heard.append(uncredible)

    def commit(self) -> None:
        """Apply the decisions to agent, network and log, sorted, because concurrent questions end in any order."""
        world, log = self.world, self.world.log
        for subject in sorted(self._updates):
            for update in self._updates[subject]:
                self.agent.ledger.add(update)
                log.add(
                    RECORDS,
                    {
                        "holder": self.name,
                        "cause": update.cause.value,
                        "source": update.source,
                        "subject": update.record.subject,
                        "role": update.record.role,
                        "text": update.record.text,
                        "distribution": list(update.record.distribution),
                    },
                )
        for (other, role), bound in sorted(self._ties.items()):
            world.network.apply(self.name, other, role, bound=bound)
            log.add(TIES, {"agent": self.name, "other": other, "role": role, "bound": bound})
        if self._learned is not None:
            self.agent.learned[self.role] = self._learned
        self.agent.gossip_heard += len(self._heard)
        self.agent.gossip_uncredible += sum(self._heard)
