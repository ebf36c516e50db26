"""Published runs become ordinary runs: small invented ones here, and real data where they are beside the repository."""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from repunet_model.cli import main
from repunet_model.jobs.resume import resumed
from repunet_model.model import RepuNetModel
from repunet_model.reference_layout import Imported, Told, export_step, import_run
from repunet_model.report import evidence
from repunet_model.report.pictures import pictures
from repunet_model.results.tables import measures_of, table_of
from repunet_model.storage import StepReader, to_json
from repunet_model.storage.schema import INTERACTIONS
from tests import ROOT
from tests.published import DEAL, Made, bare, content, entry, ran, says, state_of, table

DATA = next((shared for each in ROOT.parents if (shared := each / "shared" / "reference_data").is_dir()), ROOT / "none")
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the published data are not beside the repository")
SEEDS = ["invest_seed", "pd_game_seed", "sign_seed"]
WITH, WITHOUT = "investment_s3_with_repu_gossip", "investment_s4_without_repu_with_gossip"


# The early form


RULE = "+" + "-" * 98 + "+\n"
REFUSAL = "Failed investment"


def proposed(trustee: str, investor: str, plan: str, decision: str) -> str:
    """Return the first stage of an encounter in a result file."""
    lines = (f"Trustee: {trustee}: allocated plan {plan}", f"Investor: {investor}: investor decided {decision}")
    return f"{RULE}|**Stage  1**|\n{RULE}{RULE}" + "".join(f"| {line:<97}|\n" for line in lines) + RULE


def ended(block: str) -> str:
    return f"{block}{RULE}|{'End of Investment':^98}|\n{RULE}\n\n"


def deal(trustee: str, investor: str, amount: float, kept: float, back: float) -> str:
    first = proposed(trustee, investor, "trustee_part: 40%, investor_part: 60%", f"Accept. Allocation {amount} unit.")
    parts = (f"Trustee: {trustee}: actual allocation {kept}", f"Investor: {investor}: actual allocation {back}")
    return ended(first + "".join(f"| {line:<97}|\n" for line in parts))


def refused(trustee: str, investor: str) -> str:
    return ended(proposed(trustee, investor, "trustee_part: 40%, investor_part: 60%", "Refuse"))


def avoided(trustee: str, investor: str) -> str:
    """Return an encounter that a blacklist forbids, which has no end line in the early form."""
    why = "because they are in black list"
    return proposed(trustee, investor, f"No plan {why}", f"Reject {why}")


def invented(folder: Path, run: str = "early_invest_with_repu_gossip") -> Path:
    """Write a run of three steps in the early form: 6 encounters, of which 2 are accepted and 1 is forbidden."""
    names = ["Ann", "Bob", "Cem", "Dee"]
    results = {
        1: deal("Bob", "Ann", 4, 4.4, 3.6) + refused("Dee", "Cem"),
        2: avoided("Dee", "Cem") + refused("Ann", "Bob"),
        3: refused("Ann", "Cem") + deal("Dee", "Bob", 4, 4.4, 3.6),
    }
    for step, text in results.items():
        made = Made(step, names)
        made.scratch("Cem")["relationship"]["black_list"] = ["Dee"]
        for number, name in enumerate(names):
            kind = "You act with an altruistic spirit." if number % 2 else "You are an extremely rational person."
            made.scratch(name)["learned"] = f"You are {name}, a 4{number}-year-old male from Peru. {kind}"
        if step == 3:
            made.scratch("Ann")["relationship"]["bind_list"] = ["Bob"]
            made.meet("Ann", "Bob", DEAL, 1)
            for investor, trustee, when in (("Cem", "Dee", 1), ("Cem", "Dee", 2), ("Bob", "Ann", 2), ("Cem", "Ann", 3)):
                made.meet(investor, trustee, REFUSAL, when)
            made.meet("Bob", "Dee", DEAL, 3)
            for name, earned in (("Ann", 9.6), ("Bob", 14), ("Dee", 14.4)):
                made.scratch(name)["resources_unit"] = earned
            counts = {"Ann": (1, 1, 2, 0), "Bob": (2, 1, 1, 1), "Cem": (3, 0, 0, 0), "Dee": (0, 0, 3, 1)}
            for name, own in counts.items():
                keys = ("total_num_investor", "success_num_investor", "total_num_trustee", "success_num_trustee")
                made.scratch(name).update(zip(keys, own, strict=True))
        place = made.write(folder, run) / "investment results" / f"investment_results_{step}.txt"
        place.parent.mkdir()
        place.write_text("\ufeff" + text, encoding="utf-8")
    return folder / run


