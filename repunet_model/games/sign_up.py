"""The sign-up game: voluntary demand response, and conversations about it.

A programme offers every household a free radio switch on its air conditioner, which lowers the load at peak hours: it
protects the town from outages and costs comfort and control. In steps 1, 6, 11, ... every agent says yes or no in
public. In every step, random pairs may talk: each side that knows the other (without reputation: each side) decides
whether it wants to, unless the other is on its blacklist. If both do, they talk about their choices for at most ten
turns, of which the last also sums up both views.

By a slip a household says in public the opposite of what it decided; by a misperception a side of a meeting takes the
partner's public choice for the opposite.

Cooperation rate: yes / all in the latest round. Talk rate: conversations / pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field

from repunet_model.backends.mind import Mind, answers
from repunet_model.backends.policies import FixedPolicy, plays
from repunet_model.error_rates import ErrorKind
from repunet_model.games.base import (
    Declaration,
    EncounterStatus,
    Game,
    Outcome,
    Player,
    PlayerOutcome,
    QuizFact,
    Resident,
    SocietyFigures,
    share,
)
from repunet_model.games.parameters import GameParameters, Number
from repunet_model.mechanism import Mechanism
from repunet_model.personas import Words
from repunet_model.questions.base import MESSAGE, REASON, Answer, Line, Opinion, Question, free_text
from repunet_model.questions.encounter import Hearsay
from repunet_model.storage.schema import Column
from repunet_model.util.causality import together


class SignUpParameters(GameParameters):
    """The value of a switch to the offline rules; prompts name no figures."""

    comfort: Annotated[
        Number, Field(ge=0, le=1000, description="offline rules: cost of the switch to its household, in points")
    ] = Decimal(1)
    relief: Annotated[
        Number,
        Field(ge=0, le=1000, description="offline rules: value of one household's switch to the whole town, in points"),
    ] = Decimal("1.5")


class Choice(StrEnum):
    """A reply to the programme."""

    YES = "sign up"
    NO = "do not sign up"


class DeclarationAnswer(Answer):
    """A choice, and the reason given in public."""

    reason: Annotated[Words, free_text(REASON, "the reason you give in public, in one sentence")]
    decision: Choice


@dataclass(frozen=True, slots=True, kw_only=True)
class SignUp(Question[DeclarationAnswer]):
    """Whether to sign up for the programme; `last` is the choice of the last round, given only without reputation."""

    name: ClassVar[str] = "sign_up"
    template: ClassVar[str] = "sign_up_declare.j2"
    answer: ClassVar[type[Answer]] = DeclarationAnswer

    own_opinion: Opinion | None
    last: bool | None
    parameters: SignUpParameters


class Willingness(StrEnum):
    """Whether to talk to another resident."""

    TALK = "talk"
    PASS_BY = "pass by"


class WillingnessAnswer(Answer):
    """Whether to talk, and the reason."""

    reason: Annotated[Words, free_text(REASON, "why, in one sentence")]
    decision: Willingness


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting[A: Answer](Question[A]):
    """Base of the questions when two residents meet; choices are those of the last public round."""

    partner: str
    own_choice: bool
    partner_choice: bool
    partner_opinion: Opinion | None
    heard: tuple[Hearsay, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WantToTalk(Meeting[WillingnessAnswer]):
    """Whether to talk to the partner."""

    name: ClassVar[str] = "want_to_talk"
    template: ClassVar[str] = "sign_up_want_to_talk.j2"
    answer: ClassVar[type[Answer]] = WillingnessAnswer


class TalkAnswer(Answer):
    """A message."""

    message: Annotated[Words, free_text(MESSAGE, "what you say, in one to three sentences")]


class ConclusionAnswer(Answer):
    """The last message of a conversation, and a summary of it."""

    message: Annotated[Words, free_text(MESSAGE, "what you say, in one to three sentences")]
    summary: Annotated[Words, free_text(MESSAGE, "both viewpoints, in two sentences")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk(Meeting[TalkAnswer]):
    """A turn of the conversation about both choices."""

    name: ClassVar[str] = "talk"
    template: ClassVar[str] = "sign_up_talk.j2"
    answer: ClassVar[type[Answer]] = TalkAnswer

    dialogue: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclude(Meeting[ConclusionAnswer]):
    """The last turn, and a summary with both viewpoints."""

    name: ClassVar[str] = "conclude"
    template: ClassVar[str] = "sign_up_conclude.j2"
    answer: ClassVar[type[Answer]] = ConclusionAnswer

    dialogue: tuple[Line, ...]


class SignUpGame(Game):
    """Public choices, and conversations about them."""

    name = "sign_up"
    title = "Sign-up"
    roles = ("resident", "resident")
    rules = "sign_up_rules.j2"
    parameters: SignUpParameters = SignUpParameters()
    facts: ClassVar = {
        "talked": Column(bool, "whether both wanted to talk"),
        "first_wants": Column(bool, "whether the first side wanted to talk"),
        "second_wants": Column(bool, "whether the second side wanted to talk"),
        "conversation": Column(list, "the words of both, as pairs of speaker and text"),
        "summary": Column(str, "the conversation in the words of the side that ended it"),
    }
    rates = ("cooperation_rate", "talk_rate")
    choices = (SignUp,)
    errors = (ErrorKind.SLIP, ErrorKind.MISPERCEPTION)
    has_rounds = True

    def caveat(self) -> str:
        """Say so if the switch is free to a household, or worth less to the town than to it."""
        comfort, relief = self.parameters.comfort, self.parameters.relief
        if 0 < comfort < relief:
            return ""
        return f"no dilemma for the offline rules, which needs 0 < comfort < relief: comfort {comfort}, relief {relief}"

    def quiz(self, label: Callable[[Enum], str]) -> tuple[QuizFact, ...]:
        """Ask what the switch does, for whom, and who learns of the choice."""
        yes_no, risk = ("yes", "no"), ("it falls", "it rises")
        return (
            QuizFact("Does the switch cost a household money?", yes_no[1], yes_no),
            QuizFact("Must every household take the switch?", yes_no[1], yes_no),
            QuizFact("Does a household that signs up have some warmer hours at home?", yes_no[0], yes_no),
            QuizFact("What becomes of the risk of outages as more households sign up?", risk[0], risk),
            QuizFact(
                "Who can turn the cooling of a household with a switch down in peak hours?",
                "the power company",
                ("the power company", "the household alone"),
            ),
            QuizFact("Do others learn whether a household signs up?", yes_no[0], yes_no),
            QuizFact("Does a household that does not sign up profit if others do?", yes_no[0], yes_no),
            QuizFact("Does a household that signs up keep full control over its cooling?", yes_no[1], yes_no),
        )

    def has_random_pairs(self, mechanism: Mechanism) -> bool:
        """Whether the switch `random_sign_up` is on."""
        return mechanism.random_sign_up

    async def declare(self, resident: Resident) -> Declaration:
        """Ask whether to sign up."""
        own = resident.own_opinion
        last = resident.declared if own is None else None
        answer = await resident.ask(SignUp(own_opinion=own, last=last, parameters=self.parameters))
        return Declaration(resident.does(answer.decision is Choice.YES), answer.reason)

    async def play(self, first: Player, second: Player) -> Outcome:
        """Ask both sides whether they want to talk, and let them talk if both do."""
        wants = await together(self._wants(first), self._wants(second))
        facts: dict[str, Any] = {
            "talked": all(wants),
            "first_wants": wants[0],
            "second_wants": wants[1],
            "conversation": None,
            "summary": None,
        }
        if not all(wants):
            accounts = (self._account(first), self._account(second))
            return Outcome(accounts, EncounterStatus.NOT_HELD, facts)
        speaker, other = first, second
        dialogue: tuple[Line, ...] = ()
        while len(dialogue) < first.dialogue_turns - 1:
            spoken = await speaker.ask(Talk(**self._view(speaker), dialogue=dialogue), turn=len(dialogue) + 1)
            dialogue = (*dialogue, Line(speaker.name, spoken.message))
            speaker, other = other, speaker
        last = await speaker.ask(Conclude(**self._view(speaker), dialogue=dialogue))
        dialogue = (*dialogue, Line(speaker.name, last.message))
        facts |= {"conversation": [[line.speaker, line.text] for line in dialogue], "summary": last.summary}
        accounts = (self._account(first, last.summary), self._account(second, last.summary))
        return Outcome(accounts, EncounterStatus.COMPLETED, facts)

    async def _wants(self, player: Player) -> bool:
        """Return whether a side wants to talk; with reputation, strangers always do."""
        if player.shuns_partner:
            return False
        if player.partner_opinion is not None and not player.partner_opinion.is_known:
            return True
        answer = await player.ask(WantToTalk(**self._view(player)))
        return answer.decision is Willingness.TALK

    def _view(self, player: Player) -> dict[str, Any]:
        own, other = player.declared, player.partner_declared
        assert own is not None
        assert other is not None
        return {
            "partner": player.partner,
            "own_choice": own,
            "partner_choice": other,
            "partner_opinion": player.partner_opinion,
            "heard": player.partner_gossip,
        }

    def _account(self, player: Player, summary: str | None = None) -> PlayerOutcome:
        """Return an encounter from one side's view; without a summary they did not talk."""
        text = player.words(
            "sign_up_account.j2",
            own=player.declared,
            other=player.partner_declared,
            partner=player.partner,
            summary=summary,
        )
        return PlayerOutcome(Decimal(0), player.declared, text)

    def background(self, society: SocietyFigures, subject: str, *, is_self: bool) -> str:
        """Return the subject's mutual ties, or the agent's own share of conversations, beside the average."""
        if not is_self:
            ties, mean_ties = society.mutual_ties(subject), society.mean_mutual_ties()
            return society.words("sign_up_background.j2", is_self=False, subject=subject, own=ties, average=mean_ties)
        own, average = society.completed_share(subject), society.mean_completed_share()
        if own is None or average is None:
            return ""
        return society.words("sign_up_background.j2", is_self=True, subject=subject, own=own, average=average)

    def measure(self, outcomes: Sequence[Outcome], declared: Sequence[bool | None]) -> dict[str, float | None]:
        """Return yes / all in the latest round, and conversations / pairs in the step."""
        return {
            "cooperation_rate": share(choice for choice in declared if choice is not None),
            "talk_rate": share(outcome.course is EncounterStatus.COMPLETED for outcome in outcomes),
        }


