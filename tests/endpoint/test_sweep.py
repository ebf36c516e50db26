"""Sweeps in this process: their table, failures that are listed and completed, a common budget."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from aiohttp import web

from repunet_model import RepuNetModel
from repunet_model.cli import main
from repunet_model.errors import ConfigurationError
from repunet_model.storage import RunFolder
from repunet_model.sweep.grid import Grid, Sweep
from repunet_model.sweep.running import prepare
from repunet_model.testing import Body, endpoint, error
from tests.conftest import complaint

RESULTS = ("results.parquet", "results.csv", "failures.json")

VARIED = """
steps = 3
seeds = "1-2"

[grid]
scenario = ["pd", "investment", "sign_up"]
gossip = [true, false]
n_agents = 6

[grid.rules]
learning_rate = [0.2, 0.4]
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def sweep(text: str, *options: str) -> int:
    Path("varied.toml").write_text(text)
    return main(["sweep", "varied.toml", *options])


def tables(path: str) -> dict[str, bytes]:
    return {name: (Path(path) / name).read_bytes() for name in RESULTS}


def test_the_table_has_every_parameter_and_what_the_model_measured() -> None:
    assert sweep(VARIED, "--workers", "1") == 0
    table = pd.read_parquet("sim_storage/varied/results.parquet")
    assert len(table) == 3 * 2 * 2 * 2 * 3
    told = table.dropna(axis="columns", how="all")  # what no run has is a number to a reader of CSV
    text = pd.read_csv("sim_storage/varied/results.csv")[told.columns]
    pd.testing.assert_frame_equal(text, told, check_dtype=False)
    chosen = table[
        (table["game"] == "investment")
        & (table["mode"] == "reputation only")
        & (table["backend.learning_rate"] == 0.2)
        & (table["seed"] == 2)
    ]
    model = RepuNetModel(game="investment", gossip=False, n_agents=6, backend="rules:learning_rate=0.2", rng=2)
    for _ in range(3):
        model.step()
    measured = model.datacollector.get_model_vars_dataframe().iloc[1:]
    for name in ("cooperation_rate", "acceptance_rate", "gini", "ties", "gossip_told", "calls"):
        assert chosen[name].tolist() == measured[name].tolist()
    assert chosen["step"].tolist() == [1, 2, 3]
    assert set(chosen["n_agents"]) == {6}


@pytest.mark.thorough
def test_a_sweep_by_options_is_the_sweep_of_the_file() -> None:
    assert sweep(VARIED, "--storage", "file") == 0
    words = ["--scenario", "pd,investment,sign_up", "--gossip", "y,n", "-n", "6", "--rules", "learning_rate=0.2,0.4"]
    assert main(["sweep", *words, "--seeds", "1-2", "--steps", "3", "--storage", "options", "--name", "varied"]) == 0
    assert tables("file/varied") == tables("options/varied")


