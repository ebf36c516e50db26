from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import networkx as nx
import pandas as pd
import pytest

from repunet_model.cli import main
from repunet_model.errors import ConfigurationError
from repunet_model.memory import Memory
from repunet_model.model import RepuNetModel
from repunet_model.reference_layout import Imported, Told, export_step, import_run
from repunet_model.storage import RunFolder, StepReader, to_json
from tests import ROOT

DATA = ROOT.parent / "shared" / "reference_data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the published data are not at {DATA}")
SEEDS = ["invest_seed", "pd_game_seed", "sign_seed"]
WITH, WITHOUT = "investment_s3_with_repu_gossip", "investment_s4_without_repu_with_gossip"
STEPS = [*(f"seeds/{seed}/step_0" for seed in SEEDS)]
STEPS += [*(f"runs/{WITH}/step_{step}" for step in (0, 1, 2, 3, 4, 5, 6, 30))]
STEPS += [*(f"runs/{WITHOUT}/step_{step}" for step in (29, 30))]
EXTRA = "repunet_mesa"


def content(step: Path, file: str) -> dict[str, Any]:
    """Return a file of each agent, by name."""
    return {
        path.parents[file.count("/")].name: json.loads(path.read_text()) for path in step.glob(f"personas/*/{file}")
    }


def bare(data: Any) -> Any:
    """Return data without what exports keep beside the layout."""
    if isinstance(data, dict):
        return {name: bare(value) for name, value in data.items() if name != EXTRA}
    return [bare(value) for value in data] if isinstance(data, list) else data


def strip(step: Path) -> None:
    """Leave in a step folder what the published layout has fields for."""
    for path in step.rglob("*.json"):
        path.write_text(json.dumps(bare(json.loads(path.read_text()))))


# A folder in the published layout, made by hand


def entry(name: str, number: int, role: str, numbers: str, **more: Any) -> dict[str, Any]:
    return {
        "ID": number,
        "scenario": "investment",
        "role": role,
        "name": name,
        "content": f"{name} as {role}",
        "numerical record": numbers,
        **more,
    }


def event(name: str, other: str, text: str | list[str], step: int, predicate: str = "investment") -> dict[str, Any]:
    return {
        "id": step,
        "type": "EVENT",
        "subject": name,
        "predicate": predicate,
        "object": other,
        "description": text,
        "created_at": step,
    }


DEAL = (
    "Success investment: investor is {0}, trustee is {1}\n"
    "stage 1: trustee_plan is the investor receives 60% of it while the trustee retains 40%.\n"
    "stage 2: investor invests 4.0 units\n"
    "stage 3: trustee_allocation is {{'trustee': '4.4', 'investor': '3.6'}}, "
    "and reported_investment_outcome is 6.0 units."
)
REFUSED = "Failed investment. Investor is {0} and Trustee is {1}.\nRefuse. I do not know you."


def persona(number: int, name: str, step: int, **scratch: Any) -> dict[str, Any]:
    """Return the files of an agent without a past."""
    return {
        "memory/scratch.json": {
            "name": name,
            "innate": None,
            "learned": f"You are {name}, a 30-year-old female from Peru. You are careful.",
            "currently": None,
            "ID": number,
            "role": None,
            "curr_step": step,
            "complain_buffer": [],
            "total_num_investor": 0,
            "success_num_investor": 0,
            "total_num_trustee": 0,
            "success_num_trustee": 0,
            "relationship": {"bind_list": [], "black_list": []},
            "resources_unit": 10,
            **scratch,
        },
        "memory/associative_memory/nodes.json": [],
        "reputation/reputation_database.json": {},
        "reputation/out_of_date_reputation_database.json": {},
        "reputation/gossip_database.json": [],
    }


