"""The files of a published step folder: found, read and checked, each entry on its own."""

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
    """Part of a file; what it holds beyond the fields below is ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Meta(_Entry):
    """Who is there, and the step."""

    persona_names: list[str]
    step: Count
    extra: Extra


class Relationship(_Entry):
    """Ties and blacklist: names, or pairs of name and role."""

    bind_list: list[Any]
    black_list: list[Any]


class Scratch(_Entry):
    """What an agent is and owns."""

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
        """The description, whose parts are lines where it is a list."""
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
    """What a listener was told."""

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
    """The files of one agent, as they are."""

    name: str
    scratch: Scratch
    nodes: list[Any]
    records: Mapping[str, Any]
    old_records: Mapping[str, Any]
    gossip: list[Any]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A published step folder.

    Attributes:
        path: The folder.
        meta: The names and the step.
        people: The agents, in the order of the names.
    """

    path: Path
    meta: Meta
    people: list[Person]

    @property
    def names(self) -> list[str]:
        """The names, in order."""
        return self.meta.persona_names

    @property
    def source(self) -> str:
        """The names of the folder and of the one it lies in."""
        return "/".join(self.path.parts[-2:])


@dataclass(slots=True)
class Report:
    """What could not be read exactly, and what was done about it.

    Attributes:
        lines: One for each: file, what, what was done.
    """

    lines: list[str] = field(default_factory=list)

    def say(self, file: str, what: str, done: str) -> None:
        """Add a line."""
        self.lines.append(one_line(f"{file}: {what}; {done}"))


def find_step(path: Path) -> Path:
    """Return the step folder that a path means: itself, or the last one in a run folder.

    Raises:
        ConfigurationError: If there is none.
    """
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
    """Read a step folder.

    Raises:
        ConfigurationError: If a file is missing or damaged, or a name cannot be one.
    """
    meta = _as(Meta, _read(path / "reverie" / "meta.json"), path / "reverie" / "meta.json")
    names = meta.persona_names
    for name in names:
        _check_name(path, name)
    if len(set(names)) != len(names):
        _fail(path / "reverie" / "meta.json", "a name is there twice")
    if len(names) < 2:
        _fail(path / "reverie" / "meta.json", f"{len(names)} persona(s), at least 2 are needed to meet")
    return Snapshot(path, meta, [_person(path, name) for name in names])


def _person(path: Path, name: str) -> Person:
    folder = path / "personas" / name
    memory, reputation = folder / "memory", folder / "reputation"
    scratch = _as(Scratch, _read(memory / "scratch.json"), memory / "scratch.json")
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
    """Check that a name can be a persona's, and that of one folder inside `personas`."""
    where = path / "reverie" / "meta.json"
    try:
        same = TypeAdapter(Label).validate_python(name) == name
    except ValidationError as error:
        _fail(where, f"the name {name[:80]!r} {error.errors()[0]['msg']}")
    if not same or not is_folder_name(name):
        _fail(where, f"the name {name!r} cannot be that of a folder")
    inside = (path / "personas").resolve()
    if (path / "personas" / name).resolve().parent != inside:
        _fail(where, f"the folder of {name!r} leads out of {inside.name}")


def is_folder_name(name: str) -> bool:
    """Tell whether a name can be that of a folder that is seen, here and on other systems."""
    return is_file_name(name) and name.strip(" .") == name


def _of[T: (list[Any], dict[str, Any])](kind: type[T], path: Path) -> T:
    """Read a file that holds a list or an object; the published code leaves out those it does not need."""
    if not path.exists():
        return kind()
    data = _read(path)
    if not isinstance(data, kind):
        _fail(path, f"holds no {'list' if kind is list else 'object'}")
    return data


def _read(path: Path) -> Any:
    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is no number")

    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), parse_float=Decimal, parse_constant=refuse)
    except FileNotFoundError:
        _fail(path, "is missing")
    except (OSError, ValueError, RecursionError) as error:
        _fail(path, f"cannot be read ({error})")


def _as[T: _Entry](kind: type[T], data: Any, path: Path) -> T:
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        _fail(path, first_problem(error))


def _fail(path: Path, what: str) -> NoReturn:
    raise ConfigurationError(f"published layout: {'/'.join(path.parts[-5:])}: {what}")


def file_of(person: Person, name: str) -> str:
    """Return how a file of an agent is called in the report."""
    return f"{person.name}/{name}"


def plain(data: Any) -> Any:
    """Return data of a JSON file with floats for decimal numbers."""
    if isinstance(data, Decimal):
        return float(data)
    if isinstance(data, dict):
        return {name: plain(value) for name, value in data.items()}
    return [plain(value) for value in data] if isinstance(data, list) else data
