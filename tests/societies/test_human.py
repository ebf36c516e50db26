"""A human plays as one of the agents: at a scripted keyboard, through the command line."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from repunet_model import RepuNetError, RepuNetModel
from repunet_model.backends.human import HumanBackend
from repunet_model.backends.limits import Limits
from repunet_model.cli import main
from repunet_model.storage import RunFolder
from tests.conftest import contents

AKIKO = "Akiko Sato"
OFF = ["--reputation", "n", "--gossip", "n"]
ONES = "1\n" * 400
"""Fits every field: the text "1", the first option, the number 1. So the order of questions does not matter."""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def types(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], io.StringIO]:
    """Let somebody type."""

    def typed(text: str) -> io.StringIO:
        keyboard = io.StringIO(text)
        monkeypatch.setattr(sys, "stdin", keyboard)
        return keyboard

    return typed


Typist = Callable[[str], io.StringIO]


def play(*words: str, name: str = "demo", steps: int = 1) -> int:
    return main(
        [
            *("run", "-n", "4", "--steps", str(steps), "--seed", "1", "--sim-name", name),
            *("--backend-for", f"{AKIKO}=human", *words),
        ]
    )


def calls(name: str = "demo", step: int = 1) -> dict[str, list[dict[str, Any]]]:
    """Return what the human was asked in a step, by question."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in RunFolder.open(Path("sim_storage") / name).table(step, "calls"):
        if row["agent"] == AKIKO:
            found.setdefault(row["question"], []).append(row)
    return found


EVALUATION = ["I gave what I could.", "1", "So did she.", "2"]


def test_a_human_plays_one_step_without_reputation(types: Typist, capsys: pytest.CaptureFixture[str]) -> None:
    left = types("\n".join(["I trust her.", "2", *EVALUATION, "You trust people. You always did.", *["Why not.", "1"]]))
    assert play(*OFF) == 0
    shown = capsys.readouterr().out
    asked = calls()
    (choice,) = asked["choose_move"]
    assert choice["answer"] == {"reason": "I trust her.", "decision": choice["options"]["decision"][1]}
    (judged,) = asked["evaluate"]
    assert judged["answer"]["partner_reason"] == "So did she."
    assert judged["answer"]["own"] == judged["options"]["own"][0]
    assert judged["answer"]["partner"] == judged["options"]["partner"][1]
    assert asked["reflect"][0]["answer"]["learned"] == "You trust people. You always did."
    assert left.read() == ""
    for rows in asked.values():
        for row in rows:
            assert row["prompt"] in shown
    assert shown.count("Pairs are formed anew each round") == 1
    assert "  1  " + choice["options"]["decision"][0] + "\n  2  " + choice["options"]["decision"][1] in shown
    model = RepuNetModel.load("sim_storage/demo")
    assert str(model.agent(AKIKO).learned["player"]) == "You trust people. You always did."


def test_a_human_sees_their_own_agents_questions_and_nobody_elses(
    types: Typist, capsys: pytest.CaptureFixture[str]
) -> None:
    types(ONES)
    assert play(steps=3) == 0
    shown = capsys.readouterr().out
    asked = [row for step in (1, 2, 3) for rows in calls(step=step).values() for row in rows]
    assert {"update_record", "wish_to_gossip"} <= {row["question"] for row in asked}
    assert shown.count("\n--- ") == shown.count(f"\n--- {AKIKO}: ") == len(asked)
    assert re.findall(r"^You are (.+?), \d+, ", shown, re.MULTILINE) == [AKIKO] * len(asked)


def test_what_does_not_fit_is_said_and_asked_again_on_the_spot(
    types: Typist, capsys: pytest.CaptureFixture[str]
) -> None:
    choice = ["", "   ", "I\x1b[31m see red", "x" * 4001, "I trust her.", "0", "3", "cooperate", "1.0", "", "1"]
    types("\n".join([*choice, *EVALUATION, "You trust.", "Why not.", "1"]))
    assert play(*OFF) == 0
    shown = capsys.readouterr().out
    assert shown.count("That does not fit: nothing was typed.") == 3
    assert shown.count("That does not fit: it holds characters that cannot be seen.") == 1
    assert shown.count("That does not fit: at most 300 characters, these are 4001.") == 1
    assert shown.count("That does not fit: type a number from 1 to 2.") == 4
    (row,) = calls()["choose_move"]
    assert row["answer"] == {"reason": "I trust her.", "decision": row["options"]["decision"][0]}
    assert RepuNetModel.load("sim_storage/demo").step_usage.reasks == 0


