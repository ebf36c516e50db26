"""Sweeps: the same table wherever they run and however often they were cut off; failures listed and completed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import psutil
import pytest
from distributed import LocalCluster

from repunet_model.cli import main
from tests import ROOT
from tests.conftest import LONG_ENOUGH, contents, until

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


def test_one_process_workers_and_a_dask_cluster_give_equal_tables_and_runs() -> None:
    assert sweep(VARIED, "--storage", "one", "--workers", "1") == 0
    assert sweep(VARIED, "--storage", "two", "--workers", "2") == 0
    with LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster:
        assert sweep(VARIED, "--storage", "dask", "--scheduler", cluster.scheduler_address) == 0
    first = tables("one/varied")
    assert tables("two/varied") == first
    assert tables("dask/varied") == first
    runs = contents(Path("one/varied/runs"))
    assert contents(Path("two/varied/runs")) == runs
    assert contents(Path("dask/varied/runs")) == runs


LONG = ["sweep", "--scenario", "pd,sign_up", "--gossip", "y,n", "--seeds", "1-2", "--steps", "12", "--name", "long"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_killed_twice_a_sweep_ends_in_the_same_table(workers: str) -> None:
    assert main([*LONG, "--storage", "whole", "--workers", workers]) == 0
    command = [sys.executable, str(ROOT / "run.py"), *LONG, "--storage", "killed", "--workers", workers]
    runs = Path("killed/long/runs")
    for least in (2, 4):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            until(lambda: len(list(runs.glob("*/step_12"))) >= least)  # noqa: B023 - it is called here
            process.kill()
            process.communicate()
        assert process.returncode not in {0, 1, 2} or sys.platform == "win32"
        assert not Path("killed/long/results.csv").exists()
    done = {path: path.stat().st_mtime_ns for path in runs.glob("[!.]*/step_*")}
    assert main([*LONG, "--storage", "killed", "--workers", workers]) == 0
    assert tables("killed/long") == tables("whole/long")
    assert contents(runs) == contents(Path("whole/long/runs"))
    assert {path: path.stat().st_mtime_ns for path in done} == done


def test_an_interrupt_leaves_whole_runs_and_the_same_command_completes_them() -> None:
    command = [sys.executable, str(ROOT / "run.py"), *LONG, "--seeds", "1-4", "--workers", "2"]
    runs = Path("sim_storage/long/runs")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        until(lambda: len(list(runs.glob("*/step_12"))) >= 2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LONG_ENOUGH)
    assert process.returncode == 130
    assert "Traceback" not in err.decode()
    whole = pd.read_csv("sim_storage/long/results.csv")["run"].nunique()
    assert 2 <= whole < 16
    assert f"{whole} of 16 runs are whole" in out.decode()
    assert main([*LONG, "--seeds", "1-4"]) == 0
    assert pd.read_csv("sim_storage/long/results.csv")["run"].nunique() == 16


def test_a_worker_that_dies_costs_its_runs_alone() -> None:
    command = [sys.executable, str(ROOT / "run.py"), *LONG, "--workers", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        until(lambda: list(Path("sim_storage").glob("long/runs/*/step_12")))
        children = psutil.Process(process.pid).children()
        for child in children:
            if any("spawn_main" in word for word in child.cmdline()):
                child.kill()
        out, err = process.communicate(timeout=LONG_ENOUGH)
    assert process.returncode == 1
    assert "Traceback" not in err.decode()
    assert "BrokenProcessPool" in out.decode()
    assert main(LONG) == 0
