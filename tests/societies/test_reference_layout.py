from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import networkx as nx
import pandas as pd
import pytest

from repunet_model.cli import main
from repunet_model.errors import ConfigurationError
from repunet_model.memory import Memory
from repunet_model.model import RepuNetModel
from repunet_model.reference_layout import Told, export_step, import_run
from repunet_model.reputation import score_of
from repunet_model.storage import StepReader, to_json
from tests.published import DEAL, REFUSED, Made, content, entry, event, ran, says, state_of, strip, table


def test_an_imported_step_is_a_run_that_goes_on(tmp_path: Path) -> None:
    made = Made()
    made.meet("Ann", "Bob", DEAL, 1)
    made.scratch("Ann")["resources_unit"] = 9.6
    made.hold("Ann", "Trustee_1", entry("Bob", 1, "trustee", "(0.4, 0.3, 0.2, 0.1, 0)"))
    done = made.read(tmp_path)
    model = RepuNetModel.load(done.folder.path)
    assert model.steps == 2
    assert str(model.agent("Ann").resources) == "9.6"
    assert model.agent("Ann").memory.snapshot()[0].partner == "Bob"
    record = model.agent("Ann").ledger.record("Bob", "trustee")
    assert record is not None
    assert record.distribution == (0.4, 0.3, 0.2, 0.1, 0.0)
    assert model.scores["Bob"] == pytest.approx(-0.6)
    assert model.datacollector.get_model_vars_dataframe()["gini"].iloc[2] == pytest.approx(model.measures["gini"])
    for _ in range(3):
        model.step()
    again = RepuNetModel.load(done.folder.path)
    assert again.steps == 5
    assert again._state() == model._state()
    assert again.agent("Ann").ledger.history("Bob", "trustee") == model.agent("Ann").ledger.history("Bob", "trustee")
    assert done.folder.manifest().data["imported"] == {"from": "invest_run/step_2", "step": 2}
    assert str(tmp_path) not in (done.folder.path / "manifest.json").read_text()


def test_a_failed_step_keeps_the_imported_past(tmp_path: Path) -> None:
    made = Made(1)
    made.hold("Ann", "Trustee_1", entry("Bob", 1, "trustee", "(0.4, 0.3, 0.2, 0.1, 0)"))
    model = RepuNetModel.load(made.read(tmp_path).folder.path)
    model._roll_back(2, {name: Memory() for name in made.names})
    assert model.agent("Ann").ledger.record("Bob", "trustee") is not None


@pytest.mark.parametrize("as_list", [False, True])
def test_a_deal_is_read_with_its_numbers_and_what_follows(as_list: bool, tmp_path: Path) -> None:
    made = Made()
    made.meet("Ann", "Bob", DEAL, 1, as_list=as_list)
    made.meet("Cem", "Ann", REFUSED, 2, as_list=as_list)
    done = made.read(tmp_path)
    deal, refusal = table(done, "interactions")
    assert (deal["step"], deal["first"], deal["second"], deal["course"]) == (1, "Ann", "Bob", "completed")
    assert (deal["promised_share"], deal["amount"], deal["outcome"], deal["actual_share"]) == (60, 4, 8, 45)
    assert (deal["first_payoff"], deal["second_payoff"], deal["reported_outcome"]) == (-0.4, 4.4, 6)
    assert (deal["first_cooperated"], deal["second_cooperated"]) == (True, False)
    assert deal["holdings"] is None
    assert (refusal["accepted"], refusal["course"], refusal["promised_share"]) == (False, "refused", None)
    assert refusal["investor_reason"] == "I do not know you"
    ann = [row for row in table(done, "events") if row["agent"] == "Ann"]
    assert [(row["step"], row["role"], row["payoff"]) for row in ann] == [(1, "investor", -0.4), (2, "trustee", 0.0)]
    assert ann[0]["text"] == DEAL.format("Ann", "Bob")
    assert says(done, "holdings", "not told of 2 of 2")


