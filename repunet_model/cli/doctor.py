"""The command that tries an endpoint."""

from __future__ import annotations

from typing import Annotated

import typer

from repunet_model.cli.app import MODELS, app
from repunet_model.cli.options import EndpointFile, Gguf, PriceFile, ReplyFormat, environment
from repunet_model.util.screen import make_console, say


@app.command(rich_help_panel=MODELS)
def doctor(
    backend: Annotated[str, typer.Option(help="Whose endpoint: openai, openai:MODEL, openai:NAME, local.")] = "openai",
    prices: PriceFile = None,
    reply_format: ReplyFormat = None,
    gguf: Gguf = None,
    endpoints: EndpointFile = None,
) -> None:
    """Try an endpoint in five small calls and 30 seconds at most: what it can do, and how to mend what it cannot.

    A call sends some 150 tokens, 300 where the schema is in the prompt, and asks for some 50. Exit code 2 if no run can
    use the endpoint.
    """
    from rich import box
    from rich.table import Table

    from repunet_model.backends.doctor import examine, is_usable
    from repunet_model.backends.prices import Prices
    from repunet_model.backends.setup import respondents
    from repunet_model.util import event_loop

    asked = respondents(backend, environment=environment(reply_format, gguf, endpoints)).default
    if not asked.asks_model:
        say(f"The backend {backend!r} asks no endpoint: there is nothing to try.")
        return
    findings, usage = event_loop.run(examine(asked, Prices.load(prices)))
    table = Table(title=f"The endpoint of {backend}", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("", "what", "found", "remedy"):
        table.add_column(heading, overflow="fold")
    for each in findings:
        table.add_row("no" if each.is_fault else "yes" if not each.remedy else "!", each.what, each.found, each.remedy)
    make_console().print(table)
    usable = is_usable(findings)
    cost = f", ${usage.usd:.6f}" if usage.usd else ""
    say(f"{'Usable' if usable else 'Not usable'}. Requests tried: {usage.attempts}; {usage.tokens:,} tokens{cost}.")
    if not usable:
        raise typer.Exit(2)