def people(folder: Path, names: list[str]) -> Path:
    path = folder / "people.json"
    path.write_text("\ufeff" + json.dumps([{"name": name, "disposition": "altruistic"} for name in names]))
    return path


def test_blacklisted_deals_of_the_early_form_are_no_accepted_ones(tmp_path: Path) -> None:
    done = import_run(invented(tmp_path), tmp_path / "storage")
    courses = Counter(row["course"] for row in table(done, "interactions"))
    assert courses == {"completed": 2, "refused": 3, "not held": 1}
    assert [row["promised_share"] for row in table(done, "interactions") if row["course"] == "refused"] == [60.0] * 3
    assert not any("_num_" in line for line in done.report)
    assert done.step == 3


def test_refusals_without_names_and_without_a_result_file_are_counted_and_named(tmp_path: Path) -> None:
    made = Made()
    made.meet("Ann", "Bob", REFUSAL, 1)
    done = made.read(tmp_path)
    assert [row["course"] for row in table(done, "interactions")] == ["refused"]
    assert says(done, "step 1, Ann and Bob: a refusal does not tell who is who")


def test_tables_are_held_against_the_agents_own_counters(tmp_path: Path) -> None:
    made = Made()
    made.meet("Ann", "Bob", DEAL, 1)
    made.scratch("Bob").update(total_num_trustee=3, success_num_trustee=1)
    done = made.read(tmp_path)
    assert says(done, "Ann/scratch.json: total_num_investor is 0, and 1 are found")
    assert says(done, "Bob/scratch.json: total_num_trustee is 3, and 1 are found")
    assert not says(done, "Bob/scratch.json: success_num_trustee")


def mode(done: Imported) -> tuple[bool, bool]:
    config = done.folder.manifest().config
    return config.reputation, config.gossip


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ("invest_with_repu_gossip", (True, True)),
        ("invest_x_without_repu_gossip", (False, False)),
        ("invest_without_repu_with_gossip", (False, True)),
        ("invest_with_repu_without_gossip", (True, False)),
    ],
)
def test_the_name_of_a_run_tells_its_mode(run: str, expected: tuple[bool, bool], tmp_path: Path) -> None:
    assert mode(import_run(invented(tmp_path, run), tmp_path / "storage")) == expected


def test_without_a_name_the_mode_is_what_is_there(tmp_path: Path) -> None:
    done = import_run(invented(tmp_path, "invest"), tmp_path / "storage")
    assert mode(done) == (False, False)
    assert says(done, "off: 3 steps and 6 encounters without one record")


def test_dispositions_come_from_the_first_text_then_from_names(tmp_path: Path) -> None:
    made = Made(0, ["Emma Dubois", "David Johnson", "Nadia Novak"])
    made.scratch("Emma Dubois")["learned"] = "You are an extremely rational person."
    made.scratch("David Johnson")["learned"] = "Altruistic at heart, you share."
    done = import_run(made.write(tmp_path), tmp_path / "storage")
    found = {row["name"]: row["disposition"] for row in done.folder.document(0, "personas")}
    assert found == {
        "Emma Dubois": "self-interested",
        "David Johnson": "altruistic",
        "Nadia Novak": "self-interested",
    }
    assert says(done, "Nadia Novak: the disposition is in no file", "built-in persona")


def test_a_persona_file_may_name_only_some(tmp_path: Path) -> None:
    told = Told(personas=people(tmp_path, ["Cem", "Zoe"]))
    done = import_run(invented(tmp_path), tmp_path / "storage", told=told)
    found = {row["name"]: row["disposition"] for row in done.folder.document(0, "personas")}
    assert found == {"Ann": "self-interested", "Bob": "altruistic", "Cem": "altruistic", "Dee": "altruistic"}
    assert says(done, "Dee", "step 0 is not there; taken from `learned` of step 1")
    assert says(done, "Zoe: is in the persona file and not in the run")


