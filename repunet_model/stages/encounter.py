"""An encounter while a step is under way: its two sides, and what each of them knows and decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from repunet_model.games.base import Account, Course, Outcome
from repunet_model.memory import Event
from repunet_model.questions.base import Answer, Line, Opinion, Question
from repunet_model.questions.encounter import EvaluationAnswer
from repunet_model.questions.gossip import WishAnswer
from repunet_model.reputation import Level
from repunet_model.stages.draft import Draft
from repunet_model.storage.schema import EVENTS, EventRow

if TYPE_CHECKING:
    from decimal import Decimal

    from repunet_model.stages.world import Census, World


class Side(Draft):
    """One side of an encounter: what the game sees of it, and what it makes of it.

    Attributes:
        partner: The other's name.
        partner_role: The other's role.
        census: The society as a whole.
        partner_cooperated: Whether the partner cooperated; None where it had no choice.
        evaluation: How it judges both; None before it has evaluated, and if there was nothing to evaluate.
        wish: Whether it wants to gossip; None until asked, and in a run without gossip.
        first_words: Whom it tells and how it begins, where that was asked at once; None if it tells nobody.
    """

    def __init__(self, world: World, name: str, role: str, partner: str, partner_role: str, census: Census) -> None:
        super().__init__(world, name, "encounter", role)
        self.partner = partner
        self.partner_role = partner_role
        self.census = census
        self.partner_cooperated: bool | None = None
        self.evaluation: EvaluationAnswer | None = None
        self.wish: WishAnswer | None = None
        self.first_words: tuple[str, Line] | None = None
        self._later: dict[str, Draft] = {}
        self._account: Account | None = None
        self._course: Course | None = None

    @property
    def resources(self) -> Decimal:
        """The resources of the agent."""
        return self.agent.resources

    @property
    def partner_declared(self) -> bool | None:
        """The partner's choice in the last public round."""
        return self.world.agents[self.partner].declared

    @property
    def dialogue_turns(self) -> int:
        """Most turns of a dialogue."""
        return self.world.dialogue_turns

    @property
    def shuns_partner(self) -> bool:
        """Whether the agent has the partner, in its role, on its blacklist."""
        return self.world.network.is_blacklisted(self.name, self.partner, self.partner_role)

    @property
    def partner_opinion(self) -> Opinion | None:
        """The agent's opinion of the partner."""
        return self.opinion(self.partner, self.partner_role)

    def last_events(self, count: int) -> tuple[Event, ...]:
        """Return the agent's last encounters in its present role, oldest first."""
        return self.agent.memory.last(count, self.role)

    async def ask[A: Answer](self, question: Question[A], *, turn: int = 0) -> A:
        """Ask the agent about its partner."""
        return await self.put(question, about=self.partner, source=f"#{turn}" if turn else "")

    @property
    def account(self) -> Account:
        """The account of the encounter for this side, once the game is played."""
        assert self._account is not None
        return self._account

    @property
    def course(self) -> Course:
        """The course of the encounter, once the game is played."""
        assert self._course is not None
        return self._course

    @property
    def completed(self) -> bool:
        """Whether the encounter took place in full."""
        return self._course is Course.COMPLETED

    @property
    def conduct(self) -> Level | None:
        """The partner's conduct in this side's evaluation; None without one."""
        return None if self.evaluation is None else self.evaluation.partner

    @property
    def conduct_reason(self) -> str:
        """The same in words; empty if there was nothing to evaluate."""
        return "" if self.evaluation is None else self.evaluation.partner_reason

    @property
    def judged(self) -> EvaluationAnswer:
        """The evaluation of both sides, once it is made."""
        assert self.evaluation is not None
        return self.evaluation

    def played(self, own: Account, other: Account, course: Course) -> None:
        """Take note of how the game went for this side and the other."""
        self._account = own
        self.partner_cooperated = other.cooperated
        self._course = course

    @property
    def top(self) -> Draft:
        """The latest draft of the agent: this one, or that of the last later stage."""
        return next(reversed(self._later.values()), self)

    def draft(self, stage: str) -> Draft:
        """Return the draft of the agent in a later stage, on top of its decisions so far.

        Args:
            stage: The name of the stage. Its decisions are carried over once the stage is applied.
        """
        if stage not in self._later:
            self._later[stage] = Draft(self.world, self.name, stage, self.role, below=self.top)
        return self._later[stage]

    def commit_later(self, stage: str) -> None:
        """Carry over the decisions of a later stage, if the agent has a draft there."""
        if stage in self._later:
            self._later.pop(stage).commit()

    def remember(
        self, text: str, payoff: Decimal, *, own_cooperated: bool | None = None, partner_cooperated: bool | None = None
    ) -> None:
        """Add an event with the partner to the agent's memory and to the log, while a stage is applied.

        Args:
            text: The event in words, as the agent would tell it.
            payoff: Gain of the agent, in units of resources.
            own_cooperated: Whether the agent cooperated; None if the event left no choice.
            partner_cooperated: The same of the partner.
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
    """Two agents that meet, what comes of it and what they think.

    Attributes:
        sides: Who meets.
    """

    def __init__(self, world: World, census: Census, first: str, second: str) -> None:
        role, other_role = world.game.roles
        self.sides = (
            Side(world, first, role, second, other_role, census),
            Side(world, second, other_role, first, role, census),
        )
        self._outcome: Outcome | None = None

    @property
    def outcome(self) -> Outcome:
        """The outcome, once the game is played."""
        assert self._outcome is not None
        return self._outcome

    async def play(self) -> None:
        """Play the game."""
        self._outcome = await self.sides[0].world.game.play(*self.sides)
        one, other = self._outcome.accounts
        self.sides[0].played(one, other, self._outcome.course)
        self.sides[1].played(other, one, self._outcome.course)
