"""The offline backend: bounded-rational agents that answer from what a question shows, and from nothing else.

They know neither the mode nor the step nor each other's minds: where a question shows no reputation, they cannot
use one. Their parameters, and how they choose, are in `backends.mind`.

- Conduct is judged by image scoring (Nowak & Sigmund 1998): cooperation is good, defection bad, and worse towards
  somebody who cooperated.
- An opinion moves from its present score towards what was just seen, by exponential recency weighting (the
  learning rate); gossip moves it in proportion to how far it is believed.
- Self-interested agents weigh what defection gains now against what a worse reputation would cost them later, where
  a reputation is visible at all. The cost counts only as far as the partner's word carries weight, so a defection
  against somebody ill-reputed is cheap.
- Altruists also value the other's points, as far as they expect cooperation in return (conditional cooperation;
  Fischbacher, Gächter & Fehr 2001), and so turn wary when exploited.
- What is expected of a partner comes from their reputation if there is one, else from the last encounters with
  anybody (generalized reciprocity; Pfeiffer et al. 2005).

No outcome is written down here: what comes of it over time is the mechanism's doing. A policy is registered for
each question by `answers`; a game of one's own registers policies for its own questions in the same way.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from repunet_model.backends.base import Request
from repunet_model.backends.mind import Mind, Rules, answers, policy_for, score_of
from repunet_model.questions.base import Answer, Credibility, Opinion
from repunet_model.questions.compound import Compound
from repunet_model.questions.encounter import (
    ChoosePartner,
    Connect,
    ConnectAnswer,
    Connection,
    Disconnect,
    DisconnectAnswer,
    Disconnection,
    Evaluate,
    EvaluationAnswer,
    Hearsay,
    LearnedAnswer,
    News,
    PartnerAnswer,
    RecordAnswer,
    Reflect,
    UpdateRecord,
)
from repunet_model.questions.gossip import (
    ChooseListener,
    Hear,
    HearingAnswer,
    HearSecondHand,
    Judge,
    JudgementAnswer,
    ListenerAnswer,
    MessageAnswer,
    Passing,
    Respond,
    ResponseAnswer,
    Tell,
    Tone,
    Turn,
    Wish,
    WishAnswer,
    WishToGossip,
)
from repunet_model.reputation import LEVELS, Level


class RulesBackend:
    """Offline, seeded, free: answers come from the policies registered here.

    Attributes:
        description: Name and parameters.
    """

    reads_prompts = False
    is_costly = False
    asks_model = False

    def __init__(self, rules: Rules | None = None) -> None:
        self._rules = rules or Rules()
        self.description = {"backend": "rules", **asdict(self._rules)}

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Answer at once.

        Raises:
            ConfigurationError: If no policy is registered for the question.
        """
        question = request.question
        if isinstance(question, Compound):
            parts = await question.in_turn(lambda ask, digest: self.answer(request.part(ask, digest)))
            return request.question.as_answer(parts)
        policy = policy_for(question)
        return question.as_answer(policy(question, Mind(self._rules, request.persona, request.random)))

    async def close(self) -> None:
        """Nothing to give back."""


def _impression(level: Level) -> float:
    """Return a level as a number in [-1, 1]."""
    return (LEVELS.index(level) - 2) / 2


_BELIEF = {credibility: step / 4 for step, credibility in enumerate(Credibility)}
"""How far gossip of a credibility moves an opinion, as a share of fully believed gossip."""


def _hearsay_impression(hearsay: Hearsay) -> float:
    """Return how gossip bears on its subject, in [-1, 1]."""
    return _BELIEF[hearsay.credibility] * (1.0 if hearsay.positive else -1.0)


def _news_impression(news: News) -> float:
    """Return how public news bears on its subject, in [-1, 1]: the mean of all it holds."""
    signs = [_impression(level) for level in news.conduct]
    if news.cooperated is not None:
        signs.append(_impression(Level.GOOD if news.cooperated else Level.BAD))
    return sum(signs) / len(signs)


@answers(ChoosePartner)
def choose_partner(question: ChoosePartner, mind: Mind) -> PartnerAnswer:
    """Pick somebody well reputed."""
    person = mind.picks(question.people)
    return PartnerAnswer(reason=f"I think of {person.name} at {score_of(person.opinion):+.2f}.", partner=person.name)


