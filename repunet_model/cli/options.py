"""The options that commands share, and what becomes of their values."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from repunet_model.config import RunConfig, bounds, kind_of, name_of, read_text, shown
from repunet_model.errors import ConfigurationError
from repunet_model.util.text import at_step, yes_or_no
from repunet_model.util.text import scenario as scenario_of

if TYPE_CHECKING:
    from repunet_model.backends.limits import Limits
    from repunet_model.storage import StepReader


def parse_scenario(text: str) -> str:
    """Return the name of a game; for `parser=`."""
    return _parsed(scenario_of, text)


def parse_yes_no(text: str) -> bool:
    """Return y or n as a truth; for `parser=`."""
    return _parsed(yes_or_no, text)


def _parsed[T](parse: Callable[[str], T], text: str) -> T:
    """Parse the value of an option, which the error then names."""
    try:
        return parse(text)
    except ConfigurationError as error:
        raise typer.BadParameter(str(error)) from None


Storage = Annotated[Path, typer.Option(envvar="REPUNET_STORAGE", help="Folder of all runs.")]


RunAtStep = Annotated[
    str, typer.Argument(metavar="RUN[/step_N]", help="Name of a stored run, or its folder; the last step by default.")
]


Steps = Annotated[int, typer.Option(min=1, help="How many steps.")]


From = Annotated[
    str | None,
    typer.Option(
        "--from",
        "--sim",
        metavar="RUN[/step_N]",
        help="Start from a stored run: from a seed (step 0) with its personas and learned texts, in any mode; from a "
        "later step as the run was, or in a fork where an option asks for something else.",
    ),
]


def config_options(
    *, only: Sequence[str] = (), without: Sequence[str] = (), many: bool = False, **defaults: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of `RunConfig` in place of its parameter `config`.

    The command is handed a `RunConfig` in which just the options that were given are set; with `many`, a table of
    lists of values, as in the grid of a sweep.

    Args:
        only: The fields that have options; all by default.
        without: Fields that have none.
        many: Whether an option takes several values.
        defaults: Other defaults than those of `RunConfig`, by field.
    """
    fields = [name for name in only or RunConfig.model_fields if name not in without]
    read = _table_of if many else _config_of

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(command, include_extras=True)
        parameters = [Parameter("context", Parameter.KEYWORD_ONLY, annotation=typer.Context)]
        for parameter in signature(command).parameters.values():
            if parameter.name == "config":
                parameters += [_option(name, defaults.get(name), many=many) for name in fields]
            elif parameter.name != "context":
                parameters.append(parameter.replace(kind=Parameter.KEYWORD_ONLY, annotation=hints[parameter.name]))

        @wraps(command)
        def with_config(context: typer.Context, **values: Any) -> None:
            options = {field: values.pop(name_of(field)) for field in fields}
            given = {
                field: value
                for field, value in options.items()
                if field in defaults or is_given(context, name_of(field))
            }
            if "context" in hints:
                values["context"] = context
            command(**values, config=read(given))

        del with_config.__wrapped__  # it has another signature
        with_config.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        with_config.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return with_config

    return decorate


def _config_of(given: Mapping[str, Any]) -> RunConfig:
    return RunConfig.checked(
        {field: by_name(value) if kind_of(field) is dict else value for field, value in given.items()}
    )


