"""Encounters between stand-ins: a game is played to see what it asks and what it tells.

Stand-ins have one fixed conduct. They make the game ask its own questions, with whatever record of the partner a
situation is to show, and give its own accounts of what happened. So a probe needs to know no game.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from enum import Enum
from random import Random
from typing import Any

import repunet_model.backends.rules  # noqa: F401 - registers the policies of all questions that games share
from repunet_model.backends.mind import Mind, Rules, policy_for
from repunet_model.backends.policies import FixedPolicy, plan_of
from repunet_model.games.base import EncounterStatus, Game, Outcome
from repunet_model.mechanism import Mechanism
from repunet_model.memory import Event
from repunet_model.personas import Disposition, Persona
from repunet_model.questions.base import Answer, Opinion, Question, Standing, closed_choices
from repunet_model.questions.encounter import Evaluate, Hearsay, UpdateRecord
from repunet_model.questions.prompts import Prompts
from repunet_model.reputation import Level, ReputationRecord
from repunet_model.rng import Streams
from repunet_model.util import event_loop

_DECIDED = Rules(precision=1e6, social_precision=1e6, learning_rate=1.0)
"""Rules without chance, for which the last observation is all that counts."""

_TURNS = 2
"""Turns of a dialogue between stand-ins."""

_POLICIES = {True: FixedPolicy.ALWAYS_COOPERATE, False: FixedPolicy.ALWAYS_DEFECT}


def by_rules[A: Answer](question: Question[A], name: str = "Stand-in") -> A:
    """Return the answer of an altruist with a name by the offline rules, without chance."""
    persona = Persona(name=name, disposition=Disposition.ALTRUISTIC)
    return question.as_answer(policy_for(question)(question, Mind(_DECIDED, persona, lambda: Random(0))))


def record_of(subject: str, role: str, level: Level) -> ReputationRecord:
    """Return the record that the offline rules write after conduct of a level alone; its score is that of the level."""
    question = UpdateRecord(subject=subject, role=role, is_self=False, previous=None, conduct=level)
    answer = by_rules(question)
    return ReputationRecord.from_level(subject, role, answer.text, answer.level, answer.certainty / 100)


def reason_of(subject: str, cooperated: bool | None) -> str:
    """Return what the offline rules say of somebody's conduct."""
    question = Evaluate(
        partner=subject,
        account="",
        own_cooperated=None,
        partner_cooperated=cooperated,
        own_opinion=None,
        partner_opinion=None,
    )
    return by_rules(question).partner_reason


@dataclass
class StandIn:
    """A player of a fixed conduct, which keeps the questions it was asked; implements `games.base.Player`.

    Attributes:
        cooperates: Whether it makes the cooperative choice.
        given: Its answers to single classes of questions, in place of its conduct.
    """

    name: str
    partner: str
    prompts: Prompts
    resources: Decimal
    cooperates: bool = True
    declared: bool | None = None
    partner_declared: bool | None = None
    own_opinion: Opinion | None = None
    partner_opinion: Opinion | None = None
    given: Mapping[type[Question[Any]], Answer] = field(default_factory=dict)
    asked: list[Question[Any]] = field(default_factory=list)
    dialogue_turns: int = _TURNS
    shuns_partner: bool = False
    partner_gossip: tuple[Hearsay, ...] = ()
    standing: Standing | None = None
    step: int = 1

    def chance(self, purpose: str) -> Random:
        """Return the random stream of a purpose, the same for both sides."""
        return Streams(self.step).at(purpose, *sorted((self.name, self.partner)))

    def last_events(self) -> tuple[Event, ...]:
        """Return no encounters."""
        return ()

    def does(self, cooperates: bool) -> bool:
        """Return what it decided: its hand never slips."""
        return cooperates

    def sees(self, cooperated: bool) -> bool:
        """Return what its partner did, which it never misperceives."""
        return cooperated

    def words(self, template: str, **facts: Any) -> str:
        """Return a text of the prompt set."""
        return self.prompts.text(template, **facts)

    async def ask[A: Answer](self, question: Question[A], *, turn: int = 0) -> A:
        """Keep a question, and answer it by the fixed conduct, else by the rules."""
        self.asked.append(question)
        if type(question) in self.given:
            return question.as_answer(self.given[type(question)])
        planned = plan_of(_POLICIES[self.cooperates], question)
        return by_rules(question, self.name) if planned is None else question.as_answer(planned)


def play(game: Game, first: StandIn, second: StandIn) -> Outcome:
    """Let two stand-ins meet."""
    return event_loop.run(game.play(first, second))


@dataclass(frozen=True, slots=True)
class ChoiceForm:
    """The question in which a game shows a partner's record beside a choice.

    Attributes:
        kind: Its class.
        side: The side that is asked: 0 or 1.
        field: The field of the answer that holds the choice.
        cooperative: The values of the options by which that side cooperates, or by which the encounter takes place.
        opinion: The field of the question that holds the partner's record.
    """

    kind: type[Question[Any]]
    side: int
    field: str
    cooperative: frozenset[str]
    opinion: str

    def chose(self, answer: Answer) -> bool:
        """Whether an answer takes a cooperative option."""
        return getattr(answer, self.field).value in self.cooperative