def test_a_promise_to_somebody_who_refused_comes_from_the_result_file(tmp_path: Path) -> None:
    made = Made(1)
    made.meet("Ann", "Bob", REFUSED, 1)
    step = made.write(tmp_path)
    results = step / "investment results" / "investment_results_1.txt"
    results.parent.mkdir()
    results.write_text(
        "| Trustee: Bob: allocated plan trustee_part: 45%, investor_part: 55%   |\n"
        "| Investor: Ann: investor decided Refuse. I do not know you.           |\n"
        "|      End of Investment      |\n"
        "| Trustee: Dan: allocated plan x |\n|      End of Investment      |\n"
    )
    done = made.read(tmp_path)
    assert [row["promised_share"] for row in table(done, "interactions")] == [55.0]
    assert says(done, "encounter 2 names no known investor and trustee")


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        (DEAL.replace("60% of it", "60 units of it"), ("promised_share", "second_cooperated")),
        (DEAL.replace("4.0 units\n", "1,000 units\n"), ("amount", "outcome", "actual_share")),
        (DEAL.replace("6.0 units.", "6.0 of 8.0 units."), ("reported_outcome",)),
    ],
)
def test_a_number_that_is_not_told_is_null(text: str, missing: tuple[str, ...], tmp_path: Path) -> None:
    made = Made()
    made.meet("Ann", "Bob", text, 1)
    done = made.read(tmp_path)
    [row] = table(done, "interactions")
    assert [row[name] for name in missing] == [None] * len(missing)
    assert all(says(done, name, "not told of 1 of 1") for name in missing)


def test_parts_that_are_not_the_doubled_amount_are_named(tmp_path: Path) -> None:
    made = Made()
    made.meet("Ann", "Bob", DEAL.replace("'4.4'", "'1.4'"), 1)
    done = made.read(tmp_path)
    assert table(done, "interactions")[0]["actual_share"] == 45
    assert says(done, "Ann and Bob", "not the doubled amount")


def test_ties_are_read_as_pairs_and_as_bare_names(tmp_path: Path) -> None:
    made = Made()
    made.meet("Ann", "Bob", DEAL, 1)
    made.meet("Cem", "Bob", REFUSED, 2)
    made.scratch("Ann")["relationship"]["bind_list"] = ["Bob", ["Cem", "investor"]]
    made.scratch("Bob")["relationship"] = {"bind_list": ["Ann", "Bob", "Dan", 7], "black_list": ["Cem", "Cem"]}
    made.scratch("Cem")["relationship"] = {"bind_list": [["Bob", "trustee"]], "black_list": [["Bob", "trustee"]]}
    done = made.read(tmp_path)
    network = state_of(done)["network"]
    assert network["ties"] == [["Ann", "Bob", ["trustee"]], ["Ann", "Cem", ["investor"]], ["Bob", "Ann", ["investor"]]]
    assert network["blacklists"] == {"Ann": [], "Bob": [["Cem", "investor"]], "Cem": [["Bob", "trustee"]]}
    assert says(done, "'Bob': is the agent itself")
    assert says(done, "'Dan': is unknown")
    assert says(done, "'7': is no name")
    assert says(done, "Cem: is in black_list twice")
    assert says(done, "Bob (trustee): is in bind_list and in black_list")


def test_a_bare_name_met_in_both_roles_is_named(tmp_path: Path) -> None:
    made = Made(3)
    made.meet("Ann", "Bob", DEAL, 1)
    made.meet("Bob", "Ann", DEAL, 2)
    made.scratch("Ann")["relationship"]["bind_list"] = ["Bob", "Cem"]
    made.scratch("Bob")["relationship"]["black_list"] = ["Ann"]
    done = made.read(tmp_path)
    network = state_of(done)["network"]
    assert network["ties"] == [["Ann", "Bob", ["investor", "trustee"]], ["Ann", "Cem", ["trustee"]]]
    assert network["blacklists"]["Bob"] == [["Ann", "trustee"]]
    assert says(done, "Bob: is a bare name in bind_list, both roles are possible")
    assert says(done, "Cem: is a bare name in bind_list, no role is known")


def test_learned_is_one_text_or_one_a_role(tmp_path: Path) -> None:
    made = Made()
    made.scratch("Bob")["learned"] = {"investor": "You invest.", "trustee": "You hold."}
    agents = state_of(made.read(tmp_path))["agents"]
    assert agents[0]["learned"]["investor"] == agents[0]["learned"]["trustee"] != ""
    assert agents[1]["learned"] == {"investor": "You invest.", "trustee": "You hold."}


def test_traits_are_those_that_learned_opens_with(tmp_path: Path) -> None:
    ann = Made().read(tmp_path).folder.document(0, "personas")[0]
    assert (ann["age"], ann["gender"], ann["country"]) == (30, "female", "Peru")


