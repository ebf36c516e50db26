from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repunet_model.reputation import LEVELS, Cause, Level, RecordUpdate, ReputationLedger, ReputationRecord, Standings
from repunet_model.util.exact_mean import ExactMean


def record(level: Level, certainty: float = 1.0, subject: str = "Ann") -> ReputationRecord:
    return ReputationRecord.from_level(subject, "player", "text", level, certainty)


@given(st.sampled_from(LEVELS), st.floats(0, 1))
def test_every_level_and_certainty_makes_a_valid_record(level: Level, certainty: float) -> None:
    made = record(level, certainty)
    assert sum(made.distribution) == pytest.approx(1)
    assert all(0 <= p <= 1 for p in made.distribution)
    sign = {Level.VERY_BAD: -1, Level.BAD: -1, Level.NEUTRAL: 0, Level.GOOD: 1, Level.VERY_GOOD: 1}[level]
    assert made.score == pytest.approx(sign * certainty)


def test_no_certainty_is_no_opinion() -> None:
    assert record(Level.VERY_GOOD, 0.0).distribution == pytest.approx((0.2,) * 5)


@pytest.mark.parametrize(
    ("distribution", "problem"),
    [((0.5, 0.5, 0.5, 0.5, 0.5), "sum to 1"), ((-0.2, 0.4, 0.4, 0.2, 0.2), "leaves"), ((0.5, 0.5), "five")],
)
def test_a_record_that_is_no_distribution_is_refused(distribution: tuple[float, ...], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        ReputationRecord("Ann", "player", "text", distribution)  # type: ignore[arg-type]


def test_a_newer_record_replaces_the_older_which_stays_in_the_history() -> None:
    ledger = ReputationLedger()
    old = RecordUpdate(1, Cause.EXPERIENCE, "", record(Level.GOOD))
    new = RecordUpdate(2, Cause.FIRST_ORDER_GOSSIP, "Bob", record(Level.BAD))
    ledger.add(old)
    ledger.add(new)
    assert ledger.record("Ann", "player") == new.record
    assert ledger.history("Ann", "player") == (old, new)
    ledger.forget(2)
    assert ledger.record("Ann", "player") == old.record


def test_a_score_is_the_mean_over_all_holders_in_the_role() -> None:
    standings = Standings()
    ReputationLedger(standings).add(RecordUpdate(1, Cause.EXPERIENCE, "", record(Level.GOOD, 1.0)))
    ReputationLedger(standings).add(RecordUpdate(1, Cause.EXPERIENCE, "", record(Level.BAD, 0.5)))
    assert standings.score("Ann", "player") == pytest.approx(0.25)
    assert standings.score("Ann", "trustee") is None
    assert standings.score("Bob", "player") is None


updates = st.tuples(
    st.integers(0, 3), st.sampled_from(["Ann", "Bob"]), st.integers(1, 3), st.sampled_from(LEVELS), st.floats(0, 1)
)


@given(st.lists(updates), st.booleans())
def test_scores_are_those_of_the_present_records_whatever_came_and_went(
    made: list[tuple[int, str, int, Level, float]], last_is_undone: bool
) -> None:
    standings = Standings()
    ledgers = [ReputationLedger(standings) for _ in range(4)]
    for holder, subject, step, level, certainty in sorted(made, key=lambda each: each[2]):
        ledgers[holder].add(RecordUpdate(step, Cause.EXPERIENCE, "", record(level, certainty, subject)))
    if last_is_undone:
        for ledger in ledgers:
            ledger.forget(3)
    for subject in ("Ann", "Bob"):
        held = [r.score for ledger in ledgers for r in ledger.present() if r.subject == subject]
        assert standings.score(subject, "player") == (math.fsum(held) / len(held) if held else None)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300)))
def test_an_exact_mean_is_that_of_fsum(values: list[float]) -> None:
    mean = ExactMean()
    mean.replace(None, 0.1)
    for value in values:
        mean.replace(None, value)
    mean.replace(0.1, None)
    assert mean.value == (math.fsum(values) / len(values) if values else None)


def test_a_record_survives_a_round_trip() -> None:
    made = record(Level.GOOD, 0.3)
    assert ReputationRecord.from_dict(made.to_dict()) == made