class Meetings:
    """The encounters of a game under given prompts, by agents that keep records of themselves or not."""

    def __init__(self, game: Game, prompts: Prompts, mechanism: Mechanism) -> None:
        self.game = game
        self.prompts = prompts
        self._own_opinion = Opinion(None) if mechanism.self_records else None
        self.choice = self._choice_form()

    def _pair(self, names: tuple[str, str], conduct: tuple[bool, bool], opinion: Opinion | None) -> list[StandIn]:
        """Return both sides, each with an opinion of the other that has a given record in the other's role."""
        declares = self.game.has_rounds
        pair = []
        for side, name in enumerate(names):
            other, role = names[1 - side], self.game.roles[1 - side]
            shown = opinion
            if shown is not None and shown.record is not None:
                shown = Opinion(replace(shown.record, subject=other, role=role))
            pair.append(
                StandIn(
                    name,
                    other,
                    self.prompts,
                    resources=self.game.parameters.start_resources,
                    cooperates=conduct[side],
                    declared=conduct[side] if declares else None,
                    partner_declared=conduct[1 - side] if declares else None,
                    own_opinion=self._own_opinion,
                    partner_opinion=shown,
                )
            )
        return pair

    def _known(self) -> Opinion:
        """Return a very good opinion, whose subject `_pair` replaces."""
        return Opinion(record_of("B", self.game.roles[1], Level.VERY_GOOD))

    def _choice_form(self) -> ChoiceForm | None:
        """Find the game's choice beside a partner's record; None if there is none."""
        pair = self._pair(("A", "B"), (True, True), self._known())
        play(self.game, *pair)
        asked = [(side, question) for side, player in enumerate(pair) for question in player.asked]
        own = [each for each in asked if isinstance(each[1], self.game.choices)] if self.game.choices else []
        for side, question in (*own, *asked):
            opinion = _partner_opinion(question, pair[side].partner)
            for name, kind in closed_choices(question.answer).items():
                if opinion and (options := self._cooperative(side, question, name, kind)):
                    return ChoiceForm(type(question), side, name, options, opinion)
        return None

    def _cooperative(self, side: int, question: Question[Any], field: str, kind: type[Enum]) -> frozenset[str]:
        """Return the options by which a side cooperates, else by which the encounter takes place; none if all or no."""
        planned = plan_of(FixedPolicy.ALWAYS_COOPERATE, question)
        base = by_rules(question) if planned is None else planned
        cooperates, is_held = set(), set()
        for option in kind:
            pair = self._pair(("A", "B"), (True, True), self._known())
            pair[side].given = {type(question): base.model_copy(update={field: option})}
            outcome = play(self.game, *pair)
            if outcome.accounts[side].cooperated:
                cooperates.add(str(option.value))
            if outcome.course is EncounterStatus.COMPLETED:
                is_held.add(str(option.value))
        found = (each for each in (cooperates, is_held) if 0 < len(each) < len(kind))
        return frozenset(next(found, ()))

    def choosing(self, names: tuple[str, str], level: Level | None) -> Question[Any]:
        """Return the choice with a record of the partner of a level; None shows that there is none so far.

        The first name is that of the agent that is asked.
        """
        assert self.choice is not None
        side = self.choice.side
        record = None if level is None else record_of(names[1], self.game.roles[1 - side], level)
        ordered = names if side == 0 else (names[1], names[0])
        # With a record, so that games that ask nothing about strangers ask.
        pair = self._pair(ordered, (True, True), self._known())
        play(self.game, *pair)
        question = next(each for each in pair[side].asked if isinstance(each, self.choice.kind))
        return replace(question, **{self.choice.opinion: Opinion(record)})

    def outcomes(self, names: tuple[str, str]) -> list[Happened]:
        """Return completed encounters of the first name in which the second one cooperated, or did not."""
        found = []
        for side in (0, 1):
            ordered = names if side == 0 else (names[1], names[0])
            for own in (True, False):
                for other in (True, False):
                    conduct = (own, other) if side == 0 else (other, own)
                    pair = self._pair(ordered, conduct, Opinion(None))
                    self._set_choice(pair)
                    outcome = play(self.game, *pair)
                    account, theirs = outcome.accounts[side], outcome.accounts[1 - side].cooperated
                    if outcome.course is EncounterStatus.COMPLETED and theirs is not None:
                        role = self.game.roles[1 - side]
                        found.append(Happened(role, account.text, account.cooperated, theirs))
        return found

    def _set_choice(self, pair: list[StandIn]) -> None:
        """Fix the choices of both sides where the game registers no policies for its choice."""
        form = self.choice
        if form is None or self.game.choices:
            return
        for player in pair:
            question = self.choosing((player.name, player.partner), None)
            (kind,) = [each for name, each in closed_choices(question.answer).items() if name == form.field]
            option = next(each for each in kind if (each.value in form.cooperative) is player.cooperates)
            player.given = {form.kind: by_rules(question).model_copy(update={form.field: option})}


@dataclass(frozen=True, slots=True)
class Happened:
    """A completed encounter from one side's view.

    Attributes:
        role: The partner's role.
        account: The encounter in words addressed to that side.
        own_cooperated: Whether that side cooperated; None without a choice.
        partner_cooperated: Whether its partner did.
    """

    role: str
    account: str
    own_cooperated: bool | None
    partner_cooperated: bool


def _partner_opinion(question: Question[Any], partner: str) -> str | None:
    """Return the field of a question with an opinion of the partner; None if there is none."""
    for each in fields(question):
        value = getattr(question, each.name)
        if isinstance(value, Opinion) and value.record is not None and value.record.subject == partner:
            return each.name
    return None
