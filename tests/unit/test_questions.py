from __future__ import annotations

from collections import Counter

import pytest

from repunet_model.games.prisoners_dilemma import ChooseMove, Move, PrisonersDilemma
from repunet_model.questions.base import Candidate, Question
from repunet_model.questions.encounter import ChoosePartner, Evaluate, UpdateRecord
from repunet_model.reputation import LEVELS
from repunet_model.rng import Streams

MOVE = ChooseMove(
    partner="Bob", own_opinion=None, partner_opinion=None, events=(), parameters=PrisonersDilemma.parameters
)
PEOPLE = ("Ann", "Bob", "Cem")
PARTNER = ChoosePartner(role="player", people=tuple(Candidate(name, None) for name in PEOPLE))


def orders(question: Question, field: str, draws: int = 2000) -> Counter[tuple[str, ...]]:  # type: ignore[type-arg]
    return Counter(question.options(Streams(1).digest(draw))[field] for draw in range(draws))


def test_both_orders_of_a_choice_are_equally_likely() -> None:
    counts = orders(MOVE, "decision")
    assert set(counts) == {("cooperate", "defect"), ("defect", "cooperate")}
    assert counts["cooperate", "defect"] == pytest.approx(1000, abs=100)


def test_people_are_named_in_every_order() -> None:
    counts = orders(PARTNER, "partner")
    assert len(counts) == 6
    assert min(counts.values()) > 250


def test_a_scale_is_named_upwards_or_downwards_and_never_shuffled() -> None:
    question = UpdateRecord(subject="Bob", role="player", is_self=False, previous=None)
    levels = tuple(level.value for level in LEVELS)
    assert set(orders(question, "level")) == {levels, levels[::-1]}


def test_the_schema_offers_the_options_in_the_drawn_order_and_nothing_else() -> None:
    options = PARTNER.options(b"some digest")
    schema = PARTNER.schema(options)
    assert schema["properties"]["partner"]["enum"] == list(options["partner"])
    assert schema["required"] == ["reason", "partner"]
    assert schema["additionalProperties"] is False
    assert "description" in schema["properties"]["reason"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "reply"),
        ("cooperate", "reply"),
        ('{"reason": "x"}', "decision"),
        ('{"reason": "x", "decision": "hesitate"}', "decision"),
        ('{"reason": "", "decision": "defect"}', "reason"),
        ('{"reason": "x", "decision": "defect", "extra": 1}', "extra"),
    ],
)
def test_a_reply_that_does_not_fit_is_refused_with_its_reason_in_one_line(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as failure:
        MOVE.read(text)
    assert "\n" not in str(failure.value)


def test_only_candidates_can_be_picked() -> None:
    assert PARTNER.read('{"reason": "x", "partner": "Cem"}').partner == "Cem"
    with pytest.raises(ValueError, match="must be one of Ann, Bob, Cem"):
        PARTNER.read('{"reason": "x", "partner": "Dan"}')


def test_a_reply_that_fits_is_read() -> None:
    assert MOVE.read('{"reason": "x", "decision": "defect"}').decision is Move.DEFECT
    question = Evaluate(
        partner="Bob",
        account="",
        own_cooperated=True,
        partner_cooperated=True,
        own_opinion=None,
        partner_opinion=None,
    )
    reply = '{"own_reason": "a", "own": "good", "partner_reason": "b", "partner": "very bad"}'
    assert question.read(reply).partner.value == "very bad"
