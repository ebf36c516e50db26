"""Errors of acts, perceptions and messages: what is stored of them, who knows of them, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from repunet_model import RepuNetError, RepuNetModel
from repunet_model.backends.base import Request
from repunet_model.backends.mind import Rules
from repunet_model.backends.rules import RulesBackend
from repunet_model.cli import main
from repunet_model.error_rates import ErrorRates
from repunet_model.games import GAMES
from repunet_model.games.investment import PlanAnswer
from repunet_model.games.prisoners_dilemma import PrisonersDilemma
from repunet_model.questions.base import Answer
from repunet_model.storage import RunFolder
from tests.backends import FailsAt, Overheard
from tests.conftest import contents

TALKATIVE = Rules(gossip_threshold=0.0, social_precision=1.0)


def run(steps: int, **parameters: Any) -> RepuNetModel:
    model = RepuNetModel(**{"rng": 1, "n_agents": 6, **parameters})
    for _ in range(steps):
        model.step()
    return model


def rows(folder: Path, table: str) -> list[dict[str, Any]]:
    stored = RunFolder.open(folder)
    return [row for step in stored.steps()[1:] for row in stored.table(step, table)]


def test_errors_are_given_as_text_as_a_table_and_as_an_object() -> None:
    given: list[Any] = ["slip=0.05, garble=0.1", {"garble": "0.1", "slip": 0.05}, ErrorRates(slip=0.05, garble=0.1)]
    assert {str(run(0, errors=each).config.errors) for each in given} == {"slip=0.05,garble=0.1"}
    none: list[Any] = ["none", "", {}, "slip=0", "slip=-0.0"]
    assert {str(ErrorRates.read(each)) for each in none} == {"none"}
    assert str(ErrorRates(slip=1e-9)) == "slip=1e-09"
    assert run(0, errors="slip=0.1").config.conditions == "reputation and gossip, errors slip=0.1"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"errors": "slip"}, "errors: 'slip' must read NAME=VALUE"),
        ({"errors": "slips=0.1"}, "errors: 'slips': unknown; known are slip, misperception, garble"),
        ({"errors": "slip=1.01"}, "errors: slip is '1.01': must be a rate from 0 to 1"),
        ({"errors": "slip=often"}, "errors: slip is 'often': must be a rate from 0 to 1"),
        ({"errors": {"slip": "nan"}}, "errors: slip is 'nan': must be a rate from 0 to 1"),
        ({"errors": {"slip": True}}, "errors: slip is True: must be a rate from 0 to 1"),
        ({"errors": 0.05}, "errors is 0.05: must be a text such as 'slip=0.05'"),
        ({"errors": "garble=0.1", "gossip": False}, "errors: garble means nothing without gossip"),
        ({"errors": "garble=0.1", "mechanism": "paper,first_order=off"}, "errors: garble means nothing without gossip"),
        (
            {"errors": "misperception=0.1", "game": "investment"},
            "errors: misperception means nothing in the game 'investment', which has slip",
        ),
    ],
)
def test_errors_that_mean_nothing_are_refused_in_one_line(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(RepuNetError) as failure:
        run(0, **given)
    assert problem in str(failure.value)
    assert "\n" not in str(failure.value)


def test_a_game_of_ones_own_has_the_errors_that_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    class Steady(PrisonersDilemma):
        name = "steady"
        errors = ()  # type: ignore[assignment]  # narrower in the game it is made from
        dispositions = dict.fromkeys(PrisonersDilemma.dispositions, "You play.")

    monkeypatch.setitem(GAMES, "steady", Steady())
    with pytest.raises(RepuNetError, match="slip means nothing in the game 'steady', which has no errors of acts"):
        Steady().check_errors(RepuNetModel(errors="slip=0.1", rng=1).config)


def test_an_act_that_slips_is_paid_and_judged_and_the_decision_is_stored(tmp_path: Path) -> None:
    run(4, backend="always_cooperate", errors="slip=0.4", storage=str(tmp_path), run_name="x")
    slips = {(row["step"], row["agent"]) for row in rows(tmp_path / "x", "errors")}
    assert {(row["was"], row["became"]) for row in rows(tmp_path / "x", "errors")} == {("cooperation", "defection")}
    payoffs = {("cooperate", "cooperate"): 3, ("cooperate", "defect"): 0, ("defect", "cooperate"): 5}
    met = rows(tmp_path / "x", "interactions")
    for row in met:
        for own, other in (("first", "second"), ("second", "first")):
            slipped = (row["step"], row[own]) in slips
            assert row[f"{own}_move"] == ("defect" if slipped else "cooperate")
            assert row[f"{own}_cooperated"] is not slipped
            assert row[f"{own}_payoff"] == payoffs.get((row[f"{own}_move"], row[f"{other}_move"]), 1)
            assert (row[f"{other}_judges_{own}"] in ("bad", "very bad")) is slipped
    assert 0 < len(slips) < 2 * len(met)
    decided = [row["answer"]["decision"] for row in rows(tmp_path / "x", "calls") if row["question"] == "choose_move"]
    assert set(decided) == {"cooperate"}
    words = [row for row in rows(tmp_path / "x", "events") if (row["step"], row["agent"]) in slips]
    assert all(" You defected, " in row["text"] and row["own_cooperated"] is False for row in words)


def test_a_side_that_misperceives_an_act_believes_what_it_saw_and_is_paid_for_what_was_done(tmp_path: Path) -> None:
    model = run(3, backend="always_cooperate", errors="misperception=1", storage=str(tmp_path), run_name="x")
    assert model.measures["cooperation_rate"] == 1
    assert model.measures["misperceptions"] == 6
    for row in rows(tmp_path / "x", "events"):
        assert row["partner_cooperated"] is False
        assert f"{row['partner']} defected. Points: you 0, they 5." in row["text"]
        assert row["payoff"] == 3
    met = rows(tmp_path / "x", "interactions")
    assert {row["first_judges_second"] for row in met} == {"very bad"}
    assert all(row["first_cooperated"] and row["second_cooperated"] for row in met)
    assert all(score < 0 for score in model.scores.values())


def test_a_household_acts_on_the_choice_that_it_takes_its_partner_to_have_made(tmp_path: Path) -> None:
    run(3, game="sign_up", backend="always_cooperate", errors="misperception=1", storage=str(tmp_path), run_name="x")
    assert {row["cooperated"] for row in rows(tmp_path / "x", "declarations")} == {True}
    assert {row["partner_cooperated"] for row in rows(tmp_path / "x", "events")} == {False}


def test_a_trustee_whose_hand_slips_pays_half_of_its_promise_or_all_of_it(tmp_path: Path) -> None:
    for backend in ("always_cooperate", "rules"):
        run(6, game="investment", backend=backend, errors="slip=0.5", storage=str(tmp_path), run_name=backend)
        slips = {(row["step"], row["agent"]): row for row in rows(tmp_path / backend, "errors")}
        deals = [row for row in rows(tmp_path / backend, "interactions") if row["accepted"]]
        slipped = [row for row in deals if (row["step"], row["second"]) in slips]
        assert len(slipped) == len(slips) > 0
        for row in slipped:
            kept = slips[row["step"], row["second"]]["became"] == "cooperation"
            assert row["second_cooperated"] is kept
            assert row["actual_share"] == row["promised_share"] * (1 if kept else 0.5)


class PromisesNothing(RulesBackend):
    """Trustees who promise nothing."""

    async def answer[A: Answer](self, request: Request[A]) -> A:
        answer = await super().answer(request)
        return answer.model_copy(update={"investor_share": 0.0}) if isinstance(answer, PlanAnswer) else answer


def test_a_promise_of_nothing_is_kept_by_every_hand() -> None:
    model = run(3, game="investment", backend=PromisesNothing(Rules(precision=0)), errors="slip=1")
    assert model.measures["slips"] == 0
    assert set(model.datacollector.tables["interactions"]["accepted"]) == {True, False}


@pytest.mark.parametrize("questions", ["single", "fused"])
def test_of_a_garbled_message_its_listener_hears_the_subject_and_the_opposite_tone(
    questions: str, tmp_path: Path
) -> None:
    backend = Overheard(TALKATIVE)
    run(
        4,
        backend=backend,
        errors="garble=1",
        questions=questions,
        storage=str(tmp_path),
        run_name="x",
        dialogue_turns=4,
    )
    told = rows(tmp_path / "x", "gossip")
    errors = rows(tmp_path / "x", "errors")
    assert len(told) == len(errors) > 4
    assert {row["order"] for row in told} == {1, 2}
    for row, error in zip(told, errors, strict=True):
        assert (error["agent"], error["other"], error["subject"]) == (row["gossiper"], row["listener"], row["subject"])
        assert error["became"] == row["tone"] != error["was"]
        heard = {text for speaker, text in row["dialogue"] if speaker == row["gossiper"]}
        assert heard == {f"{row['subject']}: {row['tone']}."}
    judged = [request.prompt for request in backend.requests if "talks to you about" in request.prompt]
    assert judged
    assert not any("I met" in prompt.partition("talks to you about")[2] for prompt in judged)
    agent = RepuNetModel.load(tmp_path / "x", backend=Overheard()).agent(told[-1]["listener"])
    assert agent.memory.heard()[-1].positive is (told[-1]["tone"] == "positive")


def test_errors_at_a_rate_occur_at_a_larger_one_too_and_a_failed_step_is_tried_again(tmp_path: Path) -> None:
    for rate in (0.1, 0.3):
        run(3, gossip=False, backend="always_defect", errors={"slip": rate}, storage=str(tmp_path), run_name=str(rate))
    few, many = (
        {(row["step"], row["agent"]) for row in rows(tmp_path / name, "errors") if row["step"] == 1}
        for name in ("0.1", "0.3")
    )
    assert few <= many
    backend = FailsAt(step=3, question="hear")
    parameters: dict[str, Any] = {"errors": "slip=0.3,misperception=0.3,garble=0.5", "storage": str(tmp_path)}
    model = run(2, backend=backend, run_name="failing", **parameters)
    with pytest.raises(RepuNetError, match="the endpoint is down"):
        model.step()
    backend.failing = False
    model.step()
    run(3, backend=FailsAt(0, ""), run_name="smooth", **parameters)
    assert contents(tmp_path / "failing") == contents(tmp_path / "smooth")


def test_commands_take_errors_and_show_fork_and_export_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--steps", "2", "-n", "6", "--errors", "slip=0.5,misperception=0.5", "--sim-name", "x"]) == 0
    capsys.readouterr()
    assert main(["show", "x"]) == 0
    assert "misperception: " in capsys.readouterr().out
    assert main(["fork", "x/step_1", "--set", "errors=slip=1,garble=1", "--sim-name", "fork"]) == 0
    assert main(["resume", "fork", "--steps", "1"]) == 0
    columns = RepuNetModel.load(Path("sim_storage/fork")).datacollector.get_model_vars_dataframe()
    assert {"slips", "misperceptions", "garbled"} & set(columns) == {"slips", "garbled"}
    assert columns["garbled"].isna().tolist() == [False, True, False]
    assert main(["export", "x", "out", "--layout", "csv"]) == 0
    assert set(pd.read_csv("out/errors.csv")["kind"]) == {"slip", "misperception"}
    capsys.readouterr()
    assert main(["run", "--gossip", "n", "--errors", "garble=0.1"]) == 2
    assert capsys.readouterr().err == "error: errors: garble means nothing without gossip: leave it out, or gossip\n"
