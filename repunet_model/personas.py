"""Personas: who the agents are before anything happens to them.

A persona has a name, an age, a gender, a country, a disposition and, per role, a first `learned` text. The
built-in set (20 personas, Ren et al. 2026) lies as data in `seeds/`, with the words that describe each disposition
in each game. A persona file (JSON) has one of three forms, told apart by their shape::

    [{"name": ..., "disposition": ..., ...}, ...]       personas
    {NAME: LEARNED, ...}                                the built-in set; those named start from these texts
    {SCENARIO: one of the two above, ...}               the same for several scenarios; a run takes its own

LEARNED is a text, or a mapping of roles to texts where a game has two roles.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    StringConstraints,
    Tag,
    TypeAdapter,
    ValidationError,
)

from repunet_model.config import BUILT_IN
from repunet_model.errors import ConfigurationError
from repunet_model.util.text import SCENARIOS, first_problem, one_line, without_marks

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]


def _plain(label: str) -> str:
    if not label.isprintable():
        raise ValueError("holds characters that cannot be seen")
    if without_marks(label) != label:
        raise ValueError("holds a mark with which chat models part turns")
    if " < " in label:  # which parts names where a question came through several people
        raise ValueError("holds ' < '")
    return label


Label = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80), AfterValidator(_plain)]
"""A few words that stand in the middle of sentences, tables and lists: in one line, and nothing hidden in them."""

Learned = Annotated[
    Annotated[Words, Tag("text")] | Annotated[dict[str, Words], Field(min_length=1), Tag("role")],
    Discriminator(lambda value: "role" if isinstance(value, Mapping) else "text"),
]
"""A text for all roles, or texts by role."""


class Disposition(StrEnum):
    """The values of an agent."""

    SELF_INTERESTED = "self-interested"
    ALTRUISTIC = "altruistic"


class Persona(BaseModel):
    """An agent before the first step.

    Attributes:
        name: Unique in its population.
        disposition: What the agent values.
        age: In years.
        gender: In one word.
        country: Where the agent is from.
        learned: What the agent starts from, in the second person: in all roles, or by role. By default, and in a role
            that is not there, the words of its disposition.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Label
    disposition: Disposition
    age: Annotated[int, Field(ge=0, le=150)] | None = None
    gender: Label | None = None
    country: Label | None = None
    learned: Learned | None = None

    def learned_as(self, role: str) -> str | None:
        """Return what the agent starts from in a role; None for the words of its disposition."""
        return self.learned.get(role) if isinstance(self.learned, dict) else self.learned