class Made:
    """A published step of three agents, to be changed and written."""

    def __init__(self, step: int = 2) -> None:
        self.step = step
        self.names = ["Ann", "Bob", "Cem"]
        self.files = {name: persona(number, name, step) for number, name in enumerate(self.names)}

    def scratch(self, name: str) -> dict[str, Any]:
        scratch: dict[str, Any] = self.files[name]["memory/scratch.json"]
        return scratch

    def meet(self, investor: str, trustee: str, text: str, step: int, *, as_list: bool = False) -> None:
        words = text.format(investor, trustee)
        for name, other in ((investor, trustee), (trustee, investor)):
            nodes = self.files[name]["memory/associative_memory/nodes.json"]
            nodes.append(event(name, other, [words] if as_list else words, step))

    def hold(self, name: str, key: str, data: Any, file: str = "reputation_database") -> None:
        self.files[name][f"reputation/{file}.json"][key] = data

    def write(self, folder: Path) -> Path:
        step = folder / "invest_run" / f"step_{self.step}"
        self._write(step / "reverie" / "meta.json", {"persona_names": self.names, "step": self.step})
        for name, files in self.files.items():
            for file, data in files.items():
                self._write(step / "personas" / name / file, data)
        return step

    @staticmethod
    def _write(path: Path, data: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(data if isinstance(data, str) else json.dumps(data))

    def read(self, folder: Path, **told: Any) -> Imported:
        people = folder / "people.json"
        people.write_text(json.dumps([{"name": name, "disposition": "self-interested"} for name in self.names]))
        return import_run(self.write(folder), folder / "storage", "made", Told(personas=people, **told))


def state_of(done: Imported) -> dict[str, Any]:
    state: dict[str, Any] = done.folder.document(0, "state")
    return state


def says(done: Imported, *words: str) -> bool:
    return any(all(word in line for word in words) for line in done.report)


def test_an_imported_step_is_a_run_that_goes_on(tmp_path: Path) -> None:
    made = Made()
    made.meet("Ann", "Bob", DEAL, 1)
    made.scratch("Ann")["resources_unit"] = 9.6
    made.hold("Ann", "Trustee_1", entry("Bob", 1, "trustee", "(0.4, 0.3, 0.2, 0.1, 0)"))
    done = made.read(tmp_path)
    model = RepuNetModel.load(done.folder.path)
    assert model.steps == 0
    assert str(model.agent("Ann").resources) == "9.6"
    assert model.agent("Ann").memory.snapshot()[0].partner == "Bob"
    record = model.agent("Ann").ledger.record("Bob", "trustee")
    assert record is not None
    assert record.distribution == (0.4, 0.3, 0.2, 0.1, 0.0)
    assert model.scores["Bob"] == pytest.approx(-0.6)
    assert model.datacollector.get_model_vars_dataframe()["gini"].iloc[0] == pytest.approx(model.measures["gini"])
    for _ in range(3):
        model.step()
    again = RepuNetModel.load(done.folder.path)
    assert again._state() == model._state()
    assert again.agent("Ann").ledger.history("Bob", "trustee") == model.agent("Ann").ledger.history("Bob", "trustee")
    assert done.folder.manifest().data["imported"] == {"from": "invest_run/step_2", "step": 2}
    assert str(tmp_path) not in (done.folder.path / "manifest.json").read_text()


def test_a_failed_step_keeps_the_imported_past(tmp_path: Path) -> None:
    made = Made(1)
    made.hold("Ann", "Trustee_1", entry("Bob", 1, "trustee", "(0.4, 0.3, 0.2, 0.1, 0)"))
    model = RepuNetModel.load(made.read(tmp_path).folder.path)
    model._roll_back(1, {name: Memory() for name in made.names})
    assert model.agent("Ann").ledger.record("Bob", "trustee") is not None


@pytest.mark.parametrize("as_list", [False, True])
def test_a_deal_is_read_with_its_numbers_and_what_follows(as_list: bool, tmp_path: Path) -> None:
    made = Made()
    made.meet("Ann", "Bob", DEAL, 1, as_list=as_list)
    made.meet("Cem", "Ann", REFUSED, 2, as_list=as_list)
    done = made.read(tmp_path)
    deal, refusal = done.folder.table(0, "interactions")
    assert (deal["step"], deal["first"], deal["second"], deal["course"]) == (1, "Ann", "Bob", "completed")
    assert (deal["promised_share"], deal["amount"], deal["outcome"], deal["actual_share"]) == (60, 4, 8, 45)
    assert (deal["first_payoff"], deal["second_payoff"], deal["reported_outcome"]) == (-0.4, 4.4, 6)
    assert (deal["first_cooperated"], deal["second_cooperated"]) == (True, False)
    assert deal["holdings"] is None
    assert (refusal["accepted"], refusal["course"], refusal["promised_share"]) == (False, "refused", None)
    assert refusal["investor_reason"] == "I do not know you"
    ann = [row for row in done.folder.table(0, "events") if row["agent"] == "Ann"]
    assert [(row["step"], row["role"], row["payoff"]) for row in ann] == [(1, "investor", -0.4), (2, "trustee", 0.0)]
    assert ann[0]["text"] == DEAL.format("Ann", "Bob")
    assert says(done, "holdings is not told of 2 of 2")


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
    assert [row["promised_share"] for row in done.folder.table(0, "interactions")] == [55.0]
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
    [row] = done.folder.table(0, "interactions")
    assert [row[name] for name in missing] == [None] * len(missing)
    assert all(says(done, f"{name} is not told of 1 of 1") for name in missing)


def test_parts_that_are_not_the_doubled_amount_are_named(tmp_path: Path) -> None:
    made = Made()
    made.meet("Ann", "Bob", DEAL.replace("'4.4'", "'1.4'"), 1)
    done = made.read(tmp_path)
    assert done.folder.table(0, "interactions")[0]["actual_share"] == 45
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
    assert says(done, "'Bob', who is itself")
    assert says(done, "'Dan', who is unknown")
    assert says(done, "'7', no name")
    assert says(done, "Cem twice")
    assert says(done, "Bob (trustee) is in bind_list and in black_list")


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
    assert says(done, "bare name Bob", "both roles are possible")
    assert says(done, "bare name Cem", "no role is known")


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
        ("(0.4, 0.3, 0.2, 0, 0)", "sum to 0.9"),
        ("(0.8, 0.8, 0.8, 0.8, 0.8)", "sum to 4"),
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
    assert done.folder.table(0, "records") == []
    assert says(done, "Trustee_1", problem, "left out")


@pytest.mark.parametrize("numbers", ["(0.4, 0.3, 0.2, 0.06, 0)", [0.4, 0.3, 0.2, 0.14, 0], "(0, 0, 0, 0, 0.95)"])
def test_numbers_that_almost_sum_to_1_are_scaled_and_counted(numbers: Any, tmp_path: Path) -> None:
    made = Made()
    made.hold("Ann", "Trustee_1", entry("Bob", 1, "trustee", numbers))
    done = made.read(tmp_path)
    assert sum(done.folder.table(0, "records")[0]["distribution"]) == pytest.approx(1, abs=1e-12)
    assert says(done, "1 record(s) sum to 0.95 to 1.05", "scaled")


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
    rows = [(row["step"], row["cause"], row["source"], row["distribution"]) for row in done.folder.table(0, "records")]
    assert rows == [
        (None, "unknown", "", [0, 0, 1, 0, 0]),
        (5, "first-order gossip", "Cem", [0, 0, 0, 1, 0]),
        (9, "unknown", "", [0, 0, 0, 0, 1]),
    ]
    assert says(done, "Trustee_7_pre_5", "replaces nothing")
    assert says(done, "Trustee_2", "it is of 'Bob' as 'trustee'")
    assert says(done, "message 2, 'Dan' is unknown")
    assert says(done, "message 3")
    [heard] = done.folder.table(0, "gossip")
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
    assert done.folder.table(0, "gossip")[0]["dialogue"] == [["Cem", "Did you hear?"], ["Ann", "No: what?"]]
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


def ran(game: str, storage: Path, steps: int = 7, **parameters: Any) -> RunFolder:
    with RepuNetModel(game=game, rng=3, storage=str(storage), run_name="ours", **parameters) as model:
        for _ in range(steps):
            model.step()
    return RunFolder(storage / "ours")


def past(folder: RunFolder, name: str, step: int) -> list[str]:
    """Return the rows of a table of all steps, each with its step, in an order of their own."""
    rows = [{**row, "step": number} for number in range(1, step + 1) for row in folder.table(number, name)]
    return sorted(to_json(dict(sorted(row.items()))) for row in rows)


@pytest.mark.parametrize("game", ["prisoners_dilemma", "investment", "sign_up"])
@pytest.mark.parametrize("mode", [(True, True), (False, True), (True, False)])
def test_an_export_comes_back_the_same(game: str, mode: tuple[bool, bool], tmp_path: Path) -> None:
    folder = ran(game, tmp_path, reputation=mode[0], gossip=mode[1])
    step = export_step(StepReader(folder), 7, tmp_path / "out")
    assert step == tmp_path / "out" / "step_7"
    done = import_run(step, tmp_path, "back")
    assert state_of(done) == folder.document(7, "state")
    assert done.folder.document(0, "personas") == folder.document(0, "personas")
    for name in ("records", "events", "gossip", "interactions"):
        rows = sorted(to_json(dict(sorted(row.items()))) for row in done.folder.table(0, name))
        assert rows == past(folder, name, 7), name
    same = ("game", "reputation", "gossip", "seed", "activation", "dialogue_turns")
    assert [done.folder.manifest().data[key] for key in same] == [folder.manifest().data[key] for key in same]
    there, back = RepuNetModel.load(folder.path), RepuNetModel.load(done.folder.path)
    for name in (agent.name for agent in there.agents):
        assert list(back.agent(name).ledger.present()) == list(there.agent(name).ledger.present())
        assert back.agent(name).memory.snapshot() == there.agent(name).memory.snapshot()
    assert back.scores == there.scores
    back.step()
    again = import_run(export_step(StepReader(done.folder), 0, tmp_path / "again"), tmp_path, "again_back")
    assert state_of(again) == state_of(done)
    assert again.step == 7
    assert export_step(StepReader(back.folder or done.folder), 1, tmp_path / "on").name == "step_8"


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
        assert sorted(tuple(to_json(row[c]) for c in columns) for row in done.folder.table(0, name)) == sorted(there)
    if game != "sign_up":
        columns = ("step", "first", "second", "course", "first_cooperated", "second_cooperated", "first_payoff")
        there = [tuple(row[c] for c in columns) for n in range(1, 8) for row in folder.table(n, "interactions")]
        assert sorted(tuple(row[c] for c in columns) for row in done.folder.table(0, "interactions")) == sorted(there)


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


# The published data


@needs_data
@pytest.mark.parametrize("place", STEPS)
def test_every_published_step_is_imported_whole(place: str, tmp_path: Path) -> None:
    step = DATA / place
    done = import_run(step, tmp_path, "there")
    state, tables = state_of(done), {name: done.folder.table(0, name) for name in ("records", "gossip", "events")}
    scratch = content(step, "memory/scratch.json")
    ties = {(name, other) for name, data in scratch.items() for other in data["relationship"]["bind_list"]}
    assert {(agent, other) for agent, other, _ in state["network"]["ties"]} == ties
    avoided = {
        (name, other) for name, data in scratch.items() for other in data["relationship"]["black_list"] if other != name
    }
    assert {(n, other) for n, entries in state["network"]["blacklists"].items() for other, _ in entries} == avoided
    assert {row["name"]: float(row["resources"]) for row in state["agents"]} == {
        name: data["resources_unit"] for name, data in scratch.items()
    }
    held = [*content(step, "reputation/reputation_database.json").values()]
    held += content(step, "reputation/out_of_date_reputation_database.json").values()
    sums = [
        sum(float(number) for number in re.findall(r"[\d.]+", record["numerical record"]))
        for records in held
        for record in records.values()
    ]
    assert len(tables["records"]) == sum(0.95 <= total <= 1.05 for total in sums)
    assert sum("left out" in line and "sum to" in line for line in done.report) == len(sums) - len(tables["records"])
    told = content(step, "reputation/gossip_database.json")
    assert len(tables["gossip"]) == sum(map(len, told.values()))
    nodes = content(step, "memory/associative_memory/nodes.json")
    assert len(tables["events"]) == sum(node["type"] == "EVENT" for own in nodes.values() for node in own)
    for name, own in nodes.items():
        texts = [node["description"] for node in own if node["type"] == "EVENT"]
        there = [row["text"] for row in tables["events"] if row["agent"] == name]
        assert there == [text if isinstance(text, str) else text[0] for text in texts]


@needs_data
@pytest.mark.parametrize(
    ("run", "ties", "avoided", "records", "gossip"), [(WITH, 64, 54, 1213, 47), (WITHOUT, 106, 20, 0, 24)]
)
def test_the_two_runs_are_there_in_numbers(
    run: str, ties: int, avoided: int, records: int, gossip: int, tmp_path: Path
) -> None:
    done = import_run(DATA / "runs" / run, tmp_path)
    counts = done.counts
    assert done.step == 30
    assert (counts["ties"], counts["blacklisted"]) == (ties, avoided)
    assert (counts.get("records", 0), counts["gossip"], counts["events"], counts["interactions"]) == (
        records,
        gossip,
        600,
        300,
    )
    gained = dict.fromkeys((row["name"] for row in state_of(done)["agents"]), 10.0)
    for row in done.folder.table(0, "events"):
        gained[row["agent"]] += row["payoff"]
    assert {row["name"]: float(row["resources"]) for row in state_of(done)["agents"]} == pytest.approx(gained)


@needs_data
@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 6, 30])
def test_encounters_are_those_of_the_result_file(step: int, tmp_path: Path) -> None:
    """The file is read here by its lines, without the reader."""
    folder = DATA / "runs" / WITH / f"step_{step}"
    text = (folder / "investment results" / f"investment_results_{step}.txt").read_text()
    trustees = re.findall(r"^\| Trustee: ([^:]+): allocated plan (.*)$", text, re.MULTILINE)
    investors = re.findall(r"^\| Investor: ([^:]+): investor decided (.*)$", text, re.MULTILINE)
    expected = {}
    for (trustee, plan), (investor, decision) in zip(trustees, investors, strict=True):
        promised = re.search(r"investor_part: ([\d.]+)%", plan)
        amount = re.search(r"Accept. Allocation ([\d.]+) unit", decision)
        expected[investor, trustee] = (promised and float(promised[1]), amount and float(amount[1]))
    rows = import_run(folder, tmp_path).folder.table(0, "interactions")
    found = {(r["first"], r["second"]): (r["promised_share"], r["amount"]) for r in rows if r["step"] == step}
    assert found == expected


