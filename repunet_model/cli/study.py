"""The command for the study: its plan, its runs, and its report."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from repunet_model.cli.app import MANY, app
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
from repunet_model.cli.progress import exit_unless_done, quietly_imported, showing_count
from repunet_model.cli.sweeps import (
    Design,
    GameSet,
    Points,
    RulesGrid,
    Scheduler,
    Workers,
    say_caveats,
    say_design,
    say_what_was_not_taken,
    show_incomplete,
    stored_runs,
    values_of,
    watch,
)
from repunet_model.errors import ConfigurationError
from repunet_model.util.screen import say
from repunet_model.util.text import check_name, command, counted, quoted

if TYPE_CHECKING:
    from repunet_model.backends.endpoints import Environment
    from repunet_model.backends.prices import Prices
    from repunet_model.study.plan import Study

_WITH_A_PLAN = ("follow", "seeds", "storage", "workers", "scheduler", "out", "results", "runs", "claims")
"""The options that may stand beside --follow, as those of limits and endpoints may: they change no planned run."""

_OF_THE_MACHINE = ("storage", "workers", "scheduler", "prices", "endpoints")
"""The options that the results do not name, as those of limits, since they depend on the machine."""


@app.command(rich_help_panel=MANY)
@config_options(without=("seed", "backend_for", "game_parameters"), many=True)
@limit_options
def study(
    config: dict[str, list[Any]],
    context: typer.Context,
    seeds: Annotated[
        str, typer.Option(help="As in 1-20; at least two. With --follow: seeds to add, whose runs are exploratory.")
    ] = "1-20",
    steps: Annotated[int, typer.Option(min=1, help="How many steps each run has.")] = 30,
    until_stable: UntilStable = False,
    game_set: GameSet = None,
    rules: RulesGrid = None,
    design: Design = None,
    points: Points = None,
    trajectories: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Random starts of the screening of the rules; 0 for none. By default 6 where the rules answer and "
            "only scenario and mode vary, else none.",
        ),
    ] = None,
    attack: Annotated[
        str,
        typer.Option(
            metavar="BACKEND",
            help="Attack the rules as well: from a third of the steps on, 0 to 50 % of the agents are, for example, "
            "always_defect.",
        ),
    ] = "",
    name: Annotated[
        str, typer.Option(metavar="NAME", help="Name of its sweeps: NAME, NAME-screening and NAME-attack.")
    ] = "study",
    plan: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json",
            help="Write the plan of the study with its estimated cost and a hash, and run nothing.",
        ),
    ] = None,
    follow: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json",
            help="Run the study of this plan; the report says whether it was followed, and what was added later.",
        ),
    ] = None,
    claims: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE.py", help="A file that registers claims of your own; may be given more than once."),
    ] = None,
    runs: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="RUN|SWEEP",
            help="A stored run or sweep to ask the same questions of, such as an imported run; may be given more than "
            "once.",
        ),
    ] = None,
    storage: Storage = Path("sim_storage"),
    workers: Workers = None,
    scheduler: Scheduler = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to write the report.")] = Path("outputs") / "study",
    results: Annotated[
        Path, typer.Option(metavar="FILE.md", help="Where to write the results; pictures go to a folder beside it.")
    ] = Path("outputs") / "results.md",
    *,
    limits: dict[str, Any],
    prices: PriceFile = None,
    endpoints: EndpointFile = None,
) -> None:
    """Run all scenarios in all modes over many seeds, and answer the paper's claims with what was measured.

    By the rules, offline, or by a model (--backend), after a plan (--plan, then --follow). Killed or stopped, it goes
    on where it was. Where more than scenario and mode varies, as by a --design, each claim is audited over it.
    """
    from repunet_model.report import page
    from repunet_model.util import files

    _check_together(context, plan, follow, limits)
    page.check_place(out)
    files.check_new(results)
    if results.suffix != ".md":
        raise ConfigurationError(f"--results {str(results)!r}: name a file that ends in .md")
    with quietly_imported():
        from repunet_model.backends.prices import Prices
        from repunet_model.report.attack import curves
        from repunet_model.report.evidence import read
        from repunet_model.study import auditing, following, screening, writing
        from repunet_model.study.claims import asked, load
        from repunet_model.study.plan import Plan, Study, begin
        from repunet_model.sweep import running
        from repunet_model.sweep.grid import Sweep, seeds_of

    load(claims or ())
    where = environment(endpoints=endpoints)
    table = Prices.load(prices)
    followed = None if follow is None else Plan.load(follow)
    if followed is None:
        named, numbers = check_name(name), seeds_of(seeds)
        wanted = Study.of_values(
            lambda grid, *parts: Sweep.of_values(named, steps, numbers, grid, limits, until_stable, *parts),
            {**config, "game": values_of("--game-set", game_set), "rules": values_of("--rules", rules)},
            trajectories,
            design,
            points,
            attack,
        )
    else:
        given = {option: value for option, value in limits.items() if is_given(context, option)}
        wanted = followed.study().changed(seeds if is_given(context, "seeds") else "", given)
    if plan is not None:
        return _write_plan(plan, wanted, storage, table, where.without_keys())
    others = read(found) if (found := stored_runs(runs or (), storage)[0]) else None
    prepared = {part: running.prepare(each, storage, table, where) for part, each in wanted.sweeps().items()}
    say_caveats(prepared["runs"])
    say_design(prepared["runs"], table)
    before = begin(wanted, followed, storage)
    gathered = {}
    for part, each in prepared.items():
        folder, rows, incomplete = running.complete(each, watch, workers=workers, scheduler=scheduler)
        say_what_was_not_taken(rows)
        if incomplete:
            show_incomplete(incomplete)
            left = f"not whole in {folder.path}: {counted(len(incomplete), 'run')}"
            say(f"The study goes on with the same command; {left}.")
            exit_unless_done(incomplete)
        gathered[part] = (folder, rows)
    evidence = read(gathered["runs"][0].whole_runs())
    answers = following.answers(evidence, asked(), followed, before)
    screened, attacked = [], []
    if "screening" in gathered:
        screened = screening.screened(gathered["screening"][1], evidence, wanted.trajectories)
    if "attack" in gathered:
        attacked = curves(read(gathered["attack"][0].whole_runs()))
    audited = auditing.audits(evidence, answers.asked)
    result = writing.Results(evidence, answers, screened, others, attacked)
    sections = page.write(
        evidence,
        out,
        "RepuNet: the study",
        before=[answers.section(), auditing.section(audited)],
        after=result.sections(),
        more={**result.statistics(), "claim_audits": [each.described() for each in audited]},
    )
    result.write(results, _again(context, limits), out, sections)
    for line in result.lines():
        say(line)
    say(f"Results: {results}")
    say(f"Report:  {out / 'index.html'}")
    say(f"Runs:    {gathered['runs'][0].path}")
    return None


def _check_together(context: typer.Context, plan: Path | None, follow: Path | None, limits: Mapping[str, Any]) -> None:
    """Check that no option contradicts the plan; raise ConfigurationError if one does."""
    if plan is not None and follow is not None:
        raise ConfigurationError("--plan writes a plan, --follow runs one: give one of them")
    may_stand = {*_WITH_A_PLAN, *_OF_THE_MACHINE, *limits}
    for option in context.params:
        if follow is not None and option not in may_stand and is_given(context, option):
            raise ConfigurationError(f"--{option.replace('_', '-')}: {follow} says what the study is; leave it out")


def _write_plan(file: Path, study: Study, storage: Path, prices: Prices, without_keys: Environment) -> None:
    """Write the plan of a study, which needs no key of an endpoint."""
    from repunet_model.study.claims import asked
    from repunet_model.study.plan import Plan
    from repunet_model.sweep import running
    from repunet_model.util import files

    prepared = running.prepare(study.sweep, storage, prices, without_keys)
    with showing_count("estimating") as done:
        plan = Plan.of_study(study, prepared, asked(), prices, done)
    files.write_new(file, plan.text().decode())
    say(f"Plan: {file} (SHA-256 {plan.content['sha256']})")
    say(f"{plan.in_words()} ({plan.content['estimate']['how']})")
    for note in study.sweep.notes:
        say(f"  {note}")
    say(f"Run it with: {command(f'study --follow {quoted(file)}')}")


def _again(context: typer.Context, limits: Mapping[str, Any]) -> str:
    """Return the command with the options that were given and do not depend on the machine."""
    words = ["study"]
    for parameter in context.command.params:
        name = parameter.name or ""
        if name not in {*_OF_THE_MACHINE, *limits} and is_given(context, name):
            value = context.params[name]
            for each in value if isinstance(value, (list, tuple)) else [value]:
                words += [parameter.opts[0], shlex.quote(str(each))]
    return command(" ".join(words))
