"""Import a published run: its steps become those of a new run.

Entries without an exact counterpart are left out or mapped by one of these rules, and reported in the import report:

- A step without a folder has what memories tell of it: see `past`.
- A tie or blacklist entry that is a bare name has no role. A tie takes the roles of the other in their completed
  encounters, a blacklist entry the role in which the agent last met or heard of the other; without either, it takes
  the role of those who are chosen.
- A record keeps its published score, x5 + x4 - x2 - x1, whatever its five numbers sum to; the neutral level takes the
  difference to 1. The row keeps the published numbers.
- The step and cause of a record are those at which its predecessor was replaced. A first record was written when the
  holder first met or heard of the subject in that role.
- Dispositions come from a persona file, else from `learned` at step 0, else from the built-in personas of the same
  names, else from `learned` of the first step folder.
- A part of the mechanism is on where the user, our export, or the name of the run says that it is; where none does, if
  there is any record or gossip.
- Payoffs and shares follow from amounts by the rules of the game; a rounding difference to a promise is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from repunet_model.backends.base import Backend
from repunet_model.backends.setup import respondents
from repunet_model.config import BUILT_IN, RATIONAL, RunConfig
from repunet_model.errors import ConfigurationError
from repunet_model.games import find
from repunet_model.personas import Disposition, Persona, Population, built_in, read_file, validated
from repunet_model.populations import told_by
from repunet_model.questions.prompt_sets import PromptSet
from repunet_model.reference_layout.files import Published, read_published
from repunet_model.reference_layout.history import History
from repunet_model.reference_layout.kept import restored
from repunet_model.reference_layout.past import Past
from repunet_model.reference_layout.words import PREDICATES, PUBLISHED, SIGN_UP
from repunet_model.storage import Manifest, Row, RunFolder
from repunet_model.storage.packed import sizes
from repunet_model.util.report import Report
from repunet_model.util.text import first_problem

NAMED = (("invest", "investment"), ("pd_game", "prisoners_dilemma"), ("sign", "sign_up"))
"""Parts of the names of published runs, and the game that each stands for."""

_MODE = re.compile(r"with(out)?((?:_(?:repu|gossip))+)")
"""A part of the name of a published run, as in "with_repu_gossip" or "without_repu_with_gossip"."""


@dataclass(frozen=True, slots=True)
class Imported:
    """A finished import: the new run, its published step, the number of entries by kind, and the import report."""

    folder: RunFolder
    step: int
    counts: Mapping[str, int]
    report: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Facts about a published run that the user states, and a persona file; None to infer them from its files."""

    game: str | None = None
    reputation: bool | None = None
    gossip: bool | None = None
    personas: Path | None = None


def import_run(
    path: Path,
    storage: Path,
    name: str | None = None,
    told: Told | None = None,
    backend: str | Backend = "rules",
    seed: int = 1,
) -> Imported:
    """Import a published run.

    Args:
        path: A run folder, of which all steps are imported, or a step folder, which is imported with what its memories
            tell of earlier steps.
        storage: The folder of all runs.
        name: The name of the new run; None derives one from the path.
        told: Facts that the files may not hold.
        backend: The backend of the following steps.
        seed: The seed of the following steps; published runs do not store theirs.

    Raises:
        RepuNetError: If the run cannot be read or written; no partial run remains.
    """
    report = Report()
    published = read_published(path, report)
    reading = _Reading(published, told or Told(), report)
    own = restored(published)
    if own is None:
        config, personas, resolved = reading.config(seed), reading.personas(), {}
        steps = list(Past(reading.history, personas, config.seed, config.reputation).steps())
        # Equal agents make runs comparable; what they had learned at first is not always told.
        named = sorted((persona.name, persona.disposition) for persona in personas)
        alike = [Persona(name=name, disposition=disposition) for name, disposition in named]
        population = Population(PUBLISHED, alike).described({each.name: {} for each in alike})
        if published.last.meta.extra:
            report.say(published.source, "was changed after its export", "what the export kept is left out")
    else:
        kept, steps = own
        config, population = reading.config(seed, kept["config"]), kept["population"]
        personas, resolved = validated(kept["personas"], published.source), kept
    game = find(config.game, resolved.get("game_parameters", {}))
    chosen = PromptSet.restored(resolved.get("prompts", {}))
    (first, tables), *later = steps
    manifest = Manifest.of_run(
        config,
        population,
        respondents(backend).to_dict(),
        game.prompts(config, chosen).system,
        game_parameters=game.parameters.stored(),
        network=resolved.get("network", {"kind": "none"}),
        prompts=chosen.described(game.name),
        imported={"from": published.source, "step": published.step},
    )
    documents = {
        "personas": [persona.model_dump(mode="json") for persona in personas],
        **first,
        "import_report": report.lines,
    }
    default = re.sub(r"[^A-Za-z0-9._-]+", "_", f"imported_{published.source.replace('/', '_')}")
    default = default[:90].rstrip("._-") or "imported"
    folder = RunFolder.create(storage, name, default, manifest, documents, tables, later)
    return Imported(folder, published.step, sizes(steps), tuple(report.lines))


