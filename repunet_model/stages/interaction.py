"""The interaction and appraisal stages: pairs play, then each side answers questions about the encounter.

Pairs do not wait for each other, nor do the two sides after the game. The questions of a side form groups: groups run
in sequence, the questions of a group concurrently; fused, all are one call. `aftermath` lists the groups.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, ClassVar, cast

from repunet_model.games.base import EncounterStatus
from repunet_model.mechanism import Institution
from repunet_model.questions.compound import Aftermath, FlowQuestion, QuestionFlow
from repunet_model.questions.encounter import Evaluate, Reporting, ReportToBoard
from repunet_model.stages.asking import at_once, one_by_one
from repunet_model.stages.base import EncounterStage, SideStage
from repunet_model.stages.encounter import Encounter, Side
from repunet_model.stages.gossip_questions import tell_at_once, wish_to_gossip
from repunet_model.stages.reputation import reflect, update_partner, update_self
from repunet_model.stages.rewiring import rewire
from repunet_model.storage.schema import INTERACTIONS, REPORTS, InteractionRow, Notice
from repunet_model.util.causality import together

if TYPE_CHECKING:
    from repunet_model.mechanism import Mechanism
    from repunet_model.stages.world import StepContext

Concern = Callable[[Side], QuestionFlow[None]]
"""Starts a sequence of questions to one side."""


class Interaction(EncounterStage):
    """The stage in which pairs play the game."""

    name: ClassVar[str] = "encounter"

    async def decide(self, encounter: Encounter) -> None:
        """Play the game of a pair."""
        await encounter.play()

    def apply(self, encounters: Sequence[Encounter]) -> None:
        """Apply payoffs and memories, pair by pair."""
        for side in (side for encounter in encounters for side in encounter.sides):
            account = side.account
            side.log_errors()
            side.census.meet(side.name, account.payoff, completed=side.completed)
            side.remember(
                account.text,
                account.payoff,
                own_cooperated=account.cooperated,
                partner_cooperated=side.partner_cooperated,
            )
        if not self.world.game.has_rounds:  # Else the act is the public choice.
            for encounter in encounters:
                self.world.public.observe([(side.name, side.account.cooperated) for side in encounter.sides])


class Appraisal(SideStage):
    """The stage of questions about the encounter: evaluation, records, learned text, tie, wish to gossip and report."""

    name: ClassVar[str] = "encounter"

    def __init__(self, world: StepContext) -> None:
        super().__init__(world)
        self._concerns = aftermath(world.mechanism, fused=world.fused)

    async def decide(self, side: Side) -> None:
        """Ask a side all its questions."""
        groups = self._concerns[side.course]
        if self.world.fused:

            def in_turn(draft: Side) -> QuestionFlow[None]:
                for concern in chain.from_iterable(groups):
                    yield from concern(draft)

            await at_once(side, Aftermath, in_turn, about=side.partner)
        else:
            for group in groups:
                await together(*(one_by_one(side, concern(side)) for concern in group))

    def apply(self, encounters: Sequence[Encounter]) -> None:
        """Apply records, texts and ties, and log the encounters, pair by pair."""
        for encounter in encounters:
            first, second = encounter.sides
            for side in encounter.sides:
                side.commit()
                self._post(side)
                if self.world.game.publishes_evaluations and side.evaluation is not None:
                    self.world.public.evaluations.append(
                        {
                            "step": self.world.step,
                            "by": side.name,
                            "subject": side.partner,
                            "role": side.partner_role,
                            "level": side.evaluation.partner.value,
                            "text": side.evaluation.partner_reason,
                        }
                    )
            row: InteractionRow = {
                "step": self.world.step,
                "first": first.name,
                "second": second.name,
                "course": encounter.outcome.course.value,
                "first_cooperated": first.account.cooperated,
                "second_cooperated": second.account.cooperated,
                "first_payoff": float(first.account.payoff),
                "second_payoff": float(second.account.payoff),
                "first_judges_second": first.conduct and first.conduct.value,
                "second_judges_first": second.conduct and second.conduct.value,
            }
            self.world.log.add(INTERACTIONS, cast("InteractionRow", {**row, **encounter.outcome.facts}))

    def _post(self, side: Side) -> None:
        """Put the report of a side on the board, if it made one."""
        if side.report is None or side.report.decision is not Reporting.REPORT:
            return
        row: Notice = {
            "step": self.world.step,
            "by": side.name,
            "subject": side.partner,
            "role": side.partner_role,
            "level": side.report.level.value,
            "text": side.report.text,
        }
        self.world.public.post(row)
        self.world.log.add(REPORTS, row)


def aftermath(mechanism: Mechanism, *, fused: bool) -> Mapping[EncounterStatus, tuple[tuple[Concern, ...], ...]]:
    """Return the groups of questions by course; fused, they include the listener and opening of gossip."""

    def only(*concerns: tuple[Concern, bool]) -> tuple[Concern, ...]:
        return tuple(concern for concern, is_on in concerns if is_on)

    records = only((update_self, mechanism.self_records), (update_partner, mechanism.peer_records))
    learned = only((reflect, mechanism.rewrite_learned))
    tie = only((rewire, mechanism.tie_after_encounter))
    wish = only((wish_to_gossip, mechanism.first_order), (tell_at_once, mechanism.first_order and fused))
    board = only((report, mechanism.institution is Institution.BOARD))
    return {
        EncounterStatus.COMPLETED: ((evaluate,), records, (*learned, *tie, *wish, *board)),
        EncounterStatus.REFUSED: ((*tie, *wish, *board),),
        EncounterStatus.NOT_HELD: (),
    }


def evaluate(side: Side) -> QuestionFlow[None]:
    """Ask a side to evaluate both sides."""
    question = Evaluate(
        partner=side.partner,
        account=side.account.text,
        own_cooperated=side.account.cooperated,
        partner_cooperated=side.partner_cooperated,
        own_opinion=side.own_opinion,
        partner_opinion=side.partner_opinion,
    )
    side.evaluation = yield FlowQuestion("evaluation", question, about=side.partner)


def report(side: Side) -> QuestionFlow[None]:
    """Ask a side whether to report on its partner to the public board, and what."""
    question = ReportToBoard(
        subject=side.partner,
        role=side.partner_role,
        account=side.account.text,
        conduct=side.conduct,
        conduct_reason=side.conduct_reason,
    )
    side.report = yield FlowQuestion("report", question, about=side.partner)
