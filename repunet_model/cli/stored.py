"""Commands for data on disk: stored runs, imports, exports and persona files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from repunet_model.cli.app import DATA, LOOK, app
from repunet_model.cli.options import RunAtStep, Storage, open_at_step, parse_scenario, parse_yes_no
from repunet_model.errors import ConfigurationError
from repunet_model.util.screen import make_console, say, say_next
from repunet_model.util.text import assignment, command, counted, path_of, quoted, to_go_on

if TYPE_CHECKING:
    from repunet_model.storage import StepReader

LAYOUTS = ("published", "graphml", "gexf", "csv", "parquet")


@app.command(rich_help_panel=LOOK)
def check(
    run_folder: Annotated[str, typer.Argument(metavar="RUN", help="Name of a stored run, or its folder.")],
    storage: Storage = Path("sim_storage"),
) -> None:
    """Compare every file of a stored run with the hashes that were written with it. Exit code 1 if any differs."""
    from repunet_model.storage import RunFolder, stopping

    folder = RunFolder.open(path_of(run_folder, storage))
    damages = list(folder.damages())
    if not damages and (damage := stopping.damage(folder)):
        damages = [damage]
    for damage in damages:
        say(damage)
    if damages:
        whole = folder.last_whole()
        go_on = (
            "it cannot be gone on with, since every step rests on the manifest and on step 0"
            if whole is None
            else f"to go on from the last whole step: {command(f'resume {quoted(folder.path)}/step_{whole}')}"
        )
        say(f"{counted(len(damages), 'problem')}; {go_on}")
        raise typer.Exit(1)
    found = stopping.noted(folder)
    say(f"{folder.path}: whole, {counted(folder.steps()[-1], 'step')}{'' if found is None else f'; {found}'}")


@app.command(rich_help_panel=LOOK)
def show(
    run_folder: RunAtStep,
    step: Annotated[int | None, typer.Option(min=0, help="Which step; by default the last.")] = None,
    agent: Annotated[str | None, typer.Option(metavar="NAME", help="One agent, up to the step.")] = None,
    thoughts: Annotated[
        bool, typer.Option("--thoughts", help="The models' reasoning before their replies, too, where it was returned.")
    ] = False,
    checks: Annotated[
        bool,
        typer.Option("--checks", help="Whether the parts of the run, up to the step, mean what their names say."),
    ] = False,
    storage: Storage = Path("sim_storage"),
) -> None:
    """Read a stored run: what was said, decided and thought of whom."""
    from repunet_model.results import describe
    from repunet_model.storage import understood

    run, shown = open_at_step(run_folder, storage, step)
    if checks:
        if agent is not None or thoughts:
            raise ConfigurationError("--checks is of all agents and needs no thoughts: leave the other option out")
        _show_checks(run)
        return
    with understood(run.folder):
        if agent is None:
            lines = list(describe.of_step(run, shown, thoughts=thoughts))
        else:
            lines = list(describe.of_agent(run, agent, shown, thoughts=thoughts))
    for line in lines:
        say(line)


def _show_checks(run: StepReader) -> None:
    """Print the construct checks of a run as a table."""
    from repunet_model.report.tables import checks_table
    from repunet_model.results.constructs import own_checks

    if run.last == 0:
        raise ConfigurationError(f"{run.folder.path} has no steps yet: there is nothing to check")
    make_console().print(checks_table(own_checks(run), f"{run.folder.path.name}, up to step {run.last}"))


@app.command(rich_help_panel=LOOK)
def profile(run_folder: RunAtStep, storage: Storage = Path("sim_storage")) -> None:
    """Show the critical path of each step of a stored run, and the calls on that of the last step."""
    from repunet_model.results import profile as profiling

    run, last = open_at_step(run_folder, storage)
    if last == 0:
        raise ConfigurationError(f"{run.folder.path} has no steps yet: there is nothing that could have waited")
    profiles = [profiling.of_step(run, step) for step in range(1, last + 1)]
    make_console().print(profiling.table(profiles))
    path = counted(len(profiles[-1].path), "call")
    say(f"The critical path of step {last}: {path}, each of which waits for the one before.")
    for line in profiling.path_in_words(profiles[-1]):
        say(line)


@app.command(rich_help_panel=LOOK)
def methods(run_folder: RunAtStep, storage: Storage = Path("sim_storage")) -> None:
    """Write a methods paragraph of a stored run, from its manifest, with the references to cite."""
    from repunet_model.results.methods import of_run

    run, _ = open_at_step(run_folder, storage)
    for line in of_run(run):
        say(line)


@app.command("import", rich_help_panel=DATA)
def import_(
    path: Annotated[Path, typer.Argument(help="A published run, or one of its steps, read alone.")],
    scenario: Annotated[
        Any,
        typer.Option(parser=parse_scenario, metavar="NAME", help="pd, investment or sign_up; by default as it shows."),
    ] = None,
    reputation: Annotated[Any, typer.Option(parser=parse_yes_no, metavar="y|n", help="By default as it shows.")] = None,
    gossip: Annotated[Any, typer.Option(parser=parse_yes_no, metavar="y|n", help="By default as it shows.")] = None,
    personas: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Persona file with dispositions, of all agents or of some."),
    ] = None,
    backend: Annotated[str, typer.Option(help="Who answers further steps: rules, openai, openai:MODEL.")] = "rules",
    seed: Annotated[int, typer.Option(help="Seed of the steps to come.")] = 1,
    sim_name: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the new run.")] = None,
    storage: Storage = Path("sim_storage"),
) -> None:
    """Make a run from one of the published implementation, step by step, and say what could not be read exactly."""
    from repunet_model.reference_layout import Told, import_run

    told = Told(game=scenario, reputation=reputation, gossip=gossip, personas=personas)
    done = import_run(path, storage, sim_name, told, backend, seed)
    say(f"Step {done.step}: {', '.join(f'{count} {name}' for name, count in done.counts.items())}")
    lines = ["", "Not read exactly:", *(f"  {line}" for line in done.report)] if done.report else []
    for line in (*lines, "", f"Run: {done.folder.path}"):
        say(line)
    say_next(look_at_it=command(f"viz {quoted(done.folder.path)}"), go_on=to_go_on(done.folder.path, 5))


@app.command(rich_help_panel=DATA)
def export(
    run_step: RunAtStep,
    out: Annotated[Path, typer.Argument(help="What to make: a file for a graph, else a folder.")],
    layout: Annotated[str, typer.Option(help=f"One of {', '.join(LAYOUTS)}.")] = "published",
    storage: Storage = Path("sim_storage"),
) -> None:
    """Write a step for other programs: the published implementation, programs for graphs, programs for tables."""
    if layout not in LAYOUTS:
        raise ConfigurationError(f"unknown layout {layout!r}: choose one of {', '.join(LAYOUTS)}")
    from repunet_model import export as exporting
    from repunet_model.reference_layout import export_step
    from repunet_model.storage import understood

    run, step = open_at_step(run_step, storage)
    with understood(run.folder):
        if layout == "published":
            out = export_step(run, step, out)
        elif layout in {"graphml", "gexf"}:
            exporting.export_graph(run, step, out, layout)
        else:
            exporting.export_tables(run, step, out, layout)
    say(f"Step {step} of {run.folder.path}: {out}")


@app.command(rich_help_panel=DATA)
def profiles(
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write them (JSON); nothing is overwritten.")],
    seeds: Annotated[
        list[str], typer.Option(metavar="RUN[/step_N]", help="A stored run; may be given more than once.")
    ],
    more: Annotated[list[str] | None, typer.Argument(metavar="RUN[/step_N]", help="Further runs.")] = None,
    storage: Storage = Path("sim_storage"),
) -> None:
    """Write down what the agents of stored runs have learned, by scenario and name, for --personas of other runs.

    Where two runs of one scenario both have a name, the later one has its way.
    """
    if more and len(seeds) > 1:
        raise ConfigurationError("name all runs behind one --seeds, or each behind a --seeds of its own")
    from repunet_model import populations
    from repunet_model.util.files import write_new

    collected, notes = populations.profiles([open_at_step(text, storage) for text in [*seeds, *(more or ())]])
    write_new(out, json.dumps(collected, ensure_ascii=False, indent=2) + "\n")
    for note in notes:
        say(note, stderr=True)
    counts = (f"{len(learned)} of {game}" for game, learned in collected.items())
    say(f"Profiles: {out} ({', '.join(counts)})")
    say_next(use_them=f"{command('run --personas')} {quoted(out)}")


@app.command(rich_help_panel=DATA)
def generate_personas(
    n: Annotated[int, typer.Option("-n", min=2, help="How many.")] = 100,
    seed: Annotated[int, typer.Option(help="Seed of the draw.")] = 1,
    altruistic: Annotated[float, typer.Option(metavar="SHARE", help="Share of altruists, 0 to 1.")] = 0.5,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help='A filter or a share: ages=30-50, countries=Japan,Ghana, "share of women=0.6", "share of Japan=0.5"; '
            "may be given more than once.",
        ),
    ] = None,
    traits: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Further traits, or other names, countries and ages to draw from (JSON)."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where to write them; by default personas_N.json. Nothing is overwritten."),
    ] = None,
) -> None:
    """Draw a population from a table of countries, names and ages, for --personas."""
    from repunet_model import populations
    from repunet_model.util.files import write_new

    given: dict[str, str] = {}
    for setting in settings or ():
        name, value = assignment("--set", setting)
        if name in given:
            raise ConfigurationError(f"--set {setting!r}: {name} is there twice")
        given[name] = value
    people = populations.generate(n, seed, altruistic, given, traits)
    rows = (json.dumps(person.model_dump(mode="json", exclude_none=True), ensure_ascii=False) for person in people)
    path = Path(f"personas_{n}.json") if out is None else out
    write_new(path, "[\n  " + ",\n  ".join(rows) + "\n]\n")
    say(f"Personas: {path}")
    say_next(use_them=f"{command('run --personas')} {quoted(path)}")
