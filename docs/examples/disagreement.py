"""A measure of one's own, in one file: how far people disagree about each other."""

from __future__ import annotations

from collections import defaultdict
from statistics import fmean, pstdev

from repunet_model import RepuNetModel, measures


@measures.register
def disagreement(model: RepuNetModel) -> float | None:
    """Return the standard deviation of the scores that others give somebody, the mean over all whom two or more know.

    0 if all think the same of everybody, 1 at the most; None as long as nobody is known to two others.
    """
    scores: dict[tuple[str, str], list[float]] = defaultdict(list)
    for agent in model.agents:
        for record in agent.ledger.present():
            if record.subject != agent.name:
                scores[record.subject, record.role].append(record.score)
    known = [pstdev(given) for given in scores.values() if len(given) > 1]
    return fmean(known) if known else None
