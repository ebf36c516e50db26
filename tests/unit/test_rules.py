"""The offline agents answer from what a question shows; each test reads as one of their traits."""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

import pytest

from repunet_model import RepuNetError, RepuNetModel, Rules, RulesBackend
from repunet_model.backends import rules as policies
from repunet_model.backends.mind import Mind
from repunet_model.backends.setup import respondents
from repunet_model.games.prisoners_dilemma import (
    ChooseMove,
    Move,
    PrisonersDilemma,
    PrisonersDilemmaParameters,
    choose_move,
)
from repunet_model.memory import Event
from repunet_model.personas import Disposition, Persona
from repunet_model.questions.base import Candidate, Credibility, Line, Opinion
from repunet_model.questions.encounter import (
    Connect,
    Connection,
    Disconnect,
    Disconnection,
    Evaluate,
    Hearsay,
    UpdateRecord,
)
from repunet_model.questions.gossip import Hear, Tone, Wish, WishToGossip
from repunet_model.reputation import Level, ReputationRecord

GOOD = Opinion(ReputationRecord.from_level("Bob", "player", "good", Level.GOOD, 0.8))
BAD = Opinion(ReputationRecord.from_level("Bob", "player", "bad", Level.BAD, 0.8))
NONE = Opinion(None)

ALTRUIST = Persona(name="Ann", disposition=Disposition.ALTRUISTIC)
EGOIST = Persona(name="Ann", disposition=Disposition.SELF_INTERESTED)


def minds(persona: Persona, draws: int = 400, rules: Rules | None = None) -> list[Mind]:
    return [Mind(rules or Rules(), persona, partial(Random, draw)) for draw in range(draws)]


def cooperation(
    persona: Persona,
    opinion: Opinion | None,
    moves: str = "",
    rules: Rules | None = None,
    parameters: PrisonersDilemmaParameters = PrisonersDilemma.parameters,
) -> float:
    """Return how often a persona cooperates; `moves` are what its last partners did, C or D."""
    events = tuple(Event(1, "X", "player", True, move == "C", 0.0, "") for move in moves)
    question = ChooseMove(
        partner="Bob", own_opinion=opinion, partner_opinion=opinion, events=events, parameters=parameters
    )
    answers = [choose_move(question, mind) for mind in minds(persona, rules=rules)]
    return sum(answer.decision is Move.COOPERATE for answer in answers) / len(answers)


def test_self_interested_agents_defect_where_nobody_can_know() -> None:
    assert cooperation(EGOIST, None, "CCCCC") < 0.1


def test_self_interested_agents_cooperate_where_a_good_word_is_at_stake() -> None:
    assert cooperation(EGOIST, GOOD) > 0.5
    assert cooperation(EGOIST, GOOD) > cooperation(EGOIST, BAD) + 0.3


def test_self_interested_agents_that_do_not_care_for_tomorrow_defect_all_the_same() -> None:
    assert cooperation(EGOIST, GOOD, rules=Rules(discount=0.0)) < 0.1


def test_altruists_begin_with_trust_and_turn_wary_when_exploited() -> None:
    assert cooperation(ALTRUIST, None) > 0.75
    assert cooperation(ALTRUIST, None, "DDDDD") < 0.4
    assert cooperation(ALTRUIST, None) > cooperation(ALTRUIST, None, "CCDDD") > cooperation(ALTRUIST, None, "DDDDD")


def test_altruists_treat_strangers_by_their_reputation() -> None:
    assert cooperation(ALTRUIST, GOOD, "DDDDD") > cooperation(ALTRUIST, BAD, "CCCCC") + 0.3


def test_without_precision_everything_is_a_coin() -> None:
    assert cooperation(EGOIST, None, rules=Rules(precision=0.0)) == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize(
    ("own", "partner", "judged"),
    [
        (True, True, (Level.VERY_GOOD, Level.VERY_GOOD)),
        (True, False, (Level.GOOD, Level.VERY_BAD)),
        (False, True, (Level.VERY_BAD, Level.GOOD)),
        (False, False, (Level.NEUTRAL, Level.BAD)),
    ],
)
def test_conduct_is_judged_by_image_scoring(own: bool, partner: bool, judged: tuple[Level, Level]) -> None:
    question = Evaluate(
        partner="Bob",
        account="",
        own_cooperated=own,
        partner_cooperated=partner,
        own_opinion=None,
        partner_opinion=None,
    )
    answer = policies.evaluate(question, minds(EGOIST)[0])
    assert (answer.own, answer.partner) == judged


def updated(previous: Opinion, **evidence: Any) -> float:
    question = UpdateRecord(subject="Bob", role="player", is_self=False, previous=previous.record, **evidence)
    answer = policies.update_record(question, minds(EGOIST)[0])
    return ReputationRecord.from_level("Bob", "player", answer.text, answer.level, answer.certainty / 100).score


def test_an_opinion_moves_towards_what_was_seen() -> None:
    assert updated(NONE, conduct=Level.VERY_GOOD) == pytest.approx(0.4)
    assert updated(GOOD, conduct=Level.VERY_BAD) == pytest.approx(0.8 + 0.4 * (-1 - 0.8))
    assert updated(BAD, conduct=Level.VERY_BAD) < -0.8


