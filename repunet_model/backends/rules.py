"""The offline backend: bounded-rational agents that answer only from the content of a question.

They know neither the mode nor the step: without a reputation in the question, they cannot use one. Their parameters
and choice rule are in `backends.mind`.

- Conduct is judged by image scoring (Nowak & Sigmund 1998): cooperation is good, defection bad, and worse towards a
  cooperator.
- An observation moves the score of an opinion by exponential recency weighting (the learning rate); gossip moves it in
  proportion to its credibility.
- Self-interested agents weigh the present gain of defection against the later cost of a worse reputation, if
  reputations are visible. The cost is weighted by the partner's reputation: defecting against a partner with a bad
  reputation is cheap.
- Altruists also value the partner's points, in proportion to the cooperation that they expect (conditional
  cooperation; Fischbacher, Gächter & Fehr 2001), and so become wary when exploited.
- What a public institution shows of an agent counts like a record with the same score.
- The expected cooperation of a partner comes from its reputation, or without one from the last encounters with any
  partner (generalized reciprocity; Pfeiffer et al. 2005), and from the gossip about it that a question shows.

`answers` registers the policy for a question; a game registers the policies for its own questions.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from repunet_model.backends.base import Request
from repunet_model.backends.mind import BELIEF, Mind, Rules, answers, policy_for, score_of
from repunet_model.questions.base import UNCREDIBLE, Answer, Credibility, Opinion
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
    ReportAnswer,
    Reporting,
    ReportToBoard,
    UpdateRecord,
)
from repunet_model.questions.gossip import (
    ChooseListener,
    Hear,
    HearingAnswer,
    HearOnly,
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
    """The backend that answers by registered policies: offline, seeded and free."""

    reads_prompts = False
    is_costly = False
    asks_model = False

    def __init__(self, rules: Rules | None = None) -> None:
        self._rules = rules or Rules()
        self.description = {"backend": "rules", **asdict(self._rules)}

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Answer by the policy for the question.

        Raises:
            ConfigurationError: If no policy is registered for the question.
        """
        question = request.question
        if isinstance(question, Compound):
            parts = await question.in_turn(lambda ask, digest: self.answer(request.part(ask, digest)))
            return request.question.as_answer(parts)
        mind = Mind(self._rules, request.persona, request.random)
        return question.as_answer(policy_for(question)(question, mind))

    async def close(self) -> None:
        """Do nothing: there are no connections."""


def _impression(level: Level) -> float:
    """Return a level as a number in [-1, 1]."""
    return (LEVELS.index(level) - 2) / 2


def _news_impression(news: News) -> float:
    """Return public news as a number in [-1, 1], the mean of its parts."""
    signs = [_impression(level) for level in news.conduct]
    if news.cooperated is not None:
        signs.append(_impression(Level.GOOD if news.cooperated else Level.BAD))
    return sum(signs) / len(signs)


@answers(ChoosePartner)
def choose_partner(question: ChoosePartner, mind: Mind) -> PartnerAnswer:
    """Pick a partner, the better reputed the more likely."""
    person = mind.picks(question.people)
    return PartnerAnswer(reason=f"I think of {person.name} at {score_of(person.opinion):+.2f}.", partner=person.name)


@answers(Evaluate)
def evaluate(question: Evaluate, mind: Mind) -> EvaluationAnswer:
    """Judge conduct by image scoring; the agent's own defection on a defector is neutral."""
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
    """Judge an act by the partner's act, `towards`."""
    if act is None:
        return Level.NEUTRAL
    if act:
        return Level.VERY_GOOD if towards else Level.GOOD
    if towards:
        return Level.VERY_BAD
    return Level.NEUTRAL if lenient else Level.BAD


