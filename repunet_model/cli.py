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
from repunet_model.scenarios import SCENARIOS

if TYPE_CHECKING:
    from types import FrameType

    from rich.console import Console

    from repunet_model.backends.limits import Limits
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
    try:
        return SCENARIOS[text]
    except KeyError:
        raise typer.BadParameter(f"unknown scenario {text!r}: choose pd, investment or sign_up") from None


def _yes_no(text: str) -> bool:
    answers = {"y": True, "yes": True, "n": False, "no": False}
    if text.lower() not in answers:
        raise typer.BadParameter(f"{text!r}: say y or n")
    return answers[text.lower()]


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
        backend = _replayable(backend, storage)
        kind, _, replayed = backend.partition(":")
        if kind == "replay" and replayed:
            recorded = _recorded(Path(replayed))
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
        who = respondents(_replayable(backend, storage), _by_name(backend_for), _environment(None))
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
    print(f"Run it with: uv run run.py resume {_quoted(_folder(model))} --steps 5")


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
    print(f"Use them with: uv run run.py run --personas {_quoted(path)}")


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
    path, step = _at_step(run_folder or sim, storage)
    with _quietly_imported() as model_class:
        from repunet_model import persistence
        from repunet_model.backends.setup import recorded, respondents
        from repunet_model.storage import RunFolder

        limits = _limits(concurrency, requests_per_minute, tokens_per_minute, budget_tokens, budget_usd, prices)
        folder = RunFolder.open(path)
        manifest, last = folder.manifest(), folder.steps()[-1]
        environment = _environment(reply_format, gguf)
        own = _by_name(backend_for)
        if backend is None:
            who = recorded(manifest, own, environment)
        else:
            named = respondents(_replayable(backend, storage), None, environment)
            who = recorded(manifest, {**named.by_name, **own}, environment, named.default)
        changes = {name: value for name, value in who.to_dict().items() if manifest[name] != value}
        if changes or (step is not None and step != last):
            changes |= persistence.made_by()
            folder = folder.fork(last if step is None else step, storage, sim_name, changes)
            print(f"Fork: {folder.path}", file=sys.stderr)
        elif sim_name is not None:
            raise ConfigurationError(f"--sim-name {sim_name!r}: the run goes on in place; to fork it, name a step")
        model = model_class.load(folder.path, backend=who, limits=limits)
    _run_and_show(model, steps)


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
    path, step = _at_step(run_folder, storage)
    with _quietly_imported():
        from repunet_model import persistence
        from repunet_model.storage import RunFolder

        folder = RunFolder.open(path)
        changed = persistence.changes(dict(_assignment(change) for change in changes or ()))
        changed |= persistence.made_by()
        new = folder.fork(folder.steps()[-1] if step is None else step, storage, sim_name, changed)
    print(f"Fork: {new.path}")
    print(f"Go on with: uv run run.py resume {_quoted(new.path)} --steps 5")


