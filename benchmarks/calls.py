"""Calls and prompt characters per step, one question a call and fused, beside those of the published implementation.

    uv run benchmarks/calls.py

All are counted at equal reply probabilities (`benchmarks/chances.py`), with 20 agents. Ours are means of steps 1 to 10
over five seeds; what agents say and write is what the rules backend writes.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.chances import Chances
from repunet_model import RepuNetModel
from repunet_model.backends.base import Request
from repunet_model.config import MODES
from repunet_model.questions.base import Answer

STEPS = 10
SEEDS = range(1, 6)

CALLS = {
    "prisoners_dilemma": (202.5, 120.8, 155.8, 80.0),
    "investment": (179.8, 96.8, 116.8, 66.0),
    "sign_up": (198.7, 124.5, 84.3, 58.7),
}
"""Calls per step of the published implementation in the four modes."""

CHARACTERS = {"prisoners_dilemma": 561_566, "investment": 477_840, "sign_up": 496_193}
"""Its prompt characters per step with reputation and gossip."""


@dataclass
class Count:
    """The questions of a step.

    Attributes:
        calls: Calls.
        characters: Characters of their prompts.
        shared: Those of them in the prefix that all agents and steps of a scenario share.
    """

    calls: float = 0.0
    characters: float = 0.0
    shared: float = 0.0


class Counting:
    """A backend that counts calls and prompt characters."""

    reads_prompts = False
    is_costly = False
    asks_model = False

    def __init__(self, count: Count) -> None:
        self._inner = Chances()
        self._count = count
        self.description: dict[str, Any] = self._inner.description

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Count the request, and answer it by the fixed probabilities."""
        self._count.calls += 1
        self._count.characters += sum(len(message["content"]) for message in request.messages())
        self._count.shared += len(request.prompts.system)
        return await self._inner.answer(request)

    async def close(self) -> None:
        """Do nothing; there are no resources to release."""


def count(game: str, reputation: bool, gossip: bool, questions: str) -> Count:
    """Return the means per step."""
    total = Count()
    for seed in SEEDS:
        model = RepuNetModel(
            game=game,
            reputation=reputation,
            gossip=gossip,
            questions=questions,
            backend=Counting(total),
            rng=seed,
        )
        for _ in range(STEPS):
            model.step()
    steps = STEPS * len(SEEDS)
    return Count(total.calls / steps, total.characters / steps, total.shared / steps)


def main() -> None:
    """Print both tables."""
    calls = Table(title="Calls per step")
    for heading in ("game", "mode"):
        calls.add_column(heading)
    for heading in ("published", "one a call", "ratio", "fused", "ratio"):
        calls.add_column(heading, justify="right")
    characters = Table(title="Prompt characters per step, with reputation and gossip")
    characters.add_column("game")
    for heading in ("published", "one a call", "ratio", "shared", "fused", "ratio", "shared"):
        characters.add_column(heading, justify="right")
    for game, published in CALLS.items():
        for (mode, (reputation, gossip)), theirs in zip(MODES.items(), published, strict=True):
            single, fused = (count(game, reputation, gossip, questions) for questions in ("single", "fused"))
            ours = [text for each in (single, fused) for text in (f"{each.calls:.1f}", f"{each.calls / theirs:.2f}")]
            calls.add_row(game, mode, f"{theirs:.1f}", *ours)
            if reputation and gossip:
                cells = [
                    text
                    for each in (single, fused)
                    for text in (
                        f"{each.characters:,.0f}",
                        f"{each.characters / CHARACTERS[game]:.2f}",
                        f"{each.shared / each.characters:.0%}",
                    )
                ]
                characters.add_row(game, f"{CHARACTERS[game]:,}", *cells)
        calls.add_section()
    console = Console()
    console.print(calls)
    console.print("Promised with reputation and gossip: at most 1.00 one a call, 0.33 fused.")
    console.print(characters)
    console.print("Promised: at most 0.60 one a call, 0.35 fused; shared by all agents and steps: at least 40 %.")


if __name__ == "__main__":
    main()
