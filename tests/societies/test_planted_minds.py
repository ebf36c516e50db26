"""Planted minds: what liars tell, who is in with whom, and who errs, in what a run stores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from repunet_model import RepuNetError, RepuNetModel
from repunet_model.backends.mind import Rules
from repunet_model.backends.planted import PlantedBackend, Settings
from repunet_model.backends.policies import FixedPolicy
from repunet_model.backends.rules import RulesBackend
from repunet_model.cli import main
from repunet_model.storage import RunFolder
from tests.conftest import contents

AHMED, AISHA, AKIKO, DAVID = "Ahmed Hassan", "Aisha Ibrahim", "Akiko Sato", "David Johnson"
TALKATIVE = Rules(gossip_threshold=0.0, social_precision=2.0)


def run(steps: int, **parameters: Any) -> RepuNetModel:
    given = {"rng": 1, "n_agents": 8, "backend": RulesBackend(TALKATIVE), **parameters}
    model = RepuNetModel(**given)
    for _ in range(steps):
        model.step()
    return model


def rows(model: RepuNetModel, table: str) -> list[dict[str, Any]]:
    assert model.folder is not None
    return [row for step in range(1, model.steps + 1) for row in model.folder.table(step, table)]


def judged(model: RepuNetModel) -> dict[tuple[int, str], tuple[str, str | None]]:
    """Return the partner of each agent in each step, and its level in the agent's eyes."""
    found = {}
    for row in rows(model, "interactions"):
        found[row["step"], row["first"]] = row["second"], row["first_judges_second"]
        found[row["step"], row["second"]] = row["first"], row["second_judges_first"]
    return found


def told_by(model: RepuNetModel, *names: str) -> list[dict[str, Any]]:
    return [row for row in rows(model, "gossip") if row["gossiper"] in names]


def moves(model: RepuNetModel, *names: str) -> list[tuple[str, bool]]:
    """Return partner and cooperation of each encounter of some agents."""
    return [
        (row[other], row[f"{own}_cooperated"])
        for row in rows(model, "interactions")
        for own, other in (("first", "second"), ("second", "first"))
        if row[own] in names
    ]


@pytest.mark.parametrize("policy", ["slanderer", "booster", "clique", "silent", "honest_defector"])
def test_on_a_public_board_they_report_as_they_talk(policy: str, tmp_path: Path) -> None:
    planted = f"{policy}:members={AHMED}+{AISHA}+{AKIKO}" if policy in ("booster", "clique") else policy
    model = run(
        6,
        backend_for=dict.fromkeys((AHMED, DAVID), planted),
        gossip=False,
        mechanism="paper,institution=board",
        storage=tmp_path,
    )
    saw = judged(model)
    reports = {(row["step"], row["by"]): row["level"] for row in rows(model, "reports") if row["by"] in (AHMED, DAVID)}
    assert bool(reports) is (policy != "silent")
    for where, (partner, level) in saw.items():
        if where[1] not in (AHMED, DAVID) or level is None:
            continue
        if policy == "slanderer" and level in ("good", "very good"):
            assert reports[where] == "very bad"
        elif policy in ("booster", "clique") and partner in (AHMED, AISHA, AKIKO):
            assert reports[where] == "very good"
        elif policy == "honest_defector":
            assert reports.get(where) == (None if level == "neutral" else level)
        elif where in reports:
            assert reports[where] == level


def test_a_slanderer_complains_of_the_good_and_never_praises(tmp_path: Path) -> None:
    liars = dict.fromkeys((AHMED, DAVID), "slanderer")
    model = run(8, backend_for=liars, storage=str(tmp_path))
    told, opinions = told_by(model, *liars), judged(model)
    assert {row["tone"] for row in told} == {"negative"}
    lies = [row for row in told if row["order"] == 1 and opinions[row["step"], row["gossiper"]][1] == "very good"]
    assert lies
    assert all(
        row["dialogue"][0][1] == f"I met {row['subject']}. {row['subject']}'s conduct was very bad." for row in lies
    )
    passed_on = [row["dialogue"][0][1] for row in told if row["order"] == 2]
    assert any(text.endswith("deserves a warning.") for text in passed_on)
    assert not any("praise" in text or "I do not believe it" in text for text in passed_on)
    honest = [row for row in rows(model, "gossip") if row["gossiper"] not in liars and row["order"] == 1]
    for row in honest:
        level = opinions[row["step"], row["gossiper"]][1]
        assert row["tone"] == ("positive" if level in ("good", "very good") else "negative")
    assert {move for _, move in moves(model, AHMED)} == {True, False}  # it plays like the others


