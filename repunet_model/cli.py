"""The command line: parses, calls the package, shows what comes of it.

Whatever a user can mend is one line on the standard error stream and exit code 2; nothing is half written. What
takes long to import is imported where it is used, so that help and errors answer at once.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from repunet_model.errors import ConfigurationError, RepuNetError
from repunet_model.words import at_step, path_of, quoted, replayable, to_go_on, yes_or_no
from repunet_model.words import scenario as scenario_of

if TYPE_CHECKING:
    from types import FrameType

    from rich.console import Console

    from repunet_model.backends.base import Usage
    from repunet_model.backends.limits import Limits
    from repunet_model.batch import Batch, Outcome
    from repunet_model.model import RepuNetModel
    from repunet_model.personas import Persona
    from repunet_model.storage import RunFolder

LAYOUTS = ("published", "graphml", "gexf", "csv", "parquet")

MAIN_JOB = "compare"
"""The command that runs when none is named."""

FIGURE = Path("outputs") / "with_and_without_repunet.png"

MODES_FIGURE = Path("outputs") / "cooperation_by_mode.png"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    help="RepuNet for Mesa: LLM-backed agents, reputation, gossip, and what becomes of cooperation. Without a "
    "command: the same 20 agents with and without RepuNet, 30 steps, offline.",
)


def _scenario(text: str) -> str:
    return _parsed(scenario_of, text)


def _yes_no(text: str) -> bool:
    return _parsed(yes_or_no, text)


def _parsed[T](parse: Callable[[str], T], text: str) -> T:
    """Parse the value of an option, which the error then names."""
    try:
        return parse(text)
    except ConfigurationError as error:
        raise typer.BadParameter(str(error)) from None


Storage = Annotated[Path, typer.Option(envvar="REPUNET_STORAGE", help="Folder of all runs.")]
RunAtStep = Annotated[
    str, typer.Argument(metavar="RUN[/step_N]", help="Name of a stored run, or its folder; the last step by default.")
]
Steps = Annotated[int, typer.Option(min=1, help="How many steps.")]
Scenario = Annotated[Any, typer.Option(parser=_scenario, metavar="NAME", help="pd, investment or sign_up.")]
Reputation = Annotated[Any, typer.Option(parser=_yes_no, metavar="y|n", help="Keep reputations.")]
Gossip = Annotated[Any, typer.Option(parser=_yes_no, metavar="y|n", help="Gossip.")]
NAgents = Annotated[int | None, typer.Option("-n", "--n-agents", min=2, help="How many agents.")]
Personas = Annotated[
    str,
    typer.Option(
        "--personas",
        "--persona-file",
        metavar="FILE",
        help="Persona file (JSON): a list of personas; or learned texts by name, for the built-in ones; or either of "
        "these by scenario.",
    ),
]
ActivationName = Annotated[str, typer.Option("--activation", help="simultaneous or sequential.")]
DialogueTurns = Annotated[int, typer.Option(min=2, max=10, help="Most turns of a dialogue.")]
Concurrency = Annotated[int, typer.Option(min=1, help="Requests to endpoints under way at once.")]
RequestsPerMinute = Annotated[int | None, typer.Option(metavar="N", help="Most requests to endpoints a minute.")]
TokensPerMinute = Annotated[int | None, typer.Option(metavar="N", help="Most tokens a minute.")]
BudgetTokens = Annotated[int | None, typer.Option(metavar="N", help="Stop before the run has cost more tokens.")]
BudgetUsd = Annotated[float | None, typer.Option(metavar="USD", help="Stop before the run has cost more dollars.")]
PriceFile = Annotated[
    Path | None, typer.Option("--prices", envvar="LLM_PRICES", metavar="FILE", help="Prices of your models (TOML).")
]
ReplyFormat = Annotated[
    str | None,
    typer.Option(
        envvar="LLM_REPLY_FORMAT",
        metavar="FORMAT",
        help="How to ask for JSON: json_schema, json_object, text or tool; by default the first that works.",
    ),
]
Gguf = Annotated[
    Path | None, typer.Option(envvar="LLM_GGUF", metavar="FILE", help="The model of --backend local (GGUF).")
]
BackendName = Annotated[
    str,
    typer.Option(
        help="rules (offline, free), always_cooperate, always_defect, tit_for_tat, openai or openai:MODEL "
        "(OPENAI_API_KEY, LLM_*), local or local:FILE (a model on this machine), replay:RUN."
    ),
]
BackendFor = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=BACKEND",
        help="Who answers for one agent instead: any of these, or human; may be given more than once.",
    ),
]


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
    with _quietly_imported() as model_class:
        from repunet_model.backends.setup import respondents
        from repunet_model.starting import parameters_of
        from repunet_model.storage import RunFolder

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
        }
        backend = replayable(backend, storage)
        kind, _, replayed = backend.partition(":")
        if kind == "replay" and replayed:
            recorded = parameters_of(RunFolder.open(Path(replayed)))
            what |= {name: value for name, value in recorded.items() if not _is_given(context, name)}
        who = respondents(backend, _by_name(backend_for), _environment(reply_format, gguf))
        model = model_class(
            game=what["scenario"],
            reputation=what["reputation"],
            gossip=what["gossip"],
            n_agents=what["n_agents"],
            personas=what["personas"],
            backend=who.default,
            backend_for=who.by_name,
            activation=what["activation"],
            dialogue_turns=what["dialogue_turns"],
            limits=_limits(concurrency, requests_per_minute, tokens_per_minute, budget_tokens, budget_usd, prices),
            rng=what["seed"],
            storage=str(storage),
            run_name=sim_name,
        )
    _run_and_show(model, what["steps"])


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
    storage: Storage = Path("sim_storage"),
) -> None:
    """Make a run without steps, for resume to go on with. The command run does not need one: it makes its own."""
    people: str | list[Persona] = personas
    with _quietly_imported() as model_class:
        from repunet_model import populations
        from repunet_model.backends.setup import respondents

        if from_seed is not None:
            if _is_given(context, "personas"):
                raise ConfigurationError("--from-seed takes the personas of a run: leave --personas out")
            folder, step = _open_at_step(from_seed, storage)
            people = populations.of_run(folder, step)
            scenario = scenario if _is_given(context, "scenario") else folder.manifest()["game"]
        who = respondents(replayable(backend, storage), _by_name(backend_for), _environment(None))
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
            rng=seed,
            storage=str(storage),
            run_name=sim_name,
        )
    with model:
        print(f"Seed: {_folder(model)} ({len(model.agents)} agents)")
    print(f"Run it with: {to_go_on(_folder(model), 5)}")


@app.command()
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
    from repunet_model.storage import write_new

    collected, notes = populations.profiles([_open_at_step(text, storage) for text in [*seeds, *(more or ())]])
    write_new(out, json.dumps(collected, ensure_ascii=False, indent=2) + "\n")
    for note in notes:
        print(note, file=sys.stderr)
    counts = (f"{len(learned)} of {game}" for game, learned in collected.items())
    print(f"Profiles: {out} ({', '.join(counts)})")


@app.command()
def generate_personas(
    n: Annotated[int, typer.Option("-n", min=2, help="How many.")] = 100,
    seed: Annotated[int, typer.Option(help="Seed of the draw.")] = 1,
    altruistic: Annotated[float, typer.Option(metavar="SHARE", help="Share of altruists, 0 to 1.")] = 0.5,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where to write them; by default personas_N.json. Nothing is overwritten."),
    ] = None,
) -> None:
    """Draw a population from a table of countries, names and ages, for --personas."""
    from repunet_model import populations
    from repunet_model.storage import write_new

    people = populations.generate(n, seed, altruistic)
    rows = (json.dumps(person.model_dump(mode="json", exclude_none=True), ensure_ascii=False) for person in people)
    path = Path(f"personas_{n}.json") if out is None else out
    write_new(path, "[\n  " + ",\n  ".join(rows) + "\n]\n")
    print(f"Personas: {path}")
    print(f"Use them with: uv run run.py run --personas {quoted(path)}")


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
    prices: PriceFile = None,
) -> None:
    """Predict calls, tokens and cost of a run from its prompts, without asking anybody."""
    with _quietly_imported() as model_class:
        from repunet_model import report
        from repunet_model.backends.prices import Prices
        from repunet_model.backends.setup import respondents
        from repunet_model.estimate import CHARACTERS_PER_SENTENCE, CHARACTERS_PER_TOKEN, estimating

        without_key = {**os.environ, "OPENAI_API_KEY": os.environ.get("OPENAI_API_KEY") or "none"}
        table = Prices.load(prices)
        who = estimating(respondents(backend, _by_name(backend_for), without_key), table)
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
            rng=seed,
        )
    with _progress(model, steps, "estimating") as done:
        while model.steps < steps:
            model.step()
            done()
    console = _console()
    console.print(report.usage_table(model.usage_by_question, f"Estimated cost of {steps} steps"))
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
        raise ConfigurationError("name one run to go on with, as in: run.py resume my-run --steps 5")
    path, step = at_step(run_folder or sim, storage)
    with _quietly_imported():
        from repunet_model.starting import resumed

        taken_up = resumed(
            path,
            step,
            storage,
            backend=backend,
            backend_for=_by_name(backend_for),
            name=sim_name,
            environment=_environment(reply_format, gguf),
            limits=_limits(concurrency, requests_per_minute, tokens_per_minute, budget_tokens, budget_usd, prices),
        )
    if taken_up.is_fork:
        print(f"Fork: {_folder(taken_up.model)}", file=sys.stderr)
    _run_and_show(taken_up.model, steps)


@app.command()
def fork(
    run_folder: RunAtStep,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Change reputation, gossip, activation, dialogue_turns, seed or backend; may be given more than once.",
        ),
    ] = None,
    sim_name: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the fork.")] = None,
    storage: Storage = Path("sim_storage"),
) -> None:
    """Make a run that shares another's past up to a step, and differs from then on in what is set."""
    path, step = at_step(run_folder, storage)
    with _quietly_imported():
        from repunet_model import persistence
        from repunet_model.storage import RunFolder

        folder = RunFolder.open(path)
        changed = persistence.changes(dict(_assignment(change) for change in changes or ()))
        changed |= persistence.made_by()
        new = folder.fork(folder.steps()[-1] if step is None else step, storage, sim_name, changed)
    print(f"Fork: {new.path}")
    print(f"Go on with: {to_go_on(new.path, 5)}")


