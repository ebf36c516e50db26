"""The battery of a game: which situations a model is asked about, and what each reply shows.

Every question but the quiz is one that runs ask, from the templates of the prompt set, with the views of the game and
its mechanism. A situation is asked in both orders of its options, by agents of both dispositions, so that an effect of
the record cannot be one of the order or of the persona. Agents, partners and orders are drawn from keyed streams.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from itertools import cycle, product
from typing import Any

from repunet_model import games
from repunet_model.backends.base import Request
from repunet_model.config import RunConfig
from repunet_model.errors import ConfigurationError
from repunet_model.games.base import Game, QuizFact
from repunet_model.personas import Disposition, Persona, built_in, describe
from repunet_model.probe.encounters import Happened, Meetings, by_rules, reason_of, record_of
from repunet_model.probe.quiz import ClosedAnswer, NumberAnswer, is_right, question_of
from repunet_model.questions.base import Answer, Coordinates, Credibility, Line, Opinion, Options, Question
from repunet_model.questions.compound import Aftermath, FlowQuestion, QuestionFlow, asks_of
from repunet_model.questions.encounter import (
    Connect,
    Connection,
    Disconnect,
    Disconnection,
    Evaluate,
    EvaluationAnswer,
    RecordAnswer,
    UpdateRecord,
)
from repunet_model.questions.gossip import Hear, HearOnly, JudgementAnswer, Tell, Tone
from repunet_model.questions.prompts import Prompts
from repunet_model.reputation import LEVELS, Level, ReputationRecord
from repunet_model.rng import Streams

STAGE = "probe"
"""The stage in the coordinates of every question of a probe."""

Facts = Mapping[str, Any]


class Block(StrEnum):
    """The parts of a battery."""

    QUIZ = "quiz"
    CHOICE = "choice"
    TIE = "tie"
    CONDUCT = "conduct"
    RECORD = "record"
    CREDIBILITY = "credibility"
    REPEATED = "repeated"
    FUSED = "fused"


class Size(StrEnum):
    """How many calls a probe makes: some 70, 110 or 150 a game."""

    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


@dataclass(frozen=True, slots=True)
class Rounds:
    """How often each part is asked, with other agents each time; `repeated` counts situations, `fused` calls."""

    choice: int
    tie: int
    conduct: int
    record: int
    credibility: int
    repeated: int
    fused: int


ROUNDS = {
    Size.SMALL: Rounds(choice=1, tie=1, conduct=1, record=1, credibility=1, repeated=2, fused=4),
    Size.MEDIUM: Rounds(choice=1, tie=2, conduct=2, record=2, credibility=2, repeated=4, fused=8),
    Size.LARGE: Rounds(choice=2, tie=2, conduct=3, record=2, credibility=2, repeated=8, fused=12),
}

TIMES = 3
"""How often a repeated question is asked in all."""


@dataclass(frozen=True, slots=True)
class Item:
    """One call of a probe.

    Attributes:
        key: The name of the item, unique within the battery of a game.
        facts: What is known of the situation before the reply, as plain data.
        reads: Returns what a reply shows, as plain data.
        digest: The digest that seeds the order of options and the sampling.
    """

    block: Block
    key: str
    question: Question[Any]
    persona: Persona
    learned: str
    about: str
    seed: int
    digest: bytes
    facts: Facts
    reads: Callable[[Any], Facts] = field(repr=False)

    def request(self, game: str, prompts: Prompts, answered_by: Mapping[str, Any]) -> Request[Any]:
        """Return the request to a backend with a description."""
        name = self.persona.name
        where = Coordinates(1, STAGE, self.question.name, name, self.about, f"{game}, {self.key}, seed {self.seed}")
        return Request(where, self.question, self.persona, self.learned, self.digest, prompts, answered_by)

    def row(self, answer: Answer) -> dict[str, Any]:
        """Return the observation: the facts of the situation, and what the reply shows."""
        return {"block": self.block.value, "key": self.key, **self.facts, **self.reads(answer)}


@dataclass(frozen=True, slots=True)
class Battery:
    """The calls of a probe for one game.

    Attributes:
        unasked: Why a part is not asked, by its name.
    """

    game: Game
    prompts: Prompts
    items: tuple[Item, ...]
    unasked: Mapping[Block, str]


def battery(config: RunConfig, size: Size) -> Battery:
    """Return the battery for the game, the mechanism, the prompts and the seed of a configuration.

    Raises:
        ConfigurationError: If the game has no words for a disposition, or the prompts cannot be rendered.
    """
    return _Builder(config, size).battery()


class _Builder:
    def __init__(self, config: RunConfig, size: Size) -> None:
        self.game = games.find(config.game, config.game_parameters)
        self.prompts = self.game.prompts(config)
        self.mechanism = self.game.mechanism(config)
        self.rounds = ROUNDS[size]
        self.streams = Streams(config.seed)
        self.meetings = Meetings(self.game, self.prompts, self.mechanism)
        self.people = built_in()
        self.words = {each: self.game.dispositions.get(each) or describe(each, config.game) for each in Disposition}

    def battery(self) -> Battery:
        parts: dict[Block, Callable[[], Iterator[Item]]] = {
            Block.QUIZ: self._quiz,
            Block.CHOICE: self._choices,
            Block.TIE: self._ties,
            Block.CONDUCT: self._conduct,
            Block.RECORD: self._records,
            Block.CREDIBILITY: self._credibility,
            Block.FUSED: self._fused,
        }
        unasked, items = {}, []
        for block, part in parts.items():
            try:
                items += list(part())
            except _UnaskedError as why:
                unasked[block] = str(why)
        return Battery(self.game, self.prompts, (*items, *self._repeated(items)), unasked)

    def _check_records(self) -> None:
        """Check that agents keep records of others."""
        if not self.mechanism.peer_records:
            raise _UnaskedError("agents keep no records of others (peer_records is off)")

    def _people(self, key: str, disposition: Disposition) -> tuple[Persona, str, str]:
        """Draw an agent with a disposition, and the names of two others."""
        agent, other, third = self.streams.at(STAGE, self.game.name, key, "people").sample(self.people, 3)
        return agent.model_copy(update={"disposition": disposition}), other.name, third.name

    def _item(
        self,
        block: Block,
        key: str,
        question: Question[Any],
        persona: Persona,
        about: str,
        facts: Facts,
        reads: Callable[[Any], Facts],
        order: Callable[[Options], bool] = lambda options: True,
    ) -> Item:
        """Return an item whose digest gives its options a certain order."""
        name = f"{block.value}: {key}"
        digests = (self.streams.digest(STAGE, self.game.name, name, number) for number in range(1000))
        digest = next(each for each in digests if order(question.options(each)))
        altruistic = persona.disposition is Disposition.ALTRUISTIC
        told = {"altruistic": altruistic, **facts}
        learned = self.words[persona.disposition]
        return Item(block, name, question, persona, learned, about, self.streams.seed, digest, told, reads)

    def _quiz(self) -> Iterator[Item]:
        facts = self.game.quiz(self.prompts.labels.of)
        if not facts:
            raise _UnaskedError("the game has no quiz of its rules (Game.quiz)")
        for number, (fact, disposition) in enumerate(zip(facts, cycle(Disposition), strict=False), 1):
            persona, *_ = self._people(f"quiz {number}", disposition)
            yield self._item(
                Block.QUIZ,
                str(number),
                question_of(fact),
                persona,
                "",
                {"asks": fact.asks},
                partial(_right, fact),
            )

    def _choices(self) -> Iterator[Item]:
        self._check_records()
        form = self.meetings.choice
        if form is None:
            raise _UnaskedError("the game shows no record of the partner beside a choice between options")
        each_time = range(self.rounds.choice)
        for level, disposition, first, number in product((*LEVELS, None), Disposition, (True, False), each_time):
            shown = "no record" if level is None else level.value
            key = f"{shown}, {disposition.value}, {'first' if first else 'last'}, {number + 1}"
            persona, partner, _ = self._people(f"choice {key}", disposition)
            yield self._item(
                Block.CHOICE,
                key,
                self.meetings.choosing((persona.name, partner), level),
                persona,
                partner,
                {"dose": None if level is None else score_of_level(level), "first": first},
                lambda answer: {"yes": form.chose(answer)},
                _starts(form.field, form.cooperative, first),
            )

    def _ties(self) -> Iterator[Item]:
        self._check_records()
        if not self.mechanism.tie_after_encounter:
            raise _UnaskedError("agents reconsider no ties after an encounter (tie_after_encounter is off)")
        extremes, each_time = (Level.VERY_BAD, Level.VERY_GOOD), range(self.rounds.tie)
        cases = product(extremes, (True, False), (True, False), each_time)
        for place, (level, has_tie, first, number) in enumerate(cases):
            key = f"{level.value}, {'keep' if has_tie else 'make'}, {'first' if first else 'last'}, {number + 1}"
            # The dispositions alternate so that each occurs with each record, kind of tie and order.
            disposition = list(Disposition)[(place // self.rounds.tie).bit_count() % 2 ^ number % 2]
            persona, other, _ = self._people(f"tie {key}", disposition)
            role = self.game.roles[1]
            view: dict[str, Any] = {
                "other": other,
                "role": role,
                "opinion": Opinion(record_of(other, role, level)),
                "conduct": Level.NEUTRAL,
                "conduct_reason": reason_of(other, None),
            }
            wanted = Disconnection.KEEP if has_tie else Connection.CONNECT
            yield self._item(
                Block.TIE,
                key,
                Disconnect(**view) if has_tie else Connect(**view),
                persona,
                other,
                {"dose": score_of_level(level), "first": first},
                partial(_takes, wanted),
                _starts("decision", {wanted.value}, first),
            )

    def _happened(self, persona: Persona, other: str, cooperated: bool, number: int) -> Happened:
        """Return an encounter in which the other cooperated or did not; `number` chooses among several."""
        found = [
            each for each in self.meetings.outcomes((persona.name, other)) if each.partner_cooperated is cooperated
        ]
        if not found:
            raise _UnaskedError(
                f"no completed encounter in which a partner {'cooperates' if cooperated else 'defects'} could be made"
            )
        return found[number % len(found)]

    def _evaluation(self, happened: Happened, other: str) -> Evaluate:
        return Evaluate(
            partner=other,
            account=happened.account,
            own_cooperated=happened.own_cooperated,
            partner_cooperated=happened.partner_cooperated,
            own_opinion=Opinion(None) if self.mechanism.self_records else None,
            partner_opinion=Opinion(None) if self.mechanism.peer_records else None,
        )

    def _conduct(self) -> Iterator[Item]:
        for number, cooperated, best_first in product(range(2 * self.rounds.conduct), (True, False), (True, False)):
            key = f"{_did(cooperated)}, {_order(best_first)}, {number + 1}"
            disposition = list(Disposition)[(number + best_first) % 2]
            persona, other, _ = self._people(f"conduct {key}", disposition)
            happened = self._happened(persona, other, cooperated, number)
            yield self._item(
                Block.CONDUCT,
                key,
                self._evaluation(happened, other),
                persona,
                other,
                {"cooperated": cooperated, "best_first": best_first},
                lambda answer: {"level": score_of_level(answer.partner)},
                _starts("partner", {Level.VERY_GOOD.value}, best_first),
            )

    def _records(self) -> Iterator[Item]:
        self._check_records()
        each_time = range(self.rounds.record)
        for good, has_before, best_first, number in product((True, False), (False, True), (True, False), each_time):
            key = f"{'good' if good else 'bad'} conduct, {'known' if has_before else 'unknown'}, {_order(best_first)}"
            key = f"{key}, {number + 1}"
            disposition = list(Disposition)[(has_before + best_first + number) % 2]
            persona, subject, _ = self._people(f"record {key}", disposition)
            role = self.game.roles[1]
            before = record_of(subject, role, Level.BAD if good else Level.GOOD) if has_before else None
            happened = self._happened(persona, subject, good, number)
            question = UpdateRecord(
                subject=subject,
                role=role,
                is_self=False,
                previous=before,
                conduct=Level.VERY_GOOD if good else Level.VERY_BAD,
                conduct_reason=reason_of(subject, good),
                account=happened.account,
                background=self.game.background(_Average(self.prompts), subject, is_self=False),
            )
            was = before.score if before else 0.0
            yield self._item(
                Block.RECORD,
                key,
                question,
                persona,
                subject,
                {"good": good, "best_first": best_first, "was": was},
                partial(_new_record, subject),
                _starts("level", {Level.VERY_GOOD.value}, best_first),
            )

    def _credibility(self) -> Iterator[Item]:
        self._check_records()
        if not self.mechanism.first_order:
            raise _UnaskedError("nobody gossips (first_order is off)")
        extremes, each_time = (Level.VERY_BAD, Level.VERY_GOOD), range(self.rounds.credibility)
        for level, tone, best_first, number in product(extremes, Tone, (True, False), each_time):
            key = f"{level.value}, {tone.value}, {_order(best_first)}, {number + 1}"
            disposition = list(Disposition)[((tone is Tone.POSITIVE) + best_first + number) % 2]
            persona, gossiper, subject = self._people(f"credibility {key}", disposition)
            positive = tone is Tone.POSITIVE
            told = Tell(
                listener=persona.name,
                subject=subject,
                tone=tone,
                account="",
                conduct=Level.VERY_GOOD if positive else Level.VERY_BAD,
                reason=reason_of(subject, positive),
                hearsay=None,
                dialogue=(),
            )
            kind = Hear if self.mechanism.second_order else HearOnly
            question = kind(
                gossiper=gossiper,
                gossiper_opinion=Opinion(record_of(gossiper, self.game.roles[0], level)),
                subject=subject,
                tone=tone,
                dialogue=(Line(gossiper, by_rules(told).message),),
                uncredible_share=None,
                opinion=Opinion(None) if self.mechanism.judgement_sees_record else None,
            )
            yield self._item(
                Block.CREDIBILITY,
                key,
                question,
                persona,
                subject,
                {"dose": score_of_level(level), "best_first": best_first},
                _belief,
                _starts("credibility", {Credibility.VERY_CREDIBLE.value}, best_first),
            )

    def _fused(self) -> Iterator[Item]:
        for number in range(self.rounds.fused):
            cooperated = number % 2 == 0
            key = f"{_did(cooperated)}, {number + 1}"
            persona, other, _ = self._people(f"fused {key}", list(Disposition)[number // 2 % 2])
            happened = self._happened(persona, other, cooperated, number // 2)
            compound = Aftermath(
                think=partial(self._aftermath, happened, other),
                digest_of=partial(self._digest_of_part, key),
                asks=asks_of(self._aftermath(happened, other)),
            )
            yield self._item(
                Block.FUSED,
                key,
                compound,
                persona,
                other,
                {"cooperated": cooperated},
                lambda answer: {"level": score_of_level(answer.parts["evaluation"].partner)},
            )

    def _digest_of_part(self, key: str, ask: FlowQuestion[Any]) -> bytes:
        return self.streams.digest(STAGE, self.game.name, key, ask.part)

    def _aftermath(self, happened: Happened, other: str) -> QuestionFlow[None]:
        """Ask what runs ask after an encounter: the evaluation, the record of the partner, and the tie."""
        judged: EvaluationAnswer = yield FlowQuestion("evaluation", self._evaluation(happened, other), about=other)
        record = None
        if self.mechanism.peer_records:
            record = yield from self._new_record(happened, other, judged)
        if self.mechanism.tie_after_encounter:
            tie = Connect(
                other=other,
                role=happened.role,
                conduct=judged.partner,
                conduct_reason=judged.partner_reason,
                opinion=None if record is None else Opinion(record),
            )
            yield FlowQuestion("tie", tie, about=other)

    def _new_record(self, happened: Happened, other: str, judged: EvaluationAnswer) -> QuestionFlow[ReputationRecord]:
        """Ask for the record of a partner after the evaluation."""
        update = UpdateRecord(
            subject=other,
            role=happened.role,
            is_self=False,
            previous=None,
            conduct=judged.partner,
            conduct_reason=judged.partner_reason,
            account=happened.account,
            background=self.game.background(_Average(self.prompts), other, is_self=False),
        )
        new: RecordAnswer = yield FlowQuestion("partner_record", update, about=other)
        return ReputationRecord.from_level(other, happened.role, new.text, new.level, new.certainty / 100)

    def _repeated(self, asked: list[Item]) -> Iterator[Item]:
        """Ask some choices again, in the same words and order; without choices, some ties."""
        middle = [each for each in asked if each.block is Block.CHOICE and each.facts["dose"] == 0.0]
        situations = middle or [each for each in asked if each.block is Block.TIE]
        for place in range(min(self.rounds.repeated, len(situations))):
            # One with each order and disposition in turn.
            item = situations[place * 3 % len(situations)]
            shown = item.question.options(item.digest)
            for time in range(2, TIMES + 1):
                key = f"{item.key}, time {time}"
                again = self._item(
                    Block.REPEATED, key, item.question, item.persona, item.about, {"of": item.key}, item.reads,
                    partial(operator.eq, shown),
                )  # fmt: skip
                yield replace(again, learned=item.learned)


class _UnaskedError(ConfigurationError):
    """A part of the battery has no question in this game; the message says why."""


@dataclass(frozen=True, slots=True)
class _Average:
    """A society in which everybody is like the average; implements `games.base.SocietyFigures`."""

    prompts: Prompts

    def mutual_ties(self, name: str) -> int:
        return 2

    def completed_share(self, name: str) -> float | None:
        return 0.5

    def mean_mutual_ties(self) -> float:
        return 2.0

    def mean_completed_share(self) -> float | None:
        return 0.5

    def words(self, template: str, **facts: Any) -> str:
        return self.prompts.text(template, **facts)


def score_of_level(level: Level) -> float:
    """Return a level as a number from -1 (very bad) to 1 (very good)."""
    return (LEVELS.index(level) - 2) / 2


def _starts(field: str, values: Collection[str], wanted: bool) -> Callable[[Options], bool]:
    """Return a check of an order: whether one of the values is listed first, if that is wanted, or else is not."""
    return lambda options: (options[field][0] in values) is wanted


def _right(fact: QuizFact, answer: NumberAnswer | ClosedAnswer) -> Facts:
    return {"right": is_right(fact, answer), "said": str(answer.answer)}


def _takes(wanted: StrEnum, answer: Any) -> Facts:
    return {"yes": answer.decision is wanted}


def _new_record(subject: str, answer: RecordAnswer) -> Facts:
    record = ReputationRecord.from_level(subject, "", answer.text, answer.level, answer.certainty / 100)
    return {"level": score_of_level(answer.level), "now": record.score}


def _belief(answer: JudgementAnswer) -> Facts:
    return {"level": (tuple(Credibility).index(answer.credibility) - 2) / 2}


def _did(cooperated: bool) -> str:
    return "cooperated" if cooperated else "defected"


def _order(best_first: bool) -> str:
    return "best first" if best_first else "worst first"
