"""Personas: the initial properties of agents.

A persona has a name, age, gender, country and disposition; a `biography`, which lasts; traits with names of their own,
such as a village; and, for each role, an initial `learned` text, which takes the place of the words of the disposition
and which the agent rewrites. The built-in set (20 personas, Ren et al. 2026) is stored in `seeds/`, with a text for
each disposition and game: "built-in" has ten altruistic and ten self-interested ones, as in the paper; in "rational"
all are self-interested, as the investors of the published code's later seed. A persona file (JSON) has one of three
forms::

    [{"name": ..., "disposition": ..., ...}, ...]       personas
    {NAME: LEARNED, ...}                                the built-in set, with initial texts for the named personas
    {SCENARIO: one of the two above, ...}               the same for several scenarios

LEARNED is a text, or in a game of two roles a mapping of roles to texts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    SerializerFunctionWrapHandler,
    StringConstraints,
    Tag,
    TypeAdapter,
    ValidationError,
    model_serializer,
)

from repunet_model.config import BUILT_IN, PERSONA_SETS, RATIONAL
from repunet_model.errors import ConfigurationError
from repunet_model.util.text import SCENARIOS, first_problem, one_line, without_marks

OLDEST = 150
"""The highest age, in years."""

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]


def _plain(label: str) -> str:
    if not label.isprintable():
        raise ValueError("holds characters that cannot be seen")
    if without_marks(label) != label:
        raise ValueError("holds a mark with which chat models part turns")
    if " < " in label:  # the separator of a chain of sources
        raise ValueError("holds ' < '")
    return label


LONGEST_LABEL = 80
"""The largest number of characters of a name or another short text."""

Label = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_LABEL), AfterValidator(_plain)
]
"""A short text within sentences and tables: one line of visible characters."""

_LABEL = TypeAdapter[str](Label)

Learned = Annotated[
    Annotated[Words, Tag("text")] | Annotated[dict[str, Words], Field(min_length=1), Tag("role")],
    Discriminator(lambda value: "role" if isinstance(value, Mapping) else "text"),
]
"""A text for all roles, or texts by role."""


class Disposition(StrEnum):
    """The disposition of an agent."""

    SELF_INTERESTED = "self-interested"
    ALTRUISTIC = "altruistic"


def _trait_name(name: str) -> str:
    if name in Persona.model_fields:
        raise ValueError(f"is a field of a persona itself, and no trait: write {name!r} beside 'traits'")
    return name


def _trait(value: object) -> str | int | float:
    if isinstance(value, str):
        return _LABEL.validate_python(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("must be a text or a number")
    return value


Trait = Annotated[str | int | float, PlainValidator(_trait)]
"""The value of a trait: a short text or a number."""

Traits = Annotated[dict[Annotated[Label, AfterValidator(_trait_name)], Trait], Field(max_length=20)]


class Persona(BaseModel):
    """The initial properties of an agent; its name is unique in the population.

    Attributes:
        biography: A text about the agent that every prompt shows and that never changes.
        traits: Further properties by name, such as {"village": "Lindau"}, which every prompt lists.
        learned: The initial text, in the second person, for all roles or by role, in place of the text of the
            disposition, which is the default, also for missing roles. Agents rewrite it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Label
    disposition: Disposition
    age: Annotated[int, Field(ge=0, le=OLDEST)] | None = None
    gender: Label | None = None
    country: Label | None = None
    learned: Learned | None = None
    biography: Words | None = None
    traits: Traits = {}

    @model_serializer(mode="wrap")
    def _as_data(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out an absent biography and absent traits, as files and hashes of earlier versions do."""
        data: dict[str, Any] = serialize(self)
        return {name: value for name, value in data.items() if value or name not in ("biography", "traits")}

    @property
    def details(self) -> list[str]:
        """The agent in words: everything known of it but its texts."""
        known = (self.disposition.value, self.age, self.gender, self.country)
        return [
            *(str(detail) for detail in known if detail is not None),
            *(f"{name}: {value}" for name, value in self.traits.items()),
        ]

    def trait_columns(self) -> dict[str, str | int | float]:
        """Return the traits as columns of a table, "traits.NAME"."""
        return {f"traits.{name}": value for name, value in self.traits.items()}

    def columns(self) -> dict[str, Any]:
        """Return the persona as a row of a table."""
        return self.model_dump(mode="json", exclude={"traits"}) | self.trait_columns()

    def learned_as(self, role: str) -> str | None:
        """Return the initial text for a role; None for the text of the disposition."""
        return self.learned.get(role) if isinstance(self.learned, dict) else self.learned


def _seeds() -> Path:
    """Return the folder of the built-in data: inside an installed package, beside it in a checkout."""
    inside = Path(__file__).resolve().parent / "seeds"
    return inside if inside.is_dir() else inside.parent.parent / "seeds"


@cache
def seed_data(name: str) -> Any:
    """Return the parsed content of a file of built-in data."""
    return json.loads((_seeds() / name).read_text(encoding="utf-8-sig"))


def describe(disposition: Disposition, game: str) -> str:
    """Return the initial text of a disposition in a game; raise ConfigurationError if there is none."""
    try:
        return str(seed_data("dispositions.json")[game][disposition])
    except KeyError:
        raise ConfigurationError(
            f"no text for the disposition {disposition.value!r} in {game!r}: give each persona a 'learned' text, or "
            "the class of the game an attribute 'dispositions' that maps each Disposition to a text"
        ) from None


def built_in(name: str = BUILT_IN) -> list[Persona]:
    """Return the 20 built-in personas: ten altruistic, ten self-interested; in the set "rational" all of the latter."""
    people = [Persona.model_validate(row) for row in seed_data("personas.json")]
    if name == RATIONAL:
        people = [person.model_copy(update={"disposition": Disposition.SELF_INTERESTED}) for person in people]
    return people


GIVEN = "given"
"""The name of a population of personas that were passed as objects."""


@dataclass(frozen=True, slots=True)
class Population:
    """Named personas.

    Attributes:
        name: The name in tables: "built-in", the name of a persona file or of a source run, or "given".
        personas: The personas.
        drawn: For one that was drawn (`repunet_model.composition`): how, and the hash of the set.
        newcomers: For that of a stored run: the personas of agents that enter in events, as in its manifest.
    """

    name: str
    personas: Sequence[Persona]
    drawn: Mapping[str, Any] | None = None
    newcomers: Mapping[str, Any] = field(default_factory=dict)

    def described(self, learned: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
        """Return the name and size of the population, a hash of its personas and initial texts, and how it was drawn.

        `learned` holds the initial texts of each persona by role.
        """
        rows = [[persona.model_dump(mode="json"), dict(learned[persona.name])] for persona in self.personas]
        text = json.dumps(rows, ensure_ascii=False, sort_keys=True)
        known = {"name": self.name, "agents": len(self.personas), "sha256": sha256(text.encode()).hexdigest()[:12]}
        return known if self.drawn is None else {**known, "drawn": dict(self.drawn)}


def population(
    personas: str | Sequence[Persona] | Population, game: str, roles: Sequence[str], n_agents: int | None
) -> Population:
    """Return the personas of a run.

    Args:
        personas: "built-in", "rational", the path of a persona file, personas, or a population.
        game: The name of the game.
        roles: The roles of the game.
        n_agents: The number of agents; None for that of the set. A larger number repeats the built-in personas with a
            number after their names; other sets are never repeated.

    Raises:
        ConfigurationError: If the set is invalid, has fewer than two or too few personas, a name twice, or a learned
            text for a role that the game does not have.
    """
    if isinstance(personas, str) and personas in PERSONA_SETS:
        return Population(personas, _stretched(personas, n_agents))
    name, where = GIVEN, "personas"
    if isinstance(personas, str):
        name, where = Path(personas).stem, f"persona file {personas}"
        chosen = _in_file(Path(personas), game, n_agents)
    elif isinstance(personas, Population):
        name, chosen = personas.name, validated(personas.personas, where)
    else:
        chosen = _listed(personas, n_agents, where)
    _check(chosen, game, roles, n_agents, where)
    if len(chosen) < 2:
        raise ConfigurationError(f"{where}: {len(chosen)} persona(s), at least 2 are needed to meet")
    drawn = personas.drawn if isinstance(personas, Population) and n_agents in (None, len(chosen)) else None
    return Population(name, chosen[:n_agents], drawn)


def read_file(path: Path, game: str, roles: Sequence[str]) -> list[Persona]:
    """Read the personas of a file, of any number; raise ConfigurationError if one is invalid or there twice."""
    chosen = _in_file(path, game, None)
    _check(chosen, game, roles, None, f"persona file {path}")
    return chosen


def _in_file(path: Path, game: str, n_agents: int | None) -> list[Persona]:
    where, content = _of_game(json_content(path, f"persona file {path}"), game, f"persona file {path}")
    return _listed(content, n_agents, where)


def _listed(content: Any, n_agents: int | None, where: str) -> list[Persona]:
    """Return the personas that a list or a mapping of names to learned texts stands for."""
    if isinstance(content, dict):
        return _taught(content, n_agents, where)
    if isinstance(content, list | tuple):
        return validated(content, where)
    raise ConfigurationError(f"{where}: must be a list of personas, or a mapping of names to learned texts")


def validated(rows: Sequence[Any], where: str) -> list[Persona]:
    """Validate rows as personas; raise ConfigurationError, which begins with `where`, if one is invalid."""
    return _parsed(TypeAdapter(list[Persona]), list(rows), where)


def _stretched(name: str, n_agents: int | None) -> list[Persona]:
    """Return a built-in set, repeated with a number after the names if more agents are wanted."""
    base = built_in(name)
    wanted = len(base) if n_agents is None else n_agents
    return [
        persona if again == 0 else persona.model_copy(update={"name": f"{persona.name} {again + 1}"})
        for again in range(-(-wanted // len(base)))
        for persona in base
    ][:wanted]


def _taught(learned: Mapping[str, Any], n_agents: int | None, where: str) -> list[Persona]:
    """Return the built-in set with initial texts from a file."""
    chosen = _stretched(BUILT_IN, n_agents)
    known = {persona.name for persona in (*built_in(), *chosen)}
    if not learned:
        raise ConfigurationError(f"{where}: names nobody")
    for name in learned:
        if name not in known:
            raise ConfigurationError(f"{where}: nobody of the {len(known)} built-in personas is called {_short(name)}")
    texts = _parsed(TypeAdapter(dict[str, Learned]), learned, where)
    return [persona.model_copy(update={"learned": texts.get(persona.name)}) for persona in chosen]


def _check(chosen: Sequence[Persona], game: str, roles: Sequence[str], n_agents: int | None, where: str) -> None:
    """Check the number of personas, the uniqueness of names, and the roles of learned texts."""
    if n_agents is not None and n_agents > len(chosen):
        raise ConfigurationError(f"{where}: {len(chosen)} personas, but n_agents is {n_agents}")
    seen: set[str] = set()
    for persona in chosen:
        if persona.name in seen:
            raise ConfigurationError(f"{where}: the name {persona.name!r} is there twice; names must be unique")
        seen.add(persona.name)
        for role in persona.learned if isinstance(persona.learned, dict) else ():
            if role not in roles:
                raise ConfigurationError(
                    f"{where}: {persona.name} has learned something as {_short(role)}, but the roles of {game} are "
                    f"{', '.join(dict.fromkeys(roles))}"
                )


def _of_game(content: Any, game: str, where: str) -> tuple[str, Any]:
    """Return the part of a persona file for a game, after its place; the whole file if it has no scenarios."""
    if not isinstance(content, dict) or not any(name in SCENARIOS or name == game for name in content):
        return where, content
    for name, part in content.items():
        if isinstance(part, str):
            raise ConfigurationError(f"{where}: {_short(name)} has a text, where other entries are scenarios")
    own = [name for name in content if SCENARIOS.get(name, name) == game]
    if not own:
        raise ConfigurationError(f"{where}: has nothing for {game}, but for {', '.join(map(_short, content))}")
    if len(own) > 1:
        raise ConfigurationError(f"{where}: {own[0]!r} and {own[1]!r} are both {game}")
    return f"{where}, {own[0]}", content[own[0]]


def json_content(path: Path, where: str) -> Any:
    """Read a JSON file; raise ConfigurationError if it cannot be read, or an object has a name twice."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigurationError(f"{where}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{where}: cannot be read ({error})") from None
    try:
        return json.loads(text, object_pairs_hook=_without_repeats)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ConfigurationError(f"{where}: not JSON ({place}: {error.msg})") from None
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{where}: not JSON that can be read ({error})") from None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build a JSON object; raise ValueError for a repeated name, of which Python would keep the last."""
    content: dict[str, Any] = {}
    for name, value in pairs:
        if name in content:
            raise ValueError(f"{_short(name)} is there twice")
        content[name] = value
    return content


def _parsed[T](adapter: TypeAdapter[T], data: Any, where: str) -> T:
    """Validate data; raise ConfigurationError, which names the first invalid entry."""
    try:
        return adapter.validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["type"] == "extra_forbidden":
            *place, name = map(str, first["loc"])
            raise ConfigurationError(
                one_line(
                    f"{where}: persona {'.'.join(place)}: {_short(name)}: unknown; the fields are "
                    f"{', '.join(Persona.model_fields)}; write others as traits: {{{json.dumps(name[:80])}: ...}}"
                )
            ) from None
        raise ConfigurationError(one_line(f"{where}: persona {first_problem(error)}")) from None


def _short(name: str) -> str:
    """Quote and shorten a name for a message."""
    return repr(name if len(name) <= 80 else f"{name[:77]}...")