def test_an_older_record_does_not_replace_one_that_does_not_sum_to_1(tmp_path: Path) -> None:
    made = Made()
    made.hold("Ann", "Trustee_1", entry("Bob", 1, "trustee", "(0.3, 0.2, 0.3, 0.1, 0)"))
    reason = "reputation update agter stage 4"
    old = entry("Bob", 1, "trustee", "(0, 0, 0, 0.1, 0.9)", reason=reason)
    made.hold("Ann", "Trustee_1_pre_2", old, "out_of_date_reputation_database")
    made.hold("Ann", "Trustee_2", entry("Cem", 2, "trustee", "(0.4, 0.2, 0.2, 0.1, 0)"))
    done = made.read(tmp_path)
    model = RepuNetModel.load(done.folder.path)
    held = {record.subject: record.score for record in model.agent("Ann").ledger.present()}
    assert held == {"Bob": pytest.approx(-0.4), "Cem": pytest.approx(-0.5)}
    assert says(done, "Trustee_1", "Trustee_2", "five numbers sum to 0.9")


def test_a_half_saved_folder_is_named_and_a_rounded_report_is_honest(tmp_path: Path) -> None:
    made = Made()
    text = DEAL.replace("4.0 units", "70.14000000000001 units").replace("'4.4'", "'56.11'").replace("'3.6'", "'84.17'")
    made.meet("Ann", "Bob", text.replace("6.0 units.", "140.28 units."), 1)
    made.meet("Cem", "Ann", DEAL, 99)
    made.scratch("Bob")["curr_step"] = 1
    step = made.write(tmp_path, "half_invest")
    (step / "reverie" / "meta.json").write_text(json.dumps({"persona_names": made.names, "step": 1}))
    (step / "personas" / "Dan").mkdir()
    (step / "personas" / "Cem" / "memory" / "associative_memory" / "nodes.json").unlink()
    (step / "personas" / "Cem" / "reputation" / "gossip_database.json").unlink()
    done = import_run(step, tmp_path / "storage", told=Told(personas=people(tmp_path, made.names)))
    assert done.folder.document(1, "metrics")["honest_report_rate"] == 1.0
    assert says(done, "step_2/meta.json: says step 1")
    assert says(done, "step_2, Bob: is at step 1, not at 2")
    assert says(done, "step_2, Dan: meta.json does not name this persona folder")
    assert says(done, "step_2, Cem: nodes.json is missing; nothing is taken")
    assert says(done, "step_2, Cem: gossip_database.json is missing")
    assert says(done, "Ann/nodes.json, node 2: is of step 99, which is not there")
    assert len(table(done, "interactions")) == 1


def test_a_file_that_is_missing_is_taken_from_the_step_before(tmp_path: Path) -> None:
    run = invented(tmp_path)
    earlier = run / "step_2" / "personas" / "Cem" / "memory" / "associative_memory" / "nodes.json"
    last = run / "step_3" / "personas" / "Cem" / "memory" / "associative_memory" / "nodes.json"
    last.rename(earlier)
    done = import_run(run, tmp_path / "storage")
    assert says(done, "step_3, Cem: nodes.json is missing; that of step_2 is taken")
    assert len([row for row in table(done, "events") if row["agent"] == "Cem"]) == 3


def test_a_damaged_folder_between_others_is_a_step_without_a_folder(tmp_path: Path) -> None:
    run = invented(tmp_path)
    (run / "step_2" / "personas" / "Cem" / "memory" / "scratch.json").write_text("{")
    done = import_run(run, tmp_path / "storage")
    assert says(done, "step_2: published layout", "read as a step without a folder")
    assert done.folder.document(2, "metrics")["ties"] is None
    assert len(table(done, "interactions")) == 6


def test_like_lines_are_one_with_a_count_and_an_example(tmp_path: Path) -> None:
    made = Made()
    for number in range(5):
        made.hold("Ann", f"Trustee_{number}_pre_1", {}, "out_of_date_reputation_database")
    done = made.read(tmp_path)
    assert says(done, "5 times, as in Ann/out_of_date_reputation_database.json, Trustee_0_pre_1: replaces nothing")


# Ordinary steps


def test_every_step_is_there_with_its_rows_and_its_measures(tmp_path: Path) -> None:
    done = import_run(invented(tmp_path), tmp_path / "storage")
    run = StepReader(done.folder)
    assert run.last == 3
    assert [len(step.rows(INTERACTIONS)) for step in run.steps()] == [0, 2, 2, 2]
    frame = measures_of(run).set_index("step")
    assert list(frame.index) == [1, 2, 3]
    assert list(frame["acceptance_rate"]) == [0.5, 0.0, 0.5]
    assert list(frame["ties"]) == [0, 0, 1]
    assert frame["gini"].notna().all()
    assert list(frame["calls"]) == [0, 0, 0]
    assert done.folder.table(3, "ties") == [{"agent": "Ann", "other": "Bob", "role": "trustee", "bound": True}]
    assert [done.folder.table(step, "calls") for step in (1, 2, 3)] == [[], [], []]
    agents = done.folder.document(1, "state")["agents"]
    assert [agent["payoff"] for agent in agents] == ["-0.4", "4.4", "0", "0"]
    assert done.folder.manifest().data["imported"] == {"from": "early_invest_with_repu_gossip", "step": 3}
    assert set(table_of(run)["seed"]) == {None}


