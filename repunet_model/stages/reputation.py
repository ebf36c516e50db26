"""Sequences of questions that update records and learned texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repunet_model.questions.compound import FlowQuestion, QuestionFlow
from repunet_model.questions.encounter import Hearsay, LearnedAnswer, News, RecordAnswer, Reflect, UpdateRecord
from repunet_model.reputation import Cause, Level, ReputationRecord

if TYPE_CHECKING:
    from repunet_model.stages.draft import Draft
    from repunet_model.stages.encounter import Side


def update_self(side: Side) -> QuestionFlow[None]:
    """Update a side's record of itself after an encounter."""
    judged = side.judged
    return _update_from_experience(side, "own_record", side.name, side.role, judged.own, judged.own_reason)


def update_partner(side: Side) -> QuestionFlow[None]:
    """Update a side's record of its partner after an encounter."""
    judged = side.judged
    return _update_from_experience(
        side, "partner_record", side.partner, side.partner_role, judged.partner, judged.partner_reason
    )


def _update_from_experience(
    side: Side, part: str, subject: str, role: str, conduct: Level, reason: str
) -> QuestionFlow[None]:
    is_self = subject == side.name
    question = UpdateRecord(
        subject=subject,
        role=role,
        is_self=is_self,
        previous=side.record(subject, role),
        conduct=conduct,
        conduct_reason=reason,
        account=side.account.text,
        background=side.world.game.background(side.census, subject, is_self=is_self),
    )
    yield from _update(side, FlowQuestion(part, question, about=subject), Cause.EXPERIENCE)


def update_from_gossip(
    listener: Draft, subject: str, role: str, hearsay: Hearsay, cause: Cause, source: str
) -> QuestionFlow[None]:
    """Update a listener's record of the subject after gossip."""
    question = UpdateRecord(
        subject=subject, role=role, is_self=False, previous=listener.record(subject, role), hearsay=hearsay
    )
    yield from _update(
        listener, FlowQuestion("record", question, about=subject, source=source), cause, hearsay.gossiper
    )


def update_from_news(agent: Draft, part: str, subject: str, role: str, news: News, cause: Cause) -> QuestionFlow[None]:
    """Update an agent's record of a subject after public news; `part` is the name of the answer in a compound."""
    question = UpdateRecord(subject=subject, role=role, is_self=False, previous=agent.record(subject, role), news=news)
    yield from _update(agent, FlowQuestion(part, question, about=subject, source=role, shows_view=True), cause)


def _update(draft: Draft, ask: FlowQuestion[RecordAnswer], cause: Cause, told_by: str = "") -> QuestionFlow[None]:
    question = ask.question
    assert isinstance(question, UpdateRecord)
    answer: RecordAnswer = yield ask
    sure = answer.certainty / 100
    record = ReputationRecord.from_level(question.subject, question.role, answer.text, answer.level, sure)
    draft.write(record, cause, told_by)


def reflect(side: Side) -> QuestionFlow[None]:
    """Update the learned text of a side."""
    question = Reflect(
        role=side.role,
        partner=side.partner,
        account=side.account.text,
        own=side.judged.own,
        own_reason=side.judged.own_reason,
        partner_conduct=side.judged.partner,
        partner_reason=side.judged.partner_reason,
        own_opinion=side.own_opinion,
    )
    answer: LearnedAnswer = yield FlowQuestion("learned", question, about=side.partner)
    side.learn(answer.learned)
