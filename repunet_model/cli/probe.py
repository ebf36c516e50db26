"""The command that makes the fitness card of a model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from repunet_model.cli.app import MODELS, app
from repunet_model.cli.options import (
    EndpointFile,
    Gguf,
    PriceFile,
    ReplyFormat,
    Steps,
    config_options,
    environment,
    limit_options,
    limits_of,
)
from repunet_model.cli.progress import keeping_what_was_answered, quietly_imported, say_how_asked, showing_calls
from repunet_model.config import RunConfig
from repunet_model.errors import ConfigurationError
from repunet_model.util.screen import make_console, say
from repunet_model.util.text import SCENARIOS, scenario

if TYPE_CHECKING:
    from repunet_model.probe.card import Card, GameCard

AGENTS, STEPS = 20, 30
"""The size of the run whose cost a card states."""

OUT = Path("outputs") / "probe"


@app.command(rich_help_panel=MODELS)
@config_options(only=("backend", "game_parameters", "prompts", "mechanism", "n_agents", "seed"), backend="openai")
@limit_options
def probe(
    config: RunConfig,
    scenarios: Annotated[
        list[str] | None,
        typer.Option("--scenario", metavar="NAME", help="A game, or all; may be given more than once. By default pd."),
    ] = None,
    size: Annotated[str, typer.Option(help="Calls a game: small (72), medium (112) or large (156).")] = "medium",
    steps: Steps = STEPS,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where to write card.json and index.html; by default outputs/probe/MODEL."),
    ] = None,
    *,
    limits: dict[str, Any],
    prices: PriceFile = None,
    reply_format: ReplyFormat = None,
    gguf: Gguf = None,
    endpoints: EndpointFile = None,
) -> None:
    """Find out what a model understands of a game: a fitness card of some 110 calls, with intervals and verdicts.

    Replies are kept: the same command goes on after an interrupt, and asks nothing twice. --n-agents and --steps are
    those of the run whose cost the card states.
    """
    chosen = _games(scenarios or ["pd"])
    with quietly_imported():
        from repunet_model.backends.base import label_of
        from repunet_model.backends.setup import respondents
        from repunet_model.probe import page
        from repunet_model.probe.asking import Asking
        from repunet_model.probe.battery import Size, battery
        from repunet_model.probe.card import Card, GameCard, calls_of_run

    if size not in list(Size):
        raise ConfigurationError(f"--size {size!r}: choose {', '.join(Size)}")
    asked = respondents(config.backend, environment=environment(reply_format, gguf, endpoints)).default
    if not asked.asks_model:
        raise ConfigurationError(f"the backend {config.backend!r} asks no model: there is nothing to probe")
    label = label_of(asked.description)
    folder = out or OUT / re.sub(r"[^A-Za-z0-9._-]+", "-", label)
    configs = [config.changed({"game": game}) for game in chosen]
    batteries = [battery(each, Size(size)) for each in configs]
    limited = limits_of(limits, prices)
    asking = Asking(batteries, asked, limited, folder / page.REPLIES)
    page.check_place(folder, label)
    with keeping_what_was_answered(asking.progress), showing_calls(asking.progress, limited.waits) as done:
        rows = asking.run(done)
    agents = config.n_agents or AGENTS
    cards = [
        GameCard(each.game, found, asks.unasked, calls_of_run(each, agents, steps, limits["concurrency"]))
        for each, asks, found in zip(configs, batteries, rows, strict=True)
    ]
    card = Card(asked.description, size, config.seed, batteries[0].prompts.set.name, str(config.mechanism), cards)
    page.write(card, folder)
    _show(card)
    say_how_asked(asking.progress.usage)
    say(f"Card: {folder / 'card.json'}")
    say(f"Page: {folder / 'index.html'}")


def _games(names: list[str]) -> list[str]:
    """Return the games with some names; all of them for "all"."""
    if "all" in names:
        return list(dict.fromkeys(SCENARIOS.values()))
    return list(dict.fromkeys(scenario(name) for name in names))


def _show(card: Card) -> None:
    from repunet_model.probe.card import cells_of

    for each in card.games:
        _show_game(each, cells_of)


def _show_game(card: GameCard, cells_of: Any) -> None:
    """Print the lines and the cost of a game."""
    from rich import box
    from rich.table import Table

    table = Table(title=f"{card.title}", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("line", "verdict", "value", "interval", "n"):
        table.add_column(heading, overflow="fold")
    for line in card.lines():
        title, number, *cells = cells_of(line)
        table.add_row(title if line.measured else f"{title}: {number}", *cells)
    console = make_console()
    console.print(table)
    console.print(card.summary(), soft_wrap=True, highlight=False)
    console.print(f"{card.cost_of_call()} {card.cost_of_run()}", soft_wrap=True, highlight=False)