@pytest.mark.parametrize(
    ("numbers", "problem"),
    [
        ("(1.4, -0.4, 0, 0, 0)", "leave [0, 1]"),
        ("(0.5, 0.5)", "five numbers"),
        ("error", "five numbers"),
        ("(a, b, c, d, e)", "float"),
        ("(nan, 0, 0, 0, 1)", "nan"),
        (None, "five numbers"),
    ],
)
def test_numbers_that_are_no_record_are_left_out_and_named(numbers: Any, problem: str, tmp_path: Path) -> None:
    made = Made()
    made.hold("Ann", "Trustee_1", entry("Bob", 1, "trustee", numbers))
    done = made.read(tmp_path)
    assert table(done, "records") == []
    assert says(done, "Trustee_1", problem, "left out")


@pytest.mark.parametrize(
    ("numbers", "score"),
    [
        ("(0.4, 0.3, 0.2, 0.06, 0)", -0.64),
        ([0.4, 0.3, 0.2, 0.14, 0], -0.56),
        ("(0, 0, 0, 0, 0.95)", 0.95),
        ("(0.3, 0.2, 0.3, 0.1, 0)", -0.4),
        ("(0.1, 0, 0.3, 0.2, 0.3)", 0.4),
        ("(0.8, 0.8, 0.8, 0.8, 0.8)", 0),
        ("(0, 0.5, 0.3, 0.9, 0.9)", 1),
    ],
)
def test_a_record_keeps_its_published_score_whatever_its_sum(numbers: Any, score: float, tmp_path: Path) -> None:
    made = Made()
    made.hold("Ann", "Trustee_1", entry("Bob", 1, "trustee", numbers))
    done = made.read(tmp_path)
    [row] = table(done, "records")
    assert sum(row["distribution"]) == pytest.approx(1, abs=1e-12)
    assert score_of(row["distribution"]) == pytest.approx(score)
    assert row["published"]["numerical record"] == numbers
    assert says(done, "Trustee_1", "not to 1", "kept with the published score")


def test_a_history_has_the_step_and_cause_at_which_each_record_was_replaced(tmp_path: Path) -> None:
    made = Made(9)
    old = "out_of_date_reputation_database"
    told = "reputation update after first order gossip"
    made.hold("Ann", "Trustee_1", entry("Bob", 1, "trustee", "(0, 0, 0, 0, 1)"))
    made.hold("Ann", "Trustee_1_pre_9", entry("Bob", 1, "trustee", "(0, 0, 0, 1, 0)", reason="odd"), old)
    made.hold("Ann", "Trustee_1_pre_5", entry("Bob", 1, "trustee", "(0, 0, 1, 0, 0)", reason=told), old)
    made.hold("Ann", "Trustee_7_pre_5", entry("Cem", 2, "trustee", "(0, 0, 1, 0, 0)"), old)
    made.hold("Ann", "Trustee_2", entry("Bob", 1, "trustee", "(0, 0, 1, 0, 0)"))
    message = {
        "type": "first-order",
        "complained ID": "1",
        "complained name": "Bob",
        "complained role": "trustee",
        "gossiper name": "Cem",
        "gossip info": "Bob keeps his word.",
        "credibility level": "credible",
        "whether to spread gossip second-hand": "No",
        "reasons": "",
        "created_at": 5,
    }
    made.files["Ann"]["reputation/gossip_database.json"] = [message, {**message, "gossiper name": "Dan"}, "error"]
    done = made.read(tmp_path)
    rows = [(row["step"], row["cause"], row["source"], row["distribution"]) for row in table(done, "records")]
    assert rows == [
        (5, "first-order gossip", "Cem", [0, 0, 1, 0, 0]),
        (5, "first-order gossip", "Cem", [0, 0, 0, 1, 0]),
        (9, "unknown", "", [0, 0, 0, 0, 1]),
    ]
    assert says(done, "Trustee_7_pre_5", "replaces nothing")
    assert says(done, "Trustee_2", "it is of 'Bob' as 'trustee'")
    assert says(done, "message 2: 'Dan' is unknown")
    assert says(done, "message 3")
    assert says(done, "a first record does not tell its step")
    [heard] = table(done, "gossip")
    assert (heard["step"], heard["gossiper"], heard["listener"], heard["summary"]) == (
        5,
        "Cem",
        "Ann",
        "Bob keeps his word.",
    )
    assert (heard["tone"], heard["gossiper_role"], heard["passed_on_to"]) == (None, None, "")
    assert state_of(done)["agents"][0]["gossip_heard"] == 1


