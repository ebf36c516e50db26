"""Commands that run many societies and draw what comes of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from repunet_model.cli.app import app
from repunet_model.cli.options import Scenario, Storage, parse_scenario
from repunet_model.cli.progress import folder_of, make_console, quietly_imported, run_steps
from repunet_model.errors import ConfigurationError

FIGURE = Path("outputs") / "with_and_without_repunet.png"

MODES_FIGURE = Path("outputs") / "cooperation_by_mode.png"


@app.command()
def compare(
    scenario: Scenario = "pd",
    steps: Annotated[int, typer.Option(min=2, help="How many steps.")] = 30,
    seed: Annotated[int, typer.Option(help="Seed of both runs.")] = 1,
    storage: Storage = Path("sim_storage"),
    figure: Annotated[Path, typer.Option(help="Where to draw the comparison (PNG).")] = FIGURE,
) -> None:
    """The same agents with and without RepuNet, offline: one table, one picture."""
    from repunet_model import report

    report.check_place(figure)
    console = make_console()
    models = {}
    for label, on in (("with RepuNet", True), ("without", False)):
        with quietly_imported() as model_class:
            model = model_class(game=scenario, reputation=on, gossip=on, rng=seed, storage=str(storage))
        run_steps(model, steps, label)
        models[label] = model
    console.print(report.comparison_table(models))
    report.comparison_figure(models, figure)
    console.print(f"\nPicture: {figure}", soft_wrap=True)
    console.print(f"Runs:    {', '.join(str(folder_of(model)) for model in models.values())}", soft_wrap=True)
    console.print(
        "\nNext: ask a real model (set OPENAI_API_KEY, or LLM_API_BASE and LLM_MODEL for a local endpoint):\n"
        "  uv run run.py run --scenario pd --steps 5 --backend openai\n"
        "and see whether it holds over 20 seeds and all four modes:\n"
        "  uv run run.py modes",
        soft_wrap=True,
        highlight=False,
    )


@app.command()
def modes(
    scenario: Annotated[
        Any,
        typer.Option(parser=parse_scenario, metavar="NAME", help="pd, investment or sign_up; by default all three."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=2, help="How many seeds, from 1.")] = 20,
    steps: Annotated[int, typer.Option(min=1, help="How many steps.")] = 30,
    last: Annotated[int, typer.Option(min=1, help="Over how many last steps to average.")] = 10,
    processes: Annotated[int, typer.Option(min=1, help="Over how many processes to spread the runs.")] = (
        os.cpu_count() or 1
    ),
    figure: Annotated[Path, typer.Option(help="Where to draw cooperation over time (PNG).")] = MODES_FIGURE,
) -> None:
    """Cooperation in the four modes of each scenario over many seeds, offline, with 95 % intervals."""
    if last > steps:
        raise ConfigurationError(f"--last {last} is more than --steps {steps}")
    from rich.progress import track

    with quietly_imported():
        from repunet_model import report, sweep
        from repunet_model.games import GAMES
    report.check_place(figure)
    cells = sweep.cells([scenario] if scenario else GAMES, range(1, seeds + 1))
    results = sweep.run_cells(cells, steps, processes)
    console = make_console(stderr=True)
    done = list(track(results, "Running", total=len(cells), console=console, transient=True))
    cooperation = sweep.cooperation_by_step(done)
    make_console().print(report.modes_table(cooperation, last))
    report.modes_figure(cooperation, figure)
    make_console().print(f"Picture: {figure}", soft_wrap=True)
