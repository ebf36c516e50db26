"""Commands that make runs and go on with them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from repunet_model.cli.app import app
from repunet_model.cli.options import (
    ActivationName,
    BackendFor,
    BackendName,
    BudgetTokens,
    BudgetUsd,
    Concurrency,
    DialogueTurns,
    Gguf,
    Gossip,
    NAgents,
    Personas,
    PriceFile,
    QuestionsName,
    ReplyFormat,
    Reputation,
    RequestsPerMinute,
    RunAtStep,
    Scenario,
    Steps,
    Storage,
    TokensPerMinute,
    assignment,
    by_name,
    environment,
    is_given,
    limits_of,
    open_at_step,
)
from repunet_model.cli.progress import (
    advance,
    folder_of,
    quietly_imported,
    run_and_show,
    showing_jobs,
    showing_progress,
    stopping_jobs,
)
from repunet_model.cli.screen import make_console, say
from repunet_model.errors import ConfigurationError
from repunet_model.words import at_step, command, replayable, to_go_on

if TYPE_CHECKING:
    from repunet_model.personas import Persona


@app.command()
def run(
    context: typer.Context,
    scenario: Scenario = "pd",
    steps: Steps = 5,
    reputation: Reputation = "y",
    gossip: Gossip = "y",
    backend: BackendName = "rules",
    backend_for: BackendFor = None,
    seed: Annotated[int, typer.Option(help="Seed of the run.")] = 1,
    n_agents: NAgents = None,
    personas: Personas = "built-in",
    activation: ActivationName = "simultaneous",
    dialogue_turns: DialogueTurns = 2,
    questions: QuestionsName = "single",
    sim_name: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the run.")] = None,
    storage: Storage = Path("sim_storage"),
    concurrency: Concurrency = 32,
    requests_per_minute: RequestsPerMinute = None,
    tokens_per_minute: TokensPerMinute = None,
    budget_tokens: BudgetTokens = None,
    budget_usd: BudgetUsd = None,
    prices: PriceFile = None,
    reply_format: ReplyFormat = None,
    gguf: Gguf = None,
) -> None:
    """Run one society and store every step. A replay takes what is not given from the run that it repeats."""
    with quietly_imported() as model_class:
        from repunet_model.backends.setup import respondents
        from repunet_model.starting import model_parameters, replayed_parameters

        what = {
            "scenario": scenario,
            "steps": steps,
            "reputation": reputation,
            "gossip": gossip,
            "seed": seed,
            "n_agents": n_agents,
            "personas": personas,
            "activation": activation,
            "dialogue_turns": dialogue_turns,
            "questions": questions,
        }
        backend = replayable(backend, storage)
        recorded = replayed_parameters(backend)
        what |= {name: value for name, value in recorded.items() if not is_given(context, name)}
        who = respondents(backend, by_name(backend_for), environment(reply_format, gguf))
        model = model_class(
            **model_parameters(what),
            backend=who.default,
            backend_for=who.by_name,
            limits=limits_of(concurrency, requests_per_minute, tokens_per_minute, budget_tokens, budget_usd, prices),
            storage=str(storage),
            run_name=sim_name,
        )
    run_and_show(model, what["steps"])


@app.command("seed")
def make_seed(
    context: typer.Context,
    sim_name: Annotated[str, typer.Option(metavar="NAME", help="Name of the run.")],
    scenario: Scenario = "pd",
    reputation: Reputation = "y",
    gossip: Gossip = "y",
    backend: BackendName = "rules",
    backend_for: BackendFor = None,
    seed: Annotated[int, typer.Option(help="Seed of the run.")] = 1,
    n_agents: NAgents = None,
    personas: Personas = "built-in",
    from_seed: Annotated[
        str | None,
        typer.Option(
            metavar="RUN[/step_N]",
            help="Take the personas of a stored run with what they had learned by then, and its scenario unless one is "
            "given. Nothing else is carried over: resources, ties, memory and reputations start anew.",
        ),
    ] = None,
    activation: ActivationName = "simultaneous",
    dialogue_turns: DialogueTurns = 2,
    questions: QuestionsName = "single",
    storage: Storage = Path("sim_storage"),
) -> None:
    """Make a run without steps, for resume to go on with. The command run does not need one: it makes its own."""
    people: str | list[Persona] = personas
    with quietly_imported() as model_class:
        from repunet_model import populations
        from repunet_model.backends.setup import respondents

        if from_seed is not None:
            if is_given(context, "personas"):
                raise ConfigurationError("--from-seed takes the personas of a run: leave --personas out")
            folder, step = open_at_step(from_seed, storage)
            people = populations.of_run(folder, step)
            scenario = scenario if is_given(context, "scenario") else folder.manifest()["game"]
        who = respondents(replayable(backend, storage), by_name(backend_for), environment(None))
        model = model_class(
            game=scenario,
            reputation=reputation,
            gossip=gossip,
            n_agents=n_agents,
            personas=people,
            backend=who.default,
            backend_for=who.by_name,
            activation=activation,
            dialogue_turns=dialogue_turns,
            questions=questions,
            rng=seed,
            storage=str(storage),
            run_name=sim_name,
        )
    with model:
        say(f"Seed: {folder_of(model)} ({len(model.agents)} agents)")
    say(f"Run it with: {to_go_on(folder_of(model), 5)}")


@app.command()
def resume(
    run_folder: RunAtStep = "",
    steps: Steps = 5,
    backend: Annotated[str | None, typer.Option(help="Who answers from now on; another than before forks.")] = None,
    backend_for: BackendFor = None,
    sim_name: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the fork, if it is one.")] = None,
    sim: Annotated[str, typer.Option(metavar="RUN[/step_N]", help="The same as the argument.")] = "",
    storage: Storage = Path("sim_storage"),
    concurrency: Concurrency = 32,
    requests_per_minute: RequestsPerMinute = None,
    tokens_per_minute: TokensPerMinute = None,
    budget_tokens: BudgetTokens = None,
    budget_usd: BudgetUsd = None,
    prices: PriceFile = None,
    reply_format: ReplyFormat = None,
    gguf: Gguf = None,
) -> None:
    """Go on with a stored run. Budgets are for the whole run.

    From its last step it goes on in place. From an earlier one, or with other backends, it forks: nothing is
    overwritten.
    """
    if bool(run_folder) == bool(sim):
        raise ConfigurationError(f"name one run to go on with, as in: {command('resume my-run --steps 5')}")
    path, step = at_step(run_folder or sim, storage)
    with quietly_imported():
        from repunet_model.starting import resumed

        taken_up = resumed(
            path,
            step,
            storage,
            backend=backend,
            backend_for=by_name(backend_for),
            name=sim_name,
            environment=environment(reply_format, gguf),
            limits=limits_of(concurrency, requests_per_minute, tokens_per_minute, budget_tokens, budget_usd, prices),
        )
    if taken_up.is_fork:
        say(f"Fork: {folder_of(taken_up.model)}", stderr=True)
    run_and_show(taken_up.model, steps)


@app.command()
def fork(
    run_folder: RunAtStep,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Change reputation, gossip, activation, dialogue_turns, questions, seed or backend; may be given "
            "more than once.",
        ),
    ] = None,
    sim_name: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the fork.")] = None,
    storage: Storage = Path("sim_storage"),
) -> None:
    """Make a run that shares another's past up to a step, and differs from then on in what is set."""
    path, step = at_step(run_folder, storage)
    with quietly_imported():
        from repunet_model import persistence
        from repunet_model.storage import RunFolder

        folder = RunFolder.open(path)
        changed = persistence.changes(dict(assignment(change) for change in changes or ()))
        changed |= persistence.made_by()
        new = folder.fork(folder.steps()[-1] if step is None else step, storage, sim_name, changed)
    say(f"Fork: {new.path}")
    say(f"Go on with: {to_go_on(new.path, 5)}")


