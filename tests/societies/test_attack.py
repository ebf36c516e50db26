"""What an attack does to a run, and where a society breaks."""

from pathlib import Path

import numpy as np
import pytest

from repunet_model import RepuNetModel
from repunet_model.report.attack import breaking_point
from repunet_model.results.attack import attack_of
from repunet_model.storage import StepReader


def stored(folder: Path, steps: int, events: str, **parameters: object) -> StepReader:
    name = f"run{len(list(folder.iterdir()))}"
    with RepuNetModel(n_agents=8, rng=3, events=events, storage=folder, run_name=name, **parameters) as model:  # type: ignore[arg-type]
        for _ in range(steps):
            model.step()
    return StepReader.open(folder / name)


def test_defectors_among_cooperators_are_found_out_and_gain(tmp_path: Path) -> None:
    run = stored(tmp_path, 8, "step=4 agents=2 becomes=always_defect", backend="always_cooperate")
    attack = attack_of(run, 10)
    assert attack is not None
    assert (attack.dose, attack.start, attack.honest_cooperation) == (2, 4, 1)
    assert attack.recovery is None  # The planted agents themselves keep the rate below what it was.
    assert attack.detection is not None
    scores = [step.state["scores"] for step in run.steps(4)]
    planted = {agent["name"] for agent in run.step(8).state["agents"] if "planted" in agent}

    def is_lower(by_name: dict[str, float]) -> bool:
        bad = [score for name, score in by_name.items() if name in planted]
        good = [score for name, score in by_name.items() if name not in planted]
        return sum(bad) / len(bad) < sum(good) / len(good)

    assert [is_lower(each) for each in scores][attack.detection - 1 :] == [True] * (6 - attack.detection)
    assert attack.detection == 1 or not is_lower(scores[attack.detection - 2])
    payoffs: dict[bool, list[float]] = {True: [], False: []}
    for step in run.steps(4):
        for agent in step.state["agents"]:
            payoffs[agent["name"] in planted].append(float(agent["payoff"] or 0))
    assert attack.rent == pytest.approx(np.mean(payoffs[True]) - np.mean(payoffs[False]))
    assert (attack.rent or 0) > 0


def test_a_run_of_dose_0_is_measured_as_one_without_an_attack(tmp_path: Path) -> None:
    attack = attack_of(stored(tmp_path, 3, "step=2 agents=0 becomes=always_defect", gossip=False), 10)
    assert attack is not None
    assert (attack.dose, attack.start, attack.detection, attack.rent) == (0, 2, None, None)
    assert attack.honest_payoff is not None
    assert attack_of(stored(tmp_path, 1, "step=2 agents=1 becomes=leave"), 10) is None


def test_agents_that_are_planted_from_the_start_attack_from_step_1(tmp_path: Path) -> None:
    planted = {"Ahmed Hassan": "always_defect"}
    attack = attack_of(stored(tmp_path, 2, "", backend_for=planted, reputation=False, gossip=False), 10)
    assert attack is not None
    assert (attack.dose, attack.start, attack.detection, attack.recovery) == (1, 1, None, None)  # no scores, no before


def test_breaking_point_is_recovered_within_its_interval() -> None:
    noise = np.random.default_rng(5)
    rates = {
        dose: {(seed, ""): 0.8 / (1 + (dose / 5) ** 3) + noise.normal(0, 0.03) for seed in range(10)}
        for dose in (0, 2, 4, 6, 8, 10)
    }
    found = breaking_point(rates)
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low < 5 < found.high
    assert found.high - found.low < 1.5


@pytest.mark.thorough
def test_a_society_that_does_not_break_has_no_breaking_point_within_the_doses() -> None:
    flat = {dose: {(seed, ""): 0.8 - 0.001 * seed for seed in range(4)} for dose in (0, 5, 10)}
    found = breaking_point(flat)
    assert found is not None
    assert (found.dose, found.high) == (None, np.inf)
    assert breaking_point({dose: rates for dose, rates in flat.items() if dose}) is None
    only = breaking_point({dose: {(1, ""): rate} for dose, rate in ((0, 0.8), (4, 0.4), (8, 0.0))})
    assert only is not None
    assert (only.low, only.high) == (None, None)
    assert only.dose == pytest.approx(4, abs=0.5)
