"""The parameters of games: payoffs and other constants, as fields with bounds and a meaning.

A game declares a subclass of `GameParameters`, and an instance of it with the defaults as `Game.parameters`. From there
its rules, its accounts, its offline rules and the table of docs/odd.md take them. Users set them by
`RepuNetModel(game_parameters=...)`, `--game-set NAME=VALUE` and a table `game` in files.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Self

from annotated_types import Ge, Le
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from repunet_model.errors import ConfigurationError

DIGITS = 6
"""Decimal places of a number that is a parameter."""


def _number(value: object) -> Decimal:
    """Return a number in its shortest decimal form, with `DIGITS` decimal places at most."""
    try:
        number = Decimal(value if isinstance(value, Decimal | str) else repr(float(value)))  # type: ignore[arg-type]
    except (InvalidOperation, TypeError, ValueError, OverflowError):
        raise ValueError("no number") from None
    if isinstance(value, bool) or not number.is_finite() or abs(number) > Decimal(10) ** 9:
        raise ValueError("no number")
    number = number.normalize()
    digits = -int(number.as_tuple().exponent)
    if digits > DIGITS:
        raise ValueError("too many decimal places")
    return number if digits >= 0 else number.quantize(Decimal(1))


Number = Annotated[Decimal, BeforeValidator(_number)]
"""An exact decimal number, given as a number or a text."""


class GameParameters(BaseModel):
    """Base class of the parameters of a game.

    The description of a field is its meaning, with its unit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    start_resources: Annotated[
        Number, Field(ge=0, le=1_000_000, decimal_places=2, description="what each agent owns at the start, in units")
    ] = Decimal(10)

    @classmethod
    def read(cls, given: Mapping[str, object], game: str) -> Self:
        """Return the parameters with given values, and defaults for the others.

        Args:
            given: Values by name.
            game: The name of the game, for error messages.

        Raises:
            ConfigurationError: If a name is unknown or a value is outside its bounds.
        """
        for name in given:
            if name not in cls.model_fields:
                raise ConfigurationError(
                    f"game.{name}: unknown; {game} has the parameters {', '.join(cls.model_fields)}"
                )
        try:
            return cls.model_validate(dict(given))
        except ValidationError as error:
            name = str(error.errors(include_url=False)[0]["loc"][0])
            low, high, digits = limits(cls.model_fields[name])
            raise ConfigurationError(
                f"game.{name} is {given[name]!r:.60}: must be a number from {low} to {high} with at most {digits} "
                "decimal places"
            ) from None

    def stored(self) -> dict[str, int | float]:
        """Return all parameters as plain numbers, for manifests and tables."""
        return {name: _plain(getattr(self, name)) for name in type(self).model_fields}

    def set_apart(self) -> dict[str, int | float]:
        """Return the parameters that differ from their defaults, as plain numbers."""
        fields = type(self).model_fields
        return {name: value for name, value in self.stored().items() if getattr(self, name) != fields[name].default}


def _plain(number: Decimal) -> int | float:
    return int(number) if number == number.to_integral_value() else float(number)


def limits(field: FieldInfo) -> tuple[Any, Any, int]:
    """Return the smallest and the largest value of a parameter, and its decimal places."""
    low = next(each.ge for each in field.metadata if isinstance(each, Ge))
    high = next(each.le for each in field.metadata if isinstance(each, Le))
    digits = (getattr(each, "decimal_places", None) for each in field.metadata)
    return low, high, next((places for places in digits if places is not None), DIGITS)