def _seeds() -> Path:
    """Return the folder of the built-in data: inside an installed package, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "seeds"
    return inside if inside.is_dir() else package.parent / "seeds"


@cache
def seed_data(name: str) -> Any:
    """Return the content of a file of the built-in data."""
    return json.loads((_seeds() / name).read_text(encoding="utf-8-sig"))


def describe(disposition: Disposition, game: str) -> str:
    """Return the words with which a disposition begins in a game.

    Raises:
        ConfigurationError: If the game has no words for the disposition.
    """
    try:
        return str(seed_data("dispositions.json")[game][disposition])
    except KeyError:
        raise ConfigurationError(
            f"no text for the disposition {disposition.value!r} in {game!r}: give each persona a 'learned' text"
        ) from None


def built_in(game: str) -> list[Persona]:
    """Return the 20 built-in personas with the dispositions they have in a game."""
    return [
        Persona.model_validate({**row, "disposition": row["disposition"].get(game, row["disposition"]["default"])})
        for row in seed_data("personas.json")
    ]


GIVEN = "given"
"""The name of a population whose personas were passed as objects."""


@dataclass(frozen=True, slots=True)
class Population:
    """Personas under a name that tables show.

    Attributes:
        name: The name: "built-in", that of a persona file, of a run they come from, or "given".
        personas: The personas.
    """

    name: str
    personas: Sequence[Persona]

    def described(self, learned: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
        """Return what identifies the population: its name, its size, and a hash over personas and learned texts.

        Args:
            learned: The text that each agent starts from, by name and role.
        """
        rows = [[persona.model_dump(mode="json"), dict(learned[persona.name])] for persona in self.personas]
        text = json.dumps(rows, ensure_ascii=False, sort_keys=True)
        return {"name": self.name, "agents": len(self.personas), "sha256": sha256(text.encode()).hexdigest()[:12]}


def population(
    personas: str | Sequence[Persona] | Population, game: str, roles: Sequence[str], n_agents: int | None
) -> Population:
    """Return the personas of a run.

    Args:
        personas: "built-in", the path of a persona file, the personas themselves, or a population.
        game: The name of the game.
        roles: Its roles.
        n_agents: How many; None for as many as the set has. Beyond the built-in set its personas come again
            with a number behind their names; a list of personas is never stretched.

    Raises:
        ConfigurationError: If the set cannot be used, has fewer than two personas or too few, a name twice, or
            somebody with a learned text for a role that the game does not have.
    """
    if personas == BUILT_IN:
        return Population(BUILT_IN, _stretched(game, n_agents))
    name, where, content = GIVEN, "personas", personas
    if isinstance(personas, Population):
        name, content = personas.name, personas.personas
    elif isinstance(personas, str):
        name, where = Path(personas).stem, f"persona file {personas}"
        where, content = _of_game(_content(Path(personas), where), game, where)
    if isinstance(content, dict):
        chosen = _taught(content, game, n_agents, where)
    elif isinstance(content, list | tuple):
        chosen = validated(content, where)
    else:
        raise ConfigurationError(f"{where}: must be a list of personas, or a mapping of names to learned texts")
    _check(chosen, game, roles, n_agents, where)
    return Population(name, chosen[:n_agents])


def validated(rows: Sequence[Any], where: str) -> list[Persona]:
    """Return personas from plain data.

    Args:
        rows: A persona each.
        where: What the data are, for the message.

    Raises:
        ConfigurationError: If one is none.
    """
    return _parsed(TypeAdapter(list[Persona]), list(rows), where)


def _stretched(game: str, n_agents: int | None) -> list[Persona]:
    """Return the built-in set, its personas again with a number behind their names where more are wanted."""
    base = built_in(game)
    wanted = len(base) if n_agents is None else n_agents
    return [
        persona if again == 0 else persona.model_copy(update={"name": f"{persona.name} {again + 1}"})
        for again in range(-(-wanted // len(base)))
        for persona in base
    ][:wanted]


def _taught(learned: Mapping[str, Any], game: str, n_agents: int | None, where: str) -> list[Persona]:
    """Return the built-in set, of which those named start from what they have learned.

    Raises:
        ConfigurationError: If one is named who is not in the set, or a text is none.
    """
    everybody = built_in(game)
    chosen = _stretched(game, n_agents)
    if not learned:
        raise ConfigurationError(f"{where}: names nobody")
    for name in learned:
        if all(name != persona.name for persona in (*everybody, *chosen)):
            raise ConfigurationError(
                f"{where}: nobody of the {max(len(everybody), len(chosen))} built-in personas is called {_short(name)}"
            )
    texts = _parsed(TypeAdapter(dict[str, Learned]), learned, where)
    return [persona.model_copy(update={"learned": texts.get(persona.name)}) for persona in chosen]


def _check(chosen: Sequence[Persona], game: str, roles: Sequence[str], n_agents: int | None, where: str) -> None:
    """Make sure that personas can be the population of a game.

    Raises:
        ConfigurationError: If they are too few, a name is there twice, or the game does not have a role.
    """
    if len(chosen) < 2:
        raise ConfigurationError(f"{where}: {len(chosen)} persona(s), at least 2 are needed to meet")
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
    """Return what a persona file has for a game, and where it is; all of it, if it is not by scenario.

    Raises:
        ConfigurationError: If it is by scenario and has nothing for the game, or has it twice.
    """
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


def _content(path: Path, where: str) -> Any:
    """Read a JSON file.

    Raises:
        ConfigurationError: If it is missing, or no JSON without a name twice in one mapping.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigurationError(f"{where}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{where}: cannot be read ({error})") from None
    try:
        return json.loads(text, object_pairs_hook=_without_repeats)
    except json.JSONDecodeError as error:
        raise ConfigurationError(
            f"{where}: not JSON (line {error.lineno}, column {error.colno}: {error.msg})"
        ) from None
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{where}: not JSON that can be read ({error})") from None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object, of which Python would silently keep the last of two equal names."""
    content: dict[str, Any] = {}
    for name, value in pairs:
        if name in content:
            raise ValueError(f"{_short(name)} is there twice")
        content[name] = value
    return content


def _parsed[T](adapter: TypeAdapter[T], data: Any, where: str) -> T:
    """Return data in their form.

    Raises:
        ConfigurationError: If they do not have it, with the first entry that does not.
    """
    try:
        return adapter.validate_python(data)
    except ValidationError as error:
        raise ConfigurationError(one_line(f"{where}: persona {first_problem(error)}")) from None


def _short(name: str) -> str:
    """Return a name as it can stand in a message, however long it is and whatever it holds."""
    return repr(name if len(name) <= 80 else f"{name[:77]}...")
