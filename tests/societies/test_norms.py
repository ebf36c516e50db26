"""Agents that follow norms of indirect reciprocity: what they do, what is stored, and the results of the textbook."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from benchmarks.textbook import TOLERANCE, after, cooperation, expected, in_pairs, paired, society
from repunet_model import RepuNetModel
from repunet_model.backends.norms import NORMS, PAIRS, find
from repunet_model.config import MODES
from repunet_model.errors import ConfigurationError, RepuNetError
from repunet_model.storage import StepReader
from repunet_model.storage.schema import ERRORS, INTERACTIONS
from tests import ROOT
from tests.backends import FailsAt, Overheard
from tests.conftest import complaint, contents
from tests.contract import TALKATIVE

STERN, PRIVATE = "norm:stern_judging", "norm:L6,assessment=private,observed=0.7"
NOISE = "slip=0.1,misperception=0.1"


def run(steps: int, **parameters: Any) -> RepuNetModel:
    model = RepuNetModel(**{"game": "donation", "n_agents": 6, "rng": 1, "backend": STERN, **parameters})
    for _ in range(steps):
        model.step()
    return model


# The tables


def test_the_leading_eight_share_what_makes_them_stable() -> None:
    """Ohtsuki & Iwasa (2006): identification of defectors, maintenance, justified punishment, apology."""
    for name in ("L1", "L2", "L3", "L4", "L5", "L6", "L7", "L8"):
        norm = find(name)
        for actor in (True, False):
            assert norm.cooperates(actor, True)
            assert norm.makes_good(actor, True, cooperated=True)
            assert not norm.makes_good(actor, True, cooperated=False)
        assert not norm.cooperates(True, False)
        assert norm.makes_good(True, False, cooperated=False)
        # The bad cooperate with the bad if that alone makes them good.
        helps, shuns = (norm.makes_good(False, False, cooperated=act) for act in (True, False))
        assert norm.cooperates(False, False) is (helps and not shuns)
    assert len({(norm.assessment, norm.action) for norm in NORMS.values()}) == len(NORMS) == 10


def test_the_named_norms_are_those_of_their_definitions() -> None:
    for actor, partner in PAIRS:
        for act in (True, False):

            def good(name: str, *, where: tuple[bool, bool] = (actor, partner), cooperated: bool = act) -> bool:
                return find(name).makes_good(*where, cooperated=cooperated)

            assert good("image_scoring") is act
            assert good("stern_judging") is good("L6") is (act is partner)
            assert good("simple_standing") is good("L3") is (act or not partner)
            assert good("shunning") is (act and partner)


# What followers do


@pytest.mark.parametrize("game", ["donation", "prisoners_dilemma"])
@pytest.mark.parametrize("backend", [STERN, PRIVATE])
def test_followers_act_by_the_standings_that_are_stored(game: str, backend: str, tmp_path: Path) -> None:
    run(12, game=game, backend=backend, errors=NOISE, storage=str(tmp_path), run_name="it").close()
    norm, seen = find("L6"), set()
    kind = "private" if "private" in backend else "public"
    bad: dict[str, dict[str, list[str]]] = {}
    for step in StepReader.open(tmp_path / "it").steps():
        slips = {row["agent"] for row in step.rows(ERRORS) if row["kind"] == "slip"}
        for row in map(dict[str, Any], step.rows(INTERACTIONS)):
            for one, other in (("first", "second"), ("second", "first")):
                if (act := row[f"{one}_cooperated"]) is None:
                    continue
                theirs = bad.get(kind, {}).get(row[one] if kind == "private" else norm.name, [])
                standing = row[one] not in theirs, row[other] not in theirs
                assert act is (norm.cooperates(*standing) is not (row[one] in slips))
                seen.add(standing)
        bad = step.state.get("assessments", {})
    assert len(seen) >= 3


def test_without_errors_everybody_stays_good_and_nothing_is_stored_of_it() -> None:
    for backend in (f"norm:{name}" for name in NORMS):
        model = run(3, backend=backend)
        assert model.measures["cooperation_rate"] == 1
        assert "assessments" not in model.state


def test_a_defector_is_bad_in_the_eyes_of_those_who_saw_it_and_gets_nothing() -> None:
    public, private = (
        run(20, backend=f"norm:L3,assessment={each}", backend_for={"Emma Dubois": "always_defect"})
        for each in ("public", "private")
    )
    for model in (public, private):
        table = model.datacollector.get_table_dataframe("interactions").query("step > 10")
        assert not table.query("second == 'Emma Dubois'")["gave"].any()
        assert table.query("first != 'Emma Dubois' and second != 'Emma Dubois'")["gave"].all()
    assert public.state["assessments"] == {"public": {"simple_standing": ["Emma Dubois"]}}
    holders = {agent.name for agent in private.agents} - {"Emma Dubois"}
    assert private.state["assessments"] == {"private": {each: ["Emma Dubois"] for each in holders}}


def test_who_observes_nothing_knows_only_its_own_encounters() -> None:
    model = run(3, backend="norm:L3,assessment=private,observed=0", backend_for={"Emma Dubois": "always_defect"})
    table = model.datacollector.get_table_dataframe("interactions")
    met = sorted(set(table.query("first == 'Emma Dubois'")["second"]))
    assert model.state.get("assessments", {}).get("private", {}) == {each: ["Emma Dubois"] for each in met}


def test_a_misperception_by_an_observer_is_recorded(tmp_path: Path) -> None:
    run(10, errors="misperception=0.3", storage=str(tmp_path), run_name="it").close()
    rows = [row for step in StepReader.open(tmp_path / "it").steps() for row in step.rows(ERRORS) if not row["agent"]]
    assert {(row["kind"], row["other"]) for row in rows} == {("misperception", "")}
    assert {(row["was"], row["became"]) for row in rows} == {("cooperation", "defection"), ("defection", "cooperation")}
    assert ERRORS.in_words is not None
    assert "misperception: a public assessment, about " in ERRORS.in_words(rows[0])


@pytest.mark.parametrize(
    ("game", "backend", "activation"),
    [("donation", STERN, "simultaneous"), ("prisoners_dilemma", PRIVATE, "sequential")],
)
def test_a_run_of_followers_resumes_replays_and_recovers_with_equal_bytes(
    game: str, backend: str, activation: str, tmp_path: Path
) -> None:
    given: dict[str, Any] = {
        **{"game": game, "backend": backend, "errors": NOISE, "activation": activation, "storage": str(tmp_path)},
        "backend_for": {"Akiko Sato": "norm:image_scoring", "Emma Dubois": "rules"},
        "events": "step=4 agents=1 becomes=norm:L3; step=4 agents=1 becomes=whitewash; step=5 agents=1 becomes=enter",
    }
    run(8, run_name="whole", **given).close()
    run(4, run_name="parted", **given).close()
    with RepuNetModel.load(tmp_path / "parted") as model:
        for _ in range(4):
            model.step()
    assert contents(tmp_path / "parted") == contents(tmp_path / "whole")
    replay = {**given, "backend": f"replay:{tmp_path / 'whole'}", "backend_for": {}}
    run(8, run_name="again", **replay).close()
    assert contents(tmp_path / "again") == contents(tmp_path / "whole")
    failing = FailsAt(step=5, question="reflect")
    model = run(4, **{**given, "backend_for": {"Emma Dubois": failing}, "storage": None})
    before = model.state
    with pytest.raises(RepuNetError):
        model.step()
    assert model.state == before
    assert model._public.assessments.stored() == before.get("assessments", {})


def test_norms_show_in_no_prompt_in_any_mode() -> None:
    for reputation, gossip in MODES.values():
        backend = Overheard(TALKATIVE)
        followers = {"Emma Dubois": STERN, "Akiko Sato": PRIVATE}
        run(3, reputation=reputation, gossip=gossip, errors=NOISE, backend=backend, backend_for=followers)
        shown = " ".join(request.prompt + request.prompts.system for request in backend.requests)
        assert "Emma Dubois" in shown
        assert not re.search(r"standing|stern_judging|by a norm", shown)


def test_the_manifest_holds_the_norm_and_its_settings() -> None:
    described = run(0, backend=f"{PRIVATE},learning_rate=0.3").manifest().data["backend"]
    norm = {"backend": "norm", "norm": "stern_judging", "assessment": "private", "observed": 0.7}
    assert {**norm, "learning_rate": 0.3}.items() <= described.items()


WRONG = {
    "norm": "backend 'norm:': norm '': unknown; choose one of image_scoring, simple_standing (L3)",
    "norm:L9": "backend 'norm:L9': norm 'L9': unknown",
    "norm:L3,assessment=secret": "assessment is 'secret': choose public or private",
    "norm:L3,observed=2": "observed is 2.0: must be a share from 0 to 1",
    "norm:L3,observed=half": "observed is nan: must be a share from 0 to 1",
    "norm:L3,boldness=2": "backend 'norm:L3,boldness=2': unknown parameter 'boldness'",
}


def test_what_is_wrong_with_a_norm_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for backend, problem in WRONG.items():
        words = ["run", "--scenario", "donation", "--steps", "1", "--backend", backend]
        assert problem in complaint(words, capsys)


@pytest.mark.parametrize("game", ["investment", "sign_up"])
def test_norms_are_refused_where_they_mean_nothing(game: str) -> None:
    with pytest.raises(ConfigurationError, match=f"'norm:stern_judging' has no meaning in the game '{game}'"):
        run(0, game=game)


# The textbook


def long_run(norm: str, assessment: str) -> float:
    """Return the mean cooperation of 30 agents in steps 21 to 60, with 5 % slips and misperceptions."""
    return cooperation(society(f"norm:{norm},assessment={assessment}", 1, agents=30), 21, 60)


@pytest.mark.thorough
def test_public_assessment_sustains_cooperation_by_standing_and_judging_and_not_by_scoring() -> None:
    found = {name: long_run(name, "public") for name in ("simple_standing", "stern_judging", "image_scoring")}
    assert found["simple_standing"] > 0.8
    assert found["stern_judging"] > 0.8
    assert found["image_scoring"] < 0.65
    # By scoring the share of the good drifts: with 30 agents it deviates by 0.15 in a step, and 10 steps hang together.
    for name, tolerance in (("simple_standing", TOLERANCE), ("stern_judging", TOLERANCE), ("image_scoring", 0.2)):
        assert found[name] == pytest.approx(expected(NORMS[name], "public"), abs=tolerance)


def test_private_noisy_assessment_ends_stern_judging_at_one_half() -> None:
    """Uchida & Sasaki (2013), Hilbe et al. (2018)."""
    assert expected(NORMS["stern_judging"], "private") == pytest.approx(0.5)
    assert long_run("stern_judging", "private") == pytest.approx(0.5, abs=0.06)


def test_pairs_of_tit_for_tat_decay_to_one_half_under_slips() -> None:
    measured = paired(40, 12, slip=0.1)
    for step, rate in enumerate(measured, 1):
        assert rate == pytest.approx(in_pairs(step, slip=0.1), abs=0.2)  # 80 acts
    assert mean(measured[8:]) < 0.65 < 0.85 < measured[0]


def test_the_expectation_is_the_fixed_point_of_an_encounter() -> None:
    for norm, assessment in product(NORMS.values(), ("public", "private")):
        rates = [expected(norm, assessment, slip, slip) for slip in (0.0, 0.05)]
        assert rates[0] == 1
        assert 0 <= rates[1] < 1
    assert after(NORMS["image_scoring"], 0.5, "public", 0.05, 0.05) == pytest.approx((0.5, 0.5))


def test_the_tables_of_the_page_are_those_of_the_code() -> None:
    page = (ROOT / "docs" / "theory.md").read_text(encoding="utf-8")
    for norm in NORMS.values():
        good, bad = norm.assessment.split()
        alias = f" (`{norm.alias}`)" if norm.alias else ""
        assert f"| `{norm.name}`{alias} | {' '.join(good)} | {' '.join(bad)} | {' '.join(norm.action)} |" in page
