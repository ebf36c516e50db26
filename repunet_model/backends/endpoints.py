"""Named endpoints: tables of a TOML file, each used as the backend openai:NAME.

    [endpoints.small]
    base_url = "http://127.0.0.1:8000/v1"       # or several in a list, which share the requests; by default OpenAI's
    key = "SMALL_API_KEY"                       # the name of the variable that holds the key
    model = "qwen2.5-7b-instruct"
    temperature = 0.7                           # as LLM_TEMPERATURE; the other sampling parameters likewise
    concurrency = 8
    prices = { prompt = 0.1, completion = 0.4 } # as in a file of prices
    extra = { reasoning_effort = "low" }        # further fields of each request

LLM_ENDPOINTS names the file; files of jobs and sweeps may hold such tables, too. A named endpoint uses no other LLM_*
variable and no other key, so nothing that is meant for one endpoint can reach another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo

from repunet_model.backends import extra as extra_fields
from repunet_model.backends.endpoint import RANGES, Endpoint, ReplyFormat, Sampling, check_url
from repunet_model.backends.limits import Terms
from repunet_model.backends.prices import Price
from repunet_model.errors import ConfigurationError
from repunet_model.util.files import read_toml
from repunet_model.util.text import one_line

VARIABLE = "LLM_ENDPOINTS"
"""The variable that names a file of endpoints."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_KEY_VARIABLE = re.compile(r"(?=.{1,19}$|[^_]+_)[A-Z][A-Z0-9_]{0,63}")
"""Matches names of variables in capitals; long ones have an underscore, as a key has not."""

_DEFAULTS = Endpoint(Sampling())

_SHARED_WITH = {"jobs", "grid"}
"""Tables of files that hold more than endpoints."""


def _addresses(value: object) -> tuple[str, ...]:
    urls = [value] if isinstance(value, str) else value
    if not isinstance(urls, list | tuple) or not urls or not all(isinstance(url, str) for url in urls):
        raise ValueError("must be an address, or a list of addresses")
    for url in urls:
        try:
            check_url(url, "it", "its key")
        except ConfigurationError as error:
            raise ValueError(str(error)) from None
    if len(set(urls)) < len(urls):
        raise ValueError("an address is there twice")
    return tuple(urls)


def _key_variable(value: object) -> str:
    if not isinstance(value, str) or not _KEY_VARIABLE.fullmatch(value):
        raise ValueError(
            "must be the name of the environment variable that holds the key, in capitals, such as SMALL_API_KEY; the "
            "key itself stands in no file"
        )
    return value


def _model(name: str) -> str:
    try:
        return Sampling(name).model
    except ConfigurationError:
        raise ValueError("must be the name of a model alone; its address is base_url") from None


def _in_range(value: float, info: ValidationInfo) -> float:
    low, high = RANGES[info.field_name or ""]
    if not low <= value <= high:
        raise ValueError(f"is {value:g}: must be from {low} to {high}")
    return value


