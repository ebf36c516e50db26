"""The study on a language model: planned with its cost, stopped, resumed, and reported beside the paper's numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from repunet_model.cli import main
from repunet_model.errors import ConfigurationError
from repunet_model.report.evidence import read
from repunet_model.storage import StepReader
from repunet_model.study import claims
from repunet_model.study.following import answers
from repunet_model.study.plan import Plan, begin
from repunet_model.testing import Endpoint, endpoint
from tests.conftest import complaint, contents

TINY = ["--scenario", "pd", "--reputation", "y,n", "--gossip", "y,n", "--backend", "openai:stub", "-n", "4"]
WRITE = ["study", *TINY, "--seeds", "1-2", "--steps", "1", "--plan", "plan.json"]
FOLLOW = ["study", "--follow", "plan.json"]

RUNS = Path("sim_storage/study/runs")

CHANGED = """
from repunet_model.config import FULL, NEITHER
from repunet_model.study import claims, measuring

more = measuring.difference(FULL, NEITHER, 1)
claims.register(claims.Claim("more", "Is there much more cooperation with both?", more))
claims.register(claims.Claim("poor", "Is everybody poor?", ours=[measuring.fall(FULL, "gini")]))
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(claims, "_REGISTERED", {})


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setenv("LLM_MAX_TOKENS", "100")
    with endpoint() as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        yield running


def plan_of(file: str = "plan.json") -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(file).read_text())
    return content


def results() -> str:
    return " ".join(Path("outputs/results.md").read_text().split())


def test_a_study_is_planned_stopped_resumed_and_reported_as_planned(
    model: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(WRITE) == 0
    shown = capsys.readouterr().out
    plan = plan_of()
    assert model.requests == []
    assert plan["sha256"] in shown
    assert len(plan["runs"]) == 8
    assert plan["parameters"]["backend.model"] == "stub"
    assert plan["parameters"]["activation"] == "simultaneous"
    assert set(plan["claims"]) == {claim.key for claim in claims.CLAIMS}
    assert plan["estimate"]["requests"] > 100
    assert not RUNS.exists()

    assert main([*FOLLOW, "--budget-tokens", "30000"]) == 1
    shown = capsys.readouterr().out
    assert "The study goes on with the same command" in shown
    assert len(list(RUNS.iterdir())) > 0
    assert not Path("outputs/results.md").exists()
    assert main(FOLLOW) == 0
    shown = capsys.readouterr().out
    text = results()
    followed = f"The runs followed the plan {plan['sha256'][:12]}"
    assert followed in shown
    assert followed in text
    assert "and 11 of its 11 questions are answered as it says" in text
    assert "requests," in text
    assert "0.93 ± 0.04 (GPT-4o mini); 0.95 (Qwen3 plus)" in text
    assert "Exploratory" not in text
    assert "reputation and gossip − neither" in text
    page = Path("outputs/study/index.html").read_text()
    assert followed in page
    assert '<section id="reference">' in page
    assert Path("outputs/results/reference.png").is_file()
    # What was asked before the stop was not asked again, and the runs are those of a sweep that was not stopped.
    asked = len(model.requests)
    assert main(["sweep", *TINY, "--seeds", "1-2", "--steps", "1", "--name", "study", "--storage", "other"]) == 0
    assert len(model.requests) == 2 * asked
    for run in RUNS.iterdir():
        assert contents(run) == contents(Path("other/study/runs") / run.name)


def test_what_came_after_the_plan_is_exploratory(model: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(WRITE) == 0
    Path("mine.py").write_text(CHANGED)
    here = ["--out", "outputs/results", "--results", "outputs/results.md"]  # The page has its pictures in the report.
    assert main([*FOLLOW, "--claims", "mine.py", "--seeds", "3", *here]) == 0
    text = results()
    assert Path("outputs/results/reference.png").is_file()
    assert (
        "Exploratory, changed after the plan: Is there much more cooperation with both? Planned was: Is there more"
        in text
    )
    assert "Exploratory, added after the plan: Is everybody poor?" in text
    assert "Seeds added after the plan, whose runs are exploratory: 3." in text
    assert "10 of its 11 questions are answered as it says" in text
    planned, later = text.split("| --- | --- | --- | --- | --- | ---: | ---: | ---: |")[1:3]
    assert "much more" not in planned
    assert "Exploratory, added or changed after the plan." in planned
    assert "much more" in later
    assert len({StepReader.open(run).manifest.config.seed for run in RUNS.iterdir()}) == 3
    capsys.readouterr()
    assert "sim_storage/study follows a plan" in complaint(["study", *TINY, "--seeds", "1-3", "--steps", "1"], capsys)


def test_runs_that_differ_from_the_plan_are_named(model: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    few = [
        "--scenario",
        "pd",
        "--reputation",
        "y",
        "--gossip",
        "n",
        "--backend",
        "openai:stub",
        "-n",
        "4",
        "--seeds",
        "1-2",
    ]
    assert main(["study", *few, "--steps", "1", "--plan", "plan.json"]) == 0
    monkeypatch.setenv("LLM_TEMPERATURE", "0.1")
    assert main(["sweep", *few, "--steps", "1", "--name", "study"]) == 0
    plan = Plan.load(Path("plan.json"))
    before = begin(plan.study(), plan, Path("sim_storage"))
    assert before == begin(plan.study(), plan, Path("sim_storage"))
    runs = [StepReader.open(run) for run in sorted(RUNS.iterdir())]
    (followed, *_) = answers(read(runs[:1]), claims.CLAIMS[:3], plan, before).texts
    assert "The runs did not follow the plan" in followed
    assert f"1 run ({runs[1].name}) was not there" in followed
    assert f"1 run ({runs[0].name}) was made with backend.temperature 0.1 and not 0.0" in followed
    assert "2 runs" in followed
    assert "were begun before the plan was followed" in followed
    assert main(["study", *few, "--steps", "2", "--plan", "other.json"]) == 0
    other = Plan.load(Path("other.json"))
    with pytest.raises(ConfigurationError, match="follows another plan"):
        begin(other.study(), other, Path("sim_storage"))


def test_a_plan_that_cannot_be_followed_is_one_clear_line(
    model: Endpoint, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(WRITE) == 0
    capsys.readouterr()
    assert "plan.json is already there" in complaint(WRITE, capsys)
    assert "--steps: plan.json says what the study is" in complaint([*FOLLOW, "--steps", "2"], capsys)
    assert "give one of them" in complaint([*FOLLOW, "--plan", "more.json"], capsys)
    assert "none.json cannot be read" in complaint(["study", "--follow", "none.json"], capsys)
    changed = plan_of()
    changed["claims"]["more"]["question"] = "Is there less?"
    Path("changed.json").write_text(json.dumps(changed))
    assert "was changed after it was written" in complaint(["study", "--follow", "changed.json"], capsys)
    Path("list.json").write_text("[]")
    assert "list.json is no plan" in complaint(["study", "--follow", "list.json"], capsys)
    assert "the screening is by the rules" in complaint(["study", *TINY, "--trajectories", "4"], capsys)
    assert "no Python file" in complaint(["study", "--claims", "none.py"], capsys)


def test_a_plan_needs_no_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(WRITE) == 0
    assert plan_of()["estimate"]["unpriced_tokens"] > 0
    capsys.readouterr()
    assert "OPENAI_API_KEY is not set" in complaint(FOLLOW, capsys)