@answers(Evaluate)
def evaluate(question: Evaluate, mind: Mind) -> EvaluationAnswer:
    """Judge conduct by image scoring; to defect on a defector is no more than neutral in one's own eyes."""
    own, partner = question.own_cooperated, question.partner_cooperated
    return EvaluationAnswer(
        own_reason=f"I {_deed(own)}.",
        own=_conduct(own, towards=partner, lenient=True),
        partner_reason=f"{question.partner} {_deed(partner)}.",
        partner=_conduct(partner, towards=own, lenient=False),
    )


def _deed(cooperated: bool | None) -> str:
    return {True: "cooperated", False: "defected", None: "had no choice to make"}[cooperated]


def _conduct(act: bool | None, *, towards: bool | None, lenient: bool) -> Level:
    """Judge an act towards somebody who acted so themselves."""
    if act is None:
        return Level.NEUTRAL
    if act:
        return Level.VERY_GOOD if towards else Level.GOOD
    if towards:
        return Level.VERY_BAD
    return Level.NEUTRAL if lenient else Level.BAD


@answers(UpdateRecord)
def update_record(question: UpdateRecord, mind: Mind) -> RecordAnswer:
    """Move the opinion from where it is towards what was seen or heard."""
    score = question.previous.score if question.previous is not None else 0.0
    rate = mind.rules.learning_rate
    ground = "Seen."
    if question.conduct is not None:
        score += rate * (_impression(question.conduct) - score)
        ground = f"Seen: {question.conduct.value} conduct."
    if question.hearsay is not None:
        target = 1.0 if question.hearsay.positive else -1.0
        score += rate * mind.rules.hearsay * _BELIEF[question.hearsay.credibility] * (target - score)
        ground = f"Heard from {question.hearsay.gossiper}: {question.hearsay.credibility.value}."
    if question.news is not None:
        score += rate * mind.rules.hearsay * (_news_impression(question.news) - score)
        ground = "Read in public."
    return RecordAnswer(
        text=f"{ground} Overall {'good' if score > 0.1 else 'bad' if score < -0.1 else 'mixed'} ({score:+.2f}).",
        level=_level(score),
        certainty=round(100 * abs(score)) if _level(score) is not Level.NEUTRAL else 50,
    )


def _level(score: float) -> Level:
    """Return the level whose record, with the score's size as certainty, has the score."""
    if abs(score) < 1e-6:
        return Level.NEUTRAL
    if score > 0:
        return Level.VERY_GOOD if score > 0.6 else Level.GOOD
    return Level.VERY_BAD if score < -0.6 else Level.BAD


@answers(Reflect)
def reflect(question: Reflect, mind: Mind) -> LearnedAnswer:
    """Put disposition and latest experience into words."""
    values = (
        "You want others to do well too, as long as they do not exploit you."
        if mind.is_altruist
        else "You look after your own gain first."
    )
    lesson = (
        f"{question.partner}'s conduct was {question.partner_conduct.value} when you last met somebody, "
        f"and your own was {question.own.value}."
    )
    outlook = {
        True: "You expect that cooperation can pay.",
        False: "You are on your guard against the next partner.",
    }[_impression(question.partner_conduct) > 0]
    return LearnedAnswer(learned=f"{values} {lesson} {outlook}")


@answers(Connect)
def connect(question: Connect, mind: Mind) -> ConnectAnswer:
    """Tie oneself to people who behave well and are thought well of."""
    attraction = _attraction(question.conduct, question.opinion)
    wants = mind.feels(attraction - mind.rules.tie_threshold)
    return ConnectAnswer(
        reason=f"I value a tie to {question.other} at {attraction:+.2f}.",
        decision=Connection.CONNECT if wants else Connection.STAY_APART,
    )


@answers(Disconnect)
def disconnect(question: Disconnect, mind: Mind) -> DisconnectAnswer:
    """Leave people who behave badly or are thought ill of."""
    attraction = _attraction(question.conduct, question.opinion, question.hearsay, question.news)
    leaves = mind.feels(mind.rules.tie_threshold - attraction)
    return DisconnectAnswer(
        reason=f"I value the tie to {question.other} at {attraction:+.2f}.",
        decision=Disconnection.CUT if leaves else Disconnection.KEEP,
    )


