"""The examples of docs/extending.md with the command line, and the notebook."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbclient
import nbformat
import pandas as pd
import pytest

from repunet_model import load_run
from repunet_model.storage import RunFolder
from tests import EXAMPLES, ROOT
from tests.conftest import contents, until


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The words with which a command in Python begins: where it can be, it is a fork of one interpreter."""
    if sys.platform == "win32":
        yield [sys.executable]
    else:
        file, place = ROOT / "tests" / "resident.py", tmp_path_factory.mktemp("resident") / "place"
        with subprocess.Popen([sys.executable, file, "serve", place], stdin=subprocess.DEVNULL) as resident:
            until(lambda: place.exists() or resident.poll() is not None)
            yield [sys.executable, "-I", "-S", str(file), "ask", str(place)]
            resident.kill()


class Elsewhere:
    """A folder that holds one file, and the command line there, in processes of its own."""

    def __init__(self, python: list[str], folder: Path, example: str) -> None:
        self.python = python
        self.folder = folder
        self.file = f"{example}.py"
        (folder / self.file).write_text((EXAMPLES / self.file).read_text())

    def run(self, words: str, extension: str = "") -> subprocess.CompletedProcess[str]:
        command = [*self.python, str(ROOT / "run.py"), *shlex.split(f"{extension} {words}")]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=400, check=False)

    def do(self, words: str) -> str:
        done = self.run(words, extension=f"--extension {self.file}")
        assert done.returncode == 0, done.stderr
        return done.stdout


def test_a_game_in_one_file_has_all_commands(python: list[str], tmp_path: Path) -> None:
    place = Elsewhere(python, tmp_path, "public_goods")
    place.do("run --scenario public_goods -n 6 --steps 2 --sim-name pot")
    place.do("resume pot --steps 1")
    assert "3 steps" in place.do("check pot")
    assert "You put in" in place.do("show pot --agent 'Emma Dubois'")
    place.do("sweep --scenario public_goods,pd --gossip n --seeds 1-2 --steps 2 --name pots --workers 2")
    table = pd.read_csv(tmp_path / "sim_storage" / "pots" / "results.csv")
    assert set(table["game"]) == {"public_goods", "prisoners_dilemma"}
    place.do("report pots --out pots")
    assert "Public goods" in (tmp_path / "pots" / "index.html").read_text()

    alone = place.run("resume pot --steps 1")
    assert alone.returncode == 2
    assert "unknown game 'public_goods'" in alone.stderr
    assert "--extension" in alone.stderr


def test_a_backend_in_one_file_answers_all_questions(python: list[str], tmp_path: Path) -> None:
    place = Elsewhere(python, tmp_path, "zero_intelligence")
    ways = "--scenario pd,investment,sign_up --questions single,fused"
    place.do(f"sweep {ways} -n 6 --backend zero_intelligence --steps 3 --name lots")
    folders = list((tmp_path / "sim_storage" / "lots" / "runs").iterdir())
    assert len(folders) == 6
    for run in map(load_run, folders):
        assert run.manifest.backend["backend"] == "zero_intelligence"
        assert run.last_step == 3
        shares = [list(row) for row in run.records["distribution"]]
        assert shares
        assert all(len(row) == 5 and sum(row) == pytest.approx(1) and min(row) >= 0 for row in shares)
    place.do("run -n 4 --steps 1 --backend zero_intelligence --sim-name pd")
    place.do("resume pd --steps 1")
    assert load_run(tmp_path / "sim_storage" / "pd").last_step == 2
    place.do("run -n 4 --steps 1 --backend-for 'Akiko Sato=zero_intelligence' --sim-name mixed")

    alone = place.run("resume pd --steps 1")
    assert alone.returncode == 2
    assert "made with the backend 'zero_intelligence'" in alone.stderr


def test_a_measure_in_one_file_is_measured_stored_and_reported(python: list[str], tmp_path: Path) -> None:
    place = Elsewhere(python, tmp_path, "disagreement")
    place.do("run --steps 4 --sim-name it")
    place.do("resume it --steps 2")
    run = load_run(tmp_path / "sim_storage" / "it")
    assert run.manifest.measures == ["disagreement"]
    assert run.measures["disagreement"].notna().iloc[1:].all()
    assert run.measures["disagreement"].between(0, 1).any()
    place.do("sweep --scenario pd --reputation y,n --gossip n --seeds 1-2 --steps 3 --name few")
    table = pd.read_csv(tmp_path / "sim_storage" / "few" / "results.csv")
    assert table.groupby("reputation")["disagreement"].count().to_dict() == {False: 0, True: 4}
    place.do("report few --out few")
    assert "Measures of one&#39;s own" in (tmp_path / "few" / "index.html").read_text()
    assert (tmp_path / "few" / "own_measures.png").exists()

    alone = place.run("resume it --steps 1")
    assert alone.returncode == 2
    assert "measure 'disagreement', which is not registered" in alone.stderr
    assert len(RunFolder.open(tmp_path / "sim_storage" / "it").steps()) == 7


def test_the_notebook_runs_plots_and_inspects(tmp_path: Path) -> None:
    notebook = nbformat.read(EXAMPLES / "first_run.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert sum(len([line for line in cell.source.split("\n") if line.strip()]) for cell in cells) <= 10
    nbclient.NotebookClient(notebook, timeout=400, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in cells for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in shown)
    assert any("text/html" in output.get("data", {}) for output in shown)
    assert load_run(tmp_path / "sim_storage" / "notebook").last_step == 10


def test_a_stage_in_one_file_has_all_commands(python: list[str], tmp_path: Path) -> None:
    place = Elsewhere(python, tmp_path, "punishment")
    place.do("run --scenario pd --steps 3 --sim-name whole")
    place.do("run --scenario pd --steps 2 --sim-name fines")
    place.do("resume fines --steps 1")
    stored = tmp_path / "sim_storage"
    assert contents(stored / "fines") == contents(stored / "whole")
    assert "3 steps" in place.do("check fines")
    shown = place.do("show fines")
    punished = re.search(r"^Punishments\n  .+ paid 1 to take 3 from (.+): «", shown, re.MULTILINE)
    assert punished is not None
    assert "to take 3 from you" in place.do(f"show fines --agent '{punished[1]}'")
    place.do("export fines out --layout csv")
    table = pd.read_csv(tmp_path / "out" / "punishments.csv")
    assert set(table["step"]) <= {1, 2, 3}
    assert list(table["paid"]) == [1.0] * len(table)
    place.do("sweep --scenario pd,investment --gossip y,n --seeds 1 --steps 2 --name many --workers 2")
    runs = [load_run(folder) for folder in (stored / "many" / "runs").iterdir()]
    assert len(runs) == 4
    for run in runs:
        assert run.manifest.stages == ["punishment"]
        assert "punish" in set(run.calls["question"])

    for words in ("resume fines --steps 1", "run --backend replay:fines --sim-name again"):
        alone = place.run(words)
        assert alone.returncode == 2
        assert "error: the run has a stage 'punishment', which is not registered" in alone.stderr
        assert "--extension" in alone.stderr