def _table_of(given: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return values by the names that files have for them."""
    return {
        name_of(field): [read_text(field, word) for word in (value if isinstance(value, list) else _words(value))]
        for field, value in given.items()
    }


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")]


def _option(field: str, default: Any, *, many: bool) -> Parameter:
    """Return the option of a field of `RunConfig`, as a parameter of a command."""
    told, kind, described = shown(field), kind_of(field), RunConfig.model_fields[field]
    names = told.options or (f"--{name_of(field).replace('_', '-')}",)
    if default is None:
        default = described.default
    annotation: Any
    more: dict[str, Any] = {"help": told.meaning, "metavar": told.metavar}
    if many:
        is_list = kind is str and field != "game"
        separate = "May be given more than once." if is_list else "Several are separated by commas."
        annotation = list[str] | None if is_list else str | None
        more, default = {"help": f"{told.meaning} {separate}", "metavar": told.metavar or "VALUES"}, None
    elif field == "game":
        annotation, more["parser"], more["metavar"], default = Any, parse_scenario, "NAME", "pd"
    elif kind is bool:
        annotation, more["parser"], more["metavar"] = Any, parse_yes_no, "y|n"
        default = "y" if default else "n"
    elif kind is int:
        low, high = bounds(described)
        annotation = int if default is not None else int | None
        more |= {} if field == "seed" else {"min": low, "max": high}
    elif kind is dict:
        annotation, default = list[str] | None, None
    else:
        annotation, default = str, str(default)
    return Parameter(
        name_of(field),
        Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[annotation, typer.Option(*names, **more)],
    )


Concurrency = Annotated[int, typer.Option(min=1, help="Requests to endpoints under way at once.")]


RequestsPerMinute = Annotated[int | None, typer.Option(metavar="N", help="Most requests to endpoints a minute.")]


TokensPerMinute = Annotated[int | None, typer.Option(metavar="N", help="Most tokens a minute.")]


BudgetTokens = Annotated[int | None, typer.Option(metavar="N", help="Stop before the run has cost more tokens.")]


BudgetUsd = Annotated[float | None, typer.Option(metavar="USD", help="Stop before the run has cost more dollars.")]


PriceFile = Annotated[
    Path | None, typer.Option("--prices", envvar="LLM_PRICES", metavar="FILE", help="Prices of your models (TOML).")
]


ReplyFormat = Annotated[
    str | None,
    typer.Option(
        envvar="LLM_REPLY_FORMAT",
        metavar="FORMAT",
        help="How to ask for JSON: json_schema, json_object, text or tool; by default the first that works.",
    ),
]


Gguf = Annotated[
    Path | None, typer.Option(envvar="LLM_GGUF", metavar="FILE", help="The model of --backend local (GGUF).")
]


def limits_of(
    concurrency: int,
    requests_per_minute: int | None,
    tokens_per_minute: int | None,
    budget_tokens: int | None,
    budget_usd: float | None,
    prices: Path | None,
) -> Limits:
    """Return what requests may not exceed, as options say."""
    from repunet_model.backends.limits import Limits
    from repunet_model.backends.prices import Prices

    table = Prices.load(prices)
    return Limits(concurrency, requests_per_minute, tokens_per_minute, budget_tokens, budget_usd, table)


def environment(reply_format: str | None = None, gguf: Path | None = None) -> dict[str, str]:
    """Return the environment with what options say instead."""
    options = {"LLM_REPLY_FORMAT": reply_format, "LLM_GGUF": gguf}
    return {**os.environ, **{name: str(value) for name, value in options.items() if value is not None}}


def is_given(context: typer.Context, name: str) -> bool:
    """Whether an option was given, not left to its default."""
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def by_name(backend_for: list[str] | None) -> dict[str, str]:
    """Return the backends of single agents.

    Raises:
        ConfigurationError: If an option does not read NAME=BACKEND, or names somebody twice.
    """
    by_name: dict[str, str] = {}
    for option in backend_for or ():
        name, is_there, backend = (part.strip() for part in option.partition("="))
        if not (name and is_there and backend):
            raise ConfigurationError(f"--backend-for {option!r}: must read NAME=BACKEND")
        if name in by_name:
            raise ConfigurationError(f"--backend-for {option!r}: {name} has a backend already")
        by_name[name] = backend
    return by_name


def assignment(text: str) -> tuple[str, str]:
    """Return the two sides of NAME=VALUE.

    Raises:
        ConfigurationError: If it is none.
    """
    name, is_there, value = (part.strip() for part in text.partition("="))
    if not (name and is_there and value):
        raise ConfigurationError(f"--set {text!r}: must read NAME=VALUE")
    return name, value


def open_at_step(text: str, storage: Path, step: int | None = None) -> tuple[StepReader, int]:
    """Return a stored run and a step of it: the one that is given, else that of RUN/step_N, else the last one."""
    from repunet_model.storage import StepReader

    path, named = at_step(text, storage)
    run = StepReader.open(path, named if step is None else step)
    return run, run.last
