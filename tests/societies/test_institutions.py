"""Societies under every institution: who sees what of whom, what is stored of it, and what is refused."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from repunet_model import RepuNetModel, load_run
from repunet_model.backends.mind import Rules
from repunet_model.backends.rules import RulesBackend
from repunet_model.chronicle import Chronicle
from repunet_model.cli import main
from repunet_model.config import RunConfig
from repunet_model.errors import ConfigurationError
from repunet_model.mechanism import Institution
from repunet_model.questions.base import PublicOpinion
from repunet_model.questions.encounter import ReportToBoard
from repunet_model.results.interview import _question
from repunet_model.stages.institutions import IMAGE_BOUND, REPORTS_SHOWN, PublicRecords
from repunet_model.storage import StepReader
from repunet_model.storage.schema import REPORTS, Notice
from tests.backends import FailsAt, Overheard
from tests.conftest import complaint, contents
from tests.contract import TALKATIVE, GameContract
from tests.societies import test_games
from tests.societies.test_mechanism import GAMES, outcome
from visualization import drawing

PUBLIC = [each for each in Institution if each.is_public]
ALL_GAMES = {**GAMES, "donation": test_games.TestDonation()}
EAGER = Rules(gossip_threshold=0.0, social_precision=1.5, tie_threshold=-1.0)


def society(contract: GameContract, institution: str, steps: int = 3, **parameters: Any) -> RepuNetModel:
    given = {"n_agents": 5, "backend": RulesBackend(EAGER), **parameters}
    return contract.run(steps, mechanism=f"paper,public_period=2,institution={institution}", **given)


@pytest.mark.parametrize("institution", PUBLIC)
@pytest.mark.parametrize("contract", ALL_GAMES.values(), ids=ALL_GAMES)
def test_everybody_is_shown_the_same_of_an_agent_the_agent_included(
    contract: GameContract, institution: Institution
) -> None:
    backend = Overheard(TALKATIVE)
    society(contract, institution, 4, backend=backend, n_agents=6)
    shown: defaultdict[tuple[int, bool, str, str], dict[PublicOpinion, set[str]]] = defaultdict(dict)
    for request in backend.requests:
        question, where = request.question, request.coordinates
        opinions = [getattr(question, name) for name in question.__dataclass_fields__]
        opinions += [
            each.opinion
            for people in opinions
            if isinstance(people, tuple)
            for each in people
            if hasattr(each, "opinion")
        ]
        for opinion in opinions:
            if isinstance(opinion, PublicOpinion):
                key = (where.step, where.stage == "opening", opinion.subject, opinion.role)
                shown[key].setdefault(opinion, set()).add(where.agent)
                assert opinion.subject in request.prompt or opinion.subject == request.persona.name
    assert any(subject in readers for (*_, subject, _), seen in shown.items() for readers in seen.values())
    assert any(len(readers) > 1 for seen in shown.values() for readers in seen.values())
    # Within a step it changes once at most: between the encounters and the gossip after them.
    assert all(len(seen) == 1 for seen in shown.values())


WORDS = {
    "private": "in your (own )?eyes|think well of|opinions of themselves",
    "board": "public board",
    "score": "[Pp]ublic scores?|public score",
    "image": "[Ii]mage scores?",
}
"""What prompts say under each institution, and under no other but that the score is made of private records."""


@pytest.mark.parametrize("questions", ["single", "fused"])
@pytest.mark.parametrize("contract", ALL_GAMES.values(), ids=ALL_GAMES)
@pytest.mark.cover
def test_prompts_speak_of_their_own_institution_alone(contract: GameContract, questions: str) -> None:
    for institution in Institution:
        backend = Overheard(TALKATIVE)
        society(contract, institution, backend=backend, questions=questions, n_agents=6)
        texts = {backend.requests[0].prompts.system, *(request.prompt for request in backend.requests)}
        said = {name for name, words in WORDS.items() if any(re.search(words, text) for text in texts)}
        assert said == {institution, *(["private"] if institution is Institution.SCORE else [])} - {"none"}
        of_public = [
            request for request in backend.requests if "none yet" in request.prompt or "no report" in request.prompt
        ]
        assert bool(of_public) is institution.is_public
        asked = any(
            "report" in request.prompt and "to the public board, with which" in request.prompt
            for request in backend.requests
        )
        assert asked is (institution is Institution.BOARD)


def test_without_an_institution_a_run_is_one_without_reputation() -> None:
    contract = GAMES["prisoners_dilemma"]
    nothing, off = (
        society(contract, "none"),
        contract.run(3, n_agents=5, backend=RulesBackend(EAGER), reputation=False, mechanism="paper,public_period=2"),
    )
    assert outcome(nothing) == outcome(off)


def test_an_image_counts_acts_between_its_bounds_and_the_board_keeps_the_latest_reports() -> None:
    images = PublicRecords(Institution.IMAGE)
    assert images.opinion("Ann", "player") == PublicOpinion(None, "Ann", "", Institution.IMAGE)
    assert not images.opinion("Ann", "player").is_known
    assert images.score("Ann", "player") is None
    for _ in range(7):
        images.observe([("Ann", True), ("Bob", False)])
    images.observe([("Ann", False), ("Cem", None)])
    assert images.images == {"Ann": IMAGE_BOUND - 1, "Bob": -IMAGE_BOUND}
    assert images.opinion("Bob", "player").score == -1.0
    assert images.over_roles(["player"], ["Cem", "Ann"]) == {"Ann": 0.8}
    board = PublicRecords(Institution.BOARD)
    board.observe([("Ann", True)])
    assert board.images == {}
    for step in range(1, 9):
        row: Notice = {"step": step, "by": "Bob", "subject": "Ann", "role": "player", "level": "good", "text": "Fair."}
        board.post(row)
    seen = board.opinion("Ann", "player")
    assert [report.step for report in seen.reports] == [4, 5, 6, 7, 8]
    assert len(seen.reports) == REPORTS_SHOWN
    assert seen.score == board.score("Ann", "trustee") == 0.5
    again = PublicRecords(Institution.BOARD)
    again.restore(board.state())
    assert again.state() == board.state()


def test_another_assessment_sees_the_images_before_the_encounter() -> None:
    images = PublicRecords(
        Institution.IMAGE, lambda cooperated, own, partner: 1 if cooperated is (partner is None or partner >= 0) else -1
    )
    images.observe([("Ann", False)])  # A public choice has no partner.
    images.observe([("Ann", True), ("Bob", False)])
    assert images.images == {"Ann": 1, "Bob": 1}


@pytest.mark.parametrize("questions", ["single", "fused"])
@pytest.mark.parametrize("institution", ["board", "image", "score"])
def test_what_is_public_goes_on_after_a_failure_a_load_and_a_fork(
    institution: str, questions: str, tmp_path: Path
) -> None:
    contract = GAMES["investment"]
    parameters: dict[str, Any] = {
        "questions": questions,
        "storage": str(tmp_path),
        "backend": "rules:gossip_threshold=0",
    }
    whole = society(contract, institution, 4, run_name="whole", **parameters)
    society(contract, institution, 2, run_name="parted", **parameters)
    with RepuNetModel.load(tmp_path / "parted") as model:
        assert model.scores == StepReader.open(tmp_path / "whole", 2).step(2).state["scores"]
        for _ in range(2):
            model.step()
        assert model.state == whole.state
    assert contents(tmp_path / "parted") == contents(tmp_path / "whole")
    at = ["--storage", str(tmp_path), "--sim-name"]
    mechanisms = ("paper", f"paper,institution={institution}")
    for source, name, mechanism in zip(("whole/step_2", "private"), ("private", "again"), mechanisms, strict=True):
        assert main(["fork", str(tmp_path / source), "--set", f"mechanism={mechanism}", *at, name]) == 0
    with RepuNetModel.load(tmp_path / "again") as model:
        model.step()
        assert set(model.state) == set(whole.state)
    assert set(StepReader.open(tmp_path / "private").step(2).state) == set(whole.state)


def test_a_failed_step_leaves_no_image_and_no_report() -> None:
    for institution in ("board", "image"):
        backend = FailsAt(step=3, question="disconnect")
        model = society(GAMES["prisoners_dilemma"], institution, 2, backend=backend, n_agents=8)
        before = model.state
        with pytest.raises(Exception, match="the endpoint is down"):
            model.step()
        assert model._state() == before


def test_reports_are_those_of_agents_that_decided_to_report(tmp_path: Path) -> None:
    society(GAMES["investment"], "board", 4, n_agents=8, storage=str(tmp_path), run_name="it")
    run = StepReader.open(tmp_path / "it")
    told = silent = 0
    for step in run.steps(1):
        rows = {(row["by"], row["subject"]): row for row in step.rows(REPORTS)}
        asked = [call for call in step.asked() if call["question"] == ReportToBoard.name]
        for call in asked:
            answer, row = call["answer"], rows.pop((call["agent"], call["about"]), None)
            assert (row is not None) is (answer["decision"] == "report")
            told, silent = told + (row is not None), silent + (row is None)
            if row is not None:
                assert (row["level"], row["text"], row["step"]) == (answer["level"], answer["text"], step.number)
        assert rows == {}
    assert told > 3
    assert silent


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (
            ["--reputation", "n", "--mechanism", "paper,institution=image"],
            "institution=image needs reputation, which this",
        ),
        (
            ["--reputation", "n", "--mechanism", "paper,institution=none"],
            "institution=none needs reputation, which this",
        ),
        (
            ["--mechanism", "paper,institution=score,peer_records=off"],
            "institution=score is the mean of the records of",
        ),
        (
            ["--mechanism", "paper,institution=court"],
            "institution is 'court': choose one of private, board, score, image",
        ),
    ],
)
def test_a_combination_without_a_meaning_is_refused_in_one_line(
    words: list[str], problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert problem in complaint(["run", "--steps", "1", *words], capsys)


def test_a_manifest_from_before_the_switch_is_read_as_private() -> None:
    published = RunConfig.checked({"mechanism": "published"})
    stored = published.stored()
    del stored["mechanism"]["institution"]
    assert RunConfig.of_manifest(stored).mechanism == published.mechanism
    with pytest.raises(ConfigurationError, match="institution is 'court'"):
        RunConfig.of_manifest({**stored, "mechanism": {**stored["mechanism"], "institution": "court"}})


@pytest.mark.parametrize("institution", [*PUBLIC, Institution.PRIVATE])
def test_what_is_public_is_shown_on_the_page_by_show_in_tables_and_in_interviews_and_replayed(
    institution: Institution, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where: dict[str, Any] = {"storage": str(tmp_path), "backend": "rules:gossip_threshold=0"}
    model = society(GAMES["investment"], institution, run_name="it", **where)
    chronicle = Chronicle.of_run(StepReader.open(tmp_path / "it"))
    name = max(model.scores, key=lambda name: model.network.graph.out_degree(name))
    assert {chronicle.score(each, 3) for each in model.scores} == set(model.scores.values())
    lines = drawing.agent(chronicle, 3, name)["public"]
    assert main(["show", str(tmp_path / "it"), "--agent", name]) == 0
    told = capsys.readouterr().out
    assert all(f"  in public: {line}" in told for line in lines)
    nodes = {node["name"]: node["tip"] for node in drawing.network(chronicle, 3, "trustee")["nodes"]}
    agents = load_run(tmp_path / "it").agents.query("step == 3").set_index("name")
    assert ("image" in agents) is (institution is Institution.IMAGE)
    shown = _question(chronicle, 3, name, "Why?").public
    if institution is Institution.IMAGE:
        image = model.state["images"][name]
        assert lines == [f"image score {image}"]
        assert agents.loc[name, "image"] == image
        assert f"score {image / IMAGE_BOUND:+.2f}" in nodes[name]
        assert shown[0] == PublicOpinion(None, name, "", institution, image, standing=image / IMAGE_BOUND)
    elif institution is Institution.BOARD:
        assert len(lines) == len(shown[0].reports) > 0
        assert main(["show", str(tmp_path / "it"), "--step", "3"]) == 0
        assert "\nReports\n" in capsys.readouterr().out
    elif institution is Institution.SCORE:
        assert lines == []
        known = [opinion for opinion in shown if opinion.value is not None]
        assert known
        assert all(opinion.value == chronicle.score(opinion.subject, 3, opinion.role) for opinion in known)
        assert all(opinion.count > 0 for opinion in known)
    else:
        assert lines == [] == list(shown)
    if institution.is_public:
        again = ["--backend", f"replay:{tmp_path}/it", "--sim-name", "again", "--storage", str(tmp_path / "more")]
        assert main(["run", *again]) == 0
        assert contents(tmp_path / "more" / "again") == contents(tmp_path / "it")
