from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.main import get_group

from repunet_model.cli import main
from repunet_model.cli.app import app
from repunet_model.errors import RepuNetError
from repunet_model.model import RepuNetModel
from tests.conftest import complaint


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--scenario", "chess"], "unknown scenario 'chess'"),
        (["--steps", "0"], "--steps"),
        (["--steps", "-1"], "--steps"),
        (["--steps", "x"], "--steps"),
        (["--reputation", "perhaps"], "say y or n"),
        (["--backend", "oracle"], "unknown backend 'oracle'"),
        (["--backend", "openai"], "OPENAI_API_KEY is not set"),
        (["--activation", "random"], "unknown activation 'random'"),
        (["--sim-name", "../x"], "run name '../x'"),
        (["--sim-name", ""], "run name ''"),
        (["--sim-name", "x" * 300], "run name"),
        (["--seed", "soon"], "--seed"),
        (["--n-agents", "1"], "--n-agents"),
        (["--personas", "nowhere.json"], "persona file nowhere.json: no such file"),
        (["--no-such-option"], "--no-such-option"),
    ],
)
def test_bad_input_is_one_clear_line(words: list[str], problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert problem in complaint(["run", *words], capsys)


ANN = {"name": "Ann", "disposition": "altruistic"}
BOB = {"name": "Bob", "disposition": "self-interested"}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("not json", "not JSON (line 1, column 1"),
        ("{}", "names nobody"),
        ("3", "must be a list of personas"),
        (json.dumps([ANN, ANN]), "'Ann' is there twice"),
        (json.dumps([ANN, {**BOB, "name": " "}]), "persona 1.name"),
        (json.dumps([ANN]), "1 persona(s), at least 2"),
        (json.dumps([]), "0 persona(s)"),
        (json.dumps([ANN, {"name": "Bob"}]), "persona 1.disposition"),
        (json.dumps([ANN, {**BOB, "disposition": "evil"}]), "persona 1.disposition"),
        (json.dumps([ANN, {**BOB, "mood": "good"}]), "persona 1: 'mood': unknown"),
        (json.dumps([ANN, {**BOB, "name": "B\nob"}]), "persona 1.name"),
        (json.dumps([ANN, {**BOB, "name": "\u200b"}]), "persona 1.name"),
        ("[" * 200_000, "not JSON that can be read"),
        ('[{"name": "Ann", "disposition": "altruistic", "age": ' + "9" * 5000 + "}]", "not JSON that can be read"),
    ],
)
def test_a_bad_persona_file_is_one_clear_line(content: str, problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("people.json").write_text(content)
    line = complaint(["run", "--personas", "people.json"], capsys)
    assert "persona file people.json" in line
    assert problem in line


def test_a_persona_file_that_is_no_text_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("people.json").write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in complaint(["run", "--personas", "people.json"], capsys)


@pytest.mark.parametrize("figure", ["", "picture", "picture.xyz", "/proc/nowhere/picture.png"])
def test_a_picture_that_cannot_be_drawn_is_named_before_the_work(
    figure: str, capsys: pytest.CaptureFixture[str]
) -> None:
    complaint(["compare", "--figure", figure], capsys)


def test_a_storage_that_cannot_be_written_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("")
    assert "storage file/runs cannot be written" in complaint(["run", "--storage", "file/runs"], capsys)


def test_a_name_that_is_taken_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "--steps", "1", "--sim-name", "demo"]
    assert main(words) == 0
    capsys.readouterr()
    assert "run 'demo' is already in sim_storage" in complaint(words, capsys)


def test_an_odd_persona_file_runs_and_its_rates_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    Path("people.json").write_text(json.dumps([ANN, BOB, {**ANN, "name": "Cem", "learned": "You love cats."}]))
    assert main(["run", "--personas", "people.json", "--steps", "2", "--sim-name", "demo"]) == 0
    shown = capsys.readouterr()
    assert "Rates by step" in shown.out
    assert "sim_storage/demo" in shown.out
    assert "step 2/2" in shown.err
    model = RepuNetModel.load("sim_storage/demo")
    assert model.steps == 2
    assert {agent.name for agent in model.agents} == {"Ann", "Bob", "Cem"}