def test_gossip_moves_an_opinion_as_far_as_it_is_believed() -> None:
    def after(credibility: Credibility) -> float:
        return updated(NONE, hearsay=Hearsay("Cem", "...", positive=False, credibility=credibility))

    scores = [after(credibility) for credibility in Credibility]
    assert scores[0] == 0
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] == pytest.approx(-0.2)


def test_ties_follow_conduct_and_reputation() -> None:
    def joins(conduct: Level, opinion: Opinion | None) -> int:
        question = Connect(other="Bob", role="player", conduct=conduct, conduct_reason="", opinion=opinion)
        return sum(policies.connect(question, mind).decision is Connection.CONNECT for mind in minds(EGOIST))

    def leaves(hearsay: Hearsay) -> int:
        question = Disconnect(other="Bob", role="player", opinion=None, hearsay=hearsay)
        return sum(policies.disconnect(question, mind).decision is Disconnection.CUT for mind in minds(EGOIST))

    assert joins(Level.VERY_GOOD, None) > 350
    assert joins(Level.VERY_BAD, None) < 50
    assert joins(Level.NEUTRAL, GOOD) > joins(Level.NEUTRAL, BAD) + 200
    praise, blame = (Hearsay("Cem", "...", positive, Credibility.VERY_CREDIBLE) for positive in (True, False))
    assert leaves(blame) > 350
    assert leaves(praise) < 50


def test_strong_impressions_are_told_with_their_tone() -> None:
    def wishes(conduct: Level) -> int:
        question = WishToGossip(subject="Bob", account="", conduct=conduct, conduct_reason="", opinion=None)
        answers = [policies.wish_to_gossip(question, mind) for mind in minds(EGOIST)]
        assert {answer.tone for answer in answers} == {Tone.POSITIVE if conduct is Level.VERY_GOOD else Tone.NEGATIVE}
        return sum(answer.decision is Wish.GOSSIP for answer in answers)

    assert wishes(Level.VERY_BAD) > 250
    assert wishes(Level.VERY_GOOD) > 250
    assert wishes(Level.NEUTRAL) < 50


def test_gossip_is_believed_from_people_of_good_repute_if_it_fits() -> None:
    def belief(gossiper: Opinion | None, subject: Opinion | None, share: float | None = None) -> float:
        question = Hear(
            gossiper="Cem",
            gossiper_opinion=gossiper,
            subject="Bob",
            tone=Tone.NEGATIVE,
            dialogue=(Line("Cem", "..."),),
            uncredible_share=share,
            opinion=subject,
        )
        levels = [list(Credibility).index(policies.hear(question, mind).credibility) for mind in minds(EGOIST)]
        return sum(levels) / len(levels)

    assert belief(GOOD, NONE) > belief(None, None) > belief(BAD, NONE)
    assert belief(GOOD, BAD) > belief(GOOD, GOOD)
    assert belief(None, None, share=1.0) < belief(None, None, share=0.0)


def test_the_better_reputed_are_picked_more_often() -> None:
    people = (Candidate("Ann", BAD), Candidate("Bob", GOOD), Candidate("Cem", NONE))
    picks = [mind.picks(people).name for mind in minds(EGOIST)]
    assert picks.count("Bob") > picks.count("Cem") > picks.count("Ann")


def test_parameters_can_be_set_and_are_part_of_what_a_run_is() -> None:
    backend = RulesBackend(Rules(precision=5.0))
    assert backend.description["precision"] == 5.0
    model = RepuNetModel(backend=backend, rng=1)
    model.step()
    other = RepuNetModel(rng=1)
    other.step()
    assert model.datacollector.tables["interactions"] != other.datacollector.tables["interactions"]


@pytest.mark.parametrize("wrong", [{"precision": -1}, {"discount": 1.0}, {"learning_rate": 0.0}, {"hearsay": 2.0}])
def test_parameters_out_of_range_are_named(wrong: dict[str, float]) -> None:
    with pytest.raises(RepuNetError, match=f"rules.{next(iter(wrong))}"):
        Rules(**wrong)


def test_parameters_come_with_the_name_and_are_in_the_manifest() -> None:
    model = RepuNetModel(backend="rules:learning_rate=0.3, gossip_threshold=1", n_agents=4, rng=1)
    assert model.manifest().data["backend"]["learning_rate"] == 0.3
    assert model.manifest().data["backend"]["gossip_threshold"] == 1.0
    model.step()
    assert model.measures["gossip_told"] == 0
    planted = respondents("tit_for_tat:hearsay=0.1").to_dict()["backend"]
    assert (planted["backend"], planted["hearsay"]) == ("tit_for_tat", 0.1)


@pytest.mark.parametrize(
    ("backend", "problem"),
    [
        ("rules:precision", "'precision' must read NAME=VALUE"),
        ("rules:mood=1", "unknown parameter 'mood'; known are precision, altruism"),
        ("rules:hearsay=high", "hearsay is 'high': must be a number"),
        ("rules:precision=inf", "precision is 'inf': must be a number"),
        ("rules:hearsay=2", "rules.hearsay is 2.0: must be from 0.0 to 1.0"),
        ("rules:hearsay=1,hearsay=1", "hearsay is there twice"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(backend: str, problem: str) -> None:
    with pytest.raises(RepuNetError) as caught:
        RepuNetModel(backend=backend)
    assert str(caught.value).startswith(f"backend {backend!r}: ")
    assert problem in str(caught.value)
