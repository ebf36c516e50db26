"""The prisoner's dilemma: two players cooperate or defect simultaneously.

Payoffs (`PrisonersDilemmaParameters`) are in units of resources, by default those of Axelrod (1984). Both always play.
A choice is based on the agent's learned text, its own reputation and the partner's, and its last encounters with any
partner. The cooperation rate is cooperations / choices in the step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, StrEnum
from itertools import product
from typing import Annotated, ClassVar

from pydantic import Field

from repunet_model.backends.mind import Mind, answers
from repunet_model.backends.policies import FixedPolicy, plays, reciprocates
from repunet_model.error_rates import ErrorKind
from repunet_model.games.base import EncounterStatus, Game, Outcome, Player, PlayerOutcome, QuizFact
from repunet_model.games.parameters import GameParameters, Number
from repunet_model.memory import Event
from repunet_model.network import SocialNetwork
from repunet_model.personas import Words
from repunet_model.questions.base import REASON, Answer, Opinion, Question, Standing, free_text
from repunet_model.questions.encounter import Hearsay
from repunet_model.storage.schema import Column
from repunet_model.util.causality import together


class Move(StrEnum):
    """A move of a player."""

    COOPERATE = "cooperate"
    DEFECT = "defect"

    @classmethod
    def of(cls, cooperates: bool) -> Move:
        """Return the move of a player that cooperates, or does not."""
        return cls.COOPERATE if cooperates else cls.DEFECT


class PrisonersDilemmaParameters(GameParameters):
    """The payoffs of a player in a round."""

    temptation: Annotated[
        Number, Field(ge=-1000, le=1000, description="payoff of a defector against a cooperator, in units")
    ] = Decimal(5)
    reward: Annotated[
        Number, Field(ge=-1000, le=1000, description="payoff of each side if both cooperate, in units")
    ] = Decimal(3)
    punishment: Annotated[
        Number, Field(ge=-1000, le=1000, description="payoff of each side if both defect, in units")
    ] = Decimal(1)
    sucker: Annotated[
        Number, Field(ge=-1000, le=1000, description="payoff of a cooperator against a defector, in units")
    ] = Decimal(0)

    def payoff(self, own: Move, other: Move) -> Decimal:
        """Return the payoff of a player, by its own move and the partner's."""
        if own is Move.COOPERATE:
            return self.reward if other is Move.COOPERATE else self.sucker
        return self.temptation if other is Move.COOPERATE else self.punishment


class MoveAnswer(Answer):
    """A move, and its reason."""

    reason: Annotated[Words, free_text(REASON, "why, in one or two sentences")]
    decision: Move


@dataclass(frozen=True, slots=True, kw_only=True)
class ChooseMove(Question[MoveAnswer]):
    """Whether to cooperate with the partner of this round."""

    name: ClassVar[str] = "choose_move"
    template: ClassVar[str] = "prisoners_dilemma_choose.j2"
    answer: ClassVar[type[Answer]] = MoveAnswer

    partner: str
    own_opinion: Opinion | None
    partner_opinion: Opinion | None
    events: tuple[Event, ...]
    parameters: PrisonersDilemmaParameters
    heard: tuple[Hearsay, ...] = ()
    standing: Standing | None = None


