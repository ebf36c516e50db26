"""The prisoner's dilemma with shocks, in one file: with probability 0.1 the payoffs of an encounter are halved.

The draw comes from the encounter's own random stream, so that a run can be repeated, and stands in the table of
encounters. Both players learn of the shock after their choice.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Annotated, ClassVar

from pydantic import Field

from repunet_model.games import register
from repunet_model.games.base import Outcome, Player
from repunet_model.games.parameters import Number
from repunet_model.games.prisoners_dilemma import PrisonersDilemma, PrisonersDilemmaParameters
from repunet_model.personas import Disposition, describe
from repunet_model.storage.schema import Column


class ShockParameters(PrisonersDilemmaParameters):
    """The payoffs without a shock, and its probability."""

    shock: Annotated[Number, Field(ge=0, le=1, description="probability of a shock in an encounter")] = Decimal("0.1")


class ShockedDilemma(PrisonersDilemma):
    """The prisoner's dilemma, with payoffs that a shock may halve."""

    name = "shocked_dilemma"
    title = "Prisoner's dilemma with shocks"
    parameters: ShockParameters = ShockParameters()
    facts: ClassVar = {**PrisonersDilemma.facts, "shock": Column(bool, "whether a shock halved the payoffs")}
    dispositions: ClassVar = {each: describe(each, PrisonersDilemma.name) for each in Disposition}
    rules = """
{%- include "prisoners_dilemma_rules.j2" %}
With probability {{ parameters.shock }} a shock halves the payoffs of both in a round, whatever they chose.
"""

    async def play(self, first: Player, second: Player) -> Outcome:
        """Play, and halve the payoffs if a shock is drawn."""
        played = await super().play(first, second)
        is_hit = first.chance("shock").random() < self.parameters.shock
        one, other = (
            replace(each, payoff=each.payoff / 2, text=f"{each.text} A shock halved what each got.") if is_hit else each
            for each in played.accounts
        )
        return replace(played, accounts=(one, other), facts={**played.facts, "shock": is_hit})


register(ShockedDilemma())
