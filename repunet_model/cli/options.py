"""Options that several commands share, and the conversion of their values."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from repunet_model.config import RunConfig, bounds, kind_of, name_of, read_text, shown
from repunet_model.error_rates import ErrorRates
from repunet_model.errors import ConfigurationError
from repunet_model.mechanism import Mechanism
from repunet_model.stability import StabilityRule
from repunet_model.util.text import assignment, at_step, scenario, yes_or_no

if TYPE_CHECKING:
    from repunet_model.backends.endpoints import Environment
    from repunet_model.backends.limits import Limits
    from repunet_model.storage import StepReader

type Command = Callable[..., None]

_STABLE = StabilityRule()


def _parser[T](parse: Callable[[str], T]) -> Callable[[str], T]:
    """Return a function for `parser=` of an option; errors then name the option."""

    def parsed(text: str) -> T:
        try:
            return parse(text)
        except ConfigurationError as error:
            raise typer.BadParameter(str(error)) from None

    return parsed


parse_scenario, parse_yes_no = _parser(scenario), _parser(yes_or_no)

Storage = Annotated[
    Path, typer.Option(envvar="REPUNET_STORAGE", help="Folder of all runs, also of those given by name.")
]

RunAtStep = Annotated[
    str, typer.Argument(metavar="RUN[/step_N]", help="Name of a stored run, or its folder; the last step by default.")
]

Steps = Annotated[int, typer.Option(min=1, help="How many steps.")]

UntilStable = Annotated[
    bool,
    typer.Option(
        "--until-stable",
        help="End a run when it is stable; --steps is then the most that it may have. Stable: the mean cooperation "
        f"rate of the last {_STABLE.window} steps differs from that of the {_STABLE.window} before by less than "
        f"{_STABLE.tolerance:g}, and there are at least {_STABLE.least} steps.",
    ),
]

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
) -> Callable[[Command], Command]:
    """Give a command options of `RunConfig`, all, `only` some or `without` some, in place of its parameter `config`.

    The command receives a `RunConfig` in which only the given options are set; with `many`, a table of lists of values,
    as in the grid of a sweep. `defaults` replace those of `RunConfig`.
    """
    fields = [name for name in only or RunConfig.model_fields if name not in without]

    def read(context: typer.Context, values: Mapping[str, Any]) -> Any:
        given = {
            field: values[name_of(field)] for field in fields if field in defaults or is_given(context, name_of(field))
        }
        return _table_of(given) if many else _config_of(given)

    options = [_option(field, defaults.get(field), many=many) for field in fields]
    return lambda command: _expanded(command, "config", options, read)


def limit_options(command: Command) -> Command:
    """Give a command the limits of requests as options in place of its parameter `limits`, a mapping by name."""
    options = [
        _parameter("concurrency", 32, int, min=1, help="Requests to endpoints under way at once."),
        _parameter("requests_per_minute", None, int | None, metavar="N", help="Most requests to endpoints a minute."),
        _parameter("tokens_per_minute", None, int | None, metavar="N", help="Most tokens a minute."),
        _parameter("budget_tokens", None, int | None, metavar="N", help="Stop before the run has cost more tokens."),
        _parameter("budget_usd", None, float | None, metavar="USD", help="Stop before the run has cost more dollars."),
    ]
    return _expanded(command, "limits", options, lambda context, values: values)


def _expanded(
    command: Command, name: str, options: Sequence[Parameter], read: Callable[[typer.Context, dict[str, Any]], Any]
) -> Command:
    """Replace a parameter of a command by options; `read` makes its argument from their values."""
    hints = get_type_hints(command, include_extras=True)
    parameters = [Parameter("context", Parameter.KEYWORD_ONLY, annotation=typer.Context)]
    for parameter in signature(command).parameters.values():
        if parameter.name == name:
            parameters += options
        elif parameter.name != "context":
            parameters.append(parameter.replace(kind=Parameter.KEYWORD_ONLY, annotation=hints[parameter.name]))

    @wraps(command)
    def expanded(context: typer.Context, **values: Any) -> None:
        argument = read(context, {option.name: values.pop(option.name) for option in options})
        if "context" in hints:
            values["context"] = context
        command(**values, **{name: argument})

    del expanded.__wrapped__  # Its signature differs.
    expanded.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    expanded.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return expanded


def _parameter(name: str, default: Any, kind: Any, *flags: str, **settings: Any) -> Parameter:
    """Return an option as a parameter of a command."""
    annotation = Annotated[kind, typer.Option(*flags, **settings)]
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _config_of(given: Mapping[str, Any]) -> RunConfig:
    return RunConfig.checked(
        {field: by_name(field, value) if kind_of(field) is dict else value for field, value in given.items()}
    )


def _table_of(given: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return lists of values by the names of fields in files."""
    return {
        name_of(field): [
            read_text(field, word) for word in (value if isinstance(value, list) else map(str.strip, value.split(",")))
        ]
        for field, value in given.items()
    }


