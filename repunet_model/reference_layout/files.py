"""Find, read and validate the files of published step folders, entry by entry."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, NoReturn

from pydantic import AliasPath, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from repunet_model.errors import ConfigurationError
from repunet_model.personas import Label
from repunet_model.reference_layout.words import EXTRA
from repunet_model.util.report import Report
from repunet_model.util.text import first_problem, is_folder_name

META = "reverie/meta.json"

Amount = Annotated[Decimal, Field(allow_inf_nan=False, ge=-(10**15), le=10**15)]
Count = Annotated[int, Field(ge=0)]


class _Entry(BaseModel):
    """An entry of a file; unknown keys are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Meta(_Entry):
    """The names of all agents, and the step."""

    persona_names: list[str]
    step: Count
    extra: Annotated[dict[str, Any], Field(alias=EXTRA, default_factory=dict)]


class Scratch(_Entry):
    """The state of an agent; ties and blacklist are names, or pairs of name and role."""

    name: str
    learned: str | dict[str, str]
    number: Annotated[int | str, Field(alias="ID")]
    curr_step: Count | None = None
    complain_buffer: list[Any] = []
    total_num_investor: Count = 0
    success_num_investor: Count = 0
    total_num_trustee: Count = 0
    success_num_trustee: Count = 0
    total_chat_num: Count = 0
    success_chat_num: Count = 0
    bind_list: Annotated[list[Any], Field(validation_alias=AliasPath("relationship", "bind_list"))]
    black_list: Annotated[list[Any], Field(validation_alias=AliasPath("relationship", "black_list"))]
    resources_unit: Amount
    observed: dict[str, Any] = {}

    def by_role(self, roles: Sequence[str]) -> dict[str, str]:
        """Return `learned` by role; raise ConfigurationError if a role has no text."""
        if isinstance(self.learned, str):
            return dict.fromkeys(roles, self.learned)
        missing = [role for role in roles if role not in self.learned]
        if missing:
            raise ConfigurationError(f"{self.name}/scratch.json: `learned` says nothing as {missing[0]}")
        return {role: self.learned[role] for role in roles}


class Node(_Entry):
    """One memory."""

    type: str
    subject: str
    predicate: str
    object: str
    description: str | list[str]
    created_at: Count
    conversation: Any = None

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


@dataclass(frozen=True, slots=True)
class Person:
    """The content of one agent's files; `raw` is that of its scratch.json."""

    name: str
    scratch: Scratch
    raw: Mapping[str, Any]
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

    def person(self, name: str) -> Person:
        """Return an agent."""
        return next(person for person in self.people if person.name == name)


@dataclass(frozen=True, slots=True)
class Published:
    """A published run, or a single step of it.

    Attributes:
        source: The name of the run, followed by that of the step folder if only that is read.
        folders: The step folders by step, those included that cannot be read.
        snapshots: The readable step folders by step. Only the last one has memories, records and gossip, which are
            those of all steps.
    """

    source: str
    folders: Mapping[int, Path]
    snapshots: Mapping[int, Snapshot]

    @property
    def step(self) -> int:
        """The last step."""
        return max(self.snapshots)

    @property
    def last(self) -> Snapshot:
        """The step folder of the last step."""
        return self.snapshots[self.step]

    @property
    def names(self) -> list[str]:
        """The names of the agents."""
        return self.last.meta.persona_names


def read_published(path: Path, report: Report) -> Published:
    """Read a published run or a single step folder.

    Raises:
        ConfigurationError: If there is none, its last step has a missing or damaged file, or a name no persona can
            have.
    """
    try:
        path = path.resolve()
        own = _number(path)
        is_step = (path / META).is_file()
        folders = {
            number: step
            for step in ([path] if is_step else path.glob("step_*"))
            if (number := _number(step)) is not None and (step / META).is_file()
        }
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from None
    if is_step and own is None:
        folders = {_as(Meta, path / META).step: path}
    if not folders:
        raise ConfigurationError(f"{path}: no published run or step, there is no reverie/meta.json")
    *earlier, last = sorted(folders)
    snapshots = {last: _snapshot(folders[last])}
    for step in earlier:
        try:
            snapshots[step] = _snapshot(folders[step])
            if set(snapshots[step].meta.persona_names) != set(snapshots[last].meta.persona_names):
                del snapshots[step]
                raise ConfigurationError("names other agents than the last step")
        except ConfigurationError as error:
            report.say(f"step_{step}", str(error), "read as a step without a folder")
    for step, snapshot in sorted(snapshots.items()):
        _compare(step, snapshot, report)
    whole = [_whole(person, snapshots, report) for person in snapshots[last].people]
    snapshots[last] = Snapshot(folders[last], snapshots[last].meta, whole)
    return Published("/".join(path.parts[-2:]) if is_step else path.name, folders, snapshots)


