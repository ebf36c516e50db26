"""The run of a language model that comes with the package."""

from __future__ import annotations

from pathlib import Path

import pytest

from repunet_model import load_run
from repunet_model.cli import main
from repunet_model.errors import StorageError
from repunet_model.util.text import PACKAGED_RUNS
from tests.conftest import complaint, contents


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_it_is_whole_small_and_a_models() -> None:
    run = load_run("example")
    assert (len(run.personas), run.manifest.config.game) == (8, "prisoners_dilemma")
    assert run.manifest.data["backend"]["backend"] == "local"
    assert run.measures["tokens"].sum() > 10_000
    assert set(run.interactions["step"]) == set(range(1, run.last_step + 1))
    assert sum(len(content) for content in contents(PACKAGED_RUNS / "example").values()) < 1_000_000
    assert main(["check", "example"]) == 0


def test_it_is_shown_reported_and_forked_without_a_storage_key_or_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "example"]) == 0
    shown = capsys.readouterr().out
    assert "Emma Dubois" in shown
    assert str(PACKAGED_RUNS) not in shown
    assert main(["show", "example", "--checks"]) == 0
    assert main(["report", "example", "--out", "report"]) == 0
    assert "qwen2.5-coder-1.5b" in Path("report/index.html").read_text()
    assert main(["fork", "example", "--set", "backend=rules", "--sim-name", "mine"]) == 0
    assert main(["resume", "mine", "--steps", "1"]) == 0
    assert load_run("mine").last_step == load_run("example").last_step + 1


def test_it_stays_as_it_is_and_the_advice_works(capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(PACKAGED_RUNS)
    told = complaint(["resume", "example", "--steps", "1"], capsys)
    assert "example came with this package and stays as it is: go on with a fork, as in repunet fork example" in told
    assert main(told.strip().rpartition("repunet ")[2].split()) == 0
    assert contents(PACKAGED_RUNS) == before


def test_a_run_of_ones_own_with_its_name_comes_first() -> None:
    assert main(["run", "-n", "4", "--steps", "1", "--sim-name", "example"]) == 0
    assert len(load_run("example").personas) == 4
    with pytest.raises(StorageError, match="came with this package"):
        load_run(PACKAGED_RUNS / "example").folder.hold()
