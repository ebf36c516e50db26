"""Jobs side by side: what becomes of each, of its log, and of the limits they share."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web

from repunet_model.backends.base import Usage
from repunet_model.cli import main
from repunet_model.model import RepuNetModel
from repunet_model.storage import RunFolder
from repunet_model.testing import Body, Endpoint, endpoint, error
from tests.conftest import contents

STORED = Path("sim_storage")

THREE = """
[defaults]
steps = 3
n_agents = 4

[[jobs]]
sim_name = "dilemma"
backend = "{dilemma}"

[[jobs]]
sim_name = "trust"
scenario = "investment"
gossip = false
seed = 5

[[jobs]]
sim_name = "programme"
scenario = "sign"
reputation = false
activation = "sequential"
dialogue_turns = 3
backend_for = {{ "Akiko Sato" = "always_defect" }}
"""

SINGLE = {
    "dilemma": [],
    "trust": ["--scenario", "investment", "--gossip", "n", "--seed", "5"],
    "programme": [
        *("--scenario", "sign", "--reputation", "n", "--activation", "sequential", "--dialogue-turns", "3"),
        *("--backend-for", "Akiko Sato=always_defect"),
    ],
}
"""The options of `run` that say the same."""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def batch(text: str, *options: str) -> int:
    Path("jobs.toml").write_text(text)
    return main(["batch", "jobs.toml", *options])


def lines(name: str, logs: str = "outputs") -> list[str]:
    """Return the lines of a log, without the time."""
    return [line[26:] for line in (Path(logs) / f"{name}.log").read_text().splitlines()]


def check_as_single_runs(running: Endpoint | None = None, steps: int = 3) -> None:
    """Compare runs with those of the command `run`, byte for byte."""
    for name, words in SINGLE.items():
        backend = ["--backend", "openai"] if running and name == "dilemma" else []
        options = ["--steps", str(steps), "-n", "4", "--storage", "single", "--sim-name", name, *words, *backend]
        assert main(["run", *options]) == 0
        assert contents(STORED / name) == contents(Path("single") / name)


def test_offline_jobs_have_the_bytes_of_single_runs_and_a_log_each(capsys: pytest.CaptureFixture[str]) -> None:
    text = THREE.format(dilemma="rules")
    assert batch(text, "--logs", "logs") == 0
    shown = capsys.readouterr()
    check_as_single_runs()
    for name in SINGLE:
        assert any(line.split()[:3] == [name, "3/3", "done"] for line in shown.out.splitlines())
        assert sum(f" {name}: done, 3/3 steps; in all " in line for line in shown.err.splitlines()) == 1
        assert [line.split(":")[0] for line in lines(name, "logs")] == ["step 1", "step 2", "step 3"]
    assert " 9/9 steps" in shown.err
    rate = RunFolder.open(STORED / "trust").document(3, "metrics")["cooperation_rate"]
    assert f"step 3: cooperation_rate {rate:.3g}, " in lines("trust", "logs")[2]
    before = contents(STORED)
    assert batch(text, "--logs", "logs") == 0
    assert contents(STORED) == before
    assert len(lines("trust", "logs")) == 3


def test_one_job_that_fails_stops_no_other_and_the_same_command_completes_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    is_down = True

    def fault(number: int, body: Body) -> web.Response | None:
        return error(401, "who are you?") if is_down and number >= 30 else None

    text = THREE.format(dilemma="openai")
    with endpoint(fault=fault) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert batch(text) == 1
        shown = capsys.readouterr()
        table = " ".join(shown.out.split())
        assert "failed" in table
        assert "who are you?" in table
        assert "Traceback" not in shown.err
        done = {name: contents(STORED / name) for name in ("trust", "programme")}
        last = lines("dilemma")[-1]
        steps = RunFolder.open(STORED / "dilemma").steps()[-1]
        assert last.startswith("error: ")
        assert f"whole up to step {steps}, go on with: repunet resume sim_storage/dilemma --steps {3 - steps}" in (last)
        is_down = False
        answered = len(running.answered)
        assert batch(text) == 0
        assert len(running.answered) > answered
        assert {name: contents(STORED / name) for name in done} == done
        check_as_single_runs(running)
    assert [line.split(":")[0] for line in lines("dilemma")].count("step 3") == 1


TWO = """
[limits]
{limits}
[defaults]
n_agents = 6
steps = 2
backend = "openai"
[[jobs]]
sim_name = "a"
[[jobs]]
sim_name = "b"
seed = 2
"""


def test_two_jobs_share_one_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint(latency=0.01) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert batch(TWO.format(limits="concurrency = 3")) == 0
    assert running.most_at_once == 3


def test_two_jobs_share_one_budget_which_stored_steps_count_into(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LLM_MAX_TOKENS", "100")
    with endpoint() as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert batch(TWO.format(limits="budget_tokens = 60_000")) == 1
        assert "the budget of 60,000 tokens is used up" in " ".join(capsys.readouterr().out.split())
        assert 30_000 < running.tokens <= 60_000
        spent = running.tokens
        assert batch(TWO.format(limits=f"budget_tokens = {spent}")) == 1
        assert running.tokens == spent
        assert batch(TWO.format(limits="")) == 0
    used = Usage()
    for name in ("a", "b"):
        for step in (1, 2):
            for each in RunFolder.open(STORED / name).document(step, "usage").values():
                used.add(Usage.from_dict(each))
    assert used.tokens == running.tokens


def test_stored_runs_go_on_until_they_have_their_steps() -> None:
    main(["run", "--steps", "1", "-n", "4", "--sim-name", "earlier"])
    text = '[[jobs]]\nresume = "earlier"\nsteps = 3\n'
    assert batch(text) == 0
    assert batch(text) == 0
    main(["run", "--steps", "3", "-n", "4", "--sim-name", "single"])
    assert contents(STORED / "earlier") == contents(STORED / "single")
    assert len(lines("earlier")) == 2


def test_a_replay_takes_what_is_not_given_from_the_run_it_repeats() -> None:
    main(["run", "--scenario", "i", "--steps", "2", "-n", "4", "--seed", "9", "--sim-name", "first"])
    assert batch('[[jobs]]\nsim_name = "again"\nbackend = "replay:first"\n') == 0
    assert contents(STORED / "first") == contents(STORED / "again")


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ("seed = 2", "its seed is 1, the job's 2"),
        ("n_agents = 5", "its population is"),
        ('backend = "always_defect"', "its backend is"),
        ('scenario = "invest"', "its game is"),
        ("gossip = false", "its gossip is true, the job's false"),
    ],
)
@pytest.mark.parametrize("steps", [1, 3])
def test_a_stored_run_that_is_another_is_left_alone_and_fails_its_job(
    change: str, key: str, steps: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--steps", "1", "-n", "4", "--sim-name", "a"]) == 0
    before = contents(STORED / "a")
    defaults = "" if change.startswith("n_agents") else "n_agents = 4\n"
    text = f'[[jobs]]\nsim_name = "b"\nn_agents = 4\nsteps = 1\n[[jobs]]\nsim_name = "a"\nsteps = {steps}\n'
    assert batch(text + defaults + change) == 1
    assert key in " ".join(capsys.readouterr().err.split())
    assert contents(STORED / "a") == before
    assert RepuNetModel.load(STORED / "b").steps == 1
    (line,) = lines("a")
    assert line.startswith("error: sim_storage/a is another run: ")
    assert "go on with" not in line


JOB = '[[jobs]]\nsim_name = "a"\n'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "jobs: is missing"),
        ("jobs = []", "jobs: List should have at least 1 item"),
        ("jobs = [", "is no TOML"),
        ("[[jobs]]", "job 1: sim_name: is missing"),
        (JOB + "[other]", "other: unknown; known are limits, defaults, endpoints, jobs"),
        (JOB + 'mood = "good"', "job 1 ('a'): mood: unknown; known are"),
        (JOB + 'steps = "3"', "job 1 ('a'): steps: Input should be a valid integer"),
        (JOB + "steps = 0", "job 1 ('a'): steps: "),
        (JOB + "steps = true", "job 1 ('a'): steps: "),
        (JOB + "n_agents = 1", "job 1 ('a'): n_agents is 1"),
        (JOB + 'gossip = "n"', "job 1 ('a'): gossip is 'n'"),
        (JOB + "dialogue_turns = 11", "job 1 ('a'): dialogue_turns is 11"),
        (JOB + 'scenario = "chess"', "job 1 ('a'): unknown game 'chess'"),
        (JOB + 'activation = "random"', "job 1 ('a'): unknown activation 'random'"),
        (JOB + 'backend = "oracle"', "job 1 ('a'): unknown backend 'oracle'"),
        (JOB + 'backend = "openai"', "job 1 ('a'): OPENAI_API_KEY is not set"),
        (JOB + 'backend = "human"', "job 1 ('a'): a human has the keyboard"),
        (JOB + 'backend = "replay:nothing"', "job 1 ('a'): no run at sim_storage/nothing"),
        (JOB + 'backend_for = { Emma = "rules" }', "job 1 ('a'): backend_for: no agent is called 'Emma'"),
        (JOB + 'backend_for = { "Emma Dubois" = "x" }', "job 1 ('a'): unknown backend 'x'"),
        (JOB + "backend_for = { Emma = 3 }", "job 1 ('a'): backend_for is "),
        (JOB + 'personas = "none.json"', "job 1 ('a'): persona file none.json: no such file"),
        (JOB + 'scenario = "sign"\nbackend = "tit_for_tat"', "job 1 ('a'): "),
        (JOB + '[[jobs]]\nsim_name = "b"\n' + JOB, "job 3 ('a'): sim_name: another job has this run"),
        (JOB + '[[jobs]]\nsim_name = "A"', "job 2 ('A'): sim_name: another job has this run"),
        ('[[jobs]]\nsim_name = "../a"', "job 1 ('../a'): sim_name: run name '../a'"),
        ("[[jobs]]\nsim_name = 3", "job 1: sim_name: "),
        ('[[jobs]]\nresume = "nothing"', "job 1 ('nothing'): resume: no run at sim_storage/nothing"),
        ('[[jobs]]\nresume = "a/step_1"', "job 1 ('a/step_1'): resume: run name 'a/step_1'"),
        ('[[jobs]]\nresume = "a"\nseed = 3', "job 1 ('a'): seed: unknown; known are resume, steps"),
        ('[defaults]\nsim_name = "a"\n' + JOB, "defaults: sim_name: unknown"),
        ("[defaults]\nsteps = 1.5\n" + JOB, "defaults: steps: "),
        ("[limits]\nconcurrency = 0\n" + JOB, "limits: concurrency is 0"),
        ('[limits]\nconcurrency = "9"\n' + JOB, "limits.concurrency: "),
        ("[limits]\nrate = 3\n" + JOB, "limits.rate: unknown"),
    ],
)
def test_a_file_that_is_wrong_is_one_clear_line_and_nothing_is_written(
    text: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert batch(text) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert shown.err.startswith("error: jobs.toml")
    assert problem in shown.err
    assert [path.name for path in Path().iterdir()] == ["jobs.toml"]


def test_a_file_that_is_not_there_or_no_text_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["batch", "none.toml"]) == 2
    assert capsys.readouterr().err == "error: none.toml cannot be read: No such file or directory\n"
    Path("binary.toml").write_bytes(b"\xff\xfe\x00")
    assert main(["batch", "binary.toml"]) == 2
    assert "binary.toml is no TOML" in capsys.readouterr().err


def test_logs_that_cannot_be_written_are_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("")
    assert batch(JOB, "--logs", "file/logs") == 2
    assert "file/logs cannot be written" in capsys.readouterr().err
    assert not STORED.exists()
