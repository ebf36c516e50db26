"""A stage in one file: costly punishment between interaction and gossip.

After a completed encounter each side may pay 1 unit to take 3 units from its partner; the units are gone (Fehr &
Gächter 2002). Both decide at the same moment, without knowing the other's decision. An agent that cannot pay is not
asked, and an agent that has less than 3 units after its own payment loses all that it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar, TypedDict

from pydantic import Field

from repunet_model.backends.mind import Mind, answers
from repunet_model.personas import Words
from repunet_model.questions.base import Answer, Opinion, Question, said
from repunet_model.reputation import LEVELS, Level
from repunet_model.stages import register
from repunet_model.stages.base import SideStage
from repunet_model.stages.encounter import Encounter, Side
from repunet_model.stages.world import StepContext
from repunet_model.storage.schema import Table

COST, FINE = Decimal(1), Decimal(3)


class PunishmentRow(TypedDict):
    """A punishment."""

    step: Annotated[int, "step of the punishment"]
    punisher: Annotated[str, "name of the agent that punishes"]
    punished: Annotated[str, "name of its partner"]
    paid: Annotated[float, "cost to the punisher, in units of resources"]
    taken: Annotated[float, "loss of the partner, in units of resources"]
    reason: Annotated[str, "the punisher's reason"]


PUNISHMENTS = Table(
    "punishments",
    PunishmentRow,
    "a punishment",
    in_words=lambda row: (
        f"{row['punisher']} paid {row['paid']:g} to take {row['taken']:g} from {row['punished']}: {said(row['reason'])}"
    ),
)


class Choice(StrEnum):
    """Whether to punish."""

    PUNISH = "pay and take"
    SPARE = "leave it"


class PunishAnswer(Answer):
    """A choice, and the reason for it."""

    reason: Annotated[Words, Field(description="why, in one sentence")]
    decision: Choice


@dataclass(frozen=True, slots=True, kw_only=True)
class Punish(Question[PunishAnswer]):
    """Whether to punish the partner of an encounter."""

    name: ClassVar[str] = "punish"
    answer: ClassVar[type[Answer]] = PunishAnswer
    template: ClassVar[str] = """
{% include "persona.j2" %}
You just met {{ partner }}. {{ account }}
You judge {{ partner }}'s conduct as {{ conduct.value }}: {{ conduct_reason | said }}
{% if opinion is not none %}
{{ partner }}'s reputation in your eyes: {{ opinion | opinion }}.
{% endif %}
You can pay {{ cost }} unit of your own so that {{ fine }} units are taken from {{ partner }}; nobody gets them.
Do you, and why? decision: {{ options.decision | join(" or ") }}.
"""

    partner: str
    account: str
    conduct: Level
    conduct_reason: str
    opinion: Opinion | None
    cost: Decimal = COST
    fine: Decimal = FINE


@register
class Punishment(SideStage):
    """Each side of a completed encounter may punish the other."""

    name = "punishment"
    after = "encounter"

    def __init__(self, world: StepContext) -> None:
        """Make the stage for one run of it."""
        super().__init__(world)
        self._answers: dict[str, PunishAnswer] = {}

    async def decide(self, side: Side) -> None:
        """Ask a side that can pay."""
        if side.conduct is None or side.resources + side.account.payoff < COST:
            return
        question = Punish(
            partner=side.partner,
            account=side.account.text,
            conduct=side.conduct,
            conduct_reason=side.conduct_reason,
            opinion=side.partner_opinion,
        )
        self._answers[side.name] = await side.draft(self.name).put(question, about=side.partner)

    def apply(self, encounters: Sequence[Encounter]) -> None:
        """Let all punishers of a pair pay, then take from the punished; both remember it."""
        for encounter in encounters:
            first, second = encounter.sides
            punishing = [pair for pair in ((first, second), (second, first)) if self._punishes(pair[0])]
            for punisher, _ in punishing:
                punisher.agent.gain(-COST)
            for punisher, punished in punishing:
                taken = min(FINE, punished.agent.resources)
                punished.agent.gain(-taken)
                punisher.remember(f"You paid {COST} to take {taken} from {punished.name}.", -COST)
                punished.remember(f"{punisher.name} paid {COST} to take {taken} from you.", -taken)
                self.world.log.add(
                    PUNISHMENTS,
                    {
                        "step": self.world.step,
                        "punisher": punisher.name,
                        "punished": punished.name,
                        "paid": float(COST),
                        "taken": float(taken),
                        "reason": self._answers[punisher.name].reason,
                    },
                )

    def _punishes(self, side: Side) -> bool:
        answer = self._answers.get(side.name)
        return answer is not None and answer.decision is Choice.PUNISH


@answers(Punish)
def punish(question: Punish, mind: Mind) -> PunishAnswer:
    """Punish the more likely, the worse the conduct: with even odds where it was bad."""
    badness = 1 - LEVELS.index(question.conduct) / 2
    punishes = mind.feels(badness - 0.5)
    return PunishAnswer(
        reason=f"{question.partner}'s conduct was {question.conduct.value}.",
        decision=Choice.PUNISH if punishes else Choice.SPARE,
    )
