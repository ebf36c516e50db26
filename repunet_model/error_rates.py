"""The errors of a run: how often agents act, see and are heard otherwise than they decided.

Errors are written as a text such as "slip=0.05,misperception=0.05,garble=0.02", as a table of rates by kind, or as
`ErrorRates(...)`; "none", the default, is no error. Each is drawn from a keyed stream of its own, so that the errors at
a rate also occur at every larger rate, as long as the agents meet the same others.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Self

from annotated_types import Ge, Le
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from repunet_model.errors import ConfigurationError
from repunet_model.util.text import assignments

NONE = "none"
"""The text of a run without errors."""


class ErrorKind(StrEnum):
    """The kinds of errors, which are the fields of `ErrorRates`."""

    SLIP = "slip"
    MISPERCEPTION = "misperception"
    GARBLE = "garble"


MEASURE_OF = {ErrorKind.SLIP: "slips", ErrorKind.MISPERCEPTION: "misperceptions", ErrorKind.GARBLE: "garbled"}
"""The measure that counts the errors of a kind in a step; only runs with such errors have it."""


def _rate(value: object, info: ValidationInfo) -> float:
    """Return a rate, which may be given as text."""
    try:
        rate = -1.0 if isinstance(value, bool) else float(str(value))
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1:
        raise ConfigurationError(f"{info.field_name} is {value!r:.60}: must be a rate from 0 to 1")
    return abs(rate)


def _described(meaning: str) -> Any:
    return Field(default=0.0, description=meaning)


class ErrorRates(BaseModel):
    """The probability of each kind of error; an invalid value raises a `ConfigurationError`.

    Docs: the table of errors in docs/odd.md.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    slip: Annotated[float, Ge(0), Le(1), BeforeValidator(_rate)] = _described(
        "an act that differs from the decision, for each choice whether to cooperate"
    )
    misperception: Annotated[float, Ge(0), Le(1), BeforeValidator(_rate)] = _described(
        "a side that takes its partner's act for the other one, for each side of an encounter"
    )
    garble: Annotated[float, Ge(0), Le(1), BeforeValidator(_rate)] = _described(
        "a message of gossip that arrives in the opposite tone, for each message"
    )

    def __str__(self) -> str:
        """Return the text that names these rates."""
        return ",".join(f"{kind}={self.of(kind)!r}" for kind in self.kinds) or NONE

    def of(self, kind: ErrorKind) -> float:
        """Return the rate of a kind."""
        rate: float = getattr(self, kind.value)
        return rate

    @property
    def kinds(self) -> list[ErrorKind]:
        """The kinds with a rate above 0."""
        return [kind for kind in ErrorKind if self.of(kind)]

    @classmethod
    def read(cls, value: object) -> Self:
        """Return the rates that a text, a table or an object stands for.

        Raises:
            ConfigurationError: If a kind is unknown, or a rate is invalid.
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            table: Mapping[str, Any] = {} if value.strip() == NONE else assignments(value, "errors")
        elif isinstance(value, Mapping):
            table = value
        else:
            raise ConfigurationError(
                f"errors is {value!r:.60}: must be a text such as 'slip=0.05', a table of rates or ErrorRates (in "
                "batch_run, a text or a list)"
            )
        for name in table:
            if name not in cls.model_fields:
                raise ConfigurationError(f"errors: {name!r:.60}: unknown; known are {', '.join(cls.model_fields)}")
        try:
            return cls(**table)
        except ConfigurationError as error:
            raise ConfigurationError(f"errors: {error}") from None


NO_ERRORS = ErrorRates()
"""The rates of a run without errors."""
