"""Assessments: who is in bad standing in whose eyes, for agents that follow a norm.

Everybody begins in good standing. An assessment belongs to an agent, or is shared by all public followers of a norm.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from repunet_model.backends.norm_follower import Assessment, Following
from repunet_model.questions.base import Standing

Holder = tuple[Assessment, str]
"""Whose assessment: (public, the name of the norm) or (private, the name of the agent)."""


class Assessments:
    """The standings of all agents in the eyes of all holders of an assessment."""

    def __init__(self) -> None:
        self._bad: dict[Holder, set[str]] = {}

    def is_good(self, holder: Holder, subject: str) -> bool:
        """Whether an agent is in good standing."""
        return subject not in self._bad.get(holder, ())

    def standing(self, follows: Following, agent: str, partner: str) -> Standing:
        """Return the standings of an agent that follows a norm, and of its partner, in its eyes."""
        holder = follows.holder(agent)
        return Standing(self.is_good(holder, agent), self.is_good(holder, partner))

    def set(self, holder: Holder, subject: str, *, is_good: bool) -> None:
        """Set the standing of an agent."""
        bad = self._bad.setdefault(holder, set())
        (bad.discard if is_good else bad.add)(subject)

    def stored(self) -> dict[str, dict[str, list[str]]]:
        """Return the names of the bad by holder, by kind of assessment; empty if nobody is bad."""
        found: dict[str, dict[str, list[str]]] = {}
        for kind, name in sorted(holder for holder, bad in self._bad.items() if bad):
            found.setdefault(kind.value, {})[name] = sorted(self._bad[kind, name])
        return found

    def restore(self, stored: Mapping[str, Mapping[str, Iterable[str]]]) -> None:
        """Set the standings from what `stored` returned."""
        self._bad = {
            (Assessment(kind), name): set(bad) for kind, holders in stored.items() for name, bad in holders.items()
        }
