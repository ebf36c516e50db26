"""The reputation records of a published run, with those that they replaced."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from repunet_model.reference_layout.files import Entry, Person, plain
from repunet_model.reference_layout.history import History
from repunet_model.reference_layout.words import CAUSES, PUBLISHED, key_of
from repunet_model.reputation import LEVELS, Cause, ReputationRecord, with_sum_1
from repunet_model.storage import Row
from repunet_model.util.text import first_problem

_COLUMNS = {"ID", "scenario", "role", "name", "content"}
"""The keys of a record that an export writes from the columns of the table."""


@dataclass
class Records:
    """The records of a published run; encounters and gossip tell their steps and sources."""

    history: History

    def __post_init__(self) -> None:
        """Look up what every method needs."""
        self.report = self.history.report

    def rows(self) -> list[Row]:
        """Return all records with their steps, by holder, subject and role, the oldest first."""
        return [row for person in self.history.published.last.people for row in self._held(person)]

    def _held(self, person: Person) -> Iterator[Row]:
        """Yield an agent's records by subject and role, the oldest first."""
        last = self.history.published.step
        replaced: dict[str, list[tuple[int, int, Any]]] = defaultdict(list)
        for key, data in person.old_records.items():
            where = f"{person.name}/out_of_date_reputation_database.json, {key[:80]}"
            found = re.fullmatch(r"(.+)_pre_(\d{1,9})(?:_(\d{1,9}))?", key, re.ASCII)
            if found is None or found[1] not in person.records:
                self.report.say(where, "replaces nothing", "left out")
                continue
            when = int(found[2])
            if not 1 <= when <= last:
                self.report.say(where, f"was replaced in step {when}, which is not there", f"taken as step {last}")
                when = last
            replaced[found[1]].append((when, int(found[3] or 1), data))
        for key, present in person.records.items():
            history = sorted(replaced[key], key=lambda item: item[:2])
            step: int | None = None
            reason = None
            for until, _, data in [*history, (None, 1, present)]:
                row = self._record(person, key, data, is_present=until is None)
                if row is not None:
                    yield {**self._origin(person.name, row, step, reason, until or last), **row}
                step, reason = until, data.get("reason") if isinstance(data, dict) else None

    def _origin(self, holder: str, row: Row, step: int | None, reason: Any, until: int) -> Row:
        """Return step, cause and source of a record, given step and reason of its predecessor's replacement.

        A first record has no predecessor: it was written when the holder first met or heard of the subject in the role,
        before the step `until`.
        """
        key = (holder, row["subject"], row["role"])
        heard = [
            each for each in self.history.gossip if (each["listener"], each["subject"], each["subject_role"]) == key
        ]
        cause = CAUSES.get(reason, Cause.UNKNOWN) if isinstance(reason, str) else Cause.UNKNOWN
        if step is None:
            met = self.history.first_met(holder, row["subject"], row["role"])
            told = min((message["step"] for message in heard), default=None)
            step = min((each for each in (met, told) if each is not None and each <= until), default=until)
            if step == met != told:
                cause = Cause.EXPERIENCE
            elif step == told != met and reason is None:
                order = min(message["order"] for message in heard if message["step"] == step)
                cause = Cause.FIRST_ORDER_GOSSIP if order == 1 else Cause.SECOND_ORDER_GOSSIP
            basis = "the step in which the holder first met or heard of the subject in that role"
            if step not in (met, told):
                basis = "the step in which it was replaced or, without that, the last one"
            where = f"{holder}/reputation_database.json, {row['subject']} as {row['role']}"
            self.report.say(where, "a first record does not tell its step and cause", f"taken as of {basis}")
        order = {Cause.FIRST_ORDER_GOSSIP: 1, Cause.SECOND_ORDER_GOSSIP: 2}.get(cause)
        sources = {message["gossiper"] for message in heard if (message["step"], message["order"]) == (step, order)}
        source = sources.pop() if len(sources) == 1 else ""
        return {"step": step, "holder": holder, "cause": cause.value, "source": source}

    def _record(self, person: Person, key: str, data: Any, *, is_present: bool) -> Row | None:
        """Parse a record; if it is invalid, report that and return None."""
        where = f"{person.name}/{'' if is_present else 'out_of_date_'}reputation_database.json, {key[:80]}"
        number = {other.name: other.scratch.number for other in self.history.published.last.people}
        try:
            entry = Entry.model_validate(data)
            role = entry.role.lower()
            is_known = entry.name in number and role in self.history.game.roles
            if not is_known or key_of(role, number[entry.name]) != key:
                raise ValueError(f"it is of {entry.name!r} as {entry.role!r}")
            numbers = _numbers(entry.numbers)
            record = ReputationRecord(entry.name, role, entry.content, with_sum_1(numbers))
        except (ValidationError, ValueError) as error:
            what = first_problem(error) if isinstance(error, ValidationError) else str(error)
            done = "left out; the last readable one before it stands, if any" if is_present else "left out"
            self.report.say(where, what, done)
            return None
        if list(record.distribution) != numbers:
            total = f"five numbers sum to {round(math.fsum(numbers), 9):g}, not to 1"
            self.report.say(where, total, "kept with the published score, and the difference counted as neutral")
        kept = {name: plain(value) for name, value in data.items() if name not in _COLUMNS}
        return {**record.to_dict(), PUBLISHED: kept}


def _numbers(data: Any) -> list[float]:
    """Parse five numbers; raise ValueError if they are not five in [0, 1]."""
    if isinstance(data, str):
        inside = data.strip().removeprefix("(").removeprefix("[").removesuffix(")").removesuffix("]")
        data = [part.strip() for part in inside.split(",")]
    if not isinstance(data, list) or len(data) != len(LEVELS):
        raise ValueError(f"{str(data)[:80]} are not five numbers")
    numbers = [float(part) for part in data]
    if not all(0.0 <= number <= 1.0 for number in numbers):
        raise ValueError(f"{data} leave [0, 1]")
    return numbers
