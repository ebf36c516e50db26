"""A session at the prompt: through a pipe, and on a terminal."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from repunet_model.cli import main
from repunet_model.model import RepuNetModel
from repunet_model.testing import endpoint, error
from tests.conftest import contents

STORED = Path("sim_storage")
NEW = ["", "y", "n", "pd"]
"""A new run with reputation and without gossip."""
OWN = STORED / "prisoners_dilemma_reputation_seed1"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


Session = Callable[..., tuple[str, list[str]]]


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Session:
    """Hold a session with typed lines; returns what was shown, and the complaints."""

    def hold(*lines: str, options: tuple[str, ...] = ("-n", "4")) -> tuple[str, list[str]]:
        capsys.readouterr()
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        assert main(["shell", *options]) == 0
        shown = capsys.readouterr()
        complaints = [line for line in shown.err.splitlines() if not line.startswith(("step ", "Loading", "Waiting"))]
        assert all(line.startswith("error: ") for line in complaints), complaints
        return shown.out, complaints

    return hold


def stored(name: str = "demo", steps: int = 2) -> dict[str, bytes]:
    """Make a run, and return its files."""
    assert main(["run", "--steps", str(steps), "-n", "4", "--sim-name", name]) == 0
    return contents(STORED / name)


def test_a_session_starts_runs_shows_saves_and_leaves(session: Session) -> None:
    shown, complaints = session(*NEW, "run pd 2", "run 1", "status", "show Akiko Sato", "save", "help", "fin", "run 9")
    assert complaints == []
    assert shown.count("Rates by step") == 2
    assert f"{OWN}, step 3: prisoners_dilemma, reputation, seed 1" in shown
    assert "cooperation_rate 0.75" in shown
    assert "72 calls, 0 tokens" in shown
    assert "Akiko Sato after step 3" in shown
    assert shown.count(f"Stored: {OWN}, whole up to step 3") == 2
    assert "run [SCENARIO] STEPS" in shown
    main(["run", "--steps", "3", "-n", "4", "--gossip", "n", "--sim-name", "single"])
    assert contents(OWN) == contents(STORED / "single")


@pytest.mark.parametrize("end", [["fin"], [], ["exit", "n"], ["exit"]])
def test_a_run_is_kept_unless_its_end_is_asked_for(end: list[str], session: Session) -> None:
    shown, complaints = session(*NEW, "run 2", *end)
    assert complaints == []
    assert RepuNetModel.load(OWN).steps == 2
    assert str(OWN) in shown.splitlines()[-1]


def test_exit_asks_until_it_is_told_and_deletes_only_the_run_it_started(session: Session) -> None:
    before = stored(OWN.name)
    shown, complaints = session(*NEW, "run 1", "exit", "perhaps", "exit", "y")
    assert complaints == ["error: 'perhaps': say y or n"]
    assert f"Deleted: {OWN}_2" in shown
    assert [path.name for path in STORED.iterdir()] == [OWN.name]
    assert contents(OWN) == before


def test_a_run_that_was_there_goes_on_in_place_and_is_never_deleted(session: Session) -> None:
    stored()
    shown, complaints = session("demo", "run pd 1", "exit", "y", options=())
    assert complaints == []
    assert "Kept: sim_storage/demo, which was there before, up to step 3" in shown
    assert RepuNetModel.load("sim_storage/demo").steps == 3
    main(["run", "--steps", "3", "-n", "4", "--sim-name", "single"])
    assert contents(STORED / "demo") == contents(STORED / "single")


@pytest.mark.parametrize("start", ["demo/step_1", "sim_storage/demo/step_1/"])
def test_from_an_earlier_step_it_forks_and_the_fork_can_be_deleted(start: str, session: Session) -> None:
    before = stored()
    shown, _ = session(start, "run 1", "fin", options=())
    assert "sim_storage/demo_from_1, step 1" in shown
    assert RepuNetModel.load("sim_storage/demo_from_1").steps == 2
    session(start, "run 1", "exit", "yes", options=())
    assert sorted(path.name for path in STORED.iterdir()) == ["demo", "demo_from_1"]
    assert contents(STORED / "demo") == before


def test_a_seed_starts_a_run_in_the_mode_and_scenario_that_are_asked_for(session: Session) -> None:
    RepuNetModel(n_agents=4, rng=7, game="investment", storage="sim_storage", run_name="seed")
    before = contents(STORED / "seed")
    shown, _ = session("seed", "y", "n", "", "run invest 1", "exit", "y", options=())
    assert "Scenario (pd, investment, sign_up, donation) [investment]:" in shown
    assert "investment, reputation, seed 7" in shown
    assert [path.name for path in STORED.iterdir()] == ["seed"]
    assert contents(STORED / "seed") == before


def test_whatever_is_wrong_is_one_line_and_the_session_goes_on(session: Session) -> None:
    wrong = {
        "run": "must read run STEPS",
        "run pd": "must read run STEPS",
        "run 0": "at least 1 step",
        "run -1": "at least 1 step",
        "run " + "9" * 5000: "must read run STEPS",
        "run pd 1 2": "must read run STEPS",
        "run investment 1": "the scenario of this run is prisoners_dilemma",
        "run chess 1": "unknown scenario 'chess'",
        "show": "name an agent",
        "show Nobody": "no agent is called 'Nobody'",
        "dance": "unknown command 'dance'",
        "save elsewhere": "save stands alone",
        "exit now": "exit stands alone",
    }
    starts = ["dream", "../..", "demo/step_9", "", "maybe", "", "", "chess", ""]
    stored()
    _, complaints = session(*starts, *wrong, "run 1", options=())
    problems = [
        *("no run at sim_storage/dream", "no run at ../..", "step 9 of sim_storage/demo is not there"),
        *("'maybe': say y or n", "unknown scenario 'chess'"),
        *wrong.values(),
    ]
    assert len(complaints) == len(problems)
    for complaint, problem in zip(complaints, problems, strict=True):
        assert problem in complaint
    assert RepuNetModel.load("sim_storage/prisoners_dilemma_full_seed1").steps == 1


def test_options_of_new_runs_are_refused_for_a_stored_one(session: Session) -> None:
    stored()
    _, complaints = session("demo", options=("--seed", "3"))
    assert complaints == ["error: --seed 3 is for a new run: a stored one has its own"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--backend", "oracle"], "unknown backend 'oracle'"),
        (["--backend", "human"], "has the keyboard to themselves"),
        (["--storage", "file/runs"], "cannot be written"),
        (["--n-agents", "1"], "--n-agents"),
    ],
)
def test_options_that_cannot_be_used_end_it_at_once(
    options: list[str], problem: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").write_text("")
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n\n\n\n"))
    assert main(["shell", *options]) == 2
    assert problem in capsys.readouterr().err
    assert [path.name for path in Path().iterdir()] == ["file"]


def test_an_input_that_ends_before_there_is_a_run_leaves_nothing(session: Session) -> None:
    session("", "y")
    assert list(Path().iterdir()) == []


def test_a_run_that_was_damaged_meanwhile_is_not_said_to_be_stored(session: Session) -> None:
    stored()
    state = STORED / "demo" / "step_1" / "state.json"
    state.write_text(state.read_text()[:-9])
    _, complaints = session("demo", options=())
    assert len(complaints) == 1
    assert "step_1/state.json is not what was written" in complaints[0]


def test_a_failed_step_is_one_line_and_can_be_tried_again(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint(fault=lambda number, body: error(401, "who are you?") if number == 0 else None) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        shown, complaints = session(*NEW, "run 2", "status", "run 2", options=("-n", "4", "--backend", "openai"))
    assert len(complaints) == 1
    assert "who are you?" in complaints[0]
    assert complaints[0].endswith("the run is whole up to step 0, go on with: run 2")
    assert f"{OWN}, step 0" in shown
    assert RepuNetModel.load(OWN).steps == 2
