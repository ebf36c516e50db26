"""Ties and blacklists of the published layout, by the rules in the docstring of `reader`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from repunet_model.games.base import Game
from repunet_model.mechanism import PUBLISHED
from repunet_model.network import SocialNetwork
from repunet_model.reference_layout.files import Person, Report, Snapshot
from repunet_model.reference_layout.history import History


@dataclass(frozen=True, slots=True)
class Ties:
    """The ties of a published step."""

    snapshot: Snapshot
    game: Game
    history: History
    report: Report

    def network(self) -> SocialNetwork:
        """Return the network of ties and blacklists."""
        network = SocialNetwork(self.snapshot.names)
        bare = 0
        for person in self.snapshot.people:
            relations = person.scratch.relationship
            avoided: list[list[str]] = []
            for entry in relations.black_list:
                for other, role in self._pairs(person, entry, "black_list"):
                    if [other, role] not in avoided:
                        avoided.append([other, role])
                    else:
                        self.report.say(f"{person.name}/scratch.json", f"black_list has {other} twice", "kept once")
            for entry in relations.bind_list:
                bare += isinstance(entry, str)
                for other, role in self._pairs(person, entry, "bind_list"):
                    if [other, role] in avoided:
                        what = f"{other} ({role}) is in bind_list and in black_list"
                        self.report.say(f"{person.name}/scratch.json", what, "not bound, as the published code has it")
                    else:
                        network.bind(person.name, other, role)
            data = network.to_dict()
            data["blacklists"][person.name] = avoided[-PUBLISHED.blacklist_length :]
            network = SocialNetwork.from_dict(data)
        if bare and len(set(self.game.roles)) > 1:
            self.report.say("scratch.json", f"{bare} ties are bare names without a role", "see the rule for bare names")
        return network

    def _pairs(self, person: Person, entry: Any, of: str) -> list[tuple[str, str]]:
        """Return the pairs of name and role that an entry stands for; none if it is invalid."""
        file = f"{person.name}/scratch.json"
        roles = self.game.roles
        match entry:
            case str(other):
                found = self.history.roles_met(person.name, other, completed=of == "bind_list")
                chosen = found or [roles[1]]
                if of == "black_list":
                    chosen = chosen[-1:]
                if len(found) != 1 and roles[0] != roles[1] and other in self.snapshot.names:
                    evidence = "both roles are possible" if found else "no role is known"
                    what = f"{of} has the bare name {other}, {evidence}"
                    self.report.say(file, what, f"taken as {' and '.join(chosen)}")
            case [str(other), str(role)] if role.lower() in roles:
                chosen = [role.lower()]
            case _:
                self.report.say(file, f"{of} has {str(entry)[:80]!r}, no name and no pair of name and role", "left out")
                return []
        if other == person.name or other not in self.snapshot.names:
            what = f"{of} has {other!r}, who is {'itself' if other == person.name else 'unknown'}"
            self.report.say(file, what, "left out")
            return []
        return [(other, role) for role in chosen]
