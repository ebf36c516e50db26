"""Commands that start and continue runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from repunet_model.cli.app import GO_ON, MANY, RUN, app
from repunet_model.cli.options import (
    EndpointFile,
    From,
    Gguf,
    PriceFile,
    ReplyFormat,
    RunAtStep,
    Steps,
    Storage,
    UntilStable,
    by_name,
    config_options,
    environment,
    is_given,
    limit_options,
    limits_of,
    open_at_step,
)
from repunet_model.cli.progress import (
    exit_unless_done,
    folder_of,
    quietly_imported,
    run_and_show,
    say_how_asked,
    showing_jobs,
    showing_progress,
    stopping_jobs,
)
from repunet_model.config import RunConfig, changeable
from repunet_model.errors import ConfigurationError
from repunet_model.stability import StabilityRule
from repunet_model.util.screen import make_console, say, say_next
from repunet_model.util.text import assignment, at_step, command, counted, quoted, to_go_on

if TYPE_CHECKING:
    from repunet_model.jobs.resume import Resumed


@app.command(rich_help_panel=RUN)
@config_options()
@limit_options
def run(
    config: RunConfig,
    context: typer.Context,
    steps: Steps = 5,
    until_stable: UntilStable = False,
    source: From = None,
    sim_name: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the run.")] = None,
    storage: Storage = Path("sim_storage"),
    *,
    limits: dict[str, Any],
    prices: PriceFile = None,
    reply_format: ReplyFormat = None,
    gguf: Gguf = None,
    endpoints: EndpointFile = None,
) -> None:
    """Run one society and store every step. A replay takes what is not given from the run that it repeats."""
    from repunet_model.backends.sender.client import prepare
    from repunet_model.jobs.job import rule_for
    from repunet_model.jobs.resume import resumed, start, start_from

    limited = limits_of(limits, prices)
    where = environment(reply_format, gguf, endpoints)
    if source is None:
        begun = start(config, storage, where)
    else:
        stored, step = open_at_step(source, storage)
        if step:
            with quietly_imported():
                taken_up = resumed(
                    stored.folder.path, step, storage, config=config, name=sim_name, environment=where, limits=limited
                )
            return _go_on(taken_up, steps, until_stable, endpoints)
        begun = start_from(stored, config, storage, where)
    most = steps if is_given(context, "steps") else begun.replayed_steps or steps
    rule = rule_for(until_stable, most, "--until-stable")
    who = begun.who()
    if any(backend.asks_model for backend in who.distinct()):
        prepare()  # before Mesa is imported, which takes as long
    with quietly_imported():
        model = begun.make(who, limited, storage=storage, run_name=sim_name)
    run_and_show(model, most, rule, endpoints)
    return None


def _go_on(taken_up: Resumed, steps: int, until_stable: bool, endpoints: Path | None) -> None:
    if taken_up.is_fork:
        say(f"Fork: {folder_of(taken_up.model).path}", stderr=True)
    run_and_show(taken_up.model, steps, StabilityRule() if until_stable else None, endpoints)


@app.command("seed", rich_help_panel=RUN)
@config_options()
def make_seed(
    config: RunConfig,
    sim_name: Annotated[str, typer.Option(metavar="NAME", help="Name of the run.")],
    from_seed: Annotated[
        str | None,
        typer.Option(
            metavar="RUN[/step_N]",
            help="Take the personas of a stored run with what they had learned by then, and its scenario unless one is "
            "given. Nothing else is carried over: resources, ties, memory and reputations start anew.",
        ),
    ] = None,
    storage: Storage = Path("sim_storage"),
    endpoints: EndpointFile = None,
) -> None:
    """Make a run without steps: a population to start from, in any mode (run --from NAME)."""
    with quietly_imported():
        from repunet_model import populations
        from repunet_model.jobs.resume import start

        people = None
        if from_seed is not None:
            if "personas" in config.model_fields_set:
                raise ConfigurationError("--from-seed takes the personas of a run: leave --personas out")
            stored, step = open_at_step(from_seed, storage)
            people = populations.of_run(stored, step)
            if "game" not in config.model_fields_set:
                config = config.changed({"game": stored.manifest.config.game})
        begun = start(config, storage, environment(endpoints=endpoints), people)
        model = begun.make(begun.who(), None, storage=storage, run_name=sim_name)
    with model:
        say(f"Seed: {folder_of(model).path} ({counted(len(model.agents), 'agent')})")
    say_next(run_it=command(f"run --from {quoted(folder_of(model).path)}"))


@app.command(rich_help_panel=GO_ON)
@limit_options
def resume(
    run_folder: RunAtStep = "",
    steps: Steps = 5,
    until_stable: UntilStable = False,
    backend: Annotated[str | None, typer.Option(help="Who answers from now on; another than before forks.")] = None,
    backend_for: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=BACKEND", help="The same for one agent: any backend, or human; may be given more than once."
        ),
    ] = None,
    sim_name: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the fork, if it is one.")] = None,
    sim: Annotated[str, typer.Option(metavar="RUN[/step_N]", help="The same as the argument.")] = "",
    storage: Storage = Path("sim_storage"),
    *,
    limits: dict[str, Any],
    prices: PriceFile = None,
    reply_format: ReplyFormat = None,
    gguf: Gguf = None,
    endpoints: EndpointFile = None,
) -> None:
    """Go on with a stored run. Budgets are for the whole run.

    From its last step it goes on in place. From an earlier one, or with other backends, it forks: nothing is
    overwritten.
    """
    if bool(run_folder) == bool(sim):
        raise ConfigurationError(f"name one run to go on with, as in: {command('resume my-run --steps 5')}")
    path, step = at_step(run_folder or sim, storage)
    with quietly_imported():
        from repunet_model.jobs.resume import resumed

        backends = {
            "backend_for": by_name("backend_for", backend_for),
            **({} if backend is None else {"backend": backend}),
        }
        taken_up = resumed(
            path,
            step,
            storage,
            config=RunConfig.checked(backends),
            name=sim_name,
            environment=environment(reply_format, gguf, endpoints),
            limits=limits_of(limits, prices),
        )
    _go_on(taken_up, steps, until_stable, endpoints)


@app.command(rich_help_panel=GO_ON)
def fork(
    run_folder: RunAtStep,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help=f"Change {', '.join(changeable())}; may be given more than once.",
        ),
    ] = None,
    sim_name: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the fork.")] = None,
    storage: Storage = Path("sim_storage"),
    endpoints: EndpointFile = None,
) -> None:
    """Make a run that shares another's past up to a step, and differs from then on in what is set."""
    path, step = at_step(run_folder, storage)
    with quietly_imported():
        from repunet_model.jobs.resume import fork_changes
        from repunet_model.storage import StepReader

        stored = StepReader.open(path, step)
        settings = dict(assignment("--set", change) for change in changes or ())
        changed = fork_changes(stored, settings, storage, environment(endpoints=endpoints))
        new = stored.folder.fork(stored.last, storage, sim_name, changed)
    say(f"Fork: {new.path}")
    say_next(go_on=to_go_on(new.path, 5, endpoints=endpoints))


