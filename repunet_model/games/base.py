"""The interface of a game: the decisions of two agents that meet, and their outcome.

A game is one file: its rules as a prompt, its questions, and a subclass of `Game` that plays one encounter. Pairing,
evaluation, reputation, rewiring and gossip are stages that all games share; a game depends on none of them, nor on the
mode. `games.register` adds a game.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, StrEnum
from random import Random
from typing import Any, ClassVar, Protocol, Self

from repunet_model.config import RunConfig
from repunet_model.error_rates import ErrorKind
from repunet_model.errors import ConfigurationError
from repunet_model.games.parameters import GameParameters
from repunet_model.mechanism import Mechanism, Partners
from repunet_model.memory import Event
from repunet_model.network import SocialNetwork
from repunet_model.personas import Disposition
from repunet_model.questions.base import Answer, Opinion, Question, Standing
from repunet_model.questions.encounter import Hearsay
from repunet_model.questions.prompt_sets import PromptSet
from repunet_model.questions.prompts import Prompts
from repunet_model.storage.schema import Column


class Resident(Protocol):
    """An agent without a partner, as a game sees it in a public round."""

    @property
    def name(self) -> str:
        """The agent's name."""

    @property
    def declared(self) -> bool | None:
        """The agent's choice in the last public round; None before the first."""

    @property
    def own_opinion(self) -> Opinion | None:
        """The agent's opinion of itself; None in a run without reputation."""

    async def ask[A: Answer](self, question: Question[A], *, turn: int = 0) -> A:
        """Ask the agent; `turn` distinguishes repetitions of a question in a dialogue."""

    def does(self, cooperates: bool) -> bool:
        """Return whether the agent cooperates if it decided so, or not: the opposite if its hand slips."""

    def words(self, template: str, **facts: Any) -> str:
        """Return a text of the run's prompt set that the agent reads later, such as its account of an encounter."""


class Player(Resident, Protocol):
    """One side of an encounter, as a game sees it: the agent's knowledge, and a way to ask it about its partner."""

    @property
    def partner(self) -> str:
        """The partner's name."""

    @property
    def step(self) -> int:
        """The step of the encounter, from 1."""

    def chance(self, purpose: str) -> Random:
        """Return the random stream of a purpose in this encounter, the same one at each call and for both sides.

        A game that draws by it puts what it drew into `Outcome.facts`.
        """

    @property
    def partner_declared(self) -> bool | None:
        """The partner's choice in the last public round, as the agent sees it; None before the first."""

    @property
    def resources(self) -> Decimal:
        """The agent's resources, in units."""

    @property
    def dialogue_turns(self) -> int:
        """The largest number of turns of a dialogue."""

    @property
    def shuns_partner(self) -> bool:
        """Whether the partner, in its role, is on the agent's blacklist."""

    @property
    def partner_opinion(self) -> Opinion | None:
        """The agent's opinion of the partner; None in a run without reputation."""

    @property
    def partner_gossip(self) -> tuple[Hearsay, ...]:
        """The last gossip about the partner that the agent heard, if the mechanism shows it in choices."""

    @property
    def standing(self) -> Standing | None:
        """The standings of both sides in the agent's eyes; None unless it follows a norm."""

    def sees(self, cooperated: bool) -> bool:
        """Return whether the agent takes its partner for cooperating: the opposite if it misperceives the act."""

    def last_events(self) -> tuple[Event, ...]:
        """Return the agent's last encounters in its present role, with any partner: those a choice may show."""


@dataclass(frozen=True, slots=True)
class PlayerOutcome:
    """An encounter from one side's view.

    Attributes:
        payoff: The gain of the side, in units of resources; negative for a loss.
        cooperated: Whether it cooperated; None without a choice.
        text: The encounter in words addressed to that side ("You ...").
    """

    payoff: Decimal
    cooperated: bool | None
    text: str


