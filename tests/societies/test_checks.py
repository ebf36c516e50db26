"""Construct checks: known agreement under the rules, counts by hand, the published runs, and what is absent."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from repunet_model import RepuNetModel, load_run
from repunet_model.cli import main
from repunet_model.reference_layout import import_run
from repunet_model.results import sentiment
from repunet_model.results.constructs import Check, checks, own_checks
from repunet_model.results.tables import table_of
from repunet_model.storage import StepReader
from repunet_model.storage.schema import GOSSIP, INTERACTIONS
from tests.conftest import complaint
from tests.societies.test_published_runs import DATA, WITH, WITHOUT, needs_data

NAMES = [
    "judgement", "record_change", "tone", "text", "truth", "tone_flips", "claim_flips", "score_ahead", "record_ahead",
]  # fmt: skip


def made(storage: Path, steps: int = 6, **parameters: object) -> StepReader:
    with RepuNetModel(n_agents=12, rng=1, storage=storage, run_name="made", **parameters) as model:  # type: ignore[arg-type]
        for _ in range(steps):
            model.step()
    return StepReader.open(storage / "made")


def by_name(found: list[Check]) -> dict[str, Check]:
    assert [each.name for each in found] == NAMES
    return {each.name: each for each in found}


@pytest.mark.parametrize("game", ["prisoners_dilemma", "investment", "sign_up"])
def test_the_rules_judge_by_image_scoring(game: str, tmp_path: Path) -> None:
    """They judge cooperation better than defection, whoever acts, and praise what they judged good."""
    run = made(tmp_path, game=game)
    found = by_name(own_checks(run))
    judged = found["judgement"]
    acts = load_run(tmp_path / "made").interactions
    told = acts[(acts["course"] == "completed") & acts["second_cooperated"].notna()]
    sides = ["second"] if game == "investment" else ["first", "second"]  # an investor who invests has cooperated
    assert judged.n == sum(int(told[f"{side}_cooperated"].notna().sum()) for side in sides)
    assert judged.value == 1.0
    assert judged.interval == (1.0, 1.0)
    assert judged.meaning.startswith("agree; ")
    assert found["tone"].value == (None if game == "investment" else 1.0)  # there all is praise
    assert (found["record_change"].value or 0) > 0.95
    assert (found["truth"].value or 0) > 0.9
    assert [each.name for each in checks(run) if each.by_text and each.value is None] == ["text", "claim_flips"]


def test_values_are_what_the_tables_say(tmp_path: Path) -> None:
    run = made(tmp_path)
    found = by_name(own_checks(run))
    steps = list(run.steps(1))
    acts: dict[tuple[int, str, str], bool | None] = {}
    for row in (row for step in steps for row in step.rows(INTERACTIONS)):
        acts[row["step"], row["first"], row["second"]] = row["first_cooperated"]
        acts[row["step"], row["second"], row["first"]] = row["second_cooperated"]
    gossip = [row for step in steps for row in step.rows(GOSSIP)]
    true = [
        (row["tone"] == "positive") == acts[row["step"], row["subject"], row["origin"] or row["gossiper"]]
        for row in gossip
    ]
    assert found["truth"].value == pytest.approx(sum(true) / len(true))
    told = {(row["step"], row["gossiper"], row["listener"], row["subject"]): row["tone"] for row in gossip}
    second = [row for row in gossip if row["order"] == 2]
    flips = [row["tone"] != told[row["step"], row["origin"], row["gossiper"], row["subject"]] for row in second]
    assert found["tone_flips"].value == pytest.approx(sum(flips) / len(flips))
    scores = {(step.number, name): score for step in steps for name, score in step.state["scores"].items()}
    pairs = [
        (scores[at, name], done)
        for (step, name, _), done in acts.items()
        for at in range(step - 5, step)
        if (at, name) in scores
    ]
    won = [(a > b) + (a == b) / 2 for a, acted in pairs if acted for b, other in pairs if not other]
    assert found["score_ahead"].value == pytest.approx(sum(won) / len(won))
    table = table_of(run)
    assert table["check_truth"].tolist() == [found["truth"].value] * 6
    assert not {"check_text", "check_claim_flips"} & set(table)  # which depend on an extra
    frame = load_run(tmp_path / "made").checks
    assert [frame[name]["judgement"] for name in ("value", "low", "high", "agents")] == [1.0, 1.0, 1.0, 12]
    described = found["score_ahead"].described()
    assert json.loads(json.dumps(described))["chance"] == 0.5


def test_a_fork_is_checked_by_its_own_steps(tmp_path: Path) -> None:
    made(tmp_path, steps=3)
    place = ["--storage", str(tmp_path)]
    assert main(["fork", "made/step_2", "--sim-name", "other", "--set", "questions=fused", *place]) == 0
    assert main(["resume", "other", "--steps", "2", *place]) == 0
    fork = StepReader.open(tmp_path / "other")
    found = by_name(own_checks(fork))
    assert found["judgement"].n == 2 * 12
    assert found["record_ahead"].n > 0  # by what was thought before the fork
    assert table_of(fork).groupby("questions")["check_judgement"].nunique().tolist() == [1, 1]


def test_a_mode_without_a_part_has_no_such_check_and_says_why(tmp_path: Path) -> None:
    run = made(tmp_path, steps=2, reputation=False, gossip=False)
    found = by_name(own_checks(run))
    assert found["judgement"].value == 1.0
    reasons = {name: each.meaning for name, each in found.items() if each.value is None}
    no_records, no_gossip = "absent: agents keep no records", "absent: there is no gossip"
    assert reasons == {
        **dict.fromkeys(["record_change", "text", "score_ahead", "record_ahead"], no_records),
        **dict.fromkeys(["tone", "truth", "tone_flips", "claim_flips"], no_gossip),
    }


def test_acts_that_are_all_alike_tell_nothing(tmp_path: Path) -> None:
    run = made(tmp_path, steps=2, backend="always_cooperate")
    found = by_name(own_checks(run))
    assert found["judgement"].meaning.startswith("absent: all 24 acts are alike")
    assert found["record_ahead"].meaning.startswith("absent: all 24 acts are alike")
    quiet = made(tmp_path / "none", steps=0)
    assert by_name(own_checks(quiet))["judgement"].meaning == "absent: no choice is logged"


def test_without_the_extra_a_line_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = made(tmp_path, steps=2)
    monkeypatch.setitem(sys.modules, "vaderSentiment.vaderSentiment", None)
    sentiment.classifier.cache_clear()
    found = by_name(own_checks(run))
    monkeypatch.undo()
    sentiment.classifier.cache_clear()
    assert "needs a classifier of texts: pip install 'repunet-mesa[sentiment]'" in found["text"].meaning
    assert "--extra sentiment" in found["claim_flips"].meaning


def test_show_prints_them(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made(tmp_path / "sim_storage", steps=2)
    capsys.readouterr()
    assert main(["show", "made", "--checks"]) == 0
    shown = capsys.readouterr().out
    assert "AUC 1.00" in shown
    assert "conduct as judged" in shown
    assert "no steps yet" in complaint(["show", "made/step_0", "--checks"], capsys)
    assert "leave the other option out" in complaint(["show", "made", "--checks", "--thoughts"], capsys)


@needs_data
def test_the_published_runs_are_checked(tmp_path: Path) -> None:
    import_run(DATA / "runs" / WITH, tmp_path, "with")
    found = by_name(own_checks(StepReader.open(tmp_path / "with")))
    assert found["judgement"].meaning == "absent: no judgement of conduct is stored"
    changed = found["record_change"]
    assert (changed.n, round(changed.value or 0, 3)) == (54, 0.945)  # 50 splits were honoured and 4 were not
    assert found["tone_flips"].meaning == "absent: no tone is stored"
    assert "all 140 cases are alike" in found["score_ahead"].meaning
    if sentiment.classifier() is not None:
        assert (found["text"].n, round(found["text"].value or 0, 1)) == (500, 0.6)
        assert found["claim_flips"].n == 23
    import_run(DATA / "runs" / WITHOUT, tmp_path, "without")
    found = by_name(own_checks(StepReader.open(tmp_path / "without")))
    absent = [name for name, each in found.items() if each.value is None]
    assert [name for name in NAMES if name not in absent] in ([], ["truth"])
    assert found["text"].meaning == "absent: agents keep no records"
