"""Populations from a stored run, with the learned texts of its agents, or drawn from a table of traits.

The table `seeds/traits.json` has given names and family names by country, and the range of ages in years.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from repunet_model.errors import ConfigurationError
from repunet_model.personas import Disposition, Learned, Persona, Population, seed_data
from repunet_model.rng import Streams
from repunet_model.storage import StepReader, understood

Profiles = dict[str, dict[str, Learned]]
"""Learned texts by game and name, a form of persona file."""


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
        personas = [persona.model_copy(update={"learned": learned[persona.name]}) for persona in run.personas]
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


def generate(n: int, seed: int, altruistic: float = 0.5) -> list[Persona]:
    """Draw personas with distinct names from the table of traits, reproducibly on every machine.

    Args:
        n: The number of personas.
        seed: The random seed.
        altruistic: The share of altruists, rounded to the nearest whole persona; the others are self-interested.

    Raises:
        ConfigurationError: If the table has fewer names, or the share is not in [0, 1].
    """
    if not 0 <= altruistic <= 1:
        raise ConfigurationError(f"the share of altruists is {altruistic}: must be from 0 to 1")
    table = seed_data("traits.json")
    youngest, oldest = table["ages"]
    by_name = {
        f"{given} {family}": (gender, country)
        for country, names in table["countries"].items()
        for gender in ("female", "male")
        for given in names[gender]
        for family in names["family"]
    }
    if not 2 <= n <= len(by_name):
        raise ConfigurationError(f"{n} personas: the table of traits has names for 2 to {len(by_name)}")
    draw = Streams(seed).at("personas")
    altruists = int(n * altruistic + 0.5)
    dispositions = [Disposition.ALTRUISTIC] * altruists + [Disposition.SELF_INTERESTED] * (n - altruists)
    draw.shuffle(dispositions)
    personas = []
    for name, disposition in zip(draw.sample(list(by_name), n), dispositions, strict=True):
        gender, country = by_name[name]
        age = draw.randint(youngest, oldest)
        personas.append(Persona(name=name, disposition=disposition, age=age, gender=gender, country=country))
    return personas