class EncounterStatus(StrEnum):
    """The course of an encounter, on which the questions after it depend."""

    COMPLETED = "completed"  # It took place in full; all questions are asked.
    REFUSED = "refused"  # One side refused; a tie may be cut, and each side may gossip.
    NOT_HELD = "not held"  # It did not take place; it is only remembered.


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of an encounter.

    Attributes:
        accounts: The accounts of the first and of the second side.
        course: The course of the encounter.
        facts: The decisions, as plain data for the table of interactions.
    """

    accounts: tuple[PlayerOutcome, PlayerOutcome]
    course: EncounterStatus
    facts: Mapping[str, Any]

    @classmethod
    def of_row(cls, row: Mapping[str, Any], facts: Iterable[str]) -> Self:
        """Reconstruct an outcome, without the words of its accounts, from a row and the names of the game's facts."""
        first, second = (
            PlayerOutcome(Decimal(str(row[f"{side}_payoff"] or 0)), row[f"{side}_cooperated"], "")
            for side in ("first", "second")
        )
        return cls((first, second), EncounterStatus(row["course"]), {name: row[name] for name in facts})


@dataclass(frozen=True, slots=True)
class Declaration:
    """A public choice, and the reason that the agent gives."""

    cooperated: bool
    reason: str


@dataclass(frozen=True, slots=True)
class QuizFact:
    """A fact of a game that a player should know, as a question with a known answer.

    Attributes:
        asks: The question, to be put to a player that reads the rules.
        answer: The answer: a number, or one of the options.
        options: The possible answers of a closed question; empty where the answer is a number.
    """

    asks: str
    answer: Decimal | str
    options: tuple[str, ...] = ()


class SocietyFigures(Protocol):
    """Facts about the society that a game may use in the background of a reputation."""

    def mutual_ties(self, name: str) -> int:
        """Return the number of agents that an agent is mutually tied to."""

    def completed_share(self, name: str) -> float | None:
        """Return the share of an agent's encounters that were completed; None before the first."""

    def mean_mutual_ties(self) -> float:
        """Return the mean of `mutual_ties` over all agents."""

    def mean_completed_share(self) -> float | None:
        """Return the mean of `completed_share` over all agents with an encounter; None without any."""

    def words(self, template: str, **facts: Any) -> str:
        """Return a text of the run's prompt set."""


