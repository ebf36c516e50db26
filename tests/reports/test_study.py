"""The study by the rules: questions answered with what was measured, beside the paper's numbers, and a screening."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from repunet_model.cli import main
from repunet_model.config import FULL, MODES, NEITHER
from repunet_model.report.evidence import messages_of, read
from repunet_model.results import sentiment
from repunet_model.storage import StepReader
from repunet_model.study import claims, measuring, screening
from tests.conftest import complaint
from tests.reports.test_report import FIGURES, check_report


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def rows_of(text: str, question: str) -> list[list[str]]:
    """Return the rows of a question in the table of answers, as cells."""
    found = re.findall(rf"^\| {re.escape(question)} \|.*$", text, re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in found]


def test_an_attack_has_its_own_runs_and_its_own_part(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["study", "--scenario", "pd", "-n", "6", "--seeds", "1-2", "--steps", "3", "--trajectories", "0"]
    words += ["--workers", "1", "--results", "results.md"]
    assert main([*words, "--attack", "always_defect"]) == 0
    _, attacked = Path("results.md").read_text().split("## Under attack")
    doses = {row[3] for row in re.findall(r"^\| (.+) \| (.+) \| (–) \| (\d) \|", attacked, re.MULTILINE)}
    assert doses == {"0", "1", "2", "3"}
    assert Path("results/attack.png").read_bytes().startswith(b"\x89PNG")
    told = json.loads(Path("outputs/study/report.json").read_text())
    assert {curve["mode"] for curve in told["attacks"]} == set(MODES)
    runs = pd.read_parquet("sim_storage/study-attack/results.parquet")["run"].nunique()
    assert (runs, len(told["runs"])) == (4 * 6 * 2, 4 * 2)
    capsys.readouterr()
    told_of = complaint([*words, "--attack", "always_defect", "--event", "step=1 agents=1 becomes=leave"], capsys)
    assert "--attack always_defect: its runs have events of their own; leave the option out" in told_of


def test_the_study_answers_every_question_with_what_was_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--scenario", "i", "--steps", "2", "-n", "4", "--sim-name", "mine"]) == 0
    words = ["study", "--scenario", "sign_up", "-n", "6", "--seeds", "1-2", "--steps", "2", "--trajectories", "2"]
    assert main([*words, "--with", "mine", "--results", "docs/results.md", "--workers", "1"]) == 0
    shown = capsys.readouterr().out
    text = Path("docs/results.md").read_text()
    assert f"repunet {' '.join(words[:3])} -n 6 --seeds 1-2 --steps 2 --trajectories 2 --with mine" in text
    asked = [claim for claim in claims.CLAIMS if not claim.games]
    own, others = text.split("## Other runs")
    for claim in asked:
        ways = [(row[1], row[2].split()[1]) for row in rows_of(own, claim.text)]
        assert ways == [("Sign-up", f"({by})") for by, _ in claim.measures()]
        assert {row[1] for row in rows_of(others, claim.text)} <= {"Investment"}
    (theirs,) = rows_of(others, "Does cooperation persist with reputation and gossip?")
    assert (theirs[3], theirs[7]) == ("too few seeds", "1")
    assert rows_of(others, "Does the network fall apart without reputation and gossip?") == []
    assert "No plan was written before these runs" in text
    assert "Results: docs/results.md" in shown
    pictures = re.findall(r"\]\((results/\w+\.png)\)", text)
    assert {"results/reference.png", "results/others.png", "results/screening.png"} < set(pictures)
    assert all((Path("docs") / picture).read_bytes().startswith(b"\x89PNG") for picture in pictures)
    page = check_report("outputs/study", FIGURES, "2 seeds")
    assert page.count("<figure>") == len(FIGURES) + 3
    table = pd.read_parquet("sim_storage/study/results.parquet")
    assert table["run"].nunique() == 4 * 2
    means = table.groupby(["mode", "seed"])["cooperation_rate"].mean()
    gained = (means["reputation and gossip"] - means["neither"]).mean()
    more = rows_of(own, "Is there more cooperation in the end with both than with neither?")
    assert [row[5] for row in more] == [f"{gained:.3f}"] * 2
    assert [row[4] for row in more] == ["0.85 ± 0.03 against 0.19 ± 0.06"] * 2
    found = json.loads(Path("outputs/study/report.json").read_text())["findings"]
    assert {each["claim"] for each in found} == {claim.key for claim in asked}
    assert [each["estimate"]["mean"] for each in found if each["claim"] == "more"] == pytest.approx([gained] * 2)
    screened = pd.read_parquet("sim_storage/study-screening/results.parquet")
    assert screened["run"].nunique() == 2 * 12 * 2 * 2
    assert json.loads(Path("sim_storage/study/failures.json").read_text()) == []


def test_the_classifier_judges_the_words_of_the_gossiper() -> None:
    assert main(["run", "--steps", "3", "-n", "8", "--sim-name", "one"]) == 0
    stored = StepReader.open(Path("sim_storage/one"))
    (run,) = read([stored]).runs
    said = [row["dialogue"][0][1] for row in messages_of(stored)]
    assert said
    judge = sentiment.classifier()
    assert judge is not None
    scores = [judge.score(text) for text in said]
    positive, negative = sum(score >= 0.05 for score in scores), sum(score <= -0.05 for score in scores)
    assert measuring.praise_by_classifier(run) == pytest.approx(positive / (positive + negative) - 0.5)
    told = [row["tone"] for row in messages_of(stored)]
    expected = told.count("positive") / (told.count("positive") + told.count("negative")) - 0.5
    assert measuring.praise_by_tone(run) == pytest.approx(expected)
    assert run.agents["told_about"].sum() == run.agents["gossip"].sum() == len(said)
    last = [stored.step(number).state["scores"] for number in (1, 2, 3)]
    for name, reputation in zip(run.agents["name"], run.agents["reputation"], strict=True):
        known = [scores[name] for scores in last if name in scores]
        assert known == [] if np.isnan(reputation) else reputation == pytest.approx(np.mean(known))


def test_the_screening_finds_what_decides_and_what_does_nothing() -> None:
    """A made-up society in which one parameter alone decides."""
    drawn = screening.points(6)
    rows = []
    for point in np.unique(drawn, axis=0):
        named = {f"backend.{name}": value for name, value in zip(screening.RANGES, point, strict=True)}
        low, high = screening.RANGES["discount"]
        share = (named["backend.discount"] - low) / (high - low)
        for mode, rate in ((FULL, 0.2 + 0.6 * share), (NEITHER, 0.2)):
            rows += [
                {"game": "prisoners_dilemma", "mode": mode, "seed": 1, **named, "step": 1, "cooperation_rate": rate}
            ]
    assert (
        main(
            [
                "sweep",
                "--reputation",
                "y,n",
                "--gossip",
                "y,n",
                "--seeds",
                "1-2",
                "--steps",
                "1",
                "-n",
                "4",
                "--workers",
                "1",
            ]
        )
        == 0
    )
    evidence = read([StepReader.open(path) for path in Path("sim_storage/sweep/runs").iterdir()])
    (found,) = screening.screened(pd.DataFrame(rows), evidence, 6)
    by_name = dict(zip(screening.RANGES, found.mu_star, strict=True))
    assert by_name.pop("discount") == pytest.approx(0.6)
    assert list(by_name.values()) == pytest.approx([0.0] * 10)
    assert found.positive == pytest.approx((found.effects > 0).mean())


def test_a_study_that_cannot_be_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert "name at least two" in complaint(["study", "--seeds", "3"], capsys)
    assert "ends in .md" in complaint(["study", "--results", "results.html"], capsys)
    assert "name at least two, or 0" in complaint(["study", "--trajectories", "1"], capsys)
    assert "needs one value of n_agents" in complaint(["study", "-n", "4,6", "--trajectories", "2"], capsys)
    assert "with reputation and gossip and with neither" in complaint(
        ["study", "--reputation", "y", "--trajectories", "2"], capsys
    )
    assert "no run at" in complaint(["study", "--with", "none"], capsys)