@app.command()
def check(
    run_folder: Annotated[str, typer.Argument(metavar="RUN", help="Name of a stored run, or its folder.")],
    storage: Storage = Path("sim_storage"),
) -> None:
    """Compare every file of a stored run with the hashes that were written with it. Exit code 1 if any differs."""
    from repunet_model.storage import RunFolder

    folder = RunFolder.open(path_of(run_folder, storage))
    damages = list(folder.damages())
    for damage in damages:
        print(damage)
    if damages:
        print(
            f"{len(damages)} damages; to go on from a whole step N: uv run run.py resume {quoted(folder.path)}/step_N"
        )
        raise typer.Exit(1)
    print(f"{folder.path}: whole, {folder.steps()[-1]} steps")


@app.command()
def show(
    run_folder: RunAtStep,
    step: Annotated[int | None, typer.Option(min=0, help="Which step; by default the last.")] = None,
    agent: Annotated[str | None, typer.Option(metavar="NAME", help="One agent, up to the step.")] = None,
    storage: Storage = Path("sim_storage"),
) -> None:
    """Read a stored run: what was said, decided and thought of whom."""
    from repunet_model import inspection
    from repunet_model.storage import RunFolder

    path, named = at_step(run_folder, storage)
    folder = RunFolder.open(path)
    wanted = named if step is None else step
    shown = folder.steps()[-1] if wanted is None else wanted
    folder.check_step(shown)
    lines = inspection.of_step(folder, shown) if agent is None else inspection.of_agent(folder, agent, shown)
    for line in lines:
        print(line)


