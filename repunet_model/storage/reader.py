"""Readers of steps, stored or in memory; stored files are read on first use, and compared with their hashes.

Everything that reads stored runs uses `StepReader`: the chronicle, `load_run`, tables of results, `show`, reports,
exports and replays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self, cast

from repunet_model.memory import Event, Heard
from repunet_model.network import SocialNetwork
from repunet_model.personas import Persona, Population, validated
from repunet_model.reputation import Cause, RecordUpdate, ReputationRecord
from repunet_model.storage.folder import RunFolder, understood
from repunet_model.storage.manifest import Manifest
from repunet_model.storage.roster import Roster
from repunet_model.storage.schema import (
    CALLS,
    EVENTS,
    GOSSIP,
    RECORDS,
    TABLES,
    TURNOVER,
    CallRow,
    GossipRow,
    RecordRow,
    Row,
    State,
    StepLog,
    Table,
    asked,
)


class Step:
    """A step of a run: the rows it added and the state after it, read on first use.

    Step 0 is the society before its first step.

    State, measures, usage and the tables that `rows` has returned are cached; records, events and calls are streamed.
    """

    def __init__(self, number: int, document: Callable[[str], Any], table: Callable[[str], Iterable[Any]]) -> None:
        """Create a step; `document` returns its state, metrics or usage, and `table` the rows of a table, by name."""
        self.number = number
        self._document = document
        self._table = table
        self._tables: dict[str, list[Any]] = {}

    @classmethod
    def made(
        cls,
        number: int,
        state: State,
        measures: Mapping[str, float | None],
        usage: Mapping[str, Row],
        log: StepLog,
        calls: Callable[[], Iterable[CallRow]],
    ) -> Self:
        """Create a step in memory; usage is by question, and `calls` returns the rows of its calls."""
        documents: dict[str, Any] = {"state": state, "metrics": measures, "usage": usage}
        return cls(number, documents.__getitem__, lambda name: calls() if name == CALLS.name else log.named(name))

    def write_to(self, folder: RunFolder) -> None:
        """Write the step to a run folder.

        Raises:
            StorageError: If it cannot be written.
        """
        documents = {name: self._document(name) for name in ("state", "metrics", "usage")}
        rows = {name: self._table(name) for name in TABLES}
        tables = {name: rows[name] for name, table in TABLES.items() if table.is_in_every_step or rows[name]}
        folder.write_step(self.number, documents, tables)

    @cached_property
    def state(self) -> State:
        """The state after the step."""
        return cast("State", self._document("state"))

    @cached_property
    def measures(self) -> Mapping[str, float | None]:
        """The measures of the step; none for step 0."""
        return cast("dict[str, float | None]", self._document("metrics")) if self.number else {}

    @cached_property
    def usage(self) -> Mapping[str, Row]:
        """The usage of the step, by question; none for step 0."""
        return cast("dict[str, Row]", self._document("usage")) if self.number else {}

    def rows[R: Mapping[str, Any]](self, table: Table[R]) -> list[R]:
        """Return the rows that the step added to a table."""
        if table.name not in self._tables:
            self._tables[table.name] = list(self._table(table.name))
        return self._tables[table.name]

    def updates(self) -> Iterator[tuple[str, RecordUpdate]]:
        """Yield the records that were written, each with the name of its holder."""
        rows: Iterable[RecordRow] = self._table(RECORDS.name)
        return ((row["holder"], update_of(row, self.number)) for row in rows)

    def events(self) -> Iterator[tuple[str, Event]]:
        """Yield the remembered encounters, each with the name of the agent."""
        for row in self._table(EVENTS.name):
            yield row["agent"], Event.from_dict({name: value for name, value in row.items() if name != "agent"})

    def heard(self) -> Iterator[tuple[str, Heard]]:
        """Yield the messages of gossip, each with the name of its listener."""
        rows: Iterable[GossipRow] = self._table(GOSSIP.name)
        return ((row["listener"], heard_in(row)) for row in rows)

    def asked(self) -> Iterator[CallRow]:
        """Yield a row for each answered question; a compound call yields its parts."""
        return asked(self._table(CALLS.name))

    @property
    def network(self) -> SocialNetwork:
        """Ties and blacklists after the step."""
        return SocialNetwork.from_dict(self.state["network"])


def update_of(row: RecordRow, step: int) -> RecordUpdate:
    """Return the ledger update of a row of records."""
    return RecordUpdate(step, Cause(row["cause"]), row["source"], ReputationRecord.from_dict(row))


def heard_in(row: GossipRow) -> Heard:
    """Return a row of gossip as its listener remembers it."""
    return Heard(
        row["gossiper"],
        row["subject"],
        row["subject_role"],
        row["summary"],
        positive=row["tone"] == "positive",
        credibility=row["credibility"],
    )


class StepReader:
    """A reader of a stored run.

    Attributes:
        folder: Its folder.
        manifest: Its manifest.
        last: The last step to read.
    """

    def __init__(self, folder: RunFolder, last: int | None = None) -> None:
        """Read the manifest of a run, and check that its last step, or the given one, is stored.

        Raises:
            ConfigurationError: If the step is not stored.
            StorageError: If the run cannot be read.
        """
        self.folder = folder
        self.manifest: Manifest = folder.manifest()
        if last is not None:
            folder.check_step(last)
        self.last = folder.steps()[-1] if last is None else last

    @classmethod
    def open(cls, path: Path, last: int | None = None) -> Self:
        """Open a stored run, up to a step or to its last one.

        Raises:
            ConfigurationError: If the run or the step does not exist.
            StorageError: If it cannot be read.
        """
        return cls(RunFolder.open(path), last)

    @property
    def name(self) -> str:
        """The name of the run."""
        return self.folder.path.resolve().name

    @cached_property
    def personas(self) -> list[Persona]:
        """The agents before the first step, in the order of the population."""
        with understood(self.folder):
            return validated(self.folder.document(0, "personas"), f"{self.folder.path}, personas")

    def roster(self, last: int | None = None) -> Roster:
        """Return who is present after a step, by default the last one, and who was."""
        with understood(self.folder):
            return Roster.of(self.personas, (row for step in self.steps(1, last) for row in step.rows(TURNOVER)))

    @cached_property
    def population(self) -> dict[str, Any]:
        """The identity of the agents: name, size and hash; derived from the personas if the manifest lacks it."""
        known: dict[str, Any] | None = self.manifest.data.get("population")
        if known is not None:
            return known
        with understood(self.folder):
            learned = {agent["name"]: agent["learned"] for agent in self.step(0).state["agents"]}
            return Population("", self.personas).described(learned)

    def step(self, number: int) -> Step:
        """Return a step.

        Raises:
            ConfigurationError: If it is not stored.
        """
        self.folder.check_step(number)
        return Step(number, partial(self.folder.document, number), partial(self.folder.table, number))

    def steps(self, first: int = 0, last: int | None = None) -> Iterator[Step]:
        """Yield the steps of a range, by default to the last one; the reader keeps none of them in memory."""
        return (self.step(number) for number in range(first, (self.last if last is None else last) + 1))