def test_resume_goes_on_and_names_what_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    main(["run", "--steps", "1", "--sim-name", "demo", "-n", "4"])
    assert main(["resume", "demo", "--steps", "2"]) == 0
    assert RepuNetModel.load("sim_storage/demo").steps == 3
    capsys.readouterr()
    assert "no run at sim_storage/dream" in complaint(["resume", "dream"], capsys)


def test_the_storage_can_be_set_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPUNET_STORAGE", "elsewhere")
    assert main(["run", "--steps", "1", "--sim-name", "demo", "-n", "4"]) == 0
    assert Path("elsewhere/demo/step_1/state.json").is_file()


def test_a_damaged_or_newer_run_is_not_read_silently(capsys: pytest.CaptureFixture[str]) -> None:
    main(["run", "--steps", "1", "--sim-name", "demo", "-n", "4"])
    state = Path("sim_storage/demo/step_1/state.json")
    whole = state.read_text()
    state.write_text(whole[:-9])
    with pytest.raises(RepuNetError, match=r"state\.json is not what was written"):
        RepuNetModel.load("sim_storage/demo")
    state.write_text(whole)
    manifest = Path("sim_storage/demo/manifest.json")
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format": 99}))
    capsys.readouterr()
    assert "format 99 is not known" in complaint(["resume", "demo"], capsys)


@pytest.mark.parametrize("scenario", ["pd", "p", "invest", "i", "investment", "sign", "s", "sign_up", "donation"])
def test_scenarios_are_known_by_the_names_of_the_published_runner(scenario: str) -> None:
    assert main(["run", "--scenario", scenario, "--steps", "1", "-n", "4", "--sim-name", "demo"]) == 0


def test_show_tells_what_happened_in_a_step(capsys: pytest.CaptureFixture[str]) -> None:
    main(["run", "--scenario", "sign", "--steps", "6", "--sim-name", "demo"])
    capsys.readouterr()
    assert main(["show", "demo", "--step", "6"]) == 0
    shown = capsys.readouterr().out
    for heading in (
        "Public choices",
        "Encounters",
        "Gossip",
        "Reputations, with scores from -1 (very bad) to +1 (very good)",
        "Ties",
    ):
        assert f"\n{heading}\n" in shown
    model = RepuNetModel.load("sim_storage/demo")
    gossip = model.datacollector.get_table_dataframe("gossip")
    told = list(gossip[gossip["step"] == 6]["summary"])
    assert told
    assert all(text in shown for text in told)
    assert main(["show", "demo", "--step", "0"]) == 0
    assert "Emma Dubois (altruistic)" in capsys.readouterr().out


def test_show_tells_what_an_agent_went_through(capsys: pytest.CaptureFixture[str]) -> None:
    main(["run", "--scenario", "i", "--steps", "4", "--sim-name", "demo"])
    capsys.readouterr()
    assert main(["show", "demo", "--agent", "Emma Dubois"]) == 0
    shown = capsys.readouterr().out
    model = RepuNetModel.load("sim_storage/demo")
    emma = model.agent("Emma Dubois")
    assert f"owns {emma.resources} units" in shown
    for event in emma.memory.snapshot():
        assert event.text in shown
    for record in emma.ledger.present():
        assert f"of {record.subject} as {record.role}: {record.score:+.2f} «{record.text}»" in shown
    assert "no agent is called 'Emma'" in complaint(["show", "demo", "--agent", "Emma"], capsys)
    assert "the last is 4" in complaint(["show", "demo", "--step", "5"], capsys)
    assert "no run at sim_storage/dream" in complaint(["show", "dream"], capsys)


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(command in shown for command in ("run", "resume", "compare", "sweep", "report", "study"))


def test_help_lists_every_command_in_a_group(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    listed = re.findall(r"^  ([a-z][a-z-]*)  ", capsys.readouterr().out, re.MULTILINE)
    assert sorted(listed) == sorted(get_group(app).commands)
