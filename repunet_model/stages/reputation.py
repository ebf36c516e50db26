"""Reputation: records written from experience and from gossip, and what an agent learns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repunet_model.questions.encounter import Hearsay, News, Reflect, UpdateRecord
from repunet_model.reputation import Cause, Level, ReputationRecord

if TYPE_CHECKING:
    from repunet_model.stages.draft import Draft
    from repunet_model.stages.interaction import Side


async def update_self(side: Side) -> None:
    """Rewrite one's own reputation after an encounter."""
    await _update_from_experience(side, side.name, side.role, side.judged.own, side.judged.own_reason)


async def update_partner(side: Side) -> None:
    """Rewrite the partner's reputation after an encounter."""
    conduct, reason = side.judged.partner, side.judged.partner_reason
    await _update_from_experience(side, side.partner, side.partner_role, conduct, reason)


async def _update_from_experience(side: Side, subject: str, role: str, conduct: Level, reason: str) -> None:
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
    await _update(side, question, Cause.EXPERIENCE)


async def update_from_gossip(
    listener: Draft, subject: str, role: str, hearsay: Hearsay, cause: Cause, source: str
) -> None:
    """Rewrite a subject's reputation after gossip, weighed by how far it is believed.

    Args:
        listener: Who heard it.
        subject: Whom it is about.
        role: The subject's role.
        hearsay: What was heard.
        cause: First- or second-order gossip.
        source: The message, as coordinates name it.
    """
    question = UpdateRecord(
        subject=subject, role=role, is_self=False, previous=listener.record(subject, role), hearsay=hearsay
    )
    await _update(listener, question, cause, source, hearsay.gossiper)


async def update_from_news(agent: Draft, subject: str, role: str, news: News, cause: Cause) -> None:
    """Rewrite a subject's reputation after something about it became public.

    Args:
        agent: Who takes it in.
        subject: Whom it is about.
        role: The subject's role.
        news: What became public.
        cause: Observation or sign-up.
    """
    question = UpdateRecord(subject=subject, role=role, is_self=False, previous=agent.record(subject, role), news=news)
    await _update(agent, question, cause, source=role)


async def _update(draft: Draft, question: UpdateRecord, cause: Cause, source: str = "", told_by: str = "") -> None:
    answer = await draft.put(question, about=question.subject, source=source)
    sure = answer.certainty / 100
    record = ReputationRecord.from_level(question.subject, question.role, answer.text, answer.level, sure)
    draft.write(record, cause, told_by)


async def reflect(side: Side) -> None:
    """Rewrite what one acts on."""
    answer = await side.ask(
        Reflect(
            role=side.role,
            partner=side.partner,
            account=side.account.text,
            own=side.judged.own,
            own_reason=side.judged.own_reason,
            partner_conduct=side.judged.partner,
            partner_reason=side.judged.partner_reason,
            own_opinion=side.own_opinion,
        )
    )
    side.learn(answer.learned)
