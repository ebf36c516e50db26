"""The options that commands share, and what becomes of their values."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from repunet_model.errors import ConfigurationError
from repunet_model.words import at_step, yes_or_no
from repunet_model.words import scenario as scenario_of

if TYPE_CHECKING:
    from repunet_model.backends.limits import Limits
    from repunet_model.storage import RunFolder


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


Scenario = Annotated[Any, typer.Option(parser=parse_scenario, metavar="NAME", help="pd, investment or sign_up.")]


Reputation = Annotated[Any, typer.Option(parser=parse_yes_no, metavar="y|n", help="Keep reputations.")]


Gossip = Annotated[Any, typer.Option(parser=parse_yes_no, metavar="y|n", help="Gossip.")]


NAgents = Annotated[int | None, typer.Option("-n", "--n-agents", min=2, help="How many agents.")]


Personas = Annotated[
    str,
    typer.Option(
        "--personas",
        "--persona-file",
        metavar="FILE",
        help="Persona file (JSON): a list of personas; or learned texts by name, for the built-in ones; or either of "
        "these by scenario.",
    ),
]


ActivationName = Annotated[str, typer.Option("--activation", help="simultaneous or sequential.")]


QuestionsName = Annotated[
    str,
    typer.Option(
        "--questions", help="single (one question a call) or fused (one call for what is answered from one view)."
    ),
]
DialogueTurns = Annotated[int, typer.Option(min=2, max=10, help="Most turns of a dialogue.")]


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


BackendName = Annotated[
    str,
    typer.Option(
        help="rules (offline, free; with parameters as rules:NAME=VALUE,...), always_cooperate, always_defect, "
        "tit_for_tat, openai or openai:MODEL (OPENAI_API_KEY, LLM_*), local or local:FILE (a model on this machine), "
        "replay:RUN."
    ),
]


BackendFor = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=BACKEND",
        help="Who answers for one agent instead: any of these, or human; may be given more than once.",
    ),
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


def open_at_step(text: str, storage: Path, step: int | None = None) -> tuple[RunFolder, int]:
    """Return a stored run and a step of it: the one that is given, else that of RUN/step_N, else the last one."""
    from repunet_model.storage import RunFolder

    path, named = at_step(text, storage)
    folder = RunFolder.open(path)
    wanted = named if step is None else step
    chosen = folder.steps()[-1] if wanted is None else wanted
    folder.check_step(chosen)
    return folder, chosen
