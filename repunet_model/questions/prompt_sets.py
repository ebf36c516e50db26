"""Prompt sets: folders of templates that overlay the packaged ones, in layers.

The set `neutral` has every template (`templates/`). Any other set is a folder with some of them under the same names.
It may have a file `set.toml`: labels of options and roles, and the words by which `prompts check` finds a mechanism in
its prompts. `sets/` holds the packaged ones. A set is written as a text: names or paths joined by "+", such as
`guided`, `market+bullets` or `neutral+my_folder`; later ones overlay earlier ones, and all overlay `neutral`.

Templates are text of other people (a stored run carries those of its folders), so they are rendered in Jinja's sandbox.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache, cached_property
from hashlib import sha256
from itertools import chain, groupby
from pathlib import Path
from typing import Any, Self

from jinja2 import DictLoader, TemplateSyntaxError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from repunet_model.errors import ConfigurationError
from repunet_model.mechanism import Institution
from repunet_model.questions.base import Question, closed_choices
from repunet_model.questions.labels import Labels
from repunet_model.util.text import SCENARIOS

NEUTRAL = "neutral"
"""The set with every template, which all others overlay."""

TABLE = "set.toml"
"""The file of a set with its labels and words."""

NOT_ASKED = "interview.j2"
"""The template of interviews, which are no part of a run."""

_LABELS_OF_GAMES = {"Gift": "donation"}
"""Enumerations whose labels count in the hash of one game alone: those that came after hashes had been stored."""

_OF_INSTITUTIONS = "institution_"
"""The begin of the names of templates that only runs with a public institution use."""

_LABELS_OF_INSTITUTIONS = ("Reporting",)
"""The enumerations whose labels only such runs use."""

_FOLDER = Path(__file__).parent
_IGNORED = ("README.md",)
_LONGEST_LABEL = 80
_LARGEST_FILE = 100_000


@dataclass(frozen=True, slots=True)
class Layer:
    """One folder of a set: its name, the texts of its files by name, and what is wrong with other files in it."""

    name: str
    files: Mapping[str, str]
    problems: tuple[str, ...] = ()

    @property
    def templates(self) -> dict[str, str]:
        """The templates by name."""
        return {name: text for name, text in self.files.items() if name != TABLE}

    @classmethod
    def of_folder(cls, folder: Path, name: str) -> Self:
        """Read a folder; raise ConfigurationError if it cannot be read."""
        files, problems = {}, []
        try:
            for path in sorted(folder.iterdir()):
                if path.name.startswith(".") or path.name in _IGNORED:
                    continue
                if not path.is_file() or not (path.suffix == ".j2" or path.name == TABLE):
                    problems.append(f"{folder}/{path.name}: no template: a set has *.j2 files, {TABLE} and README.md")
                    continue
                if path.stat().st_size > _LARGEST_FILE:
                    problems.append(f"{folder}/{path.name}: is larger than {_LARGEST_FILE:,} bytes")
                    continue
                files[path.name] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise ConfigurationError(f"prompts {folder}/{path.name}: is no text in UTF-8") from None
        except OSError as error:
            raise ConfigurationError(f"prompts {folder}: {error.strerror or error}") from None
        return cls(name, files, tuple(problems))


@cache
def packaged(name: str) -> Layer:
    """Return a packaged layer."""
    return Layer.of_folder(_FOLDER / "templates" if name == NEUTRAL else _FOLDER / "sets" / name, name)


@cache
def packaged_names() -> tuple[str, ...]:
    """Return the names of the packaged sets, `neutral` first."""
    return NEUTRAL, *sorted(path.name for path in (_FOLDER / "sets").iterdir() if path.is_dir())


@dataclass(frozen=True, eq=False)
class PromptSet:
    """The templates of a run, with their labels.

    Attributes:
        layers: The layers over `neutral`, from the bottom up.
    """

    layers: tuple[Layer, ...] = field(default=())

    @classmethod
    def read(cls, text: str) -> PromptSet:
        """Return the set that a text names.

        Raises:
            ConfigurationError: If a name is unknown, a folder cannot be read, or a file of it is invalid.
        """
        return _checked(tuple(_layers_of(text)))

    @classmethod
    def unchecked(cls, text: str) -> Self:
        """Return the same with what is wrong in its files; raise ConfigurationError for unknown names."""
        return cls(tuple(_layers_of(text)))

    @classmethod
    def restored(cls, described: object) -> PromptSet:
        """Return the set of a stored run, from its description in the manifest.

        Raises:
            ConfigurationError: If the description is malformed, or a packaged set is no longer there.
        """
        if not isinstance(described, Mapping):
            raise ConfigurationError(f"prompts is {described!r:.60}: must describe a prompt set")
        stored, names = described.get("folders", {}), str(described.get("set", NEUTRAL)).split("+")
        layers = []
        for name in names if names != [NEUTRAL] else ():
            files = stored.get(name) if isinstance(stored, dict) else None
            if files is None and name in packaged_names():
                layers.append(packaged(name))
            elif isinstance(files, dict) and all(isinstance(text, str) for text in files.values()):
                layers.append(Layer(name, files))
            else:
                raise ConfigurationError(f"prompts {name!r}: no packaged set, and the run does not hold its templates")
        return _checked(tuple(layers))

    @property
    def name(self) -> str:
        """The names of the layers, joined by "+"."""
        return "+".join(layer.name for layer in self.layers) or NEUTRAL

    @cached_property
    def templates(self) -> dict[str, str]:
        """All templates by name, those of upper layers in place of lower ones."""
        merged = packaged(NEUTRAL).templates
        for layer in self.layers:
            merged |= layer.templates
        return dict(sorted(merged.items()))

    def changed_templates(self) -> list[str]:
        """Return the names of the templates whose texts differ from those of `neutral`."""
        neutral = packaged(NEUTRAL).templates
        return [name for name, text in self.templates.items() if neutral.get(name) != text]

    @cached_property
    def labels(self) -> Labels:
        """The labels of all layers together."""
        options: dict[str, dict[str, str]] = {}
        roles: dict[str, str] = {}
        for table in self._tables():
            for kind, labels in table.get("labels", {}).items():
                options[kind] = {**options.get(kind, {}), **labels}
            roles |= table.get("roles", {})
        return Labels({kind: labels for kind, labels in options.items() if labels}, roles)

    @cached_property
    def words(self) -> dict[str, str]:
        """Regular expressions of the words for `reputation`, `gossip` and `public`, beside the English ones."""
        return {name: text for table in self._tables() for name, text in table.get("words", {}).items()}

    def _tables(self) -> list[dict[str, Any]]:
        return [_table(layer.files[TABLE]) for layer in self.layers if TABLE in layer.files]

    def used(self, game: str, institution: Institution = Institution.PRIVATE) -> dict[str, str]:
        """Return the templates that the runs of a game may use, by name.

        Left out are those whose names begin with that of another game (a game that has none of its own may use those
        of all), and those of public institutions in runs without one.
        """
        owners = {name: _owner(name) for name in self.templates}
        left_out = {name for name, owner in owners.items() if owner not in ("", game)}
        if game not in owners.values():
            left_out = set()
        if not institution.is_public:
            left_out |= {name for name in self.templates if name.startswith(_OF_INSTITUTIONS)}
        return {name: text for name, text in self.templates.items() if name not in {*left_out, NOT_ASKED}}

    def described(self, game: str, institution: Institution = Institution.PRIVATE) -> dict[str, Any]:
        """Return the entry of a manifest: the name, a hash over what a game uses, and the files of its folders."""
        own = {layer.name: dict(layer.files) for layer in self.layers if layer.name not in packaged_names()}
        owned = {kind for kind, owner in _LABELS_OF_GAMES.items() if owner != game}
        if not institution.is_public:
            owned.update(_LABELS_OF_INSTITUTIONS)
        options = {kind: labels for kind, labels in self.labels.options.items() if kind not in owned}
        used = [self.used(game, institution), options, self.labels.roles]
        digest = sha256(json.dumps(used, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
        return {"set": self.name, "sha256": digest, **({"folders": own} if own else {})}


@cache
def of_packaged(*names: str) -> PromptSet:
    """Return a set of packaged layers over `neutral`; the same object for the same names."""
    return PromptSet(tuple(map(packaged, names)))


def _checked(layers: tuple[Layer, ...]) -> PromptSet:
    """Return the set of some layers; raise ConfigurationError if a file is invalid."""
    if all(layer.name in packaged_names() for layer in layers):
        return of_packaged(*(layer.name for layer in layers))
    chosen = PromptSet(layers)
    for problem in chain(problems(chosen), _undefined(chosen)):
        raise ConfigurationError(f"prompts {problem}")
    return chosen


def _layers_of(text: str) -> Iterator[Layer]:
    """Yield the layers that a text names, without `neutral`; raise ConfigurationError if one is unknown."""
    found: set[str] = set()
    for place, part in enumerate(text.split("+")):
        name = part.strip()
        if name == NEUTRAL:
            if place:
                raise ConfigurationError(f"prompts {text!r}: {NEUTRAL} comes first, since it has every template")
            continue
        if name in packaged_names():
            layer = packaged(name)
        elif name and Path(name).is_dir():
            folder = Path(name)
            if folder.resolve().name in packaged_names():
                raise ConfigurationError(f"prompts {name}: a packaged set has this name; rename the folder")
            layer = Layer.of_folder(folder, folder.resolve().name)
        else:
            raise ConfigurationError(
                f"prompts {text!r}: {name!r} is no packaged set and no folder; choose {', '.join(packaged_names())}, a "
                "folder, or some of them joined by +"
            )
        if layer.name in found or not layer.name.isprintable():
            raise ConfigurationError(f"prompts {text!r}: {layer.name!r} is there twice, or cannot be a name")
        found.add(layer.name)
        yield layer


def at_home(text: str) -> str:
    """Return the text of a set with absolute paths of its folders, for a process in another folder."""
    parts = (part.strip() for part in text.split("+"))
    return "+".join(part if part in packaged_names() else str(Path(part).resolve()) for part in parts)


def _owner(template: str) -> str:
    """Return the game to which a template belongs by its name; empty if it is shared."""
    return max((game for game in SCENARIOS.values() if template.startswith(f"{game}_")), key=len, default="")


FILTERS = ("label", "opinion", "record", "role", "said")
"""The filters that templates may use beside those of Jinja; `questions.prompts` defines them."""

_PARSER = ImmutableSandboxedEnvironment(loader=DictLoader({}))
_PARSER.filters |= dict.fromkeys(FILTERS, str)


@cache
def parts_of(source: str) -> frozenset[str]:
    """Return the names of the templates that a template includes; raise TemplateSyntaxError if it cannot be parsed."""
    named = meta.find_referenced_templates(_PARSER.parse(source))
    return frozenset(name for name in named if name is not None)


@cache
def variables_of(source: str) -> frozenset[str]:
    """Return the names that a template reads without its includes."""
    return frozenset(meta.find_undeclared_variables(_PARSER.parse(source)))


def _table(text: str) -> dict[str, Any]:
    return tomllib.loads(text)


def files_of(chosen: PromptSet) -> dict[str, str]:
    """Return the files of a folder that makes the same prompts: all templates, and a `set.toml` to fill in."""
    lines = ["# What options are called in prompts and schemas. A line that begins with # changes nothing.", ""]
    for kind, values in choices_by_name().items():
        own = chosen.labels.options.get(kind, {})
        lines.append(f"[labels.{kind}]")
        lines += [f"{'' if value in own else '# '}{_toml(value)} = {_toml(own.get(value, value))}" for value in values]
        lines.append("")
    lines += ["[roles]", *(f"{_toml(role)} = {_toml(label)}" for role, label in chosen.labels.roles.items()), ""]
    lines += ["[words]", *(f"{name} = {_toml(words)}" for name, words in chosen.words.items()), ""]
    return {**chosen.templates, TABLE: "\n".join(lines)}


def _toml(text: str) -> str:
    """Return a text as a basic string of TOML, which is one of JSON."""
    return json.dumps(text, ensure_ascii=False)


def problems(chosen: PromptSet) -> list[str]:
    """Return what is wrong with the files of a set, a line a problem; nothing is rendered."""
    found = [problem for layer in chosen.layers for problem in layer.problems]
    broken = False
    for layer in chosen.layers:
        for name, source in layer.templates.items():
            try:
                variables_of(source)  # Finds filters that do not exist.
                missing = parts_of(source) - set(chosen.templates)
            except TemplateSyntaxError as error:
                found.append(f"{layer.name}/{name}: line {error.lineno}: {error.message}")
                broken = True
                continue
            found += [f"{layer.name}/{name}: includes {part!r}, which is no template" for part in sorted(missing)]
        if TABLE in layer.files:
            found += [f"{layer.name}/{TABLE}: {problem}" for problem in _wrong_in_table(layer.files[TABLE])]
    if not broken:
        included = frozenset[str]().union(*map(parts_of, chosen.templates.values()))
        known = {*packaged(NEUTRAL).templates, *included}
        found += [
            f"{layer.name}/{name}: no question and no other template reads it; names are those of {NEUTRAL}"
            for layer in chosen.layers
            for name in layer.templates
            if name not in known
        ]
    return found


def _undefined(chosen: PromptSet) -> Iterator[str]:
    """Yield the names in a set that no template of `neutral` reads and no question has, which rendering would refuse.

    All templates of the set must be valid.
    """
    known = frozenset(
        each.name for question in _subclasses(Question) if is_dataclass(question) for each in fields(question)
    )
    known = known.union(*map(variables_of, packaged(NEUTRAL).templates.values()))
    for layer in chosen.layers:
        for name, source in layer.templates.items():
            for unknown in sorted(variables_of(source) - known):
                yield f"{layer.name}/{name}: {unknown!r} is undefined: no question shows it"


def _wrong_in_table(text: str) -> Iterator[str]:
    """Yield what is wrong with a `set.toml`."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        yield f"is no TOML ({error})"
        return
    for name in table.keys() - {"labels", "roles", "words"}:
        yield f"{name}: unknown; known are labels, roles and words"
    labels, roles, words = (table.get(name, {}) for name in ("labels", "roles", "words"))
    if not all(isinstance(each, dict) for each in (labels, roles, words)):
        yield "labels, roles and words must be tables"
        return
    choices = choices_by_name()
    for kind, given in labels.items():
        if kind not in choices:
            yield f"labels.{kind}: unknown; known are {', '.join(choices)}"
        elif not isinstance(given, dict):
            yield f"labels.{kind}: must be a table of labels by value"
        else:
            yield from (
                f"labels.{kind}.{value!r}: unknown; known are {', '.join(choices[kind])}"
                for value in given
                if value not in choices[kind]
            )
            yield from _wrong_labels(f"labels.{kind}", {value: given.get(value, value) for value in choices[kind]})
    yield from _wrong_labels("roles", roles)
    for name, expression in words.items():
        if name not in ("reputation", "gossip", "public"):
            yield f"words.{name}: unknown; known are reputation, gossip and public"
            continue
        try:
            re.compile(expression)
        except (re.error, TypeError):
            yield f"words.{name}: {expression!r:.60} is no regular expression"