@needs_data
@pytest.mark.parametrize("seed", SEEDS)
def test_an_imported_seed_runs_three_steps(seed: str, tmp_path: Path) -> None:
    done = import_run(DATA / "seeds" / seed / "step_0", tmp_path)
    with RepuNetModel.load(done.folder.path) as model:
        for _ in range(3):
            model.step()
    assert RepuNetModel.load(done.folder.path).steps == 3


@needs_data
def test_an_imported_run_goes_on(tmp_path: Path) -> None:
    done = import_run(DATA / "runs" / WITH, tmp_path)
    with RepuNetModel.load(done.folder.path) as model:
        model.step()
    assert len(model.agents) == 20


@needs_data
@pytest.mark.parametrize("place", STEPS)
def test_a_published_step_comes_back_the_same(place: str, tmp_path: Path) -> None:
    done = import_run(DATA / place, tmp_path, "there")
    back = import_run(export_step(StepReader(done.folder), 0, tmp_path / "out"), tmp_path, "back")
    assert back.step == done.step
    assert state_of(back) == state_of(done)
    for name in ("records", "events", "gossip", "interactions"):
        assert back.folder.table(0, name) == done.folder.table(0, name)


def shape(data: Any) -> Any:
    """Return the keys and types of an object; numbers are numbers."""
    if isinstance(data, dict):
        return {name: shape(value) for name, value in data.items()}
    return "number" if isinstance(data, int | float) else type(data).__name__


