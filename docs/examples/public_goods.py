"""A public goods game for two, in one file: how much to put into a common pot.

Both own resources; each puts 0 to 4 units into a pot at the same time. What is in it grows by a factor and is split
evenly. With the factor 1.5 each unit costs the giver 0.25 and gives the other 0.75 (after Isaac & Walker 1988).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from repunet_model.backends.mind import Mind, answers
from repunet_model.games import register
from repunet_model.games.base import EncounterStatus, Game, Outcome, Player, PlayerOutcome
from repunet_model.games.parameters import GameParameters, Number
from repunet_model.memory import Event
from repunet_model.personas import Disposition, Words
from repunet_model.questions.base import Answer, Opinion, Question
from repunet_model.storage.schema import Column
from repunet_model.util.causality import together


class PublicGoodsParameters(GameParameters):
    """What the pot makes of contributions."""

    growth: Annotated[Number, Field(ge=0, le=10, description="factor by which the pot grows")] = Decimal("1.5")


class Contribution(StrEnum):
    """How much to put in."""

    NOTHING = "0 units"
    SOME = "2 units"
    ALL = "4 units"


UNITS = {Contribution.NOTHING: 0, Contribution.SOME: 2, Contribution.ALL: 4}


class ContributionAnswer(Answer):
    """A contribution, and why."""

    reason: Annotated[Words, Field(description="why, in one sentence")]
    decision: Contribution


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribute(Question[ContributionAnswer]):
    """How much to put into the pot."""

    name: ClassVar[str] = "contribute"
    answer: ClassVar[type[Answer]] = ContributionAnswer
    template: ClassVar[str] = """
{% include "persona.j2" %}
You share the pot with {{ partner }} this round.
{% if partner_opinion is not none %}
{{ partner }}'s reputation in your eyes: {{ partner_opinion | opinion }}.
{% endif %}
{% include "events.j2" %}
How much do you put in, and why? decision: {{ options.decision | join(", ") }}.
"""

    partner: str
    partner_opinion: Opinion | None
    events: tuple[Event, ...]
    parameters: PublicGoodsParameters


class PublicGoods(Game):
    """Two people and a pot."""

    name = "public_goods"
    title = "Public goods"
    roles = ("contributor", "contributor")
    parameters: PublicGoodsParameters = PublicGoodsParameters()
    facts: ClassVar = {
        "first_units": Column(int, "units that the first side put in"),
        "second_units": Column(int, "units that the second side put in"),
    }
    dispositions: ClassVar = {
        Disposition.SELF_INTERESTED: "You look after what is yours and give only where it comes back to you.",
        Disposition.ALTRUISTIC: "You like it when everybody gains, and you are ready to give first.",
    }
    rules = """
People of a town meet in pairs, round after round. Each puts 0, 2 or 4 of their units into a common pot, both at the
same moment. The pot grows by the factor {{ parameters.growth }} and is split evenly.
{% include "society.j2" %}
"""

    async def play(self, first: Player, second: Player) -> Outcome:
        """Ask both at once and split the pot."""
        given = await together(self._give(first), self._give(second))
        part = self.parameters.growth * sum(given) / 2
        return Outcome(
            accounts=(self._account(given[0], given[1], part, second), self._account(given[1], given[0], part, first)),
            course=EncounterStatus.COMPLETED,
            facts={"first_units": given[0], "second_units": given[1]},
        )

    async def _give(self, player: Player) -> int:
        answer = await player.ask(
            Contribute(
                partner=player.partner,
                partner_opinion=player.partner_opinion,
                events=player.last_events(),
                parameters=self.parameters,
            )
        )
        return min(UNITS[answer.decision], int(player.resources))

    def _account(self, own: int, other: int, part: Decimal, partner: Player) -> PlayerOutcome:
        text = f"You put in {own} units, {partner.name} {other}; each got {part} back."
        return PlayerOutcome(payoff=part - own, cooperated=own > 0, text=text)


@answers(Contribute)
def contribute(question: Contribute, mind: Mind) -> ContributionAnswer:
    """Give all or nothing: weigh what that costs against what it gives the other and one's own name."""
    hope = mind.expects_cooperation(question.partner_opinion, question.events)
    for_each = 4 * float(question.parameters.growth) / 2  # of all four units
    advantage = for_each - 4
    if mind.is_altruist:
        advantage += mind.rules.altruism * hope * for_each
    elif question.partner_opinion is not None:
        advantage += hope * mind.values_reputation(for_each)
    gives = mind.chooses(advantage)
    return ContributionAnswer(
        reason=f"Giving is worth {advantage:+.2f} to me.", decision=Contribution.ALL if gives else Contribution.NOTHING
    )


register(PublicGoods())