def _number(step: Path) -> int | None:
    """Return the number in the name of a step folder."""
    found = re.fullmatch(r"step_(\d{1,9})", step.name, re.ASCII)
    return int(found[1]) if found else None


def _snapshot(path: Path) -> Snapshot:
    """Read the state of a step folder, without memories, records and gossip."""
    file = path / META
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
    file = path / "personas" / name / "memory" / "scratch.json"
    raw = _read(file)
    scratch = _as(Scratch, file, raw)
    if scratch.name != name:
        _fail(file, f"is of {scratch.name!r}, not of {name!r}")
    return Person(name, scratch, raw, [], {}, {}, [])


def _compare(step: int, snapshot: Snapshot, report: Report) -> None:
    """Report in what the files of a step folder differ from each other and from its name."""
    here = f"step_{step}"
    if snapshot.meta.step != step:
        report.say(f"{here}/meta.json", f"says step {snapshot.meta.step}", f"step {step} taken, as the folder is named")
    for person in snapshot.people:
        at = person.scratch.curr_step
        if at is not None and at != step:
            report.say(f"{here}, {person.name}", f"is at step {at}, not at {step}", f"taken as of step {step}")
    try:
        folders = sorted(each.name for each in (snapshot.path / "personas").iterdir() if each.is_dir())
    except OSError as error:
        _fail(snapshot.path / "personas", f"cannot be read ({error})")
    for name in sorted(set(folders) - set(snapshot.meta.persona_names)):
        report.say(f"{here}, {name[:80]}", "meta.json does not name this persona folder", "left out")


def _whole(person: Person, snapshots: Mapping[int, Snapshot], report: Report) -> Person:
    """Return an agent of the last step folder with its memories, records and gossip."""

    def of[T: (list[Any], dict[str, Any])](kind: type[T], *file: str) -> T:
        own, *earlier = sorted(snapshots, reverse=True)
        places = ((step, snapshots[step].path.joinpath("personas", person.name, *file)) for step in (own, *earlier))
        step, path = next(((step, path) for step, path in places if path.exists()), (None, None))
        if step != own and own > 0:
            done = "nothing is taken" if step is None else f"that of step_{step} is taken"
            report.say(f"step_{own}, {person.name}", f"{file[-1]} is missing", done)
        data = kind() if path is None else _read(path)
        if not isinstance(data, kind):
            _fail(path or Path(), f"holds no {'list' if kind is list else 'object'}")
        return data

    return Person(
        person.name,
        person.scratch,
        person.raw,
        of(list, "memory", "associative_memory", "nodes.json"),
        of(dict, "reputation", "reputation_database.json"),
        of(dict, "reputation", "out_of_date_reputation_database.json"),
        of(list, "reputation", "gossip_database.json"),
    )


def _check_name(path: Path, name: str) -> None:
    """Check that a name fits a persona, and names one folder inside `personas`."""
    where = path / META
    try:
        same = TypeAdapter(Label).validate_python(name) == name
    except ValidationError as error:
        _fail(where, f"the name {name[:80]!r} {error.errors()[0]['msg']}")
    if not same or not is_folder_name(name):
        _fail(where, f"the name {name!r} cannot be that of a folder")
    if (path / "personas" / name).resolve().parent != (path / "personas").resolve():
        _fail(where, f"the folder of {name!r} leads out of personas")


def _read(path: Path) -> Any:
    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not a number")

    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), parse_float=Decimal, parse_constant=refuse)
    except FileNotFoundError:
        _fail(path, "is missing")
    except (OSError, ValueError, RecursionError) as error:
        _fail(path, f"cannot be read ({error})")


def _as[T: _Entry](kind: type[T], path: Path, data: Any = None) -> T:
    try:
        return kind.model_validate(_read(path) if data is None else data)
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
