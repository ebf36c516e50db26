"""Ties and blacklists of the published layout, by the rules in the docstring of `reader`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from repunet_model.network import BLACKLIST_LENGTH, SocialNetwork
from repunet_model.reference_layout.files import Person, Snapshot
from repunet_model.reference_layout.history import History


@dataclass(frozen=True, slots=True)
class Ties:
    """The ties of a published step folder."""

    step: int
    snapshot: Snapshot
    history: History

    def network(self) -> SocialNetwork:
        """Return the network of ties and blacklists."""
        network = SocialNetwork(self.snapshot.meta.persona_names)
        bare = 0
        for person in self.snapshot.people:
            relations = person.scratch.relationship
            avoided: list[list[str]] = []
            for entry in relations.black_list:
                for other, role in self._pairs(person, entry, "black_list"):
                    if [other, role] not in avoided:
                        avoided.append([other, role])
                    else:
                        self.history.report.say(self._place(person, other), "is in black_list twice", "kept once")
            for entry in relations.bind_list:
                bare += isinstance(entry, str)
                for other, role in self._pairs(person, entry, "bind_list"):
                    if [other, role] in avoided:
                        where, what = self._place(person, f"{other} ({role})"), "is in bind_list and in black_list"
                        self.history.report.say(where, what, "not bound, as the published code has it")
                    else:
                        network.bind(person.name, other, role)
            data = network.to_dict()
            data["blacklists"][person.name] = avoided[-BLACKLIST_LENGTH:]
            network = SocialNetwork.from_dict(data)
        if bare and len(set(self.history.game.roles)) > 1:
            done = "see the rule for bare names"
            where = f"step_{self.step}, {bare} ties"
            self.history.report.say(where, "bare names without a role", done)
        return network

    def _pairs(self, person: Person, entry: Any, of: str) -> list[tuple[str, str]]:
        """Return the pairs of name and role that an entry stands for; none if it is invalid."""
        roles, names = self.history.game.roles, self.snapshot.meta.persona_names
        match entry:
            case str(other):
                found = self.history.roles_met(person.name, other, self.step, completed=of == "bind_list")
                chosen = found or [roles[1]]
                if of == "black_list":
                    chosen = chosen[-1:]
                if len(found) != 1 and roles[0] != roles[1] and other in names:
                    evidence = "both roles are possible" if found else "no role is known"
                    what = f"is a bare name in {of}, {evidence}"
                    self.history.report.say(self._place(person, other), what, f"taken as {' and '.join(chosen)}")
            case [str(other), str(role)] if role.lower() in roles:
                chosen = [role.lower()]
            case _:
                where = self._place(person, repr(str(entry)[:80]))
                self.history.report.say(where, f"is no name and no pair of name and role in {of}", "left out")
                return []
        if other == person.name or other not in names:
            what = f"is {'the agent itself' if other == person.name else 'unknown'} in {of}"
            self.history.report.say(self._place(person, repr(other)), what, "left out")
            return []
        return [(other, role) for role in chosen]

    def _place(self, person: Person, other: str) -> str:
        return f"step_{self.step}, {person.name}/scratch.json, {other}"
