"""What docs/extending.md shows: each example is one file that nothing in the package knows, and does what it says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import nbclient
import nbformat
import pandas as pd
import pytest
from playwright.sync_api import Browser

from repunet_model import RepuNetModel, extensions, load_run, measures
from repunet_model.backends import setup
from repunet_model.backends.rules import RulesBackend
from repunet_model.errors import ConfigurationError, RepuNetError
from repunet_model.games import GAMES
from repunet_model.storage import RunFolder
from repunet_model.words import SCENARIOS
from tests import browser as real
from tests.conftest import complaint
from tests.contract import GameContract

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "docs" / "examples"


@pytest.fixture(scope="module", autouse=True)
def _public_goods() -> Iterator[None]:
    """Load the game, and forget it afterwards."""
    extensions.load([str(EXAMPLES / "public_goods.py")])
    yield
    extensions._LOADED.clear()
    del GAMES["public_goods"]
    del SCENARIOS["public_goods"]
    del sys.modules["public_goods"]


class TestPublicGoods(GameContract):
    game = "public_goods"

    def check_payoffs(self, model: RepuNetModel) -> None:
        for row in model.datacollector.get_table_dataframe("interactions").itertuples():
            pot = row.first_units + row.second_units
            both = Decimal(repr(row.first_payoff)) + Decimal(repr(row.second_payoff))
            assert both == Decimal("0.5") * pot


class Elsewhere:
    """A folder that holds one file, and the command line there, in processes of its own."""

    def __init__(self, folder: Path, example: str) -> None:
        self.folder = folder
        self.file = f"{example}.py"
        (folder / self.file).write_text((EXAMPLES / self.file).read_text())

    def run(self, words: str, extension: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "run.py"), *shlex.split(f"{extension} {words}")]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=120, check=False)

    def do(self, words: str) -> str:
        done = self.run(words, extension=f"--extension {self.file}")
        assert done.returncode == 0, done.stderr
        return done.stdout


def test_a_game_in_one_file_has_all_commands(tmp_path: Path) -> None:
    place = Elsewhere(tmp_path, "public_goods")
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


def test_a_backend_in_one_file_answers_all_questions(tmp_path: Path) -> None:
    place = Elsewhere(tmp_path, "zero_intelligence")
    ways = "--scenario pd,investment,sign_up --questions single,fused"
    place.do(f"sweep {ways} -n 6 --backend zero_intelligence --steps 3 --name lots --workers 2")
    folders = list((tmp_path / "sim_storage" / "lots" / "runs").iterdir())
    assert len(folders) == 6
    for run in map(load_run, folders):
        assert run.manifest["backend"]["backend"] == "zero_intelligence"
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


def test_a_measure_in_one_file_is_measured_stored_and_reported(tmp_path: Path) -> None:
    place = Elsewhere(tmp_path, "disagreement")
    place.do("run --steps 4 --sim-name it")
    place.do("resume it --steps 2")
    run = load_run(tmp_path / "sim_storage" / "it")
    assert run.manifest["measures"] == ["disagreement"]
    assert run.measures["disagreement"].notna().iloc[1:].all()
    assert run.measures["disagreement"].between(0, 1).any()
    place.do("sweep --scenario pd --reputation y,n --gossip n --seeds 1-2 --steps 3 --name few --workers 2")
    table = pd.read_csv(tmp_path / "sim_storage" / "few" / "results.csv")
    assert table.groupby("reputation")["disagreement"].count().to_dict() == {False: 0, True: 4}
    place.do("report few --out few")
    assert "Measures of one&#39;s own" in (tmp_path / "few" / "index.html").read_text()
    assert (tmp_path / "few" / "own_measures.png").exists()

    alone = place.run("resume it --steps 1")
    assert alone.returncode == 2
    assert "measure 'disagreement', which is not registered" in alone.stderr
    assert len(RunFolder.open(tmp_path / "sim_storage" / "it").steps()) == 7


def test_a_measure_is_that_of_the_society_at_the_end_of_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "_OWN", {})

    @measures.register
    def richest(model: RepuNetModel) -> float:
        return max(float(agent.resources) for agent in model.agents)

    model = RepuNetModel(rng=1)
    for _ in range(3):
        model.step()
    by_agent = model.datacollector.get_agent_vars_dataframe()["resources"].groupby("Step").max()
    assert list(model.datacollector.get_model_vars_dataframe()["richest"]) == list(by_agent)
    assert model.measures["richest"] == by_agent.iloc[-1]


@pytest.mark.parametrize(
    ("value", "problem"),
    [(float("nan"), "is nan: must be a finite number or None"), ("x", "cannot be taken: ValueError")],
)
def test_a_measure_that_fails_undoes_the_step(monkeypatch: pytest.MonkeyPatch, value: object, problem: str) -> None:
    monkeypatch.setattr(measures, "_OWN", {})
    given: list[object] = [0.0, 1.0]
    measures.register(lambda model: given[model.steps])
    model = RepuNetModel(n_agents=4, rng=1)
    model.step()
    given.append(value)
    before = dict(model.state)
    with pytest.raises(RepuNetError, match=f"the measure '<lambda>' {problem}"):
        model.step()
    assert model.steps == 1
    assert model.state == before
    given[2] = 2.0
    model.step()
    assert model.steps == 2


@pytest.mark.parametrize("name", ["ties", "cooperation_rate", "rng", "tokens"])
def test_a_measure_takes_no_name_that_is_taken(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(measures, "_OWN", {name: lambda model: 0.0})
    with pytest.raises(ConfigurationError, match=f"measure '{name}': another measure or a parameter has this name"):
        RepuNetModel(n_agents=4, rng=1)


def test_a_backend_may_be_renamed_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "_KINDS", dict(setup._KINDS))
    setup.register("calm", make=lambda detail, _: RulesBackend(), restore=lambda *_: RulesBackend())
    assert RepuNetModel(backend="calm", n_agents=4, rng=1).manifest().data["backend"]["backend"] == "rules"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "no Python file is there"),
        ("import nothing_of_the_kind", "ModuleNotFoundError: No module named 'nothing_of_the_kind'"),
        ("def broken(", "SyntaxError"),
    ],
)
def test_an_extension_that_cannot_be_loaded(
    text: str | None,
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    if text is not None:
        (tmp_path / "mine.py").write_text(text)
    assert problem in complaint(["--extension", "mine.py", "run", "--steps", "1"], capsys)
    assert "mine" not in sys.modules


def test_an_extension_does_not_hide_a_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "json.py").write_text("")
    monkeypatch.setenv("REPUNET_EXTENSIONS", "json.py")
    assert "there is another module 'json'; rename the file" in complaint(["run", "--steps", "1"], capsys)


def test_personas_in_one_file(tmp_path: Path) -> None:
    model = RepuNetModel(personas=str(EXAMPLES / "village.json"), rng=1, storage=str(tmp_path), run_name="village")
    assert [agent.name for agent in model.agents] == ["Ann", "Bob", "Cleo", "Dara"]
    assert "shared your well" in model.agent("Ann").learned["player"]
    model.step()
    assert list(load_run(tmp_path / "village").personas["country"].iloc[:2]) == ["Kenya", "Canada"]


def test_a_component_in_one_file_is_drawn(browser: Browser) -> None:
    with real.serving_app(EXAMPLES / "leaderboard.py") as running, browser.new_context() as context:
        page = context.new_page()
        page.goto(running.url)
        page.get_by_text("Nobody has a reputation yet.").wait_for()
        page.get_by_role("button", name="Step").click()
        page.get_by_text(re.compile(r"^1\. ")).wait_for()


def test_the_notebook_runs_plots_and_inspects(tmp_path: Path) -> None:
    notebook = nbformat.read(EXAMPLES / "first_run.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert sum(len([line for line in cell.source.split("\n") if line.strip()]) for cell in cells) <= 10
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in cells for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in shown)
    assert any("text/html" in output.get("data", {}) for output in shown)
    assert load_run(tmp_path / "sim_storage" / "notebook").last_step == 10
