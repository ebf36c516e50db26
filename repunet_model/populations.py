"""Populations from a stored run, with the learned texts of its agents, or drawn from a table of traits.

The packaged table `seeds/traits.json` has given names and family names by country, and the range of ages in years.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from repunet_model.errors import ConfigurationError
from repunet_model.personas import (
    OLDEST,
    Disposition,
    Label,
    Learned,
    Persona,
    Population,
    Trait,
    json_content,
    seed_data,
    validated,
)
from repunet_model.rng import Streams
from repunet_model.storage import StepReader, understood
from repunet_model.util.shares import part, share
from repunet_model.util.text import first_problem

Profiles = dict[str, dict[str, Learned]]
"""Learned texts by game and name, a form of persona file."""

GENDERS = ("female", "male")
"""The genders of the table of traits."""


_TRAITS = re.compile(
    r"(?:You are|I am) [^,.]+, an? (\d{1,3})-year-old (male|female) from ((?:the )?[A-Z][\w'-]*(?: [A-Z][\w'-]*)*)"
)
_ALTRUIST = re.compile(r"altru", re.IGNORECASE)
_SELFISH = re.compile(
    r"individualis|self-interest|extremely rational|personal (?:gain|interest|success)|own comfort", re.IGNORECASE
)
_PUBLIC_SPIRITED = re.compile(r"cooperat|communit|society|collective|welfare", re.IGNORECASE)
"""Words of the published initial texts; the last are those of altruists only without words of self-interest."""


def told_by(text: str) -> dict[str, Any]:
    """Return what an initial text tells of age, gender, country and disposition; nothing of what it leaves open."""
    found = _TRAITS.match(text)
    told: dict[str, Any] = dict(zip(("age", "gender", "country"), found.groups(), strict=True)) if found else {}
    if found:
        told["age"] = int(found[1])
    altruistic, selfish = bool(_ALTRUIST.search(text)), bool(_SELFISH.search(text))
    if not altruistic and not selfish:
        altruistic = bool(_PUBLIC_SPIRITED.search(text))
    if altruistic != selfish:
        told["disposition"] = Disposition.ALTRUISTIC if altruistic else Disposition.SELF_INTERESTED
    return told


def learned_in(run: StepReader, step: int) -> dict[str, Learned]:
    """Return the learned texts of a stored run's agents after a step, by name, and by role in a game of two roles.

    Raises:
        ConfigurationError: If the step does not exist.
        StorageError: If the run is damaged.
    """
    found = run.step(step)
    run.folder.check_chain(0, step)
    learned: dict[str, Learned] = {}
    with understood(run.folder):
        for agent in found.state["agents"]:
            by_role = agent["learned"]
            learned[agent["name"]] = by_role if len(by_role) > 1 else next(iter(by_role.values()))
    return learned


def of_run(run: StepReader, step: int) -> Population:
    """Return the personas of a stored run with their learned texts after a step; the population has the run's name.

    Raises:
        ConfigurationError: If the step does not exist.
        StorageError: If the run is damaged.
    """
    learned = learned_in(run, step)
    with understood(run.folder):
        people = run.roster(step).personas
        personas = [people[name].model_copy(update={"learned": text}) for name, text in learned.items()]
    return Population(run.name if step == 0 else f"{run.name}/step_{step}", personas)


def profiles(runs: Iterable[tuple[StepReader, int]]) -> tuple[Profiles, list[str]]:
    """Collect learned texts from steps of stored runs, and note names that occur in two runs of one game.

    For such names the texts of the later run are taken.

    Raises:
        ConfigurationError: If a step does not exist.
        StorageError: If a run is damaged.
    """
    collected: Profiles = {}
    notes = []
    for run, step in runs:
        game = run.manifest.config.game
        learned = learned_in(run, step)
        known = collected.setdefault(game, {})
        twice = [name for name in learned if name in known]
        if twice:
            notes.append(
                f"{game}: {len(twice)} names of {run.folder.path / f'step_{step}'} are in a run before it too, such as "
                f"{twice[0]}; the later texts are taken"
            )
        known.update(learned)
    return collected, notes


class _Names(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    female: list[Label]
    male: list[Label]
    family: list[Label]


class _Range(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    low: int = Field(alias="from")
    high: int = Field(alias="to")


def _kind_of(value: object) -> str:
    if isinstance(value, list):
        return "list"
    return "range" if isinstance(value, Mapping) and set(value) == {"from", "to"} else "shares"


Values = Annotated[
    Annotated[list[Trait], Field(min_length=1), Tag("list")]
    | Annotated[dict[Label, float], Field(min_length=1), Tag("shares")]
    | Annotated[_Range, Tag("range")],
    Discriminator(_kind_of),
]


class TraitTable(BaseModel):
    """The data from which personas are drawn; a file of traits (JSON) replaces entries of the packaged one.

    Attributes:
        ages: The lowest and the highest age, in years.
        countries: Given names by gender and family names, by country.
        traits: By the name of a trait: a list of values, of which each is equally likely; a mapping of texts to shares,
            which sum to 1; or a range of whole numbers, {"from": 0, "to": 4}.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    ages: tuple[int, int]
    countries: Annotated[dict[Label, _Names], Field(min_length=1)]
    traits: dict[str, Values] = Field(default_factory=dict)

    @classmethod
    def read(cls, file: Path | None = None) -> Self:
        """Return the packaged table, with the entries of a file in place of its own.

        Raises:
            ConfigurationError: If the file cannot be read, or an entry is invalid.
        """
        where = "the table of traits" if file is None else f"file of traits {file}"
        own = {} if file is None else json_content(file, where)
        if not isinstance(own, dict):
            raise ConfigurationError(f"{where}: must be an object with {', '.join(cls.model_fields)}")
        if unknown := sorted(own.keys() - cls.model_fields.keys()):
            raise ConfigurationError(f"{where}: {unknown[0]}: unknown; known are {', '.join(cls.model_fields)}")
        named = own.get("traits")
        if taken := sorted(Persona.model_fields.keys() & (named if isinstance(named, dict) else {})):
            raise ConfigurationError(
                f"{where}: traits.{taken[0]}: is a field of every persona and cannot be drawn; write it into the "
                "file of personas that is generated"
            )
        try:
            return cls.model_validate({**seed_data("traits.json"), **own})
        except ValidationError as error:
            raise ConfigurationError(f"{where}: {first_problem(error)}") from None

    def drawn(self, n: int, streams: Streams) -> list[dict[str, Any]]:
        """Draw the traits of n personas; raise ConfigurationError if the shares of a trait do not sum to 1."""
        rows: list[dict[str, Any]] = [{} for _ in range(n)]
        for name, values in self.traits.items():
            draw = streams.at("personas", "trait", name)
            if isinstance(values, list):
                drawn: list[Any] = draw.choices(values, k=n)
            elif isinstance(values, dict):
                drawn = _shared(n, values, f"trait {name!r}", None, draw)
            else:
                if values.low > values.high:
                    raise ConfigurationError(f"trait {name!r}: from {values.low} to {values.high} is no range")
                drawn = [draw.randint(values.low, values.high) for _ in range(n)]
            for row, value in zip(rows, drawn, strict=True):
                row[name] = value
        return rows


