"""The Typer application to which the commands are added."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from repunet_model import extensions

RUN, LOOK, GO_ON = "Run", "Look at a run", "Go on with a run"
MANY, MODELS, DATA = "Many runs", "Models and prompts", "Data in and out"
"""The groups of commands in the help; a command names its group as `rich_help_panel`."""


LONGEST_SENTENCE = 200
"""The largest number of characters of a command's first sentence, which is wrapped and not cut."""


class GroupedCommands(TyperGroup):
    """The commands, which the help lists in groups."""

    def format_commands(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override] # Typer hides the class
        """Write the groups of commands, each with its commands in the order in which they were added."""
        for group in (RUN, LOOK, GO_ON, MANY, MODELS, DATA):
            rows = [
                (name, command.get_short_help_str(LONGEST_SENTENCE))
                for name, command in self.commands.items()
                if getattr(command, "rich_help_panel", None) == group
            ]
            with formatter.section(group):
                formatter.write_dl(rows, col_max=max(map(len, self.commands)))


app = typer.Typer(
    cls=GroupedCommands,
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
            help="A file with a game, stage, backend or measure of your own; may be given more than once.",
        ),
    ] = None,
) -> None:
    """Load extension files."""
    extensions.load([str(file) for file in extension or ()])
