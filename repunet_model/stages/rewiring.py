"""Rewiring: ties made and cut, after an encounter and after gossip."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repunet_model.questions.encounter import Connect, Connection, Disconnect, Disconnection, Hearsay

if TYPE_CHECKING:
    from repunet_model.stages.draft import Draft
    from repunet_model.stages.interaction import Side


async def rewire(side: Side) -> None:
    """Reconsider the tie to the partner: cut one there is, or make a new one if the interaction was complete."""
    other, role = side.partner, side.partner_role
    conduct, reason = side.evaluation.partner, side.evaluation.partner_reason
    if side.is_bound(other, role):
        leaving = await side.ask(
            Disconnect(other=other, role=role, opinion=side.partner_opinion, conduct=conduct, conduct_reason=reason)
        )
        if leaving.decision is Disconnection.CUT:
            side.tie(other, role, bound=False)
    elif side.completed:
        joining = await side.ask(
            Connect(other=other, role=role, opinion=side.partner_opinion, conduct=conduct, conduct_reason=reason)
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
        answer = await listener.put(question, about=subject, source=source)
        if answer.decision is Disconnection.CUT:
            listener.tie(subject, role, bound=False)
