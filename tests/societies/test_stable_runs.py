"""Runs that end when they are stable: where they end, what is noted, and that going on ends at the same step."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from repunet_model import RepuNetModel
from repunet_model.cli import main
from repunet_model.stability import StabilityRule
from repunet_model.storage import RunFolder
from tests.conftest import complaint, contents

SOON = StabilityRule(window=2, tolerance=0.3, least=4)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def last(run: str) -> int:
    """Return the last step of a stored run."""
    return RunFolder(Path("sim_storage", run)).steps()[-1]


def test_a_run_ends_when_it_is_stable_and_says_where_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "-n", "4", "--steps", "80", "--until-stable", "--sim-name"]
    assert main([*words, "whole"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    end = last("whole")
    assert 30 <= end < 80
    assert f"The run is stable after step {end}: cooperation" in said
    noted = json.loads(Path("sim_storage/whole/stopped.json").read_text())
    assert noted["step"] == end
    assert noted["rule"] == {"window": 10, "tolerance": 0.08, "least": 30}
    assert abs(noted["last"] - noted["before"]) < 0.08

    # Cut off and gone on with, it has the same bytes; gone on with once more, it has no further step.
    assert main(["run", "-n", "4", "--steps", "7", "--sim-name", "parts"]) == 0
    assert main(["resume", "parts", "--steps", "73", "--until-stable"]) == 0
    assert contents(Path("sim_storage/parts")) == contents(Path("sim_storage/whole"))
    Path("sim_storage/parts/stopped.json").unlink()  # as after a kill between the last step and the note
    assert main(["resume", "parts", "--steps", "9", "--until-stable"]) == 0
    assert contents(Path("sim_storage/parts")) == contents(Path("sim_storage/whole"))

    capsys.readouterr()
    assert main(["check", "whole"]) == 0
    assert f"whole, {end} steps; stable after step {end}" in capsys.readouterr().out
    Path("sim_storage/whole/stopped.json").write_text(json.dumps({**noted, "step": end - 1}))
    assert main(["check", "whole"]) == 1
    assert "stopped.json is not what its rule finds in the steps" in capsys.readouterr().out


def test_a_run_that_has_too_few_steps_to_be_stable_is_said_to_be_so(capsys: pytest.CaptureFixture[str]) -> None:
    said = complaint(["run", "--until-stable", "--steps", "29"], capsys)
    assert "--until-stable: a run is stable after 30 steps at the earliest, and may have 29: raise steps" in said
    assert not Path("sim_storage").exists()
    assert main(["run", "-n", "4", "--steps", "1", "--sim-name", "one"]) == 0
    assert main(["resume", "one", "--steps", "2", "--until-stable"]) == 0
    assert "Not stable after 3 steps." in capsys.readouterr().out


def test_a_model_is_stable_by_the_steps_of_its_own() -> None:
    with RepuNetModel(n_agents=4, rng=3, storage="sim_storage", run_name="parent") as model:
        while not model.stable(SOON):
            model.step()
        found = model.stable(SOON)
    assert found is not None
    rates = [float(rate) for rate in model.datacollector.get_model_vars_dataframe()["cooperation_rate"][1:]]
    assert found.step == model.steps == SOON.stable_after(rates)
    assert [found.before, found.last] == pytest.approx([sum(rates[-4:-2]) / 2, sum(rates[-2:]) / 2])
    assert json.loads(Path("sim_storage/parent/stopped.json").read_text()) == json.loads(json.dumps(found.to_dict()))

    fork = RunFolder(Path("sim_storage/parent")).fork(model.steps, Path("sim_storage"), "fork", {"gossip": False})
    assert not (fork.path / "stopped.json").exists()
    with RepuNetModel.load(fork.path) as model:
        assert model.stable(SOON) is None
        while not (found := model.stable(SOON)):
            model.step()
    assert found.step == model.steps >= len(rates) + SOON.least


JOBS = """
[defaults]
n_agents = 4
steps = 70
until_stable = true

[[jobs]]
sim_name = "new"

[[jobs]]
resume = "old"

[[jobs]]
sim_name = "all"
steps = 33
until_stable = false
"""


def test_jobs_that_are_stable_are_done_and_not_taken_up_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "-n", "4", "--steps", "2", "--sim-name", "old", "--seed", "4"]) == 0
    Path("jobs.toml").write_text(JOBS)
    assert main(["batch", "jobs.toml"]) == 0
    ends = {name: last(name) for name in ("new", "old", "all")}
    assert ends["all"] == 33
    assert all(30 <= ends[name] < 70 for name in ("new", "old"))
    capsys.readouterr()
    assert main(["batch", "jobs.toml"]) == 0
    assert {name: last(name) for name in ends} == ends
    said = " ".join(capsys.readouterr().out.split())
    assert f"new {ends['new']}/70 done: stable after step {ends['new']}" in said
    assert "all 33/33 done" in said
    assert f"stable after step {ends['new']}: cooperation" in Path("outputs/new.log").read_text()
    Path("jobs.toml").write_text(JOBS.replace("steps = 70", "steps = 20"))
    assert "job 1 ('new'): until_stable: a run is stable after 30 steps" in complaint(["batch", "jobs.toml"], capsys)


def test_a_sweep_is_until_stable_by_its_file_and_earlier_sweeps_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    sweep = 'steps = 50\nuntil_stable = true\nseeds = "1"\n[grid]\nn_agents = 4\n'
    Path("settled.toml").write_text(sweep)
    assert main(["sweep", "settled.toml", "--workers", "1"]) == 0
    (run,) = Path("sim_storage/settled/runs").iterdir()
    assert 30 <= RunFolder(run).steps()[-1] < 50
    capsys.readouterr()
    assert "says what the sweep is" in complaint(["sweep", "settled.toml", "--until-stable"], capsys)

    Path("settled.toml").write_text(sweep.replace("true", "false"))
    assert main(["sweep", "settled.toml", "--workers", "1"]) == 0
    assert RunFolder(run).steps()[-1] == 50
    stored = json.loads(Path("sim_storage/settled/sweep.json").read_text())
    assert stored.pop("until_stable") is False
    Path("sim_storage/settled/sweep.json").write_text(json.dumps(stored))  # as an earlier version wrote it
    assert main(["sweep", "settled.toml", "--workers", "1"]) == 0
    Path("settled.toml").write_text(sweep)
    capsys.readouterr()
    assert "do not end when they are stable" in complaint(["sweep", "settled.toml"], capsys)
