"""The fitness card without a model: what is asked, how numbers become verdicts, and what cannot be measured."""

from __future__ import annotations

import runpy
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest

from repunet_model import RepuNetError, games
from repunet_model.cli import main
from repunet_model.config import RunConfig
from repunet_model.games.base import EncounterStatus, Outcome, Player, QuizFact
from repunet_model.games.prisoners_dilemma import PrisonersDilemma
from repunet_model.personas import Disposition
from repunet_model.probe import verdict
from repunet_model.probe.battery import ROUNDS, Battery, Block, Size, battery
from repunet_model.probe.card import Card, GameCard
from repunet_model.probe.encounters import StandIn
from repunet_model.probe.measuring import FORMS, lines_of
from repunet_model.probe.quiz import ClosedAnswer, NumberAnswer, is_right, question_of
from repunet_model.probe.verdict import Rule, Verdict
from repunet_model.report.statistics import Estimate, combined_shares, share, slope_of_shares
from repunet_model.util import text
from tests import ROOT


def asked(**values: Any) -> Battery:
    return battery(RunConfig.checked(values), Size.SMALL)


@pytest.mark.parametrize("game", ["prisoners_dilemma", "investment", "sign_up", "donation"])
def test_situations_are_asked_in_both_orders_by_both_personas(game: str) -> None:
    found = asked(game=game, seed=3)
    assert found.unasked == {}
    assert len({item.key for item in found.items}) == len(found.items) == 72
    choices = [item for item in found.items if item.block is Block.CHOICE]
    for fact in ("first", "altruistic"):
        assert set(Counter((item.facts["dose"], item.facts[fact]) for item in choices).values()) == {2}
    for item in choices:
        shown = item.request(game, found.prompts, {"backend": "x"})
        first, last = (shown.prompt.rindex(option) for option in shown.shown["decision"])
        assert first < last
        record = "none so far" if item.facts["dose"] is None else f"({item.facts['dose']:+.2f})"
        assert record in shown.prompt
    ties = [item for item in found.items if item.block is Block.TIE]
    for fact in ("first", "altruistic"):
        assert set(Counter((item.facts["dose"], item.facts[fact]) for item in ties).values()) == {2}
    for block in (Block.CONDUCT, Block.RECORD, Block.CREDIBILITY):
        orders = Counter(item.facts["best_first"] for item in found.items if item.block is block)
        assert orders == {True: 4, False: 4}
    repeated = [item for item in found.items if item.block is Block.REPEATED]
    by_key = {item.key: item for item in choices}
    for item in repeated:
        first_time = by_key[item.facts["of"]]
        prompts = {each.request(game, found.prompts, {}).prompt for each in (item, first_time)}
        assert len(prompts) == 1
        assert item.digest != first_time.digest


def test_the_same_seed_asks_the_same_and_another_seed_other_people() -> None:
    one, same, other = (asked(seed=seed) for seed in (1, 1, 2))
    prompts = [[item.request("x", each.prompts, {}).prompt for item in each.items] for each in (one, same, other)]
    assert prompts[0] == prompts[1] != prompts[2]
    assert [len(battery(RunConfig(), size).items) for size in Size] == [72, 112, 156]
    assert set(ROUNDS) == set(Size)


@pytest.fixture
def own_games(monkeypatch: pytest.MonkeyPatch) -> None:
    """Games of one's own, registered for one test."""
    monkeypatch.setattr(games, "GAMES", dict(games.GAMES))
    monkeypatch.setattr(text, "SCENARIOS", dict(text.SCENARIOS))
    monkeypatch.setattr(games, "SCENARIOS", text.SCENARIOS)


@pytest.mark.usefixtures("own_games")
def test_a_game_of_ones_own_is_probed_as_far_as_its_questions_go(monkeypatch: pytest.MonkeyPatch) -> None:
    runpy.run_path(str(ROOT / "docs" / "examples" / "public_goods.py"))
    found = asked(game="public_goods")
    assert found.unasked == {Block.QUIZ: "the game has no quiz of its rules (Game.quiz)"}
    told = {
        item.facts["cooperated"]: item.request("x", found.prompts, {}).prompt
        for item in found.items
        if item.block is Block.CONDUCT
    }
    assert "0; each got" in told[False]
    assert "4; each got" in told[True] or "2; each got" in told[True]
    lines = {line.form.name: line for line in lines_of([], found.unasked)}
    assert lines["comprehension"].why == "the game has no quiz of its rules (Game.quiz)"
    assert lines["conduct"].why == "too few valid replies"
    assert {line.verdict for line in lines.values()} == {Verdict.NONE}
    monkeypatch.setattr(type(games.GAMES["public_goods"]), "dispositions", {})
    with pytest.raises(RepuNetError, match="no text for the disposition"):
        asked(game="public_goods")


