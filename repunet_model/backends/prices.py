"""Prices of tokens: a small table that users can override; a model that is not in it has no price."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from repunet_model.errors import ConfigurationError
from repunet_model.util.text import first_problem

_MILLION = 1_000_000

Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Price(BaseModel):
    """The price of a model's tokens, in US dollars per million.

    Attributes:
        prompt: Prompt tokens.
        completion: Completion tokens.
        cached: Prompt tokens that the endpoint had in its cache; by default as `prompt`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: Dollars
    completion: Dollars
    cached: Dollars | None = None

    def of(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> float:
        """Return what a request costs in US dollars.

        Args:
            prompt_tokens: Prompt tokens, cached ones included.
            completion_tokens: Completion tokens.
            cached_tokens: Cached prompt tokens.
        """
        cached = self.prompt if self.cached is None else self.cached
        dollars = (
            (prompt_tokens - cached_tokens) * self.prompt + cached_tokens * cached + completion_tokens * self.completion
        )
        return dollars / _MILLION


FREE = Price(prompt=0, completion=0)


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices by the name of a model.

    Attributes:
        by_model: The table.
        source: Where it was read, for messages.
    """

    by_model: Mapping[str, Price]
    source: str

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read the packaged table, and over it a file of one's own.

        Args:
            path: A TOML file of the same form; by default what LLM_PRICES names, if anything.

        Raises:
            ConfigurationError: If the file cannot be used.
        """
        packaged = files("repunet_model.backends").joinpath("prices.toml").read_text(encoding="utf-8")
        table = tomllib.loads(packaged)
        source = "the packaged prices"
        named = os.environ.get("LLM_PRICES", "").strip()
        if path is None and named:
            path = Path(named)
        if path is not None:
            table |= cls._file(path)
            source = f"{path} and {source}"
        try:
            return cls(TypeAdapter(dict[str, Price]).validate_python(table), source)
        except ValidationError as error:
            raise ConfigurationError(
                f"price file {path}: {first_problem(error)}; "
                'a line reads "my-model" = { prompt = 0.15, cached = 0.075, completion = 0.60 }'
            ) from None

    @staticmethod
    def _file(path: Path) -> dict[str, Any]:
        try:
            return tomllib.loads(path.read_text(encoding="utf-8-sig"))
        except FileNotFoundError:
            raise ConfigurationError(f"price file {path}: no such file") from None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"price file {path}: cannot be read ({error})") from None
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(f"price file {path}: not TOML ({error})") from None

    def find(self, description: Mapping[str, Any]) -> Price | None:
        """Return the price of a backend; None if it is not known.

        Args:
            description: The backend's. One without a model takes no tokens, and an embedded one costs nothing.
        """
        model = description.get("model")
        if model is None or description.get("backend") == "local":
            return FREE
        return self.by_model.get(str(model))
