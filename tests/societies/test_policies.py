"""Planted agents keep to their policy, in what a run stores; they can be asked for only where they mean something."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repunet_model import RepuNetError, RepuNetModel, Rules
from repunet_model.backends.planted import PlantedBackend
from repunet_model.backends.policies import FixedPolicy, plays
from repunet_model.cli import main
from repunet_model.games import GAMES
from repunet_model.games.base import Game
from repunet_model.games.investment import Deal, Invest, Investment, invest_unless_cheated
from repunet_model.games.prisoners_dilemma import ChooseMove, Move, MoveAnswer, PrisonersDilemma, tit_for_tat
from repunet_model.memory import Event
from repunet_model.storage import RunFolder
from tests.conftest import contents
from tests.contract import every_mode

EMMA = "Emma Dubois"


def run(steps: int, **parameters: Any) -> RepuNetModel:
    model = RepuNetModel(**{"rng": 1, **parameters})
    for _ in range(steps):
        model.step()
    return model


def met(folder: Path) -> list[dict[str, Any]]:
    """Return the stored interactions of a run, oldest first."""
    stored = RunFolder.open(folder)
    return [row for step in stored.steps()[1:] for row in stored.table(step, "interactions")]


def moves_of(folder: Path, name: str) -> list[tuple[str, str, str]]:
    """Return an agent's partner, own move and the partner's, by encounter."""
    sides = [(row, ("first", "second")) for row in met(folder)] + [(row, ("second", "first")) for row in met(folder)]
    found = [
        (row["step"], row[other], row[f"{own}_move"], row[f"{other}_move"])
        for row, (own, other) in sides
        if row[own] == name
    ]
    return [(partner, own, other) for _, partner, own, other in sorted(found)]


@every_mode
@pytest.mark.parametrize(
    ("policy", "move"), [("always_cooperate", {"cooperate"}), ("always_defect", {"defect"})], ids=lambda x: str(x)
)
@pytest.mark.cover
def test_a_planted_player_makes_one_move_for_ever(
    policy: str, move: set[str], reputation: bool, gossip: bool, tmp_path: Path
) -> None:
    run(
        12,
        reputation=reputation,
        gossip=gossip,
        backend_for={EMMA: policy},
        n_agents=8,
        storage=str(tmp_path),
        run_name="x",
    )
    moves = moves_of(tmp_path / "x", EMMA)
    assert len(moves) == 12
    assert {own for _, own, _ in moves} == move
    assert {own for other in ("David Johnson", "Aisha Ibrahim") for _, own, _ in moves_of(tmp_path / "x", other)} == {
        "cooperate",
        "defect",
    }


@every_mode
def test_tit_for_tat_copies_what_its_partner_did_last(reputation: bool, gossip: bool, tmp_path: Path) -> None:
    run(
        30,
        reputation=reputation,
        gossip=gossip,
        backend_for={EMMA: "tit_for_tat"},
        n_agents=6,
        storage=str(tmp_path),
        run_name="x",
    )
    moves = moves_of(tmp_path / "x", EMMA)
    copied = []
    for played, (partner, own, _) in enumerate(moves):
        shown = [move for name, _, move in moves[max(0, played - 5) : played] if name == partner]
        assert own == (shown[-1] if shown else "cooperate")
        copied += shown[-1:]
    assert {"cooperate", "defect"} <= set(copied)


def test_two_who_play_tit_for_tat_cooperate_for_ever_and_two_who_defect_never(tmp_path: Path) -> None:
    for backend, rate in (("tit_for_tat", 1.0), ("always_cooperate", 1.0), ("always_defect", 0.0)):
        model = run(6, backend=backend)
        assert set(model.datacollector.get_model_vars_dataframe()["cooperation_rate"].iloc[1:]) == {rate}


def events(history: list[tuple[str, bool | None]]) -> tuple[Event, ...]:
    return tuple(Event(step, name, "player", True, act, 0.0, "") for step, (name, act) in enumerate(history, 1))


def last_of(partner: str, history: list[tuple[str, bool | None]]) -> bool:
    return next((act for name, act in reversed(history) if name == partner and act is not None), True)


@given(st.lists(st.tuples(st.sampled_from(["Bob", "Cem", "Dan"]), st.booleans()), max_size=5))
def test_tit_for_tat_looks_at_this_partner_alone(history: list[tuple[str, bool | None]]) -> None:
    question = ChooseMove(
        partner="Bob",
        own_opinion=None,
        partner_opinion=None,
        events=events(history),
        parameters=PrisonersDilemma.parameters,
    )
    assert (tit_for_tat(question).decision is Move.COOPERATE) is last_of("Bob", history)


@given(st.lists(st.tuples(st.sampled_from(["Bob", "Cem"]), st.sampled_from([True, False, None])), max_size=5))
def test_tit_for_tat_trusts_a_trustee_until_it_breaks_a_promise(history: list[tuple[str, bool | None]]) -> None:
    question = Invest(
        trustee="Bob",
        promised=60,
        resources=Decimal(7),
        own_opinion=None,
        trustee_opinion=None,
        events=events(history),
        parameters=Investment.parameters,
    )
    assert (invest_unless_cheated(question).decision is Deal.ACCEPT) is last_of("Bob", history)


@every_mode
@pytest.mark.parametrize("policy", ["always_cooperate", "always_defect", "tit_for_tat"])
@pytest.mark.cover
def test_a_planted_investor_or_trustee_keeps_to_its_policy(
    policy: str, reputation: bool, gossip: bool, tmp_path: Path
) -> None:
    run(
        15,
        game="investment",
        reputation=reputation,
        gossip=gossip,
        backend_for={EMMA: policy},
        n_agents=6,
        storage=str(tmp_path),
        run_name="x",
    )
    held = [row for row in met(tmp_path / "x") if row["course"] != "not held"]
    invested = [row for row in held if row["first"] == EMMA]
    trusted = [row for row in held if row["second"] == EMMA and row["accepted"]]
    assert invested
    assert trusted
    if policy == "always_defect":
        assert not any(row["accepted"] for row in invested)
        assert {row["second_cooperated"] for row in trusted} == {False}
        assert {row["actual_share"] for row in trusted} == {0.0}
        return
    assert all(row["second_cooperated"] for row in trusted)
    assert all(row["reported_outcome"] == row["outcome"] for row in trusted)
    assert all(row["amount"] == row["holdings"] for row in invested if row["accepted"])
    if policy == "always_cooperate":
        assert all(row["accepted"] for row in invested)


@every_mode
@pytest.mark.parametrize(("policy", "signs"), [("always_cooperate", True), ("always_defect", False)])
@pytest.mark.cover
def test_a_planted_household_says_the_same_in_every_round(
    policy: str, signs: bool, reputation: bool, gossip: bool, tmp_path: Path
) -> None:
    planted = [EMMA, "David Johnson", "Akiko Sato"]
    run(
        11,
        game="sign_up",
        reputation=reputation,
        gossip=gossip,
        backend_for=dict.fromkeys(planted, policy),
        storage=str(tmp_path),
        run_name="x",
    )
    folder = RunFolder.open(tmp_path / "x")
    said = [row for step in (1, 6, 11) for row in folder.table(step, "declarations") if row["agent"] in planted]
    assert len(said) == 9
    assert {row["cooperated"] for row in said} == {signs}


def test_a_planted_agent_judges_gossips_and_ties_like_the_others(tmp_path: Path) -> None:
    run(6, backend_for={EMMA: "always_defect"}, storage=str(tmp_path), run_name="x")
    folder = RunFolder.open(tmp_path / "x")
    asked = {row["question"] for step in range(1, 7) for row in folder.table(step, "calls") if row["agent"] == EMMA}
    assert {"choose_move", "evaluate", "update_record", "reflect", "wish_to_gossip", "connect"} <= asked
    scores = RepuNetModel.load(tmp_path / "x").scores
    assert scores[EMMA] < 0 < run(6, backend_for={EMMA: "always_cooperate"}).scores[EMMA]


def test_the_manifest_says_who_was_planted_with_which_rules(tmp_path: Path) -> None:
    backend = PlantedBackend(FixedPolicy.ALWAYS_DEFECT, Rules(tie_threshold=0.5))
    run(0, backend_for={EMMA: backend}, storage=str(tmp_path), run_name="x")
    manifest = json.loads((tmp_path / "x" / "manifest.json").read_text())
    described = manifest["backend_for"][EMMA]
    assert described["backend"] == "always_defect"
    assert described["tie_threshold"] == 0.5
    assert described["reads_prompts"] is False
    assert manifest["backend"]["backend"] == "rules"


@pytest.mark.parametrize("game", ["prisoners_dilemma", "investment", "sign_up", "donation"])
def test_a_run_with_planted_agents_goes_on_as_if_it_had_never_stopped(game: str, tmp_path: Path) -> None:
    parameters: dict[str, Any] = {
        "game": game,
        "storage": str(tmp_path),
        "n_agents": 6,
        "backend": PlantedBackend(FixedPolicy.ALWAYS_COOPERATE, Rules(gossip_threshold=0.2)),
        "backend_for": {EMMA: "always_defect", "Akiko Sato": "rules"},
    }
    run(7, run_name="whole", **parameters)
    run(3, run_name="parted", **parameters).close()
    model = RepuNetModel.load(tmp_path / "parted")
    for _ in range(4):
        model.step()
    assert contents(tmp_path / "parted") == contents(tmp_path / "whole")


def test_a_replay_of_planted_agents_has_the_same_bytes(tmp_path: Path) -> None:
    parameters: dict[str, Any] = {"storage": str(tmp_path), "n_agents": 6}
    run(4, run_name="first", backend_for={EMMA: "always_defect", "Akiko Sato": "tit_for_tat"}, **parameters)
    run(4, run_name="again", backend=f"replay:{tmp_path / 'first'}", **parameters)
    assert contents(tmp_path / "again") == contents(tmp_path / "first")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--backend-for", "Emma=always_defect"], "no agent is called 'Emma'"),
        (["--backend-for", f"{EMMA}=always_waver"], "unknown backend 'always_waver': choose one of rules, always_coop"),
        (["--backend-for", f"{EMMA}=always_defect:2"], "backend 'always_defect:2': '2' must read NAME=VALUE"),
        (["--backend-for", f"{EMMA}=ALWAYS_DEFECT"], "unknown backend 'ALWAYS_DEFECT'"),
        (["--backend-for", "always_defect"], "must read NAME=BACKEND"),
        (["--backend-for", "=always_defect"], "must read NAME=BACKEND"),
        (["--backend-for", f"{EMMA}="], "must read NAME=BACKEND"),
        (
            ["--backend-for", f"{EMMA}=always_defect", "--backend-for", f"{EMMA}=tit_for_tat"],
            "Emma Dubois is always_defect already",
        ),
        (
            ["--scenario", "sign_up", "--backend-for", f"{EMMA}=tit_for_tat"],
            "'tit_for_tat' has no meaning in the game 'sign_up': choose always_cooperate or always_defect or ",
        ),
        (["--scenario", "sign_up", "--backend", "tit_for_tat"], "'tit_for_tat' has no meaning in the game 'sign_up'"),
    ],
)
def test_a_planting_that_means_nothing_is_one_clear_line(
    words: list[str], problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", *words]) == 2
    shown = capsys.readouterr()
    assert problem in shown.err
    assert shown.err.startswith("error: ")
    assert shown.err.count("\n") == 1
    assert shown.out == ""
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_plants_agents(tmp_path: Path) -> None:
    words = ["run", "--steps", "3", "--storage", str(tmp_path), "--sim-name", "x", "-n", "6"]
    assert main([*words, "--backend-for", f"{EMMA}=always_defect", "--backend-for", "Akiko Sato=tit_for_tat"]) == 0
    assert {own for _, own, _ in moves_of(tmp_path / "x", EMMA)} == {"defect"}
    assert main(["resume", "x", "--steps", "2", "--storage", str(tmp_path)]) == 0
    assert [own for _, own, _ in moves_of(tmp_path / "x", EMMA)] == ["defect"] * 5


class Ultimatum(PrisonersDilemma):
    """A game of one's own that says nothing of planted agents."""

    name = "ultimatum"
    choices = ()  # type: ignore[assignment]  # narrower in the game it is made from


