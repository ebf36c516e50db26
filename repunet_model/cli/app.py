"""The Typer application to which the commands are added."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from repunet_model import extensions

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    help="RepuNet for Mesa: LLM-backed agents, reputation, gossip, and what becomes of cooperation. Without a "
    "command: the same 20 agents with and without RepuNet, 30 steps, offline.",
)


@app.callback()
def program(
    extension: Annotated[
        list[Path] | None,
        typer.Option(
            envvar="REPUNET_EXTENSIONS",
            metavar="FILE.py",
            help="A file that registers a game, a backend or a measure of your own; may be given more than once.",
        ),
    ] = None,
) -> None:
    """Load extension files."""
    extensions.load([str(file) for file in extension or ()])
