"""The form of a game: what two agents decide when they meet, and what comes of it.

A game is one file: its rules as a prompt, its own questions, and a subclass of `Game` that plays one encounter.
Pairing, evaluation, reputation, rewiring and gossip are stages that all games share; a game knows nothing of them
or of the mode. Register a game of your own with `register`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, Protocol

from repunet_model.memory import Event
from repunet_model.network import SocialNetwork
from repunet_model.questions.base import Answer, Opinion, Question


class Player(Protocol):
    """One side of an encounter, as a game sees it: what the agent may know, and a way to ask it."""

    @property
    def name(self) -> str:
        """The agent's name."""

    @property
    def partner(self) -> str:
        """The other's name."""

    @property
    def resources(self) -> Decimal:
        """What the agent owns."""

    @property
    def own_opinion(self) -> Opinion | None:
        """The agent's reputation in its own eyes; None in a run without reputation."""

    @property
    def partner_opinion(self) -> Opinion | None:
        """What the agent thinks of the partner; None in a run without reputation."""

    def last_events(self, count: int) -> tuple[Event, ...]:
        """The agent's last encounters, with anybody."""

    async def ask[A: Answer](self, question: Question[A]) -> A:
        """Ask the agent about its partner."""


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


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an encounter.

    Attributes:
        accounts: What it was to the first and to the second side.
        completed: Whether the interaction took place in full; only then may a new tie be made.
        facts: What was decided, for the table of interactions; plain data.
    """

    accounts: tuple[Account, Account]
    completed: bool
    facts: Mapping[str, Any]


class Game(ABC):
    """A social dilemma for two.

    Attributes:
        name: The name by which a run asks for it.
        title: The name for people.
        roles: The role of the side that chooses its partner, and of the side that is chosen.
        rules: The rules as a prompt: the name of a packaged template, or a template itself.
        facts: What an outcome says of the decisions: the names of `Outcome.facts`.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    roles: ClassVar[tuple[str, str]]
    rules: ClassVar[str]
    facts: ClassVar[tuple[str, ...]]

    def may_pick(self, network: SocialNetwork, chooser: str) -> list[str]:
        """Return those a chooser may pick from by their reputation: by default those it is bound to."""
        return network.bound_to(chooser, self.roles[1])

    @abstractmethod
    async def play(self, first: Player, second: Player) -> Outcome:
        """Let two agents meet. Nothing is changed: the outcome says what is to change."""

    def cooperation_rate(self, outcomes: Iterable[Outcome]) -> float | None:
        """Return cooperations / choices of one step; None if nobody had a choice."""
        acts = [account.cooperated for outcome in outcomes for account in outcome.accounts]
        choices = [act for act in acts if act is not None]
        return sum(choices) / len(choices) if choices else None