@app.command(rich_help_panel=RUN)
@config_options(backend="openai")
def estimate(config: RunConfig, steps: Steps = 5, prices: PriceFile = None, endpoints: EndpointFile = None) -> None:
    """Predict calls, tokens and cost of a run from its prompts, without asking anybody."""
    with quietly_imported():
        from repunet_model.backends.estimate import CHARACTERS_PER_SENTENCE, CHARACTERS_PER_TOKEN, estimating
        from repunet_model.backends.prices import Prices
        from repunet_model.jobs.resume import start
        from repunet_model.report.tables import usage_table

        table = Prices.load(prices)
        begun = start(config, Path(), environment(endpoints=endpoints).without_keys())
        model = begun.make(estimating(begun.who(), table), None)
    with showing_progress(model, steps, "estimating") as done:
        while model.steps < steps:
            model.step()
            done()
    console = make_console()
    console.print(usage_table(model.usage_by_question, f"Estimated cost of {counted(steps, 'step')}"))
    if len(by_backend := model.costs_by_backend) > 1:
        console.print(usage_table(by_backend, "The same by backend", "backend"))
    per_step = model.usage.tokens / steps
    console.print(
        f"About {model.usage.attempts / steps:,.0f} calls and {per_step:,.0f} tokens a step. An estimate: the rules "
        f"decide what is asked; a token is taken as {CHARACTERS_PER_TOKEN:g} characters, a sentence of a reply as "
        f"{CHARACTERS_PER_SENTENCE} characters; no reply is asked for twice, and no prompt comes from a cache.",
        soft_wrap=True,
        highlight=False,
    )
    if model.usage.unpriced_tokens:
        console.print(
            f"The price of a model is not in {table.source}: name a file with it by --prices.", soft_wrap=True
        )


@app.command(rich_help_panel=RUN)
def shell(
    backend: Annotated[
        str | None, typer.Option(help="As in run; by default rules, or for a stored run who answered before.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of a new run; by default 1.")] = None,
    n_agents: Annotated[
        int | None, typer.Option("-n", "--n-agents", min=2, help="How many agents a new run has.")
    ] = None,
    storage: Storage = Path("sim_storage"),
) -> None:
    """Start or take up a run at a prompt, and go on step by step: run, status, show, save, fin, exit, help."""
    with quietly_imported():
        from repunet_model.cli.shell import Shell, keyboard
    options = {"backend": backend, "seed": seed, "n_agents": n_agents}
    config = RunConfig.checked({name: value for name, value in options.items() if value is not None})
    console = make_console()
    Shell(storage, config, keyboard(console), console, make_console(stderr=True)).run()


@app.command(rich_help_panel=MANY)
def batch(
    jobs: Annotated[
        Path,
        typer.Argument(
            metavar="JOBS.toml", help="The jobs: a table [[jobs]] for each run, with the options of run as keys."
        ),
    ],
    logs: Annotated[Path, typer.Option(help="Folder of the logs, one a job.")] = Path("outputs"),
    storage: Storage = Path("sim_storage"),
    prices: PriceFile = None,
    endpoints: EndpointFile = None,
) -> None:
    """Run a list of jobs side by side, under one gate and one budget. Run again, it completes what is not done."""
    with quietly_imported():
        from repunet_model.backends.prices import Prices
        from repunet_model.jobs.batch import Batch, Plan
        from repunet_model.jobs.job import outcomes_table

        plan = Plan.load(jobs, storage, Prices.load(prices), environment(endpoints=endpoints))
    all_jobs = Batch(plan, logs)
    with showing_jobs(all_jobs) as note, stopping_jobs(all_jobs):
        outcomes = all_jobs.run(note)
    console = make_console()
    say_how_asked(all_jobs.total()[1])
    console.print(outcomes_table(outcomes))
    console.print(f"Runs: {storage}, logs: {logs}", soft_wrap=True, highlight=False)
    exit_unless_done(outcomes)