def test_a_booster_praises_those_that_are_named_whatever_they_do(tmp_path: Path) -> None:
    backend_for = {AHMED: f"booster:members={DAVID}", AISHA: f"booster:members={DAVID}", DAVID: "always_defect"}
    model = run(10, backend_for=backend_for, storage=str(tmp_path), mechanism="paper,partner_probability=0")
    praise = [row for row in told_by(model, AHMED, AISHA) if row["subject"] == DAVID]
    assert {row["tone"] for row in praise} == {"positive"}
    first_hand = [row["dialogue"][0][1] for row in praise if row["order"] == 1]
    assert first_hand
    assert set(first_hand) == {f"I met {DAVID}. {DAVID}'s conduct was very good."}
    others = [row for row in told_by(model, AHMED, AISHA) if row["subject"] != DAVID and row["order"] == 1]
    assert {row["tone"] for row in others} == {"positive", "negative"}


def test_the_silent_listen_and_tell_nothing(tmp_path: Path) -> None:
    quiet = dict.fromkeys((AHMED, DAVID, AKIKO), "silent")
    model = run(6, backend_for=quiet, storage=str(tmp_path))
    assert told_by(model, *quiet) == []
    heard = [row for row in rows(model, "gossip") if row["listener"] in quiet]
    assert heard
    assert {row["passed_on_to"] for row in heard if row["order"] == 1} == {""}


def test_an_honest_defector_tells_all_as_it_was(tmp_path: Path) -> None:
    model = run(8, backend_for={AHMED: "honest_defector"}, storage=str(tmp_path / "pd"))
    assert {move for _, move in moves(model, AHMED)} == {False}
    for row in told_by(model, AHMED):
        if row["order"] == 1:
            subject, level = judged(model)[row["step"], AHMED]
            assert (row["subject"], row["tone"]) == (subject, "positive" if "good" in str(level) else "negative")
            assert row["dialogue"][0][1].endswith(f"conduct was {level}.")
    answers = [
        row["answer"] for row in rows(model, "calls") if (row["agent"], row["question"]) == (AHMED, "wish_to_gossip")
    ]
    assert {answer["decision"] for answer in answers} == {"gossip"}
    model = run(12, game="investment", backend_for={AHMED: "honest_defector"}, storage=str(tmp_path / "inv"))
    deals = [row for row in rows(model, "interactions") if row["second"] == AHMED and row["accepted"]]
    assert deals
    assert {(row["actual_share"], row["reported_outcome"] == row["outcome"]) for row in deals} == {(0.0, True)}
    assert not any(row["accepted"] for row in rows(model, "interactions") if row["first"] == AHMED)


@pytest.mark.parametrize("game", ["prisoners_dilemma", "investment"])
def test_a_clique_cooperates_and_praises_inside_and_defects_outside(game: str, tmp_path: Path) -> None:
    inside = (AHMED, AISHA, DAVID)
    named = f"clique:members={'+'.join(inside)}"
    for name, backend in (("alike", "clique"), ("named", named)):
        model = run(8, game=game, backend_for=dict.fromkeys(inside, backend), storage=str(tmp_path), run_name=name)
        acts = {(partner in inside, act) for partner, act in moves(model, *inside) if act is not None}
        if game == "prisoners_dilemma":
            assert acts == {(True, True), (False, False)}
            praise = [row for row in told_by(model, *inside) if row["subject"] in inside]
            assert {row["tone"] for row in praise} == {"positive"}
        else:
            assert (True, False) not in acts
    first, second = (contents(tmp_path / name / "step_8") for name in ("alike", "named"))
    assert {file: text for file, text in first.items() if "manifest" not in str(file)} == {
        file: text for file, text in second.items() if "manifest" not in str(file)
    }


def test_those_who_tremble_err_at_their_rate(tmp_path: Path) -> None:
    for rate, rates in ((0, {1.0}), (1, {0.0})):
        model = run(3, backend=f"trembling:rate={rate}", gossip=False)
        assert set(model.datacollector.get_model_vars_dataframe()["cooperation_rate"].iloc[1:]) == rates
    model = run(4, backend="trembling:rate=0.3", n_agents=20, storage=str(tmp_path))
    acts = [act for _, act in moves(model, *(agent.name for agent in model.agents))]
    assert 0.15 < acts.count(False) / len(acts) < 0.45
    assert {row["first_reason"] for row in rows(model, "interactions")} == {"I mean to cooperate."}
    model = run(1, game="sign_up", backend="trembling:rate=0.5")
    assert 0 < (model.measures["cooperation_rate"] or 0) < 1