@app.command("import")
def import_(
    path: Annotated[Path, typer.Argument(help="A published run, whose last step is taken, or one of its steps.")],
    scenario: Annotated[
        Any, typer.Option(parser=_scenario, metavar="NAME", help="pd, investment or sign_up; by default as it shows.")
    ] = None,
    reputation: Annotated[Any, typer.Option(parser=_yes_no, metavar="y|n", help="By default as it shows.")] = None,
    gossip: Annotated[Any, typer.Option(parser=_yes_no, metavar="y|n", help="By default as it shows.")] = None,
    personas: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Persona file with the dispositions, which are not there."),
    ] = None,
    backend: Annotated[str, typer.Option(help="Who answers from then on: rules, openai, openai:MODEL.")] = "rules",
    seed: Annotated[int, typer.Option(help="Seed of the steps to come.")] = 1,
    sim_name: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the new run.")] = None,
    storage: Storage = Path("sim_storage"),
) -> None:
    """Make a run from a seed or a step of the published implementation, and say what could not be read exactly."""
    from repunet_model.reference_layout import Told, import_run

    told = Told(game=scenario, reputation=reputation, gossip=gossip, personas=personas)
    done = import_run(path, storage, sim_name, told, backend, seed)
    print(f"Step {done.step}: {', '.join(f'{count} {name}' for name, count in done.counts.items())}")
    if done.report:
        print("\nNot read exactly:")
    for line in done.report:
        print(f"  {line}")
    print(f"\nRun: {done.folder.path}")


