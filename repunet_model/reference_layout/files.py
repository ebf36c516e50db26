"""Find, read and validate the files of a published step folder, entry by entry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, NoReturn

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from repunet_model.errors import ConfigurationError
from repunet_model.personas import Label
from repunet_model.reference_layout.words import EXTRA
from repunet_model.util.text import first_problem, is_file_name, one_line

Extra = Annotated[dict[str, Any], Field(alias=EXTRA, default_factory=dict)]
Amount = Annotated[Decimal, Field(allow_inf_nan=False, ge=-(10**15), le=10**15)]
Count = Annotated[int, Field(ge=0)]


class _Entry(BaseModel):
    """An entry of a file; unknown keys are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Meta(_Entry):
    """The names of all agents, and the step."""

    persona_names: list[str]
    step: Count
    extra: Extra


class Relationship(_Entry):
    """Ties and blacklist, as names or as pairs of name and role."""

    bind_list: list[Any]
    black_list: list[Any]


class Scratch(_Entry):
    """The state of an agent."""

    name: str
    learned: str | dict[str, str]
    number: Annotated[int | str, Field(alias="ID")]
    complain_buffer: list[Any] = []
    total_num_investor: Count = 0
    success_num_investor: Count = 0
    total_num_trustee: Count = 0
    success_num_trustee: Count = 0
    total_chat_num: Count = 0
    success_chat_num: Count = 0
    relationship: Relationship
    resources_unit: Amount
    observed: dict[str, Any] = {}
    extra: Extra


class Node(_Entry):
    """One memory."""

    type: str
    subject: str
    predicate: str
    object: str
    description: str | list[str]
    created_at: Count
    conversation: Any = None
    extra: Extra

    @property
    def text(self) -> str:
        """The description; the items of a list are joined as lines."""
        return self.description if isinstance(self.description, str) else "\n".join(self.description)


class Entry(_Entry):
    """One reputation record."""

    name: str
    role: str
    content: str
    numbers: Annotated[Any, Field(alias="numerical record")]
    reason: str | None = None
    extra: Extra


class Message(_Entry):
    """A gossip message that an agent heard."""

    type: str
    subject: Annotated[str, Field(alias="complained name")]
    subject_role: Annotated[str, Field(alias="complained role")]
    gossiper: Annotated[str, Field(alias="gossiper name")]
    origin: Annotated[str, Field(alias="original gossiper name")] = ""
    summary: Annotated[str, Field(alias="gossip info")]
    credibility: Annotated[str, Field(alias="credibility level")]
    created_at: Count
    extra: Extra


@dataclass(frozen=True, slots=True)
class Person:
    """The content of one agent's files."""

    name: str
    scratch: Scratch
    nodes: list[Any]
    records: Mapping[str, Any]
    old_records: Mapping[str, Any]
    gossip: list[Any]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A published step folder; `people` are in the order of the names."""

    path: Path
    meta: Meta
    people: list[Person]

    @property
    def names(self) -> list[str]:
        """The names of the agents."""
        return self.meta.persona_names

    @property
    def source(self) -> str:
        """The name of the step folder, after that of its run."""
        return "/".join(self.path.parts[-2:])


@dataclass(slots=True)
class Report:
    """The import report: one line for each item that could not be read exactly, with file, problem and treatment."""

    lines: list[str] = field(default_factory=list)

    def say(self, file: str, what: str, done: str) -> None:
        """Add a line."""
        self.lines.append(one_line(f"{file}: {what}; {done}"))


def find_step(path: Path) -> Path:
    """Return the path itself if it is a step folder, else the last step folder in it."""
    try:
        path = path.resolve()
        if (path / "reverie" / "meta.json").is_file():
            return path
        steps = {
            int(step.name.removeprefix("step_")): step
            for step in path.glob("step_*")
            if step.name.removeprefix("step_").isdecimal() and (step / "reverie" / "meta.json").is_file()
        }
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from None
    if not steps:
        raise ConfigurationError(f"{path}: no published run or step, there is no reverie/meta.json")
    return steps[max(steps)]


def read_snapshot(path: Path) -> Snapshot:
    """Read a step folder; raise ConfigurationError for a missing or damaged file, or a name no persona can have."""
    file = path / "reverie" / "meta.json"
    meta = _as(Meta, file)
    names = meta.persona_names
    for name in names:
        _check_name(path, name)
    if len(set(names)) != len(names):
        _fail(file, "a name is there twice")
    if len(names) < 2:
        _fail(file, f"{len(names)} persona(s), at least 2 are needed to meet")
    return Snapshot(path, meta, [_person(path, name) for name in names])


def _person(path: Path, name: str) -> Person:
    folder = path / "personas" / name
    memory, reputation = folder / "memory", folder / "reputation"
    scratch = _as(Scratch, memory / "scratch.json")
    if scratch.name != name:
        _fail(memory / "scratch.json", f"is of {scratch.name!r}, not of {name!r}")
    return Person(
        name,
        scratch,
        _of(list, memory / "associative_memory" / "nodes.json"),
        _of(dict, reputation / "reputation_database.json"),
        _of(dict, reputation / "out_of_date_reputation_database.json"),
        _of(list, reputation / "gossip_database.json"),
    )


def _check_name(path: Path, name: str) -> None:
    """Check that a name fits a persona, and names one folder inside `personas`."""
    where = path / "reverie" / "meta.json"
    try:
        same = TypeAdapter(Label).validate_python(name) == name
    except ValidationError as error:
        _fail(where, f"the name {name[:80]!r} {error.errors()[0]['msg']}")
    if not same or not is_folder_name(name):
        _fail(where, f"the name {name!r} cannot be that of a folder")
    if (path / "personas" / name).resolve().parent != (path / "personas").resolve():
        _fail(where, f"the folder of {name!r} leads out of personas")


def is_folder_name(name: str) -> bool:
    """Whether a name can be that of a visible folder on every system."""
    return is_file_name(name) and name.strip(" .") == name


def _of[T: (list[Any], dict[str, Any])](kind: type[T], path: Path) -> T:
    """Read a list or an object from a file; the published code does not write empty ones."""
    if not path.exists():
        return kind()
    data = _read(path)
    if not isinstance(data, kind):
        _fail(path, f"holds no {'list' if kind is list else 'object'}")
    return data


def _read(path: Path) -> Any:
    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not a number")

    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), parse_float=Decimal, parse_constant=refuse)
    except FileNotFoundError:
        _fail(path, "is missing")
    except (OSError, ValueError, RecursionError) as error:
        _fail(path, f"cannot be read ({error})")


def _as[T: _Entry](kind: type[T], path: Path) -> T:
    try:
        return kind.model_validate(_read(path))
    except ValidationError as error:
        _fail(path, first_problem(error))


def _fail(path: Path, what: str) -> NoReturn:
    raise ConfigurationError(f"published layout: {'/'.join(path.parts[-5:])}: {what}")


def plain(data: Any) -> Any:
    """Replace every Decimal in parsed JSON by a float."""
    if isinstance(data, Decimal):
        return float(data)
    if isinstance(data, dict):
        return {name: plain(value) for name, value in data.items()}
    return [plain(value) for value in data] if isinstance(data, list) else data
