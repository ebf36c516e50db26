"""Runs and replies that somebody else has made, sealed as whole ones are, and still not what they should be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from repunet_model import RepuNetModel, load_run
from repunet_model.backends.human import _number
from repunet_model.chronicle import Chronicle
from repunet_model.cli import main
from repunet_model.errors import StorageError
from repunet_model.personas import Disposition, Persona
from repunet_model.reference_layout import export_step, import_run
from repunet_model.results.describe import of_agent
from repunet_model.storage import RunFolder, StepReader
from repunet_model.testing import Body, Endpoint, completion, endpoint, reply_to
from tests import hostile
from visualization import drawing


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def stored(steps: int = 0, name: str = "theirs", **parameters: Any) -> Path:
    """Return the folder of a run of four agents."""
    model = RepuNetModel(**{"n_agents": 4, "rng": 1, "storage": "sim_storage", "run_name": name, **parameters})
    with model:
        for _ in range(steps):
            model.step()
    return Path("sim_storage") / name


def one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line in which a command says what is wrong."""
    capsys.readouterr()
    assert main(words) == 2, words
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    return shown.err


def test_who_lets_go_of_a_run_does_not_let_others_in_while_somebody_else_writes() -> None:
    folder = stored(1)
    writing, looking = RepuNetModel.load(folder), RepuNetModel.load(folder)
    writing.step()
    looking.close()
    del looking
    lock = (folder / ".lock").resolve()
    imports = "from pathlib import Path; from repunet_model.storage import RunFolder"
    somebody = f"{imports}; RunFolder.open(Path({str(folder)!r})).hold()"
    done = subprocess.run([sys.executable, "-c", somebody], capture_output=True, check=False)
    assert b"StorageError: another process writes to" in done.stderr
    assert lock.exists()
    writing.close()
    with RepuNetModel.load(folder) as again:
        again.step()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"game": None}, "game is None"),
        ({"backend_for": []}, "backend_for is missing, or is not an object"),
        ({"seed": "1"}, "seed is '1'"),
        ({"parent": "theirs"}, "parent is not that of a fork"),
        ({"parent": {"run": "x"}}, "parent is not that of a fork"),
    ],
)
def test_a_sealed_manifest_that_is_none_is_one_line(
    changes: dict[str, Any], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile.forge(stored(), **changes)
    for words in (["show", "theirs"], ["resume", "theirs"], ["seed", "--from-seed", "theirs", "--sim-name", "x"]):
        assert problem in one_line(words, capsys)
    assert main(["check", "theirs"]) == 1
    assert problem in capsys.readouterr().out


def test_resources_that_are_no_number_are_damage(capsys: pytest.CaptureFixture[str]) -> None:
    folder = stored(1)
    state = json.loads((folder / "step_1" / "state.json").read_text())
    state["agents"][0]["resources"] = "abc"
    hostile.reseal(folder, 1, {"state": state})
    assert "damaged" in one_line(["resume", "theirs"], capsys)


@pytest.mark.parametrize("name", ["replies_unread.jsonl", "replies.jsonl", "usage_failed.jsonl", "step_1"])
def test_a_run_with_links_to_elsewhere_is_not_read(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = stored()
    Path("private").write_text("mine")
    (folder / name).symlink_to(Path("private").resolve())
    for words in (["fork", "theirs", "--sim-name", "x"], ["resume", "theirs"]):
        assert f"{name} is a link" in one_line(words, capsys)
    assert Path("private").read_text() == "mine"
    assert not Path("sim_storage/x").exists()


def test_a_step_cannot_name_files_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    folder = stored()
    path = folder / "step_0" / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "files": {**manifest["files"], "../../../secret": "0"}}))
    assert main(["check", "theirs"]) == 1
    assert "not the manifest of a step" in capsys.readouterr().out