@dataclass(frozen=True, slots=True)
class _Settings:
    """Filters and shares of generated personas; None or nothing where all are drawn from the table."""

    ages: tuple[int, int] | None
    countries: Sequence[str]
    women: float | None
    by_country: Mapping[str, float]

    @classmethod
    def read(cls, given: Mapping[str, str], table: TraitTable) -> Self:
        """Parse settings as text; raise ConfigurationError, which lists the known ones, if one is invalid."""
        ages, women = None, None
        countries: list[str] = list(table.countries)
        by_country: dict[str, float] = {}
        for name, text in given.items():
            match name.partition(" of "):
                case ["ages", "", ""]:
                    found = re.fullmatch(r"(\d{1,3})\s*-\s*(\d{1,3})", text)
                    if found is None or not int(found[1]) <= int(found[2]) <= OLDEST:
                        raise ConfigurationError(f"ages={text}: write a range up to {OLDEST}, as in ages=30-50")
                    ages = int(found[1]), int(found[2])
                case ["countries", "", ""]:
                    countries = [country.strip() for country in text.split(",")]
                case ["share", _, "women"]:
                    women = share(text, name)
                case ["share", _, country] if country in table.countries:
                    by_country[country] = share(text, name)
                case _:
                    raise ConfigurationError(
                        f"{name}={text}: set ages, countries, 'share of women' or the share of a country, which are "
                        f"{', '.join(table.countries)}; the share of altruists is --altruistic, and further traits "
                        "stand in a file of traits"
                    )
        for country in countries:
            if country not in table.countries:
                raise ConfigurationError(f"no country {country!r:.60}: there are {', '.join(table.countries)}")
        for country in by_country:
            if country not in countries:
                raise ConfigurationError(f"share of {country}: is not among the countries {', '.join(countries)}")
        return cls(ages, countries, women, by_country)


