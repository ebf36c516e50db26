"""The program itself: the application that commands belong to."""

from __future__ import annotations

import typer

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    help="RepuNet for Mesa: LLM-backed agents, reputation, gossip, and what becomes of cooperation. Without a "
    "command: the same 20 agents with and without RepuNet, 30 steps, offline.",
)
