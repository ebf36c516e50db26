"""Fitness cards of scripted models over HTTP, and how often intervals hold the true numbers."""

from __future__ import annotations

import json
import os
import re
import signal
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiohttp import web

from repunet_model.cli import main
from repunet_model.config import RunConfig
from repunet_model.games.prisoners_dilemma import Move, MoveAnswer
from repunet_model.probe.battery import Battery, Block, Item, Size, battery
from repunet_model.probe.measuring import lines_of
from repunet_model.probe.quiz import NumberAnswer
from repunet_model.questions.base import Answer, Credibility
from repunet_model.questions.compound import Answers
from repunet_model.questions.encounter import (
    ConnectAnswer,
    Connection,
    DisconnectAnswer,
    Disconnection,
    EvaluationAnswer,
    RecordAnswer,
)
from repunet_model.questions.gossip import HearingAnswer, Passing, Tone
from repunet_model.reputation import Level
from repunet_model.testing import Body, endpoint, error
from tests import probed

SMALL_RUN = ["-n", "4", "--steps", "1"]
"""The run whose cost a card states."""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("LLM_MODEL", "gpt-4o-mini")
    monkeypatch.setenv("COLUMNS", "160")


def probe(monkeypatch: pytest.MonkeyPatch, script: probed.Script, *words: str) -> tuple[dict[str, Any], list[Body]]:
    """Probe a scripted model; return its card and the requests."""
    with endpoint(fault=probed.model(script)) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert main(["probe", *SMALL_RUN, "--size", "small", "--out", "card", *words]) == 0
    return json.loads(Path("card/card.json").read_text(encoding="utf-8")), running.requests