@pytest.mark.parametrize(
    "conversation", ["Cem: Did you hear?\n\nAnn: No: what?", [["Cem", "Did you hear?"], ["Ann", "No: what?"]]]
)
def test_a_dialogue_is_a_text_or_a_list(conversation: Any, tmp_path: Path) -> None:
    made = Made(5)
    message = {
        "type": "first-order",
        "complained name": "Bob",
        "complained role": "trustee",
        "gossiper name": "Cem",
        "gossip info": "x",
        "credibility level": "very uncredible",
        "created_at": 5,
    }
    made.files["Ann"]["reputation/gossip_database.json"] = [message]
    chat = {**event("Cem", "Ann", "x", 5, "gossip"), "type": "CHAT", "conversation": conversation}
    made.files["Ann"]["memory/associative_memory/nodes.json"] = [chat, {**chat, "type": "THOUGHT", "predicate": "idea"}]
    done = made.read(tmp_path)
    assert table(done, "gossip")[0]["dialogue"] == [["Cem", "Did you hear?"], ["Ann", "No: what?"]]
    assert state_of(done)["agents"][0]["gossip_uncredible"] == 1
    assert says(done, "1 node(s) of the kind 'THOUGHT idea'")


@pytest.mark.parametrize("name", ["../x", "a/b", "", "x" * 300, "..", "a\x00b", "C:x", " Ann"])
def test_a_name_that_could_leave_the_folder_is_refused(name: str, tmp_path: Path) -> None:
    made = Made()
    step = made.write(tmp_path)
    (step / "reverie" / "meta.json").write_text(json.dumps({"persona_names": ["Ann", name], "step": 2}))
    with pytest.raises(ConfigurationError, match="the name"):
        import_run(step, tmp_path / "storage")
    assert not (tmp_path / "storage").exists()