def test_the_parameters_of_a_policy_are_in_its_name_and_in_the_manifest(tmp_path: Path) -> None:
    backend_for = {AHMED: f"clique:learning_rate=0.3,members={AISHA} + {DAVID}", AISHA: "trembling"}
    model = run(0, backend_for=backend_for, storage=str(tmp_path), run_name="x")
    described = model.manifest().backend_for
    assert (described[AHMED]["members"], described[AHMED]["learning_rate"]) == (f"{AISHA}+{DAVID}", 0.3)
    assert described[AISHA]["rate"] == 0.1
    assert "members" not in PlantedBackend(FixedPolicy.CLIQUE, settings=Settings(rate=0.2)).description
    assert RepuNetModel.load(tmp_path / "x").manifest().backend_for == described


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({AHMED: "trembling:rate=1.1"}, "backend 'trembling:rate=1.1': rate is '1.1': must be from 0 to 1"),
        ({AHMED: "trembling:rate=often"}, "rate is 'often': must be from 0 to 1"),
        ({AHMED: "silent:rate=0.1"}, "backend 'silent:rate=0.1': unknown parameter 'rate'"),
        ({AHMED: "clique:members=A++B"}, "members is 'A++B': must be names of agents joined by +"),
        ({AHMED: "booster:members=Bob"}, "backend 'booster': members: no agent is called 'Bob'"),
        ({AHMED: "clique"}, "backend 'clique': one agent alone has no allies: give it to others too, or name them"),
    ],
)
def test_a_policy_that_means_nothing_is_refused_in_one_line(given: dict[str, str], problem: str) -> None:
    with pytest.raises(RepuNetError) as failure:
        run(0, backend_for=given)
    assert problem in str(failure.value)
    assert "\n" not in str(failure.value)


def test_the_command_line_plants_a_clique(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "--steps", "1", "--storage", str(tmp_path), "--sim-name", "x", "-n", "6"]
    assert main([*words, "--backend-for", f"{AHMED}=clique:members={AHMED}+{AISHA}", "--gossip", "n"]) == 0
    described = RunFolder.open(tmp_path / "x").manifest().backend_for[AHMED]
    assert described["members"] == f"{AHMED}+{AISHA}"
    capsys.readouterr()
    assert main([*words[:-4], "--gossip", "n", "--backend-for", f"{AHMED}=slanderer"]) == 2
    assert capsys.readouterr().err == (
        "error: backend 'slanderer' means nothing without gossip: leave it out, or gossip\n"
    )


@pytest.mark.parametrize(("activation", "questions"), [("simultaneous", "single"), ("sequential", "fused")])
def test_events_plant_liars_and_cliques_in_a_society_that_errs(activation: str, questions: str, tmp_path: Path) -> None:
    names = f"names={AHMED},{AISHA}"
    parameters: dict[str, Any] = {
        "events": f"step=2 {names} becomes=clique; step=3 names=Emma Dubois becomes=clique; step=3 names={AHMED} "
        f"becomes=whitewash; step=3 names={DAVID} becomes=slanderer",
        "errors": "slip=0.2,garble=0.3",
        "activation": activation,
        "questions": questions,
        "storage": str(tmp_path),
    }
    model = run(5, run_name="whole", **parameters)
    run(2, run_name="parted", **parameters).close()
    parted = RepuNetModel.load(tmp_path / "parted")
    for _ in range(3):
        parted.step()
    replayed = {**parameters, "backend": f"replay:{tmp_path / 'whole'}"}
    run(5, run_name="again", **replayed)
    assert contents(tmp_path / "parted") == contents(tmp_path / "again") == contents(tmp_path / "whole")
    state = model.state["agents"]
    clique = {agent["name"] for agent in state if agent.get("planted") == "clique"}
    assert len(clique) == 3
    assert AHMED not in clique
    slips = {(row["step"], row["agent"]) for row in rows(model, "errors") if row["kind"] == "slip"}
    for row in rows(model, "interactions"):
        for own, other in (("first", "second"), ("second", "first")):
            if row["step"] > 3 and row[own] in clique and (row["step"], row[own]) not in slips:
                assert row[f"{own}_cooperated"] is (row[other] in clique)
    garbled = {(row["step"], row["agent"], row["other"]) for row in rows(model, "errors") if row["kind"] == "garble"}
    for row in told_by(model, DAVID):
        if row["step"] >= 3 and (row["step"], DAVID, row["listener"]) not in garbled:
            assert row["tone"] == "negative"


def test_an_event_that_plants_a_liar_where_there_is_no_gossip_is_refused() -> None:
    with pytest.raises(RepuNetError, match=r"^backend 'silent' means nothing without gossip"):
        run(0, events="step=2 agents=1 becomes=silent", gossip=False)
    assert run(1, events="step=2 agents=1 becomes=clique", backend_for={AHMED: "clique"}).steps == 1
