"""The form of a game: what two agents decide when they meet, and what comes of it.

A game is one file: its rules as a prompt, its own questions, and a subclass of `Game` that plays one encounter.
Pairing, evaluation, reputation, rewiring and gossip are stages that all games share; a game knows nothing of them
or of the mode. Register a game of your own with `register`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar, Protocol

from repunet_model.memory import Event
from repunet_model.network import SocialNetwork
from repunet_model.personas import Disposition
from repunet_model.questions.base import Answer, Opinion, Question
from repunet_model.storage.schema import Column


class Resident(Protocol):
    """An agent on its own, as a game sees it in a public round."""

    @property
    def name(self) -> str:
        """The agent's name."""

    @property
    def declared(self) -> bool | None:
        """What the agent chose in the last public round; None before the first."""

    @property
    def own_opinion(self) -> Opinion | None:
        """The agent's reputation in its own eyes; None in a run without reputation."""

    async def ask[A: Answer](self, question: Question[A], *, turn: int = 0) -> A:
        """Ask the agent.

        Args:
            question: The question.
            turn: Which turn of a dialogue it is, where the same is asked more than once.
        """


class Player(Resident, Protocol):
    """One side of an encounter, as a game sees it: what the agent may know, and a way to ask it about its partner."""

    @property
    def partner(self) -> str:
        """The other's name."""

    @property
    def partner_declared(self) -> bool | None:
        """What the partner chose in the last public round; None before the first."""

    @property
    def resources(self) -> Decimal:
        """What the agent owns."""

    @property
    def dialogue_turns(self) -> int:
        """Most turns of a dialogue."""

    @property
    def shuns_partner(self) -> bool:
        """Whether the agent has the partner, in its role, on its blacklist."""

    @property
    def partner_opinion(self) -> Opinion | None:
        """What the agent thinks of the partner; None in a run without reputation."""

    def last_events(self, count: int) -> tuple[Event, ...]:
        """The agent's last encounters in its present role, with anybody."""


@dataclass(frozen=True, slots=True)
class Account:
    """What an encounter was to one side.

    Attributes:
        payoff: What the side gained, in units of resources; negative for a loss.
        cooperated: Whether it cooperated; None where it had no choice.
        text: What happened, in the words of that side ("You ...").
    """

    payoff: Decimal
    cooperated: bool | None
    text: str


class Course(StrEnum):
    """How far an encounter went, which decides what both sides think about afterwards."""

    COMPLETED = "completed"  # it took place in full: everything
    REFUSED = "refused"  # one side turned it down: a tie may be cut, and one may gossip
    NOT_HELD = "not held"  # it did not come about: it is remembered, and that is all


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an encounter.

    Attributes:
        accounts: What it was to the first and to the second side.
        course: How far it went.
        facts: What was decided, for the table of interactions; plain data.
    """

    accounts: tuple[Account, Account]
    course: Course
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Declaration:
    """A public choice.

    Attributes:
        cooperated: Whether the agent cooperates.
        reason: Why, as the agent says.
    """

    cooperated: bool
    reason: str


class Society(Protocol):
    """What a game may know of the society as a whole, for the background of a reputation."""

    def mutual_ties(self, name: str) -> int:
        """How many others an agent and they are bound to each other."""

    def completed_share(self, name: str) -> float | None:
        """Share of an agent's encounters that took place in full; None before the first."""

    def mean_mutual_ties(self) -> float:
        """The mean of `mutual_ties` over all agents."""

    def mean_completed_share(self) -> float | None:
        """The mean of `completed_share` over all agents that have met anybody; None before that."""


class Game(ABC):
    """A social dilemma for two.

    Attributes:
        name: The name by which a run asks for it.
        title: The name for people.
        roles: The role of the side that chooses its partner, and of the side that is chosen.
        rules: The rules as a prompt: the name of a packaged template, or a template itself.
        dispositions: The words with which a persona of each disposition begins; by default those in `seeds/`.
        facts: The columns that an outcome adds to the table of interactions, by the names of `Outcome.facts`.
        rates: The names of what `measure` returns; the first is "cooperation_rate".
        choices: The questions that make the cooperative choice, for planted agents (`backends.policies`); without
            them the game has none.
        random_pairs: Whether pairs are random even with reputation.
        has_rounds: Whether everybody declares a choice in public in steps 1, 6, 11, ...
        publishes_evaluations: Whether evaluations are public observations, which everybody takes in with
            reputation and gossip in steps 6, 11, ...
    """

    name: ClassVar[str]
    title: ClassVar[str]
    roles: ClassVar[tuple[str, str]]
    rules: ClassVar[str]
    dispositions: ClassVar[Mapping[Disposition, str]] = {}
    facts: ClassVar[Mapping[str, Column]]
    rates: ClassVar[tuple[str, ...]] = ("cooperation_rate",)
    choices: ClassVar[tuple[type[Question[Any]], ...]] = ()
    random_pairs: ClassVar[bool] = False
    has_rounds: ClassVar[bool] = False
    publishes_evaluations: ClassVar[bool] = False

    def may_pick(self, network: SocialNetwork, chooser: str) -> list[str]:
        """Return those a chooser may pick from by their reputation: by default those it is bound to."""
        return network.bound_to(chooser, self.roles[1])

    async def declare(self, resident: Resident) -> Declaration:
        """Ask an agent for its public choice; only for a game that has rounds."""
        raise NotImplementedError(f"{self.name} has no public rounds")

    @abstractmethod
    async def play(self, first: Player, second: Player) -> Outcome:
        """Let two agents meet. Nothing is changed: the outcome says what is to change."""

    def background(self, society: Society, subject: str, *, is_self: bool) -> str:
        """Return what a record of a subject also weighs, in words; empty by default."""
        return ""

    def measure(self, outcomes: Sequence[Outcome], declared: Sequence[bool | None]) -> dict[str, float | None]:
        """Return the rates of a step.

        Args:
            outcomes: What came of each encounter.
            declared: What each agent chose in the last public round.

        Returns:
            By default cooperations / choices of the step; None if nobody had a choice.
        """
        acts = [account.cooperated for outcome in outcomes for account in outcome.accounts]
        return {"cooperation_rate": share(act for act in acts if act is not None)}


def share(acts: Iterable[bool]) -> float | None:
    """Return the share of acts that are true; None without any."""
    found = list(acts)
    return sum(found) / len(found) if found else None
