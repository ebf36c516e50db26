"""The backend of planted agents: the rules, but for what a policy of `backends.policies` covers.

Policies that consist of several fixed acts choose between these here; what policies say in gossip is in
`backends.planted_gossip`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

from repunet_model.backends.base import Backend, Request
from repunet_model.backends.mind import Rules
from repunet_model.backends.planted_gossip import TALES
from repunet_model.backends.policies import FixedPolicy, covers, plan_of
from repunet_model.backends.rules import RulesBackend
from repunet_model.errors import ConfigurationError
from repunet_model.questions.base import Answer, Question

_CONSISTS_OF = {
    FixedPolicy.TREMBLING: (FixedPolicy.ALWAYS_COOPERATE, FixedPolicy.ALWAYS_DEFECT),
    FixedPolicy.CLIQUE: (FixedPolicy.ALWAYS_COOPERATE, FixedPolicy.ALWAYS_DEFECT),
    FixedPolicy.HONEST_DEFECTOR: (FixedPolicy.ALWAYS_DEFECT,),
}
"""The fixed acts of which the choices of a policy consist."""

TALKERS = (FixedPolicy.BOOSTER, FixedPolicy.SLANDERER, FixedPolicy.SILENT)
"""The policies that cover gossip alone."""

HAS_ALLIES = (FixedPolicy.CLIQUE, FixedPolicy.BOOSTER)
"""The policies that treat allies differently from others."""

RATE = 0.1
"""The rate at which `trembling` errs by default."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The parameters of a policy beside those of the rules.

    Attributes:
        rate: Of `trembling`: the probability that it does not cooperate, in each choice.
        members: Of `clique` and `booster`: the names of its allies; empty for all agents with the same backend.
    """

    rate: float = RATE
    members: tuple[str, ...] = ()

    NAMES: ClassVar[dict[FixedPolicy, str]] = {
        FixedPolicy.TREMBLING: "rate",
        FixedPolicy.CLIQUE: "members",
        FixedPolicy.BOOSTER: "members",
    }
    """The parameter that a policy has, by policy."""

    @classmethod
    def taken_from(cls, given: dict[str, Any], policy: FixedPolicy) -> Self:
        """Remove the parameter of a policy from values by name, which may be texts, and return it.

        Raises:
            ConfigurationError: If it is invalid.
        """
        name = cls.NAMES.get(policy)
        if name is None or name not in given:
            return cls()
        value = given.pop(name)
        if name == "rate":
            try:
                rate = float(value)
            except (TypeError, ValueError):
                rate = -1.0
            if not 0 <= rate <= 1:
                raise ConfigurationError(f"rate is {value!r:.60}: must be from 0 to 1")
            return cls(rate=abs(rate))
        members = tuple(member.strip() for member in str(value).split("+"))
        if not all(members):
            raise ConfigurationError(f"members is {value!r:.60}: must be names of agents joined by +")
        return cls(members=members)

    def described(self, policy: FixedPolicy) -> dict[str, Any]:
        """Return the parameter of a policy as plain data that `taken_from` takes."""
        match self.NAMES.get(policy):
            case "rate":
                return {"rate": self.rate}
            case "members" if self.members:
                return {"members": "+".join(self.members)}
        return {}


class PlantedBackend(RulesBackend):
    """The rules backend with a fixed policy for the cooperative choice, or for gossip."""

    def __init__(self, policy: FixedPolicy, rules: Rules | None = None, settings: Settings | None = None) -> None:
        super().__init__(rules)
        self.policy = policy
        self.settings = settings or Settings()
        self.description = {
            **self.description,
            "backend": policy.value,
            **self.settings.described(policy),
        }

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Answer by the fixed policy if it covers the question, else by the rules."""
        question = request.question
        planned = plan_of(self.policy, question)
        if planned is None and self.policy in _CONSISTS_OF:
            planned = plan_of(self._act(request), question)
        if planned is not None:
            return question.as_answer(self._reasoned(planned))
        answer = await super().answer(request)
        tale = TALES.get((self.policy, type(question)))
        return answer if tale is None else question.as_answer(tale(question, answer, self._allies(request)))

    def _act(self, request: Request[Any]) -> FixedPolicy:
        """Return the fixed act by which a policy that consists of several makes a choice."""
        match self.policy:
            case FixedPolicy.TREMBLING:
                cooperates = request.random().random() >= self.settings.rate
            case FixedPolicy.CLIQUE:
                cooperates = request.coordinates.about in self._allies(request)
            case _:
                cooperates = False
        return FixedPolicy.ALWAYS_COOPERATE if cooperates else FixedPolicy.ALWAYS_DEFECT

    def _allies(self, request: Request[Any]) -> Collection[str]:
        """Return the names of the allies; none for a policy without."""
        if self.policy not in HAS_ALLIES:
            return ()
        return self.settings.members or request.alike(request.coordinates.agent)

    def _reasoned(self, answer: Answer) -> Answer:
        """Return an answer with a reason that names no act: one that trembles means to cooperate in any case."""
        if self.policy is not FixedPolicy.TREMBLING:
            return answer
        return answer.model_copy(update={"reason": "I mean to cooperate."})


class _Played(Protocol):
    """The part of a game that decides which policies mean something in it."""

    name: ClassVar[str]
    choices: ClassVar[tuple[type[Question[Any]], ...]]
    has_rounds: ClassVar[bool]


def check(answering: Mapping[str, Backend], game: _Played, *, talks: bool, later: Iterable[Backend] = ()) -> None:
    """Check that the policies of all planted agents mean something.

    Args:
        answering: The backend of each agent of a run, by name.
        game: Its game.
        talks: Whether its agents gossip, or report to a public board.
        later: Backends that agents may get during the run.

    Raises:
        ConfigurationError: If a policy means nothing, or names an agent that is not there.
    """
    coming = {id(backend): backend for backend in later}
    agents = Counter(map(id, answering.values()))
    for key, backend in ({id(each): each for each in answering.values()} | coming).items():
        if not isinstance(backend, PlantedBackend):
            continue
        policy, members = backend.policy, backend.settings.members
        if policy in TALKERS and not talks:
            raise ConfigurationError(f"backend {policy.value!r} means nothing without gossip: leave it out, or gossip")
        if not _means_something(policy, game):
            known = [each for each in FixedPolicy if _means_something(each, game) and (talks or each not in TALKERS)]
            remedy = f"choose {' or '.join(known)}" if known else "it has no fixed policies"
            raise ConfigurationError(f"backend {policy.value!r} has no meaning in the game {game.name!r}: {remedy}")
        if policy in HAS_ALLIES and not members and agents[key] == 1 and key not in coming:
            raise ConfigurationError(
                f"backend {policy.value!r}: one agent alone has no allies: give it to others too, or name them, as in "
                f"{policy.value}:members=NAME+NAME"
            )
        for name in members:
            if name not in answering:
                raise ConfigurationError(f"backend {policy.value!r}: members: no agent is called {name!r}")


def _means_something(policy: FixedPolicy, game: _Played) -> bool:
    """Return whether a policy means something in a game whose agents gossip."""
    if policy in TALKERS:
        return True
    if policy is FixedPolicy.CLIQUE and game.has_rounds:
        return False  # A public choice has no partner.
    acts = _CONSISTS_OF.get(policy, (policy,))
    return bool(game.choices) and all(covers(act, choice) for choice in game.choices for act in acts)