def generate(
    n: int, seed: int, altruistic: float = 0.5, settings: Mapping[str, str] | None = None, traits: Path | None = None
) -> list[Persona]:
    """Draw personas with distinct names from a table of traits, reproducibly on every machine.

    Shares hold exactly, up to rounding to whole personas.

    Args:
        n: The number of personas.
        seed: The random seed.
        altruistic: The share of altruists, rounded to the nearest whole persona; the others are self-interested.
        settings: Filters and shares: "ages" such as "30-50", "countries" such as "Japan,Ghana", "share of women", and
            "share of COUNTRY"; personas beyond the shares of countries are from the other countries.
        traits: A file of traits: see `TraitTable`.

    Raises:
        ConfigurationError: If the file or a setting is invalid, or the table has fewer names than are needed.
    """
    altruists = part(n, share(altruistic, "the share of altruists"))
    table = TraitTable.read(traits)
    wanted = _Settings.read(settings or {}, table)
    youngest, oldest = wanted.ages or table.ages
    by_name = {
        f"{given} {family}": (gender, country)
        for country, names in table.countries.items()
        if country in wanted.countries
        for gender in GENDERS
        for given in getattr(names, gender)
        for family in names.family
    }
    if not 2 <= n <= len(by_name):
        raise ConfigurationError(f"{n} personas: the table of traits has names for 2 to {len(by_name)}")
    streams = Streams(seed)
    draw = streams.at("personas")
    dispositions = [Disposition.ALTRUISTIC] * altruists + [Disposition.SELF_INTERESTED] * (n - altruists)
    draw.shuffle(dispositions)
    names = _names(n, by_name, wanted, streams, draw)
    personas = []
    for name, disposition, own in zip(names, dispositions, table.drawn(n, streams), strict=True):
        gender, country = by_name[name]
        person = {"name": name, "disposition": disposition, "age": draw.randint(youngest, oldest)}
        personas.append({**person, "gender": gender, "country": country, "traits": own})
    return validated(personas, "generated personas")


def _names(
    n: int, by_name: Mapping[str, tuple[str, str]], wanted: _Settings, streams: Streams, draw: Random
) -> list[str]:
    """Draw names, by the shares of women and of countries."""
    genders, countries = [""] * n, [""] * n  # An empty text is any gender, or any country without a share.
    if wanted.women is not None:
        women = {"female": wanted.women}
        genders = _shared(n, women, "share of women", "male", streams.at("personas", "gender"))
    if wanted.by_country:
        rest = "" if set(wanted.countries) - set(wanted.by_country) else None
        countries = _shared(n, wanted.by_country, "shares of countries", rest, streams.at("personas", "country"))
    kinds = list(zip(genders, countries, strict=True))
    drawn: dict[tuple[str, str], list[str]] = {}
    for kind, count in Counter(kinds).items():
        gender, country = kind
        pool = [
            name
            for name, (own, home) in by_name.items()
            if gender in ("", own) and (home == country if country else home not in wanted.by_country)
        ]
        if count > len(pool):
            words = " ".join(filter(None, (gender, f"from {country}" if country else "")))
            raise ConfigurationError(f"{count} personas ({words}): the table of traits has names for {len(pool)}")
        drawn[kind] = draw.sample(pool, count)
    return [drawn[kind].pop(0) for kind in kinds]


def _shared(n: int, shares: Mapping[str, float], what: str, rest: str | None, draw: Random) -> list[str]:
    """Return n values by their shares in a random order; `rest` is the value of what is left, None if nothing may be.

    Numbers are rounded by largest remainders, of equal ones the first first.
    """
    total = sum((Decimal(repr(float(each))) for each in shares.values()), Decimal(0))
    if not all(0 <= each <= 1 for each in shares.values()) or total > 1 or (total < 1 and rest is None):
        limit = "sum to 1" if rest is None else "sum to at most 1"
        raise ConfigurationError(f"{what}: {dict(shares)}: shares must be from 0 to 1 and {limit}")
    exact = {value: n * Decimal(repr(float(each))) for value, each in shares.items()}
    if rest is not None:
        exact[rest] = n * (1 - total)
    counts = {value: int(each) for value, each in exact.items()}
    remainders = sorted(exact, key=lambda value: counts[value] - exact[value])
    for value in remainders[: n - sum(counts.values())]:
        counts[value] += 1
    drawn = [value for value, count in counts.items() for _ in range(count)]
    draw.shuffle(drawn)
    return drawn
