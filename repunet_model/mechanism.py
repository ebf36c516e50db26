"""The mechanism of a run: switches for its parts, and two named sets of them.

`paper`, the default, is what Ren et al. (AAMAS 2026, doi 10.65109/UEHN4980) describe, and where they are silent what
their published code means to do. `published` is what the code means to do. A mechanism is written as a text such as
"paper,second_order=off", as a table such as {base = "published", second_order = "off"}, or as `Mechanism(...)`.

Switches apply within the mode of a run: without reputation those of records change nothing, and so do without gossip
those of gossip (`Mechanism.within`). They identify a run as they were given, whatever its mode.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Self, cast

from annotated_types import Ge, Le
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, ValidationInfo

from repunet_model.errors import ConfigurationError
from repunet_model.util.text import first_problem


class GossipMemory(StrEnum):
    """The cases in which gossip that an agent heard about its partner is shown in its choices."""

    NEVER = "never"
    WITHOUT_RECORDS = "without_records"  # Where it keeps no records of others.
    ALWAYS = "always"


class Partners(StrEnum):
    """The way in which a chooser finds a partner among the free agents to which it has a tie."""

    REPUTATION = "reputation"  # It picks one from its records of them.
    TIES = "ties"  # One of them is drawn.
    RANDOM = "random"  # Ties do not count.


class Institution(StrEnum):
    """What everybody is shown of the past of others."""

    PRIVATE = "private"  # Its own records of them.
    BOARD = "board"  # The latest reports that agents made of them in public.
    SCORE = "score"  # The mean of all records of them.
    IMAGE = "image"  # A count of their acts that the environment keeps (Nowak & Sigmund 1998).
    NONE = "none"  # Nothing.

    @property
    def is_public(self) -> bool:
        """Whether everybody is shown the same."""
        return self in (Institution.BOARD, Institution.SCORE, Institution.IMAGE)


class PartnersWithoutRecords(StrEnum):
    """The same where agents keep no records of others."""

    TIES = "ties"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class Switch:
    """The description of a switch.

    Attributes:
        meaning: What it decides.
        paper: What the paper says; "silent" where it says nothing.
        code: What the published code means to do.
        published: Its value in the set `published`; None for the default, which is that of `paper`.
    """

    meaning: str
    paper: str
    code: str
    published: Any = None


def _is_on(value: object, info: ValidationInfo) -> bool:
    named = {"on": True, "off": False}
    if isinstance(value, str) and value in named:
        return named[value]
    if not isinstance(value, bool):
        raise ConfigurationError(f"{info.field_name} is {value!r}: choose on or off")
    return value


def _number(value: object, info: ValidationInfo) -> float:
    """Return a number within the bounds of the field, which may be given as text."""
    low, high, kind = _range(info.field_name or "")
    try:
        number: float | None = None if isinstance(value, bool) else kind(value)
    except (TypeError, ValueError):
        number = None
    if number is None or not low <= number <= high or (not isinstance(value, str) and number != value):
        words = "whole number" if kind is int else "number"
        raise ConfigurationError(f"{info.field_name} is {value!r}: must be a {words}, from {low} to {high}")
    return number


def _member(value: object, info: ValidationInfo) -> StrEnum:
    kind = Mechanism.model_fields[info.field_name or ""].annotation
    assert isinstance(kind, type)
    assert issubclass(kind, StrEnum)
    try:
        return kind(str(value))
    except ValueError:
        raise ConfigurationError(f"{info.field_name} is {value!r}: choose one of {', '.join(kind)}") from None


_OnOff = Annotated[bool, BeforeValidator(_is_on)]


class Mechanism(BaseModel):
    """The switches of the mechanism; the defaults are the set `paper`.

    Docs: the table of switches in docs/odd.md. An invalid value raises a `ConfigurationError`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    self_records: Annotated[_OnOff, Switch("agents keep reputation records of themselves", "yes", "yes")] = True
    peer_records: Annotated[_OnOff, Switch("agents keep reputation records of others", "yes", "yes")] = True
    first_order: Annotated[
        _OnOff, Switch("agents gossip about those they met; off, nobody gossips at all", "yes", "yes")
    ] = True
    second_order: Annotated[_OnOff, Switch("listeners of first-order gossip may pass it on once", "silent", "yes")] = (
        True
    )
    wish_sees_record: Annotated[
        _OnOff,
        Switch(
            "who is asked for a wish to gossip sees its record of the partner",
            "no: the encounter and its own description",
            "yes: the updated record (prisoner's dilemma)",
            published=True,
        ),
    ] = False
    judgement_sees_record: Annotated[
        _OnOff,
        Switch(
            "a listener sees its record of the subject while it talks about the gossip and judges it",
            "no: its record of the gossiper, and the share of gossip that it found uncredible",
            "no; on in this set all the same, as before there were switches",
            published=True,
        ),
    ] = False
    gossip_memory: Annotated[
        GossipMemory,
        BeforeValidator(_member),
        Switch(
            "when choices show the gossip that the agent heard about its partner: never, without_records (where it "
            "keeps no records of others) or always",
            "it goes into the listener's memory",
            "it bears on ties alone",
            published=GossipMemory.NEVER,
        ),
    ] = GossipMemory.WITHOUT_RECORDS
    gossip_shown: Annotated[
        int,
        Ge(1),
        Le(20),
        BeforeValidator(_number),
        Switch("the latest messages about the partner that a choice shows at most", "silent", "none"),
    ] = 5
    partners: Annotated[
        Partners,
        BeforeValidator(_member),
        Switch(
            "how a chooser finds a partner among those it has a tie to: reputation (it picks one from its records), "
            "ties (one is drawn) or random (ties do not count)",
            "at random, or chosen by reputation",
            "by reputation",
        ),
    ] = Partners.REPUTATION
    partners_without_records: Annotated[
        PartnersWithoutRecords,
        BeforeValidator(_member),
        Switch(
            "the same where agents keep no records of others: ties or random",
            "through the evolved network",
            "random pairs",
            published=PartnersWithoutRecords.RANDOM,
        ),
    ] = PartnersWithoutRecords.TIES
    partner_probability: Annotated[
        float,
        Ge(0.0),
        Le(1.0),
        BeforeValidator(_number),
        Switch("the probability that a chooser with such ties takes one of them", "silent", "0.5"),
    ] = 0.5
    random_sign_up: Annotated[
        _OnOff,
        Switch(
            "pairs are random in sign-up, in every mode",
            "no: as in the other two scenarios",
            "yes",
            published=True,
        ),
    ] = False
    tie_after_encounter: Annotated[
        _OnOff, Switch("after an encounter agents make, keep or cut the tie to the partner", "yes", "yes")
    ] = True
    tie_after_gossip: Annotated[
        _OnOff, Switch("after gossip listeners keep or cut their tie to the subject", "yes", "yes")
    ] = True
    tie_after_news: Annotated[
        _OnOff, Switch("after public news readers keep or cut their tie to the subject", "silent", "yes")
    ] = True
    blacklist_length: Annotated[
        int,
        Ge(0),
        Le(100),
        BeforeValidator(_number),
        Switch("the last cut ties that an agent remembers, whose partners it does not deal with", "silent", "5"),
    ] = 5
    public_period: Annotated[
        int,
        Ge(1),
        Le(1000),
        BeforeValidator(_number),
        Switch("steps from one public round, or reading of public evaluations, to the next", "silent", "5"),
    ] = 5
    rewrite_learned: Annotated[
        _OnOff, Switch("agents rewrite their learned text after a completed encounter", "silent", "yes")
    ] = True
    memory_shown: Annotated[
        int,
        Ge(0),
        Le(20),
        BeforeValidator(_number),
        Switch("the agent's last encounters in its role that a choice shows", "yes; how many is not said", "5"),
    ] = 5
    institution: Annotated[
        Institution,
        BeforeValidator(_member),
        Switch(
            "what agents are shown of others' past, and of their own standing, in choices, picks of partners and "
            "decisions about ties: private (their own records), board (the latest public reports), score (the mean of "
            "all records), image (a count of acts kept by the environment) or none",
            "private records",
            "private records",
        ),
    ] = Institution.PRIVATE

    def __str__(self) -> str:
        """Return the text that names these switches: a set, and what differs from it; the nearer set, `paper` first."""
        texts: list[list[str]] = []
        for name, base in SETS.items():
            other = [
                f"{field}={in_words(getattr(self, field))}"
                for field in type(self).model_fields
                if getattr(self, field) != getattr(base, field)
            ]
            texts.append([name, *other])
        nearest = min(texts, key=len)
        return ",".join(nearest)

    @classmethod
    def read(cls, value: object) -> Self:
        """Return the mechanism that a text, a table or an object stands for.

        Raises:
            ConfigurationError: If a set or a switch is unknown, or a value is invalid.
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            base, *changes = (part.strip() for part in value.split(","))
            table: dict[str, Any] = {}
            for change in changes:
                name, _, text = (part.strip() for part in change.partition("="))
                if name in table:
                    raise ConfigurationError(f"mechanism {value!r}: {name} is there twice")
                table[name] = text
        elif isinstance(value, Mapping):
            table = dict(value)
            base = table.pop("base", "paper")
        else:
            raise ConfigurationError(
                f"mechanism is {value!r}: must be a text such as 'paper,second_order=off', a table of switches or a "
                "Mechanism (in batch_run, a text or a list)"
            )
        if base not in SETS:
            raise ConfigurationError(
                f"mechanism {value!r}: begin with {' or '.join(SETS)}, as in 'paper,second_order=off'"
            )
        for name in table:
            if name not in cls.model_fields:
                raise ConfigurationError(
                    f"mechanism: {name!r}: unknown; the switches are {', '.join(cls.model_fields)}"
                )
        try:
            return cls(**{**dict(SETS[base]), **table})
        except ValidationError as error:
            raise ConfigurationError(f"mechanism: {first_problem(error)}") from None
        except ConfigurationError as error:
            raise ConfigurationError(f"mechanism: {error}") from None

    def within(self, *, reputation: bool, gossip: bool) -> Self:
        """Return the switches as they act in a mode: what the mode or another switch leaves without effect is off.

        `partners` is then what applies to records or their absence, and `gossip_memory` is "always" or "never". Under
        the institutions `board`, `image` and `none` agents keep no records. Under `none` the mechanism is that of a
        mode without reputation; under the public institutions what they show stands for records where partners are
        picked.

        Raises:
            ConfigurationError: If the institution means nothing here.
        """
        institution = self.institution
        if institution is not Institution.PRIVATE and not reputation:
            raise ConfigurationError(
                f"mechanism: institution={institution} needs reputation, which this mode lacks: leave it out, or turn "
                "reputation on"
            )
        if institution is Institution.SCORE and not self.peer_records:
            raise ConfigurationError(
                "mechanism: institution=score is the mean of the records of others: turn peer_records on"
            )
        keeps = reputation and institution in (Institution.PRIVATE, Institution.SCORE)
        peers, first_order = self.peer_records and keeps, self.first_order and gossip
        is_shown = self.gossip_memory is GossipMemory.ALWAYS or (
            self.gossip_memory is GossipMemory.WITHOUT_RECORDS and not peers
        )
        partners = self.partners if peers or institution.is_public else Partners(self.partners_without_records)
        return self.model_copy(
            update={
                "self_records": self.self_records and keeps,
                "peer_records": peers,
                "first_order": first_order,
                "second_order": self.second_order and first_order,
                "gossip_memory": GossipMemory.ALWAYS if is_shown and first_order else GossipMemory.NEVER,
                "partners": partners if self.partner_probability else Partners.RANDOM,
                "tie_after_gossip": self.tie_after_gossip and first_order,
                "tie_after_news": self.tie_after_news and peers,
            }
        )


def _range(field: str) -> tuple[float, float, Any]:
    """Return the bounds and the type of a numeric switch."""
    described = Mechanism.model_fields[field]
    low = next(each.ge for each in described.metadata if isinstance(each, Ge))
    high = next(each.le for each in described.metadata if isinstance(each, Le))
    assert isinstance(described.annotation, type)
    return cast("float", low), cast("float", high), described.annotation


def in_words(value: object) -> str:
    """Return the value of a switch as it is written in a text."""
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def described(field: str) -> Switch:
    """Return the description of a switch."""
    return next(each for each in Mechanism.model_fields[field].metadata if isinstance(each, Switch))


def values_of(field: str) -> str:
    """Return the values of a switch in words."""
    kind = Mechanism.model_fields[field].annotation
    assert isinstance(kind, type)
    if kind is bool:
        return "on, off"
    if issubclass(kind, StrEnum):
        return ", ".join(kind)
    low, high, _ = _range(field)
    return f"{low} to {high}"


SETS: dict[str, Mechanism] = {}
"""The named sets of switches."""

SETS["paper"] = PAPER = Mechanism()
SETS["published"] = PUBLISHED = Mechanism(
    **{
        field: switch.published
        for field in Mechanism.model_fields
        if (switch := described(field)).published is not None
    }
)