class PrisonersDilemma(Game):
    """The repeated prisoner's dilemma with changing partners."""

    name = "prisoners_dilemma"
    title = "Prisoner's dilemma"
    roles = ("player", "player")
    rules = "prisoners_dilemma_rules.j2"
    parameters: PrisonersDilemmaParameters = PrisonersDilemmaParameters()
    facts: ClassVar = {
        "first_move": Column(str, "move of the first side: cooperate or defect"),
        "second_move": Column(str, "move of the second side"),
        "first_reason": Column(str, "reason of the first side"),
        "second_reason": Column(str, "reason of the second side"),
    }
    choices = (ChooseMove,)
    errors = (ErrorKind.SLIP, ErrorKind.MISPERCEPTION)

    def may_pick(self, network: SocialNetwork, chooser: str) -> list[str]:
        """Return the agents that are mutually tied to the chooser."""
        return network.mutually_bound(chooser, self.roles[1])

    async def play(self, first: Player, second: Player) -> Outcome:
        """Ask both sides concurrently."""
        one, other = await together(self._choose(first), self._choose(second))
        own, theirs = (
            Move.of(player.does(answer.decision is Move.COOPERATE))
            for player, answer in ((first, one), (second, other))
        )
        return Outcome(
            accounts=(self._account(first, own, theirs), self._account(second, theirs, own)),
            course=EncounterStatus.COMPLETED,
            facts={
                "first_move": own.value,
                "second_move": theirs.value,
                "first_reason": one.reason,
                "second_reason": other.reason,
            },
        )

    async def _choose(self, player: Player) -> MoveAnswer:
        return await player.ask(
            ChooseMove(
                partner=player.partner,
                own_opinion=player.own_opinion,
                partner_opinion=player.partner_opinion,
                events=player.last_events(),
                heard=player.partner_gossip,
                standing=player.standing,
                parameters=self.parameters,
            )
        )

    def _account(self, player: Player, own: Move, other: Move) -> PlayerOutcome:
        """Return the encounter for a side; its words are those of the moves as it sees them, with their payoffs."""
        seen = Move.of(player.sees(other is Move.COOPERATE))
        return PlayerOutcome(
            payoff=self.parameters.payoff(own, other),
            cooperated=own is Move.COOPERATE,
            text=player.words(
                "prisoners_dilemma_account.j2",
                own=own,
                other=seen,
                partner=player.partner,
                payoff=self.parameters.payoff(own, seen),
                theirs=self.parameters.payoff(seen, own),
            ),
        )

    def quiz(self, label: Callable[[Enum], str]) -> tuple[QuizFact, ...]:
        """Ask for the payoffs of both sides for each pair of moves."""
        return tuple(
            QuizFact(
                f"In one round you choose: {label(own)}. Your partner chooses: {label(other)}. {asked}",
                self.parameters.payoff(*((own, other) if is_own else (other, own))),
            )
            for own, other in product(Move, repeat=2)
            for is_own, asked in ((True, "How much do you get?"), (False, "How much does your partner get?"))
        )

    def caveat(self) -> str:
        """Say so if the payoffs make no prisoner's dilemma, or none in repeated play."""
        own = self.parameters
        temptation, reward, punishment, sucker = own.temptation, own.reward, own.punishment, own.sucker
        if not temptation > reward > punishment > sucker:
            here = f"{temptation} > {reward} > {punishment} > {sucker} is false"
            return f"no prisoner's dilemma, which needs temptation > reward > punishment > sucker: {here}"
        if 2 * reward <= temptation + sucker:
            return (
                "no prisoner's dilemma in repeated play, which needs 2 * reward > temptation + sucker: "
                f"{2 * reward} > {temptation + sucker} is false"
            )
        return ""


@answers(ChooseMove)
def choose_move(question: ChooseMove, mind: Mind) -> MoveAnswer:
    """Weigh the present cost of cooperation against its value to the partner and to the agent's own reputation."""
    cc, cd, dc, dd = (float(question.parameters.payoff(*moves)) for moves in product(Move, repeat=2))
    hope = mind.expects_cooperation(question.partner_opinion, question.events, question.heard)
    advantage = hope * (cc - dc) + (1 - hope) * (cd - dd)
    if mind.is_altruist:
        advantage += mind.rules.altruism * hope * (hope * (cc - cd) + (1 - hope) * (dc - dd))
    elif question.partner_opinion is not None:
        advantage += hope * mind.values_reputation(((cc - cd) + (dc - dd)) / 2)
    return MoveAnswer(
        reason=f"I expect cooperation with probability {hope:.2f}; cooperating is worth {advantage:+.2f} points more.",
        decision=Move.COOPERATE if mind.chooses(advantage) else Move.DEFECT,
    )


@plays(FixedPolicy.ALWAYS_COOPERATE, ChooseMove)
def always_cooperate(question: ChooseMove) -> MoveAnswer:
    """Cooperate."""
    return MoveAnswer(reason="I always cooperate.", decision=Move.COOPERATE)


@plays(FixedPolicy.ALWAYS_DEFECT, ChooseMove)
def always_defect(question: ChooseMove) -> MoveAnswer:
    """Defect."""
    return MoveAnswer(reason="I always defect.", decision=Move.DEFECT)


@plays(FixedPolicy.TIT_FOR_TAT, ChooseMove)
def tit_for_tat(question: ChooseMove) -> MoveAnswer:
    """Cooperate first, then repeat this partner's last move (Axelrod 1984).

    Partners change, and a choice is based on the last encounters: a partner that is not among them is met with
    cooperation.
    """
    if reciprocates(question.partner, question.events):
        return MoveAnswer(reason="I cooperate until my partner does not.", decision=Move.COOPERATE)
    return MoveAnswer(reason=f"{question.partner} defected when we last met.", decision=Move.DEFECT)
