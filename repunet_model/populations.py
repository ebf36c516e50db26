"""Populations from elsewhere: out of a stored run, with what its agents have learned, or drawn from a table of traits.

The table lies in `seeds/traits.json`: given names and family names by country, and the range of ages in years.
"""

from __future__ import annotations

from collections.abc import Iterable

from repunet_model.errors import ConfigurationError
from repunet_model.personas import Disposition, Learned, Persona, Population, seed_data
from repunet_model.rng import Streams
from repunet_model.storage import StepReader, understood

Profiles = dict[str, dict[str, Learned]]
"""Learned texts by game and name: a form of a persona file."""


def learned_in(run: StepReader, step: int) -> dict[str, Learned]:
    """Return what the agents of a stored run have learned, by name: a text, or by role where the game has two roles.

    Args:
        run: The run.
        step: After which step.

    Raises:
        ConfigurationError: If the step is not there.
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
    """Return the personas of a stored run with what they have learned, under its name; nothing else is taken.

    Args:
        run: The run.
        step: After which step.

    Raises:
        ConfigurationError: If the step is not there.
        StorageError: If the run is damaged.
    """
    learned = learned_in(run, step)
    with understood(run.folder):
        personas = [persona.model_copy(update={"learned": learned[persona.name]}) for persona in run.personas]
    return Population(run.name if step == 0 else f"{run.name}/step_{step}", personas)


def profiles(runs: Iterable[tuple[StepReader, int]]) -> tuple[Profiles, list[str]]:
    """Collect what the agents of stored runs have learned, and say where one run takes the place of another.

    Args:
        runs: Each run and a step of it. Of two runs of one game the later one has its way with the names in both.

    Raises:
        ConfigurationError: If a step is not there.
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
    """Draw personas from the table of traits, no two of one name; the same for the same arguments, on every machine.

    Args:
        n: How many.
        seed: Any integer.
        altruistic: The share of altruists, rounded to the nearest whole persona; the others are self-interested.

    Raises:
        ConfigurationError: If the table has fewer names, or the share is none.
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
    return [
        Persona(
            name=name,
            disposition=disposition,
            age=draw.randint(youngest, oldest),
            gender=by_name[name][0],
            country=by_name[name][1],
        )
        for name, disposition in zip(draw.sample(list(by_name), n), dispositions, strict=True)
    ]
