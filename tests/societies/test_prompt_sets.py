"""Prompt sets: each packaged one is complete, one's own is checked, and a set changes the words alone."""

from __future__ import annotations

import json
import shutil
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from repunet_model import RepuNetModel
from repunet_model.cli import main
from repunet_model.errors import ConfigurationError, StorageError
from repunet_model.prompt_check import check
from repunet_model.questions.base import Answer, Question
from repunet_model.questions.prompt_sets import (
    NEUTRAL,
    TABLE,
    PromptSet,
    of_packaged,
    packaged,
    packaged_names,
    problems,
)
from repunet_model.results.tables import table_of
from repunet_model.storage import Manifest, StepReader
from tests.backends import Overheard
from tests.conftest import complaint, contents
from tests.contract import TALKATIVE
from tests.societies import test_games

FRAMINGS = ("game", "neighbours", "market")


def run(steps: int = 3, **parameters: Any) -> RepuNetModel:
    with RepuNetModel(**{"n_agents": 6, "rng": 1, **parameters}) as model:
        for _ in range(steps):
            model.step()
    return model


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A set of one's own with a persona and labels."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "persona.j2").write_text("Name: {{ persona.name }}. {{ learned }}\n")
    (folder / TABLE).write_text('[labels.Move]\ncooperate = "help"\ndefect = "refuse"\n')
    return folder


# Packaged sets


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["plain+market+bullets", *packaged_names()])
def test_a_packaged_set_is_complete_and_speaks_of_nothing_that_a_mode_lacks(name: str) -> None:
    assert check(PromptSet.read(name)) == []


def test_the_packaged_sets_are_those_of_the_docs() -> None:
    assert set(packaged_names()) == {
        *("neutral", "guided", "plain", "formal"),
        *("bullets", "minimal", "biography"),
        *FRAMINGS,
        *("zh", "es"),
    }


@pytest.mark.parametrize("name", FRAMINGS)
def test_a_framing_has_no_word_of_cooperation_or_defection(name: str) -> None:
    model = RepuNetModel(rng=1, prompts=name, backend=(backend := Overheard(TALKATIVE)))
    for _ in range(4):
        model.step()
    assert {request.question.name for request in backend.requests} >= {"choose_move", "evaluate", "tell", "hear"}
    for request in backend.requests:
        labels = request.shown.get("decision", ())
        texts = [request.prompts.system, *labels]
        if request.question.name in ("choose_move", "evaluate"):
            texts.append(request.prompt.replace(request.learned, ""))  # Learned texts are the agent's.
        assert not any(word in text for text in texts for word in ("cooperat", "defect"))


def test_a_persona_layer_changes_the_persona_alone() -> None:
    requests = test_games.TestPrisonersDilemma().overheard(True, True, steps=1).requests
    ask = requests[0]
    before = ask.prompt
    for name in ("bullets", "minimal", "biography"):
        shown = RepuNetModel(prompts=name)._prompts.user(ask.question, ask.persona, ask.learned, ask.shown)
        assert shown != before
        assert shown.partition(ask.learned)[2] == before.partition(ask.learned)[2]
    assert "- name: " in RepuNetModel(prompts="bullets")._prompts.user(ask.question, ask.persona, "", ask.shown)


# What a set changes, and what not


@pytest.mark.parametrize("name", ["guided", "plain", "market", "zh", "es+bullets"])
@pytest.mark.parametrize("game", ["prisoners_dilemma", "sign_up"])
def test_the_rules_decide_alike_whatever_the_words_are(name: str, game: str) -> None:
    neutral, other = (run(game=game, prompts=each) for each in (NEUTRAL, name))
    assert neutral.network.to_dict() == other.network.to_dict()
    assert neutral.measures == other.measures
    tables = [model.datacollector.get_table_dataframe("interactions") for model in (neutral, other)]
    assert tables[0].equals(tables[1])
    one, two = (model.manifest().data for model in (neutral, other))
    changed = {entry for entry in one if one[entry] != two[entry]}
    assert {"prompts"} <= changed <= {"prompts", "system_prompt"}


