"""Sequences of questions that make and cut ties after an encounter, gossip or public news."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repunet_model.questions.compound import FlowQuestion, QuestionFlow
from repunet_model.questions.encounter import (
    Connect,
    ConnectAnswer,
    Connection,
    Disconnect,
    DisconnectAnswer,
    Disconnection,
    Hearsay,
    News,
)

if TYPE_CHECKING:
    from repunet_model.stages.draft import Draft
    from repunet_model.stages.encounter import Side


def rewire(side: Side) -> QuestionFlow[None]:
    """Reconsider an existing tie to the partner, or a new one if the encounter took place in full."""
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
        yield from _reconsider(side, FlowQuestion("tie", question, about=other))
    elif side.completed:
        connecting = Connect(
            other=other,
            role=role,
            opinion=side.partner_opinion,
            conduct=side.judged.partner,
            conduct_reason=side.judged.partner_reason,
        )
        joining: ConnectAnswer = yield FlowQuestion("tie", connecting, about=other)
        if joining.decision is Connection.CONNECT:
            side.tie(other, role, bound=True)


def rewire_after_gossip(listener: Draft, subject: str, role: str, hearsay: Hearsay, source: str) -> QuestionFlow[None]:
    """Reconsider an existing tie to the subject of gossip."""
    if listener.is_bound(subject, role):
        question = Disconnect(other=subject, role=role, opinion=listener.opinion(subject, role), hearsay=hearsay)
        yield from _reconsider(listener, FlowQuestion("tie", question, about=subject, source=source))


def rewire_after_news(agent: Draft, part: str, subject: str, role: str, news: News) -> QuestionFlow[None]:
    """Reconsider an existing tie after public news; `part` is the name of the answer in a compound."""
    if agent.is_bound(subject, role):
        question = Disconnect(other=subject, role=role, opinion=agent.opinion(subject, role), news=news)
        yield from _reconsider(agent, FlowQuestion(part, question, about=subject, source=role))


def _reconsider(draft: Draft, ask: FlowQuestion[DisconnectAnswer]) -> QuestionFlow[None]:
    """Ask whether to keep a tie, and cut it if the answer says no."""
    question = ask.question
    assert isinstance(question, Disconnect)
    answer: DisconnectAnswer = yield ask
    if answer.decision is Disconnection.CUT:
        draft.tie(question.other, question.role, bound=False)