@app.command()
def export(
    run_step: Annotated[
        str, typer.Argument(metavar="RUN[/step_N]", help="A stored run or its folder; by default the last step.")
    ],
    out: Annotated[Path, typer.Argument(help="What to make: a file for a graph, else a folder.")],
    layout: Annotated[str, typer.Option(help=f"One of {', '.join(LAYOUTS)}.")] = "published",
    storage: Storage = Path("sim_storage"),
) -> None:
    """Write a step for other programs: the published implementation, programs for graphs, programs for tables."""
    if layout not in LAYOUTS:
        raise ConfigurationError(f"unknown layout {layout!r}: choose one of {', '.join(LAYOUTS)}")
    from repunet_model import export as exporting
    from repunet_model.reference_layout import export_step

    folder, step = _open_at_step(run_step, storage)
    if layout == "published":
        out = export_step(folder, step, out)
    elif layout in {"graphml", "gexf"}:
        exporting.export_graph(folder, step, out, layout)
    else:
        exporting.export_tables(folder, step, out, layout)
    print(f"Step {step} of {folder.path}: {out}")


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
    with _quietly_imported():
        from repunet_model.backends.limits import Limits
        from repunet_model.shell import Shell, Wishes, keyboard
    console = _console()
    wishes = Wishes(storage, Limits(), backend, seed, n_agents)
    Shell(wishes, _advance, keyboard(console), console, _console(stderr=True)).run()


@app.command()
def batch(
    jobs: Annotated[Path, typer.Argument(metavar="JOBS.toml", help="The jobs; see repunet_model/batch.py.")],
    logs: Annotated[Path, typer.Option(help="Folder of the logs, one a job.")] = Path("outputs"),
    storage: Storage = Path("sim_storage"),
    prices: PriceFile = None,
) -> None:
    """Run a list of jobs side by side, under one gate and one budget. Run again, it completes what is not done."""
    with _quietly_imported():
        from repunet_model.backends.prices import Prices
        from repunet_model.batch import Batch, Plan, Result, outcomes_table

        plan = Plan.load(jobs, storage, Prices.load(prices))
    all_jobs = Batch(plan, logs)
    with _batch_progress(all_jobs, len(plan.jobs)) as note, _stopping(all_jobs):
        outcomes = all_jobs.run(note)
    console = _console()
    console.print(outcomes_table(outcomes))
    console.print(f"Runs: {storage}, logs: {logs}", soft_wrap=True, highlight=False)
    results = {outcome.result for outcome in outcomes}
    if results != {Result.DONE}:
        raise typer.Exit(130 if Result.STOPPED in results else 1)


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
    console = _console()
    models = {}
    for label, on in (("with RepuNet", True), ("without", False)):
        with _quietly_imported() as model_class:
            model = model_class(game=scenario, reputation=on, gossip=on, rng=seed, storage=str(storage))
        _run(model, steps, label)
        models[label] = model
    console.print(report.comparison_table(models))
    report.comparison_figure(models, figure)
    console.print(f"\nPicture: {figure}", soft_wrap=True)
    console.print(f"Runs:    {', '.join(str(_folder(model)) for model in models.values())}", soft_wrap=True)
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
        Any, typer.Option(parser=_scenario, metavar="NAME", help="pd, investment or sign_up; by default all three.")
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

    with _quietly_imported():
        from repunet_model import report, sweep
        from repunet_model.games import GAMES
    report.check_place(figure)
    cells = sweep.cells([scenario] if scenario else GAMES, range(1, seeds + 1))
    results = sweep.run_cells(cells, steps, processes)
    console = _console(stderr=True)
    done = list(track(results, "Running", total=len(cells), console=console, transient=True))
    cooperation = sweep.cooperation_by_step(done)
    _console().print(report.modes_table(cooperation, last))
    report.modes_figure(cooperation, figure)
    _console().print(f"Picture: {figure}", soft_wrap=True)


