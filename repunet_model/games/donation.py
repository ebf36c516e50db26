"""The donation game: a donor may give at a cost, and a recipient gets the benefit (Nowak & Sigmund 1998).

In each encounter the chooser is the donor and the chosen one the recipient, who decides nothing. A gift costs the donor
`cost` and brings the recipient `benefit`, in units of resources, by default those of Hilbe et al. (2018); without a
gift both get nothing. There is no budget: resources may fall below zero, as payoffs in theory do.

Giving to somebody is repaid by others if at all, so an opinion of a person must hold for whatever place the person has
in an encounter. Both sides therefore have one role, `player`, in which records, ties, memories and gossip are kept. The
cooperation rate is gifts / encounters in the step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from repunet_model.backends.mind import Mind, answers
from repunet_model.backends.policies import FixedPolicy, plays, reciprocates
from repunet_model.error_rates import ErrorKind
from repunet_model.games.base import EncounterStatus, Game, Outcome, Player, PlayerOutcome, QuizFact
from repunet_model.games.parameters import GameParameters, Number
from repunet_model.memory import Event
from repunet_model.personas import Words
from repunet_model.questions.base import REASON, Answer, Opinion, Question, Standing, free_text
from repunet_model.questions.encounter import Hearsay
from repunet_model.storage.schema import Column


class DonationParameters(GameParameters):
    """The effect of a gift."""

    benefit: Annotated[Number, Field(ge=-1000, le=1000, description="what a gift brings its recipient, in units")] = (
        Decimal(5)
    )
    cost: Annotated[Number, Field(ge=-1000, le=1000, description="what a gift costs its donor, in units")] = Decimal(1)


class Gift(StrEnum):
    """The choice of a donor."""

    GIVE = "give"
    KEEP = "keep"


class GiftAnswer(Answer):
    """Whether to give, and the reason."""

    reason: Annotated[Words, free_text(REASON, "why, in one or two sentences")]
    decision: Gift


@dataclass(frozen=True, slots=True, kw_only=True)
class Give(Question[GiftAnswer]):
    """Whether the donor gives to the recipient of this round."""

    name: ClassVar[str] = "give"
    template: ClassVar[str] = "donation_give.j2"
    answer: ClassVar[type[Answer]] = GiftAnswer

    recipient: str
    own_opinion: Opinion | None
    recipient_opinion: Opinion | None
    events: tuple[Event, ...]
    parameters: DonationParameters
    heard: tuple[Hearsay, ...] = ()
    standing: Standing | None = None


class Donation(Game):
    """The donation game between a choosing donor and a chosen recipient."""

    name = "donation"
    title = "Donation"
    roles = ("player", "player")
    rules = "donation_rules.j2"
    parameters: DonationParameters = DonationParameters()
    facts: ClassVar = {
        "gave": Column(bool, "whether the first side, the donor, gave"),
        "gift_reason": Column(str, "reason of the donor"),
    }
    choices = (Give,)
    errors = (ErrorKind.SLIP, ErrorKind.MISPERCEPTION)

    async def play(self, first: Player, second: Player) -> Outcome:
        """Ask the donor."""
        donor, recipient = first, second
        answer = await donor.ask(
            Give(
                recipient=recipient.name,
                own_opinion=donor.own_opinion,
                recipient_opinion=donor.partner_opinion,
                events=donor.last_events(),
                heard=donor.partner_gossip,
                standing=donor.standing,
                parameters=self.parameters,
            )
        )
        gave = donor.does(answer.decision is Gift.GIVE)
        return Outcome(
            accounts=(self._account(donor, gave=gave, is_donor=True), self._account(recipient, gave=gave)),
            course=EncounterStatus.COMPLETED,
            facts={"gave": gave, "gift_reason": answer.reason},
        )

    def _account(self, player: Player, *, gave: bool, is_donor: bool = False) -> PlayerOutcome:
        """Return the encounter for a side, in words as it sees the donor's act."""
        cost, benefit = self.parameters.cost, self.parameters.benefit
        return PlayerOutcome(
            payoff=Decimal(0) if not gave else -cost if is_donor else benefit,
            cooperated=gave if is_donor else None,
            text=player.words(
                "donation_account.j2",
                gave=gave if is_donor else player.sees(gave),
                is_donor=is_donor,
                partner=player.partner,
                cost=cost,
                benefit=benefit,
            ),
        )

    def quiz(self, label: Callable[[Enum], str]) -> tuple[QuizFact, ...]:
        """Ask for the payoffs of both sides with and without a gift, and who decides."""
        sides, yes_no = ("the donor", "the recipient"), ("yes", "no")
        benefit, cost = self.parameters.benefit, self.parameters.cost
        gift = f"The donor chooses: {label(Gift.GIVE)}."
        none = f"The donor chooses: {label(Gift.KEEP)}."
        gains = "How many points does the {side} gain? A loss is a negative number."
        return (
            QuizFact(f"{gift} {gains.format(side='recipient')}", benefit),
            QuizFact(f"{gift} {gains.format(side='donor')}", -cost),
            QuizFact(f"{none} {gains.format(side='recipient')}", Decimal(0)),
            QuizFact(f"{none} {gains.format(side='donor')}", Decimal(0)),
            QuizFact("A donor gives in three rounds. How many points does that cost the donor in all?", 3 * cost),
            QuizFact("Who decides whether anything is given?", sides[0], sides),
            QuizFact("Does the recipient decide anything in the same round?", yes_no[1], yes_no),
            QuizFact("May somebody who is the donor now be a recipient in a later round?", yes_no[0], yes_no),
        )

    def caveat(self) -> str:
        """Say so if the parameters make no social dilemma."""
        benefit, cost = self.parameters.benefit, self.parameters.cost
        if benefit > cost > 0:
            return ""
        return f"no social dilemma, which needs benefit > cost > 0: {benefit} > {cost} > 0 is false"


