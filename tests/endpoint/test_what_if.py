"""Stored questions again with one thing changed: known effects are recovered, and runs stay as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

import pytest

from repunet_model import RepuNetModel, games
from repunet_model.backends.base import Request
from repunet_model.cli import main
from repunet_model.errors import ConfigurationError
from repunet_model.storage import StepReader
from repunet_model.storage.schema import TURNOVER
from repunet_model.testing import endpoint
from repunet_model.what_if.asking import Variant, variants
from repunet_model.what_if.effects import outcomes
from repunet_model.what_if.recorded import Recorded, chosen, recorded_at
from tests import probed
from tests.conftest import complaint

CHANCE = {"very bad": 0.1, "bad": 0.3, "neutral": 0.5, "good": 0.7, "very good": 0.9}
"""The known dose-response of the scripted model: how often it cooperates by the partner's record."""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def chance(prompt: str) -> float:
    """Return how often the scripted model cooperates when it reads a prompt."""
    shown = re.search(r"'s reputation in your eyes: .*\(player: ([a-z ]+?) \d+ %", prompt)
    return CHANCE[shown[1]] if shown is not None and shown[1] in CHANCE else 0.5


def responsive(prompt: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Cooperate by the partner's record, and answer everything else anyhow."""
    if set(fields.get("decision", {}).get("enum", ())) != {"cooperate", "defect"}:
        return {"certainty": 60} if "certainty" in fields else {}
    return {"decision": "cooperate" if Random(prompt).random() < chance(prompt) else "defect"}


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def reads(name: str) -> Any:
    return json.loads(Path(name).read_text(encoding="utf-8"))


def test_a_known_dose_response_is_recovered_and_the_run_is_as_it_was(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with endpoint(fault=probed.model(responsive)) as server:
        monkeypatch.setenv("LLM_API_BASE", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "key")
        monkeypatch.setenv("LLM_MODEL", "scripted")
        parameters: dict[str, Any] = {
            "n_agents": 8,
            "gossip": False,
            "questions": "fused",
            "rng": 2,
            "backend": "openai",
        }
        with RepuNetModel(**parameters, storage="sim_storage", run_name="it") as made:
            for _ in range(3):
                made.step()
        before, asked = files(Path("sim_storage/it")), len(server.requests)
        what_if = ["what-if", "it", "--ask", "choose_move"]
        assert main([*what_if, "--set", "partner_record=very_bad,very_good", "--json", "found.json"]) == 0
        assert len(server.requests) == asked + 2 * 24
        assert main([*what_if, "--set", "partner_record=none", "--steps", "1", "--json", "first.json"]) == 0
        assert len(server.requests) == asked + 2 * 24  # nobody had a record yet, so that nothing changed
        assert (
            main([*what_if, "--set", "events=none", "--steps", "3", "--budget-tokens", "6500", "--json", "part.json"])
            == 0
        )
        capsys.readouterr()
        few = complaint([*what_if, "--set", "events=none", "--steps", "3", "--budget-tokens", "10"], capsys)
    assert "the budget of 10 tokens is used up" in few
    assert files(Path("sim_storage/it")) == before
    prompts: dict[str, list[float]] = {}
    for step in StepReader.open(Path("sim_storage/it")).steps(1):
        for call in step.asked():
            if call["question"] == "choose_move":
                prompts.setdefault(call["agent"], []).append(chance(call["prompt"]))
    was = fmean(fmean(own) for own in prompts.values())
    assert len({each for own in prompts.values() for each in own}) > 1  # recorded questions differ in their dose
    for variant, level in zip(reads("found.json")["variants"], ("very bad", "very good"), strict=True):
        (effect,) = variant["effects"]
        low, high = effect["interval"]
        assert low <= CHANCE[level] - was <= high
        assert (variant["asked"], effect["n"], effect["agents"]) == (24, 24, 8)
    (unchanged,) = reads("first.json")["variants"]
    assert (unchanged["asked"], unchanged["effects"][0]["difference"]) == (0, 0.0)
    assert [row["answer"] for row in unchanged["answers"]] == [row["recorded"] for row in unchanged["answers"]]
    (part,) = reads("part.json")["variants"]
    assert 0 < part["asked"] < 8
    assert part["asked"] + part["left_out"]["not asked"] == 8
    assert "budget" in reads("part.json")["stopped"]


def made(steps: int = 3, **parameters: Any) -> StepReader:
    """Make a run by rules that decide almost without chance."""
    given: dict[str, Any] = {"n_agents": 8, "rng": 1, "backend": "rules:precision=1000"} | parameters
    with RepuNetModel(**given, storage="sim_storage", run_name="made") as model:
        for _ in range(steps):
            model.step()
    return StepReader.open(Path("sim_storage/made"))


def questions(run: StepReader, name: str, steps: Sequence[int] = (3,)) -> list[Recorded]:
    return recorded_at(run, chosen(run, name, steps, None, 1))


def view(request: Request[Any]) -> Any:
    """Return the typed view of a question, whatever its fields are."""
    return request.question


def one(run: StepReader, asked: Sequence[Recorded], *settings: str) -> Variant:
    game = games.find(run.manifest.config.game, run.manifest.game_parameters)
    (variant,) = variants(asked, settings, game)
    return variant


def test_recorded_questions_are_those_that_were_asked(capsys: pytest.CaptureFixture[str]) -> None:
    run = made()
    asked = questions(run, "choose_move", [2, 3])
    rows = {
        (step, row["agent"]): row
        for step in (2, 3)
        for row in run.step(step).asked()
        if row["question"] == "choose_move"
    }
    assert len(asked) == len(rows) == 16
    for each in asked:
        where = each.request.coordinates
        assert each.answer.model_dump(mode="json") == rows[where.step, where.agent]["answer"]
        assert list(each.request.options["decision"]) == rows[where.step, where.agent]["options"]["decision"]
    records = chosen(run, "update_record", [3], 1, 1)
    assert len(records) == 8  # of each agent one
    assert records == chosen(run, "update_record", [3], 1, 1)
    assert records != chosen(run, "update_record", [3], 1, 2)


def test_what_was_told_changes_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    run = made()
    before = files(run.folder.path)
    moves = questions(run, "choose_move")
    for setting, shown in (
        ("partner_record=very_good", 1.0),
        ("partner_record=bad", -0.5),
        ("partner_record=none", 0.0),
    ):
        for was, now in one(run, moves, setting).asks:
            question = view(now or was.request)
            assert question.partner_opinion.score == shown
            assert question.events == view(was.request).events
            assert now is None or now.options == was.request.options
    for was, now in one(run, moves, "own_record=flipped").asks:
        old, new = view(was.request).own_opinion.score, view(now or was.request).own_opinion.score
        assert (old > 0.25) == (new < 0)
        assert (old < -0.25) == (new > 0)
    for was, now in one(run, moves, "order=reversed").asks:
        assert now is not None
        assert now.options["decision"] == was.request.options["decision"][::-1]
        assert now.options["decision"][0] in now.schema["properties"]["decision"]["enum"][0]
    for was, now in one(run, moves, "disposition=exchanged").asks:
        assert now is not None
        assert now.persona.disposition is not was.request.persona.disposition
        assert now.learned != was.request.learned
    altruists = [was for was, now in one(run, moves, "disposition=altruistic").asks if now is None]
    assert {each.request.persona.disposition.value for each in altruists} == {"altruistic"}
    assert [len(view(now).events) for _, now in one(run, moves, "events=without_last").asks if now] == [1] * 8
    assert files(run.folder.path) == before
    judged = questions(run, "evaluate")
    for was, now in one(run, judged, "partner_cooperated=flipped").asks:
        assert now is not None
        assert view(now).partner_cooperated is not view(was.request).partner_cooperated
    both = one(run, judged, "partner_cooperated=y", "own_cooperated=n")
    assert both.label == "partner_cooperated=y, own_cooperated=n"
    assert [each.words for each in outcomes(judged[0])] == [
        "own, 1 to 5 (very bad to very good)",
        "partner, 1 to 5 (very bad to very good)",
    ]


def test_facts_of_all_kinds_and_messages_change(capsys: pytest.CaptureFixture[str]) -> None:
    run = made(steps=4, game="investment", n_agents=10, backend="rules")
    game = games.find("investment")
    steps = [1, 2, 3, 4]
    asked = questions(run, "invest", steps)
    assert [each.words for each in outcomes(asked[0])] == ["share of decision accept", "mean amount"]
    assert all(view(now).promised == 75.0 for _, now in one(run, asked, "promised=75").asks if now)
    assert all(
        view(now).trustee_opinion.record.role == "trustee"
        for _, now in one(run, asked, "partner_record=good").asks
        if now
    )
    assert all(
        view(now).own_opinion.record.role == "investor" for _, now in one(run, asked, "own_record=good").asks if now
    )
    told = questions(run, "update_record", steps)
    variant = one(run, told, "hearsay=very_uncredible")
    heard = [each for each in told if view(each.request).hearsay is not None]
    assert len(variant.asks) == len(heard)
    assert variant.left_out == {"the question is about no message": len(told) - len(heard)}
    levels = one(run, told, "conduct=flipped")
    assert sum(levels.left_out.values()) == sum(view(each.request).conduct is None for each in told)
    assert one(run, told, "previous_record=flipped").asks
    assert one(run, told, "previous_record=very_bad").asks
    if ties := [name for name in ("connect", "disconnect") if _has(run, name, steps)]:
        assert one(run, questions(run, ties[0], steps), "partner_record=none").asks
    hears = questions(run, "hear", steps)
    left = one(run, hears, "gossiper_record=bad").left_out
    assert set(left) <= {"the role of the new record is not known where there was none"}
    assert len(outcomes(hears[0])) == 3
    for setting, problem in (
        ("promised=many", "must be a number"),
        ("trustee_record=fine", "must be one of very_bad, bad"),
        ("order=drawn", "must be one of reversed"),
        ("disposition=mean", "must be one of"),
        ("events=all", "must be one of none, without_last"),
        ("promised=1", ""),
    ):
        if problem:
            with pytest.raises(ConfigurationError, match=problem):
                variants(asked, [setting], game)
    with pytest.raises(ConfigurationError, match="promised is there twice"):
        variants(asked, ["promised=1", "promised=2"], game)
    with pytest.raises(ConfigurationError, match="must read NAME=VALUE"):
        variants(asked, ["promised"], game)
    with pytest.raises(ConfigurationError, match="decision_reason"):
        variants(asked, ["decision_reason=1"], game)


def _has(run: StepReader, name: str, steps: Sequence[int]) -> bool:
    return any(row["question"] == name for step in steps for row in run.step(step).asked())


def test_the_rules_answer_and_a_flipped_choice_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    """By rules that cooperate with partners of good repute alone, the effects are 1 and 0."""
    made(steps=2)
    words = ["what-if", "made", "--ask", "choose_move", "--steps", "2"]
    assert main([*words, "--backend", "always_defect", "--json", "defect.json"]) == 0
    (variant,) = reads("defect.json")["variants"]
    assert variant["changes"] == "nothing"
    assert variant["effects"][0]["changed"] == 0.0
    assert variant["effects"][0]["recorded"] == -variant["effects"][0]["difference"]
    assert main([*words, "--set", "partner_record=very_bad"]) == 0
    shown = capsys.readouterr()
    assert "partner_record=very_bad: 8 questions asked, 0 unchanged" in shown.out
    assert main([*words, "--backend", "rules:precision=1000", "--json", "same.json"]) == 0
    assert reads("same.json")["variants"][0]["asked"] == 0  # the same backend as in the run


def test_agents_of_other_backends_answer_by_theirs(capsys: pytest.CaptureFixture[str]) -> None:
    """A planted agent, and one that an event plants, cooperate whatever is changed in what they see."""
    events = "step=2 agents=1 becomes=always_cooperate"
    run = made(steps=3, backend_for={"Akiko Sato": "always_cooperate"}, events=events)
    words = ["what-if", "made", "--ask", "choose_move", "--set", "partner_record=very_bad", "--steps", "3"]
    assert main([*words, "--json", "found.json"]) == 0
    rows = {row["agent"]: row for row in reads("found.json")["variants"][0]["answers"]}
    assert rows["Akiko Sato"]["answer"]["reason"] == "I always cooperate."
    (row,) = [row for step in run.steps(1) for row in step.rows(TURNOVER)]
    assert rows[row["agent"]]["answer"]["reason"] == "I always cooperate."
    assert sum(row["answer"]["decision"] == "defect" for row in rows.values()) == 6


def test_what_cannot_be_changed_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    made(steps=2, reputation=False, questions="fused")
    words = ["what-if", "made", "--ask"]
    capsys.readouterr()
    assert "no steps of its own" in complaint(["what-if", "made/step_0", "--ask", "x", "--backend", "rules"], capsys)
    for more, told in (
        (["choose_move"], "nothing is changed: name it by --set NAME=VALUE, or another --backend"),
        (["choose", "--set", "order=reversed"], "--ask choose: is not asked"),
        (["evaluate", "--set", "order=reversed"], "it is a part of aftermath"),
        (["choose_move", "--set", "mood=good"], "it can change own_record, partner_record, events, heard"),
        (["choose_move", "--set", "partner_record=good"], "agents keep no such records in this run"),
        (["choose_move", "--set", "order=reversed", "--steps", "2-9"], "the run made steps 1 to 2 itself"),
        (["choose_move", "--set", "order=reversed", "--steps", "all"], "must read A or A-B"),
        (["choose_move", "--backend", "human"], "a human"),
        (["choose_move", "--backend", "rules", "--json", "sim_storage"], "already there"),
    ):
        assert told in complaint([*words, *more], capsys)


def test_a_fork_is_asked_in_its_own_steps(capsys: pytest.CaptureFixture[str]) -> None:
    made(steps=2)
    assert main(["fork", "made/step_1", "--sim-name", "other", "--set", "reputation=n"]) == 0
    assert main(["resume", "other", "--steps", "1"]) == 0
    words = ["what-if", "other", "--ask", "choose_move", "--set", "disposition=exchanged"]
    assert main([*words, "--json", "found.json"]) == 0
    assert {row["step"] for row in reads("found.json")["variants"][0]["answers"]} == {2}
    capsys.readouterr()
    assert "the run made steps 2 to 2 itself" in complaint([*words, "--steps", "1"], capsys)
