"""The default command: two societies side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from repunet_model.cli.app import RUN, app
from repunet_model.cli.options import Storage, config_options
from repunet_model.cli.progress import folder_of, quietly_imported, run_steps
from repunet_model.config import RunConfig
from repunet_model.util.screen import make_console
from repunet_model.util.text import command, quoted

FIGURE = Path("outputs") / "with_and_without_repunet.png"


@app.command(rich_help_panel=RUN)
@config_options(only=("game", "seed"))
def compare(
    config: RunConfig,
    steps: Annotated[int, typer.Option(min=2, help="How many steps.")] = 30,
    storage: Storage = Path("sim_storage"),
    figure: Annotated[Path, typer.Option(help="Where to draw the comparison (PNG).")] = FIGURE,
) -> None:
    """The same agents with and without RepuNet, offline: one table, one picture."""
    from repunet_model.report.comparison import check_place, comparison_figure
    from repunet_model.report.tables import comparison_table

    check_place(figure)
    console = make_console()
    models = {}
    for label, on in (("with RepuNet", True), ("without", False)):
        with quietly_imported() as model_class:
            model = model_class(game=config.game, reputation=on, gossip=on, rng=config.seed, storage=str(storage))
        run_steps(model, steps, label)
        models[label] = model
    console.print(comparison_table(models))
    comparison_figure(models, figure)
    console.print(f"\nPicture: {figure}", soft_wrap=True)
    console.print(f"Runs:    {', '.join(str(folder_of(model).path) for model in models.values())}", soft_wrap=True)
    console.print(
        f"\nNext: look at both societies, step by step:\n"
        f"  {command('viz')} {quoted(folder_of(models['with RepuNet']).path)}\n"
        "ask a real model (set OPENAI_API_KEY, or LLM_API_BASE and LLM_MODEL for a local endpoint):\n"
        f"  {command('run --scenario pd --steps 5 --backend openai')}\n"
        "and see whether it holds over 20 seeds and all four modes:\n"
        f"  {command('study')}",
        soft_wrap=True,
        highlight=False,
    )