def flags_of(field: str) -> tuple[str, ...]:
    """Return the options of a field of `RunConfig`."""
    return shown(field).options or (f"--{name_of(field).replace('_', '-')}",)


def _option(field: str, default: Any, *, many: bool) -> Parameter:
    """Return the option of a field of `RunConfig`."""
    told, kind, described = shown(field), kind_of(field), RunConfig.model_fields[field]
    names = flags_of(field)
    if default is None:
        default = described.default
    annotation: Any
    more: dict[str, Any] = {"help": told.meaning, "metavar": told.metavar}
    if many:
        is_list = kind in (str, tuple, Mechanism, ErrorRates) and field != "game"
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
    elif kind in (dict, tuple):
        annotation, default = list[str] | None, None
        more["help"] = told.meaning if kind is dict else f"{told.meaning} May be given more than once."
    else:
        annotation, default = str, str(default)
    return _parameter(name_of(field), default, annotation, *names, **more)


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


EndpointFile = Annotated[
    Path | None,
    typer.Option(
        "--endpoints",
        envvar="LLM_ENDPOINTS",
        metavar="FILE",
        help="Named endpoints (TOML), each a table [endpoints.NAME] and a backend openai:NAME.",
    ),
]


def limits_of(limits: Mapping[str, Any], prices: Path | None) -> Limits:
    """Create the limits of requests from the values of options."""
    from repunet_model.backends.limits import Limits
    from repunet_model.backends.prices import Prices

    return Limits(**limits, prices=Prices.load(prices))


def environment(
    reply_format: str | None = None, gguf: Path | None = None, endpoints: Path | None = None
) -> Environment:
    """Return the environment, with variables replaced by options, and named endpoints."""
    from repunet_model.backends.endpoints import VARIABLE, Environment

    options = {"LLM_REPLY_FORMAT": reply_format, "LLM_GGUF": gguf, VARIABLE: endpoints}
    return Environment({**os.environ, **{name: str(value) for name, value in options.items() if value is not None}})


def is_given(context: typer.Context, name: str) -> bool:
    """Whether an option was given explicitly."""
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def by_name(field: str, given: list[str] | None) -> dict[str, str]:
    """Parse the values by name of a repeated option; raise ConfigurationError for another form, or a name twice."""
    (flag,), form = flags_of(field), shown(field).metavar or ""
    by_name: dict[str, str] = {}
    for option in given or ():
        name, value = assignment(flag, option, form)
        if name in by_name:
            raise ConfigurationError(f"{flag} {option!r}: {name} is {by_name[name]} already")
        by_name[name] = value
    return by_name


def open_at_step(text: str, storage: Path, step: int | None = None) -> tuple[StepReader, int]:
    """Return a stored run and a step: the given one, else that of RUN/step_N, else the last one."""
    from repunet_model.storage import StepReader

    path, named = at_step(text, storage)
    run = StepReader.open(path, named if step is None else step)
    return run, run.last