@answers(UpdateRecord)
def update_record(question: UpdateRecord, mind: Mind) -> RecordAnswer:
    """Move the score of the opinion towards the observation, gossip or news."""
    score = question.previous.score if question.previous is not None else 0.0
    rate = mind.rules.learning_rate
    ground = "Seen."
    if question.conduct is not None:
        score += rate * (_impression(question.conduct) - score)
        ground = f"Seen: {question.conduct.value} conduct."
    if question.hearsay is not None:
        target = 1.0 if question.hearsay.positive else -1.0
        score += rate * mind.rules.hearsay * BELIEF[question.hearsay.credibility] * (target - score)
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
    """Return the level of a record that has the score if the certainty is the score's absolute value."""
    if abs(score) < 1e-6:
        return Level.NEUTRAL
    if score > 0:
        return Level.VERY_GOOD if score > 0.6 else Level.GOOD
    return Level.VERY_BAD if score < -0.6 else Level.BAD


@answers(Reflect)
def reflect(question: Reflect, mind: Mind) -> LearnedAnswer:
    """Express the disposition and the latest encounter in words."""
    values = (
        "You want others to do well too, as long as they do not exploit you."
        if mind.is_altruist
        else "You look after your own gain first."
    )
    lesson = (
        f"{question.partner}'s conduct was {question.partner_conduct.value} when you last met somebody, "
        f"and your own was {question.own.value}."
    )
    outlook = (
        "You expect that cooperation can pay."
        if _impression(question.partner_conduct) > 0
        else "You are on your guard against the next partner."
    )
    return LearnedAnswer(learned=f"{values} {lesson} {outlook}")


@answers(Connect)
def connect(question: Connect, mind: Mind) -> ConnectAnswer:
    """Make ties to agents with good conduct and a good reputation."""
    attraction = _attraction(question.conduct, question.opinion)
    wants = mind.feels(attraction - mind.rules.tie_threshold)
    return ConnectAnswer(
        reason=f"I value a tie to {question.other} at {attraction:+.2f}.",
        decision=Connection.CONNECT if wants else Connection.STAY_APART,
    )


@answers(Disconnect)
def disconnect(question: Disconnect, mind: Mind) -> DisconnectAnswer:
    """Cut ties to agents with bad conduct or a bad reputation."""
    attraction = _attraction(question.conduct, question.opinion, question.hearsay, question.news)
    leaves = mind.feels(mind.rules.tie_threshold - attraction)
    return DisconnectAnswer(
        reason=f"I value the tie to {question.other} at {attraction:+.2f}.",
        decision=Disconnection.CUT if leaves else Disconnection.KEEP,
    )


def _attraction(
    conduct: Level | None, opinion: Opinion | None, hearsay: Hearsay | None = None, news: News | None = None
) -> float:
    """Return the value of a tie in [-1, 1]: the mean of conduct, gossip, news and opinion; 0 without any of them."""
    signs = []
    if conduct is not None:
        signs.append(_impression(conduct))
    if hearsay is not None:
        signs.append(BELIEF[hearsay.credibility] * (1.0 if hearsay.positive else -1.0))
    if news is not None:
        signs.append(_news_impression(news))
    if opinion is not None:
        signs.append(opinion.score)
    return sum(signs) / len(signs) if signs else 0.0


def conduct_was(subject: str, level: Level) -> str:
    """Return the level of somebody's conduct as a sentence, which first-hand gossip tells."""
    return f"{subject}'s conduct was {level.value}."


@answers(WishToGossip)
def wish_to_gossip(question: WishToGossip, mind: Mind) -> WishAnswer:
    """Gossip about very good and very bad conduct."""
    conduct = question.conduct if question.conduct is not None else Level.NEUTRAL
    impression = _impression(conduct)
    wants = mind.feels(abs(impression) - mind.rules.gossip_threshold)
    return WishAnswer(
        reason=conduct_was(question.subject, conduct),
        tone=Tone.POSITIVE if impression > 0 else Tone.NEGATIVE,
        decision=Wish.GOSSIP if wants else Wish.KEEP_QUIET,
    )