def _limits(
    concurrency: int,
    requests_per_minute: int | None,
    tokens_per_minute: int | None,
    budget_tokens: int | None,
    budget_usd: float | None,
    prices: Path | None,
) -> Limits:
    from repunet_model.backends.limits import Limits
    from repunet_model.backends.prices import Prices

    table = Prices.load(prices)
    return Limits(concurrency, requests_per_minute, tokens_per_minute, budget_tokens, budget_usd, table)


def _environment(reply_format: str | None = None, gguf: Path | None = None) -> dict[str, str]:
    """Return the environment with what options say instead."""
    options = {"LLM_REPLY_FORMAT": reply_format, "LLM_GGUF": gguf}
    return {**os.environ, **{name: str(value) for name, value in options.items() if value is not None}}


def _is_given(context: typer.Context, name: str) -> bool:
    """Whether an option was given, not left to its default."""
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _by_name(backend_for: list[str] | None) -> dict[str, str]:
    """Return the backends of single agents.

    Raises:
        ConfigurationError: If an option does not read NAME=BACKEND, or names somebody twice.
    """
    by_name: dict[str, str] = {}
    for option in backend_for or ():
        name, is_there, backend = (part.strip() for part in option.partition("="))
        if not (name and is_there and backend):
            raise ConfigurationError(f"--backend-for {option!r}: must read NAME=BACKEND")
        if name in by_name:
            raise ConfigurationError(f"--backend-for {option!r}: {name} has a backend already")
        by_name[name] = backend
    return by_name


def _run_and_show(model: RepuNetModel, steps: int) -> None:
    """Run a model, then show its rates by step and where it lies."""
    first = model.steps + 1
    with model:
        _run(model, steps, "step")
    from repunet_model import report

    console = _console()
    console.print(report.rates_table(model, first))
    if model.usage.attempts:
        console.print(report.usage_table(model.usage_by_question, "What the questions cost"))
    if model.usage.adaptations:
        console.print(f"The endpoint was asked: {', '.join(sorted(model.usage.adaptations))}.", highlight=False)
    console.print(f"Run: {_folder(model)}", soft_wrap=True)


def _run(model: RepuNetModel, steps: int, label: str) -> None:
    """Run some steps under a progress display.

    Raises:
        RepuNetError: If a step failed, with the way to go on.
    """
    last = model.steps + steps
    try:
        _advance(model, steps, label)
    except (RepuNetError, KeyboardInterrupt) as error:
        reason = str(error) if isinstance(error, RepuNetError) else "interrupted"
        raise RepuNetError(
            f"{reason}; the run is whole up to step {model.steps}, go on with: "
            f"{to_go_on(_folder(model), last - model.steps)}"
        ) from error


def _advance(model: RepuNetModel, steps: int, label: str = "step") -> None:
    """Run some steps under a progress display, whatever comes of them."""
    last = model.steps + steps
    with _progress(model, last, label) as done, _patience(model):
        while model.steps < last:
            model.step()
            done()


@contextmanager
def _patience(model: RepuNetModel) -> Iterator[None]:
    """Say at an interrupt that replies under way are waited for, which are paid for, and how not to wait."""
    import signal

    previous = signal.getsignal(signal.SIGINT)

    def explain(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, previous)
        if model.asks_models:
            print("Waiting for replies that are under way; interrupt again to lose them.", file=sys.stderr)
        signal.default_int_handler(number, frame)

    if previous is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, explain)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


