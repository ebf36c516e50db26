"""Commands that open the page and interview agents."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from repunet_model.cli.app import LOOK, app
from repunet_model.cli.options import (
    EndpointFile,
    Gguf,
    PriceFile,
    ReplyFormat,
    RunAtStep,
    Storage,
    environment,
    open_at_step,
)
from repunet_model.errors import ConfigurationError
from repunet_model.util.screen import say
from repunet_model.util.text import path_of, to_install


@app.command(rich_help_panel=LOOK)
def viz(
    run_folder: Annotated[
        str | None, typer.Argument(metavar="RUN", help="A stored run to look through; without one, a live society.")
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 8765,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the browser.")] = True,
    storage: Storage = Path("sim_storage"),
) -> None:
    """Open the page: watch a society, click a mind, scrub through a run. Needs the extra viz."""
    environment()  # A file of endpoints that cannot be used is reported here, not on the page.
    path = None
    if run_folder is not None:
        from repunet_model.storage import RunFolder

        path = RunFolder.open(path_of(run_folder, storage)).path
    try:
        from visualization import server
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"solara", "uvicorn", "visualization"}:
            raise
        raise ConfigurationError(f"the page needs {error.name}: {to_install('viz')}") from None
    server.serve(storage, path, port, open_browser=browser)


@app.command(rich_help_panel=LOOK)
def ask(
    run_step: RunAtStep,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whom to ask.")],
    question: Annotated[str, typer.Argument(help="What to ask.")],
    storage: Storage = Path("sim_storage"),
    prices: PriceFile = None,
    reply_format: ReplyFormat = None,
    gguf: Gguf = None,
    endpoints: EndpointFile = None,
) -> None:
    """Ask an agent of a stored run anything; its model answers from what it holds. Nothing is written into the run."""
    from repunet_model.backends.limits import Limits
    from repunet_model.backends.prices import Prices
    from repunet_model.chronicle import Chronicle
    from repunet_model.results.interview import interview, talking
    from repunet_model.util import event_loop

    run, step = open_at_step(run_step, storage)
    chronicle = Chronicle.of_run(run, step)
    chronicle.persona(name)
    who = talking(chronicle, step, name, environment(reply_format, gguf, endpoints))
    try:
        limits = Limits(prices=Prices.load(prices))
        for line in interview(chronicle, step, name, question, who, limits).text.split("\n"):
            say(line)
    finally:
        event_loop.run(who.close())