def test_what_the_mechanism_lacks_is_named() -> None:
    off = asked(mechanism="paper,peer_records=off,self_records=off")
    why = "agents keep no records of others (peer_records is off)"
    assert off.unasked == dict.fromkeys((Block.CHOICE, Block.TIE, Block.RECORD, Block.CREDIBILITY), why)
    assert not any(item.block is Block.REPEATED for item in off.items)
    assert not any("reputation" in item.request("x", off.prompts, {}).prompt for item in off.items)
    quiet = asked(mechanism="paper,first_order=off,tie_after_encounter=off")
    assert set(quiet.unasked) == {Block.TIE, Block.CREDIBILITY}
    only_first = asked(mechanism="paper,second_order=off")
    assert {item.question.name for item in only_first.items if item.block is Block.CREDIBILITY} == {"hear_only"}


class Blind(PrisonersDilemma):
    """The prisoner's dilemma in which nobody sees a record of the partner."""

    name = "blind"
    dispositions: ClassVar = dict.fromkeys(Disposition, "You play.")

    async def play(self, first: Player, second: Player) -> Outcome:
        assert isinstance(first, StandIn)
        assert isinstance(second, StandIn)
        first.partner_opinion = second.partner_opinion = None
        return await super().play(first, second)


class Absent(Blind):
    """The same, in which nobody ever meets."""

    name = "absent"

    async def play(self, first: Player, second: Player) -> Outcome:
        return replace(await super().play(first, second), course=EncounterStatus.NOT_HELD)


@pytest.mark.usefixtures("own_games")
def test_what_a_game_lacks_is_named() -> None:
    games.register(Blind())
    games.register(Absent())
    blind, absent = asked(game="blind"), asked(game="absent")
    assert blind.unasked == {Block.CHOICE: "the game shows no record of the partner beside a choice between options"}
    ties = {item.key for item in blind.items if item.block is Block.TIE}
    again = {item.facts["of"] for item in blind.items if item.block is Block.REPEATED}
    assert len(again) == 2
    assert again < ties
    assert set(absent.unasked) == {Block.CHOICE, Block.CONDUCT, Block.RECORD, Block.FUSED}
    assert absent.unasked[Block.FUSED] == "no completed encounter in which a partner cooperates could be made"


def test_answers_of_the_quiz() -> None:
    number, closed = QuizFact("How much?", Decimal("0.5")), QuizFact("Who?", "you", ("you", "they"))
    assert is_right(number, NumberAnswer(answer=0.501))
    assert not is_right(number, NumberAnswer(answer=0.6))
    assert is_right(closed, ClosedAnswer(answer="you"))
    assert not is_right(closed, ClosedAnswer(answer="they"))
    assert question_of(closed).read('{"answer": "they"}') == ClosedAnswer(answer="they")
    with pytest.raises(ValueError, match="must be one of you, they"):
        question_of(closed).read('{"answer": "we"}')
    changed = games.find("prisoners_dilemma", {"temptation": 9})
    assert [fact.answer for fact in changed.quiz(lambda option: str(option.value))] == [3, 3, 0, 9, 9, 0, 1, 1]


