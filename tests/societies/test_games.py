from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from repunet_model import RepuNetModel
from repunet_model.backends.base import Request
from repunet_model.backends.rules import RulesBackend
from repunet_model.games import find
from repunet_model.games.donation import Donation, Gift, Give, give_as_given
from repunet_model.games.investment import (
    Allocate,
    AllocationAnswer,
    Deal,
    Invest,
    InvestAnswer,
    Investment,
    PlanAnswer,
    ProposePlan,
)
from repunet_model.games.sign_up import Choice, DeclarationAnswer, SignUp, WantToTalk
from repunet_model.memory import Event
from repunet_model.questions.base import Answer
from repunet_model.questions.encounter import UpdateRecord
from repunet_model.reputation import Cause
from tests.backends import Overheard
from tests.contract import GameContract


class TestPrisonersDilemma(GameContract):
    game = "prisoners_dilemma"

    def check_payoffs(self, model: RepuNetModel) -> None:
        payoffs = {
            ("cooperate", "cooperate"): (3, 3),
            ("cooperate", "defect"): (0, 5),
            ("defect", "cooperate"): (5, 0),
            ("defect", "defect"): (1, 1),
        }
        for row in model.datacollector.get_table_dataframe("interactions").itertuples():
            assert (row.first_payoff, row.second_payoff) == payoffs[row.first_move, row.second_move]


class TestInvestment(GameContract):
    game = "investment"
    published = frozenset({("invest", "reason"), ("evaluate", "partner_reason")})

    def check_payoffs(self, model: RepuNetModel) -> None:
        table = model.datacollector.tables["interactions"]
        for row in (dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)):
            first, second = (Decimal(repr(row[f"{side}_payoff"])) for side in ("first", "second"))
            if not row["accepted"]:
                assert first == second == 0
                continue
            amount = Decimal(repr(row["amount"]))
            assert 0 < amount <= Decimal(repr(row["holdings"]))
            assert Decimal(repr(row["outcome"])) == 2 * amount
            assert first + second == amount
            assert first >= -amount
            assert second >= 0


class TestSignUp(GameContract):
    game = "sign_up"
    refused_policies = ("tit_for_tat", "clique")
    published = frozenset({("conclude", "summary"), ("sign_up", "reason")})

    def check_payoffs(self, model: RepuNetModel) -> None:
        table = model.datacollector.get_table_dataframe("interactions")
        assert not table["first_payoff"].any()
        assert not table["second_payoff"].any()


class TestDonation(GameContract):
    game = "donation"

    def check_payoffs(self, model: RepuNetModel) -> None:
        for row in model.datacollector.get_table_dataframe("interactions").itertuples():
            assert (row.first_payoff, row.second_payoff) == ((-1, 5) if row.gave else (0, 0))
            assert (row.first_cooperated, row.second_cooperated) == (row.gave, None)


def test_parameters_of_donation_make_a_dilemma_or_are_named() -> None:
    assert find("donation").caveat() == ""
    assert "needs benefit > cost > 0: 1 > 2 > 0 is false" in find("donation", {"benefit": 1, "cost": 2}).caveat()


def test_tit_for_tat_gives_to_whoever_gave_when_it_was_their_turn() -> None:
    def reply(*gave: bool | None) -> Gift:
        events = tuple(Event(1, "Bob", "player", None if each is not None else True, each, 0.0, "") for each in gave)
        question = Give(
            recipient="Bob",
            own_opinion=None,
            recipient_opinion=None,
            events=events,
            parameters=Donation.parameters,
        )
        return give_as_given(question).decision

    assert [reply(), reply(True), reply(False, None), reply(False, True)] == [
        Gift.GIVE,
        Gift.GIVE,
        Gift.KEEP,
        Gift.GIVE,
    ]


class Scripted(RulesBackend):
    """The rules, but for some questions with fixed answers; every request is kept."""

    def __init__(self, *answers: tuple[type, Answer]) -> None:
        super().__init__()
        self.requests: list[Request[Any]] = []
        self._answers = dict(answers)

    async def answer[A: Answer](self, request: Request[A]) -> A:
        self.requests.append(request)
        fixed = self._answers.get(type(request.question))
        return await super().answer(request) if fixed is None else request.question.as_answer(fixed)

    def asked(self, question: str, agent: str | None = None) -> list[Any]:
        return [
            request.question
            for request in self.requests
            if request.coordinates.question == question and agent in {None, request.coordinates.agent}
        ]


PROMISE = (ProposePlan, PlanAnswer(reason="fair", investor_share=60))
ACCEPT = (Invest, InvestAnswer(reason="good", decision=Deal.ACCEPT, amount=3.337))
REFUSE = (Invest, InvestAnswer(reason="too little for me", decision=Deal.REFUSE, amount=1.0))
KEEP = (Allocate, AllocationAnswer(reason="a deal is a deal", investor_share=60, reported_outcome=6.66))
CHEAT = (Allocate, AllocationAnswer(reason="mine", investor_share=30, reported_outcome=3.0))


