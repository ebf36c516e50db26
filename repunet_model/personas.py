"""Personas: who the agents are before anything happens to them.

A persona has a name, an age, a gender, a country, a disposition and, per role, a first `learned` text. The
built-in set (20 personas, Ren et al. 2026) lies as data in `seeds/`, with the words that describe each disposition
in each game. A file of one's own has the same form: a JSON list of objects with at least a name and a disposition.
"""

from __future__ import annotations

import json
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from repunet_model.errors import ConfigurationError

BUILT_IN = "built-in"

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]


def _visible(name: str) -> str:
    if not name.isprintable():
        raise ValueError("holds characters that cannot be seen")
    return name


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80), AfterValidator(_visible)]


class Disposition(StrEnum):
    """What an agent values."""

    SELF_INTERESTED = "self-interested"
    ALTRUISTIC = "altruistic"


class Persona(BaseModel):
    """Who an agent is.

    Attributes:
        name: Unique in its population.
        disposition: What the agent values.
        age: In years.
        gender: In one word.
        country: Where the agent is from.
        learned: What the agent starts from, in the second person; by default the words of its disposition.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    disposition: Disposition
    age: Annotated[int, Field(ge=0, le=150)] | None = None
    gender: Words | None = None
    country: Words | None = None
    learned: Words | None = None


def _seeds() -> Path:
    """Return the folder of the built-in data: inside an installed package, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "seeds"
    return inside if inside.is_dir() else package.parent / "seeds"


@cache
def _seed(name: str) -> Any:
    return json.loads((_seeds() / name).read_text(encoding="utf-8"))


def describe(disposition: Disposition, game: str) -> str:
    """Return the words with which a disposition begins in a game.

    Raises:
        ConfigurationError: If the game has no words for the disposition.
    """
    try:
        return str(_seed("dispositions.json")[game][disposition])
    except KeyError:
        raise ConfigurationError(
            f"no text for the disposition {disposition.value!r} in {game!r}: give each persona a 'learned' text"
        ) from None


def built_in(game: str) -> list[Persona]:
    """Return the 20 built-in personas with the dispositions they have in a game."""
    return [
        Persona.model_validate({**row, "disposition": row["disposition"].get(game, row["disposition"]["default"])})
        for row in _seed("personas.json")
    ]


def from_file(path: Path) -> list[Persona]:
    """Read personas from a JSON file.

    Raises:
        ConfigurationError: If the file is missing, is not JSON, or holds anything but a list of valid personas.
    """
    where = f"persona file {path}"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigurationError(f"{where}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{where}: cannot be read ({error})") from None
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigurationError(
            f"{where}: not JSON (line {error.lineno}, column {error.colno}: {error.msg})"
        ) from None
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{where}: not JSON that can be read ({error})") from None
    try:
        return TypeAdapter(list[Persona]).validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        message = first["msg"].replace("\n", " ")
        raise ConfigurationError(f"{where}: {f'persona {place}: ' if place else ''}{message}") from None


def population(personas: str, game: str, n_agents: int | None) -> list[Persona]:
    """Return the personas of a run.

    Args:
        personas: "built-in", or the path of a persona file.
        game: The name of the game.
        n_agents: How many; None for as many as the set has. Beyond the built-in set its personas come again
            with a number behind their names; a file is never stretched.

    Raises:
        ConfigurationError: If the set cannot be used, has fewer than two personas or too few, or a name twice.
    """
    if n_agents is not None and n_agents < 2:
        raise ConfigurationError(f"n_agents is {n_agents}: at least 2 agents are needed to meet")
    if personas == BUILT_IN:
        base = built_in(game)
        wanted = len(base) if n_agents is None else n_agents
        return [
            persona if again == 0 else persona.model_copy(update={"name": f"{persona.name} {again + 1}"})
            for again in range(-(-wanted // len(base)))
            for persona in base
        ][:wanted]
    chosen = from_file(Path(personas))
    where = f"persona file {personas}"
    if len(chosen) < 2:
        raise ConfigurationError(f"{where}: {len(chosen)} persona(s), at least 2 are needed to meet")
    if n_agents is not None and n_agents > len(chosen):
        raise ConfigurationError(f"{where}: {len(chosen)} personas, but n_agents is {n_agents}")
    seen: set[str] = set()
    for persona in chosen:
        if persona.name in seen:
            raise ConfigurationError(f"{where}: the name {persona.name!r} is there twice; names must be unique")
        seen.add(persona.name)
    return chosen[:n_agents]