def test_labels_of_the_donation_game_are_in_its_hash_alone(mine: Path) -> None:
    before = {game: PromptSet.read("mine").described(game)["sha256"] for game in ("donation", "investment")}
    with (mine / TABLE).open("a", encoding="utf-8") as table:
        table.write('[labels.Gift]\ngive = "help"\nkeep = "refuse"\n')
    after = {game: PromptSet.read("mine").described(game)["sha256"] for game in before}
    assert after["donation"] != before["donation"]
    assert after["investment"] == before["investment"]


def test_a_set_is_the_same_however_it_is_named_and_whatever_lies_unused_in_it(mine: Path) -> None:
    assert PromptSet.read("bullets") is PromptSet.read("neutral + bullets")
    assert main(["prompts", "export", "all"]) == 0
    neutral, exported = PromptSet.read(NEUTRAL), PromptSet.read("all")
    game = "prisoners_dilemma"
    assert exported.described(game)["sha256"] == neutral.described(game)["sha256"]
    (Path("all") / "investment_rules.j2").write_text("Other rules.\n")
    exported = PromptSet.read("all")
    assert exported.described(game)["sha256"] == neutral.described(game)["sha256"]
    assert exported.described("investment")["sha256"] != neutral.described("investment")["sha256"]
    shutil.rmtree("all")
    assert main(["prompts", "export", "all", "--prompts", "zh"]) == 0
    assert PromptSet.read("all").described(game)["sha256"] == PromptSet.read("zh").described(game)["sha256"]
    assert PromptSet.read("all").words == PromptSet.read("zh").words


def test_every_run_names_its_set_and_a_sweep_takes_several(mine: Path) -> None:
    Path("sweep.toml").write_text('steps = 2\n[grid]\nn_agents = 4\nprompts = ["neutral", "market+mine"]\n')
    assert main(["sweep", "sweep.toml"]) == 0
    assert main(["sweep", "sweep.toml"]) == 0
    assert set(pd.read_parquet("sim_storage/sweep/results.parquet")["prompts"]) == {"neutral", "market+mine"}
    assert main(["run", "--prompts", "guided+bullets", "--steps", "1", "--sim-name", "it"]) == 0
    manifest = json.loads(Path("sim_storage/it/manifest.json").read_text())
    assert manifest["prompts"]["set"] == "guided+bullets"
    assert "A good reputation is worth something" in manifest["system_prompt"]


# A run keeps a set of one's own


def test_a_run_goes_on_replays_and_forks_without_the_folder(mine: Path) -> None:
    storage = mine.parent / "runs"
    whole = run(4, prompts="mine", storage=storage, run_name="whole")
    run(2, prompts="mine", storage=storage, run_name="parted")
    account = whole.state["agents"][0]
    shutil.rmtree(mine)
    model = RepuNetModel.load(storage / "parted")
    for _ in range(2):
        model.step()
    assert contents(storage / "parted") == contents(storage / "whole")
    assert account == model.state["agents"][0]
    assert main(["run", "--backend", f"replay:{storage}/whole", "--storage", "again", "--sim-name", "it"]) == 0
    assert StepReader.open(Path("again/it")).manifest.prompts["set"] == "mine"
    assert main(["fork", f"{storage}/whole", "--set", "prompts=plain", "--storage", str(storage)]) == 0
    (fork,) = (path for path in storage.iterdir() if path.name not in ("whole", "parted"))
    assert StepReader.open(fork).manifest.prompts["set"] == "plain"
    RepuNetModel.load(fork).step()
    table = table_of(StepReader.open(fork))
    assert list(table["prompts"]) == ["mine"] * 4 + ["plain"]
    assert set(table["before_fork"].dropna()) == {'prompts="mine"'}


class Reading(Overheard):
    """The rules, which claim to read prompts."""

    reads_prompts = True


