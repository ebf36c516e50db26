"""Runs that were copied to other systems, and what those do to folders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from repunet_model import RepuNetModel
from repunet_model.cli import main
from repunet_model.errors import ConfigurationError, StorageError
from repunet_model.reference_layout import export_step
from repunet_model.storage import StepReader, run_names
from tests.conftest import contents


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four steps."""
    storage = tmp_path_factory.mktemp("made")
    with RepuNetModel(n_agents=4, rng=1, storage=str(storage), run_name="it") as model:
        for _ in range(4):
            model.step()
    return storage / "it"


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of the run, in a folder whose name has blanks and letters beyond ASCII."""
    storage = tmp_path / "dane z 王 (żółte)"
    shutil.copytree(made, storage / "it", ignore=shutil.ignore_patterns(".*lock"))
    return storage / "it"


def complaint(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(words) == 2
    shown = capsys.readouterr()
    assert shown.err.count("\n") == 1
    return shown.err


def convert(folder: Path) -> None:
    """Change line endings as Git does on Windows."""
    for file in folder.rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))


@pytest.mark.parametrize("part", ["", "step_2"])
def test_changed_line_endings_are_named_as_the_cause(
    part: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    convert(folder / part)
    assert main(["check", str(folder)]) == 1
    assert "its line endings were changed from LF to CR LF" in capsys.readouterr().out
    assert "LF to CR LF" in complaint(["resume", str(folder), "--steps", "1"], capsys)
    with pytest.raises(StorageError, match=r"the line `\* -text` in \.gitattributes"):
        RepuNetModel.load(folder)


def test_another_change_is_not_blamed_on_line_endings(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder / "step_2" / "state.json"
    file.write_bytes(file.read_bytes().replace(b"a", b"b", 1))
    assert main(["check", str(folder)]) == 1
    shown = capsys.readouterr().out
    assert "state.json is not what was written" in shown
    assert "line endings" not in shown


def test_what_systems_drop_into_folders_is_no_damage(
    made: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exported = export_step(StepReader.open(made), 2, tmp_path / "published")
    for place in (folder.parent, folder, folder / "step_0", folder / "step_2", exported, exported / "personas"):
        for name in (".DS_Store", "._it", "._manifest.json", "Thumbs.db", "desktop.ini"):
            (place / name).write_bytes(b"\0")
    assert main(["check", str(folder)]) == 0
    assert run_names(folder.parent) == ["it"]
    assert main(["fork", f"{folder}/step_2", "--sim-name", "f", "--storage", str(folder.parent)]) == 0
    assert not list((folder.parent / "f").rglob("*.DS_Store"))
    assert main(["import", str(tmp_path / "published"), "--sim-name", "i", "--storage", str(folder.parent)]) == 0


def test_steps_before_a_missing_one_can_be_used(folder: Path, made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(folder / "step_3")
    storage = ["--storage", str(folder.parent)]
    assert "step 3 is missing; name a step before it, as in " in complaint(["show", "it", *storage], capsys)
    assert "step 3 is missing" in complaint(["resume", "it", "--steps", "1", *storage], capsys)
    assert "step 3 is missing" in complaint(["resume", "it/step_3", "--steps", "1", *storage], capsys)
    assert main(["check", "it", *storage]) == 1
    shown = capsys.readouterr().out
    assert "step 3 is missing" in shown
    assert "1 problem; to go on from the last whole step: " in shown
    assert shown.rstrip().endswith("/step_2")
    assert main(["show", "it/step_2", *storage]) == 0
    assert main(["resume", "it/step_2", "--steps", "2", "--sim-name", "on", *storage]) == 0
    for step in ("step_3", "step_4"):
        own, other = contents(folder.parent / "on" / step), contents(made / step)
        assert {name: own[name] for name in own if name != "manifest.json"} == {
            name: other[name] for name in other if name != "manifest.json"
        }


@pytest.mark.parametrize("moment", ["before the first step", "later"])
def test_a_run_that_was_deleted_under_way_is_said_to_be_gone(moment: str, folder: Path) -> None:
    with RepuNetModel.load(folder) as model:
        if moment == "later":
            model.step()
        shutil.rmtree(folder)
        with pytest.raises(StorageError, match="is gone: it was deleted or moved while the run was under way") as error:
            model.step()
        assert "\n" not in str(error.value)
    assert not folder.exists()


def test_a_command_says_in_one_line_that_its_run_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stepping = RepuNetModel.step

    def step(model: RepuNetModel) -> None:
        stepping(model)
        if model.steps == 2:
            (tmp_path / "it").rename(tmp_path / "elsewhere")

    monkeypatch.setattr(RepuNetModel, "step", step)
    words = ["run", "-n", "4", "--steps", "3", "--sim-name", "it", "--storage", str(tmp_path)]
    said = complaint(words, capsys)
    assert said == f"error: {tmp_path / 'it'} is gone: it was deleted or moved while the run was under way\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere"]


def test_an_export_makes_the_folder_it_lies_in(folder: Path, tmp_path: Path) -> None:
    for layout in ("published", "graphml", "csv"):
        out = tmp_path / "nowe" / "王" / layout
        assert main(["export", str(folder), str(out), "--layout", layout]) == 0
        files = [out] if out.is_file() else [file for file in out.rglob("*") if file.is_file()]
        assert files
        assert not any(b"\r" in file.read_bytes() for file in files)


@pytest.mark.parametrize("names", [("Con", "Ann"), ("Ann", "ann")])
def test_agents_whose_folders_other_systems_lack_are_not_exported(names: tuple[str, str], tmp_path: Path) -> None:
    people = tmp_path / "people.json"
    rows = [{"name": name, "disposition": "altruistic"} for name in names]
    people.write_text(json.dumps(rows), encoding="utf-8-sig")
    with RepuNetModel(personas=str(people), storage=str(tmp_path), run_name="it"):
        pass
    with pytest.raises(ConfigurationError, match="a folder for each agent"):
        export_step(StepReader.open(tmp_path / "it"), 0, tmp_path / "out")
    assert not (tmp_path / "out").exists()
