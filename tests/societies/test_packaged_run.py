"""The runs of a language model that come with the package."""

from __future__ import annotations

import zlib
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


@pytest.mark.parametrize(("name", "repunet"), [("example", True), ("example_without", False)])
def test_it_is_whole_and_a_models(name: str, repunet: bool) -> None:
    run = load_run(name)
    config = run.manifest.config
    assert (len(run.personas), config.game, config.reputation, config.gossip) == (
        8,
        "prisoners_dilemma",
        repunet,
        repunet,
    )
    assert run.manifest.data["backend"]["backend"] == "local"
    assert run.measures["tokens"].sum() > 10_000
    assert set(run.interactions["step"]) == set(range(1, 11))
    assert main(["check", name]) == 0


def test_both_have_the_same_people_and_are_less_than_a_megabyte_when_packed() -> None:
    assert load_run("example").personas.equals(load_run("example_without").personas)
    assert sum(len(zlib.compress(content)) for content in contents(PACKAGED_RUNS).values()) < 1_000_000


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