def test_a_folder_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    step = Made().write(tmp_path)
    (step / "personas" / "Bob").rename(tmp_path / "Bob")
    (step / "personas" / "Bob").symlink_to(tmp_path / "Bob")
    with pytest.raises(ConfigurationError, match="leads out"):
        import_run(step, tmp_path / "storage")


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("reverie/meta.json", '{"persona_names": ["Ann"], "step": 2}', "at least 2"),
        ("reverie/meta.json", '{"persona_names": ["Ann", "Ann"], "step": 2}', "twice"),
        ("reverie/meta.json", '{"persona_names": ["Ann", "Bob"], "step": -2}', "step"),
        ("reverie/meta.json", "{", "cannot be read"),
        ("personas/Ann/memory/scratch.json", "[" * 100_000, "cannot be read"),
        ("personas/Ann/memory/scratch.json", '{"name": "Ann"}', "learned"),
        ("personas/Ann/memory/associative_memory/nodes.json", "{}", "holds no list"),
        ("personas/Ann/reputation/reputation_database.json", "[]", "holds no object"),
    ],
)
def test_a_damaged_file_is_one_clear_line(
    file: str, text: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    step = Made().write(tmp_path)
    (step / file).write_text(text)
    assert main(["import", str(step), "--storage", str(tmp_path / "storage")]) == 2
    shown = capsys.readouterr()
    assert problem in shown.err
    assert shown.err.count("\n") == 1
    assert not (tmp_path / "storage").exists()


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", '"many"', "null"])
def test_resources_that_are_no_number_are_refused(value: str, tmp_path: Path) -> None:
    step = Made().write(tmp_path)
    scratch = step / "personas" / "Ann" / "memory" / "scratch.json"
    scratch.write_text(re.sub(r'"resources_unit": 10', f'"resources_unit": {value}', scratch.read_text()))
    with pytest.raises(ConfigurationError, match=r"scratch\.json"):
        import_run(step, tmp_path / "storage", told=Told(game="investment"))


def test_an_unknown_persona_needs_a_disposition(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    step = Made().write(tmp_path)
    assert main(["import", str(step), "--storage", str(tmp_path / "storage")]) == 2
    assert "Ann: the published layout holds no disposition, give --personas FILE" in capsys.readouterr().err


def test_a_game_that_nothing_names_is_asked_for(tmp_path: Path) -> None:
    step = Made().write(tmp_path)
    (tmp_path / "invest_run").rename(tmp_path / "some_run")
    step = tmp_path / "some_run" / step.name
    with pytest.raises(ConfigurationError, match="--scenario"):
        import_run(step, tmp_path / "storage")


def test_the_last_step_of_a_run_is_taken(tmp_path: Path) -> None:
    for number in (2, 10):
        Made(number).write(tmp_path)
    people = tmp_path / "people.json"
    people.write_text(json.dumps([{"name": name, "disposition": "altruistic"} for name in Made().names]))
    assert import_run(tmp_path / "invest_run", tmp_path / "storage", told=Told(personas=people)).step == 10


# There and back


@pytest.mark.parametrize("game", ["prisoners_dilemma", "investment", "sign_up"])
@pytest.mark.parametrize("mode", [(True, True), (False, True), (True, False)])
@pytest.mark.cover
def test_an_export_comes_back_the_same(game: str, mode: tuple[bool, bool], tmp_path: Path) -> None:
    folder = ran(game, tmp_path, reputation=mode[0], gossip=mode[1])
    exported = export_step(StepReader(folder), 7, tmp_path / "out")
    assert exported == tmp_path / "out" / "step_7"
    done = import_run(exported, tmp_path, "back")
    assert state_of(done) == folder.document(7, "state")
    assert done.folder.document(0, "personas") == folder.document(0, "personas")
    for step in range(1, 8):
        for name in ("records", "events", "gossip", "interactions", "ties", "declarations"):
            assert done.folder.table(step, name) == folder.table(step, name), name
        for name in ("state", "metrics"):
            assert done.folder.document(step, name) == folder.document(step, name)
    same = ("game", "reputation", "gossip", "seed", "activation", "dialogue_turns")
    assert [done.folder.manifest().data[key] for key in same] == [folder.manifest().data[key] for key in same]
    there, back = RepuNetModel.load(folder.path), RepuNetModel.load(done.folder.path)
    for name in (agent.name for agent in there.agents):
        assert list(back.agent(name).ledger.present()) == list(there.agent(name).ledger.present())
        assert back.agent(name).memory.snapshot() == there.agent(name).memory.snapshot()
    assert back.scores == there.scores
    back.step()
    again = import_run(export_step(StepReader(done.folder, 7), 7, tmp_path / "again"), tmp_path, "again_back")
    assert state_of(again) == state_of(done)
    assert again.step == 7
    assert export_step(StepReader(back.folder or done.folder), 8, tmp_path / "on").name == "step_8"


@pytest.mark.parametrize("game", ["prisoners_dilemma", "investment", "sign_up"])
def test_what_the_layout_itself_holds_comes_back_without_what_is_kept_beside_it(game: str, tmp_path: Path) -> None:
    folder = ran(game, tmp_path)
    step = export_step(StepReader(folder), 7, tmp_path / "out")
    strip(step)
    done = import_run(step, tmp_path, "back", Told(game=game))
    was, now = folder.document(7, "state"), state_of(done)
    assert now["network"] == was["network"]
    for before, after in zip(was["agents"], now["agents"], strict=True):
        assert float(after["resources"]) == float(before["resources"])
        assert all(after[name] == before[name] for name in ("learned", "declared", "gossip_heard", "gossip_uncredible"))
        assert all(after[name] == before[name] for name in ("encounters", "completed"))
    for name, columns in {
        "records": ("holder", "subject", "role", "text", "distribution"),
        "gossip": ("step", "order", "gossiper", "listener", "subject", "origin", "summary", "credibility", "dialogue"),
    }.items():
        there = [tuple(to_json(row[c]) for c in columns) for n in range(1, 8) for row in folder.table(n, name)]
        assert sorted(tuple(to_json(row[c]) for c in columns) for row in table(done, name)) == sorted(there)
    if game != "sign_up":
        columns = ("step", "first", "second", "course", "first_cooperated", "second_cooperated", "first_payoff")
        there = [tuple(row[c] for c in columns) for n in range(1, 8) for row in folder.table(n, "interactions")]
        assert sorted(tuple(row[c] for c in columns) for row in table(done, "interactions")) == sorted(there)


def test_an_export_refuses_what_is_there_and_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = ran("prisoners_dilemma", tmp_path, 1, n_agents=4)
    (tmp_path / "out").mkdir()
    with pytest.raises(ConfigurationError, match="is there already"):
        export_step(StepReader(folder), 1, tmp_path / "out")
    with pytest.raises(ConfigurationError, match="on every system"):
        export_step(StepReader(folder), 1, tmp_path / "con" / "out")
    assert list((tmp_path / "out").iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ours", "out"]


def test_a_name_without_a_folder_is_not_exported(tmp_path: Path) -> None:
    people = tmp_path / "people.json"
    people.write_text(json.dumps([{"name": name, "disposition": "altruistic"} for name in ("a/b", "c")]))
    folder = ran("prisoners_dilemma", tmp_path, 1, personas=str(people))
    with pytest.raises(ConfigurationError, match="'a/b'"):
        export_step(StepReader(folder), 1, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# The command line


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RepuNetModel:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--scenario", "i", "--steps", "3", "--sim-name", "demo"]) == 0
    return RepuNetModel.load("sim_storage/demo")


def test_the_commands_export_and_import(stored: RepuNetModel, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "demo/step_2", "out"]) == 0
    assert Path("out/step_2/reverie/meta.json").is_file()
    assert main(["import", "out", "--sim-name", "back"]) == 0
    assert "Step 2: 20 agents" in capsys.readouterr().out
    assert main(["resume", "back", "--steps", "1"]) == 0


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["export", "demo", "out", "--layout", "dot"], "unknown layout 'dot'"),
        (["export", "demo/step_9", "out"], "step 9"),
        (["export", "dream", "out"], "no run at"),
        (["export", "demo", "sim_storage"], "is there already"),
        (["export", "demo", "x" * 300], "too long"),
        (["import", "nowhere"], "no published run or step"),
        (["import", "sim_storage"], "no published run or step"),
    ],
)
def test_bad_words_are_one_clear_line(
    words: list[str], problem: str, stored: RepuNetModel, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    before = set(Path().rglob("*"))
    assert main(words) == 2
    shown = capsys.readouterr()
    assert problem in shown.err
    assert shown.err.count("\n") == 1
    assert set(Path().rglob("*")) == before


@pytest.mark.parametrize("layout", ["graphml", "gexf"])
def test_the_network_is_exported_with_its_attributes(layout: str, stored: RepuNetModel) -> None:
    assert main(["export", "demo", "net", "--layout", layout]) == 0
    read = nx.read_graphml if layout == "graphml" else nx.read_gexf
    graph = read("net")
    assert set(graph.edges) == set(stored.graph.edges)
    for agent, other in stored.graph.edges:
        assert graph.edges[agent, other]["roles"] == ", ".join(stored.graph.edges[agent, other]["roles"])
    for agent in stored.agents:
        node = graph.nodes[agent.name]
        assert node["name"] == agent.name
        assert node["disposition"] == agent.persona.disposition.value
        assert node["resources"] == float(agent.resources)
        assert node["score"] == pytest.approx(agent.score)


def test_tables_are_exported(stored: RepuNetModel) -> None:
    assert main(["export", "demo/step_2", "tables", "--layout", "csv"]) == 0
    interactions = pd.read_csv("tables/interactions.csv")
    assert list(interactions["step"].unique()) == [1, 2]
    assert len(interactions) == 20
    records = pd.read_csv("tables/records.csv")
    assert stored.folder is not None
    assert json.loads(records["distribution"][0]) == stored.folder.table(1, "records")[0]["distribution"]


def test_tables_are_exported_as_parquet(stored: RepuNetModel) -> None:
    assert stored.folder is not None
    assert main(["export", str(stored.folder.path), "tables", "--layout", "parquet"]) == 0
    assert len(pd.read_parquet("tables/interactions.parquet")) == 30


def test_published_code_finds_its_own_words_in_the_memories(tmp_path: Path) -> None:
    """It tells the role of a memory by these words, and fails at a failed one that says nothing of its investor."""
    step = export_step(StepReader(ran("investment", tmp_path, 12)), 12, tmp_path / "out")
    for name, nodes in content(step, "memory/associative_memory/nodes.json").items():
        for text in (node["description"] for node in nodes if node["type"] == "EVENT"):
            assert ("Failed" in text) != ("Success" in text)
            found = re.search(r"(?:Investor is (.+?) and Trustee is|investor is (.+?), trustee is) ", text)
            assert found is not None
            assert name in text