def test_a_number_keeps_its_bounds_and_answers_must_go_together(
    types: Typist, capsys: pytest.CaptureFixture[str]
) -> None:
    """The human is the investor in the first step; which number means "accept" is drawn, and the same for one seed."""
    seed = next(seed for seed in range(1, 30) if invests(seed))
    types(ONES)
    assert play("--scenario", "i", "--seed", str(seed), *OFF, name="trial") == 0
    options = calls("trial")["invest"][0]["options"]["decision"]
    accept = str(options.index("accept") + 1)
    types("\n".join(["I trust.", accept, "-1", "11", "nan", "ten", "0", "I trust.", accept, "2.5"]) + "\n" + ONES)
    assert play("--scenario", "i", "--seed", str(seed), *OFF) == 0
    shown = capsys.readouterr().out
    assert shown.count("That does not fit: type a number from 0.0 to 10.0.") == 3
    assert shown.count("That does not fit: type a number.") == 1
    assert shown.count("These answers do not go together: amount: at least 0.01 is invested") == 1
    (row,) = calls()["invest"]
    assert row["answer"] == {"reason": "I trust.", "decision": "accept", "amount": 2.5}


def invests(seed: int) -> bool:
    model = RepuNetModel(game="investment", reputation=False, gossip=False, n_agents=4, rng=seed)
    model.step()
    return AKIKO in model.datacollector.tables["interactions"]["first"]


@pytest.mark.parametrize("mode", [OFF, []], ids=["neither", "reputation and gossip"])
@pytest.mark.parametrize("lines", [0, 1, 3, 5, 6])
def test_when_the_input_ends_the_run_can_be_resumed_and_nothing_is_asked_twice(
    lines: int, mode: list[str], types: Typist, capsys: pytest.CaptureFixture[str]
) -> None:
    types(ONES)
    assert play(*mode, name="whole", steps=2) == 0
    whole = capsys.readouterr().out.count("\n--- ")
    types("1\n" * lines)
    assert play(*mode, name="parted", steps=2) == 2
    shown = capsys.readouterr()
    complaint = next(line for line in shown.err.splitlines() if line.startswith("error: "))
    assert f"error: no more answers at the keyboard for {AKIKO}" in complaint
    assert "resume sim_storage/parted --steps 2" in complaint
    journal = Path("sim_storage/parted/replies.jsonl")
    answered = len(journal.read_text().splitlines()) if journal.exists() else 0
    assert answered == {0: 0, 1: 0, 3: 1, 5: 1, 6: 2}[lines]
    assert not Path("sim_storage/parted/step_1").exists()
    types(ONES)
    assert main(["resume", "parted", "--steps", "2"]) == 0
    assert answered + capsys.readouterr().out.count("\n--- ") == whole
    assert contents(Path("sim_storage/parted")) == contents(Path("sim_storage/whole"))


def test_a_replay_of_a_mixed_population_asks_nobody_and_has_the_same_bytes(
    types: Typist, capsys: pytest.CaptureFixture[str]
) -> None:
    types(ONES)
    planted = ["--backend-for", "Aisha Ibrahim=always_defect", "--backend-for", "Ahmed Hassan=tit_for_tat"]
    assert play(*planted, steps=3) == 0
    capsys.readouterr()
    types("")
    words = ["run", "-n", "4", "--steps", "3", "--backend", "replay:demo", "--sim-name", "again"]
    assert main(words) == 0
    assert "---" not in capsys.readouterr().out
    assert contents(Path("sim_storage/again")) == contents(Path("sim_storage/demo"))
    manifest = json.loads(Path("sim_storage/again/manifest.json").read_text())
    assert manifest["backend_for"][AKIKO] == {"backend": "human", "reads_prompts": True}
    assert manifest["backend_for"]["Aisha Ibrahim"]["backend"] == "always_defect"


def at_keyboard(text: str, **parameters: Any) -> tuple[RepuNetModel, io.StringIO]:
    """Return a model in which a human types a text, and the screen they see."""
    keyboard, screen = io.StringIO(text), io.StringIO()
    human = HumanBackend(lambda: keyboard, lambda: screen)
    model = RepuNetModel(**{"n_agents": 4, "rng": 1, "backend_for": {AKIKO: human}, **parameters})
    return model, screen


