"""Prices of tokens: a packaged table that users can extend; a model outside the table has no price."""

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
    """The prices of a model's tokens, in US dollars per million.

    Cached tokens of a prompt, and reasoning tokens of a completion, cost as the others by default.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: Dollars
    completion: Dollars
    cached: Dollars | None = None
    reasoning: Dollars | None = None

    def of(
        self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0, reasoning_tokens: int = 0
    ) -> float:
        """Return the price of a request in US dollars; cached and reasoning tokens are included in the others."""
        cached = self.prompt if self.cached is None else self.cached
        reasoning = self.completion if self.reasoning is None else self.reasoning
        dollars = (prompt_tokens - cached_tokens) * self.prompt + cached_tokens * cached
        dollars += (completion_tokens - reasoning_tokens) * self.completion + reasoning_tokens * reasoning
        return dollars / _MILLION

    def most(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Return the highest price of a request in US dollars, with or without reasoning."""
        return max(self.of(prompt_tokens, completion_tokens, 0, reasoning) for reasoning in (0, completion_tokens))


FREE = Price(prompt=0, completion=0)


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices by the name of a model, with the name of their source for messages."""

    by_model: Mapping[str, Price]
    source: str

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read the packaged table, then overrides from a TOML file, by default the one that LLM_PRICES names, if any.

        Raises ConfigurationError if the file is missing or invalid.
        """
        table = tomllib.loads(files("repunet_model.backends").joinpath("prices.toml").read_text(encoding="utf-8"))
        source = "the packaged prices"
        if path is None and (named := os.environ.get("LLM_PRICES", "").strip()):
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
        """Return the price of the backend with a description; None if it is unknown, `FREE` without a remote model."""
        model = description.get("model")
        if model is None or description.get("backend") == "local":
            return FREE
        return self.by_model.get(str(model))
