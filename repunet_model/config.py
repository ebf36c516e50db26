"""`RunConfig`: every parameter on which the outcome of a run depends, defined once.

Its fields define the checks of `RepuNetModel`, the manifest of a run, the options of the command line, the keys of job
and sweep files, the settings of `fork --set`, the parameters of the page and the table of docs/odd.md. To add a
parameter, add a field here and a keyword to `RepuNetModel`, and read it from `model.config` where it is needed.
"""

from __future__ import annotations

import operator
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import NoneType
from typing import Annotated, Any, NamedTuple, Self, SupportsIndex, cast, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, ValidationInfo
from pydantic.fields import FieldInfo

from repunet_model.error_rates import NO_ERRORS, ErrorRates
from repunet_model.errors import ConfigurationError
from repunet_model.events import BETWEEN, canonical
from repunet_model.mechanism import PAPER, PUBLISHED, SETS, Mechanism
from repunet_model.util.text import SCENARIOS, assignments, first_problem, one_of, scenario_names, whole, yes_or_no

BUILT_IN, RATIONAL = "built-in", "rational"
"""The names of the two sets of built-in personas: half of them altruistic, and all self-interested."""

PERSONA_SETS = (BUILT_IN, RATIONAL)

LONGEST_LABEL = 100

OF_GAME = "game."
"""The beginning of the name of a game's parameter in settings of forks and in tables."""


class Mode(NamedTuple):
    """The parts of the mechanism that are on."""

    reputation: bool
    gossip: bool


FULL, REPUTATION_ONLY, GOSSIP_ONLY, NEITHER = "reputation and gossip", "reputation only", "gossip only", "neither"

MODES: dict[str, Mode] = {
    FULL: Mode(reputation=True, gossip=True),
    REPUTATION_ONLY: Mode(reputation=True, gossip=False),
    GOSSIP_ONLY: Mode(reputation=False, gossip=True),
    NEITHER: Mode(reputation=False, gossip=False),
}
"""The modes by name, in the order of tables and figures."""

IN_FILE_NAMES = {FULL: "full", REPUTATION_ONLY: "reputation", GOSSIP_ONLY: "gossip", NEITHER: "none"}
"""The names of modes in the names of run folders."""


def mode_of(reputation: bool, gossip: bool) -> str:
    """Return the name of a mode."""
    return next(name for name, mode in MODES.items() if mode == (reputation, gossip))


def parts_in_words(reputation: bool, gossip: bool) -> str:
    """Return a mode in words that need no context."""
    parts = [word for word, is_on in (("reputation", reputation), ("gossip", gossip)) if is_on]
    return " and ".join(parts) or "neither reputation nor gossip"


class Activation(StrEnum):
    """The order in which pairs act.

    SIMULTANEOUS: all pairs meet as if at once, and gossip follows. SEQUENTIAL: one pair after another meets and
    gossips, so that later pairs know what earlier ones did. In both, pairs are settled before any result is applied.
    """

    SIMULTANEOUS = "simultaneous"
    SEQUENTIAL = "sequential"


class Questions(StrEnum):
    """The way agents are asked.

    SINGLE: one question a call, as in the paper. FUSED: consecutive questions to an agent from the same view are one
    call with one compound answer.
    """

    SINGLE = "single"
    FUSED = "fused"


@dataclass(frozen=True, slots=True)
class Parameter:
    """The presentation of a field of `RunConfig` to users.

    Attributes:
        meaning: A sentence for the help of the command line.
        name: Its name on the command line and in files; by default that of the field.
        options: Its options on the command line; by default derived from its name.
        metavar: The placeholder of a value in help; by default derived from its type.
        is_resolved: Whether the value names something, such as a backend, of which a manifest stores a description.
        may_change: Whether `fork --set` may change it (`resume --backend-for` changes `backend_for`).
    """

    meaning: str
    name: str = ""
    options: tuple[str, ...] = ()
    metavar: str | None = None
    is_resolved: bool = False
    may_change: bool = True


def _flag(value: object, info: ValidationInfo) -> bool:
    kind = type(value)
    if kind.__module__ == "numpy" and kind.__name__.startswith("bool"):
        return bool(value)
    if not isinstance(value, bool):
        raise ConfigurationError(f"{info.field_name} is {value!r}: must be True or False")
    return value


def _text(value: object, info: ValidationInfo) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ConfigurationError(f"{info.field_name} is {value!r}: must be a text")
    return value


def _game(value: object, info: ValidationInfo) -> str:
    name = _text(value, info)
    return SCENARIOS.get(name, name)  # The registry of games checks that it exists.


def _label(value: object, info: ValidationInfo) -> str:
    text = _text(value, info).strip()
    if not text.isprintable() or len(text) > LONGEST_LABEL:
        raise ConfigurationError(f"label is {value!r}: use at most {LONGEST_LABEL} characters that can be seen")
    return text


