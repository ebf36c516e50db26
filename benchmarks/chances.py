"""Agents and endpoints that decide by fixed probabilities, for comparisons with the published implementation.

Accept 0.7, connect 0.6, disconnect 0.25 and 0.35 after gossip or news, gossip 0.4, pass on 0.35, cooperate 0.55, sign
up 0.5, talk 0.7: the probabilities used when the published implementation was counted and timed.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from multiprocessing.connection import Connection
from random import Random
from typing import Any

from aiohttp import web

from repunet_model.backends.base import Request
from repunet_model.backends.rules import RulesBackend
from repunet_model.games.investment import Deal, Invest
from repunet_model.games.prisoners_dilemma import Move
from repunet_model.games.sign_up import Choice, Willingness
from repunet_model.questions.base import Answer
from repunet_model.questions.encounter import Connection as Tie
from repunet_model.questions.encounter import Disconnect, Disconnection
from repunet_model.questions.gossip import Passing, Wish
from repunet_model.testing import Body, completion, endpoint, reply_to

CHANCES: dict[frozenset[str], tuple[str, float]] = {
    frozenset(Move): (Move.COOPERATE, 0.55),
    frozenset(Deal): (Deal.ACCEPT, 0.7),
    frozenset(Choice): (Choice.YES, 0.5),
    frozenset(Willingness): (Willingness.TALK, 0.7),
    frozenset(Tie): (Tie.CONNECT, 0.6),
    frozenset(Disconnection): (Disconnection.CUT, 0.25),
    frozenset(Wish): (Wish.GOSSIP, 0.4),
    frozenset(Passing): (Passing.PASS_ON, 0.35),
}
"""One option of each decision and its probability, by all options."""

CUT_AFTER_NEWS = 0.35

INVESTED = 0.5
"""The share of its resources that an investor invests."""


def decide(options: frozenset[str], is_news: bool, random: Random) -> str | None:
    """Draw a decision among options; None for options without a probability."""
    if options not in CHANCES:
        return None
    decision, probability = CHANCES[options]
    if is_news and decision == Disconnection.CUT:
        probability = CUT_AFTER_NEWS
    if random.random() < probability:
        return decision
    (other,) = options - {decision}
    return other


class Chances(RulesBackend):
    """The rules backend with every decision drawn by a fixed probability."""

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Answer by the rules, with a drawn decision."""
        answer = await super().answer(request)
        question = request.question
        options = frozenset(request.options.get("decision", ()))
        is_news = isinstance(question, Disconnect) and (question.hearsay is not None or question.news is not None)
        drawn = decide(options, is_news, request.random())
        if drawn is None:
            return answer
        changed: dict[str, Any] = {"decision": type(answer.decision)(drawn)}  # type: ignore[attr-defined]
        if isinstance(question, Invest):
            changed["amount"] = INVESTED * float(question.resources)
        return answer.model_copy(update=changed)


def reply(body: Body) -> web.Response:
    """Return a chat completion with decisions drawn by the same probabilities."""
    data = reply_to(body)
    random = Random(sha256(json.dumps(body["messages"]).encode()).digest())
    schema = body["response_format"]["json_schema"]["schema"]
    _decide(data, schema, "told you about" in body["messages"][1]["content"], random)
    text = json.dumps(data)
    prompt = sum(len(message["content"]) for message in body["messages"])
    return completion(text, prompt_tokens=prompt // 4, completion_tokens=len(text) // 4)


def _decide(data: dict[str, Any], schema: dict[str, Any], is_news: bool, random: Random) -> None:
    for name, field in schema["properties"].items():
        described = field["anyOf"][0] if "anyOf" in field else field
        if described.get("type") == "object":
            _decide(data[name], described, is_news or name.startswith("record"), random)
        elif name == "decision":
            data[name] = decide(frozenset(field["enum"]), is_news, random) or data[name]
        elif name == "amount":
            data[name] = max(round(INVESTED * field["maximum"], 2), 0.01)


def _serve(pipe: Connection, latency: float, by_chance: bool) -> None:
    with endpoint(latency=latency, fault=(lambda number, body: reply(body)) if by_chance else None) as running:
        pipe.send(running.url)
        pipe.recv()


@contextmanager
def served(latency: float = 0.0, *, by_chance: bool = True) -> Iterator[str]:
    """Run a local endpoint in a separate process, with seconds of latency before each reply; yield its URL.

    Its decisions are drawn by the fixed probabilities, or else uniformly.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    server = context.Process(target=_serve, args=(there, latency, by_chance), daemon=True)
    server.start()
    try:
        yield here.recv()
    finally:
        here.send("stop")
        server.join(5)
