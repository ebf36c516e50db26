"""The rows of a stored run: names, columns, types and meaning of every table, and of the state after a step.

A table is one entry here: a typed row and a `Table`. Stages add rows to the log of a step, the log is written to the
run folder, and reading, export and documentation take their columns from here. On disk a row is a JSON object.

A row of `interactions` also holds the facts of its game (`Game.facts`), after the columns that all games share.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Annotated, Any, NotRequired, Self, TypedDict, get_args, get_origin, get_type_hints

from repunet_model.errors import ConfigurationError
from repunet_model.util.text import one_line

Row = dict[str, Any]
"""A JSON object whose keys are not fixed, such as the manifest of a run."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: the type of its non-null values, and their meaning with the unit.

    The type is str, int, float or bool, or list or dict for nested JSON.
    """

    kind: type
    meaning: str


class Table[R: Mapping[str, Any]]:
    """A table of a run: a file of rows in each step folder.

    Attributes:
        name: The name of the table, and of its file.
        meaning: What a row stands for.
        columns: Its columns, in their order.
        is_exported: Whether `export` writes it.
        in_words: Returns a row as a line of text for `show`; None for tables that `show` does not list, or lists in a
            form of its own.
        is_built_in: Whether its rows are those of this package.
        is_in_every_step: Whether every step has a file of it; other tables have one only in steps that add rows.
    """

    def __init__(
        self,
        name: str,
        row: type[R],
        meaning: str,
        *,
        is_exported: bool = True,
        in_words: Callable[[R], str] | None = None,
        is_optional: bool = False,
    ) -> None:
        """Make a table known by its name.

        Args:
            name: The name, an identifier.
            row: The type of its rows, a TypedDict whose fields are annotated with their meaning.
            meaning: What a row stands for.
            is_exported: Whether `export` writes it.
            in_words: Returns a row as a line of text for `show`.
            is_optional: Whether a table of this package has a file only in steps that add rows.

        Raises:
            ConfigurationError: If the name cannot be that of a file, or another file has made a table of this name.
        """
        if not name.isidentifier():
            raise ConfigurationError(f"table {name!r}: must be a name such as punishments")
        if name in TABLES and TABLES[name]._module != row.__module__:
            raise ConfigurationError(f"table {name!r}: another table has this name; rename it")
        self.name = name
        self.meaning = meaning
        self.columns = columns_of(row)
        self.is_exported = is_exported
        self.in_words: Callable[[Any], str] | None = in_words
        self._module: str = row.__module__
        self.is_built_in = self._module.startswith("repunet_model.")
        self.is_in_every_step = self.is_built_in and not is_optional
        TABLES[name] = self

    def columns_with(self, facts: Mapping[str, Column]) -> dict[str, Column]:
        """Return the columns of the table in a run; those of interactions end with the facts of the game."""
        return {**self.columns, **facts} if self is INTERACTIONS else self.columns


TABLES: dict[str, Table[Any]] = {}
"""All tables by name, in the order in which they are written."""


class StepLog:
    """The rows that a step adds to a run, by table, in the order in which they are applied.

    Attributes:
        lapsed: The number of times that an agent wanted to gossip, or to pass gossip on, and had no listener.
    """

    def __init__(self) -> None:
        self._rows: dict[str, list[Any]] = {}
        self.lapsed = 0

    def add[R: Mapping[str, Any]](self, table: Table[R], row: R) -> None:
        """Add a row to a table."""
        self._rows.setdefault(table.name, []).append(row)

    @classmethod
    def by_step(cls, rows: Mapping[Table[Any], Iterable[Row]]) -> Mapping[int, Self]:
        """Return the logs of steps, given rows that name theirs; where a table has no column for it, it is dropped."""
        logs: dict[int, Self] = defaultdict(cls)
        for table, own in rows.items():
            for row in own:
                kept = row if "step" in table.columns else {name: row[name] for name in row if name != "step"}
                logs[row["step"]].add(table, kept)
        return logs

    def rows[R: Mapping[str, Any]](self, table: Table[R]) -> list[R]:
        """Return the rows of a table."""
        return self._rows.get(table.name, [])

    def named(self, name: str) -> list[Any]:
        """Return the rows of a table by its name."""
        return self._rows.get(name, [])


def columns_of(row: type[Any]) -> dict[str, Column]:
    """Return the columns of a TypedDict whose fields are annotated with their meaning."""
    return {name: _column(hint) for name, hint in get_type_hints(row, include_extras=True).items()}


def _column(hint: Any) -> Column:
    """Return the column that an annotated type describes."""
    kind, meaning = get_args(*get_args(hint) if get_origin(hint) is NotRequired else (hint,))
    options = get_args(kind)
    (some,) = [each for each in options if each is not NoneType] if NoneType in options else [kind]
    return Column(get_origin(some) or some, meaning)


class InteractionRow(TypedDict):
    """An encounter. The facts of the game follow these columns."""

    step: Annotated[int, "step of the encounter, from 1"]
    first: Annotated[str, "name of the side that chose its partner"]
    second: Annotated[str, "name of the side that was chosen"]
    course: Annotated[str, "completed, refused, or not held"]
    first_cooperated: Annotated[bool | None, "whether the first side cooperated; null without a choice"]
    second_cooperated: Annotated[bool | None, "whether the second side cooperated; null without a choice"]
    first_payoff: Annotated[float | None, "gain of the first side, in units of resources"]
    second_payoff: Annotated[float | None, "gain of the second side, in units of resources"]
    first_judges_second: Annotated[str | None, "level of the second side's conduct in the eyes of the first"]
    second_judges_first: Annotated[str | None, "level of the first side's conduct in the eyes of the second"]


class EventRow(TypedDict):
    """An encounter as one side remembers it."""

    agent: Annotated[str, "name of the agent that remembers"]
    step: Annotated[int, "step of the encounter"]
    partner: Annotated[str, "name of the other side"]
    role: Annotated[str, "role of the agent"]
    own_cooperated: Annotated[bool | None, "whether the agent cooperated; null without a choice"]
    partner_cooperated: Annotated[bool | None, "whether the partner cooperated; null without a choice"]
    payoff: Annotated[float, "gain of the agent, in units of resources"]
    text: Annotated[str, "the encounter in the agent's words"]


class RecordRow(TypedDict):
    """A reputation record that an agent wrote."""

    holder: Annotated[str, "name of the agent that holds the record"]
    cause: Annotated[str, "reason for the record, such as own experience or first-order gossip"]
    source: Annotated[str, "names of those who told it; empty for own experience"]
    subject: Annotated[str, "name of the agent the record is about"]
    role: Annotated[str, "role of the subject"]
    text: Annotated[str, "the opinion in words"]
    distribution: Annotated[list[float], "probabilities of the five levels, from very bad to very good; they sum to 1"]


class GossipRow(TypedDict):
    """A message of gossip."""

    step: Annotated[int, "step of the message"]
    order: Annotated[int, "1 for first-hand gossip, 2 for gossip that is passed on"]
    gossiper: Annotated[str, "name of the agent that tells it"]
    gossiper_role: Annotated[str, "role of the gossiper"]
    listener: Annotated[str, "name of the agent that hears it"]
    subject: Annotated[str, "name of the agent it is about"]
    subject_role: Annotated[str, "role of the subject"]
    origin: Annotated[str, "name of the agent the gossiper had it from; empty for first-hand gossip"]
    tone: Annotated[str, "positive, neutral or negative"]
    dialogue: Annotated[list[list[str]], "the words of both, as pairs of speaker and text"]
    summary: Annotated[str, "the message in the listener's words"]
    credibility: Annotated[str, "credibility in the eyes of the listener, from very uncredible to very credible"]
    passed_on_to: Annotated[str, "name of the agent the listener passed it on to; empty for nobody"]


class TieRow(TypedDict):
    """A tie that an agent made or cut."""

    agent: Annotated[str, "name of the agent that decides"]
    other: Annotated[str, "name of the agent the tie leads to"]
    role: Annotated[str, "role of the other agent"]
    bound: Annotated[bool, "whether the tie exists afterwards"]


class DeclarationRow(TypedDict):
    """A public choice, in games with public rounds."""

    step: Annotated[int, "step of the public round"]
    agent: Annotated[str, "name of the agent"]
    cooperated: Annotated[bool, "whether the agent cooperates"]
    reason: Annotated[str, "the reason the agent gives in public"]


class ErrorRow(TypedDict):
    """An error: an act, a perception or a message that differs from what was decided, done or told."""

    step: Annotated[int, "step of the error"]
    kind: Annotated[str, "slip, misperception or garble"]
    agent: Annotated[str, "the agent that acted, that perceived, or that told the message; empty: a public assessment"]
    other: Annotated[str, "name of its partner, or of the listener; empty for a public choice, and for an observer"]
    subject: Annotated[str, "name of the agent that acted, or that the message is about"]
    was: Annotated[str, "what was decided, done or told: cooperation or defection, or the tone of the message"]
    became: Annotated[str, "what was done, seen or heard in its place"]


class Notice(TypedDict):
    """A judgement that became public: an evaluation, or a report on the public board."""

    step: Annotated[int, "step of the encounter"]
    by: Annotated[str, "name of the agent that judges"]
    subject: Annotated[str, "name of the agent that is judged"]
    role: Annotated[str, "role of the subject"]
    level: Annotated[str, "level of its conduct"]
    text: Annotated[str, "the judgement in words"]


class TurnoverRow(TypedDict):
    """What an event did to an agent at the start of the step."""

    event: Annotated[str, "the event, as in the parameters of the run"]
    agent: Annotated[str, "name of the agent"]
    kind: Annotated[str, "becomes (another backend answers for it), enters or leaves"]
    becomes: Annotated[str, "name of the backend that answers for it from now on; empty for that of the run"]
    former: Annotated[str, "the name under which the agent left, if it entered under a new one; empty otherwise"]
    persona: Annotated[dict[str, Any] | None, "the persona of an agent that enters"]


def turned_in_words(row: TurnoverRow) -> str:
    """Return a row of events as a sentence."""
    what = {"leaves": "leaves", "enters": "enters"}.get(row["kind"], f"is {row['becomes']} from now on")
    former = f", who was {row['former']}" if row["former"] else ""
    return f"{row['agent']}{former} {what} ({row['event']})"


class CallRow(TypedDict, total=False):
    """An answered question; optional columns are absent where they do not apply."""

    stage: Annotated[str, "stage of the step"]
    agent: Annotated[str, "name of the agent that was asked"]
    question: Annotated[str, "name of the question"]
    about: Annotated[str, "name of the agent the question is about; empty for none"]
    source: Annotated[str, "names of those the matter came from, or the turn of a dialogue"]
    options: Annotated[Mapping[str, Sequence[str]], "order in which the options of each closed choice were named"]
    answer: Annotated[dict[str, Any], "the answer, by field"]
    after: Annotated[list[int], "places of the calls of the step that the call waited for"]
    parts: Annotated[dict[str, list[str]], "for a compound call: question, about and source of each part"]
    request: Annotated[str, "hash of all that the reply may depend on, where a prompt was read"]
    prompt: Annotated[str, "the agent's part of the prompt, where it was read"]
    thought: Annotated[str, "the model's reasoning before its reply, where the endpoint returned it"]


def _error_in_words(row: ErrorRow) -> str:
    who = row["agent"] or "a public assessment"
    towards = f" and {row['other']}" if row["other"] else ""
    about = f", about {row['subject']}" if row["subject"] != row["agent"] else ""
    return f"{row['kind']}: {who}{towards}{about}: {row['was']} became {row['became']}"


INTERACTIONS = Table("interactions", InteractionRow, "an encounter")
EVENTS = Table("events", EventRow, "an encounter as one side remembers it")
RECORDS = Table("records", RecordRow, "a reputation record that was written")
GOSSIP = Table("gossip", GossipRow, "a message of gossip")
TIES = Table("ties", TieRow, "a tie that was made or cut")
DECLARATIONS = Table("declarations", DeclarationRow, "a public choice")
ERRORS = Table("errors", ErrorRow, "an error", in_words=_error_in_words, is_optional=True)
REPORTS = Table(
    "reports",
    Notice,
    "a board report",
    in_words=lambda row: f"{row['by']} on {row['subject']} as {row['role']}: {row['level']}: {one_line(row['text'])}",
    is_optional=True,
)
TURNOVER = Table("turnover", TurnoverRow, "what an event did to an agent", is_optional=True)
CALLS = Table("calls", CallRow, "a question that was answered", is_exported=False)


class AgentState(TypedDict):
    """The state of an agent after a step, without its ledger and its memory, which are rebuilt from the rows."""

    name: Annotated[str, "name of the agent"]
    resources: Annotated[str, "resources in units, as a decimal number"]
    payoff: Annotated[str | None, "gain in the step in units, as a decimal number; null without an encounter"]
    learned: Annotated[dict[str, str], "the text it acts on, by role"]
    declared: Annotated[bool | None, "its last public choice; null before the first"]
    encounters: Annotated[int, "encounters so far"]
    completed: Annotated[int, "encounters that were completed"]
    gossip_heard: Annotated[int, "messages heard so far"]
    gossip_uncredible: Annotated[int, "messages it judged uncredible or very uncredible"]
    planted: NotRequired[Annotated[str, "name of the backend that an event gave it; absent without one"]]


class NetworkState(TypedDict):
    """Ties and blacklists after a step."""

    ties: Annotated[list[tuple[str, str, list[str]]], "agent, other, and the roles in which they are tied"]
    blacklists: Annotated[dict[str, list[list[str]]], "name and role of those each agent avoids"]


class PublicState(TypedDict):
    """What is public after a step, or known to followers of norms; what an institution keeps is there under it."""

    board: Annotated[list[Notice], "evaluations that became public since agents last took them in"]
    images: NotRequired[Annotated[dict[str, int], "under institution=image: the score of each agent that has acted"]]
    reports: NotRequired[Annotated[list[Notice], "under institution=board: the board reports that are shown"]]
    assessments: NotRequired[
        Annotated[
            dict[str, dict[str, list[str]]],
            "who is bad in the eyes of those who follow a norm: by public or private, and by norm or agent; absent "
            "while nobody is",
        ]
    ]


class State(PublicState):
    """The small state after a step."""

    agents: Annotated[list[AgentState], "the agents that are present, in the order of the population"]
    network: Annotated[NetworkState, "ties and blacklists"]
    scores: Annotated[
        dict[str, float], "score of each agent of which something is known: the mean of all records of it"
    ]


def asked(calls: Iterable[CallRow]) -> Iterator[CallRow]:
    """Yield a row for each answered question; a compound call yields its parts, in their order."""
    for call in calls:
        if "parts" not in call:
            yield call
            continue
        for part, (question, about, source) in call["parts"].items():
            if (answer := call["answer"][part]) is not None:
                yield {**call, "question": question, "about": about, "source": source, "answer": answer}
