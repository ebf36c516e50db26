"""What reports show of particular runs: those without a last step, of games' parameters, of endpoints, of imports."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from aiohttp import web

from repunet_model.cli import main
from repunet_model.reference_layout import import_run
from repunet_model.report import page
from repunet_model.report.evidence import read
from repunet_model.report.response import responses
from repunet_model.storage import StepReader
from repunet_model.testing import Body, endpoint, error
from tests.societies.test_published_runs import assert_no_panel_is_empty, invented

STORED = Path("sim_storage")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(words: str) -> None:
    assert main(words.split()) == 0


def html(report: str) -> str:
    return (Path(report) / "index.html").read_text(encoding="utf-8")


def test_a_report_of_a_step_is_of_the_steps_up_to_it() -> None:
    run("run -n 4 --steps 4 --sim-name it")
    shutil.rmtree(STORED / "it" / "step_3")
    run("report it/step_2 --out in/early")
    assert "2 steps" in html("in/early")
    shutil.rmtree(STORED / "it" / "step_4")
    run("report it --out short")
    pictures = [sorted(Path(name).glob("*.svg")) for name in ("in/early", "short")]
    assert pictures[0]
    assert [file.read_bytes() for file in pictures[0]] == [file.read_bytes() for file in pictures[1]]
    assert not any(b"\r" in file.read_bytes() for file in pictures[0])


def test_one_command_sweeps_a_payoff_and_draws_cooperation_against_it() -> None:
    run("sweep --scenario pd -n 4 --steps 2 --game-set temptation=3,4,8 --seeds 1-2 --name tempting --report out")
    assert (Path("out") / "response.png").is_file()
    assert "Cooperation against the parameter that varies" in html("out")
    (response,) = responses(read([StepReader.open(path) for path in (STORED / "tempting" / "runs").iterdir()]))
    assert response.parameter == "game.temptation"
    (points,) = response.points.values()
    assert [value for value, _ in points] == [3, 4, 8]
    results = pd.read_parquet("sim_storage/tempting/results.parquet")
    means = results.groupby("game.temptation")["cooperation_rate"].mean()
    assert [each.mean for _, each in points] == pytest.approx(means.tolist())


def test_what_an_endpoint_did_not_take_stands_at_the_head_of_a_sweep_and_of_its_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fault(number: int, body: Body) -> web.Response | None:
        return error(400, "temperature is not supported", param="temperature") if "temperature" in body else None

    monkeypatch.setenv("LLM_TEMPERATURE", "0.3")
    with endpoint(fault=fault) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        run("sweep --backend openai -n 4 --steps 1 --seeds 1-2 --name two")
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first == "The endpoint did not take: temperature=0.3 (in 2 of 2 runs)."
    assert second == "2 of 2 runs are whole"
    run("report two --out report")
    assert first in html("report").partition("<nav")[0]


def test_imports_of_several_runs_stand_in_one_report(tmp_path: Path) -> None:
    names = ["invest_a_with_repu_gossip", "invest_b_with_repu_gossip", "invest_c_without_repu_gossip"]
    runs = [import_run(invented(tmp_path, name), tmp_path / "storage", name) for name in names]
    evidence = read([StepReader(each.folder) for each in runs])
    assert len(evidence.panels) == 1
    assert_no_panel_is_empty(evidence)
    page.write(evidence, tmp_path / "report", "Imports")
    text = html("report")
    assert all(name in text for name in names)
    assert "answered by the published implementation, then rules" in text