@answers(Give)
def give(question: Give, mind: Mind) -> GiftAnswer:
    """Weigh the cost of a gift against its value to the recipient and to the agent's own reputation.

    An agent is the recipient in half of its later encounters, so a good reputation is worth half the benefit in each.
    """
    benefit, cost = float(question.parameters.benefit), float(question.parameters.cost)
    hope = mind.expects_cooperation(question.recipient_opinion, question.events, question.heard)
    advantage = -cost
    if mind.is_altruist:
        advantage += mind.rules.altruism * hope * benefit
    elif question.recipient_opinion is not None:
        advantage += hope * mind.values_reputation(benefit / 2)
    return GiftAnswer(
        reason=f"I expect gifts from {question.recipient} with probability {hope:.2f}; giving is worth "
        f"{advantage:+.2f} points more.",
        decision=Gift.GIVE if mind.chooses(advantage) else Gift.KEEP,
    )


@plays(FixedPolicy.ALWAYS_COOPERATE, Give)
def always_give(question: Give) -> GiftAnswer:
    """Give."""
    return GiftAnswer(reason="I always give.", decision=Gift.GIVE)


@plays(FixedPolicy.ALWAYS_DEFECT, Give)
def never_give(question: Give) -> GiftAnswer:
    """Keep."""
    return GiftAnswer(reason="I never give.", decision=Gift.KEEP)


@plays(FixedPolicy.TIT_FOR_TAT, Give)
def give_as_given(question: Give) -> GiftAnswer:
    """Give first, then do what this recipient last did as a donor to this agent.

    The encounters that the question shows count, those in which the agent itself was the recipient.
    """
    if reciprocates(question.recipient, question.events):
        return GiftAnswer(reason="I give until I am given nothing.", decision=Gift.GIVE)
    return GiftAnswer(reason=f"{question.recipient} gave me nothing when it was their turn.", decision=Gift.KEEP)
