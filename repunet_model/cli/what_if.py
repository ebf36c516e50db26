"""The command that asks stored questions again with one thing changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from repunet_model.cli.app import LOOK, app
from repunet_model.cli.options import (
    EndpointFile,
    Gguf,
    PriceFile,
    ReplyFormat,
    RunAtStep,
    Storage,
    environment,
    limit_options,
    limits_of,
    open_at_step,
)
from repunet_model.cli.progress import quietly_imported, say_how_asked, showing_calls
from repunet_model.errors import ConfigurationError
from repunet_model.util.screen import make_console, say
from repunet_model.util.text import counted, replayable, whole

if TYPE_CHECKING:
    from repunet_model.what_if.asking import Variant


@app.command(rich_help_panel=LOOK)
@limit_options
def what_if(
    run_step: RunAtStep,
    ask: Annotated[str, typer.Option(metavar="QUESTION", help="Which questions, by their name, such as choose_move.")],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE[,VALUE]",
            help="What they show instead, such as partner_record=very_good; several values are a variant each; more "
            "than one --set are changed together.",
        ),
    ] = None,
    backend: Annotated[
        str | None, typer.Option(help="Who answers the changed questions; by default the backends of the run.")
    ] = None,
    steps: Annotated[
        str | None, typer.Option(metavar="A[-B]", help="Of which steps; by default all that the run made itself.")
    ] = None,
    n: Annotated[
        int | None, typer.Option("-n", min=1, help="At most so many questions of each agent in each step.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the draw of questions, where there are more than -n.")] = 1,
    out: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write effects and answers there; nothing is overwritten."),
    ] = None,
    storage: Storage = Path("sim_storage"),
    *,
    limits: dict[str, Any],
    prices: PriceFile = None,
    reply_format: ReplyFormat = None,
    gguf: Gguf = None,
    endpoints: EndpointFile = None,
) -> None:
    """Ask stored questions again with one thing changed, beside the recorded answers: what the change does to them.

    Nothing is written into the run. A question in which nothing changes keeps its recorded answer, without a call.
    """
    run, last = open_at_step(run_step, storage)
    if not settings and backend is None:
        raise ConfigurationError("nothing is changed: name it by --set NAME=VALUE, or another --backend")
    with quietly_imported():
        from repunet_model import games
        from repunet_model.backends.base import label_of
        from repunet_model.backends.setup import recorded, respondents
        from repunet_model.util.files import check_new, write_new
        from repunet_model.what_if.asking import Answering, Asking, variants
        from repunet_model.what_if.effects import effects, rows_of
        from repunet_model.what_if.recorded import chosen, recorded_at
    if out is not None:
        check_new(out)
        if out.exists():
            raise ConfigurationError(f"--json {out}: is already there; name another file")
    around = environment(reply_format, gguf, endpoints)
    game = games.find(run.manifest.config.game, run.manifest.game_parameters)
    places = chosen(run, ask, _steps(steps, run.manifest.shared_steps + 1, last), n, seed)
    questions = recorded_at(run, places)
    if backend is None:
        answering = Answering.of_run(run.manifest, recorded(run.manifest, environment=around))
    else:
        answering = Answering(respondents(replayable(backend, storage), environment=around))
    if answering.who.has_human:
        raise ConfigurationError("a human answered in this run: name another --backend")
    found = variants(questions, settings or (), game, answering.other)
    limited = limits_of(limits, prices)
    asking = Asking(found, answering, limited)
    with showing_calls(asking.progress, limited.waits) as done:
        asking.run(done)
    by = "" if answering.other is None else label_of(answering.other.description)
    _show(found, ask, run.folder.path.name, by)
    say_how_asked(asking.progress.usage)
    if asking.stopped:
        say(f"The calls ended early: {asking.stopped}", stderr=True)
    if out is not None:
        content = {
            "run": str(run.folder.path),
            "question": ask,
            "backend": by,
            "usage": asking.progress.usage.to_dict(),
            "stopped": asking.stopped,
            "variants": [
                {
                    "changes": variant.label,
                    "asked": sum(reply.was_asked for reply in variant.replies),
                    "left_out": dict(variant.left_out),
                    "effects": [each.described() for each in effects(variant)],
                    "answers": rows_of(variant),
                }
                for variant in found
            ],
        }
        write_new(out, json.dumps(content, ensure_ascii=False, indent=2) + "\n")
        say(f"Written: {out}")


def _steps(given: str | None, first: int, last: int) -> range:
    """Parse A or A-B, within the steps that the run made itself."""
    if last < first:
        raise ConfigurationError("the run has no steps of its own yet: there is nothing to ask again")
    if given is None:
        start, end = first, last
    else:
        one, _, other = given.partition("-")
        numbers = (whole(one.strip()), whole((other or one).strip()))
        if None in numbers:
            raise ConfigurationError(f"--steps {given!r}: must read A or A-B, such as 5 or 5-10")
        start, end = numbers[0] or 0, numbers[1] or 0
    if not first <= start <= end <= last:
        raise ConfigurationError(f"--steps {given or 'of the run'}: the run made steps {first} to {last} itself")
    return range(start, end + 1)


def _show(found: list[Variant], ask: str, run: str, backend: str) -> None:
    """Print the effects of variants, and what was left out."""
    from rich import box
    from rich.table import Table

    from repunet_model.what_if.effects import effects

    by = f", answered by {backend}" if backend else ""
    table = Table(title=f"What if: {ask} in {run}{by}", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("what if", "outcome"):
        table.add_column(heading, overflow="fold")
    for heading in ("recorded", "changed", "effect", "95 % interval", "n", "agents"):
        table.add_column(heading, justify="right")
    for variant in found:
        for each in effects(variant):
            table.add_row(variant.label, *each.shown)
    make_console().print(table)
    for variant in found:
        asked = sum(reply.was_asked for reply in variant.replies)
        left = "".join(f"; {counted(count, 'question')} left out: {why}" for why, count in variant.left_out.items())
        say(f"{variant.label}: {counted(asked, 'question')} asked, {len(variant.replies) - asked} unchanged{left}")
    say("n: questions. Effect: mean over agents of changed - recorded; interval: Student's t over agents.")