def investment(*answers: tuple[type, Answer], **parameters: Any) -> tuple[RepuNetModel, Scripted, dict[str, Any]]:
    """Run one step of two investors and return the model, what was asked, and the interaction."""
    backend = Scripted(*answers)
    model = RepuNetModel(game="investment", n_agents=2, rng=1, backend=backend, **parameters)
    model.step()
    return model, backend, {name: column[0] for name, column in model.datacollector.tables["interactions"].items()}


def test_a_promise_that_is_kept_pays_both_to_the_last_digit() -> None:
    model, backend, row = investment(PROMISE, ACCEPT, KEEP)
    assert (row["amount"], row["outcome"]) == (3.33, 6.66)
    assert (row["first_payoff"], row["second_payoff"]) == (0.66, 2.67)
    assert sum(agent.resources for agent in model.agents) == Decimal("23.33")
    assert model.measures["cooperation_rate"] == model.measures["honest_report_rate"] == 1
    assert model.measures["cheating"] == 0
    assert len(backend.asked("evaluate")) == 2
    assert len(backend.asked("update_record")) == 4


def test_a_promise_that_is_broken_is_cheating_and_a_false_report_is_dishonest() -> None:
    model, backend, row = investment(PROMISE, ACCEPT, CHEAT)
    assert row["course"] == "completed"
    assert model.measures["acceptance_rate"] == 1
    assert model.measures["cooperation_rate"] == model.measures["honest_report_rate"] == 0
    assert model.measures["cheating"] == 0.5
    by_investor = next(question for question in backend.asked("evaluate") if question.own_cooperated)
    assert by_investor.partner_cooperated is False
    assert "reported an outcome of 3.00" in by_investor.account


def test_a_refusal_is_remembered_by_both_and_may_be_told_and_nothing_else_is_asked() -> None:
    model, backend, row = investment(PROMISE, REFUSE)
    assert (row["course"], row["accepted"], row["first_payoff"]) == ("refused", False, 0)
    assert {request.coordinates.question for request in backend.requests} == {
        "propose_plan",
        "invest",
        "wish_to_gossip",
    }
    for agent in model.agents:
        assert "too little for me" in agent.memory.snapshot()[-1].text
    assert model.measures["acceptance_rate"] == 0
    assert model.measures["honoured_rate"] is None


def test_whoever_is_on_a_blacklist_gets_no_deal() -> None:
    backend = Scripted(PROMISE, ACCEPT, KEEP)
    model = RepuNetModel(game="investment", n_agents=2, rng=1, backend=backend)
    one, other = model.graph
    for role in ("investor", "trustee"):
        model.network.bind(one, other, role)
        model.network.unbind(one, other, role)
    model.step()
    assert backend.requests == []
    assert model.datacollector.tables["interactions"]["course"] == ["not held"]


def test_an_investor_with_nothing_gets_no_deal() -> None:
    backend = Scripted(PROMISE, ACCEPT, KEEP)
    model = RepuNetModel(game="investment", n_agents=2, rng=1, backend=backend)
    for agent in model.agents:
        agent.resources = Decimal(0)
    model.step()
    assert backend.requests == []


def test_no_more_can_be_invested_than_is_owned() -> None:
    question = Invest(
        trustee="Bob",
        promised=60,
        resources=Decimal("4.20"),
        own_opinion=None,
        trustee_opinion=None,
        events=(),
        parameters=Investment.parameters,
    )
    limits = question.schema(question.options(b""))["properties"]["amount"]
    assert (limits["minimum"], limits["maximum"]) == (0, 4.2)
    reply = {"reason": "x", "decision": "accept"}
    assert question.read(json.dumps({**reply, "amount": 4.2})).amount == 4.2
    assert question.read(json.dumps({**reply, "decision": "refuse", "amount": 0})).decision is Deal.REFUSE
    for amount in (4.21, 0, -1, float("nan"), 1e400):
        with pytest.raises(ValueError, match="amount"):
            question.read(json.dumps({**reply, "amount": amount}))


@pytest.mark.parametrize(
    ("amount", "share", "returned"), [(0.35, 90, 0.63), (0.82, 75, 1.23), (1.4, 90, 2.52), (5, 33, 3.3)]
)
def test_no_cent_is_lost(amount: float, share: float, returned: float) -> None:
    promise = (ProposePlan, PlanAnswer(reason="fair", investor_share=share))
    accept = (Invest, InvestAnswer(reason="good", decision=Deal.ACCEPT, amount=amount))
    keep = (Allocate, AllocationAnswer(reason="kept", investor_share=share, reported_outcome=2 * amount))
    _, _, row = investment(promise, accept, keep)
    assert row["first_payoff"] == pytest.approx(returned - amount, abs=1e-12)
    assert row["second_payoff"] == pytest.approx(2 * amount - returned, abs=1e-12)


