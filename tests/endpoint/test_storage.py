"""What a run leaves on disk, and what becomes of it when something goes wrong."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from repunet_model import RepuNetError, RepuNetModel
from repunet_model.cli import main
from repunet_model.errors import ConfigurationError, StorageError
from repunet_model.games import GAMES
from repunet_model.storage import FORMAT, RunFolder
from repunet_model.testing import Endpoint, endpoint
from tests.conftest import contents


def run(storage: Path, steps: int, name: str = "it", **parameters: Any) -> Path:
    """Run and store a society of six; return its folder."""
    with RepuNetModel(**{"rng": 1, "n_agents": 6, **parameters}, storage=str(storage), run_name=name) as model:
        for _ in range(steps):
            model.step()
    return storage / name


@pytest.fixture
def one_line(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return what was said last on the error stream: a single line."""

    def read() -> str:
        lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith(("step ", "Fork: "))]
        assert len(lines) == 1, lines
        assert lines[0].startswith("error: ")
        return lines[0]

    return read


# Kills


# Disks, folders, processes


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 400 KB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "none", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no disk of its own can be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)  # a sender may still hold a file


def test_a_full_disk_is_one_clear_line_and_leaves_the_run_whole(small_disk: Path, one_line: Any) -> None:
    command = ["run", "--steps", "100", "-n", "6", "--storage", str(small_disk), "--sim-name", "it"]
    assert main(command) == 2
    line = one_line()
    assert "No space left on device" in line
    whole = RunFolder.open(small_disk / "it").steps()[-1]
    assert f"whole up to step {whole}" in line
    assert whole > 0
    assert main(["check", str(small_disk / "it")]) == 0
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert main(["resume", str(small_disk / "it"), "--steps", "2"]) == 0
    run(small_disk, whole + 2, "other")
    assert contents(small_disk / "it") == contents(small_disk / "other")


def test_a_full_disk_does_not_lose_replies(small_disk: Path, monkeypatch: pytest.MonkeyPatch, one_line: Any) -> None:
    with endpoint() as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        command = ["run", "--steps", "9", "-n", "6", "--backend", "openai", "--storage", str(small_disk)]
        assert main([*command, "--sim-name", "it"]) == 2
        assert "No space left on device" in one_line().replace("no space left", "No space left on device")
        subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
        assert main(["resume", str(small_disk / "it"), "--steps", "1"]) == 0
        run(small_disk, RunFolder.open(small_disk / "it").steps()[-1], "other", backend="openai")
    assert contents(small_disk / "it") == contents(small_disk / "other")


@pytest.mark.skipif(
    getattr(os, "geteuid", int)() == 0, reason="root may write to folders that are read-only; so may all on Windows"
)
def test_a_read_only_folder_is_one_clear_line(tmp_path: Path, one_line: Any) -> None:
    folder = run(tmp_path, 1)
    before = contents(folder)
    folder.chmod(0o500)
    try:
        assert main(["resume", str(folder)]) == 2
    finally:
        folder.chmod(0o700)
    assert "cannot be written" in one_line()
    assert contents(folder) == before


def test_a_read_only_disk_is_one_clear_line(small_disk: Path, one_line: Any) -> None:
    folder = run(small_disk, 1)
    before = contents(folder)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert main(["resume", str(folder)]) == 2
    assert "cannot be written: Read-only file system" in one_line()
    assert main(["run", "--storage", str(small_disk), "--sim-name", "new"]) == 2
    assert "cannot be written: Read-only file system" in one_line()
    assert contents(folder) == before


def test_a_run_that_has_gone_on_elsewhere_is_not_overwritten(tmp_path: Path) -> None:
    folder = run(tmp_path, 2)
    with RepuNetModel.load(folder) as late:
        with RepuNetModel.load(folder) as early:
            early.step()
        before = contents(folder)
        with pytest.raises(StorageError, match=r"step 3 is already in .*fork the run from step 2"):
            late.step()
    assert contents(folder) == before
    assert late.steps == 2


# Size


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.first
def test_what_a_step_writes_does_not_grow_with_its_number(game: str, tmp_path: Path) -> None:
    """A step in which more is asked writes more, so steps are compared by what was asked in them."""
    folder = run(tmp_path, 40, game=game, n_agents=20)

    def bytes_per_call(first: int, last: int) -> float:
        sizes, calls = [], []
        for step in range(first, last + 1):
            sizes.append(sum(path.stat().st_size for path in (folder / f"step_{step}").iterdir()))
            calls.append(json.loads((folder / f"step_{step}" / "metrics.json").read_text())["calls"])
        return float(mean(sizes) / mean(calls))

    assert bytes_per_call(31, 40) <= 1.2 * bytes_per_call(6, 15)


# Forks