class Stag(ChooseMove):
    """A question of one's own."""

    name = "stag"


class StagHunt(PrisonersDilemma):
    """A game of one's own that has one policy."""

    name = "stag_hunt"
    choices = (Stag,)


@plays(FixedPolicy.ALWAYS_DEFECT, Stag)
def hunt_hares(question: Stag) -> MoveAnswer:
    return MoveAnswer(reason="Hares are safe.", decision=Move.DEFECT)


def plant(game: Game, policy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RepuNetModel:
    monkeypatch.setitem(GAMES, game.name, game)
    file = tmp_path / "people.json"
    people = [
        {"name": name, "disposition": "altruistic", "learned": "You hunt."} for name in ("Ann", "Bob", "Cem", "Dan")
    ]
    file.write_text(json.dumps(people))
    return RepuNetModel(
        game=game.name, personas=str(file), backend_for={"Ann": policy}, rng=1, storage=str(tmp_path / "runs")
    )


def test_a_game_of_ones_own_has_the_policies_that_it_registers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert plant(StagHunt(), "always_defect", tmp_path, monkeypatch).steps == 0
    with pytest.raises(RepuNetError, match=r"'stag_hunt': choose always_defect or honest_defector or booster or "):
        plant(StagHunt(), "tit_for_tat", tmp_path, monkeypatch)


def test_a_game_without_policies_refuses_planted_agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = "backend 'always_defect' has no meaning in the game 'ultimatum': choose booster or slanderer or silent"
    with pytest.raises(RepuNetError, match=f"^{re.escape(line)}$"):
        plant(Ultimatum(), "always_defect", tmp_path, monkeypatch)
    assert not (tmp_path / "runs").exists()
    with pytest.raises(RepuNetError, match=r"in the game 'ultimatum': it has no fixed policies$"):
        RepuNetModel(game="ultimatum", personas=str(tmp_path / "people.json"), backend="clique", gossip=False, rng=1)