@app.command()
def estimate(
    scenario: Scenario = "pd",
    steps: Steps = 5,
    reputation: Reputation = "y",
    gossip: Gossip = "y",
    backend: Annotated[str, typer.Option(help="Whom the agents would ask, such as openai:MODEL.")] = "openai",
    backend_for: BackendFor = None,
    seed: Annotated[int, typer.Option(help="Seed of the run.")] = 1,
    n_agents: NAgents = None,
    personas: Personas = "built-in",
    activation: ActivationName = "simultaneous",
    dialogue_turns: DialogueTurns = 2,
    questions: QuestionsName = "single",
    prices: PriceFile = None,
) -> None:
    """Predict calls, tokens and cost of a run from its prompts, without asking anybody."""
    with quietly_imported() as model_class:
        from repunet_model.backends.prices import Prices
        from repunet_model.backends.setup import respondents
        from repunet_model.estimate import CHARACTERS_PER_SENTENCE, CHARACTERS_PER_TOKEN, estimating
        from repunet_model.report.tables import usage_table

        without_key = {**os.environ, "OPENAI_API_KEY": os.environ.get("OPENAI_API_KEY") or "none"}
        table = Prices.load(prices)
        who = estimating(respondents(backend, by_name(backend_for), without_key), table)
        model = model_class(
            game=scenario,
            reputation=reputation,
            gossip=gossip,
            n_agents=n_agents,
            personas=personas,
            backend=who.default,
            backend_for=who.by_name,
            activation=activation,
            dialogue_turns=dialogue_turns,
            questions=questions,
            rng=seed,
        )
    with showing_progress(model, steps, "estimating") as done:
        while model.steps < steps:
            model.step()
            done()
    console = make_console()
    console.print(usage_table(model.usage_by_question, f"Estimated cost of {steps} steps"))
    per_step = model.usage.tokens / steps
    console.print(
        f"About {model.usage.attempts / steps:,.0f} calls and {per_step:,.0f} tokens a step. An estimate: the rules "
        f"decide what is asked; a token is {CHARACTERS_PER_TOKEN:g} characters, a sentence of a reply "
        f"{CHARACTERS_PER_SENTENCE}; no reply is asked for twice, and no prompt comes from a cache.",
        soft_wrap=True,
        highlight=False,
    )
    if model.usage.unpriced_tokens:
        console.print(
            f"The price of a model is not in {table.source}: name a file with it by --prices.", soft_wrap=True
        )