@pytest.mark.parametrize(
    "line",
    [
        "[" * 10_000,
        '{"at": [1], "attempt": 0, "request": "r", "text": "t", "usage": {"weather": 1}}',
        '{"at": [1], "attempt": 0, "request": "r", "text": "t", "usage": {}, "problem": "p"}',
    ],
)
def test_a_file_of_replies_that_is_none_is_one_line(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    (stored() / "replies.jsonl").write_text(f"{line}\n")
    assert "damaged" in one_line(["resume", "theirs"], capsys)


def test_mail_that_is_no_text_is_damage(local_endpoint: Endpoint) -> None:
    folder = stored(backend="openai")
    (folder / "replies_unread.jsonl").write_text('{"digest": "d", "content": 5}\n')
    with RepuNetModel.load(folder) as model, pytest.raises(StorageError, match="line 1: damaged"):
        model.step()
    assert local_endpoint.requests == []


def test_a_step_is_whole_though_its_replies_cannot_be_removed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path.name == "replies.jsonl":
            raise PermissionError(13, "Permission denied")
        unlink(path, missing_ok=missing_ok)

    with endpoint() as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        monkeypatch.setattr(Path, "unlink", refuse)
        with RepuNetModel(backend="openai", n_agents=2, gossip=False, rng=1, storage="s", run_name="it") as model:
            model.step()
            model.step()
            assert list(model.datacollector.get_model_vars_dataframe().index) == [0, 1, 2]
    assert "cannot be removed (Permission denied)" in caplog.text
    assert load_run("s/it").last_step == 2


def test_a_fused_reply_that_is_nested_without_end_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    nested = 0

    def answer(number: int, body: Body) -> web.Response | None:
        nonlocal nested
        if nested or not any(isinstance(part, dict) for part in reply_to(body).values()):
            return None
        nested += 1
        return completion("[" * 100_000)

    with endpoint(fault=answer) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with RepuNetModel(backend="openai", n_agents=2, questions="fused", rng=1) as model:
            model.step()
            assert model.usage.reasks == nested == 1


@pytest.mark.parametrize("text", ["9" * 400, "-" + "9" * 400])
def test_a_human_may_type_a_long_number(text: str) -> None:
    with pytest.raises(ValueError, match="type a number from 0 to 100"):
        _number(text, {"type": "integer", "minimum": 0, "maximum": 100})


@pytest.mark.parametrize(
    "words",
    [
        ["show", f"theirs/step_{'9' * 5000}"],
        ["sweep", "-n", "9" * 5000],
        ["fork", "theirs", "--set", f"dialogue_turns={'9' * 5000}"],
    ],
    ids=["step", "agents", "turns"],
)
def test_numbers_of_thousands_of_digits_are_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    stored()
    one_line(words, capsys)


def test_a_sweep_whose_file_says_nonsense_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "--seeds", "1", "--steps", "1", "-n", "4", "--name", "few"]) == 0
    file = Path("sim_storage/few/sweep.json")
    sweep = json.loads(file.read_text())
    for changes in ({"steps": "1"}, {"seeds": 5}, {"seeds": ["../x"]}, {"grids": [{"weather": ["fine"]}]}):
        file.write_text(json.dumps({**sweep, **changes}))
        assert "sweep.json" in one_line(["report", "few", "--out", "out"], capsys)


def test_names_cannot_be_taken_for_several() -> None:
    with pytest.raises(ValueError, match="holds ' < '"):
        Persona(name="A < B", disposition=Disposition.ALTRUISTIC)


def test_the_past_of_an_imported_run_is_shown_with_its_own_steps() -> None:
    folder = RunFolder.open(stored(4, n_agents=10))
    export_step(StepReader(folder), 4, Path("step_4"))
    imported = import_run(Path("step_4"), Path("sim_storage"), "imported").folder
    gossip = [row for step in range(1, 5) for row in imported.table(step, "gossip")]
    names = {row["gossiper"] for row in gossip}
    assert names
    name = min(names)
    shown = list(of_agent(StepReader(imported), name, 4))
    thought = [row["subject"] for n in range(1, 5) for row in imported.table(n, "records") if row["holder"] == name]
    assert thought
    assert all(any(line.startswith(f"  of {subject} as") for line in shown) for subject in thought)
    rows = drawing.gossip(Chronicle.of_run(StepReader(imported)), 4)
    assert {row["step"] for row in rows} == {row["step"] for row in gossip} != {0}


@pytest.mark.parametrize("value", ['"abc"', "1e400", "[" * 5000 + "]" * 5000])
def test_what_an_export_kept_and_somebody_changed_is_one_line(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    export_step(StepReader.open(stored(1)), 1, Path("step_1"))
    file = Path("step_1/step_1/reverie/meta.json")
    data = json.loads(file.read_text())
    data["repunet_mesa"] = {**dict.fromkeys(data["repunet_mesa"], "HERE"), "sha256": data["repunet_mesa"]["sha256"]}
    file.write_text(json.dumps(data).replace('"HERE"', value))
    assert "step_1" in one_line(["import", "step_1"], capsys)
