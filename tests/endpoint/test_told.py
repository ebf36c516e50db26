"""What users are told where something cannot be, and what they see on a terminal."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import signal
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import pytest

from repunet_model import RepuNetError, RepuNetModel
from repunet_model.backends.base import Request
from repunet_model.backends.human import HumanBackend
from repunet_model.chronicle import Chronicle
from repunet_model.cli import main
from repunet_model.mechanism import PAPER
from repunet_model.network import SocialNetwork
from repunet_model.personas import Disposition, Persona
from repunet_model.questions.base import Answer, Coordinates, Question
from repunet_model.questions.interview import Interview
from repunet_model.questions.prompts import Prompts
from repunet_model.reputation import ReputationRecord
from repunet_model.testing import endpoint
from tests.conftest import complaint, contents

RUN = ["run", "--steps", "1", "-n", "4"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run() -> Path:
    """A stored run of one step."""
    assert main([*RUN, "--sim-name", "demo"]) == 0
    return Path("sim_storage/demo")


# One line for what cannot be


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["fork", "demo", "--set", "seed"], "--set 'seed': must read NAME=VALUE"),
        (["fork", "demo", "--set", "gossip=perhaps"], "gossip=perhaps: say y or n"),
        (["fork", "demo", "--set", "activation=slowly"], "slowly"),
        (["fork", "demo", "--set", "questions=many"], "many"),
        (["fork", "demo", "--set", "weather=fine"], "set reputation, gossip, prompts, backend, activation"),
        (["resume", "demo", "--sim-name", "other"], "the run goes on in place; to fork it, name an earlier step"),
        ([*RUN, "--backend-for", "Akiko Sato=replay:demo"], "it cannot stand for single ones"),
        ([*RUN, "--backend", "local"], "name its GGUF file by --gguf FILE or LLM_GGUF"),
        (["report", "demo", "--out", "sim_storage/demo/manifest.json/out"], "is not a writable folder"),
        (["sweep", "--seeds", "1-"], "write them as in"),
        (["sweep", "--seeds", "3,1-4"], "one is there twice"),
        (["sweep", "--rules", "altruism"], "must read NAME=NUMBER,NUMBER"),
        (["sweep", "--n-agents", "many"], "must be a whole number"),
        (["sweep", "--backend", "replay:demo"], "a replay repeats one run"),
    ],
)
def test_what_cannot_be_is_one_line(words: list[str], told: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert told in complaint(words, capsys)


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("LLM_TIMEOUT", "0", "LLM_TIMEOUT is 0.0: must be a number of seconds above 0"),
        ("LLM_PRICES", "nowhere.toml", "price file nowhere.toml: no such file"),
    ],
)
def test_a_variable_that_cannot_be_is_one_line(
    variable: str, value: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LLM_API_BASE", "http://127.0.0.1:9/v1")
    monkeypatch.setenv(variable, value)
    assert told in complaint([*RUN, "--backend", "openai"], capsys)


def test_a_population_of_one_is_refused() -> None:
    with pytest.raises(RepuNetError, match="n_agents is 1: must be a whole number, at least 2"):
        RepuNetModel(n_agents=1)


def test_a_fork_is_neither_replayed_nor_the_run_of_a_job(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fork", "demo", "--set", "seed=2", "--sim-name", "forked"]) == 0
    capsys.readouterr()
    assert "is a fork of 'demo': only whole runs replay" in complaint(["run", "--backend", "replay:forked"], capsys)
    Path("jobs.toml").write_text('[[jobs]]\nsim_name = "forked"\nsteps = 2\nn_agents = 4\n')
    before = contents(Path("sim_storage/forked"))
    assert main(["batch", "jobs.toml"]) == 1
    shown = capsys.readouterr()
    assert "is a fork: continue it with resume, or choose another sim_name" in shown.err
    assert contents(Path("sim_storage/forked")) == before


def test_without_its_packages_the_page_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "visualization", None)
    assert "the page needs visualization: pip install" in complaint(["viz"], capsys)


def test_damage_to_the_beginning_leaves_no_way_to_go_on(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "step_0" / "state.json").write_text("{}")
    capsys.readouterr()
    assert main(["check", "demo"]) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("1 problem; it cannot be gone on with")


def test_damage_is_listed_with_the_way_to_go_on(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "step_1" / "state.json").write_text("{}")
    capsys.readouterr()
    assert main(["check", "demo"]) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first == "sim_storage/demo/step_1/state.json is not what was written"
    assert last.startswith("1 problem; to go on from the last whole step: ")
    assert last.endswith(" resume sim_storage/demo/step_0")


@pytest.mark.parametrize(
    ("file", "told"),
    [("manifest.json", "not the manifest of a step"), ("usage_manifest.json", "not the hashes of files")],
)
def test_a_step_that_is_sealed_by_something_else_is_told(
    file: str, told: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "step_1" / file).write_text("[]\n")
    capsys.readouterr()
    assert main(["check", "demo"]) == 1
    assert f"step_1/{file} is damaged: {told}" in capsys.readouterr().out


def test_a_step_that_is_taken_away_under_a_society_is_told_before_anything_is_asked(run: Path) -> None:
    model = RepuNetModel.load(run)
    shutil.rmtree(run / "step_1")
    with pytest.raises(RepuNetError, match="step 1 is no longer in"):
        model.step()
    assert model.steps == 1
    assert not (run / "step_2").exists()


def test_a_fork_whose_past_is_not_its_parents_is_told(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fork", "demo", "--set", "seed=2", "--sim-name", "forked"]) == 0
    forked = Path("sim_storage/forked")
    manifest = json.loads((forked / "manifest.json").read_text())
    content = json.dumps({**manifest, "parent": {**manifest["parent"], "manifest": "0" * 64}}).encode()
    (forked / "manifest.json").write_bytes(content)
    (forked / "manifest.sha256").write_text(sha256(content).hexdigest())
    capsys.readouterr()
    assert main(["check", "forked"]) == 1
    assert "step_1 is not the step of the parent that was forked" in capsys.readouterr().out


def test_a_sweep_without_runs_or_of_another_format_is_not_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "--seeds", "1", "--steps", "1", "--n-agents", "4", "--name", "some"]) == 0
    sweep = Path("sim_storage/some")
    shutil.rmtree(sweep / "runs")
    capsys.readouterr()
    assert "there is no complete run to report" in complaint(["report", "some", "--out", "report"], capsys)
    content = json.loads((sweep / "sweep.json").read_text())
    (sweep / "sweep.json").write_text(json.dumps({**content, "format": 99}))
    assert "format 99 is not known to this version" in complaint(["report", "some", "--out", "report"], capsys)


def test_a_line_of_replies_that_is_none_is_told_with_its_number(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = {
        "at": [2, "encounter", "evaluate", "Akiko Sato", "", ""],
        "attempt": 0,
        "request": "",
        "text": "",
        "usage": 1,
    }
    (run / "replies.jsonl").write_text(json.dumps(row) + "\n")
    capsys.readouterr()
    assert "replies.jsonl, line 1: damaged (not a reply); remove the line to go on" in complaint(
        ["resume", "demo"], capsys
    )


def test_a_session_can_replay_a_run_and_takes_no_notice_of_an_empty_line(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n\nrun 1\nfin\n"))
    assert main(["shell", "--backend", "replay:demo", "-n", "4"]) == 0
    assert "error" not in capsys.readouterr().err
    (replayed,) = [path for path in Path("sim_storage").iterdir() if path.is_dir() and path.name != "demo"]
    assert contents(replayed) == contents(run)


# Terminals


def test_on_a_terminal_progress_is_a_bar_with_counts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert main([*RUN, "--steps", "2"]) == 0
    shown = capsys.readouterr().err
    assert "2/2" in shown
    assert "calls · 0 tokens" in shown
    Path("jobs.toml").write_text('[[jobs]]\nsim_name = "one"\nsteps = 2\nn_agents = 4\n')
    assert main(["batch", "jobs.toml"]) == 0
    shown = capsys.readouterr().err
    assert "1/1 one: done, 2/2 steps" in shown
    assert "2/2 steps" in shown


@pytest.mark.parametrize("command", ["run", "batch"])
def test_a_command_leaves_somebody_elses_handler_of_interrupts_alone(command: str) -> None:
    Path("jobs.toml").write_text('[[jobs]]\nsim_name = "one"\nsteps = 1\nn_agents = 4\n')
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert main(RUN if command == "run" else ["batch", "jobs.toml"]) == 0
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_is_shown_of_a_step_without_gossip_has_no_heading_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*RUN, "--gossip", "n", "--sim-name", "quiet"]) == 0
    capsys.readouterr()
    assert main(["show", "quiet"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert "Encounters" in shown
    assert "Reputations, with scores from -1 (very bad) to +1 (very good)" in shown
    assert "Gossip" not in shown


def test_a_run_whose_agents_share_a_backend_by_name_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    named = ["--backend-for", "Akiko Sato=tit_for_tat", "--backend-for", "Aisha Ibrahim=tit_for_tat"]
    for name, steps in (("whole", "2"), ("parted", "1")):
        assert main([*RUN, *named, "--steps", steps, "--sim-name", name]) == 0
    assert main(["resume", "parted", "--steps", "1"]) == 0
    assert contents(Path("sim_storage/parted")) == contents(Path("sim_storage/whole"))


# At the keyboard


class ListAnswer(Answer):
    names: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class NameAll(Question[ListAnswer]):
    """A question whose answer nobody can type."""

    name: ClassVar[str] = "name_all"
    template: ClassVar[str] = "Whom do you know?"
    answer: ClassVar[type[Answer]] = ListAnswer


def asked(question: Question[Any]) -> Request[Any]:
    prompts = Prompts("You are one of a town.", PAPER)
    ann = Persona(name="Ann", disposition=Disposition.ALTRUISTIC)
    where = Coordinates(1, "encounter", question.name, "Ann")
    return Request(where, question, ann, "You like tea.", bytes(32), prompts, {"backend": "human"})


async def answered(human: HumanBackend, question: Question[Any]) -> Any:
    return await human.answer(asked(question))


@pytest.mark.parametrize(
    ("screen", "told"),
    [
        (io.StringIO(), "'name_all' cannot be asked at the keyboard: what is 'names'"),
        (None, "there is no screen on which to ask"),
    ],
)
def test_a_human_who_cannot_be_asked_fails_the_question(screen: io.StringIO | None, told: str) -> None:
    human = HumanBackend(lambda: io.StringIO("x\n"), lambda: screen)
    with pytest.raises(RepuNetError, match=told):
        asyncio.run(answered(human, NameAll()))


# Prompts and what is known


def test_a_record_of_many_shares_is_told_share_by_share() -> None:
    record = ReputationRecord("Bob", "player", "He helps.", (0.1, 0.2, 0.3, 0.4, 0.0))
    question = Interview(asked="Why?", step=1, resources=1, records=(record,), events=(), tied_to=(), avoids=())  # type: ignore[arg-type]
    assert "- Bob: «He helps.» (player: very bad 10 %, bad 20 %, neutral 30 %, good 40 %)" in asked(question).prompt


def test_an_interview_in_a_game_of_two_roles_shows_what_is_learned_in_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with endpoint() as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        words = [*RUN, "--scenario", "investment", "--backend", "openai", "--sim-name", "deal"]
        assert main(words) == 0
        assert main(["ask", "deal", "Akiko Sato", "Why?"]) == 0
    (prompt,) = [body["messages"][1]["content"] for body in running.requests if "«Why?»" in str(body["messages"])]
    assert "\nAs investor: " in prompt
    assert "\nAs trustee: " in prompt


def test_a_chronicle_knows_the_score_in_a_role() -> None:
    model = RepuNetModel("investment", n_agents=6, rng=1)
    chronicle = Chronicle.of_model(model)
    for _ in range(2):
        model.step()
    for name in model.network.graph:
        for role in ("investor", "trustee"):
            held = [agent.ledger.record(name, role) for agent in model.agents.to_list()]
            scores = [record.score for record in held if record is not None]
            expected = pytest.approx(sum(scores) / len(scores)) if scores else None
            assert chronicle.score(name, 2, role) == expected


def test_altruists_give_back_more_of_what_was_entrusted_to_them() -> None:
    given = {}
    for kind in Disposition:
        people = [Persona(name=f"{letter}", disposition=kind) for letter in "ABCDEFGHIJKLMNOP"]
        words = [person.model_copy(update={"learned": "You deal."}) for person in people]
        model = RepuNetModel("investment", personas=words, reputation=False, gossip=False, rng=3)
        for _ in range(8):
            model.step()
        rows = model.datacollector.get_table_dataframe("interactions").dropna(subset=["actual_share"])
        given[kind] = (rows["actual_share"] / rows["promised_share"]).mean()
    assert given[Disposition.ALTRUISTIC] > given[Disposition.SELF_INTERESTED]


def test_a_tie_is_made_and_a_break_noted_once() -> None:
    network = SocialNetwork(["Ann", "Bob"])
    for _ in range(2):
        network.bind("Ann", "Bob", "player")
    assert list(map(list, network.to_dict()["ties"])) == [["Ann", "Bob", ["player"]]]
    network.unbind("Ann", "Bob", "player")
    data = json.loads(json.dumps(network.to_dict()))
    data["ties"] = [["Ann", "Bob", ["player"]]]  # as published runs may have it
    again = SocialNetwork.from_dict(data)
    again.unbind("Ann", "Bob", "player")
    assert again.blacklist("Ann") == (("Bob", "player"),)