def _signed(choice: bool | None) -> str:
    return "signed up" if choice else "did not sign up"


@answers(SignUp)
def sign_up(question: SignUp, mind: Mind) -> DeclarationAnswer:
    """Weigh comfort against the town's gain (for altruists) and the agent's reputation (if there is one).

    An altruist multiplies the town's gain by the share of others that it expects to sign up.
    """
    comfort, relief = float(question.parameters.comfort), float(question.parameters.relief)
    advantage = -comfort
    if mind.is_altruist:
        advantage += mind.rules.altruism * mind.rules.altruist_expectation * relief
    if question.own_opinion is not None:
        advantage += mind.values_reputation(relief)
    signs = mind.chooses(advantage)
    return DeclarationAnswer(
        reason=f"It is worth {advantage:+.2f} points to me.", decision=Choice.YES if signs else Choice.NO
    )


@answers(WantToTalk)
def want_to_talk(question: WantToTalk, mind: Mind) -> WillingnessAnswer:
    """Talk to partners with a good reputation; without records, prefer those with the same choice or praised ones."""
    alike = 0.5 if question.own_choice == question.partner_choice else 0.0
    value = alike + mind.weighs(question.heard)
    if question.partner_opinion is not None:
        value = question.partner_opinion.score
    talks = mind.feels(value - mind.rules.tie_threshold)
    return WillingnessAnswer(
        reason=f"I value a talk with {question.partner} at {value:+.2f}.",
        decision=Willingness.TALK if talks else Willingness.PASS_BY,
    )


@answers(Talk)
def talk(question: Talk, mind: Mind) -> TalkAnswer:
    """State the agent's choice."""
    return TalkAnswer(message=f"I {_signed(question.own_choice)}.")


@answers(Conclude)
def conclude(question: Conclude, mind: Mind) -> ConclusionAnswer:
    """State the agent's choice, and sum up both choices."""
    own, other = _signed(question.own_choice), _signed(question.partner_choice)
    return ConclusionAnswer(
        message=f"And I {own}.",
        summary=f"{question.partner} {other}, {mind.persona.name} {own}.",
    )


@plays(FixedPolicy.ALWAYS_COOPERATE, SignUp)
def always_sign_up(question: SignUp) -> DeclarationAnswer:
    """Sign up. There is no tit for tat here, since the choice is public and has no partner."""
    return DeclarationAnswer(reason="I always take part.", decision=Choice.YES)


@plays(FixedPolicy.ALWAYS_DEFECT, SignUp)
def never_sign_up(question: SignUp) -> DeclarationAnswer:
    """Do not sign up."""
    return DeclarationAnswer(reason="I never take part.", decision=Choice.NO)
