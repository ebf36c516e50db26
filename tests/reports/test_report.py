"""Reports: figures and a page of runs, sweeps and imported runs; statistics that equal what is counted by hand."""

from __future__ import annotations

import base64
import json
import re
from itertools import islice, product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from repunet_model import RepuNetModel
from repunet_model.cli import main
from repunet_model.config import FULL
from repunet_model.reference_layout import import_run
from repunet_model.report import page
from repunet_model.report.contrasts import statistics_of
from repunet_model.report.evidence import Evidence, read
from repunet_model.report.page import contrast_table, final_table
from repunet_model.report.pictures import pictures
from repunet_model.report.statistics import bands, regression
from repunet_model.results.tables import measures_of
from repunet_model.storage import RunFolder, StepReader
from repunet_model.sweep.folder import SweepFolder, is_sweep
from tests.conftest import complaint
from tests.published import content
from tests.societies.test_published_runs import DATA, WITH, WITHOUT, assert_no_panel_is_empty, needs_data

FIGURES = ["cooperation", "contrasts", "networks", "network_measures", "isolation", "scores", "gossip"]
FIGURES += ["gossip_and_score", "resources", "costs", "checks"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def check_report(out: str, names: list[str], seeds: str) -> str:
    """Check that a report has all its files and needs no other, and return its page."""
    folder = Path(out)
    page = (folder / "index.html").read_text()
    for name in names:
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        svg = (folder / f"{name}.svg").read_bytes()
        assert base64.b64encode(svg).decode() in page
        caption = re.search(rf'<section id="{name}">.*?<figcaption>(.*?)</figcaption>', page, re.DOTALL)
        assert caption is not None
        assert seeds in caption[1] or name == "networks"
        assert "95 %" in caption[1] or seeds == "one seed" or name in {"networks", "gossip_and_score"}
    assert {path.suffix for path in folder.iterdir()} == {".png", ".svg", ".html", ".json"}
    assert set(re.findall(r'(?:src|href)="(?!data:image/svg|#)([^"]*)"', page)) == set()
    assert "<script" not in page
    assert "@media print" in page
    return page


def test_a_sweep_becomes_figures_and_a_page() -> None:
    words = ["sweep", "--scenario", "pd,sign_up", "--reputation", "y,n", "--gossip", "y,n", "--seeds", "1-5"]
    assert main([*words, "--steps", "6", "-n", "8", "--workers", "1"]) == 0
    assert main(["report", "sweep", "--out", "report"]) == 0
    page = check_report("report", FIGURES, "5 seeds")
    table = pd.read_parquet("sim_storage/sweep/results.parquet")
    means = table.groupby(["game", "mode", "seed"])["cooperation_rate"].mean()
    both, neither = (means["prisoners_dilemma", mode] for mode in ("reputation and gossip", "neither"))
    cells = [f'<td class="n">{(both - neither).mean():.3f}</td>', "<td>reputation and gossip − neither</td>"]
    assert all(cell in page for cell in cells)
    written = json.loads(Path("report/report.json").read_text())["statistics"]
    assert [each["kind"] for each in written] == ["mean"] * 8 + ["contrast"] * 10
    assert next(each["estimate"] for each in written if each["kind"] == "contrast") == pytest.approx(
        (both - neither).mean()
    )


def evidence_of(*names: str) -> Evidence:
    """Read stored runs, and those of sweeps, by name."""
    paths = [Path("sim_storage", name) for name in names]
    runs: list[StepReader] = []
    for path in paths:
        runs += SweepFolder.open(path).whole_runs() if is_sweep(path) else [StepReader.open(path)]
    return read(runs)


def captions(evidence: Evidence) -> tuple[str, str]:
    """Return the captions of the pictures of cooperation and of contrasts."""
    cooperation, contrasts = islice(pictures(evidence), 2)
    assert (cooperation.name, contrasts.name) == ("cooperation", "contrasts")
    return cooperation.caption, contrasts.caption


def test_captions_name_the_steps_that_were_used_and_statistics_are_those_of_the_table() -> None:
    words = ["sweep", "--reputation", "y,n", "--seeds", "1-3", "-n", "4", "--workers", "1"]
    assert main([*words, "--steps", "4", "--name", "short"]) == 0
    assert main([*words, "--steps", "16", "--name", "long"]) == 0
    short, long = evidence_of("short"), evidence_of("long")
    assert "in the mean cooperation rate of steps 1 to 4, paired by seed (3 seeds)" in captions(short)[1]
    assert (
        "Last steps: steps 1 to 4. First steps: none; a run of fewer than 15 steps has none"
        in final_table(short).caption
    )
    assert "Last steps: steps 7 to 16. First steps: steps 1 to 5. Interval" in final_table(long).caption
    assert "cooperation rate of steps 7 to 16, paired by seed" in contrast_table(long).caption

    statistics = statistics_of(long)
    assert [each.get("mode") for each in statistics] == [FULL, "gossip only", None]
    effect = statistics[-1]
    results = pd.read_parquet("sim_storage/long/results.parquet")
    final = results[results["step"] > 6].groupby(["mode", "seed"])["cooperation_rate"].mean()
    tested = stats.ttest_rel(final[FULL], final["gossip only"])
    interval = tested.confidence_interval(0.95)
    assert (effect["kind"], effect["contrast"]) == ("contrast", f"{FULL} − gossip only")
    assert effect["estimate"] == pytest.approx((final[FULL] - final["gossip only"]).mean())
    assert effect["interval"] == pytest.approx([interval.low, interval.high])
    assert (effect["p"], effect["p_adjusted"]) == (pytest.approx(tested.pvalue), pytest.approx(tested.pvalue))
    assert (effect["method"], effect["n"], effect["seeds"]) == ("Student's t", 3, [1, 2, 3])
    assert (effect["steps"], effect["unequal_pairs"]) == ("steps 7 to 16", 0)


def test_runs_of_unequal_length_are_not_compared_silently() -> None:
    for reputation, lengths in (("y", (16, 18)), ("n", (16, 16))):
        for seed, steps in enumerate(lengths, start=1):
            words = ["run", "--reputation", reputation, "--seed", str(seed), "--steps", str(steps), "-n", "4"]
            assert main([*words, "--sim-name", f"{reputation}{seed}"]) == 0
    evidence = evidence_of("y1", "y2", "n1", "n2")
    cooperation, contrasts = captions(evidence)
    for caption in (contrasts, contrast_table(evidence).caption):
        assert "of the last 10 steps of each run, which end with steps 16 to 18, paired by seed" in caption
        assert "In 1 of 2 pairs the runs are of unequal length, and each is measured by its own last steps." in caption
    assert "Runs are of unequal length: they end with steps 16 to 18." in cooperation
    assert statistics_of(evidence)[-1]["unequal_pairs"] == 1


def test_runs_that_ended_as_stable_are_complete_and_said_to_be_stable(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sweep", "--seeds", "1-2", "-n", "4", "--workers", "1", "--steps", "60", "--until-stable"]
    assert main(words) == 0
    ends = {path.name: RunFolder(path).steps()[-1] for path in Path("sim_storage/sweep/runs").iterdir()}
    assert all(30 <= end < 60 for end in ends.values())
    results = pd.read_parquet("sim_storage/sweep/results.parquet")
    assert results.groupby("run")["step"].max().to_dict() == ends
    bytes_before = Path("sim_storage/sweep/results.parquet").read_bytes()
    capsys.readouterr()
    assert main(words) == 0
    assert "2 of 2 runs are whole" in capsys.readouterr().out
    assert {path.name: RunFolder(path).steps()[-1] for path in Path("sim_storage/sweep/runs").iterdir()} == ends
    assert Path("sim_storage/sweep/results.parquet").read_bytes() == bytes_before
    assert main(["resume", f"./sim_storage/sweep/runs/{min(ends)}", "--steps", "1"]) == 0
    evidence = evidence_of("sweep")
    assert {run.stored.name: run.last_step for run in evidence.runs} == ends
    said = page.runs_section(evidence).texts
    assert said == [
        f"2 of 2 runs ended as stable, after steps {min(ends.values())} to {max(ends.values())}: the mean cooperation "
        "rates of their last 10 steps and of the 10 before are less than 0.08 apart, and they have at least 30 steps."
    ]


def test_a_single_run_has_a_report_without_bands() -> None:
    assert main(["run", "--scenario", "i", "--steps", "8", "--sim-name", "one"]) == 0
    assert main(["report", "one", "--out", "report", "--title", "One & only"]) == 0
    page = check_report("report", [name for name in FIGURES if name != "contrasts"], "one seed")
    assert "<h1>One &amp; only</h1>" in page
    assert "1 run (1 seed; reputation and gossip) of 8 steps; answered by the backend rules" in page
    assert main(["report", "one", "--out", "report", "--title", "One & only"]) == 0
    assert Path("report/index.html").read_text() == page


def test_what_is_not_whole_is_named_in_the_report() -> None:
    words = ["sweep", "--seeds", "1-2", "--steps", "2", "-n", "4", "--workers", "1"]
    assert main(words) == 0
    (last,) = Path("sim_storage/sweep/runs").glob("*_seed2/step_2")
    last.rename("away")
    assert main(["report", "sweep", "--out", "report"]) == 0
    page = Path("report/index.html").read_text()
    assert "1 run of the sweep" in " ".join(page.split())
    assert f"{last.parent.name} (missing)" in page


def test_parameters_that_differ_make_panels_of_their_own() -> None:
    assert (
        main(["sweep", "--rules", "precision=1,2", "--seeds", "1-2", "--steps", "2", "-n", "4", "--workers", "1"]) == 0
    )
    runs = [StepReader.open(path) for path in Path("sim_storage/sweep/runs").iterdir()]
    panels = read(runs).panels
    assert sorted(panel.title for panel in panels) == [
        "Prisoner's dilemma, precision 1.0",
        "Prisoner's dilemma, precision 2.0",
    ]
    for panel in panels:
        (own,) = panel.runs.values()
        assert [run.seed for run in own] == [1, 2]


def test_what_cannot_be_reported_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--steps", "1", "-n", "4", "--sim-name", "one"]) == 0
    assert main(["run", "--steps", "1", "-n", "4", "--sim-name", "two"]) == 0
    assert main(["seed", "--sim-name", "empty"]) == 0
    Path("mine").mkdir()
    Path("mine/letter.txt").write_text("dear")
    capsys.readouterr()
    assert "no run at sim_storage/none" in complaint(["report", "none", "--out", "r"], capsys)
    assert "mine is there and is no report" in complaint(["report", "one", "--out", "mine"], capsys)
    assert "have the same parameters and seed" in complaint(["report", "one", "two", "--out", "r"], capsys)
    assert "has no step of its own to report" in complaint(["report", "empty", "--out", "r"], capsys)


# Measures of data that were not made here


def gini_by_pairs(values: list[float]) -> float:
    """Return the Gini coefficient as half the relative mean absolute difference, pair by pair."""
    n = len(values)
    return sum(abs(a - b) for a, b in product(values, values)) / (2 * n * sum(values))


@needs_data
@pytest.mark.parametrize("run", [WITH, WITHOUT])
def test_an_imported_run_has_the_ties_and_the_gini_that_are_counted_in_its_files(run: str, tmp_path: Path) -> None:
    folder = import_run(DATA / "runs" / run, tmp_path).folder
    scratch = content(DATA / "runs" / run / "step_30", "memory/scratch.json")
    last = measures_of(StepReader(folder)).set_index("step").loc[30]
    assert last["ties"] == len(
        {(name, other) for name, data in scratch.items() for other in data["relationship"]["bind_list"]}
    )
    assert last["gini"] == pytest.approx(gini_by_pairs([data["resources_unit"] for data in scratch.values()]))


@needs_data
@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 6, 30])
def test_an_imported_run_has_the_rates_that_are_counted_in_its_result_files(step: int, tmp_path: Path) -> None:
    """The files are read here by their lines, without the reader; whoever paid a hundredth less was still honest."""
    place = DATA / "runs" / WITH / f"step_{step}"
    text = (place / "investment results" / f"investment_results_{step}.txt").read_text()
    deals = text.split("End of Investment")[:-1]
    accepted, honoured = 0, []
    for deal in deals:
        amount = re.search(r"decided Accept. Allocation ([\d.]+) unit", deal)
        accepted += amount is not None
        promised = re.search(r"investor_part: ([\d.]+)%", deal)
        paid = re.search(r"Investor: [^:]+: actual allocation ([\d.]+)", deal)
        if amount and promised and paid:
            honoured.append(float(paid[1]) >= float(promised[1]) / 100 * 2 * float(amount[1]) - 0.01)
    measured = measures_of(StepReader(import_run(place, tmp_path).folder)).set_index("step").loc[step]
    assert len(deals) == 10
    assert measured["acceptance_rate"] == pytest.approx(accepted / len(deals))
    if honoured:
        assert measured["honoured_rate"] == pytest.approx(sum(honoured) / len(honoured))
    else:
        assert np.isnan(measured["honoured_rate"])


