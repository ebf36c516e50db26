"""A study over a design: every cell has every mode, each claim is audited over the factors, and a plan keeps it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from repunet_model.cli import main
from repunet_model.storage import StepReader
from tests.conftest import complaint

FRACTION = (
    "study --scenario pd --gossip y --seeds 1-5 --steps 1 -n 4 --design fraction --backend always_cooperate --backend "
    "always_defect --activation simultaneous,sequential --game-set temptation=4,6 --game-set reward=2,3"
)
"""Four factors in eight cells, of which the backend decides everything."""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_study_over_a_fraction_is_planned_followed_and_audited(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FRACTION.split(), "--plan", "plan.json"]) == 0
    confounded = "backend × activation = game.temptation × game.reward"
    assert confounded in capsys.readouterr().out
    plan = json.loads(Path("plan.json").read_text())
    assert plan["study"]["design"] == "fraction"
    assert confounded in plan["confounded"][1]
    assert len(plan["runs"]) == 8 * 2 * 5  # cells, modes, seeds
    assert main(["study", "--follow", "plan.json", "--workers", "1"]) == 0
    said = capsys.readouterr()
    assert "Design: 16 cells × 5 seeds = 80 runs of 1 step" in said.err
    assert "The runs followed the plan" in said.out
    modes = {StepReader.open(run).manifest.mode for run in Path("sim_storage/study/runs").iterdir()}
    assert modes == {"reputation and gossip", "gossip only"}
    audits = json.loads(Path("outputs/study/report.json").read_text())["claim_audits"]
    verdicts = {each["outcome"]: each["verdict"] for each in audits}
    persists = verdicts["Does cooperation persist with reputation and gossip? 1 (paper)"]
    assert persists.startswith("sensitive to backend; not audited for agent specification")
    assert all("; not audited for agent specification" in verdict for verdict in verdicts.values())
    assert "## What the answers hang on" in Path("outputs/results.md").read_text()


def test_designs_of_studies_that_cannot_be_are_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    fraction = ["study", "--design", "fraction", "-n", "4,6"]
    assert "design fraction: give at least two parameters with two values each" in complaint(fraction, capsys)
    assert "points: only the design lhs has points" in complaint(["study", "--points", "3"], capsys)