class Game(ABC):
    """A social dilemma for two.

    Attributes:
        name: The name in the registry.
        title: The name in figures and tables.
        roles: The role of the side that chooses its partner, and of the side that is chosen.
        rules: The rules as a prompt: the name of a packaged template, or the text of a template. It states payoffs by
            `parameters`, as in {{ parameters.reward }}.
        parameters: Payoffs and other constants; a class has the defaults.
        dispositions: The first learned text of a persona of each disposition; by default those in `seeds/`.
        facts: The columns that an outcome adds to the table of interactions, by the names of `Outcome.facts`.
        rates: The names of the values that `measure` returns; the first is "cooperation_rate".
        choices: The questions that make the cooperative choice, for planted agents (`backends.policies`).
        errors: The kinds of errors of acts that mean something: `ErrorKind.SLIP` if the game passes decisions to
            `Resident.does`, `ErrorKind.MISPERCEPTION` if it words accounts by `Player.sees`.
        random_pairs: Whether pairs are random, whatever the mechanism.
        has_rounds: Whether all agents declare a choice in public in steps 1, 6, 11, ...
        publishes_evaluations: Whether evaluations are public: with reputation and gossip, all agents read them in
            steps 6, 11, ...
    """

    name: ClassVar[str]
    title: ClassVar[str]
    roles: ClassVar[tuple[str, str]]
    rules: ClassVar[str]
    dispositions: ClassVar[Mapping[Disposition, str]] = {}
    facts: ClassVar[Mapping[str, Column]]
    rates: ClassVar[tuple[str, ...]] = ("cooperation_rate",)
    choices: ClassVar[tuple[type[Question[Any]], ...]] = ()
    errors: ClassVar[Collection[ErrorKind]] = ()
    parameters: GameParameters = GameParameters()
    random_pairs: ClassVar[bool] = False
    has_rounds: ClassVar[bool] = False
    publishes_evaluations: ClassVar[bool] = False

    def with_parameters(self, given: Mapping[str, object]) -> Self:
        """Return this game with given values of parameters, by name, and defaults for the others.

        Raises:
            ConfigurationError: If a name is unknown or a value is outside its bounds.
        """
        game = copy(self)
        game.parameters = type(self.parameters).read(given, self.name)
        return game

    def caveat(self) -> str:
        """Return what users should know of these parameters, such as that they make no dilemma; empty by default."""
        return ""

    def quiz(self, label: Callable[[Enum], str]) -> tuple[QuizFact, ...]:
        """Return facts by which `probe` asks whether a model understands the rules and payoffs; none by default.

        Args:
            label: Returns what the prompt set calls an option.
        """
        return ()

    def mechanism(self, config: RunConfig) -> Mechanism:
        """Return the switches as they act in a run: what its mode and this game leave without effect is off."""
        acting = config.mechanism.within(reputation=config.reputation, gossip=config.gossip)
        if self.has_random_pairs(acting):
            acting = acting.model_copy(update={"partners": Partners.RANDOM})
        return acting

    def check_errors(self, config: RunConfig) -> None:
        """Check that the errors of a run mean something in this game and in the mode.

        Raises:
            ConfigurationError: If they do not.
        """
        for kind in config.errors.kinds:
            if kind is ErrorKind.GARBLE:
                if not self.mechanism(config).first_order:
                    raise ConfigurationError("errors: garble means nothing without gossip: leave it out, or gossip")
            elif kind not in self.errors:
                known = " and ".join(self.errors) or "no errors of acts"
                raise ConfigurationError(f"errors: {kind} means nothing in the game {self.name!r}, which has {known}")

    def has_random_pairs(self, mechanism: Mechanism) -> bool:
        """Whether pairs are random, whatever the switches of partner choice say: `random_pairs` by default."""
        return self.random_pairs

    def prompts(self, config: RunConfig, chosen: PromptSet | None = None) -> Prompts:
        """Return the prompts of a run; `chosen` is its prompt set, None for the one that the parameters name."""
        chosen = PromptSet.read(config.prompts) if chosen is None else chosen
        return Prompts(self.rules, self.mechanism(config), self.parameters, chosen)

    def may_pick(self, network: SocialNetwork, chooser: str) -> list[str]:
        """Return the agents that a chooser may pick by reputation: by default those it is tied to."""
        return network.bound_to(chooser, self.roles[1])

    async def declare(self, resident: Resident) -> Declaration:
        """Ask an agent for its public choice, in a game with public rounds."""
        raise NotImplementedError(f"{self.name} has no public rounds")

    @abstractmethod
    async def play(self, first: Player, second: Player) -> Outcome:
        """Let two agents meet, without changing them: the outcome is applied later."""

    def background(self, society: SocietyFigures, subject: str, *, is_self: bool) -> str:
        """Return further facts that a record of a subject considers, in words; empty by default."""
        return ""

    def measure(self, outcomes: Sequence[Outcome], declared: Sequence[bool | None]) -> dict[str, float | None]:
        """Return the rates of a step, from its outcomes and the latest public choice of each agent.

        The default is cooperations / choices of the step; None without a choice.
        """
        acts = [account.cooperated for outcome in outcomes for account in outcome.accounts]
        return {"cooperation_rate": share(act for act in acts if act is not None)}


def share(acts: Iterable[bool]) -> float | None:
    """Return the share of acts that are true; None without any."""
    found = list(acts)
    return sum(found) / len(found) if found else None
