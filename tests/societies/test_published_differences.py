"""Published steps whose files do not agree: what is kept, and what the report of an import says of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from repunet_model.cli import main
from repunet_model.errors import ConfigurationError
from repunet_model.reference_layout import Told, import_run
from tests.published import DEAL, REFUSED, Made, event, says, table

HEARD = {
    "type": "first-order",
    "complained name": "Bob",
    "complained role": "trustee",
    "gossiper name": "Ann",
    "gossip info": "Bob keeps what he owes.",
    "credibility level": "credible",
    "created_at": 1,
}


def nodes(made: Made, name: str) -> list[Any]:
    found: list[Any] = made.files[name]["memory/associative_memory/nodes.json"]
    return found


def with_results(made: Made, folder: Path, text: str) -> Path:
    step = made.write(folder)
    results = step / "investment results" / f"investment_results_{made.step}.txt"
    results.parent.mkdir()
    results.write_text(text)
    return step


RESULT = (
    "| Trustee: Bob: allocated plan trustee_part: 40%, investor_part: 60%   |\n"
    "| Investor: Ann: investor decided Accept. Allocation {amount} unit.    |\n"
    "| Trustee: Bob: actual allocation 4.4                                  |\n"
    "| Investor: Ann: actual allocation 3.6                                 |\n"
    "|      End of Investment      |\n"
)


def test_what_two_sides_remember_differently_is_named_and_the_first_ones_is_kept(tmp_path: Path) -> None:
    made = Made()
    nodes(made, "Ann").append(event("Ann", "Bob", DEAL.format("Ann", "Bob"), 1))
    nodes(made, "Bob").append(event("Bob", "Ann", DEAL.format("Ann", "Bob").replace("60%", "55%"), 1))
    done = made.read(tmp_path)
    assert [row["promised_share"] for row in table(done, "interactions")] == [60.0]
    assert says(done, "Bob/nodes.json", "step 1: promised_share not as the other side has it", "the other's kept")


def test_what_one_side_alone_remembers_completes_what_the_other_does(tmp_path: Path) -> None:
    made = Made()
    nodes(made, "Ann").append(event("Ann", "Bob", DEAL.format("Ann", "Bob").replace("60% of it", "some"), 1))
    nodes(made, "Bob").append(event("Bob", "Ann", DEAL.format("Ann", "Bob"), 1))
    done = made.read(tmp_path)
    assert [row["promised_share"] for row in table(done, "interactions")] == [60.0]
    assert not says(done, "not as the other side has it")


def test_an_encounter_that_cannot_be_read_is_left_out_and_named(tmp_path: Path) -> None:
    made = Made()
    nodes(made, "Ann").append(event("Ann", "Bob", "We had a fine day.", 1))
    nodes(made, "Ann").append(event("Ann", "Dan", DEAL.format("Ann", "Dan"), 2))
    done = made.read(tmp_path)
    assert table(done, "interactions") == []
    for step in (1, 2):
        assert says(done, "Ann/nodes.json", f"step {step}", "the encounter cannot be read", "left out")


@pytest.mark.parametrize(("amount", "is_same"), [("4.0", True), ("5.0", False)])
def test_a_result_file_that_differs_from_memory_is_named(amount: str, is_same: bool, tmp_path: Path) -> None:
    made = Made(1)
    made.meet("Ann", "Bob", DEAL, 1)
    done = import_with_people(with_results(made, tmp_path, RESULT.format(amount=amount)), tmp_path)
    assert [row["amount"] for row in table(done, "interactions")] == [4.0]
    assert says(done, "Ann and Bob: amount", "not as remembered", "memory kept") is not is_same


def test_an_encounter_that_only_the_result_file_knows_is_taken_from_it(tmp_path: Path) -> None:
    done = import_with_people(with_results(Made(1), tmp_path, RESULT.format(amount="4.0")), tmp_path)
    (row,) = table(done, "interactions")
    assert (row["first"], row["second"], row["amount"], row["actual_share"]) == ("Ann", "Bob", 4.0, 45.0)
    assert says(done, "Ann and Bob: the two do not remember it", "taken from the file")


def import_with_people(step: Path, folder: Path) -> Any:
    people = folder / "people.json"
    people.write_text(json.dumps([{"name": name, "disposition": "self-interested"} for name in ("Ann", "Bob", "Cem")]))
    return import_run(step, folder / "storage", "made", Told(personas=people, game="investment"))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"type": "third-order"}, "are no order and credibility"),
        ({"credibility level": "perhaps"}, "are no order and credibility"),
        ({"complained role": "mayor"}, "the role 'mayor' is unknown"),
        ({"gossiper name": "\x1b[31mDan"}, "is unknown"),
    ],
)
def test_gossip_that_says_something_unknown_is_left_out_and_named(
    change: dict[str, str], problem: str, tmp_path: Path
) -> None:
    made = Made()
    made.meet("Ann", "Bob", DEAL, 1)
    made.files["Cem"]["reputation/gossip_database.json"] += [HEARD, {**HEARD, **change}]
    done = made.read(tmp_path)
    assert [row["summary"] for row in table(done, "gossip")] == ["Bob keeps what he owes."]
    assert says(done, problem, "left out")


def test_a_step_of_another_game_than_was_told_or_of_two_is_refused(tmp_path: Path) -> None:
    made = Made()
    made.meet("Ann", "Bob", DEAL, 1)
    with pytest.raises(ConfigurationError, match="is of the game 'investment', not 'sign_up'"):
        made.read(tmp_path, game="sign_up")
    nodes(made, "Ann").append(event("Ann", "Bob", "Game_result is x", 2, "pd_game"))
    with pytest.raises(ConfigurationError, match="holds more than one game: investment, prisoners_dilemma"):
        made.read(tmp_path)


def test_a_role_in_which_nothing_was_learned_is_named(tmp_path: Path) -> None:
    made = Made()
    made.scratch("Ann")["learned"] = {"investor": "You invest."}
    with pytest.raises(ConfigurationError, match=r"Ann/scratch\.json: `learned` says nothing as trustee"):
        made.read(tmp_path)


def test_a_scratch_of_somebody_else_is_refused(tmp_path: Path) -> None:
    made = Made()
    made.scratch("Ann")["name"] = "Eve"
    with pytest.raises(ConfigurationError, match="is of 'Eve', not of 'Ann'"):
        made.read(tmp_path)


def test_wishes_to_gossip_that_are_left_over_and_other_ages_are_named(tmp_path: Path) -> None:
    made = Made()
    made.meet("Cem", "Bob", REFUSED, 1)
    made.scratch("Ann")["complain_buffer"] = ["Bob"]
    people = tmp_path / "people.json"
    people.write_text(
        json.dumps([{"name": name, "disposition": "altruistic", "age": 31} for name in ("Ann", "Bob", "Cem")])
    )
    done = import_run(made.write(tmp_path), tmp_path / "storage", "made", Told(personas=people, reputation=False))
    assert says(done, "Ann/scratch.json", "1 wish(es) to gossip left over", "left out")
    assert says(done, "Ann/scratch.json", "age 30", "31 is known")
    assert done.folder.manifest().data["reputation"] is False
    assert [row["age"] for row in done.folder.document(0, "personas")] == [31, 31, 31]


def test_the_command_lists_what_was_not_read_exactly_a_line_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    made = Made()
    nodes(made, "Ann").append(event("Ann", "Bob", "A \x1b[31mfine\nday.", 1))
    step = made.write(tmp_path)
    Path("people.json").write_text(json.dumps([{"name": name, "disposition": "altruistic"} for name in made.names]))
    assert main(["import", str(step), "--personas", "people.json"]) == 0
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    assert "Not read exactly:" in lines
    assert any("the encounter cannot be read; left out" in line for line in lines)
    assert lines[-3].startswith("Run: ")
    assert "\x1b" not in shown
