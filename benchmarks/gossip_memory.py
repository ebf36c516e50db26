"""Whether gossip reaches choices without reputation, and by how much, with the rules backend.

    uv run benchmarks/gossip_memory.py [--seeds 20] [--steps 30]

In the mode "gossip only" listeners remember what they heard, and a choice shows what the agent heard about its partner
(switch `gossip_memory` of the mechanism). Measured in each game, over seeds, with 95 % intervals (Student's t):

- the share of choices about a partner that show gossip;
- the share of these that had another answer without it, from the same draw: the same question is answered once more
  without the gossip;
- rates of the last ten steps, against the same seeds with `gossip_memory=never`, where gossip bears on ties alone, and
  against the mode "neither". P-values are not adjusted for their number.

It takes some ten minutes on one core.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import numpy as np

from repunet_model import RepuNetModel
from repunet_model.backends.base import Request
from repunet_model.backends.mind import Mind, Rules, policy_for
from repunet_model.backends.rules import RulesBackend
from repunet_model.games.investment import Allocate, Invest, ProposePlan
from repunet_model.games.prisoners_dilemma import ChooseMove
from repunet_model.games.sign_up import WantToTalk
from repunet_model.questions.base import Answer
from repunet_model.report.statistics import contrast, estimate

CHOICES = (ChooseMove, ProposePlan, Invest, Allocate, WantToTalk)
LAST = 10
RATES = {
    "prisoners_dilemma": ("cooperation_rate",),
    "investment": ("cooperation_rate", "acceptance_rate", "invested_share"),
    "sign_up": ("cooperation_rate", "talk_rate"),
}
REMEMBERED = "gossip remembered"
ARMS: dict[str, dict[str, Any]] = {
    REMEMBERED: {"gossip": True, "mechanism": "paper"},
    "gossip not remembered": {"gossip": True, "mechanism": "paper,gossip_memory=never"},
    "no gossip": {"gossip": False, "mechanism": "paper"},
}


class Counting(RulesBackend):
    """The rules, which count the choices that show gossip and those that it changed."""

    def __init__(self) -> None:
        super().__init__()
        self.choices = self.shown = self.changed = 0

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Answer, and answer once more without the gossip."""
        answer = await super().answer(request)
        question: Any = request.question
        if isinstance(question, CHOICES):
            self.choices += 1
            if question.heard:
                self.shown += 1
                without = replace(question, heard=())
                other = policy_for(without)(without, Mind(Rules(), request.persona, request.random))
                self.changed += _choice(other) != _choice(answer)
        return answer


def _choice(answer: Answer) -> dict[str, Any]:
    """Return what was chosen, without the reason."""
    return {name: value for name, value in answer if name != "reason"}


def rate(model: RepuNetModel, name: str) -> float:
    """Return the mean of a rate over the last steps that have one."""
    values = model.datacollector.get_model_vars_dataframe()[name].to_numpy(dtype=float)[-LAST:]
    return float(np.nanmean(values))


def main() -> None:
    """Print the figures of every game."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--steps", type=int, default=30)
    asked = parser.parse_args()
    for game, rates in RATES.items():
        shown, changed = [], []
        found: dict[str, dict[str, dict[int, float]]] = {name: {arm: {} for arm in ARMS} for name in rates}
        for seed in range(1, asked.seeds + 1):
            for arm, parameters in ARMS.items():
                backend = Counting()
                model = RepuNetModel(game=game, reputation=False, backend=backend, rng=seed, **parameters)
                for _ in range(asked.steps):
                    model.step()
                if arm == REMEMBERED:
                    shown.append(backend.shown / backend.choices)
                    changed.append(backend.changed / backend.shown if backend.shown else 0.0)
                for name in rates:
                    found[name][arm][seed] = rate(model, name)
        print(f"{game}: share of choices that show gossip {estimate(shown)}")
        print(f"{game}: share of these with another answer without it {estimate(changed)}")
        for name, values in found.items():
            for arm, own in values.items():
                told = f"{game}: {name}, {arm}: {np.mean(list(own.values())):.3f}"
                if arm != REMEMBERED and (difference := contrast(values[REMEMBERED], own)) is not None:
                    p = "none" if difference.p is None else f"{difference.p:.3f}"
                    told += f"; {REMEMBERED} less this {difference.difference}, p {p}"
                print(told, flush=True)


if __name__ == "__main__":
    main()
