"""The reputation records of a published step, with those that they replaced."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from repunet_model.games.base import Game
from repunet_model.reference_layout.files import Entry, Person, Report, Snapshot, plain
from repunet_model.reference_layout.words import CAUSES, key_of
from repunet_model.reputation import LEVELS, Cause, ReputationRecord
from repunet_model.storage import Row
from repunet_model.util.text import first_problem


@dataclass
class Records:
    """The records held after a published step; the gossip messages tell their sources."""

    snapshot: Snapshot
    game: Game
    gossip: list[Row]
    report: Report

    _scaled: int = 0
    _unknown: int = 0

    def rows(self) -> list[Row]:
        """Return all records by holder, subject and role, the oldest first."""
        rows = [row for person in self.snapshot.people for row in self._held(person)]
        if self._scaled:
            what = f"{self._scaled} record(s) sum to 0.95 to 1.05, not to 1"
            self.report.say("reputation_database.json", what, "scaled")
        if self._unknown:
            what = f"{self._unknown} first record(s) do not say step and cause"
            self.report.say("reputation_database.json", what, "step null, cause unknown")
        return rows

    def _held(self, person: Person) -> Iterator[Row]:
        """Yield an agent's records by subject and role, the oldest first."""
        replaced: dict[str, list[tuple[int, int, Any]]] = defaultdict(list)
        for key, data in person.old_records.items():
            found = re.fullmatch(r"(.+)_pre_(\d+)(?:_(\d+))?", key)
            if found is None or found[1] not in person.records:
                file = f"{person.name}/out_of_date_reputation_database.json"
                self.report.say(file, f"{key[:80]!r} replaces nothing", "left out")
            else:
                replaced[found[1]].append((int(found[2]), int(found[3] or 1), data))
        for key, present in person.records.items():
            history = sorted(replaced[key], key=lambda item: item[:2])
            step, reason = None, None
            for until, _, data in [*history, (None, 1, present)]:
                row = self._record(person, key, data, is_present=until is None)
                if row is not None:
                    row = {**self._origin(person.name, row, step, reason), **row}
                    self._unknown += row["step"] is None
                    yield row
                step, reason = until, data.get("reason") if isinstance(data, dict) else None

    def _origin(self, holder: str, row: Row, step: int | None, reason: Any) -> Row:
        """Return step, cause and source of a record from the step and reason of the replacement."""
        cause = CAUSES.get(reason, Cause.UNKNOWN) if isinstance(reason, str) else Cause.UNKNOWN
        order = {Cause.FIRST_ORDER_GOSSIP: 1, Cause.SECOND_ORDER_GOSSIP: 2}.get(cause)
        sources = {
            heard["gossiper"]
            for heard in self.gossip
            if (heard["step"], heard["order"], heard["listener"]) == (step, order, holder)
            and (heard["subject"], heard["subject_role"]) == (row["subject"], row["role"])
        }
        source = sources.pop() if len(sources) == 1 else ""
        return {"step": step, "holder": holder, "cause": cause.value, "source": source}

    def _record(self, person: Person, key: str, data: Any, *, is_present: bool) -> Row | None:
        """Parse a record; if it is invalid, report that and return None."""
        file = f"{person.name}/{'' if is_present else 'out_of_date_'}reputation_database.json"
        number = {other.name: other.scratch.number for other in self.snapshot.people}
        try:
            entry = Entry.model_validate(data)
            role = entry.role.lower()
            if entry.name not in number or role not in self.game.roles or key_of(role, number[entry.name]) != key:
                raise ValueError(f"it is of {entry.name!r} as {entry.role!r}")
            numbers = _distribution(entry.numbers)
            self._scaled += not math.isclose(math.fsum(numbers), 1.0, abs_tol=1e-9)
            total = math.fsum(numbers)
            x1, x2, x3, x4, x5 = numbers if math.isclose(total, 1.0, abs_tol=1e-9) else (x / total for x in numbers)
            record = ReputationRecord(entry.name, role, entry.content, (x1, x2, x3, x4, x5))
        except (ValidationError, ValueError) as error:
            what = first_problem(error) if isinstance(error, ValidationError) else str(error)
            done = "left out; the last readable one before it stands, if any" if is_present else "left out"
            self.report.say(file, f"{key[:80]}: {what}", done)
            return None
        kept = {name: value for name, value in plain(entry.extra).items() if name in {"step", "cause", "source"}}
        return {**record.to_dict(), **kept}


def _distribution(data: Any) -> list[float]:
    """Parse five numbers; raise ValueError if they are not five in [0, 1] with a sum from 0.95 to 1.05."""
    if isinstance(data, str):
        inside = data.strip().removeprefix("(").removeprefix("[").removesuffix(")").removesuffix("]")
        data = [part.strip() for part in inside.split(",")]
    if not isinstance(data, list) or len(data) != len(LEVELS):
        raise ValueError(f"{str(data)[:80]} are not five numbers")
    numbers = [float(part) for part in data]
    total = round(math.fsum(numbers), 9)
    if not all(0.0 <= number <= 1.0 for number in numbers) or not 0.95 <= total <= 1.05:
        raise ValueError(f"{data} sum to {total:g}, outside 0.95 to 1.05, or leave [0, 1]")
    return numbers