@dataclass
class _Reading:
    """The identity of a published run: its game, its mode and its agents."""

    published: Published
    told: Told
    report: Report = field(default_factory=Report)

    def __post_init__(self) -> None:
        """Look up what every method needs."""
        self.snapshot, self.source = self.published.last, self.published.source

    @cached_property
    def history(self) -> History:
        """The history of the run."""
        return History(self.published, find(self.game), self.report)

    def config(self, seed: int, kept: Row | None = None) -> RunConfig:
        """Return the parameters: those that our export kept, else the published ones; the user's come first."""
        told = {"game": self.told.game, "reputation": self.told.reputation, "gossip": self.told.gossip}
        if kept is not None:
            return RunConfig.checked({**kept, **{name: value for name, value in told.items() if value is not None}})
        # Published runs of the other two games play one pair after another.
        activation = "simultaneous" if self.game == "prisoners_dilemma" else "sequential"
        found = {"game": self.game, "reputation": self.reputation, "gossip": self.gossip}
        published = {"activation": activation, "dialogue_turns": 2, "mechanism": "published"}
        return RunConfig.checked({**found, **published, "seed": seed})

    @cached_property
    def game(self) -> str:
        """The game: stated by the user, stored by our export, shown by the files, or implied by the run's name."""
        shown = set(self._games_in_files())
        if len(shown) > 1:
            raise ConfigurationError(f"{self.source} holds more than one game: {', '.join(sorted(shown))}")
        known = self.told.game or next(iter(shown), None)
        if shown and known not in shown:
            raise ConfigurationError(f"{self.source} is of the game {shown.pop()!r}, not {known!r}")
        if known is None:
            named = {game for word, game in NAMED if word in self.source.lower()}
            if len(named) != 1:
                raise ConfigurationError(f"{self.source}: the game is unknown; name it with --scenario")
            known = named.pop()
            self.report.say(self.source, "no file says which game it is", f"{known} by the folder's name")
        if known not in PREDICATES:
            raise ConfigurationError(f"the game {known!r} is not one of the published: {', '.join(PREDICATES)}")
        return find(known).name

    def _games_in_files(self) -> Iterator[str]:
        by_role = {role: name for name in PREDICATES for role in find(name).roles}
        for person in self.snapshot.people:
            if isinstance(person.scratch.learned, dict):
                yield from (by_role[role] for role in person.scratch.learned if role in by_role)
            for entry in (*person.records.values(), *person.old_records.values()):
                if isinstance(entry, dict) and str(entry.get("role")).lower() in by_role:
                    yield by_role[str(entry["role"]).lower()]
            for node in person.nodes:
                if isinstance(node, dict):
                    predicate = "basic chat" if node.get("predicate") == SIGN_UP else node.get("predicate")
                    yield from (game for game, word in PREDICATES.items() if word == predicate)

    @cached_property
    def reputation(self) -> bool:
        """Whether agents keep reputations."""
        held = any(person.records for person in self.snapshot.people)
        return self._mode("reputation", "repu", self.told.reputation, held, "record")

    @cached_property
    def gossip(self) -> bool:
        """Whether agents gossip."""
        heard = any(person.gossip for person in self.snapshot.people)
        return self._mode("gossip", "gossip", self.told.gossip, heard, "message of gossip")

    def _mode(self, name: str, word: str, told: bool | None, shown: bool, unit: str) -> bool:
        """Whether a part of the mechanism is on; the sources and their order are those of `game`."""
        if told is not None:
            return told
        named = {
            each: not off for off, words in _MODE.findall(self.source.lower()) for each in words.strip("_").split("_")
        }
        if word in named and not (shown and not named[word]):
            if not shown:
                done = f"{'on' if named[word] else 'off'} by the name of the run"
                self.report.say(self.source, f"no file shows whether there is {name}", done)
            return named[word]
        if shown:
            if word in named:
                self.report.say(self.source, f"the name says that there is no {name}, and a {unit} is there", "on")
            return True
        met = len(self.history.interactions)
        if met:
            ground = f"{self.published.step} steps and {met} encounters without one {unit}"
            self.report.say(self.source, f"neither a file nor the name says whether there is {name}", f"off: {ground}")
            return False
        self.report.say(self.source, f"no file shows whether there is {name}", "on by default")
        return True

    def personas(self) -> list[Persona]:
        """Return the agents before the first step."""
        given: Mapping[str, Persona] = {}
        if self.told.personas is not None:
            rows = read_file(self.told.personas, self.game, find(self.game).roles)
            given = {persona.name: persona for persona in rows}
        for name in sorted(set(given) - set(self.published.names)):
            self.report.say(name, "is in the persona file and not in the run", "left out")
        # The later investment runs have other dispositions than the early ones, whose `learned` is one text.
        is_early = any(isinstance(person.scratch.learned, str) for person in self.snapshot.people)
        has_altruists = is_early or self.game != "investment"
        known = {persona.name: persona for persona in built_in(BUILT_IN if has_altruists else RATIONAL)}
        return [self._persona(name, given.get(name), known.get(name)) for name in self.published.names]

    def _persona(self, name: str, given: Persona | None, known: Persona | None) -> Persona:
        """Return a persona from the persona file, the built-in one, and what `learned` tells in the first folder."""
        first = min(self.published.snapshots)
        learned = self.published.snapshots[first].person(name).scratch.by_role(find(self.game).roles)
        texts = {text.strip() for text in learned.values()}
        told = told_by(" ".join(texts))
        traits = {"name": name, **told}
        for trait, value in {} if (other := given or known) is None else other.model_dump(mode="json").items():
            if trait not in {"disposition", "learned"} and value is not None:
                if traits.get(trait, value) != value:
                    self.report.say(f"{name}/scratch.json", f"{trait} {traits[trait]}", f"{value} is known")
                traits[trait] = value
        traits["disposition"] = self._disposition(name, given, known, told.get("disposition"), first)
        if first == 0 and len(texts) == 1:
            traits["learned"] = texts.pop() or None
        try:
            return Persona.model_validate(traits)
        except ValidationError as error:
            raise ConfigurationError(f"{name}: {first_problem(error)}") from None

    def _disposition(
        self, name: str, given: Persona | None, known: Persona | None, said: Disposition | None, first: int
    ) -> Disposition:
        """Return the disposition of an agent; the sources and their order are in the docstring of this module."""
        if given is not None:
            if first == 0 and said not in (None, given.disposition):
                self.report.say(name, f"`learned` says {said} at step 0", f"{given.disposition} by the persona file")
            return given.disposition
        if first == 0 and said is not None:
            return said
        where = "`learned` does not tell it at step 0" if first == 0 else "step 0 is not there"
        if known is not None:
            done = "that of the built-in persona of the same name; name others by --personas"
            self.report.say(name, f"the disposition is in no file, {where}", done)
            return known.disposition
        if said is None:
            raise ConfigurationError(f"{name}: the published layout holds no disposition, give --personas FILE")
        self.report.say(name, f"the disposition is in no file, {where}", f"taken from `learned` of step {first}")
        return said