@pytest.mark.parametrize(
    ("seeds", "steps", "workers"), [("1-8", 10, 1), ("1-8", 50, 2), ("1-8", 100, 4), ("1-3", 1000, 3)]
)
def test_a_worker_is_started_where_it_saves_more_than_it_takes(
    seeds: str, steps: int, workers: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    assert prepare(Sweep.of_values("any", steps, seeds, {}), tmp_path).workers() == workers


FORTY = """
steps = 1
seeds = "1-5"

[grid]
n_agents = 4
backend = ["openai:m1", "openai:m2", "openai:m3", "openai:m4", "openai:m5", "openai:m6", "openai:m7", "openai:m8"]

[limits]
concurrency = 8
"""


@pytest.mark.thorough
def test_of_forty_runs_five_fail_and_the_same_command_completes_those(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    is_down = True

    def fault(number: int, body: Body) -> web.Response | None:
        return error(401, "this model is down") if is_down and body["model"] == "m3" else None

    with endpoint(fault=fault) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert sweep(FORTY) == 1
        shown = capsys.readouterr()
        assert "35 of 40 runs are whole" in shown.out
        assert "this model is down" in " ".join(shown.out.split())
        assert "Traceback" not in shown.err
        assert 2 <= running.most_at_once <= 8
        table = pd.read_parquet("sim_storage/varied/results.parquet")
        assert table["run"].nunique() == 35
        failures = json.loads(Path("sim_storage/varied/failures.json").read_text())
        assert len(failures) == 5
        assert all("this model is down" in failure["error"] for failure in failures)
        asked = len(running.requests)
        is_down = False
        assert sweep(FORTY) == 0
        assert {body["model"] for body in running.requests[asked:]} == {"m3"}
        assert "40 of 40 runs are whole" in capsys.readouterr().out
        table = pd.read_parquet("sim_storage/varied/results.parquet")
        assert (table["run"].nunique(), set(table["tokens"] > 0)) == (40, {True})
        asked = len(running.requests)
        assert sweep(FORTY) == 0
        assert len(running.requests) == asked
        assert sweep(FORTY, "--workers", "2") == 2
    assert json.loads(Path("sim_storage/varied/failures.json").read_text()) == []
    assert "--workers 2: the sweep asks endpoints" in capsys.readouterr().err


def test_one_budget_holds_for_the_whole_sweep(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LLM_MAX_TOKENS", "100")
    with endpoint() as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        words = ["sweep", "--backend", "openai", "--seeds", "1-4", "--steps", "2", "-n", "4"]
        assert main([*words, "--budget-tokens", "60000"]) == 1
        assert "the budget of 60,000 tokens is used up" in " ".join(capsys.readouterr().out.split())
        assert 30_000 < running.tokens <= 60_000
        spent = running.tokens
        assert main([*words, "--budget-tokens", str(spent)]) == 1
        assert running.tokens == spent
        assert main(words) == 0


def test_a_sweep_may_grow_and_every_cell_is_a_run() -> None:
    words = ["sweep", "--name", "grows", "-n", "4", "--storage", "s", "--workers", "1"]
    assert main([*words, "--steps", "2"]) == 0
    assert main([*words, "--steps", "3", "--seeds", "1-2", "--scenario", "pd,investment"]) == 0
    assert pd.read_csv("s/grows/results.csv")["run"].nunique() == 4
    run = Path("s/grows/runs")
    for path in run.iterdir():
        assert RepuNetModel.load(path).steps == 3
        assert list(RunFolder.open(path).damages()) == []
    assert main(["show", f"{next(run.iterdir())}", "--step", "2"]) == 0


def test_what_is_in_the_way_is_one_clear_line_and_nothing_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sweep", "--name", "first", "-n", "4", "--workers", "1"]
    assert main([*words, "--steps", "2", "--seeds", "1-2"]) == 0
    capsys.readouterr()
    assert "its runs have 2 steps, not 1" in complaint([*words, "--steps", "1", "--seeds", "1-2"], capsys)
    assert "1 of its runs are not in this one" in complaint([*words, "--steps", "2"], capsys)
    Path("sim_storage/mine").mkdir()
    assert "is there and is no sweep" in complaint(["sweep", "--name", "mine"], capsys)
    Path("varied.toml").write_text(VARIED)
    assert "--seeds: varied.toml says" in complaint(["sweep", "varied.toml", "--seeds", "1-3"], capsys)


def test_what_a_killed_process_left_of_a_run_is_removed() -> None:
    left = Path("sim_storage/sweep/runs/.0123.part")
    words = ["sweep", "--steps", "1", "-n", "4", "--workers", "1"]
    assert main(words) == 0
    left.mkdir()
    (left / "manifest.json").write_text("{}")
    assert main(words) == 0
    assert not left.exists()


def test_a_damaged_run_is_listed_as_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sweep", "--seeds", "1-2", "--steps", "2", "-n", "4", "--workers", "1"]
    assert main(words) == 0
    (damaged,) = Path("sim_storage/sweep/runs").glob("*_seed2/step_2/metrics.json")
    damaged.write_text("{}")
    assert main(words) == 1
    assert "is not what was written" in " ".join(capsys.readouterr().out.split())
    assert pd.read_csv("sim_storage/sweep/results.csv")["seed"].unique().tolist() == [1]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("seeds = 'x'", "seeds 'x': write them as in 1-20"),
        ("seeds = '3-1'", "3-1 is no range"),
        ("seeds = []", "name at least one"),
        ("seeds = '1,1-2'", "one is there twice"),
        ("steps = 0", "steps: "),
        (
            "mood = 1",
            "mood: unknown; known are name, steps, until_stable, seeds, design, points, grid, endpoints, limits",
        ),
        ("name = '../x'", "name: run name '../x'"),
        ("[grid]\nscenario = 'chess'", "unknown game 'chess'"),
        ("[grid]\nscenario = []", "grid: scenario: give at least one value"),
        ("[grid]\nn_agents = [4, 1]", "grid: n_agents is 1"),
        ("[grid]\nmood = 1", "grid: mood: unknown"),
        ("[grid]\nbackend = 'oracle'", "unknown backend 'oracle'"),
        ("[grid]\nbackend = 'openai'", "OPENAI_API_KEY is not set"),
        ("[grid]\nbackend = 'human'", "a human has the keyboard to themselves"),
        ("[grid]\nbackend = 'replay:first'", "a replay repeats one run, and cannot be swept"),
        ("[grid]\npersonas = 'none.json'", "persona file none.json: no such file"),
        ("[grid.rules]\nmood = 1.0", "unknown parameter 'mood'"),
        ("[grid.rules]\nhearsay = [0.5, 2.0]", "rules.hearsay is 2.0"),
        ("[grid]\nbackend = 'openai:m'\n[grid.rules]\nhearsay = 1.0", "the backend 'openai:m' has no such parameters"),
        ("[grid]\nbackend = 'ruls'\n[grid.rules]\nhearsay = 1.0", "unknown backend 'ruls'"),
        ("[limits]\nbudget_usd = -1.0", "limits: budget_usd is -1.0"),
    ],
)
def test_a_sweep_that_is_wrong_is_one_clear_line(text: str, problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.toml").write_text(text)
    assert problem in complaint(["sweep", "bad.toml"], capsys)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--reputation", "y,maybe"], "reputation=maybe: say y or n"),
        (["-n", "four"], "n_agents is 'four': must be a whole number"),
        (["--rules", "hearsay"], "--rules 'hearsay': must read NAME=NUMBER"),
        (["--rules", "hearsay=much"], "--rules 'hearsay=much': must read NAME=NUMBER"),
        (["--seeds", "one"], "seeds 'one': write them as in 1-20"),
        (["--name", "../up"], "run name '../up'"),
    ],
)
def test_options_that_are_wrong_are_one_clear_line(
    words: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert problem in complaint(["sweep", *words], capsys)


def test_a_backend_of_ones_own_may_begin_like_a_replay() -> None:
    assert Grid({"backend": ["replayed_by_me"]}).backends() == ["replayed_by_me"]
    with pytest.raises(ConfigurationError, match="a replay repeats one run"):
        Grid({"backend": ["replay:first"]}).backends()


def test_runs_of_several_backends_are_in_one_table(monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint() as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        backends = ["--backend", "rules", "--backend", "openai:small", "--backend", "always_defect"]
        assert main(["sweep", *backends, "--steps", "1", "-n", "4"]) == 0
    table = pd.read_parquet("sim_storage/sweep/results.parquet")
    assert table["backend"].tolist() == ["rules", "openai", "always_defect"]
    assert table["backend.model"].dropna().tolist() == ["small"]
    assert table["tokens"].tolist() == [0, running.tokens, 0]


def test_a_cluster_that_is_not_there_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no Dask scheduler answers" in complaint(["sweep", "--scheduler", "nowhere"], capsys)