def _extra(value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError('must be a table, such as { reasoning_effort = "low" }')
    return extra_fields.checked(value)


def _reply_format(value: object) -> ReplyFormat:
    try:
        return ReplyFormat(str(value))
    except ValueError:
        raise ValueError(f"must be one of {', '.join(ReplyFormat)}") from None


Number = Annotated[float, AfterValidator(_in_range)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class NamedEndpoint(BaseModel):
    """A named endpoint; its fields are the keys of its table, with the defaults and ranges of the LLM_* variables.

    Attributes:
        model: The model.
        base_url: One or more addresses, which share the requests; empty for OpenAI's.
        key: The name of the variable that holds the key; empty for a local endpoint without one.
        concurrency, requests_per_minute, tokens_per_minute: Limits of this endpoint, beside those of all requests.
        prices: The prices of its tokens; None for those of the model in the table of prices.
        extra: Further fields of each request.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)

    model: Annotated[str, AfterValidator(_model)]
    base_url: Annotated[tuple[str, ...], BeforeValidator(_addresses)] = ()
    key: Annotated[str, BeforeValidator(_key_variable)] = ""
    max_tokens: Annotated[int, AfterValidator(_in_range)] = _DEFAULTS.sampling.max_tokens
    temperature: Number = _DEFAULTS.sampling.temperature
    top_p: Number = _DEFAULTS.sampling.top_p
    frequency_penalty: Number = _DEFAULTS.sampling.frequency_penalty
    presence_penalty: Number = _DEFAULTS.sampling.presence_penalty
    reply_format: Annotated[ReplyFormat | None, BeforeValidator(_reply_format)] = None
    timeout: Seconds = _DEFAULTS.timeout
    longest_wait: Seconds = _DEFAULTS.longest_wait
    most_tokens: Annotated[int, AfterValidator(_in_range)] | None = None
    concurrency: Count | None = None
    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    prices: Price | None = None
    extra: Annotated[dict[str, Any], BeforeValidator(_extra)] = {}

    def settings(self, name: str) -> Endpoint:
        """Return the address and the settings of the endpoint with this name."""
        return Endpoint(
            Sampling(**{field.name: getattr(self, field.name) for field in fields(Sampling)}),
            self.base_url[0] if self.base_url else None,
            self.reply_format,
            self.timeout,
            self.longest_wait,
            self.most_tokens,
            self.extra,
            name,
            self.base_url[1:],
        )

    def terms(self, name: str) -> Terms:
        """Return the limits and the price of the endpoint with this name."""
        return Terms(name, self.concurrency, self.requests_per_minute, self.tokens_per_minute, self.prices)


def parsed(tables: object, where: str) -> dict[str, NamedEndpoint]:
    """Validate the table `endpoints` of a file.

    Raises:
        ConfigurationError: If an entry is invalid; the message names the file, `where`, and the key, but no value that
            may be a secret.
    """
    if not isinstance(tables, Mapping) or not all(isinstance(table, Mapping) for table in tables.values()):
        raise ConfigurationError(f"{where}: endpoints: write a table [endpoints.NAME] for each endpoint")
    found = {}
    for name, table in tables.items():
        if not _NAME.fullmatch(name):
            raise ConfigurationError(
                f"{where}: endpoints: the name {name!r:.70} must have letters, digits, and . _ - between them"
            )
        try:
            found[name] = NamedEndpoint.model_validate(table)
        except ValidationError as error:
            raise ConfigurationError(f"{where}: endpoints.{name}.{_problem(error)}") from None
    return found


def _problem(error: ValidationError) -> str:
    """Return the key and the problem of the first error, without the value, which may be a secret."""
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    match first["type"]:
        case "extra_forbidden":
            kind: type[BaseModel] = Price if first["loc"][0] == "prices" else NamedEndpoint
            return f"{key}: unknown; known are {', '.join(kind.model_fields)}"
        case "missing":
            return f"{key}: is missing"
        case "value_error":
            return f"{key}: {first['ctx']['error']}"
    return one_line(f"{key}: {first['msg']}")


def _of_file(file: Path) -> dict[str, NamedEndpoint]:
    """Read a file of endpoints, which may be a file of jobs or a sweep; raise ConfigurationError if it is invalid."""
    content = read_toml(file)
    others = set(content) - {"endpoints"}
    if others and not others & _SHARED_WITH:
        raise ConfigurationError(f"{file}: {min(others)}: unknown; write a table [endpoints.NAME] for each endpoint")
    found = parsed(content.get("endpoints", {}), str(file))
    if not found:
        raise ConfigurationError(f"{file}: there is no table [endpoints.NAME]")
    return found


class Environment(dict[str, str]):
    """Environment variables, with the named endpoints of the file that LLM_ENDPOINTS names.

    Attributes:
        endpoints: The named endpoints.
    """

    def __init__(self, variables: Mapping[str, str], endpoints: Mapping[str, NamedEndpoint] | None = None) -> None:
        """Copy variables, and read the file of endpoints unless they are given.

        Raises:
            ConfigurationError: If the file cannot be read, or is invalid.
        """
        super().__init__(variables)
        file = variables.get(VARIABLE, "").strip()
        self.endpoints = dict(endpoints) if endpoints is not None else _of_file(Path(file)) if file else {}

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> Environment:
        """Return variables with their named endpoints, which are read unless they are there."""
        return variables if isinstance(variables, Environment) else cls(variables)

    def with_endpoints(self, endpoints: Mapping[str, NamedEndpoint]) -> Self:
        """Return a copy with further endpoints, which replace those of the same name."""
        return type(self)(self, {**self.endpoints, **endpoints})

    def without_keys(self) -> Self:
        """Return a copy in which every key that is missing is "none", for backends that ask nobody."""
        names = ("OPENAI_API_KEY", *(each.key for each in self.endpoints.values() if each.key))
        keys = {name: self.get(name, "").strip() or "none" for name in names}
        return type(self)({**self, **keys}, self.endpoints)

    def find(self, name: object) -> NamedEndpoint:
        """Return an endpoint that a run names; raise ConfigurationError if it is not configured or no name."""
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ConfigurationError("the manifest describes no endpoint that can have a name")
        if name not in self.endpoints:
            known = ", ".join(self.endpoints)
            raise ConfigurationError(
                f"the run asks the endpoint {name!r}, which is not configured{f' (known: {known})' if known else ''}: "
                f"name a file with [endpoints.{name}] by --endpoints or {VARIABLE}; nothing is sent elsewhere"
            )
        return self.endpoints[name]