def test_wealth_may_grow_for_a_long_time() -> None:
    model = RepuNetModel(game="investment", rng=1)
    for agent in model.agents:
        agent.resources = Decimal("3e10")
    for _ in range(3):
        model.step()
    assert max(model.datacollector.tables["interactions"]["outcome"], key=lambda units: units or 0) > 1e9


def test_roles_have_a_learned_text_each_and_ties_and_records_of_their_own() -> None:
    model = RepuNetModel(game="investment", rng=1)
    for _ in range(6):
        model.step()
    assert any(agent.learned["investor"] != agent.learned["trustee"] for agent in model.agents)
    ties: list[tuple[str, str, tuple[str, ...]]] = list(model.graph.edges(data="roles"))
    roles = {role for _, _, tied in ties for role in tied}
    assert roles == {"investor", "trustee"}
    assert {record.role for agent in model.agents for record in agent.ledger.present()} == roles


def test_public_evaluations_are_taken_in_every_fifth_step_with_reputation_and_gossip() -> None:
    for reputation, gossip in ((True, True), (True, False), (False, True)):
        backend = Overheard()
        model = RepuNetModel(game="investment", rng=1, backend=backend, reputation=reputation, gossip=gossip)
        for _ in range(11):
            model.step()
        taken = [request for request in backend.requests if request.coordinates.stage == "opening"]
        assert {request.coordinates.step for request in taken} == ({6, 11} if reputation and gossip else set())
        for request in taken:
            assert request.coordinates.agent != request.coordinates.about
            if isinstance(request.question, UpdateRecord):
                assert request.question.previous is not None
                assert f"{request.coordinates.agent} (conduct" not in request.prompt


def test_everybody_declares_in_steps_1_6_and_11_and_the_choices_count() -> None:
    backend = Scripted((SignUp, DeclarationAnswer(reason="for the town", decision=Choice.YES)))
    model = RepuNetModel(game="sign_up", rng=1, backend=backend)
    for _ in range(11):
        model.step()
        assert model.measures["cooperation_rate"] == 1
    declared = [request.coordinates.step for request in backend.requests if request.coordinates.question == "sign_up"]
    assert sorted(declared) == [1] * 20 + [6] * 20 + [11] * 20
    causes = {
        update.cause
        for agent in model.agents
        for other in model.graph
        for update in agent.ledger.history(other, "resident")
    }
    assert {Cause.EXPERIENCE, Cause.SIGN_UP} <= causes


def test_without_reputation_a_choice_sees_the_last_one() -> None:
    backend = Overheard()
    model = RepuNetModel(game="sign_up", rng=1, backend=backend, reputation=False)
    for _ in range(6):
        model.step()
    for request in backend.requests:
        if isinstance(request.question, SignUp):
            assert (request.question.last is None) == (request.coordinates.step == 1)
            assert ("Last time you said" in request.prompt) == (request.coordinates.step == 6)


def test_with_reputation_a_choice_sees_ones_own_name() -> None:
    backend = Overheard()
    model = RepuNetModel(game="sign_up", rng=1, backend=backend)
    for _ in range(6):
        model.step()
    later = [r for r in backend.requests if isinstance(r.question, SignUp) and r.coordinates.step == 6]
    assert len(later) == 20
    for request in later:
        assert "Last time you said" not in request.prompt
        assert re.search(r"Your reputation in your own eyes: «.*» \(resident: ", request.prompt)


def test_with_reputation_strangers_talk_without_being_asked() -> None:
    backend = Overheard()
    RepuNetModel(game="sign_up", rng=1, backend=backend).step()
    assert not any(isinstance(request.question, WantToTalk) for request in backend.requests)
    backend = Overheard()
    RepuNetModel(game="sign_up", rng=1, backend=backend, reputation=False).step()
    assert sum(isinstance(request.question, WantToTalk) for request in backend.requests) == 20


@pytest.mark.parametrize("turns", [2, 3, 10])
def test_a_conversation_has_its_turns_and_ends_in_a_summary(turns: int) -> None:
    model = RepuNetModel(game="sign_up", rng=1, dialogue_turns=turns)
    model.step()
    table = model.datacollector.get_table_dataframe("interactions")
    assert len(table) == 10
    for row in table[table["talked"]].itertuples():
        speakers = [speaker for speaker, _ in row.conversation]
        assert speakers == [row.first, row.second, *speakers[:-2]]
        assert len(speakers) == turns
        assert row.first in row.summary
        assert row.second in row.summary


def test_a_conversation_is_judged_against_the_average(tmp_path: Path) -> None:
    backend = Overheard()
    model = RepuNetModel(game="sign_up", rng=1, backend=backend)
    for _ in range(3):
        model.step()
    prompts = [request.prompt for request in backend.requests if isinstance(request.question, UpdateRecord)]
    assert any("Mutual ties of " in prompt for prompt in prompts)
    assert any("became conversations; the average is" in prompt for prompt in prompts)