def _whole(value: object, info: ValidationInfo) -> int | None:
    """Return a whole number within the bounds of the field, including NumPy's integers."""
    field = RunConfig.model_fields[info.field_name or ""]
    if value is None and NoneType in get_args(field.annotation):
        return None
    low, high = bounds(field)
    limits = f"at least {low}" if high is None else f"from {low} to {high}"
    try:
        number = operator.index(cast("SupportsIndex", value))
    except TypeError:
        number = low - 1
    if isinstance(value, bool) or number < low or (high is not None and number > high):
        raise ConfigurationError(f"{info.field_name} is {value!r}: must be a whole number, {limits}")
    return number


def _seed(value: object, info: ValidationInfo) -> int:
    """Return a seed; the page passes it as text."""
    try:
        return int(value) if isinstance(value, str) else operator.index(cast("SupportsIndex", value))
    except (TypeError, ValueError):
        raise ConfigurationError(f"{info.field_name} is {value!r}: the seed must be an integer") from None


def _member(value: object, info: ValidationInfo) -> StrEnum:
    kind = RunConfig.model_fields[info.field_name or ""].annotation
    assert isinstance(kind, type)
    assert issubclass(kind, StrEnum)
    try:
        return kind(str(value))
    except ValueError:
        known = ", ".join(member.value for member in kind)
        raise ConfigurationError(f"unknown {info.field_name} {value!r}: choose one of {known}") from None


def _mechanism(value: object) -> Mechanism:
    return Mechanism.read(value)


def _errors(value: object) -> ErrorRates:
    return ErrorRates.read(value)


def _game_parameters(value: object, info: ValidationInfo) -> dict[str, Any]:
    """Return values by name, from a text or a mapping; the game checks them."""
    if isinstance(value, str):
        return dict(assignments(value, info.field_name or ""))
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ConfigurationError(
            f"{info.field_name} is {value!r}: must be a text such as 'temptation=4,reward=3', or a mapping of names to "
            "numbers (in batch_run, a text, or a list of such mappings)"
        )
    return dict(value)


def _events(value: object) -> tuple[str, ...]:
    return canonical(value)


def _by_name(value: object, info: ValidationInfo) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for each in value.items() for text in each):
        raise ConfigurationError(
            f"{info.field_name} is {value!r}: must map names of agents to backends (in batch_run, give a list of such "
            "mappings)"
        )
    return dict(value)


_SCENARIOS = f"{one_of(scenario_names())}."
"""The help of the scenario."""

_SWITCHES = ", ".join(Mechanism.model_fields)

_OF_MECHANISM = f"{' or '.join(SETS)}, and switches that differ, as in paper,second_order=off ({_SWITCHES})."
"""The help of the mechanism, outside the class since Sphinx reads no f-string in an annotation."""