def test_a_run_that_read_prompts_goes_on_with_the_same_ones_alone(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = mine.parent / "runs"
    run(1, prompts="formal", storage=storage, run_name="it", backend=Reading())
    RepuNetModel.load(storage / "it", backend=Reading()).step()
    monkeypatch.setitem(packaged("formal").files, "persona.j2", "Your name is {{ persona.name }}. {{ learned }}\n")
    of_packaged.cache_clear()
    try:
        with pytest.raises(StorageError, match=r"made with other prompts \(formal\), by version"):
            RepuNetModel.load(storage / "it", backend=Reading())
    finally:
        of_packaged.cache_clear()


def test_a_replay_with_other_words_is_another_run(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(1, prompts="plain", storage=mine.parent / "runs", run_name="it")
    assert main(["run", "--backend", "replay:runs/it", "--prompts", "formal"]) == 2
    assert "was made with prompts=plain, a replay with prompts=formal would be another one" in capsys.readouterr().err


# Sets of one's own that are wrong


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nix", "'nix' is no packaged set and no folder; choose neutral, biography, bullets, es,"),
        ("plain+plain", "'plain' is there twice"),
        ("plain+neutral", "neutral comes first"),
        ("plain+", "'' is no packaged set"),
        ("copy/plain", "a packaged set has this name"),
    ],
)
def test_an_unknown_set_is_refused_in_one_line(
    text: str, problem: str, mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (mine.parent / "copy" / "plain").mkdir(parents=True)
    assert main(["run", "--prompts", text]) == 2
    told = capsys.readouterr().err
    assert problem in told
    assert told.count("\n") == 1
    assert not Path("sim_storage").exists()


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("persona.j2", "{{ persona.name }", "mine/persona.j2: line 1: "),
        ("persona.j2", "{{ persona.name | shout }}", "mine/persona.j2: line 1: No filter named 'shout'"),
        ("persona.j2", '{% include "hier.j2" %}', "mine/persona.j2: includes 'hier.j2', which is no template"),
        ("person.j2", "Hi.", "mine/person.j2: no question and no other template reads it"),
        ("persona.txt", "Hi.", "persona.txt: no template"),
        (TABLE, "[labels", "mine/set.toml: is no TOML"),
        (TABLE, '[names]\na = "b"', "mine/set.toml: names: unknown; known are labels, roles and words"),
        (TABLE, '[labels.Moves]\na = "b"', "mine/set.toml: labels.Moves: unknown; known are Choice"),
        (TABLE, '[labels.Move]\nhelp = "b"', "labels.Move.'help': unknown; known are cooperate, defect"),
        (TABLE, '[labels.Move]\ncooperate = "defect"', "labels.Move: two options have the label 'defect'"),
        (TABLE, '[labels.Move]\ncooperate = ""', "labels.Move.'cooperate': is ''"),
        (TABLE, '[words]\ngossip = "("', "words.gossip: '(' is no regular expression"),
    ],
)
def test_a_file_that_is_wrong_is_named_by_the_check_and_by_a_run(
    file: str, text: str, problem: str, mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (mine / file).write_text(text)
    for words in (["prompts", "check", "mine"], ["run", "--prompts", "mine", "--steps", "1"]):
        assert main(words) == 2
        told = capsys.readouterr().err
        assert problem in told
        assert told.count("\n") == 1


@pytest.mark.thorough
def test_the_check_names_gaps_leaks_and_variables_that_are_not_read(
    mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prompts", "check", "mine"]) == 0
    assert "complete; 1 template (of " in (shown := capsys.readouterr().out)
    assert shown.endswith("read otherwise than in neutral: persona.j2\n")
    before = packaged(NEUTRAL).templates
    wrong = {
        "sign_up_declare.j2": before["sign_up_declare.j2"].replace("{% if own_opinion is not none %}", "{% if true %}"),
        "events.j2": "Think of your reputation.\n" + before["events.j2"],
        "evaluate.j2": before["evaluate.j2"].replace('{{ options.own | join(", ") }}', "good or bad"),
        "connect.j2": before["connect.j2"].replace("{% block view %}", "{% block look %}"),
        "reflect.j2": before["reflect.j2"].replace("{{ account }}", ""),
        "respond.j2": before["respond.j2"] + "{{ weather }}",
    }
    for name, text in wrong.items():
        (mine / name).write_text(text)
    assert main(["prompts", "check", "mine"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert all(line.startswith("error: mine: ") for line in lines)
    for part in (
        "question invest: speaks of reputation where there is none: 'reput' (investment, gossip only, paper, single)",
        "question evaluate: does not list the options of own in their order",
        "connect.j2: has no block 'view'",
        "reflect.j2: does not read 'account', which neutral shows",
        "'weather' is undefined",
        "sign_up_declare.j2: 'NoneType' object has no attribute 'record'",
    ):
        assert any(part in line for line in lines), (part, lines)


def test_a_run_with_a_template_that_cannot_be_rendered_ends_with_one_line(
    mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (mine / "prisoners_dilemma_account.j2").write_text("You {{ own.weather }}.\n")
    assert main(["run", "--prompts", "mine", "--steps", "1", "--sim-name", "it"]) == 2
    told = capsys.readouterr().err
    assert "prompts mine: prisoners_dilemma_account.j2: " in told
    assert "has no attribute 'weather'" in told
    assert "Traceback" not in told


def test_an_undefined_name_is_refused_before_the_run(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (mine / "prisoners_dilemma_account.j2").write_text("You {{ did }}.\n")
    assert main(["run", "--prompts", "mine", "--steps", "1", "--sim-name", "it"]) == 2
    told = capsys.readouterr().err
    assert "error: prompts mine/prisoners_dilemma_account.j2: 'did' is undefined: no question shows it" in told
    assert not Path("sim_storage/it").exists()


def test_a_template_is_rendered_in_a_sandbox(mine: Path) -> None:
    (mine / "society.j2").write_text("{{ ''.__class__.__mro__[1].__subclasses__() }}\n")
    with pytest.raises(ConfigurationError, match="unsafe"):
        run(0, prompts="mine")


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (7, "must describe a prompt set"),
        ({"set": "mine"}, "'mine': no packaged set, and the run does not hold its templates"),
        ({"set": "mine", "folders": {"mine": {"persona.j2": 7}}}, "'mine': no packaged set"),
        ({"set": "mine", "folders": {"mine": {"x.j2": "Hi."}}}, r"mine/x\.j2: no question"),
    ],
)
def test_a_damaged_description_of_a_set_is_told_in_one_line(entry: object, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        PromptSet.restored(entry)
    with pytest.raises(ConfigurationError, match="prompts is missing, or is not the description of a prompt set"):
        Manifest.of_data({**RepuNetModel().manifest().data, "prompts": entry})


def test_an_enumeration_with_the_name_of_a_packaged_one_hides_no_labels() -> None:
    class Choice(StrEnum):
        LEFT = "left"

    class OwnAnswer(Answer):
        decision: Choice

    class Own(Question[OwnAnswer]):
        name = "own"
        answer = OwnAnswer

    assert problems(PromptSet.read("es")) == []


def test_a_prompt_can_be_read_without_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    alone = ["--reputation", "n", "--gossip", "n"]
    assert main(["prompts", "show", *alone]) == 0
    listed = dict(line.split() for line in capsys.readouterr().out.splitlines()[:-1])
    assert listed == {
        "choose_move": "prisoners_dilemma_choose.j2",
        "connect": "connect.j2",
        "disconnect": "disconnect.j2",
        "evaluate": "evaluate.j2",
        "reflect": "reflect.j2",
    }
    assert main(["prompts", "show", "choose_move", "--prompts", "game", *alone]) == 0
    shown = capsys.readouterr().out
    assert [line for line in shown.splitlines() if line.startswith("[")] == [
        "[system]",
        "[user]",
        "[schema of the reply]",
    ]
    assert "eputation" not in shown
    schema = json.loads(shown.partition("[schema of the reply]")[2])
    assert set(schema["properties"]["decision"]["enum"]) == {"A", "B"}
    assert "'hear' is no question" in complaint(["prompts", "show", "hear", *alone], capsys)


def test_an_export_lists_every_option_and_refuses_a_folder_in_use(
    mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prompts", "export", "all", "--prompts", "mine"]) == 0
    table = tomllib.loads((Path("all") / TABLE).read_text())
    assert table["labels"]["Move"] == {"cooperate": "help", "defect": "refuse"}
    assert (Path("all") / TABLE).read_text().count("\n# ") > 20
    assert (Path("all") / "persona.j2").read_text() == (mine / "persona.j2").read_text()
    assert main(["prompts", "export", "all"]) == 2
    assert "all: is not empty; name a new folder" in capsys.readouterr().err