@needs_data
def test_an_export_has_the_files_and_fields_of_the_published_data(tmp_path: Path) -> None:
    published = DATA / "runs" / WITH / "step_30"
    ours = export_step(StepReader(ran("investment", tmp_path, 12)), 12, tmp_path / "out")

    def files(step: Path) -> set[str]:
        return {
            re.sub(r"_\d+\.txt$", "_N.txt", str(path.relative_to(step))) for path in step.rglob("*") if path.is_file()
        }

    assert files(ours) == files(published)
    assert shape(bare(json.loads((ours / "reverie/meta.json").read_text()))) == {
        "persona_names": "list",
        "step": "number",
    }
    seed = content(DATA / "seeds" / "invest_seed" / "step_0", "memory/scratch.json")["Emma Dubois"]
    for name, scratch in content(ours, "memory/scratch.json").items():
        seen = {**shape(bare(scratch)), "observed": "dict"}
        assert seen == {**shape(seed), "observed": "dict"}, name
    for file in ("nodes", "reputation_database", "out_of_date_reputation_database", "gossip_database"):
        path = f"memory/associative_memory/{file}.json" if file == "nodes" else f"reputation/{file}.json"
        mine, theirs = (kinds(content(step, path)) for step in (ours, published))
        assert mine
        assert mine <= theirs, file


def kinds(by_name: Mapping[str, Any]) -> set[str]:
    """Return the shapes of all entries of a file; a description may be a list there, and is text in ours."""
    entries = [entry for data in by_name.values() for entry in (data.values() if isinstance(data, dict) else data)]
    return {to_json(dict(sorted(shape(bare(copy.copy(entry))).items()))) for entry in entries}


def test_published_code_finds_its_own_words_in_the_memories(tmp_path: Path) -> None:
    """It tells the role of a memory by these words, and fails at a failed one that says nothing of its investor."""
    step = export_step(StepReader(ran("investment", tmp_path, 12)), 12, tmp_path / "out")
    for name, nodes in content(step, "memory/associative_memory/nodes.json").items():
        for text in (node["description"] for node in nodes if node["type"] == "EVENT"):
            assert ("Failed" in text) != ("Success" in text)
            found = re.search(r"(?:Investor is (.+?) and Trustee is|investor is (.+?), trustee is) ", text)
            assert found is not None
            assert name in text
