"""Whitewashing pays a defector where strangers are trusted, and not where they are not, from the data of runs."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

import pytest

from repunet_model import RepuNetModel, load_run

DISTRUST = "rules:expectation=0.1,altruist_expectation=0.1,expectation_weight=10"
"""Rules that expect little of strangers, and take ten encounters to learn otherwise."""

FIRST, STEPS = 10, 30


def payoff(folder: Path, backend: str, seed: int, *, washes: bool) -> float:
    """Return the mean payoff a step of four defectors, from the step from which they may have a new name."""
    events = ["step=1 agents=4 becomes=always_defect"]
    if washes:
        events += [f"step={step} agents=4 becomes=whitewash" for step in range(FIRST, STEPS + 1, 5)]
    with RepuNetModel(rng=seed, backend=backend, events=events, storage=folder) as model:
        for _ in range(STEPS):
            model.step()
        assert model.folder is not None
        agents = load_run(model.folder.path).agents
    late = agents[(agents["step"] >= FIRST) & (agents["planted"] == "always_defect")]
    assert late["person"].nunique() == 4
    assert (late["name"].nunique() > 4) is washes
    return float(late["payoff"].mean())


@pytest.mark.parametrize(("backend", "pays"), [("rules", True), (DISTRUST, False)])
def test_whitewashing_pays_where_strangers_are_trusted(backend: str, pays: bool, tmp_path: Path) -> None:
    both = [[payoff(tmp_path, backend, seed, washes=washes) for washes in (True, False)] for seed in (1, 2, 3)]
    gains = [washing - staying for washing, staying in both]
    assert fmean(gains) > 0.15 if pays else fmean(gains) < -0.1