@app.command()
def shell(
    backend: Annotated[
        str | None, typer.Option(help="As in run; by default rules, or for a stored run who answered before.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of a new run; by default 1.")] = None,
    n_agents: NAgents = None,
    storage: Storage = Path("sim_storage"),
) -> None:
    """Start or take up a run at a prompt, and go on step by step: run, status, show, save, fin, exit, help."""
    with quietly_imported():
        from repunet_model.backends.limits import Limits
        from repunet_model.shell import Shell, Wishes, keyboard
    console = make_console()
    wishes = Wishes(storage, Limits(), backend, seed, n_agents)
    Shell(wishes, advance, keyboard(console), console, make_console(stderr=True)).run()


@app.command()
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
) -> None:
    """Run a list of jobs side by side, under one gate and one budget. Run again, it completes what is not done."""
    with quietly_imported():
        from repunet_model.backends.prices import Prices
        from repunet_model.batch import Batch, Plan
        from repunet_model.jobs import Result, outcomes_table

        plan = Plan.load(jobs, storage, Prices.load(prices))
    all_jobs = Batch(plan, logs)
    with showing_jobs(all_jobs) as note, stopping_jobs(all_jobs):
        outcomes = all_jobs.run(note)
    console = make_console()
    console.print(outcomes_table(outcomes))
    console.print(f"Runs: {storage}, logs: {logs}", soft_wrap=True, highlight=False)
    results = {outcome.result for outcome in outcomes}
    if results != {Result.DONE}:
        raise typer.Exit(130 if Result.STOPPED in results else 1)
