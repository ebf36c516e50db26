"""The investment game: a trust game with a promise and a report (after Berg, Dickhaut & McCabe 1995).

An investor chooses a trustee. The trustee promises a split of the returns; the investor refuses, or invests an amount
of its resources; the money grows by a factor; the trustee decides the actual split, and the outcome that it reports. It
may keep more than it promised and may misreport. There is no deal if either side has the other on its blacklist, or if
the investor owns nothing.

Money is counted exactly, in hundredths of a unit: the outcome is rounded down, and the trustee gets what the investor's
rounded share leaves of it, so that both payoffs sum to the outcome minus the amount invested.

By a slip a trustee that would keep its promise pays half of it, and one that would break it pays all; its report
stays. The investor counts what it gets, so that it cannot misperceive the split.

Rates of a step: accepted / encounters; cooperation, which is accepted with an actual share of at least the promised
one, / encounters; honoured, the same / accepted; honest reports, to the hundredth of a unit, / accepted; the mean share
of its holdings that an accepting investor invests; cheating, the mean of max(0, 1 - actual / promised share).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from enum import Enum, StrEnum
from statistics import mean
from typing import Annotated, Any, ClassVar

from pydantic import Field

from repunet_model.backends.mind import Mind, answers
from repunet_model.backends.policies import FixedPolicy, plays, reciprocates
from repunet_model.error_rates import ErrorKind
from repunet_model.games.base import EncounterStatus, Game, Outcome, Player, PlayerOutcome, QuizFact, share
from repunet_model.games.parameters import GameParameters, Number
from repunet_model.memory import Event
from repunet_model.personas import Words
from repunet_model.questions.base import REASON, Answer, Opinion, Question, free_text
from repunet_model.questions.encounter import Hearsay
from repunet_model.storage.schema import Column

CENT = Decimal("0.01")
SKIMMED = 0.5
"""The share of its promise that a cheating trustee of the rules backend pays, and one that breaks it by a slip."""
HONEST_WITHIN = 0.0099
"""A report is honest if it differs from the outcome by less than a hundredth of a unit, but for binary rounding."""


class InvestmentParameters(GameParameters):
    """The growth of an investment."""

    growth: Annotated[Number, Field(ge=0, le=100, description="factor by which an investment grows")] = Decimal(2)

    def outcome(self, amount: Decimal) -> Decimal:
        """Return what an investment becomes, in units, rounded down to the hundredth."""
        return _money(self.growth * amount)


class PlanAnswer(Answer):
    """A promise, and its reason."""

    reason: Annotated[Words, free_text(REASON, "why, in one sentence")]
    investor_share: Annotated[
        float, Field(ge=0, le=100, description="per cent of the proceeds promised to the investor")
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposePlan(Question[PlanAnswer]):
    """The split of the proceeds that the trustee promises."""

    name: ClassVar[str] = "propose_plan"
    template: ClassVar[str] = "investment_plan.j2"
    answer: ClassVar[type[Answer]] = PlanAnswer

    investor: str
    own_opinion: Opinion | None
    investor_opinion: Opinion | None
    events: tuple[Event, ...]
    parameters: InvestmentParameters
    heard: tuple[Hearsay, ...] = ()


class Deal(StrEnum):
    """A reply of the investor to a promise."""

    ACCEPT = "accept"
    REFUSE = "refuse"


class InvestAnswer(Answer):
    """Whether to invest, the amount, and the reason."""

    reason: Annotated[Words, free_text(REASON, "why, in one sentence; the trustee hears it if you refuse")]
    decision: Deal
    amount: Annotated[float, Field(description="units you invest; 0 if you refuse")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Invest(Question[InvestAnswer]):
    """Whether the investor accepts a promise, and the amount it invests."""

    name: ClassVar[str] = "invest"
    template: ClassVar[str] = "investment_invest.j2"
    answer: ClassVar[type[Answer]] = InvestAnswer

    trustee: str
    promised: float
    resources: Decimal
    own_opinion: Opinion | None
    trustee_opinion: Opinion | None
    events: tuple[Event, ...]
    parameters: InvestmentParameters
    heard: tuple[Hearsay, ...] = ()

    def bounds(self) -> dict[str, tuple[float, float]]:
        """Limit the amount to the investor's resources."""
        return {"amount": (0.0, float(self.resources))}

    def check(self, answer: InvestAnswer) -> None:
        """Reject a deal without an investment."""
        if answer.decision is Deal.ACCEPT and answer.amount < CENT:
            raise ValueError(f"amount: at least {CENT} is invested in a deal that is accepted")