def test_going_on_from_an_earlier_step_forks_and_ends_in_the_same_bytes(tmp_path: Path) -> None:
    folder = run(tmp_path, 4)
    before = contents(folder)
    assert main(["resume", f"{folder}/step_2", "--steps", "2", "--storage", str(tmp_path)]) == 0
    assert contents(folder) == before
    fork = tmp_path / "it_from_2"
    assert RunFolder.open(fork).manifest().data["parent"]["run"] == "it"
    assert RunFolder.open(fork).manifest().data["parent"]["step"] == 2
    own, parents = contents(fork), before
    same = [name for name in parents if "manifest" not in name]
    assert len(same) > 20
    assert {name: own[name] for name in same} == {name: parents[name] for name in same}
    assert main(["check", str(fork)]) == 0
    assert main(["resume", "--sim", "it/step_2", "--steps", "1", "--storage", str(tmp_path)]) == 0
    assert RunFolder.open(tmp_path / "it_from_2_2").steps()[-1] == 3


def test_a_fork_differs_from_then_on_in_what_is_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, 3)
    command = ["fork", "it/step_2", "--storage", str(tmp_path), "--sim-name", "quiet"]
    assert main([*command, "--set", "gossip=no", "--set", "seed=7", "--set", "backend=always_defect"]) == 0
    assert main(["resume", "quiet", "--steps", "3", "--storage", str(tmp_path)]) == 0
    with RepuNetModel.load(tmp_path / "quiet") as model:
        data = model.datacollector.get_model_vars_dataframe()
    assert data["gossip_told"].iloc[1:3].sum() > 0
    assert data["gossip_told"].iloc[3:].sum() == 0
    assert set(data["cooperation_rate"].iloc[3:]) == {0.0}
    assert (model.config.seed, model.config.gossip, model.steps) == (7, False, 5)
    assert main(["fork", "quiet/step_4", "--storage", str(tmp_path)]) == 0
    assert main(["check", "quiet_from_4", "--storage", str(tmp_path)]) == 0


def test_other_backends_answer_in_a_fork(
    local_endpoint: Endpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run(tmp_path, 2)
    before = contents(folder)
    storage = ["--storage", str(tmp_path), "--steps", "1"]
    assert main(["resume", "it", "--backend", "openai:other", "--sim-name", "asked", *storage]) == 0
    assert contents(folder) == before
    assert RunFolder.open(tmp_path / "asked").manifest().data["backend"]["model"] == "other"
    assert {body["model"] for body in local_endpoint.requests} == {"other"}
    assert main(["resume", "asked", "--backend", "openai:other", *storage]) == 0
    assert RunFolder.open(tmp_path / "asked").steps()[-1] == 4
    assert main(["resume", "asked", "--backend-for", "Akiko Sato=rules", *storage]) == 0
    assert RunFolder.open(tmp_path / "asked_from_4").steps()[-1] == 5


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["fork", "it/step_9"], "step 9 of"),
        (["fork", "nowhere"], "no run at"),
        (["fork", "it", "--set", "gossip=maybe"], "gossip=maybe: say y or n"),
        (["fork", "it", "--set", "game=investment"], "set reputation, gossip"),
        (["fork", "it", "--set", "gossip"], "must read NAME=VALUE"),
        (["fork", "it", "--set", "seed=x"], "must be an integer"),
        (["fork", "it", "--set", "dialogue_turns=99"], "from 2 to 10"),
        (["fork", "it", "--set", "backend=gpt"], "unknown backend"),
        (["fork", "it", "--sim-name", "it"], "already in"),
        (["resume", "it/step_7"], "step 7 of"),
        (["resume"], "name one run"),
        (["resume", "it", "--sim", "it"], "name one run"),
        (["resume", "it", "--sim-name", "new"], "goes on in place"),
        (["show", "it/step_7"], "step 7 of"),
    ],
)
def test_what_cannot_be_forked_is_one_clear_line(words: list[str], problem: str, tmp_path: Path, one_line: Any) -> None:
    run(tmp_path, 1)
    before = sorted(tmp_path.rglob("*"))
    assert main([*words, "--storage", str(tmp_path)]) == 2
    assert problem in one_line()
    assert sorted(tmp_path.rglob("*")) == before


# Damage


def alter(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"a", b"b", 1))