class RunConfig(BaseModel):
    """Every parameter on which the outcome of a run depends.

    All fields of an instance are valid; an invalid value raises a `ConfigurationError`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    game: Annotated[str, BeforeValidator(_game), Parameter(_SCENARIOS, name="scenario", may_change=False)] = (
        "prisoners_dilemma"
    )
    reputation: Annotated[bool, BeforeValidator(_flag), Parameter("Keep reputations.")] = True
    gossip: Annotated[bool, BeforeValidator(_flag), Parameter("Gossip.")] = True
    game_parameters: Annotated[
        dict[str, Any],
        BeforeValidator(_game_parameters),
        Parameter(
            "A payoff or another constant of the scenario, as in temptation=4; may be given more than once.",
            options=("--game-set",),
            metavar="NAME=VALUE",
            is_resolved=True,
        ),
    ] = {}
    n_agents: Annotated[
        int | None,
        Ge(2),
        BeforeValidator(_whole),
        Parameter(
            "How many agents; by default all of the persona set, fewer are its first.",
            options=("-n", "--n-agents"),
            is_resolved=True,
            may_change=False,
        ),
    ] = None
    personas: Annotated[
        str,
        BeforeValidator(_text),
        Parameter(
            "built-in (ten altruistic, ten self-interested), rational (the same people, all self-interested), or a "
            "persona file (JSON): a list of personas; or learned texts by name, for the built-in ones; or either of "
            "these by scenario.",
            options=("--personas", "--persona-file"),
            metavar="SET|FILE",
            is_resolved=True,
            may_change=False,
        ),
    ] = BUILT_IN
    population: Annotated[
        str,
        BeforeValidator(_text),
        Parameter(
            "Draw the agents from the persona set by the seed: drawn (as they are), or altruistic=SHARE (dispositions "
            "are drawn, too), with altruists anywhere in the network at the start or placed as in "
            "altruistic=0.3,placed=hubs (hubs, periphery, clustered); by default the first of the set.",
            metavar="DRAW",
            is_resolved=True,
            may_change=False,
        ),
    ] = ""
    network: Annotated[
        str,
        BeforeValidator(_text),
        Parameter(
            "Ties at the start: none, complete, ring:k=2, erdos_renyi:p=0.2, watts_strogatz:k=4,p=0.1, "
            "barabasi_albert:m=2, block:within=0.4,between=0.05 (by disposition), edges:FILE, ties:FILE or "
            "graphml:FILE.",
            metavar="NETWORK",
            is_resolved=True,
            may_change=False,
        ),
    ] = "none"
    prompts: Annotated[
        str,
        BeforeValidator(_text),
        Parameter(
            "The wording of all prompts: a packaged prompt set, the folder of one of your own, or several joined by +, "
            "as in market+bullets.",
            metavar="SET",
            is_resolved=True,
        ),
    ] = "neutral"
    backend: Annotated[
        str,
        BeforeValidator(_text),
        Parameter(
            "rules (offline, free; with parameters as rules:NAME=VALUE,...), always_cooperate, always_defect, "
            "tit_for_tat, trembling, honest_defector, clique, booster, slanderer or silent (planted policies), "
            "norm:NAME (a norm of indirect reciprocity, such as norm:L6), openai or openai:MODEL "
            "(OPENAI_API_KEY, LLM_*), openai:NAME (a named endpoint), local or local:FILE (a model on this machine), "
            "replay:RUN.",
            is_resolved=True,
        ),
    ] = "rules"
    backend_for: Annotated[
        dict[str, str],
        BeforeValidator(_by_name),
        Parameter(
            "Who answers for one agent instead: any of these, or human; may be given more than once.",
            metavar="NAME=BACKEND",
            is_resolved=True,
            may_change=False,
        ),
    ] = {}
    activation: Annotated[Activation, BeforeValidator(_member), Parameter("simultaneous or sequential.")] = (
        Activation.SIMULTANEOUS
    )
    dialogue_turns: Annotated[
        int, Ge(2), Le(10), BeforeValidator(_whole), Parameter("Maximum number of turns in a dialogue.")
    ] = 2
    questions: Annotated[
        Questions,
        BeforeValidator(_member),
        Parameter(
            "single (one question a call) or fused (one call for consecutive questions with the same knowledge)."
        ),
    ] = Questions.SINGLE
    mechanism: Annotated[
        Mechanism,
        BeforeValidator(_mechanism),
        Parameter(_OF_MECHANISM, metavar="SET[,SWITCH=VALUE...]"),
    ] = PAPER
    errors: Annotated[
        ErrorRates,
        BeforeValidator(_errors),
        Parameter(
            "Errors by kind with their rates from 0 to 1: slip (an act differs from the decision), misperception (a "
            "side takes its partner's act for the other one), garble (gossip arrives in the opposite tone); or none.",
            metavar="KIND=RATE[,...]",
        ),
    ] = NO_ERRORS
    events: Annotated[
        tuple[str, ...],
        BeforeValidator(_events),
        Parameter(
            "What happens to agents at the start of a step, as in 'step=10 share=0.2 becomes=always_defect', with "
            "agents=3 or names=A,B in place of share; becomes: enter, leave, whitewash, or a backend.",
            options=("--event",),
            metavar="EVENT",
        ),
    ] = ()
    seed: Annotated[int, BeforeValidator(_seed), Parameter("Seed of the run.")] = 1
    label: Annotated[
        str,
        BeforeValidator(_label),
        Parameter("A label of your own, which keeps the run apart in tables and reports.", metavar="TEXT"),
    ] = ""

    def stored(self) -> dict[str, Any]:
        """Return the entries of a manifest: all parameters that are not resolved, as plain data."""
        return {name: value for name, value in self.model_dump(mode="json").items() if name not in RESOLVED}

    @property
    def conditions(self) -> str:
        """The mode in words, and the mechanism and the errors if they are not the default."""
        parts = [parts_in_words(self.reputation, self.gossip)]
        parts += [f"mechanism {self.mechanism}"] if self.mechanism != PAPER else []
        parts += [f"errors {self.errors}"] if self.errors != NO_ERRORS else []
        return ", ".join(parts)

    def keywords(self) -> dict[str, Any]:
        """Return these parameters as keywords of `RepuNetModel`, scalars all, without the resolved ones."""
        return {"rng" if name == "seed" else name: value for name, value in self.in_table().items()}

    def in_table(self) -> dict[str, Any]:
        """Return the entries of a manifest as scalars; mechanism, errors and events as their texts."""
        texts = {"mechanism": str(self.mechanism), "errors": str(self.errors), "events": BETWEEN.join(self.events)}
        return {**self.stored(), **texts}

    def changed(self, values: Mapping[str, Any]) -> Self:
        """Return a copy with some values changed; fields that were set stay marked as set.

        Raises:
            ConfigurationError: If a value is invalid.
        """
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self).checked({**given, **values})

    @classmethod
    def checked(cls, values: Mapping[str, Any], where: str = "") -> Self:
        """Create parameters from values, with defaults for the others.

        Args:
            values: Values by field, or by the name of a field in files.
            where: The place of the values, for error messages.

        Raises:
            ConfigurationError: If a name is unknown, or a value is invalid.
        """
        fields = {FIELD_OF.get(name, name): (name, value) for name, value in values.items()}
        place = f"{where}: " if where else ""
        for field, (name, value) in fields.items():
            if field not in cls.model_fields:
                raise ConfigurationError(
                    f"{place}{name}: unknown; known are {', '.join(map(name_of, cls.model_fields))}"
                )
            try:
                _check(field, value)
            except ConfigurationError as error:
                raise ConfigurationError(f"{place}{error}") from None
        return cls.model_validate({field: value for field, (_, value) in fields.items()})

    @classmethod
    def of_manifest(cls, manifest: Mapping[str, Any]) -> Self:
        """Read the parameters that a manifest holds as values; those in `RESOLVED` get their defaults.

        A parameter or switch that the run's version of this package did not have gets its default; the mechanism of
        runs before format 5 is `published`.

        Raises:
            ConfigurationError: If a parameter is missing or invalid.
        """
        known = {name: manifest[name] for name in cls.model_fields if name in manifest and name not in RESOLVED}
        if known.get("mechanism") is None:
            known["mechanism"] = PUBLISHED.model_dump(mode="json")
        if isinstance(known["mechanism"], Mapping):
            known["mechanism"] = {**PAPER.model_dump(mode="json"), **known["mechanism"]}
        for name in _IN_ALL_FORMATS:
            if name not in known:
                raise ConfigurationError(f"{name} is missing")
        config = cls.checked(known)
        for name, value in config.stored().items():
            if value != known.get(name, value):
                raise ConfigurationError(f"{name} is {known[name]!r}")
        return config


RESOLVED = frozenset(
    name
    for name, field in RunConfig.model_fields.items()
    if any(isinstance(each, Parameter) and each.is_resolved for each in field.metadata)
)
"""The fields that a manifest stores as a description of what the value names."""

_IN_ALL_FORMATS = ("game", "reputation", "gossip", "activation", "dialogue_turns", "questions", "seed")
"""The fields that every stored run has, in all versions."""


def shown(field: str) -> Parameter:
    """Return the presentation of a field."""
    return next(each for each in RunConfig.model_fields[field].metadata if isinstance(each, Parameter))


def name_of(field: str) -> str:
    """Return the name of a field on the command line and in files."""
    return shown(field).name or field


FIELD_OF = {name_of(field): field for field in RunConfig.model_fields}
"""The fields by their names on the command line and in files."""


def kind_of(field: str) -> type:
    """Return the type of a field without None: bool, int, str, tuple, dict, or an enumeration."""
    annotation = RunConfig.model_fields[field].annotation
    options = get_args(annotation)
    (kind,) = [each for each in options if each is not NoneType] if NoneType in options else [annotation]
    origin = get_origin(kind) or kind
    assert isinstance(origin, type)
    return origin


def bounds(field: FieldInfo) -> tuple[int, int | None]:
    """Return the smallest and the largest value of an integer field; None without a largest."""
    low = next((int(each.ge) for each in field.metadata if isinstance(each, Ge)), 0)  # type: ignore[call-overload]
    high = next((int(each.le) for each in field.metadata if isinstance(each, Le)), None)  # type: ignore[call-overload]
    return low, high


def changeable() -> list[str]:
    """Return the names of the parameters that a fork may set, in which NAME stands for a parameter of the game."""
    fields = [field for field in RunConfig.model_fields if shown(field).may_change and field != "game_parameters"]
    return [*map(name_of, fields), f"{OF_GAME}NAME"]


def draw_seed() -> int:
    """Draw a seed for a run without one."""
    return secrets.randbelow(2**31)


def read_text(field: str, text: str) -> Any:
    """Parse the text of a value, as in `fork --set` and in lists of values on the command line.

    Raises:
        ConfigurationError: If the value is invalid.
    """
    kind = kind_of(field)
    if kind is bool:
        try:
            return yes_or_no(text)
        except ConfigurationError:
            raise ConfigurationError(f"{name_of(field)}={text}: say y or n") from None
    if kind is int and field != "seed":
        number = whole(text)
        return _check(field, text if number is None else number)
    return _check(field, text)


def _check(field: str, value: Any) -> Any:
    """Validate the value of a field, and return it."""
    try:
        return getattr(RunConfig.model_validate({field: value}), field)
    except ValidationError as error:
        raise ConfigurationError(first_problem(error)) from None
