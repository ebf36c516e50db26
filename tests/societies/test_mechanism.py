"""Societies with every switch of the mechanism: what is switched off is not asked, and nothing hints at it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from repunet_model import RepuNetModel
from repunet_model.backends.base import Request
from repunet_model.backends.mind import Rules
from repunet_model.backends.rules import RulesBackend
from repunet_model.chronicle import Chronicle
from repunet_model.cli import main
from repunet_model.config import FULL, GOSSIP_ONLY, MODES, REPUTATION_ONLY
from repunet_model.mechanism import SETS, Mechanism
from repunet_model.questions.base import Answer
from repunet_model.results.interview import _question
from repunet_model.storage import StepReader
from repunet_model.storage.schema import CallRow
from tests.contract import GOSSIP_WORDS, GameContract
from tests.societies import test_games

GAMES: dict[str, GameContract] = {
    each.game: each
    for each in (test_games.TestPrisonersDilemma(), test_games.TestInvestment(), test_games.TestSignUp())
}
TALKATIVE = Rules(gossip_threshold=0.0, social_precision=1.5, tie_threshold=-1.0, precision=0.5)
"""Rules with which every question is asked within a few steps."""

CHOICES = {"choose_move", "propose_plan", "invest", "allocate", "want_to_talk", "talk", "conclude"}
HEARING = {"respond", "hear", "hear_only", "hear_second_hand"}


class Reading(RulesBackend):
    """The rules, but as if they read prompts, so that these are in the rows of calls; keeps the rules of the game."""

    reads_prompts = True

    def __init__(self) -> None:
        super().__init__(TALKATIVE)
        self.system = ""

    async def answer[A: Answer](self, request: Request[A]) -> A:
        self.system = request.prompts.system
        return await super().answer(request)


@dataclass(frozen=True)
class Seen:
    """What a run asked and showed."""

    rows: tuple[CallRow, ...]
    system: str
    blacklisted: int

    def said(self, words: str, of: Iterable[str] = ()) -> bool:
        """Whether words are in a prompt, of the questions `of` or of all; there {about} is whom a question is about."""
        among = [row for row in self.rows if not of or row["question"] in of]
        return bool(not of and re.search(words, self.system)) or any(
            re.search(words.replace("{about}", re.escape(row["about"])), row["prompt"]) for row in among
        )

    def asked(self, *questions: str, stage: str = "", among: Callable[[CallRow], bool] = lambda _: True) -> bool:
        """Whether one of these questions was asked."""
        return any(row["question"] in questions and row["stage"].startswith(stage) and among(row) for row in self.rows)


@cache
def seen(game: str, mode: str, mechanism: str, questions: str) -> Seen:
    """Run a small society, and return what would be stored of its questions."""
    reputation, gossip = MODES[mode]
    backend = Reading()
    parameters: dict[str, Any] = {"reputation": reputation, "gossip": gossip, "questions": questions}
    model = RepuNetModel(game, **parameters, n_agents=6, backend=backend, mechanism=mechanism, rng=1)
    rows: list[CallRow] = []
    model.watchers.append(lambda step: rows.extend(step.asked()))
    for _ in range(6):
        model.step()
    blacklisted = sum(len(model.network.blacklist(name)) for name in model.graph)
    return Seen(tuple(rows), backend.system, blacklisted)


@dataclass(frozen=True)
class Case:
    """A switch: a mechanism with the part and one without, and whether a run shows traces of the part.

    `alone` are traces that only single questions show, since a fused prompt shows the views of several.
    """

    has: str
    lacks: str
    traces: Callable[[Seen], bool]
    alone: Callable[[Seen], bool] = lambda _: False
    mode: str = FULL
    games: tuple[str, ...] = tuple(GAMES)


def of_itself(row: CallRow) -> bool:
    return row["about"] == row["agent"]


def of_others(row: CallRow) -> bool:
    return row["about"] != row["agent"]


LIKES = "like to meet|often meet"

CASES = {
    "self_records": Case(
        "public_period=2",
        "public_period=2,self_records=off",
        lambda run: (
            run.asked("update_record", among=of_itself) or run.said("[Yy]our (own )?reputation|opinions of themselves")
        ),
    ),
    "peer_records": Case(
        "public_period=2",
        "public_period=2,peer_records=off",
        lambda run: (
            run.asked("update_record", among=of_others)
            or run.asked("choose_partner")
            or run.said("'s reputation|think well of|those they meet|becomes public|hard to believe")
        ),
    ),
    "first_order": Case(
        "public_period=2",
        "public_period=2,first_order=off",
        lambda run: run.asked("wish_to_gossip", "tell", *HEARING) or run.said(GOSSIP_WORDS.pattern),
    ),
    "second_order": Case(
        "public_period=2",
        "public_period=2,second_order=off",
        lambda run: run.asked("hear", "hear_second_hand") or run.said("pass it on|has it from|somebody else"),
    ),
    "wish_sees_record": Case(
        "wish_sees_record=on",
        "wish_sees_record=off",
        lambda _: False,
        alone=lambda run: run.said("reputation", of=["wish_to_gossip"]),
    ),
    "judgement_sees_record": Case(
        "judgement_sees_record=on",
        "judgement_sees_record=off",
        lambda _: False,
        alone=lambda run: run.said("{about}'s reputation", of=HEARING),
    ),
    "gossip_memory": Case(
        "gossip_memory=always",
        "gossip_memory=never",
        lambda run: run.said("told you about", of=CHOICES),
        mode=GOSSIP_ONLY,
    ),
    "gossip_shown": Case(
        "gossip_shown=5",
        "gossip_shown=1",
        lambda run: run.said(r"told you about .*\n.* told you about", of=CHOICES),
        mode=GOSSIP_ONLY,
        games=("prisoners_dilemma",),
    ),
    "partners": Case(
        "partner_probability=1",
        "partner_probability=1,partners=ties",
        lambda run: run.asked("choose_partner") or run.said("think well of"),
    ),
    "partners_without_records": Case(
        "partners_without_records=ties",
        "partners_without_records=random",
        lambda run: run.said(LIKES),
        mode=GOSSIP_ONLY,
    ),
    "partner_probability": Case(
        "partner_probability=1",
        "partner_probability=0",
        lambda run: run.asked("choose_partner") or run.said(LIKES),
    ),
    "random_sign_up": Case(
        "partner_probability=1",
        "partner_probability=1,random_sign_up=on",
        lambda run: run.asked("choose_partner") or run.said(LIKES),
        games=("sign_up",),
    ),
    "tie_after_encounter": Case(
        "public_period=2",
        "public_period=2,tie_after_encounter=off",
        lambda run: run.asked("connect", "disconnect", stage="encounter") or run.said("tie themselves"),
    ),
    "tie_after_gossip": Case(
        "public_period=2",
        "public_period=2,tie_after_gossip=off",
        lambda run: run.asked("disconnect", stage="gossip"),
        mode=GOSSIP_ONLY,
    ),
    "tie_after_news": Case(
        "public_period=2",
        "public_period=2,tie_after_news=off",
        lambda run: run.asked("disconnect", stage="opening"),
        games=("investment", "sign_up"),
    ),
    "blacklist_length": Case(
        "blacklist_length=5", "blacklist_length=0", lambda run: bool(run.blacklisted) or run.said("avoids|After a cut")
    ),
    "public_period": Case(
        "public_period=2",
        "public_period=6",
        lambda run: run.asked("update_record", "disconnect", stage="opening") and not run.said("Each round all say"),
        games=("investment",),
    ),
    "rewrite_learned": Case(
        "rewrite_learned=on", "rewrite_learned=off", lambda run: run.asked("reflect") or run.said("Rewrite the text")
    ),
    "memory_shown": Case(
        "memory_shown=5",
        "memory_shown=0",
        lambda run: run.said("[Yy]our last rounds|played before"),
        games=("prisoners_dilemma", "investment"),
    ),
    "institution": Case(
        "institution=board",
        "institution=private",
        lambda run: run.asked("report") or run.said("image score|[Pp]ublic score|public board"),
    ),
}
"""The cases by switch."""


def test_every_switch_has_a_case() -> None:
    assert set(CASES) == set(Mechanism.model_fields)


@pytest.mark.parametrize("questions", ["single", "fused"])
@pytest.mark.parametrize(
    ("switch", "game"),
    [
        pytest.param(switch, game, marks=pytest.mark.thorough if game != case.games[0] else ())
        for switch, case in CASES.items()
        for game in case.games
    ],
)
@pytest.mark.cover
def test_what_is_switched_off_is_not_asked_and_no_prompt_hints_at_it(switch: str, game: str, questions: str) -> None:
    case = CASES[switch]
    has, lacks = (seen(game, case.mode, f"paper,{text}", questions) for text in (case.has, case.lacks))
    assert lacks.rows
    assert not case.traces(lacks)
    if questions == "single":
        assert not case.alone(lacks)
    assert case.traces(has) or case.alone(has)  # The test would see it.


@pytest.mark.parametrize("activation", ["simultaneous", "sequential"])
@pytest.mark.parametrize("mechanism", SETS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("game", GAMES)
@pytest.mark.cover
def test_every_cell_keeps_the_invariants_with_both_mechanisms(
    game: str, mode: str, mechanism: str, activation: str
) -> None:
    reputation, gossip = MODES[mode]
    contract = GAMES[game]
    model = contract.run(
        0,
        n_agents=5,
        reputation=reputation,
        gossip=gossip,
        activation=activation,
        mechanism=f"{mechanism},public_period=2",
        backend=RulesBackend(TALKATIVE),
    )
    for _ in range(3):
        model.step()
        contract.check(model)
    assert bool(model.datacollector.tables["gossip"]["step"]) <= gossip


def outcome(model: RepuNetModel) -> tuple[Any, ...]:
    tables = model.datacollector.tables
    return tables["interactions"], tables["gossip"], model.network.to_dict(), [agent.state() for agent in model.agents]


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("switch", CASES)
@pytest.mark.cover
def test_fused_questions_have_the_same_outcome_with_every_switch(game: str, switch: str) -> None:
    reputation, gossip = MODES[CASES[switch].mode]
    alone, fused = (
        GAMES[game].run(
            3,
            n_agents=6,
            reputation=reputation,
            gossip=gossip,
            mechanism=f"paper,{CASES[switch].lacks}",
            questions=questions,
            backend=RulesBackend(TALKATIVE),
        )
        for questions in ("single", "fused")
    )
    assert outcome(fused) == outcome(alone)


def test_switches_of_records_change_nothing_without_reputation() -> None:
    runs = [
        GAMES["prisoners_dilemma"].run(4, n_agents=6, reputation=False, mechanism=f"paper{more}")
        for more in ("", ",self_records=off,peer_records=off,partners=random,tie_after_news=off,wish_sees_record=on")
    ]
    assert outcome(runs[0]) == outcome(runs[1])
    assert str(runs[0].config.mechanism) != str(runs[1].config.mechanism)


def test_without_either_kind_of_record_a_run_is_one_without_reputation() -> None:
    without = GAMES["prisoners_dilemma"].run(4, n_agents=6, reputation=False)
    neither = GAMES["prisoners_dilemma"].run(4, n_agents=6, mechanism="paper,self_records=off,peer_records=off")
    assert outcome(without) == outcome(neither)


@pytest.mark.parametrize("game", GAMES)
def test_gossip_that_is_remembered_is_there_again_when_a_run_is_loaded(game: str, tmp_path: Path) -> None:
    backend = "rules:gossip_threshold=0,social_precision=0.5,tie_threshold=-1"
    parameters: dict[str, Any] = {"n_agents": 6, "reputation": False, "backend": backend, "storage": str(tmp_path)}
    whole = GAMES[game].run(6, run_name="whole", **parameters)
    GAMES[game].run(3, run_name="parted", **parameters)
    with RepuNetModel.load(tmp_path / "parted") as model:
        for _ in range(3):
            model.step()
        for agent in model.agents:
            assert agent.memory.heard() == whole.agent(agent.name).memory.heard()
        assert any(agent.memory.heard() for agent in model.agents)
        assert outcome(model) == outcome(whole)


def test_a_mode_without_reputation_only_removes_records() -> None:
    quiet = seen("prisoners_dilemma", REPUTATION_ONLY, "paper", "single")
    assert not quiet.asked("wish_to_gossip")
    assert quiet.asked("update_record")


def test_show_names_a_mechanism_that_is_not_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, words in (("usual", []), ("other", ["--mechanism", "published,memory_shown=3"])):
        assert main(["run", "-n", "4", "--steps", "1", "--sim-name", name, *words]) == 0
    capsys.readouterr()
    for name, told in (("usual", "reputation and gossip)"), ("other", "gossip, mechanism published,memory_shown=3)")):
        assert main(["show", name]) == 0
        assert capsys.readouterr().out.splitlines()[0].endswith(told)


def test_an_interview_shows_what_was_heard_where_choices_do(tmp_path: Path) -> None:
    backend = "rules:gossip_threshold=0,social_precision=1.5,tie_threshold=-1"
    heard: dict[str, bool] = {}
    for memory in ("without_records", "never"):
        with RepuNetModel(
            n_agents=6,
            reputation=False,
            backend=backend,
            mechanism=f"paper,gossip_memory={memory}",
            rng=1,
            storage=str(tmp_path),
            run_name=memory,
        ) as model:
            for _ in range(4):
                model.step()
        chronicle = Chronicle.of_run(StepReader.open(tmp_path / memory))
        for agent in model.agents:
            assert chronicle.heard(agent.name, 4) == agent.memory.heard()
        heard[memory] = any(_question(chronicle, 4, name, "Why?").heard for name in chronicle.personas)
    assert heard == {"without_records": True, "never": False}