@answers(ReportToBoard)
def report_to_board(question: ReportToBoard, mind: Mind) -> ReportAnswer:
    """Report very good and very bad conduct as it was, like gossip about it."""
    conduct = question.conduct if question.conduct is not None else Level.NEUTRAL
    wants = mind.feels(abs(_impression(conduct)) - mind.rules.gossip_threshold)
    return ReportAnswer(
        reason="I tell what I saw.",
        level=conduct,
        text=conduct_was(question.subject, conduct),
        decision=Reporting.REPORT if wants else Reporting.STAY_SILENT,
    )


@answers(ChooseListener)
def choose_listener(question: ChooseListener, mind: Mind) -> ListenerAnswer:
    """Pick a listener, the better reputed the more likely."""
    person = mind.picks(question.people)
    return ListenerAnswer(reason=f"I think of {person.name} at {score_of(person.opinion):+.2f}.", listener=person.name)


@answers(Tell)
def tell(question: Tell, mind: Mind) -> MessageAnswer:
    """Report the observation, or the gossip that was heard, and contradict gossip that is told in the other tone."""
    if (heard := question.hearsay) is not None:
        doubt = "" if heard.positive is (question.tone is Tone.POSITIVE) else " I do not believe it."
        return MessageAnswer(message=f"{heard.gossiper} says: {heard.summary}{doubt}")
    return MessageAnswer(message=f"I met {question.subject}. {question.reason}")


@answers(Respond)
def respond(question: Respond, mind: Mind) -> ResponseAnswer:
    """End the dialogue after the first message: rules do not use a second one."""
    return ResponseAnswer(message="I see.", decision=Turn.ENOUGH)


@answers(Hear)
def hear(question: Hear, mind: Mind) -> HearingAnswer:
    """Believe gossipers with a good reputation; pass on credible gossip; contradict what is uncredible."""
    credibility = _credibility(question, mind, question.gossiper_opinion)
    passes = mind.feels(BELIEF[credibility] - mind.rules.gossip_threshold)
    return HearingAnswer(
        **_judgement(question, credibility),
        decision=Passing.PASS_ON if passes else Passing.KEEP,
        tone=question.tone.opposite if credibility in UNCREDIBLE else question.tone,
    )


@answers(HearOnly)
def hear_only(question: HearOnly, mind: Mind) -> JudgementAnswer:
    """Believe gossipers with a good reputation."""
    return JudgementAnswer(**_judgement(question, _credibility(question, mind, question.gossiper_opinion)))


@answers(HearSecondHand)
def hear_second_hand(question: HearSecondHand, mind: Mind) -> JudgementAnswer:
    """Judge second-hand gossip by the less trusted of its two sources."""
    weaker = min(question.gossiper_opinion, question.origin_opinion, key=score_of)
    return JudgementAnswer(**_judgement(question, _credibility(question, mind, weaker)))


def claim(subject: str, tone: Tone) -> str:
    """Return gossip in a tone as a sentence."""
    return f"{subject} deserves {'praise' if tone is Tone.POSITIVE else 'a warning'}."


def _judgement(question: Judge[Any], credibility: Credibility) -> dict[str, Any]:
    return {
        "reply": "I will keep that in mind." if BELIEF[credibility] >= 0.5 else "I am not sure about that.",
        "summary": claim(question.subject, question.tone),
        "credibility": credibility,
    }


def _credibility(question: Judge[Any], mind: Mind, source: Opinion | None) -> Credibility:
    """Judge gossip by its source's reputation, its agreement with the agent's opinion, and the share of false gossip.

    The five levels divide a logit scale: logistic noise, scaled by the social precision, is added to the sum.
    """
    claim = 1.0 if question.tone is Tone.POSITIVE else -1.0
    belief = score_of(source) + 0.5 * claim * score_of(question.opinion) - 0.5 * (question.uncredible_share or 0.0)
    share = min(max(mind.random.random(), 1e-12), 1.0 - 1e-12)
    noise = math.log(share / (1.0 - share)) / max(mind.rules.social_precision, 1e-9)
    thresholds = (-0.75, -0.25, 0.25, 0.75)
    return tuple(Credibility)[sum(belief + noise > threshold for threshold in thresholds)]