def test_a_step_is_imported_alone_with_what_its_memories_tell(tmp_path: Path) -> None:
    done = import_run(invented(tmp_path) / "step_3", tmp_path / "storage")
    assert len(table(done, "interactions")) == 6
    assert [done.folder.document(step, "metrics")["ties"] for step in (1, 2, 3)] == [None, None, 1]
    assert says(done, "2 of 3 steps have no folder (1–2)", "next step with a folder has all ties")
    resources = {row["name"]: row["resources"] for row in done.folder.document(1, "state")["agents"]}
    assert resources == {"Ann": "9.6", "Bob": "14.4", "Cem": "10", "Dee": "10"}


def test_show_reads_an_imported_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = Made()
    made.meet("Ann", "Bob", DEAL, 1)
    heard = {
        "type": "first-order",
        "complained name": "Bob",
        "complained role": "trustee",
        "gossiper name": "Cem",
        "gossip info": "Bob cheats.",
        "credibility level": "credible",
        "created_at": 1,
    }
    made.files["Ann"]["reputation/gossip_database.json"] = [heard]
    made.read(tmp_path)
    assert main(["show", "made", "--step", "1", "--storage", str(tmp_path / "storage")]) == 0
    shown = capsys.readouterr().out
    assert "Ann and Bob: completed" in shown
    assert "Cem told Ann something about Bob" in shown
    assert "which ties there are after the step is not known" in shown
    assert "None" not in shown


def test_an_import_goes_on_and_comes_back_from_an_export(tmp_path: Path) -> None:
    done = import_run(invented(tmp_path), tmp_path / "storage")
    model = resumed(done.folder.path, None, tmp_path / "storage").model
    for _ in range(2):
        model.step()
    model.close()
    run = StepReader(done.folder)
    assert run.last == 5
    assert list(measures_of(run)["step"]) == [1, 2, 3, 4, 5]
    for step in (3, 5):
        back = import_run(export_step(run, step, tmp_path / f"out{step}"), tmp_path / "storage")
        for number in range(step + 1):
            assert back.folder.document(number, "state") == done.folder.document(number, "state")
        for name in ("interactions", "events", "records", "gossip", "ties"):
            assert table(back, name) == table(Imported(run.folder, step, {}, ()), name)
        assert back.report == ()


def test_an_export_that_was_changed_is_read_as_published(tmp_path: Path) -> None:
    run = ran("investment", tmp_path, 2, n_agents=4)
    step = export_step(StepReader(run), 2, tmp_path / "out")
    scratch = next(step.glob("personas/*/memory/scratch.json"))
    scratch.write_text(scratch.read_text().replace('"complain_buffer": []', '"complain_buffer": ["x"]'))
    done = import_run(step, tmp_path / "storage", told=Told(game="investment"))
    assert says(done, "was changed after its export")
    assert says(done, "1 wish(es) to gossip left over")


def test_an_export_keeps_what_it_need_not_change(tmp_path: Path) -> None:
    made = Made(2)
    made.meet("Ann", "Bob", DEAL, 1)
    made.scratch("Ann")["relationship"]["bind_list"] = ["Cem", "Bob"]
    reason = "reputation update agter stage 1"
    old = entry("Bob", 1, "trustee", "(0, 0, 0, 0.1, 0.9)", relationship="positive", reason=reason)
    made.hold("Ann", "Trustee_1", entry("Bob", 1, "trustee", "(0.3, 0.2, 0.3, 0.1, 0)", relationship="negative"))
    made.hold("Ann", "Trustee_1_pre_2", old, "out_of_date_reputation_database")
    heard = {
        "type": "first-order",
        "complained name": "Bob",
        "complained role": "trustee",
        "gossiper name": "Cem",
        "gossip info": "Bob cheats.",
        "credibility level": "credible",
        "whether to spread gossip second-hand": "Yes",
        "reasons": "He did it twice.",
        "created_at": 1,
    }
    made.files["Ann"]["reputation/gossip_database.json"] = [heard]
    step = export_step(StepReader(made.read(tmp_path).folder), 2, tmp_path / "out")
    scratch = content(step, "memory/scratch.json")["Ann"]
    assert scratch == {**scratch, **made.scratch("Ann")}
    nodes = content(step, "memory/associative_memory/nodes.json")["Ann"]
    assert [node["description"] for node in nodes if node["type"] == "EVENT"] == [DEAL.format("Ann", "Bob")]
    for file in ("reputation_database", "out_of_date_reputation_database"):
        assert content(step, f"reputation/{file}.json")["Ann"] == made.files["Ann"][f"reputation/{file}.json"]
    [message] = content(step, "reputation/gossip_database.json")["Ann"]
    assert {key: message[key] for key in heard} == heard