@pytest.mark.parametrize(
    ("file", "damage", "problem"),
    [
        ("step_1/state.json", alter, "is not what was written"),
        ("step_1/records.jsonl", alter, "is not what was written"),
        ("step_2/usage.json", alter, "is not what was written"),
        ("step_1/events.jsonl", Path.unlink, "is missing"),
        ("step_1/manifest.json", Path.unlink, "is missing"),
        ("step_1/manifest.json", alter, "step"),  # which error depends on what the letter stands in
        ("step_0/personas.json", alter, "is not what was written"),
        ("step_1", shutil.rmtree, "step 1 is missing"),
        (
            "manifest.json",
            lambda path: path.write_text(path.read_text().replace('"seed": 1', '"seed": 2')),
            "is not what was written",
        ),
        ("manifest.json", lambda path: path.write_text("[]"), "not an object"),
        (
            "manifest.json",
            lambda path: path.write_text(path.read_text().replace(f'"format": {FORMAT}', '"format": 99')),
            "99",
        ),
        ("step_2/gossip.jsonl", lambda path: path.write_bytes(path.read_bytes()[:-5]), "is not what was written"),
    ],
)
def test_damage_is_found_named_and_never_read(
    file: str, damage: Any, problem: str, tmp_path: Path, one_line: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run(tmp_path, 2)
    assert main(["check", str(folder)]) == 0
    damage(folder / file)
    capsys.readouterr()
    assert main(["check", str(folder)]) == 1
    assert problem in capsys.readouterr().out
    with pytest.raises(RepuNetError, match=problem) as error:
        RepuNetModel.load(folder)
    assert "\n" not in str(error.value)
    assert main(["resume", str(folder)]) == 2
    assert problem in one_line()


def test_steps_before_the_damage_can_be_gone_on_from(tmp_path: Path) -> None:
    folder = run(tmp_path, 3)
    alter(folder / "step_3" / "calls.jsonl")
    assert main(["resume", f"{folder}/step_3", "--storage", str(tmp_path), "--backend", "always_defect"]) == 2
    assert main(["resume", f"{folder}/step_2", "--steps", "1", "--storage", str(tmp_path)]) == 0
    assert main(["check", str(tmp_path / "it_from_2")]) == 0


def test_a_step_that_was_moved_or_exchanged_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, other = run(tmp_path, 3), run(tmp_path, 3, "other", rng=2)
    shutil.rmtree(folder / "step_2")
    shutil.copytree(other / "step_2", folder / "step_2")
    assert main(["check", str(folder)]) == 1
    assert "step_2 does not follow the step before it" in capsys.readouterr().out


def test_a_file_too_many_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run(tmp_path, 1)
    (folder / "step_1" / "notes.txt").write_text("mine")
    assert main(["check", str(folder)]) == 1
    assert "notes.txt does not belong to the step" in capsys.readouterr().out


def test_what_a_dying_process_leaves_of_a_step_is_no_step(tmp_path: Path) -> None:
    folder = run(tmp_path, 1)
    part = folder / ".step_2.part"
    part.mkdir()
    (part / "state.json").write_text("{")
    assert main(["check", str(folder)]) == 0
    assert main(["resume", str(folder), "--steps", "1"]) == 0
    assert contents(folder) == contents(run(tmp_path, 2, "other"))


# Names and manifests


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "", ".", "..", "x" * 300, "a\nb", "a\\b", " a", "a ", "a.", "-a", "~", "C:", "nul\0"]
)
def test_a_name_that_is_no_plain_name_touches_nothing(name: str, tmp_path: Path, one_line: Any) -> None:
    storage = tmp_path / "storage"
    storage.mkdir()
    assert main(["run", "--steps", "1", "--storage", str(storage), f"--sim-name={name}"]) == 2
    one_line()
    run(storage, 1)
    before = sorted(tmp_path.rglob("*"))
    assert main(["fork", "it", "--storage", str(storage), f"--sim-name={name}"]) == 2
    one_line()
    with pytest.raises(ConfigurationError):
        RepuNetModel(storage=str(storage), run_name=name)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_manifest_says_what_the_outcome_depends_on(tmp_path: Path) -> None:
    manifest = RunFolder.open(run(tmp_path, 1)).manifest().data
    assert {"game", "reputation", "gossip", "activation", "dialogue_turns", "seed", "backend", "prompts"} <= set(
        manifest
    )
    assert manifest["versions"]["python"] == sys.version.split()[0]
    assert {"mesa", "networkx", "openai", "pydantic"} <= set(manifest["versions"])
    assert manifest["commit"] is None or len(manifest["commit"].removesuffix("-dirty")) >= 7
    assert str(tmp_path) not in json.dumps(manifest)


def test_an_earlier_step_can_be_looked_at_but_not_gone_on_from(tmp_path: Path) -> None:
    folder = run(tmp_path, 3)
    with RepuNetModel.load(folder, step=2) as model, RepuNetModel(rng=1, n_agents=6) as other:
        for _ in range(2):
            other.step()
        assert model.steps == 2
        assert [agent.state() for agent in model.agents] == [agent.state() for agent in other.agents]
        assert model.network.to_dict() == other.network.to_dict()
        frames = [each.datacollector.get_agent_vars_dataframe() for each in (model, other)]
        assert frames[0].equals(frames[1])
        with pytest.raises(StorageError, match="fork the run from step 2"):
            model.step()


def test_a_closed_model_that_is_collected_leaves_the_run_to_the_one_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[Path] = []
    monkeypatch.setattr("repunet_model.model.close_mailbox", closed.append)
    first = RepuNetModel(rng=1, n_agents=4, storage=str(tmp_path), run_name="it")
    first.close()
    with RepuNetModel.load(tmp_path / "it") as second:
        second.step()
        del first
        gc.collect()
        assert len(closed) == 1
        second.close()
        second.step()
    assert len(closed) == 3