def test_what_others_wrote_cannot_steer_the_terminal(tmp_path: Path) -> None:
    learned = "You\x1b]0;owned\x07 are\u202e here.\x9b2J\r\nAnd\u00a0there é 😀."
    people = [
        {"name": AKIKO, "disposition": "altruistic", "learned": learned},
        {"name": "Bob", "disposition": "altruistic"},
    ]
    file = tmp_path / "people.json"
    file.write_text(json.dumps(people))
    model, screen = at_keyboard(ONES, n_agents=None, personas=str(file))
    model.step()
    shown = screen.getvalue()
    assert "You\\x1b]0;owned\\x07 are\\u202e here.\\x9b2J\\r\nAnd\u00a0there é 😀." in shown
    assert not set(shown) & set("\x1b\x07\x9b\r\u202e")


def test_a_screen_without_the_characters_shows_their_codes() -> None:
    screen = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    human = HumanBackend(lambda: io.StringIO(""), lambda: screen)
    with pytest.raises(RepuNetError, match="no more answers"):
        RepuNetModel(n_agents=4, rng=1, backend_for={AKIKO: human}).step()
    assert b"\\xab" in screen.buffer.getvalue()


@pytest.mark.parametrize("keyboard", [None, io.TextIOWrapper(io.BytesIO(b"\xff\xff\n"), encoding="utf-8")])
def test_a_keyboard_that_is_not_there_or_types_no_text_fails_the_step(keyboard: io.TextIOWrapper | None) -> None:
    human = HumanBackend(lambda: keyboard, io.StringIO)
    model = RepuNetModel(n_agents=4, rng=1, backend_for={AKIKO: human})
    with pytest.raises(RepuNetError, match="no more answers at the keyboard"):
        model.step()
    assert model.steps == 0


def test_a_closed_stream_is_one_clear_line() -> None:
    closed = io.StringIO()
    closed.close()
    for keyboard, screen, problem in [
        (closed, io.StringIO(), "cannot be read"),
        (io.StringIO(), closed, "cannot be shown"),
    ]:
        human = HumanBackend(partial(_itself, keyboard), partial(_itself, screen))
        with pytest.raises(RepuNetError, match=problem) as failure:
            RepuNetModel(n_agents=4, rng=1, backend_for={AKIKO: human}).step()
        assert "\n" not in str(failure.value)


def _itself(stream: io.StringIO) -> io.StringIO:
    return stream


def test_limits_of_endpoints_are_not_limits_of_a_human() -> None:
    limits = Limits(concurrency=1, requests_per_minute=1, tokens_per_minute=1, budget_tokens=1, budget_usd=0.001)
    model, _ = at_keyboard(ONES, limits=limits)
    model.step()
    assert model.steps == 1


def test_a_question_that_was_given_up_leaves_the_next_line_to_the_next_one() -> None:
    """Somebody else's failure ends the step while the human thinks; the step is tried again, and the human types."""
    read, write = os.pipe()
    others = [io.StringIO("")]
    with os.fdopen(read) as keyboard, os.fdopen(write, "w") as fingers:
        human = HumanBackend(lambda: keyboard, io.StringIO)
        failing = HumanBackend(lambda: others[-1], io.StringIO)
        names = ("Ahmed Hassan", "Aisha Ibrahim", "David Johnson")
        model = RepuNetModel(
            n_agents=4, rng=1, reputation=False, backend_for={AKIKO: human} | dict.fromkeys(names, failing)
        )
        for _ in range(2):
            with pytest.raises(RepuNetError, match="no more answers"):
                model.step()
        others.append(io.StringIO(ONES))
        fingers.write("My first thought.\n" + ONES)
        fingers.flush()
        model.step()
    met = model.datacollector.tables["interactions"]
    reasons = dict(zip(met["first"] + met["second"], met["first_reason"] + met["second_reason"], strict=True))
    assert reasons[AKIKO] == "My first thought."


@pytest.mark.parametrize("words", [["--backend-for", f"{AKIKO}=human:me"], ["--backend", "human:me"]])
def test_a_human_has_no_parameters(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", *words]) == 2
    assert "backend 'human:me': human stands alone" in capsys.readouterr().err
    assert list(Path().iterdir()) == []


def test_fused_questions_are_asked_at_the_keyboard_one_after_another(types: Typist) -> None:
    for questions in ("single", "fused"):
        types(ONES)
        assert play("--questions", questions, name=questions, steps=2) == 0
    alone, fused = (RunFolder(Path("sim_storage") / name).document(2, "state") for name in ("single", "fused"))
    assert fused == alone