def _attraction(
    conduct: Level | None, opinion: Opinion | None, hearsay: Hearsay | None = None, news: News | None = None
) -> float:
    """Return what a tie is worth, in [-1, 1]: the mean of what was just seen, heard or read, and what is thought.

    Where nothing was judged, as after a refusal, and nothing is thought, it is worth as much as not having it: 0.
    """
    signs = []
    if conduct is not None:
        signs.append(_impression(conduct))
    if hearsay is not None:
        signs.append(_hearsay_impression(hearsay))
    if news is not None:
        signs.append(_news_impression(news))
    if opinion is not None:
        signs.append(opinion.score)
    return sum(signs) / len(signs) if signs else 0.0


@answers(WishToGossip)
def wish_to_gossip(question: WishToGossip, mind: Mind) -> WishAnswer:
    """Talk about what made a strong impression."""
    conduct = question.conduct if question.conduct is not None else Level.NEUTRAL
    impression = _impression(conduct)
    wants = mind.feels(abs(impression) - mind.rules.gossip_threshold)
    return WishAnswer(
        reason=f"{question.subject}'s conduct was {conduct.value}.",
        tone=Tone.POSITIVE if impression > 0 else Tone.NEGATIVE,
        decision=Wish.GOSSIP if wants else Wish.KEEP_QUIET,
    )


@answers(ChooseListener)
def choose_listener(question: ChooseListener, mind: Mind) -> ListenerAnswer:
    """Tell somebody well reputed."""
    person = mind.picks(question.people)
    return ListenerAnswer(reason=f"I think of {person.name} at {score_of(person.opinion):+.2f}.", listener=person.name)


@answers(Tell)
def tell(question: Tell, mind: Mind) -> MessageAnswer:
    """Say what was seen or heard."""
    if question.hearsay is not None:
        return MessageAnswer(message=f"{question.hearsay.gossiper} says: {question.hearsay.summary}")
    return MessageAnswer(message=f"I met {question.subject}. {question.reason}")


@answers(Respond)
def respond(question: Respond, mind: Mind) -> ResponseAnswer:
    """Hear enough after the first message: rules have no use for a second."""
    return ResponseAnswer(message="I see.", decision=Turn.ENOUGH)


@answers(Hear)
def hear(question: Hear, mind: Mind) -> HearingAnswer:
    """Believe people one thinks well of; pass on what is believed."""
    credibility = _credibility(question, mind, question.gossiper_opinion)
    passes = mind.feels(_BELIEF[credibility] - mind.rules.gossip_threshold)
    return HearingAnswer(
        **_judgement(question, credibility),
        decision=Passing.PASS_ON if passes else Passing.KEEP,
    )


@answers(HearSecondHand)
def hear_second_hand(question: HearSecondHand, mind: Mind) -> JudgementAnswer:
    """Believe second-hand gossip as far as the less trusted of both sources."""
    weaker = min(question.gossiper_opinion, question.origin_opinion, key=score_of)
    return JudgementAnswer(**_judgement(question, _credibility(question, mind, weaker)))


def _judgement(question: Judge[Any], credibility: Credibility) -> dict[str, Any]:
    return {
        "reply": "I will keep that in mind." if _BELIEF[credibility] >= 0.5 else "I am not sure about that.",
        "summary": f"{question.subject} deserves {'praise' if question.tone is Tone.POSITIVE else 'a warning'}.",
        "credibility": credibility,
    }


def _credibility(question: Judge[Any], mind: Mind, source: Opinion | None) -> Credibility:
    """Judge gossip: by its source's reputation, by whether it fits what one thinks, and by past gossip.

    The five levels divide a logit scale: noise of the social precision is added to the sum of the signs.
    """
    claim = 1.0 if question.tone is Tone.POSITIVE else -1.0
    belief = score_of(source) + 0.5 * claim * score_of(question.opinion) - 0.5 * (question.uncredible_share or 0.0)
    share = min(max(mind.random.random(), 1e-12), 1.0 - 1e-12)
    noise = math.log(share / (1.0 - share)) / max(mind.rules.social_precision, 1e-9)
    thresholds = (-0.75, -0.25, 0.25, 0.75)
    return tuple(Credibility)[sum(belief + noise > threshold for threshold in thresholds)]
