"""An independent classifier of the tone of gossip: VADER (Hutto & Gilbert 2014), of the extra `sentiment`.

VADER is a lexicon with rules, of general English. The paper's classifier is a neural network whose weights have to be
fetched from a hub; it is not offered here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version

POSITIVE_FROM = 0.05
"""The compound score from which its authors count a text as positive; negative is from minus this on."""


@dataclass(frozen=True, slots=True)
class Classifier:
    """A classifier by name and version; `score` returns the tone of a text in [−1, 1]."""

    name: str
    score: Callable[[str], float]


@cache
def classifier() -> Classifier | None:
    """Return the classifier; None without the extra."""
    try:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        return None
    analyser = SentimentIntensityAnalyzer()
    name = f"VADER {version('vaderSentiment')}"
    return Classifier(name, lambda text: float(analyser.polarity_scores(text)["compound"]))


def share_positive(texts: Sequence[str], by: Classifier) -> float | None:
    """Return positive texts / (positive and negative texts); None if there is none of either."""
    scores = [by.score(text) for text in texts]
    positive = sum(score >= POSITIVE_FROM for score in scores)
    told = positive + sum(score <= -POSITIVE_FROM for score in scores)
    return positive / told if told else None
