"""Names, texts and files that are alike on every system."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from repunet_model.backends.prices import Prices
from repunet_model.cli import main
from repunet_model.errors import ConfigurationError
from repunet_model.util import files
from repunet_model.util.files import read_toml
from repunet_model.util.screen import escape_unknown, make_console, say
from repunet_model.util.text import at_step, check_name, is_file_name, path_of, program

DEVICES = ["CON", "nul", "Aux", "prn", "COM1", "lpt9", "com¹", "nul.txt", "Con .json", "CONIN$"]


@pytest.mark.parametrize(
    "name", [*DEVICES, "a:b", "a<b", 'a"b', "a|b", "a?", "a*", "a\\b", "a/b", "a.", "a ", "a\tb", ""]
)
def test_a_name_that_windows_forbids_is_no_file_name(name: str) -> None:
    assert not is_file_name(name)


@pytest.mark.parametrize(
    "name", ["console", "com", "COM10", "nullify.txt", "Łukasz Żółć", "王小明", ".hidden", "a b.c-d"]
)
def test_other_names_are_file_names(name: str) -> None:
    assert is_file_name(name)


@pytest.mark.parametrize("name", ["CON", "nul", "aux.2", "Lpt1"])
def test_a_run_is_not_called_like_a_device(name: str) -> None:
    with pytest.raises(ConfigurationError, match="keeps it for a device"):
        check_name(name)


@pytest.mark.parametrize("place", ["nul.json", "no such/con/people.json", "a:b.json", "a?.json"])
def test_a_file_that_is_to_be_made_has_a_name_for_every_system(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate-personas", "-n", "4", "--out", str(tmp_path / place)]) == 2
    shown = capsys.readouterr()
    assert shown.err.count("\n") == 1
    assert "on every system" in shown.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_may_have_any_name(tmp_path: Path) -> None:
    (tmp_path / "a:b").mkdir()
    files.write_new(tmp_path / "a:b" / "new" / "text.txt", "1\n2\n")
    assert (tmp_path / "a:b" / "new" / "text.txt").read_bytes() == b"1\n2\n"


def test_a_path_may_have_the_slashes_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sep", "\\")
    assert at_step("runs\\it\\step_2", Path("storage")) == (Path("runs/it"), 2)
    assert at_step("it\\step_2", Path("storage")) == (Path("storage/it"), 2)
    assert path_of("runs\\it", Path("storage")) == Path("runs\\it")


@pytest.mark.parametrize(
    ("called", "name"),
    [
        ("/x/run.py", "uv run run.py"),
        ("/x/repunet_model/__main__.py", "python -m repunet_model"),
        ("/x/pytest/__main__.py", "repunet"),
        ("/bin/repunet", "repunet"),
    ],
)
def test_commands_in_messages_are_called_as_the_program_was(
    called: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [called])
    assert program() == name


@pytest.mark.parametrize(
    ("encoding", "shown"), [("cp1252", b"\\u0141 \xf3 \\u738b\n"), ("ascii", b"\\u0141 \\xf3 \\u738b\n")]
)
def test_what_a_console_lacks_is_escaped(encoding: str, shown: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    screens = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n") for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", screens[0])
    monkeypatch.setattr(sys, "stderr", screens[1])
    escape_unknown()
    say("Ł ó 王")
    say("Ł ó 王", stderr=True)
    make_console().print("Ł ó 王")
    for screen, expected in zip(screens, (shown * 2, shown), strict=True):
        screen.flush()
        assert isinstance(screen.buffer, io.BytesIO)
        assert screen.buffer.getvalue() == expected


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "ceny żółte.toml"
    file.write_text('"mój" = { prompt = 1, completion = 2 }\n', encoding="utf-8-sig", newline="\r\n")
    assert list(read_toml(file)) == ["mój"]
    assert "mój" in Prices.load(file).by_model


def test_what_systems_drop_into_folders_is_not_there(tmp_path: Path) -> None:
    for name in (".DS_Store", "._state.json", "Thumbs.db", "desktop.ini", "state.json"):
        (tmp_path / name).touch()
    assert [path.name for path in files.entries(tmp_path)] == ["state.json"]


@pytest.mark.parametrize(
    "words",
    [
        ["compare", "--figure", "con.png"],
        ["study", "--results", "nul.md"],
        ["report", "it", "--out", "a/b:c"],
    ],
)
def test_a_name_is_refused_before_the_work(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert "on every system" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
