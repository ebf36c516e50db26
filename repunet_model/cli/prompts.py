"""Commands for prompt sets: show a prompt, export a folder to edit, and check a set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from repunet_model.cli.app import MODELS, app
from repunet_model.cli.options import config_options
from repunet_model.config import RunConfig, mode_of
from repunet_model.errors import ConfigurationError
from repunet_model.util.screen import say
from repunet_model.util.text import command, counted, quoted

prompts = typer.Typer(rich_markup_mode=None, help="Prompt sets: the wording of all prompts.")
app.add_typer(prompts, name="prompts", rich_help_panel=MODELS)


@prompts.command()
@config_options(only=("game", "reputation", "gossip", "mechanism", "questions", "prompts"))
def show(
    config: RunConfig,
    question: Annotated[str, typer.Argument(metavar="[QUESTION]", help="Its name; without one, list them.")] = "",
) -> None:
    """Print a prompt as a model would get it, or list the questions of a run and their templates.

    Persons, records and memories are invented, by a small offline society.
    """
    from repunet_model import prompt_check
    from repunet_model.questions.prompt_sets import PromptSet

    examples = prompt_check.examples(PromptSet.read(config.prompts), config)
    if not question:
        width = max(map(len, examples))
        for name, request in examples.items():
            own = request.question.template
            say(f"{name:<{width}}  {own if own.endswith('.j2') else 'a text of the game'}")
        say(f"To read one: {command('prompts show')} {min(examples)}, with the same options")
        return
    if question not in examples:
        mode = mode_of(config.reputation, config.gossip)
        asked = ", ".join(sorted(examples))
        raise ConfigurationError(f"{question!r} is no question of {config.game}, {mode}: name one of {asked}")
    request = examples[question]
    parts = [(message["role"], message["content"]) for message in request.messages()]
    for name, text in [*parts, ("schema of the reply", json.dumps(request.schema, ensure_ascii=False, indent=2))]:
        for line in [f"[{name}]", *text.splitlines(), ""]:
            say(line)


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