@contextmanager
def _progress(model: RepuNetModel, last: int, label: str) -> Iterator[Callable[[], None]]:
    """Show steps, calls, tokens and the time left, on the standard error stream.

    Without a terminal, and where a human types on it, it is a line a step.
    """
    console = _console(stderr=True)
    if model.has_human or not console.is_terminal:
        yield _ProgressLines(model, last, label)
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Counters(ProgressColumn):
        max_refresh = 0.2

        def render(self, task: Task) -> Text:
            return Text(f"{model.calls:,} calls · {_spending(model.usage)}")

    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), Counters(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(label, total=last, completed=model.steps)
        yield lambda: progress.update(task, completed=model.steps)


@contextmanager
def _stopping(jobs: Batch) -> Iterator[None]:
    """Let an interrupt stop all jobs once replies under way are there, and a second one at once."""
    import signal

    previous = signal.getsignal(signal.SIGINT)
    if previous is not signal.default_int_handler:
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        jobs.stop()
        print("Stopping; interrupt again to lose replies that are under way.", file=sys.stderr)

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


@contextmanager
def _batch_progress(jobs: Batch, count: int) -> Iterator[Callable[[Outcome], None]]:
    """Show a line for each job that has ended, and the total: on a terminal live, elsewhere in each line."""
    from rich.progress import BarColumn, Progress, ProgressColumn, Task
    from rich.text import Text

    from repunet_model.batch import in_words

    console = _console(stderr=True)
    ended = 0

    def line(outcome: Outcome) -> str:
        nonlocal ended
        ended += 1
        return f"{ended}/{count} {outcome.job.name}: {in_words(outcome)}, {outcome.steps}/{outcome.job.steps} steps"

    def total() -> str:
        calls, usage = jobs.total()
        left = "" if jobs.seconds_left is None else f", {jobs.seconds_left:.0f} s left"
        return f"{jobs.steps_done}/{jobs.steps_wanted} steps, {calls:,} calls, {_spending(usage)}{left}"

    if not console.is_terminal:
        yield lambda outcome: print(f"{line(outcome)}; in all {total()}", file=sys.stderr)
        return

    class Total(ProgressColumn):
        def render(self, task: Task) -> Text:
            progress.update(task.id, completed=jobs.steps_done)
            return Text(total())

    with Progress(BarColumn(), Total(), console=console) as progress:
        progress.add_task("jobs", total=jobs.steps_wanted)
        yield lambda outcome: console.print(line(outcome), markup=False, highlight=False, soft_wrap=True)


class _ProgressLines:
    """Progress without a live display: a line every few seconds, and one at the end."""

    seconds = 5.0

    def __init__(self, model: RepuNetModel, last: int, label: str) -> None:
        self._model = model
        self._first, self._last = model.steps, last
        self._label = label
        self._started = self._printed = time.monotonic()

    def __call__(self) -> None:
        """Take note that a step is done."""
        step, now = self._model.steps, time.monotonic()
        if step < self._last and now - self._printed < self.seconds:
            return
        self._printed = now
        left = (now - self._started) / (step - self._first) * (self._last - step)
        print(
            f"{self._label} {step}/{self._last}: {self._model.calls:,} calls, "
            f"{_spending(self._model.usage)}, {left:.0f} s left",
            file=sys.stderr,
        )


def _spending(usage: Usage) -> str:
    """Return tokens and, where it is known, money."""
    cost = f", ${usage.usd:,.4f}" if usage.usd else ""
    return f"{usage.tokens:,} tokens{cost}"


@contextmanager
def _quietly_imported() -> Iterator[type[RepuNetModel]]:
    """Import the model, which takes seconds, saying so on a terminal."""
    from rich.status import Status

    with Status("Loading Mesa ...", console=_console(stderr=True)):
        from repunet_model.model import RepuNetModel
    yield RepuNetModel


def _open_at_step(text: str, storage: Path) -> tuple[RunFolder, int]:
    """Return a stored run and the step that RUN/step_N names, by default its last one."""
    from repunet_model.storage import RunFolder

    path, step = at_step(text, storage)
    folder = RunFolder.open(path)
    last = folder.steps()[-1] if step is None else step
    folder.check_step(last)
    return folder, last


def _assignment(text: str) -> tuple[str, str]:
    """Return the two sides of NAME=VALUE.

    Raises:
        ConfigurationError: If it is none.
    """
    name, is_there, value = (part.strip() for part in text.partition("="))
    if not (name and is_there and value):
        raise ConfigurationError(f"--set {text!r}: must read NAME=VALUE")
    return name, value


def _folder(model: RepuNetModel) -> Path:
    assert model.folder is not None
    return model.folder.path


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 2 something to mend, 130 interrupted.

    Args:
        arguments: The words after the program's name; by default the process's.
    """
    words = sys.argv[1:] if arguments is None else arguments
    try:
        code = app(words or [MAIN_JOB], standalone_mode=False)
    except typer.TyperException as error:
        return _complain(error.format_message())
    except RepuNetError as error:
        _complain(str(error))
        return 130 if isinstance(error.__cause__, KeyboardInterrupt) else 2
    return code if isinstance(code, int) else 0


def _complain(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2
