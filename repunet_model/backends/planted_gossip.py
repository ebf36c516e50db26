"""What planted policies say in gossip and on the public board: the words of the rules, in the tone of the policy.

Each function gets the question, the answer that the rules would give, and the names of the allies of the agent. A
policy lies in its reports, in the wish, whose reason the rules tell, and in the tone in which it passes on what it
heard; how far it believes what it hears, and what it records, are the rules' own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from repunet_model.backends.policies import FixedPolicy
from repunet_model.backends.rules import claim, conduct_was
from repunet_model.questions.base import Answer, Question
from repunet_model.questions.encounter import ReportAnswer, Reporting, ReportToBoard
from repunet_model.questions.gossip import (
    Hear,
    HearingAnswer,
    MessageAnswer,
    Passing,
    Tell,
    Tone,
    Wish,
    WishAnswer,
    WishToGossip,
)
from repunet_model.reputation import Level

Tale = Callable[[Any, Any, Collection[str]], Answer]
"""Returns the answer of a policy, given the question, the answer by the rules, and the names of its allies."""

TALES: dict[tuple[FixedPolicy, type[Question[Any]]], Tale] = {}
"""What policies answer to questions of gossip and reports; by the rules where there is no entry."""


def _tells[T: Tale](policy: FixedPolicy, question: type[Question[Any]]) -> Callable[[T], T]:
    """Register the decorated function as a policy's answer to a class of questions."""

    def register(tale: T) -> T:
        TALES[policy, question] = tale
        return tale

    return register


def _lie(question: WishToGossip, tone: Tone) -> WishAnswer:
    """Return the wish to praise somebody, or to complain of them, whatever they did."""
    level = Level.VERY_GOOD if tone is Tone.POSITIVE else Level.VERY_BAD
    return WishAnswer(reason=conduct_was(question.subject, level), tone=tone, decision=Wish.GOSSIP)


def _passed_on(honest: HearingAnswer, tone: Tone) -> HearingAnswer:
    """Return the same judgement, passed on in a tone."""
    return honest.model_copy(update={"decision": Passing.PASS_ON, "tone": tone})


@_tells(FixedPolicy.SLANDERER, WishToGossip)
def complain_of_the_good(question: WishToGossip, honest: WishAnswer, allies: Collection[str]) -> WishAnswer:
    """Complain of a partner whose conduct was good or very good."""
    return _lie(question, Tone.NEGATIVE) if question.conduct in (Level.GOOD, Level.VERY_GOOD) else honest


@_tells(FixedPolicy.SLANDERER, Hear)
def pass_on_complaints(question: Hear, honest: HearingAnswer, allies: Collection[str]) -> HearingAnswer:
    """Pass everything on as a complaint."""
    return _passed_on(honest, Tone.NEGATIVE)


@_tells(FixedPolicy.BOOSTER, WishToGossip)
@_tells(FixedPolicy.CLIQUE, WishToGossip)
def praise_allies(question: WishToGossip, honest: WishAnswer, allies: Collection[str]) -> WishAnswer:
    """Praise a partner that is an ally."""
    return _lie(question, Tone.POSITIVE) if question.subject in allies else honest


@_tells(FixedPolicy.BOOSTER, Hear)
@_tells(FixedPolicy.CLIQUE, Hear)
def pass_on_praise_of_allies(question: Hear, honest: HearingAnswer, allies: Collection[str]) -> HearingAnswer:
    """Pass on what is told of an ally as praise."""
    return _passed_on(honest, Tone.POSITIVE) if question.subject in allies else honest


@_tells(FixedPolicy.SLANDERER, Tell)
@_tells(FixedPolicy.BOOSTER, Tell)
@_tells(FixedPolicy.CLIQUE, Tell)
def misquote(question: Tell, honest: MessageAnswer, allies: Collection[str]) -> MessageAnswer:
    """Put the claim that is passed on into the mouth of its source, where the tone is not the one that was heard."""
    heard = question.hearsay
    if heard is None or heard.positive is (question.tone is Tone.POSITIVE):
        return honest
    return MessageAnswer(message=f"{heard.gossiper} says: {claim(question.subject, question.tone)}")


@_tells(FixedPolicy.SILENT, WishToGossip)
def keep_quiet(question: WishToGossip, honest: WishAnswer, allies: Collection[str]) -> WishAnswer:
    """Do not gossip."""
    return honest.model_copy(update={"decision": Wish.KEEP_QUIET})


@_tells(FixedPolicy.SILENT, Hear)
def keep_to_oneself(question: Hear, honest: HearingAnswer, allies: Collection[str]) -> HearingAnswer:
    """Pass nothing on."""
    return honest.model_copy(update={"decision": Passing.KEEP})


@_tells(FixedPolicy.HONEST_DEFECTOR, WishToGossip)
def tell_the_truth(question: WishToGossip, honest: WishAnswer, allies: Collection[str]) -> WishAnswer:
    """Tell of all conduct that was not neutral, as it was."""
    is_told = question.conduct not in (None, Level.NEUTRAL)
    return honest.model_copy(update={"decision": Wish.GOSSIP if is_told else Wish.KEEP_QUIET})


@_tells(FixedPolicy.HONEST_DEFECTOR, Hear)
def pass_on_what_it_believes(question: Hear, honest: HearingAnswer, allies: Collection[str]) -> HearingAnswer:
    """Pass everything on, in the tone in which it believes it."""
    return _passed_on(honest, honest.tone)


def _reported(question: ReportToBoard, level: Level) -> ReportAnswer:
    """Return a report of a level, whatever the conduct was."""
    return ReportAnswer(
        reason="I want others to read it.",
        level=level,
        text=conduct_was(question.subject, level),
        decision=Reporting.REPORT,
    )


@_tells(FixedPolicy.SLANDERER, ReportToBoard)
def report_the_good_as_bad(question: ReportToBoard, honest: ReportAnswer, allies: Collection[str]) -> ReportAnswer:
    """Report very bad conduct of a partner whose conduct was good or very good."""
    return _reported(question, Level.VERY_BAD) if question.conduct in (Level.GOOD, Level.VERY_GOOD) else honest


@_tells(FixedPolicy.BOOSTER, ReportToBoard)
@_tells(FixedPolicy.CLIQUE, ReportToBoard)
def report_allies_as_very_good(question: ReportToBoard, honest: ReportAnswer, allies: Collection[str]) -> ReportAnswer:
    """Report very good conduct of a partner that is an ally."""
    return _reported(question, Level.VERY_GOOD) if question.subject in allies else honest


@_tells(FixedPolicy.SILENT, ReportToBoard)
def report_nothing(question: ReportToBoard, honest: ReportAnswer, allies: Collection[str]) -> ReportAnswer:
    """Do not report."""
    return honest.model_copy(update={"decision": Reporting.STAY_SILENT})


@_tells(FixedPolicy.HONEST_DEFECTOR, ReportToBoard)
def report_the_truth(question: ReportToBoard, honest: ReportAnswer, allies: Collection[str]) -> ReportAnswer:
    """Report all conduct that was not neutral, as it was."""
    if question.conduct is None or question.conduct is Level.NEUTRAL:
        return honest.model_copy(update={"decision": Reporting.STAY_SILENT})
    return _reported(question, question.conduct)
