"""Calls per step in the twelve cells, beside those of the published implementation.

    uv run benchmarks/calls.py

Both are counted at equal reply probabilities (accept 0.7, connect 0.6, disconnect 0.25 and 0.35 after gossip or
news, gossip 0.4, pass on 0.35, cooperate 0.55, sign up 0.5, talk 0.7), 20 agents, one question a call. Ours are means
of steps 1 to 10 over five seeds.
"""

from __future__ import annotations

from enum import StrEnum
from statistics import mean

from rich.console import Console
from rich.table import Table

from repunet_model import RepuNetModel
from repunet_model.backends.base import Request
from repunet_model.backends.rules import RulesBackend
from repunet_model.games.investment import Deal, Invest
from repunet_model.games.prisoners_dilemma import ChooseMove, Move
from repunet_model.games.sign_up import Choice, SignUp, WantToTalk, Willingness
from repunet_model.modes import MODES
from repunet_model.questions.base import Answer
from repunet_model.questions.encounter import Connect, Connection, Disconnect, Disconnection
from repunet_model.questions.gossip import Hear, Passing, Wish, WishToGossip

STEPS = 10
SEEDS = range(1, 6)

PUBLISHED = {
    "investment": (179.8, 96.8, 116.8, 66.0),
    "sign_up": (198.7, 124.5, 84.3, 58.7),
    "prisoners_dilemma": (202.5, 120.8, 155.8, 80.0),
}
"""Calls per step of the published implementation in the four modes."""

CHANCES: dict[type, tuple[StrEnum, StrEnum, float]] = {
    ChooseMove: (Move.COOPERATE, Move.DEFECT, 0.55),
    Invest: (Deal.ACCEPT, Deal.REFUSE, 0.7),
    SignUp: (Choice.YES, Choice.NO, 0.5),
    WantToTalk: (Willingness.TALK, Willingness.PASS_BY, 0.7),
    Connect: (Connection.CONNECT, Connection.STAY_APART, 0.6),
    Disconnect: (Disconnection.CUT, Disconnection.KEEP, 0.25),
    WishToGossip: (Wish.GOSSIP, Wish.KEEP_QUIET, 0.4),
    Hear: (Passing.PASS_ON, Passing.KEEP, 0.35),
}
"""The decision of each question, its alternative, and the decision's probability."""

CUT_AFTER_NEWS = 0.35

INVESTED = 0.5
"""The share of what it owns that an investor invests."""


class Chances(RulesBackend):
    """The rules, with every decision drawn by a fixed probability."""

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Answer as the rules do, but for the decision."""
        answer = await super().answer(request)
        chance = CHANCES.get(type(request.question))
        if chance is None:
            return answer
        decision, alternative, probability = chance
        question = request.question
        if isinstance(question, Disconnect) and (question.hearsay is not None or question.news is not None):
            probability = CUT_AFTER_NEWS
        drawn = decision if request.random().random() < probability else alternative
        if isinstance(question, Invest):
            return answer.model_copy(update={"decision": drawn, "amount": INVESTED * float(question.resources)})
        return answer.model_copy(update={"decision": drawn})


def calls_per_step(game: str, reputation: bool, gossip: bool) -> float:
    """Return the mean number of calls of a step."""
    counts = []
    for seed in SEEDS:
        model = RepuNetModel(game=game, reputation=reputation, gossip=gossip, backend=Chances(), rng=seed)
        for _ in range(STEPS):
            model.step()
        counts.append(model.calls / STEPS)
    return mean(counts)


def main() -> None:
    """Print the table."""
    table = Table(title="Calls per step, one question a call")
    for heading in ("game", "mode"):
        table.add_column(heading)
    for heading in ("ours", "published", "ratio"):
        table.add_column(heading, justify="right")
    for game, published in PUBLISHED.items():
        for (mode, (reputation, gossip)), theirs in zip(MODES.items(), published, strict=True):
            ours = calls_per_step(game, reputation, gossip)
            table.add_row(game, mode, f"{ours:.1f}", f"{theirs:.1f}", f"{ours / theirs:.2f}")
        table.add_section()
    Console().print(table)


if __name__ == "__main__":
    main()