def assert_no_panel_is_empty(read: evidence.Evidence) -> None:
    for picture in pictures(read):
        for ax in picture.figure.axes:
            bars = [bar for bar in ax.patches if not isinstance(bar, Rectangle) or np.isfinite(bar.get_height())]
            drawn = [*ax.lines, *ax.collections, *ax.images, *bars]
            assert drawn, (picture.name, ax.get_title(), ax.get_ylabel())


# The real data


@needs_data
@pytest.mark.parametrize("place", [*(f"seeds/{seed}" for seed in SEEDS), f"runs/{WITH}/step_4", f"runs/{WITHOUT}"])
def test_published_data_is_imported_whole(place: str, tmp_path: Path) -> None:
    done = import_run(DATA / place, tmp_path, "there")
    step = DATA / place if (DATA / place / "reverie").is_dir() else DATA / place / f"step_{done.step}"
    state = state_of(done)
    scratch = content(step, "memory/scratch.json")
    ties = {(name, other) for name, data in scratch.items() for other in data["relationship"]["bind_list"]}
    assert {(agent, other) for agent, other, _ in state["network"]["ties"]} == ties
    avoids = {
        (name, other) for name, data in scratch.items() for other in data["relationship"]["black_list"] if other != name
    }
    assert {(n, other) for n, entries in state["network"]["blacklists"].items() for other, _ in entries} == avoids
    assert {row["name"]: float(row["resources"]) for row in state["agents"]} == {
        name: data["resources_unit"] for name, data in scratch.items()
    }
    held = [*content(step, "reputation/reputation_database.json").values()]
    held += content(step, "reputation/out_of_date_reputation_database.json").values()
    assert len(table(done, "records")) == sum(map(len, held))
    told = content(step, "reputation/gossip_database.json")
    assert len(table(done, "gossip")) == sum(map(len, told.values()))
    for name, own in content(step, "memory/associative_memory/nodes.json").items():
        texts = [node["description"] for node in own if node["type"] == "EVENT"]
        there = [row["text"] for row in table(done, "events") if row["agent"] == name]
        assert there == [text if isinstance(text, str) else text[0] for text in texts]


def gini(values: list[float]) -> float:
    pairs = sum(abs(a - b) for a in values for b in values)
    return pairs / (2 * len(values) * sum(values))


@needs_data
@pytest.mark.parametrize("run", [WITH, WITHOUT])
def test_every_step_counts_as_an_independent_reading_does(run: str, tmp_path: Path) -> None:
    """Read the memories of the last step here by their words, without the reader."""
    done = import_run(DATA / "runs" / run, tmp_path, "there")
    last = DATA / "runs" / run / "step_30"
    memories: dict[tuple[int, frozenset[str]], str] = {}
    for nodes in content(last, "memory/associative_memory/nodes.json").values():
        for node in (node for node in nodes if node["type"] == "EVENT"):
            text = node["description"] if isinstance(node["description"], str) else node["description"][0]
            memories[node["created_at"], frozenset((node["subject"], node["object"]))] = text
    gossip = Counter(
        message["created_at"] for own in content(last, "reputation/gossip_database.json").values() for message in own
    )
    owned = dict.fromkeys(json.loads((last / "reverie" / "meta.json").read_text())["persona_names"], 10.0)
    for step in range(1, 31):
        texts = [text for (when, _), text in memories.items() if when == step]
        deals = [text for text in texts if text.startswith("Success")]
        kept_promise = comparable = 0
        for text in deals:
            investor, trustee = re.findall(r"investor is (.+?), trustee is (.+)\n", text)[0]
            amount = float(re.findall(r"investor invests ([\d.]+)", text)[0])
            allocation = text.partition("stage 3")[2]
            back, kept = (float(re.findall(rf"'{side}': '([\d.]+)", allocation)[0]) for side in ("investor", "trustee"))
            owned[investor] += back - amount
            owned[trustee] += kept
            promised = re.findall(r"investor receives ([\d.]+)%", text)
            comparable += bool(promised)
            kept_promise += bool(promised) and back > 2 * amount * float(promised[0]) / 100 - 0.01
        measures = done.folder.document(step, "metrics")
        rows = done.folder.table(step, "interactions")
        assert len(rows) == len(texts) == 10
        assert sum(row["accepted"] for row in rows) == len(deals)
        assert measures["acceptance_rate"] == pytest.approx(len(deals) / 10)
        assert sum(row["course"] != "completed" for row in rows) == 10 - len(deals)
        assert measures["honoured_rate"] == (pytest.approx(kept_promise / comparable) if comparable else None)
        assert measures["gini"] == pytest.approx(gini([*owned.values()]), abs=1e-9)
        assert measures["gossip_told"] == len(done.folder.table(step, "gossip")) == gossip[step]
        folder = DATA / "runs" / run / f"step_{step}"
        bound = {
            (name, other)
            for name, data in content(folder, "memory/scratch.json").items()
            for other in data["relationship"]["bind_list"]
        }
        assert measures["ties"] == (len(bound) if folder.is_dir() else None)