@app.command()
def check(
    run_folder: Annotated[str, typer.Argument(metavar="RUN", help="Name of a stored run, or its folder.")],
    storage: Storage = Path("sim_storage"),
) -> None:
    """Compare every file of a stored run with the hashes that were written with it. Exit code 1 if any differs."""
    from repunet_model.storage import RunFolder

    folder = RunFolder.open(_path_of(run_folder, storage))
    damages = list(folder.damages())
    for damage in damages:
        print(damage)
    if damages:
        print(
            f"{len(damages)} damages; to go on from a whole step N: uv run run.py resume {_quoted(folder.path)}/step_N"
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

    path, named = _at_step(run_folder, storage)
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

    folder, step = _step_of(run_step, storage)
    if layout == "published":
        out = export_step(folder, step, out)
    elif layout in {"graphml", "gexf"}:
        exporting.export_graph(folder, step, out, layout)
    else:
        exporting.export_tables(folder, step, out, layout)
    print(f"Step {step} of {folder.path}: {out}")


def _step_of(run_step: str, storage: Path) -> tuple[RunFolder, int]:
    """Return the run and the step that RUN or RUN/step_N means.

    Raises:
        ConfigurationError: If one of them is not there.
    """
    from repunet_model.storage import RunFolder

    run_folder, _, last = run_step.rstrip(os.sep).rpartition(os.sep)
    named = last.removeprefix("step_") if run_folder and last.startswith("step_") else ""
    folder = RunFolder.open(_path_of(run_folder if named.isdecimal() else run_step, storage))
    steps = folder.steps()
    step = int(named) if named.isdecimal() else steps[-1]
    if step not in steps:
        raise ConfigurationError(f"step {step} of {folder.path} is not there; the last is {steps[-1]}")
    return folder, step


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


def _replayable(backend: str, storage: Path) -> str:
    """Return the name of a backend; a run to replay is then named by its folder."""
    kind, _, replayed = backend.partition(":")
    return f"replay:{_path_of(replayed, storage)}" if kind == "replay" and replayed else backend


def _recorded(run_folder: Path) -> dict[str, Any]:
    """Return the parameters of a stored run, by the names of the options."""
    from repunet_model.storage import RunFolder

    folder = RunFolder.open(run_folder)
    manifest = folder.manifest()
    same = ("reputation", "gossip", "seed", "activation", "dialogue_turns")
    return {
        "scenario": manifest["game"],
        "steps": max(folder.steps()[-1], 1),
        "personas": str(run_folder / "step_0" / "personas.json"),
        **{name: manifest[name] for name in same},
    }


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
    with _progress(model, last, label) as done, _patience(model):
        while model.steps < last:
            try:
                model.step()
            except (RepuNetError, KeyboardInterrupt) as error:
                reason = str(error) if isinstance(error, RepuNetError) else "interrupted"
                raise RepuNetError(
                    f"{reason}; the run is whole up to step {model.steps}, go on with: "
                    f"uv run run.py resume {_quoted(_folder(model))} --steps {last - model.steps}"
                ) from error
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
            return Text(f"{model.calls:,} calls · {_spent(model)}")

    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), Counters(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(label, total=last, completed=model.steps)
        yield lambda: progress.update(task, completed=model.steps)


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
            f"{self._label} {step}/{self._last}: {self._model.calls:,} calls, {_spent(self._model)}, {left:.0f} s left",
            file=sys.stderr,
        )


def _spent(model: RepuNetModel) -> str:
    """Return tokens and, where it is known, money."""
    cost = f", ${model.usage.usd:,.4f}" if model.usage.usd else ""
    return f"{model.usage.tokens:,} tokens{cost}"


@contextmanager
def _quietly_imported() -> Iterator[type[RepuNetModel]]:
    """Import the model, which takes seconds, saying so on a terminal."""
    from rich.status import Status

    with Status("Loading Mesa ...", console=_console(stderr=True)):
        from repunet_model.model import RepuNetModel
    yield RepuNetModel


def _at_step(text: str, storage: Path) -> tuple[Path, int | None]:
    """Return the folder of a run and the step, if RUN/step_N names one."""
    run_folder, _, last = text.rstrip("/").rpartition("/")
    if run_folder and last.startswith("step_") and last.removeprefix("step_").isdecimal():
        return _path_of(run_folder, storage), int(last.removeprefix("step_"))
    return _path_of(text.rstrip("/") or text, storage), None


def _open_at_step(text: str, storage: Path) -> tuple[RunFolder, int]:
    """Return a stored run and the step that RUN/step_N names, by default its last one."""
    from repunet_model.storage import RunFolder

    path, step = _at_step(text, storage)
    folder = RunFolder.open(path)
    return folder, folder.steps()[-1] if step is None else step


def _assignment(text: str) -> tuple[str, str]:
    """Return the two sides of NAME=VALUE.

    Raises:
        ConfigurationError: If it is none.
    """
    name, is_there, value = (part.strip() for part in text.partition("="))
    if not (name and is_there and value):
        raise ConfigurationError(f"--set {text!r}: must read NAME=VALUE")
    return name, value


def _path_of(run_folder: str, storage: Path) -> Path:
    """Return the folder of a run that is given by its name or its path.

    Raises:
        ConfigurationError: If it is a name that no run can have, such as "..", which would lead out of the storage.
    """
    from repunet_model.storage import check_name

    return Path(run_folder) if os.sep in run_folder else storage / check_name(run_folder)


def _folder(model: RepuNetModel) -> Path:
    assert model.folder is not None
    return model.folder.path


def _quoted(path: Path) -> str:
    import shlex

    return shlex.quote(f".{os.sep}{path}" if len(path.parts) == 1 else str(path))


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