@pytest.mark.parametrize(
    ("rule", "low", "high", "wanted"),
    [
        (verdict.RIGHT, 0.6, 1.0, "fit"),
        (verdict.RIGHT, 0.4, 0.9, "doubtful"),
        (verdict.RIGHT, 0.2, 0.7, "unfit"),
        (verdict.EFFECT, 0.1, 0.9, "fit"),
        (verdict.EFFECT, 0.1, 0.4, "doubtful"),
        (verdict.EFFECT, -0.1, 0.6, "doubtful"),
        (verdict.EFFECT, -0.4, 0.4, "unfit"),
        (verdict.BIAS, -0.3, 0.3, "fit"),
        (verdict.BIAS, -0.1, 0.6, "doubtful"),
        (verdict.BIAS, 0.3, 0.9, "unfit"),
        (verdict.BIAS, -0.9, -0.6, "unfit"),
        (verdict.RARE, 0.0, 0.1, "fit"),
        (verdict.RARE, 0.1, 0.3, "doubtful"),
        (verdict.RARE, 0.3, 0.5, "unfit"),
        (verdict.NEVER, 0.0, 0.05, "fit"),
        (verdict.NEVER, 0.0, 0.5, "doubtful"),
        (verdict.NEVER, 0.01, 0.2, "unfit"),
        (verdict.PLAIN, 0.0, 1.0, "-"),
        (verdict.MOVE, None, None, "doubtful"),
    ],
)
def test_verdicts_are_of_thresholds_on_intervals(
    rule: Rule, low: float | None, high: float | None, wanted: str
) -> None:
    assert rule.verdict(Estimate(0.5, low, high, 8)) == wanted


def test_shares_have_intervals_even_where_all_trials_agree() -> None:
    all_of_eight = share(8, 8)
    assert (all_of_eight.low, all_of_eight.high) == pytest.approx((0.6756, 1.0), abs=1e-4)
    # Newcombe (1998), Statist. Med. 17, 873-890, table II, method 10.
    classic = combined_shares((1, -1), ((56, 70), (48, 80)))
    assert (classic.mean, classic.low, classic.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)
    same = slope_of_shares((-1.0, 0.0, 1.0), ((4, 4), (4, 4), (4, 4)))
    assert same.mean == pytest.approx(0.0)
    assert same.low is not None
    assert same.low < -0.1
    steps = slope_of_shares((-1.0, -0.5, 0.0, 0.5, 1.0), [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)])
    assert steps.mean == pytest.approx(0.5)


def test_calls_without_a_valid_reply_count_in_their_line_alone() -> None:
    cost = {"reasks": 3, "tokens": 9, "seconds": 0.5, "usd": None}
    rows = [
        {"block": "conduct", "key": "a", "cooperated": True, "best_first": True, "level": 1.0, **cost},
        {"block": "conduct", "key": "b", "cooperated": True, "best_first": False, "unanswered": "no", **cost},
    ]
    card = GameCard("gone", rows, {}, {"agents": 4, "steps": 1, "calls": 30, "concurrency": 1})
    lines = {line.form.name: line for line in card.lines()}
    assert lines["conduct"].measured is not None
    assert lines["conduct"].measured.n == 1
    assert lines["unanswered"].measured is not None
    assert lines["unanswered"].measured.mean == 0.5
    assert lines["unanswered"].verdict is Verdict.UNFIT
    assert card.title == "gone"
    assert card.summary().startswith("Unfit for: runs without many re-asked replies; runs that go on unattended.")
    assert "Not measured: reasoning about rules and payoffs" in card.summary()
    assert card.cost_of_call() == "A call: 9 tokens, 0.50 s, dollars unknown."
    assert card.cost_of_run() == (
        "A run of 4 agents and 1 step: about 30 calls, 270 tokens, dollars unknown (no price of the model), "
        "15 s at 1 request at once."
    )
    whole = Card({"backend": "openai", "model": "m"}, "small", 1, "neutral", "paper", [card], {})
    assert len(whole.to_dict()["games"][0]["lines"]) == len(FORMS)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--backend", "rules"], "the backend 'rules' asks no model: there is nothing to probe"),
        (["--size", "huge"], "--size 'huge': choose small, medium, large"),
        (["--scenario", "chess"], "unknown scenario 'chess'"),
        (["--budget-usd", "1", "--backend", "openai:unheard-of"], "needs the price of 'unheard-of'"),
        (["--out", "file"], "cannot be written"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str],
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("LLM_MODEL", "gpt-4o-mini")
    Path("file").write_text("", encoding="utf-8")
    assert main(["probe", *words]) == 2
    shown = capsys.readouterr()
    assert problem in shown.err
    assert shown.err.count("\n") == 1
    assert not Path("file").read_bytes()
