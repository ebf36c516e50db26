"""Results of the theory of indirect reciprocity beside those of this package: docs/theory.md.

    uv run benchmarks/textbook.py              # print the tables (some ten minutes)
    uv run benchmarks/textbook.py --write      # and put them into docs/theory.md

Societies of 50 agents that follow one norm (`norm:NAME`) play the donation game for 300 steps, without reputation
records, gossip and ties, so that pairs are drawn at random. An act slips, and an observer takes an act for the other
one, with probability 0.05 each. Measured is the share of gifts among the encounters of the last 200 steps, as the mean
over the seeds with its 95 % interval (Student's t). Pairs of tit for tat play the prisoner's dilemma with slips alone.

What is expected of a public assessment is the fixed point of the share h of agents in good standing in a large
population: both sides of an encounter are good with probability h each. What is expected of private assessments is the
same if all opinions of an agent were independent of each other, as they are not; it is exact for image scoring and
stern judging, for which it is one half by symmetry (Uchida & Sasaki 2013), and an approximation for the others.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from statistics import mean

from repunet_model import RepuNetModel
from repunet_model.backends.norms import NORMS, PAIRS, Norm
from repunet_model.report.statistics import estimate

AGENTS, SEEDS = 50, (1, 2, 3, 4, 5)
FIRST, LAST = 101, 300
"""The steps over which cooperation is measured."""

SLIP = MISPERCEPTION = 0.05
TOLERANCE = 0.05
"""The largest distance of a measured share of cooperation from the expected one that tests allow."""

PAIRED_STEPS = (1, 2, 5, 10, 20, 40)
"""The rounds in which pairs of tit for tat are looked at."""

ASSESSMENTS = ("public", "private")
PAGE = Path(__file__).parent.parent / "docs" / "theory.md"
BEGIN, END = "<!-- begin: benchmarks/textbook.py -->\n", "<!-- end -->"


def flipped(share: float, rate: float) -> float:
    """Return a share of acts after each of them became the other one with a probability."""
    return share * (1 - rate) + (1 - share) * rate


def after(norm: Norm, good: float, assessment: str, slip: float, misperception: float) -> tuple[float, float]:
    """Return the share of the good among those who have just acted, and the share of cooperations.

    Args:
        norm: The norm that everybody follows.
        good: The share of agents in good standing, or of the good in an agent's eyes.
        assessment: "public", or "private" with independent opinions.
        slip: The probability that an act is not the decided one.
        misperception: The probability that an observer takes an act for the other one.
    """
    weight = {pair: (good if pair[0] else 1 - good) * (good if pair[1] else 1 - good) for pair in PAIRS}
    acts = {pair: flipped(float(norm.cooperates(*pair)), slip) for pair in PAIRS}
    cooperation = sum(weight[pair] * acts[pair] for pair in PAIRS)
    verdict = 0.0
    for pair in PAIRS:
        seen = flipped(acts[pair] if assessment == "public" else cooperation, misperception)
        verdict += weight[pair] * (
            seen * norm.makes_good(*pair, cooperated=True) + (1 - seen) * norm.makes_good(*pair, cooperated=False)
        )
    return verdict, cooperation


def expected(norm: Norm, assessment: str, slip: float = SLIP, misperception: float = MISPERCEPTION) -> float:
    """Return the share of cooperations at the fixed point that is reached when all are good at first."""
    good = 1.0
    for _ in range(1_000):
        verdict, _ = after(norm, good, assessment, slip, misperception)
        good += 0.2 * (verdict - good)
    return after(norm, good, assessment, slip, misperception)[1]


def society(
    backend: str,
    seed: int,
    *,
    game: str = "donation",
    agents: int = AGENTS,
    errors: str = f"slip={SLIP},misperception={MISPERCEPTION}",
) -> RepuNetModel:
    """Return a society in which nothing but the game and the assessment of acts goes on."""
    return RepuNetModel(
        game=game,
        n_agents=agents,
        reputation=False,
        gossip=False,
        mechanism="paper,tie_after_encounter=off,rewrite_learned=off",
        backend=backend,
        errors=errors,
        rng=seed,
    )


def cooperation(model: RepuNetModel, first: int, last: int) -> float:
    """Run a society to a step, and return the mean rate of cooperation from a first step on."""
    rates = []
    while model.steps < last:
        model.step()
        rates.append(model.measures["cooperation_rate"])
    return mean(rate for rate in rates[first - 1 :] if rate is not None)


def paired(pairs: int, steps: int, slip: float = SLIP) -> list[float]:
    """Return the rate of cooperation in each round of as many pairs of tit for tat, which meet only each other."""
    rounds: list[list[float]] = [[] for _ in range(steps)]
    for seed in range(1, pairs + 1):
        model = society("tit_for_tat", seed, game="pd", agents=2, errors=f"slip={slip}")
        for rates in rounds:
            model.step()
            rates.append(model.measures["cooperation_rate"] or 0.0)
    return [mean(rates) for rates in rounds]


def in_pairs(step: int, slip: float = SLIP) -> float:
    """Return the probability that a player of a pair of tit for tat cooperates in a round, from 1."""
    return 0.5 + 0.5 * (1 - 2 * slip) ** step


CLAIMS = {
    ("simple_standing", "public"): "cooperative (Ohtsuki & Iwasa 2004)",
    ("stern_judging", "public"): "cooperative (Ohtsuki & Iwasa 2004)",
    ("image_scoring", "public"): "1/2",
    ("stern_judging", "private"): "1/2 (Uchida & Sasaki 2013; Hilbe et al. 2018)",
}


def tables() -> Iterator[str]:
    """Yield the lines of the tables, in Markdown."""
    yield "| norm | assessment | measured | 95 % interval | expected | difference | in the literature |"
    yield "|---|---|---|---|---|---|---|"
    for norm, assessment in product(NORMS.values(), ASSESSMENTS):
        backend = f"norm:{norm.name},assessment={assessment}"
        found = estimate([cooperation(society(backend, seed), FIRST, LAST) for seed in SEEDS])
        theory = expected(norm, assessment)
        yield (
            f"| `{norm.name}` | {assessment} | {found.mean:.3f} | {found.low:.3f} to {found.high:.3f} | {theory:.3f} | "
            f"{found.mean - theory:+.3f} | {CLAIMS.get((norm.name, assessment), '')} |"
        )
    yield ""
    yield "| round | measured, 200 pairs | expected |"
    yield "|---|---|---|"
    measured = paired(200, max(PAIRED_STEPS))
    for step in PAIRED_STEPS:
        yield f"| {step} | {measured[step - 1]:.3f} | {in_pairs(step):.3f} |"


def main() -> None:
    """Print the tables, and write them into the page if asked to."""
    lines = []
    for line in tables():
        print(line, flush=True)
        lines.append(f"{line}\n")
    if "--write" in sys.argv:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        _, _, behind = rest.partition(END)
        text = f"{before}{BEGIN}\n{''.join(lines)}\n{END}{behind}"
        PAGE.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