def verdicts(card: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return the verdicts of a card by game and line."""
    return {each["game"]: {line["name"]: line["verdict"] for line in each["lines"]} for each in card["games"]}


def test_an_expert_is_fit_on_everything_in_all_games(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    card, requests = probe(monkeypatch, probed.expert, "--scenario", "all")
    found = verdicts(card)
    assert set(found) == {"prisoners_dilemma", "investment", "sign_up", "donation"}
    for game, lines in found.items():
        others = {name: verdict for name, verdict in lines.items() if verdict != "fit"}
        assert others == {"choice_without_record": "-"}, game
    assert len(requests) == sum(len(each["rows"]) for each in card["games"]) == 4 * 72
    shown = capsys.readouterr()
    assert shown.out.count("Fit on every line.") == 4
    assert "call 288/288: " in shown.err
    assert "A run of 4 agents and 1 step: about" in shown.out
    page = Path("card/index.html").read_text(encoding="utf-8")
    assert page.count("data:image/svg+xml;base64") == 4
    assert "http" not in page.replace("http://www.w3.org", "")

    assert (
        main(["probe", *SMALL_RUN, "--size", "small", "--out", "card", "--scenario", "all"]) == 0
    )  # the endpoint is gone
    again = json.loads(Path("card/card.json").read_text(encoding="utf-8"))
    assert [each["rows"] for each in again["games"]] == [each["rows"] for each in card["games"]]


@pytest.mark.parametrize(
    ("script", "unfit"),
    [
        (probed.first_option, {"order_of_options", "order_of_scales", "conduct", "choice_by_record", "ties_by_record"}),
        (probed.random_judge, {"conduct"}),
        (probed.without_records, {"choice_by_record", "ties_by_record", "credibility"}),
    ],
)
def test_each_failing_is_found_out_by_the_right_line(
    script: probed.Script, unfit: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = verdicts(probe(monkeypatch, script)[0])["prisoners_dilemma"]
    found = {name for name, verdict in lines.items() if verdict == "unfit"}
    assert unfit <= found
    if script is not probed.first_option:
        assert found == unfit
        assert "doubtful" not in lines.values()


BIAS, POSITION = 0.04, 0.1
"""What being listed first adds to the probability of an option, and how often the first level of a scale is taken."""

TRUE = {
    "comprehension": 0.8,
    "order_of_options": 2 * BIAS,
    "order_of_scales": POSITION,
    "conduct": 0.725,
    "record_direction": 0.77,
    "record_movement": 0.77 * 0.85 - 0.23 * 0.35,
    "credibility": 0.54,
    "choice_by_record": 0.3,
    "choice_by_persona": 0.3,
    "choice_without_record": 0.5,
    "ties_by_record": 0.7,
    "repeatability": 0.39**2 + 0.61**2,
    "fused": -0.025,
}
"""The numbers of the simulated model below."""


def simulated(item: Item, random: Random) -> Answer:
    """Answer as a model of known effects."""
    facts = item.facts

    def happens(probability: float) -> bool:
        return random.random() < probability

    def level(good: bool, right: float) -> Level:
        if "best_first" in facts and happens(POSITION):
            return Level.VERY_GOOD if facts["best_first"] else Level.VERY_BAD
        return Level.VERY_GOOD if happens(right) is good else Level.VERY_BAD

    def judged(right: float) -> EvaluationAnswer:
        partner = level(facts["cooperated"], right)
        return EvaluationAnswer(own_reason="x", own=Level.NEUTRAL, partner_reason="x", partner=partner)

    match item.block:
        case Block.QUIZ:
            return NumberAnswer(answer=_true_answer(item) if happens(0.8) else -1.0)
        case Block.CHOICE | Block.REPEATED:
            first = facts.get("first", item.question.options(item.digest)["decision"][0] == "cooperate")
            tilt = 0.15 if facts["altruistic"] else -0.15
            cooperates = happens(0.5 + 0.3 * (facts.get("dose") or 0.0) + tilt + (BIAS if first else -BIAS))
            return MoveAnswer(reason="x", decision=Move.COOPERATE if cooperates else Move.DEFECT)
        case Block.TIE:
            takes = happens(0.5 + 0.35 * facts["dose"] + (BIAS if facts["first"] else -BIAS))
            if "decision" in item.question.options(item.digest) and "keep" in item.key:
                return DisconnectAnswer(reason="x", decision=Disconnection.KEEP if takes else Disconnection.CUT)
            return ConnectAnswer(reason="x", decision=Connection.CONNECT if takes else Connection.STAY_APART)
        case Block.CONDUCT:
            return judged(0.75)
        case Block.RECORD:
            return RecordAnswer(text="x", level=level(facts["good"], 0.8), certainty=60)
        case Block.CREDIBILITY:
            believed = level(facts["dose"] > 0, 0.8) is Level.VERY_GOOD
            credibility = Credibility.CREDIBLE if believed else Credibility.UNCREDIBLE
            return HearingAnswer(
                reply="x", summary="x", credibility=credibility, decision=Passing.KEEP, tone=Tone.POSITIVE
            )
        case Block.FUSED:
            return Answers(parts={"evaluation": judged(0.75)})


def _true_answer(item: Item) -> float:
    """Return the right number of a quiz question of the prisoner's dilemma."""
    return float(probed.expert(f"About the rules{item.facts['asks']}", {"answer": {}})["answer"])


def numbers(asked: Battery, random: Random) -> dict[str, tuple[float, float, float]]:
    """Return value and interval of each line of a simulated probe."""
    rows = [{**item.row(simulated(item, random)), "reasks": 0} for item in asked.items]
    found = {}
    for line in lines_of(rows, {}):
        assert line.measured is not None
        if line.form.name in TRUE:
            low, high = line.measured.low, line.measured.high
            assert low is not None
            assert high is not None
            found[line.form.name] = (line.measured.mean, low, high)
    return found


def test_replies_are_kept_after_an_interrupt_and_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["probe", *SMALL_RUN, "--size", "small", "--out", "card"]
    script = probed.model(probed.expert)

    def interrupting(number: int, body: Body) -> web.Response:
        if number == 20:
            os.kill(os.getpid(), signal.SIGINT)
        return error(401, "no") if number >= 45 else script(number, body)

    with endpoint(fault=interrupting) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert main([*words, "--concurrency", "4"]) == 130
        line = capsys.readouterr().err.splitlines()[-1]
        assert re.fullmatch(
            r"error: interrupted; \d+ of 72 calls are answered and kept: the same command goes on", line
        )
        first = len(running.answered)
        assert 20 < first < 45
        assert main(words) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith("error: ")
        assert line.endswith("of 72 calls are answered and kept: the same command goes on")
        second = len(running.answered)
    assert second > first
    assert not Path("card/card.json").exists()
    with endpoint(fault=script) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert main(words) == 0
        assert len(running.requests) == 72 - second
        assert main([*words, "--budget-tokens", "100"]) == 0  # everything is there
        capsys.readouterr()
        assert main([*words, "--seed", "2", "--budget-tokens", "100"]) == 2
        assert "the budget of 100 tokens is used up" in capsys.readouterr().err
        assert len(running.requests) == 72 - second


def test_a_model_that_cannot_answer_a_question_is_unfit_for_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal, for Rich

    def hopeless(prompt: str, fields: dict[str, Any]) -> dict[str, Any]:
        return {"credibility": "maybe"} if "credibility" in fields else probed.expert(prompt, fields)

    card, requests = probe(monkeypatch, hopeless)
    assert "72/72" in capsys.readouterr().err
    (game,) = card["games"]
    lines = {line["name"]: line for line in game["lines"]}
    assert lines["unanswered"]["value"] == pytest.approx(8 / 72)
    assert (lines["unanswered"]["verdict"], lines["replies"]["value"]) == ("unfit", pytest.approx(8 / 72))
    assert lines["credibility"]["why"] == "too few valid replies"
    assert len(requests) == 64 + 8 * 4
    lost = [row for row in game["rows"] if "unanswered" in row]
    assert all("gave no valid answer to 'hear'" in row["unanswered"] for row in lost)


def test_a_card_stands_beside_runs_of_its_model_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with endpoint(fault=probed.model(probed.expert)) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert main(["probe", *SMALL_RUN, "--size", "small", "--out", "card"]) == 0
    with endpoint() as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert main(["run", "-n", "2", "--steps", "1", "--backend", "openai", "--sim-name", "asked"]) == 0
        assert main(["run", "-n", "2", "--steps", "1", "--sim-name", "ruled"]) == 0
        monkeypatch.setenv("LLM_MODEL", "other")
        capsys.readouterr()
        assert main(["probe", "--out", "card"]) == 2
    assert capsys.readouterr().err == (
        "error: card holds the card of openai:gpt-4o-mini: name another folder for openai:other by --out\n"
    )
    card = "card/card.json"
    assert main(["report", "asked", "ruled", "--probe", card, "--out", "both"]) == 0
    page = Path("both/index.html").read_text(encoding="utf-8")
    assert "What the model openai:gpt-4o-mini understands" in page
    assert "Choice by record" in page
    capsys.readouterr()
    assert main(["report", "ruled", "--probe", card, "--out", "one"]) == 2
    assert capsys.readouterr().err.startswith(
        "error: card/card.json is the card of openai:gpt-4o-mini, and the runs were answered by rules: make"
    )
    for text, problem in (("{}", "no card of a probe"), ("[", "is damaged"), ('{"card": 2}', "known is 1")):
        Path("bad.json").write_text(text, encoding="utf-8")
        assert main(["report", "asked", "--probe", "bad.json", "--out", "one"]) == 2
        assert problem in capsys.readouterr().err
    assert not Path("one").exists()


@pytest.mark.parametrize(("size", "least"), [(Size.SMALL, 0.85), (Size.MEDIUM, 0.9)])
def test_intervals_hold_the_true_numbers_in_nine_of_ten_probes(size: Size, least: float) -> None:
    """In a small probe the intervals of groups of four replies hold them a little less often, and all together do."""
    asked = battery(RunConfig(seed=7), size)
    held: Counter[str] = Counter()
    total = dict.fromkeys(TRUE, 0.0)
    for number in range(200):
        for name, (value, low, high) in numbers(asked, Random(f"probe {number}")).items():
            held[name] += low - 1e-9 <= TRUE[name] <= high + 1e-9
            total[name] += value
    assert {name: share for name in TRUE if (share := held[name] / 200) < least} == {}
    assert sum(held.values()) >= 0.9 * 200 * len(TRUE)
    assert {name: total[name] / 200 for name in TRUE} == pytest.approx(TRUE, abs=0.05)