@needs_data
def test_imported_runs_have_a_report(tmp_path: Path) -> None:
    for name, run in (("with", WITH), ("without", WITHOUT)):
        assert main(["import", str(DATA / "runs" / run), "--sim-name", name, "--storage", "s"]) == 0
    assert main(["report", "with", "without", "--out", "report", "--storage", "s"]) == 0
    page = (Path("report") / "index.html").read_text()
    assert "answered by the published implementation, then rules" in page
    for names in (["with"], ["without"], ["with", "without"]):
        assert_no_panel_is_empty(read([StepReader.open(Path("s") / name) for name in names]))
    folder = RunFolder.open(Path("s/with"))
    with RepuNetModel.load(folder.path) as model:
        model.step()
    measures = measures_of(StepReader(folder))
    assert measures["step"].tolist() == list(range(1, 32))
    assert measures["ties"].iloc[-1] == model.measures["ties"]


# Statistics


def test_bands_are_intervals_of_the_mean_by_student() -> None:
    values = np.array([[0.1, np.nan, 0.5], [0.3, np.nan, np.nan], [0.8, np.nan, np.nan]])
    centre, half = bands(values)
    low, high = stats.t.interval(0.95, 2, loc=0.4, scale=stats.sem(values[:, 0]))
    assert (centre[0] - half[0], centre[0] + half[0]) == pytest.approx((low, high))
    assert np.isnan([centre[1], half[1], half[2]]).all()
    assert centre[2] == 0.5


def test_a_regression_has_the_slope_of_the_data_and_errors_clustered_by_run() -> None:
    draws = np.random.default_rng(1)
    run = np.repeat(np.arange(12), 10)
    # All agents of a run share a push, so that they are less than 120 independent cases.
    x = draws.normal(size=120) + np.repeat(draws.normal(size=12), 10)
    y = 0.5 * x + np.repeat(draws.normal(size=12), 10)
    line = regression(x.tolist(), y.tolist(), run.tolist())
    assert line is not None
    assert line.slope == pytest.approx(stats.linregress(x, y).slope)
    assert line.r_squared == pytest.approx(stats.linregress(x, y).rvalue ** 2)
    assert line.high - line.low > 2 * 1.96 * stats.linregress(x, y).stderr
    assert (line.agents, line.runs) == (120, 12)
    assert regression([1, 1, 1], [1, 2, 3], [0, 0, 0]) is None
    assert regression([1, 2], [1, 2], [0, 0]) is None
    assert regression([1, 1, 2], [1, 2, 3], [0, 0, 0]) is None  # The last agent alone decides.
    assert regression([1, 1, 2], [1, 2, 3], [0, 0, 1]) is not None