@needs_data
def test_encounters_are_those_of_the_result_files(tmp_path: Path) -> None:
    """The files are read here by their lines, without the reader."""
    done = import_run(DATA / "runs" / WITH, tmp_path)
    for step in (1, 2, 3, 4, 5, 6, 30):
        file = DATA / "runs" / WITH / f"step_{step}" / "investment results" / f"investment_results_{step}.txt"
        trustees = re.findall(r"^\| Trustee: ([^:]+): allocated plan (.*)$", file.read_text(), re.MULTILINE)
        investors = re.findall(r"^\| Investor: ([^:]+): investor decided (.*)$", file.read_text(), re.MULTILINE)
        expected = {}
        for (trustee, plan), (investor, decision) in zip(trustees, investors, strict=True):
            promised = re.search(r"investor_part: ([\d.]+)%", plan)
            amount = re.search(r"Accept. Allocation ([\d.]+) unit", decision)
            expected[investor, trustee] = (promised and float(promised[1]), amount and float(amount[1]))
        rows = done.folder.table(step, "interactions")
        assert {(r["first"], r["second"]): (r["promised_share"], r["amount"]) for r in rows} == expected


@needs_data
def test_first_records_are_of_the_steps_in_which_the_folders_have_them_first(tmp_path: Path) -> None:
    alone = import_run(DATA / "runs" / WITH / "step_30", tmp_path)
    written: dict[tuple[str, str, str], int] = {}
    for row in table(alone, "records"):
        written.setdefault((row["holder"], row["subject"], row["role"]), row["step"])
    known: set[tuple[str, str, str]] = set()
    for step in range(1, 7):
        held = content(DATA / "runs" / WITH / f"step_{step}", "reputation/reputation_database.json")
        there = {(name, own["name"], own["role"].lower()) for name, every in held.items() for own in every.values()}
        assert {key for key in there - known if written[key] != step} == set()
        known |= there


@needs_data
def test_the_early_investment_run_has_ten_of_each_disposition(tmp_path: Path) -> None:
    for run in (WITH, WITHOUT):
        rows = import_run(DATA / "runs" / run, tmp_path).folder.document(0, "personas")
        assert Counter(row["disposition"] for row in rows) == {"altruistic": 10, "self-interested": 10}


@needs_data
@pytest.mark.parametrize("place", [*(f"seeds/{seed}" for seed in SEEDS), f"runs/{WITH}", f"runs/{WITHOUT}"])
def test_published_data_goes_on_and_comes_back_the_same(place: str, tmp_path: Path) -> None:
    done = import_run(DATA / place, tmp_path, "there")
    back = import_run(export_step(StepReader(done.folder), done.step, tmp_path / "out"), tmp_path, "back")
    for step in range(done.step + 1):
        assert back.folder.document(step, "state") == done.folder.document(step, "state")
    for name in ("records", "events", "gossip", "interactions", "ties"):
        assert table(back, name) == table(done, name)
    with RepuNetModel.load(done.folder.path) as model:
        for _ in range(2):
            model.step()
    assert StepReader(done.folder).last == done.step + 2


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
