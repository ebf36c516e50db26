"""Encounters during a step: the two sides with their knowledge and decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from repunet_model.backends.norm_follower import following
from repunet_model.games.base import EncounterStatus, Outcome, PlayerOutcome
from repunet_model.mechanism import GossipMemory
from repunet_model.memory import Event
from repunet_model.questions.base import Line, Opinion, Standing
from repunet_model.questions.encounter import EvaluationAnswer, Hearsay, ReportAnswer, hearsay_of
from repunet_model.questions.gossip import WishAnswer
from repunet_model.reputation import Level
from repunet_model.stages.draft import Draft
from repunet_model.storage.schema import EVENTS, EventRow

if TYPE_CHECKING:
    from decimal import Decimal
    from random import Random

    from repunet_model.stages.world import Census, StepContext


class Side(Draft):
    """One side of an encounter; implements `games.base.Player`.

    Attributes:
        account: The account of the encounter for this side, set when the game is played; so is `course`.
        partner_cooperated: Whether the partner cooperated, as the agent sees it; None without a choice.
        evaluation: The evaluation of both sides; None before the evaluation and after an incomplete encounter.
        wish: The decision about gossip; None before the decision and in a run without gossip.
        report: The decision about a report to the public board; None before it and in a run without a board.
        first_words: The listener and the opening of its gossip, from a fused call; None without a listener.
    """

    account: PlayerOutcome
    course: EncounterStatus

    def __init__(
        self, world: StepContext, name: str, role: str, partner: str, partner_role: str, census: Census
    ) -> None:
        super().__init__(world, name, "encounter", role)
        self.partner = partner
        self.partner_role = partner_role
        self.dialogue_turns = world.dialogue_turns
        self.census = census
        self.partner_cooperated: bool | None = None
        self.evaluation: EvaluationAnswer | None = None
        self.wish: WishAnswer | None = None
        self.report: ReportAnswer | None = None
        self.first_words: tuple[str, Line] | None = None
        self._later: dict[str, Draft] = {}

    @property
    def step(self) -> int:
        """The step of the encounter."""
        return self.world.step

    def chance(self, purpose: str) -> Random:
        """Return the random stream of a purpose in this encounter, the same for both sides."""
        return self.world.random("chance", purpose, *sorted((self.name, self.partner)))

    @property
    def partner_declared(self) -> bool | None:
        """The choice of the partner in the last public round, as the agent sees it; None before the first."""
        declared = self.world.agents[self.partner].declared
        return None if declared is None else self.sees(declared)

    @property
    def resources(self) -> Decimal:
        """The resources of the agent."""
        return self.agent.resources

    @property
    def shuns_partner(self) -> bool:
        """Whether the partner in its role is on the agent's blacklist."""
        return self.world.network.is_blacklisted(self.name, self.partner, self.partner_role)

    @property
    def partner_opinion(self) -> Opinion | None:
        """The agent's opinion of the partner."""
        return self.opinion(self.partner, self.partner_role)

    def last_events(self) -> tuple[Event, ...]:
        """Return the agent's last events in its present role, as many as the mechanism shows, oldest first."""
        return self.agent.memory.last(self.world.mechanism.memory_shown, self.role)

    @property
    def partner_gossip(self) -> tuple[Hearsay, ...]:
        """The last gossip about the partner that the agent heard and the mechanism shows, oldest first."""
        mechanism = self.world.mechanism
        if mechanism.gossip_memory is not GossipMemory.ALWAYS:
            return ()
        about = self.agent.memory.heard_about(self.partner, self.partner_role, mechanism.gossip_shown)
        return tuple(map(hearsay_of, about))

    @property
    def standing(self) -> Standing | None:
        """The standings of both sides in the agent's eyes; None unless it follows a norm."""
        follows = following(self.world.desk.answering[self.name].description)
        return None if follows is None else self.world.public.assessments.standing(follows, self.name, self.partner)

    @property
    def completed(self) -> bool:
        """Whether the encounter took place in full."""
        return self.course is EncounterStatus.COMPLETED

    @property
    def conduct(self) -> Level | None:
        """The partner's conduct in the evaluation; None without an evaluation."""
        return None if self.evaluation is None else self.evaluation.partner

    @property
    def conduct_reason(self) -> str:
        """The reason for `conduct`; empty without an evaluation."""
        return "" if self.evaluation is None else self.evaluation.partner_reason

    @property
    def judged(self) -> EvaluationAnswer:
        """The evaluation, which must exist."""
        assert self.evaluation is not None
        return self.evaluation

    @property
    def top(self) -> Draft:
        """The agent's draft in the latest stage."""
        return next(reversed(self._later.values()), self)

    def draft(self, stage: str) -> Draft:
        """Return the agent's draft in a later stage; it is committed when that stage is applied."""
        if stage not in self._later:
            self._later[stage] = Draft(self.world, self.name, stage, self.role, below=self.top)
        return self._later[stage]

    def commit_later(self, stage: str) -> None:
        """Commit the draft of a later stage, if there is one."""
        if stage in self._later:
            self._later.pop(stage).commit()

    def remember(
        self, text: str, payoff: Decimal, *, own_cooperated: bool | None = None, partner_cooperated: bool | None = None
    ) -> None:
        """Add an event to the agent's memory and to the log while a stage is applied.

        Args:
            text: The event in the words of the agent.
            payoff: Gain of the agent, in units of resources.
            own_cooperated: Whether the agent cooperated; None without a choice.
            partner_cooperated: Whether the partner cooperated; None without a choice.
        """
        event = Event(
            step=self.world.step,
            partner=self.partner,
            role=self.role,
            own_cooperated=own_cooperated,
            partner_cooperated=partner_cooperated,
            payoff=float(payoff),
            text=f"Round {self.world.step}: {text}",
        )
        self.agent.memory.add(event)
        self.world.log.add(EVENTS, cast("EventRow", {"agent": self.name, **event.to_dict()}))


class Encounter:
    """An encounter of two agents; its outcome is set when the game is played."""

    outcome: Outcome

    def __init__(self, world: StepContext, census: Census, first: str, second: str) -> None:
        role, other_role = world.game.roles
        self.sides = (
            Side(world, first, role, second, other_role, census),
            Side(world, second, other_role, first, role, census),
        )

    async def play(self) -> None:
        """Play the game."""
        self.outcome = await self.sides[0].world.game.play(*self.sides)
        accounts = self.outcome.accounts
        for side, own, other in zip(self.sides, accounts, reversed(accounts), strict=True):
            act = other.cooperated
            side.account, side.course = own, self.outcome.course
            side.partner_cooperated = None if act is None else side.sees(act)
