"""Commands for prompt sets: export a folder to edit, and check a set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from repunet_model.cli.app import MODELS, app
from repunet_model.errors import ConfigurationError
from repunet_model.util.screen import say
from repunet_model.util.text import command, counted, quoted

prompts = typer.Typer(rich_markup_mode=None, help="Prompt sets: the wording of all prompts.")
app.add_typer(prompts, name="prompts", rich_help_panel=MODELS)


@prompts.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.")],
    chosen: Annotated[str, typer.Option("--prompts", metavar="SET", help="Which set.")] = "neutral",
) -> None:
    """Write all templates of a prompt set into a folder, to edit. Those that you delete are again those of neutral."""
    from repunet_model import games
    from repunet_model.questions.prompt_sets import PromptSet, files_of

    assert games.GAMES  # Their questions are those whose labels are listed.
    files = files_of(PromptSet.read(chosen))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ConfigurationError(f"{folder}: is not empty; name a new folder")
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise ConfigurationError(f"{folder}: {error.strerror or error}") from None
    say(f"{counted(len(files), 'file')} in {folder}; after your edits: {command('prompts check')} {quoted(folder)}")


@prompts.command()
def check(
    chosen: Annotated[str, typer.Argument(metavar="SET|DIR", help="A prompt set, as for --prompts.")],
) -> None:
    """Render every question of every game and mode with a prompt set. Exit code 2 with a line for each problem."""
    from repunet_model import prompt_check
    from repunet_model.questions.prompt_sets import PromptSet

    checked = PromptSet.unchecked(chosen)
    problems = prompt_check.check(checked)
    for problem in problems:
        say(f"error: {problem}", stderr=True)
    if problems:
        raise typer.Exit(2)
    own = checked.changed_templates()
    differs = f"{counted(len(own), 'template')} (of {len(checked.templates)}) read otherwise than in neutral"
    say(f"{chosen}: every question of every game and mode is complete; {differs}{': ' if own else ''}{', '.join(own)}")
