"""Rewiring: ties made and cut, after an encounter, after gossip and after public news."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repunet_model.questions.encounter import Connect, Connection, Disconnect, Disconnection, Hearsay, News

if TYPE_CHECKING:
    from repunet_model.stages.draft import Draft
    from repunet_model.stages.interaction import Side


async def rewire(side: Side) -> None:
    """Reconsider the tie to the partner: cut one there is, or make a new one if the interaction was complete."""
    other, role = side.partner, side.partner_role
    if side.is_bound(other, role):
        question = Disconnect(
            other=other,
            role=role,
            opinion=side.partner_opinion,
            conduct=side.conduct,
            conduct_reason=side.conduct_reason,
            account=side.account.text if side.evaluation is None else "",
        )
        await _reconsider(side, question)
    elif side.completed:
        joining = await side.ask(
            Connect(
                other=other,
                role=role,
                opinion=side.partner_opinion,
                conduct=side.judged.partner,
                conduct_reason=side.judged.partner_reason,
            )
        )
        if joining.decision is Connection.CONNECT:
            side.tie(other, role, bound=True)


async def rewire_after_gossip(listener: Draft, subject: str, role: str, hearsay: Hearsay, source: str) -> None:
    """Reconsider the tie to somebody one heard about, if there is one.

    Args:
        listener: Who heard it.
        subject: Whom it is about.
        role: The subject's role.
        hearsay: What was heard.
        source: The message, as coordinates name it.
    """
    if listener.is_bound(subject, role):
        question = Disconnect(other=subject, role=role, opinion=listener.opinion(subject, role), hearsay=hearsay)
        await _reconsider(listener, question, source)


async def rewire_after_news(agent: Draft, subject: str, role: str, news: News) -> None:
    """Reconsider the tie to somebody about whom something became public, if there is one.

    Args:
        agent: Who took it in.
        subject: Whom it is about.
        role: The subject's role.
        news: What became public.
    """
    if agent.is_bound(subject, role):
        question = Disconnect(other=subject, role=role, opinion=agent.opinion(subject, role), news=news)
        await _reconsider(agent, question, source=role)


async def _reconsider(draft: Draft, question: Disconnect, source: str = "") -> None:
    """Ask whether to keep a tie, and cut it if not."""
    answer = await draft.put(question, about=question.other, source=source)
    if answer.decision is Disconnection.CUT:
        draft.tie(question.other, question.role, bound=False)