def _wrong_labels(where: str, labels: Mapping[str, object]) -> Iterator[str]:
    for value, label in labels.items():
        if not isinstance(label, str) or not label.strip() or not label.isprintable() or len(label) > _LONGEST_LABEL:
            yield f"{where}.{value!r}: is {label!r:.60}: must be a text of 1 to {_LONGEST_LABEL} visible characters"
    texts = sorted(label for label in labels.values() if isinstance(label, str))
    yield from (f"{where}: two options have the label {label!r}" for label, same in groupby(texts) if len([*same]) > 1)


def choices_by_name() -> dict[str, list[str]]:
    """Return the values of all enumerations that questions offer, by the name of the enumeration.

    Enumerations of one name, such as one of a game of one's own and a packaged one, have their values together.
    """
    kinds = {kind for question in _subclasses(Question) for kind in closed_choices(question.answer).values()}
    found: dict[str, list[str]] = {}
    for kind in sorted(kinds, key=lambda kind: (kind.__name__, kind.__module__)):
        values = found.setdefault(kind.__name__, [])
        values += [member.value for member in kind if member.value not in values]
    return found


def _subclasses(kind: type[Any]) -> Iterable[type[Any]]:
    for each in kind.__subclasses__():
        if "answer" in vars(each):
            yield each
        yield from _subclasses(each)