class AllocationAnswer(Answer):
    """The trustee's split of the proceeds, and the outcome it reports."""

    reason: Annotated[Words, free_text(REASON, "why, in one sentence")]
    investor_share: Annotated[float, Field(ge=0, le=100, description="per cent you give to the investor")]
    reported_outcome: Annotated[float, Field(ge=0, description="units you tell the investor came of the investment")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocate(Question[AllocationAnswer]):
    """The actual split of the proceeds, and the outcome that the trustee reports."""

    name: ClassVar[str] = "allocate"
    template: ClassVar[str] = "investment_allocate.j2"
    answer: ClassVar[type[Answer]] = AllocationAnswer

    investor: str
    promised: float
    amount: Decimal
    outcome: Decimal
    own_opinion: Opinion | None
    investor_opinion: Opinion | None
    parameters: InvestmentParameters
    heard: tuple[Hearsay, ...] = ()

    def bounds(self) -> dict[str, tuple[float, float]]:
        """Limit the reported outcome to ten times the true one."""
        return {"reported_outcome": (0.0, 10.0 * float(self.outcome))}


class Investment(Game):
    """The investment game between a choosing investor and a chosen trustee."""

    name = "investment"
    title = "Investment"
    roles = ("investor", "trustee")
    rules = "investment_rules.j2"
    parameters: InvestmentParameters = InvestmentParameters()
    facts: ClassVar = {
        "accepted": Column(bool, "whether the investor accepted the promise"),
        "promised_share": Column(float, "per cent of the outcome that the trustee promised"),
        "amount": Column(float, "units invested"),
        "holdings": Column(float, "units that the investor owned before"),
        "outcome": Column(float, "units that came of the investment"),
        "actual_share": Column(float, "per cent of the outcome that the trustee gave back"),
        "reported_outcome": Column(float, "units of outcome that the trustee reported"),
        "plan_reason": Column(str, "reason of the trustee for its promise"),
        "investor_reason": Column(str, "reason of the investor"),
        "allocation_reason": Column(str, "reason of the trustee for its split"),
    }
    rates = (
        "cooperation_rate",
        "acceptance_rate",
        "honoured_rate",
        "honest_report_rate",
        "invested_share",
        "cheating",
    )
    choices = (ProposePlan, Invest, Allocate)
    errors = (ErrorKind.SLIP,)
    publishes_evaluations = True

    async def play(self, first: Player, second: Player) -> Outcome:
        """Ask the trustee for a promise, the investor for a decision, and the trustee for the split."""
        investor, trustee = first, second
        if investor.shuns_partner or trustee.shuns_partner:
            return self._not_held(investor, trustee, "avoided")
        if investor.resources < CENT:
            return self._not_held(investor, trustee, "nothing")
        plan = await trustee.ask(
            ProposePlan(
                investor=investor.name,
                own_opinion=trustee.own_opinion,
                investor_opinion=trustee.partner_opinion,
                events=trustee.last_events(),
                heard=trustee.partner_gossip,
                parameters=self.parameters,
            )
        )
        decision = await investor.ask(
            Invest(
                trustee=trustee.name,
                promised=plan.investor_share,
                resources=investor.resources,
                own_opinion=investor.own_opinion,
                trustee_opinion=investor.partner_opinion,
                events=investor.last_events(),
                heard=investor.partner_gossip,
                parameters=self.parameters,
            )
        )
        promise = {
            "promised_share": plan.investor_share,
            "plan_reason": plan.reason,
            "investor_reason": decision.reason,
        }
        if decision.decision is Deal.REFUSE:
            told = {"why": "refused", "promised": plan.investor_share, "reason": decision.reason}
            return self._no_deal(EncounterStatus.REFUSED, investor, _accounts(investor, trustee, **told), **promise)
        amount = min(_money(_exact(decision.amount)), investor.resources)
        outcome = self.parameters.outcome(amount)
        allocation = await trustee.ask(
            Allocate(
                investor=investor.name,
                promised=plan.investor_share,
                amount=amount,
                outcome=outcome,
                own_opinion=trustee.own_opinion,
                investor_opinion=trustee.partner_opinion,
                parameters=self.parameters,
            )
        )
        return self._settled(investor, trustee, promise, amount, allocation)

    def _settled(
        self,
        investor: Player,
        trustee: Player,
        promise: Mapping[str, Any],
        amount: Decimal,
        allocation: AllocationAnswer,
    ) -> Outcome:
        """Return the outcome of a deal."""
        promised: float = promise["promised_share"]
        outcome = self.parameters.outcome(amount)
        given = _given(trustee, promised, allocation.investor_share)
        returned = _money(outcome * _exact(given) / 100)
        kept = outcome - returned
        reported = _money(_exact(allocation.reported_outcome))
        honoured = given >= promised
        for_investor, for_trustee = _accounts(
            investor,
            trustee,
            why="",
            promised=promised,
            amount=amount,
            outcome=outcome,
            returned=returned,
            kept=kept,
            reported=reported,
        )
        return Outcome(
            accounts=(
                PlayerOutcome(returned - amount, True, for_investor),
                PlayerOutcome(kept, honoured, for_trustee),
            ),
            course=EncounterStatus.COMPLETED,
            facts=self._facts(
                **promise,
                accepted=True,
                amount=float(amount),
                holdings=float(investor.resources),
                outcome=float(outcome),
                actual_share=given,
                reported_outcome=float(reported),
                allocation_reason=allocation.reason,
            ),
        )

    def quiz(self, label: Callable[[Enum], str]) -> tuple[QuizFact, ...]:
        """Ask what investments become and how they are split, and who is bound by what."""
        sides, yes_no = ("the investor", "the trustee"), ("yes", "no")
        ten, four = self.parameters.outcome(Decimal(10)), self.parameters.outcome(Decimal(4))
        return (
            QuizFact("An investor hands over 4 units. How many units do they become?", four),
            QuizFact("An investor hands over 10 units. How many units do they become?", ten),
            QuizFact(
                "An investor hands over 10 units, and the trustee gives the investor 50 % of the proceeds. How many "
                "units does the investor get back?",
                _money(ten / 2),
            ),
            QuizFact(
                "An investor hands over 4 units, and the trustee gives the investor nothing. How many units does the "
                "trustee keep?",
                four,
            ),
            QuizFact("Who decides whether any units are handed over?", sides[0], sides),
            QuizFact("Who decides how the proceeds are split in the end?", sides[1], sides),
            QuizFact("Is the trustee forced to give what it promised?", yes_no[1], yes_no),
            QuizFact("May the outcome that is reported to the investor be false?", yes_no[0], yes_no),
        )

    def caveat(self) -> str:
        """Say so if an investment does not grow."""
        growth = self.parameters.growth
        return "" if growth > 1 else f"no dilemma of trust: nothing is gained by investing, since growth is {growth}"

    def _not_held(self, investor: Player, trustee: Player, why: str) -> Outcome:
        return self._no_deal(EncounterStatus.NOT_HELD, investor, _accounts(investor, trustee, why=why))

    def _no_deal(self, course: EncounterStatus, investor: Player, what: Iterable[str], **facts: Any) -> Outcome:
        first, second = (PlayerOutcome(Decimal(0), None, text) for text in what)
        return Outcome(
            accounts=(first, second),
            course=course,
            facts=self._facts(**facts, accepted=False, holdings=float(investor.resources)),
        )

    def _facts(self, **known: Any) -> dict[str, Any]:
        return {name: known.get(name) for name in self.facts}

    def measure(self, outcomes: Sequence[Outcome], declared: Sequence[bool | None]) -> dict[str, float | None]:
        """Return the rates named at the top of this file; facts that are not known are left out."""
        accepted = [outcome.facts for outcome in outcomes if outcome.facts["accepted"]]
        paid = _told(accepted, "actual_share", "promised_share")
        honoured = [actual >= promised for actual, promised in paid]
        cheating = [max(0.0, 1.0 - actual / promised) if promised else 0.0 for actual, promised in paid]
        invested = [amount / holdings for amount, holdings in _told(accepted, "amount", "holdings")]
        encounters = len(outcomes) - len(accepted) + len(paid)
        return {
            "cooperation_rate": sum(honoured) / encounters if encounters else None,
            "acceptance_rate": len(accepted) / len(outcomes) if outcomes else None,
            "honoured_rate": share(honoured),
            "honest_report_rate": share(
                abs(said - done) < HONEST_WITHIN for said, done in _told(accepted, "reported_outcome", "outcome")
            ),
            "invested_share": mean(invested) if invested else None,
            "cheating": mean(cheating) if cheating else None,
        }


def _given(trustee: Player, promised: float, decided: float) -> float:
    """Return the share that a trustee gives: by a slip half of its promise instead of all of it, or the reverse.

    A promise of nothing cannot be broken.
    """
    honours = decided >= promised
    if not promised or trustee.does(honours) is honours:
        return decided
    return promised * SKIMMED if honours else promised


def _accounts(investor: Player, trustee: Player, **facts: Any) -> tuple[str, str]:
    """Return an encounter in words for both sides; `why` there was no deal, or empty."""
    name = "investment_account.j2"
    return (
        investor.words(name, is_investor=True, partner=trustee.name, **facts),
        trustee.words(name, is_investor=False, partner=investor.name, **facts),
    )


def settled_deal(
    promised: Decimal | None,
    amount: Decimal | None,
    returned: Decimal | None,
    kept: Decimal | None,
    share: Decimal | None = None,
    reported: Decimal | None = None,
) -> dict[str, Any]:
    """Return the columns of an accepted deal that follow from what is known of it; the others are null.

    The actual share is in per cent of the outcome, even where the two parts do not sum to it. It equals the
    promised share if the returned amount differs from the promise by less than a hundredth of a unit (rounding).

    Args:
        promised: The promised share, in per cent.
        amount: The units invested.
        returned: The units that the investor gets.
        kept: The units that the trustee keeps.
        share: The actual share, in per cent; None to derive it from the returned units.
        reported: The units that the trustee reports.
    """
    outcome = None if amount is None else Investment.parameters.growth * amount
    if outcome and share is not None:
        returned = outcome * share / 100 if returned is None else returned
        kept = outcome - returned if kept is None else kept
    if outcome and share is None and returned is not None:
        is_promised = promised is not None and abs(returned - outcome * promised / 100) < CENT
        share = promised if is_promised else 100 * returned / outcome
    gained = None if returned is None or amount is None else returned - amount
    numbers = {
        "first_payoff": gained,
        "second_payoff": kept,
        "promised_share": promised,
        "amount": amount,
        "outcome": outcome,
        "actual_share": share,
        "reported_outcome": reported,
    }
    return {
        "accepted": True,
        "first_cooperated": True,
        "second_cooperated": None if share is None or promised is None else share >= promised,
        **{name: None if number is None else float(number) for name, number in numbers.items()},
    }


def parts_differ(row: Mapping[str, Any]) -> bool:
    """Whether the two parts of a deal do not sum to the doubled amount."""
    if not row["accepted"] or None in (row["outcome"], row["first_payoff"], row["second_payoff"]):
        return False
    return abs(float(row["first_payoff"] + row["amount"] + row["second_payoff"] - row["outcome"])) > 1e-6


def _told(accepted: Sequence[Mapping[str, Any]], first: str, second: str) -> list[tuple[float, float]]:
    """Return two facts of each encounter that has both."""
    pairs = ((facts[first], facts[second]) for facts in accepted)
    return [(a, b) for a, b in pairs if a is not None and b is not None]


def _exact(number: float) -> Decimal:
    """Return a number of a reply with the digits of its shortest form."""
    return Decimal(repr(number))


def _money(units: Decimal) -> Decimal:
    """Round an amount in units down to the hundredth."""
    return units.quantize(CENT, rounding=ROUND_DOWN)


PROMISES = (30, 40, 50, 60, 70, 80, 90)
"""The promises that a trustee of the rules backend considers, in per cent for the investor."""


@answers(ProposePlan)
def propose_plan(question: ProposePlan, mind: Mind) -> PlanAnswer:
    """Weigh the trustee's own share against the chance of acceptance, by logit choice over some splits.

    The investor is assumed to trust the promise.
    """
    growth = float(question.parameters.growth)
    values = [(1 - promise / 100) * growth * mind.accepts(growth * promise / 100 - 1) for promise in PROMISES]
    weights = [math.exp(mind.rules.precision * (value - max(values))) for value in values]
    promise = mind.random.choices(PROMISES, weights)[0]
    return PlanAnswer(reason=f"{promise} % should be enough to win the investor.", investor_share=promise)


@answers(Invest)
def invest(question: Invest, mind: Mind) -> InvestAnswer:
    """Accept if a unit is expected to return more than a unit, and invest more the more it is expected to return."""
    trust = mind.expects_cooperation(question.trustee_opinion, question.events, question.heard)
    gain = float(question.parameters.growth) * question.promised / 100 * (trust + (1 - trust) * SKIMMED) - 1
    accepted = mind.chooses(gain)
    amount = max(float(CENT), math.floor(float(question.resources) * mind.accepts(gain) * 100) / 100)
    return InvestAnswer(
        reason=f"I expect the promise to be kept with probability {trust:.2f}, and {gain:+.2f} units for each.",
        decision=Deal.ACCEPT if accepted else Deal.REFUSE,
        amount=amount if accepted else 0.0,
    )


@answers(Allocate)
def allocate(question: Allocate, mind: Mind) -> AllocationAnswer:
    """Weigh the gain of cheating, per unit invested, against the loss of reputation, if there is one.

    A cheat reports an outcome that makes its split look like the promised one.
    """
    growth, promised = float(question.parameters.growth), question.promised / 100
    advantage = -growth * promised * (1 - SKIMMED)
    if question.investor_opinion is not None:
        advantage += mind.expects_cooperation(question.investor_opinion, ()) * mind.values_reputation(growth)
    if mind.is_altruist:
        advantage += mind.rules.altruism * growth * promised * (1 - SKIMMED)
    if mind.chooses(advantage):
        return keep_promise(question)
    return AllocationAnswer(
        reason="I keep more than I promised.",
        investor_share=question.promised * SKIMMED,
        reported_outcome=float(question.outcome) * SKIMMED,
    )


@plays(FixedPolicy.ALWAYS_COOPERATE, ProposePlan)
@plays(FixedPolicy.ALWAYS_DEFECT, ProposePlan)
@plays(FixedPolicy.TIT_FOR_TAT, ProposePlan)
def promise_evenly(question: ProposePlan) -> PlanAnswer:
    """Promise an even split of the gain, or all if there is none; policies differ in whether they keep the promise."""
    growth = float(question.parameters.growth)
    return PlanAnswer(
        reason="Both of us should gain the same.",
        investor_share=100 * (growth + 1) / (2 * growth) if growth > 1 else 100.0,
    )


@plays(FixedPolicy.ALWAYS_COOPERATE, Invest)
def always_invest(question: Invest) -> InvestAnswer:
    """Accept any promise and invest everything: full cooperation in a trust game."""
    return InvestAnswer(reason="I always trust.", decision=Deal.ACCEPT, amount=float(question.resources))


@plays(FixedPolicy.ALWAYS_DEFECT, Invest)
def never_invest(question: Invest) -> InvestAnswer:
    """Refuse any promise."""
    return InvestAnswer(reason="I never trust.", decision=Deal.REFUSE, amount=0.0)


@plays(FixedPolicy.TIT_FOR_TAT, Invest)
def invest_unless_cheated(question: Invest) -> InvestAnswer:
    """Invest everything, unless this trustee broke its promise in their last deal.

    A refused trustee cannot make up for it: it is refused until that deal is no longer among the encounters shown.
    """
    if reciprocates(question.trustee, question.events):
        return InvestAnswer(
            reason="I trust until I am cheated.", decision=Deal.ACCEPT, amount=float(question.resources)
        )
    return InvestAnswer(reason="You broke your last promise to me.", decision=Deal.REFUSE, amount=0.0)


@plays(FixedPolicy.ALWAYS_COOPERATE, Allocate)
@plays(FixedPolicy.TIT_FOR_TAT, Allocate)
def keep_promise(question: Allocate) -> AllocationAnswer:
    """Keep the promise and report the truth; tit for tat treats the investment as the act to reciprocate."""
    return AllocationAnswer(
        reason="I keep my promise.", investor_share=question.promised, reported_outcome=float(question.outcome)
    )


@plays(FixedPolicy.HONEST_DEFECTOR, Allocate)
def keep_everything_and_say_so(question: Allocate) -> AllocationAnswer:
    """Keep everything, and report the true outcome."""
    return AllocationAnswer(reason="I keep everything.", investor_share=0.0, reported_outcome=float(question.outcome))


@plays(FixedPolicy.ALWAYS_DEFECT, Allocate)
def keep_everything(question: Allocate) -> AllocationAnswer:
    """Keep everything, and report an outcome of zero."""
    return AllocationAnswer(reason="I always keep everything.", investor_share=0.0, reported_outcome=0.0)
