"""Commands for many runs: sweeps and reports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from repunet_model.cli.app import LOOK, MANY, app
from repunet_model.cli.options import (
    EndpointFile,
    PriceFile,
    Storage,
    UntilStable,
    config_options,
    environment,
    is_given,
    limit_options,
)
from repunet_model.cli.progress import (
    SECONDS_BETWEEN_LINES,
    exit_unless_done,
    quietly_imported,
    showing_jobs,
    stopping_jobs,
)
from repunet_model.config import RunConfig, name_of
from repunet_model.errors import ConfigurationError
from repunet_model.stability import OPTION
from repunet_model.util.screen import make_console, say, say_next
from repunet_model.util.text import at_step, check_name, command, counted, quoted

if TYPE_CHECKING:
    import pandas as pd

    from repunet_model.backends.prices import Prices
    from repunet_model.jobs.job import JobOutcome, Runner
    from repunet_model.storage import Row, StepReader
    from repunet_model.sweep.running import Prepared

Workers = Annotated[
    int | None,
    typer.Option(
        min=1, help="In how many processes; by default one a processor, one in all for small sweeps and for endpoints."
    ),
]
Scheduler = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Run on the Dask cluster with this scheduler (extra cluster).")
]

GameSet = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUES",
        help="A parameter of the scenario, as in temptation=4,5,6; may be given more than once.",
    ),
]

RulesGrid = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUES",
        help="A parameter of the backend rules, as in learning_rate=0.2,0.4; may be given more than once.",
    ),
]

Design = Annotated[
    Literal["full", "fraction", "lhs"] | None,
    typer.Option(
        help="full: every combination (the default); fraction: a fractional factorial of two values each; lhs: a "
        "Latin hypercube between the two values of parameters of the scenario and of rules."
    ),
]

Points = Annotated[int | None, typer.Option(min=2, help="How many points a Latin hypercube has; by default 20.")]


@app.command(rich_help_panel=MANY)
@config_options(without=("seed", "backend_for", "game_parameters"), many=True)
@limit_options
def sweep(
    config: dict[str, list[Any]],
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[SWEEP.toml]",
            help="The sweep: steps, seeds, and a table [grid] with values of the options of run.",
        ),
    ] = None,
    seeds: Annotated[str, typer.Option(help="As in 1-20 or 1,3,7-9.")] = "1",
    steps: Annotated[int, typer.Option(min=1, help="How many steps each run has at its end.")] = 30,
    game_set: GameSet = None,
    until_stable: UntilStable = False,
    rules: RulesGrid = None,
    design: Design = None,
    points: Points = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the sweep; by default that of the file, or sweep.")
    ] = None,
    storage: Storage = Path("sim_storage"),
    workers: Workers = None,
    scheduler: Scheduler = None,
    report_in: Annotated[
        Path | None, typer.Option("--report", metavar="DIR", help="Then write a report of the whole runs there.")
    ] = None,
    *,
    limits: dict[str, Any],
    prices: PriceFile = None,
    endpoints: EndpointFile = None,
) -> None:
    """Run a grid of parameters with many seeds, and gather one table. Run again, it completes what is not whole.

    Give a file, or the grid by options.
    """
    if report_in is not None:
        from repunet_model.report.page import check_place

        check_place(report_in)
    with quietly_imported():
        from repunet_model.backends.prices import Prices
        from repunet_model.sweep import running
        from repunet_model.sweep.grid import Sweep
    if file is not None:
        options = [
            *config,
            *(
                option
                for option in ("seeds", "steps", OPTION, "game_set", "rules", "design", "points", *limits)
                if is_given(context, option)
            ),
        ]
        if options:
            raise ConfigurationError(f"--{options[0].replace('_', '-')}: {file} says what the sweep is; write it there")
        wanted = Sweep.load(file, None if name is None else check_name(name))
    else:
        grid = {
            **config,
            "game": values_of("--game-set", game_set),
            "rules": values_of("--rules", rules),
        }
        wanted = Sweep.of_values(check_name(name or "sweep"), steps, seeds, grid, limits, until_stable, design, points)
    prepared = running.prepare(wanted, storage, Prices.load(prices), environment(endpoints=endpoints))
    say_caveats(prepared)
    say_design(prepared, Prices.load(prices))
    folder, table, others = running.complete(prepared, watch, workers=workers, scheduler=scheduler)
    console = make_console()
    say_what_was_not_taken(table)
    whole = len(prepared.cells) - len(others)
    console.print(f"{whole} of {len(prepared.cells)} runs are whole", highlight=False)
    show_incomplete(others)
    files = f"{folder.path / 'results.parquet'} and results.csv, {len(table):,} rows"
    console.print(f"Results: {files}", soft_wrap=True, highlight=False)
    if report_in is not None:
        report([str(folder.path.absolute())], report_in, f"RepuNet: {wanted.name}", storage=storage)
    elif whole:
        say_next(read_it=command(f"report {quoted(folder.path)} --out {quoted(Path('outputs') / wanted.name)}"))
    exit_unless_done(others)


@app.command(rich_help_panel=MANY)
@config_options(only=("game", "reputation", "gossip", "backend"))
@limit_options
def questions(
    config: RunConfig,
    seeds: Annotated[str, typer.Option(help="As in 1-20 or 1,3,7-9; intervals need two.")] = "1-5",
    steps: Annotated[int, typer.Option(min=1, help="How many steps each run has.")] = 5,
    name: Annotated[str, typer.Option(metavar="NAME", help="Name of the sweep of these runs.")] = "questions",
    storage: Storage = Path("sim_storage"),
    *,
    limits: dict[str, Any],
    prices: PriceFile = None,
    endpoints: EndpointFile = None,
) -> None:
    """Compare one question a call with fused questions over the same seeds: what a step costs, and what comes of it.

    The runs are a sweep, for report and show; killed or stopped, it goes on where it was.
    """
    with quietly_imported():
        from repunet_model.backends.prices import Prices
        from repunet_model.report.questions import questions_table
        from repunet_model.sweep import running
        from repunet_model.sweep.grid import Sweep
    given = {name_of(field): getattr(config, field) for field in config.model_fields_set}
    wanted = Sweep.of_values(check_name(name), steps, seeds, {**given, "questions": ["single", "fused"]}, limits)
    prepared = running.prepare(wanted, storage, Prices.load(prices), environment(endpoints=endpoints))
    folder, table, others = running.complete(prepared, watch)
    say_what_was_not_taken(table)
    show_incomplete(others)
    if not others:
        make_console().print(questions_table(table))
    say(f"Sweep: {folder.path}")
    exit_unless_done(others)


def say_caveats(prepared: Prepared) -> None:
    """Print what is worth knowing of a sweep before it runs."""
    for caveat in prepared.caveats():
        say(f"Note: {caveat}", stderr=True)


def say_design(prepared: Prepared, prices: Prices) -> None:
    """Print the size and the cost of a sweep with a named design, and what it confounds."""
    sweep = prepared.sweep
    if not sweep.notes:
        return
    from repunet_model.study.plan import cost_in_words, estimated

    cost = estimated(prepared, prices, lambda *_: None)
    seeds, runs = len(sweep.seeds), len(prepared.cells)
    size = f"{counted(runs // seeds, 'cell')} × {counted(seeds, 'seed')} = {counted(runs, 'run')}"
    size += f" of {counted(sweep.steps, 'step')}"
    say(
        f"Design: {size}; {cost_in_words(cost['requests'], cost['tokens'], cost['usd'])}.",
        stderr=True,
    )
    for note in sweep.notes:
        say(f"  {note}", stderr=True)


def watch(runner: Runner) -> Sequence[JobOutcome]:
    """Run jobs to their end under a progress display."""
    with showing_jobs(runner, seconds=SECONDS_BETWEEN_LINES) as note, stopping_jobs(runner):
        return runner.run(note)


def say_what_was_not_taken(table: pd.DataFrame) -> None:
    """Print the sampling parameters that endpoints rejected in the runs of a table, if any."""
    from repunet_model.backends.asked import in_words

    if "not_taken" in table:
        say(in_words(list(table.groupby("run")["not_taken"].first().fillna(""))))


def show_incomplete(others: Sequence[JobOutcome]) -> None:
    """Print a table of the incomplete runs, if any."""
    from repunet_model.jobs.job import outcomes_table

    if others:
        make_console().print(outcomes_table(others))


def values_of(flag: str, given: Sequence[str] | None) -> dict[str, list[float]]:
    """Parse options of the form NAME=NUMBER,NUMBER,... into values by parameter."""
    found: dict[str, list[float]] = {}
    for option in given or ():
        name, is_there, values = option.partition("=")
        try:
            if not is_there:
                raise ValueError
            found[name.strip()] = [float(word) for word in values.split(",")]
        except ValueError:
            raise ConfigurationError(f"{flag} {option!r}: must read NAME=NUMBER,NUMBER,...") from None
    return found


def stored_runs(paths: Sequence[str], storage: Path) -> tuple[list[StepReader], list[Row]]:
    """Open stored runs and the complete runs of sweeps; return also the incomplete ones of sweeps, with reasons."""
    from repunet_model.storage import StepReader
    from repunet_model.sweep.folder import SweepFolder, is_sweep

    runs: list[StepReader] = []
    not_whole: list[Row] = []
    for text in paths:
        path, step = at_step(text, storage)
        if step is None and is_sweep(path):
            found = SweepFolder.open(path)
            runs += found.whole_runs()
            not_whole += found.failures()
        else:
            runs.append(StepReader.open(path, step))
    return runs, not_whole


@app.command(rich_help_panel=LOOK)
def report(
    paths: Annotated[
        list[str], typer.Argument(metavar="RUN[/step_N]|SWEEP ...", help="Stored runs and sweeps, by name or folder.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to write it; an earlier report there is replaced.")],
    title: Annotated[str | None, typer.Option(help="Its heading.")] = None,
    probe: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="CARD.json", help="The fitness card of a model that answered runs; may be given more than once."
        ),
    ] = None,
    storage: Storage = Path("sim_storage"),
) -> None:
    """Write a report of runs and sweeps: figures (PNG and SVG) and one page that needs no network (index.html)."""
    from repunet_model.report import page

    page.check_place(out)
    with quietly_imported():
        from repunet_model.probe.card import beside
        from repunet_model.report.evidence import read

    runs, not_whole = stored_runs(paths, storage)
    evidence = read(runs)
    cards = [beside(file, [run.stored.manifest for run in evidence.runs]) for file in probe or ()]
    page.write(
        evidence,
        out,
        title or f"RepuNet: {', '.join(paths)}",
        before=[card.section(f"probe_{number}") for number, card in enumerate(cards, 1)],
        not_whole=not_whole,
    )
    say(f"Report: {out / 'index.html'} ({counted(len(runs), 'run')})")
