"""The page: a live society on Mesa's SolaraViz, or a stored run with a step bar, alone or beside another.

The environment names the storage (`REPUNET_STORAGE`) and the run to open first (`REPUNET_PAGE_RUN`). Each browser tab
is a session with a society of its own, which ends with it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

import solara
import solara.lab
from mesa.visualization import SolaraViz
from mesa.visualization.utils import update_counter

from repunet_model.backends.limits import Limits
from repunet_model.chronicle import Chronicle
from repunet_model.config import RunConfig, bounds, kind_of
from repunet_model.errors import RepuNetError
from repunet_model.games import GAMES
from repunet_model.report.tables import spending
from repunet_model.results.constructs import Check, own_checks
from repunet_model.results.interview import Interviewed, interview, talking
from repunet_model.storage import StepReader, run_names
from repunet_model.util import event_loop
from repunet_model.util.text import PACKAGED_RUNS, counted
from visualization import components, drawing, widgets
from visualization.society import Core, Society, backends

STYLE = Path(__file__).parent / "style.css"

TITLE = "RepuNet for Mesa"

LIVE, STORED, EXAMPLE = "live", "stored", "example"
"""The views, by the query of the page's address; `EXAMPLE` is also the name of the packaged run that it opens."""

PLAY_INTERVAL = 250
"""Milliseconds between two steps of a live society that plays."""


@solara.component
def Layout(children: list[Any]) -> None:
    """The frame around the page; the sidebar is closed at first in a narrow window."""
    is_narrow, set_narrow = solara.use_state(False)
    with solara.AppLayout(sidebar_open=not is_narrow), solara.Div():
        widgets.Narrow(pixels=960, event_found=lambda _: set_narrow(True))
        solara.Column(children=children)


@solara.component
def Page() -> None:
    """The page: a live society or stored runs, depending on its address."""
    opened = os.environ.get("REPUNET_PAGE_RUN", "")
    words = (solara.use_router().search or "").split("&")
    if EXAMPLE in words:
        opened = str(PACKAGED_RUNS / EXAMPLE)
    is_stored = STORED in words or (bool(opened) and LIVE not in words)
    solara.Title(TITLE)
    solara.Style(components.STYLE)
    solara.Style(STYLE)
    with solara.AppBar():
        solara.Button("Run of a language model", href=f"/?{EXAMPLE}", target="_blank", text=True)
        label, view = ("Live society", LIVE) if is_stored else ("Stored runs", STORED)
        solara.Button(label, href=f"/?{view}", target="_blank", text=True)
    if is_stored:
        Stored(opened)
    else:
        Live()


MOST_AGENTS = 200
"""The largest population of a live society."""

_LABELS = {
    "game_parameters": "Parameters of the game (NAME=VALUE, ...)",
    "population": "Draw of the population (altruistic=SHARE)",
    "network": "Ties at the start",
    "prompts": "Wording of prompts",
    "errors": "Errors (slip=0.05, misperception=0.05, garble=0.02)",
    "n_agents": "Population",
    "backend": "Who answers (rules: free)",
    "dialogue_turns": "Turns of a dialogue",
    "questions": "Questions a call",
    "rng": "Seed",
}
"""The labels of parameters that differ from their names."""


def _parameters(society: Society) -> dict[str, Any]:
    """Return the controls of the sidebar for SolaraViz, with the present values."""
    return {name: _control(name, value) for name, value in society.parameters.items()}


def _control(name: str, value: Any) -> dict[str, Any]:
    """Return the control of a parameter, by the type of its field."""
    label = _LABELS.get(name, drawing.in_words(name).capitalize())
    field = {"rng": "seed"}.get(name, name)
    kind = kind_of(field)
    values = {"game": list(GAMES), "backend": backends()}.get(field, list(kind) if issubclass(kind, StrEnum) else None)
    if values is not None:
        return {"type": "Select", "label": label, "value": value, "values": values}
    if kind is bool:
        return {"type": "Checkbox", "label": label, "value": value}
    if kind is int and field != "seed":
        low, high = bounds(RunConfig.model_fields[field])
        return {"type": "SliderInt", "label": label, "value": value, "min": low, "max": high or MOST_AGENTS, "step": 1}
    return {"type": "InputText", "label": label, "value": str(value)}


@solara.component
def Live() -> None:
    """A live society: Mesa's controls and the parameters in the sidebar, and the views beside it."""
    first = solara.use_memo(lambda: solara.reactive(Society()), [])
    seat = solara.use_ref(first)
    has_controls, set_controls = solara.use_state(True)
    at, set_at = solara.use_state(None)
    last_good = solara.use_ref(first.value.core)
    update_counter.get()
    society = seat.current.value
    core = society.core
    if core is not None:
        last_good.current = core
    shown: Core = last_good.current  # Never None: the first society has default parameters.

    def close_in_the_end() -> Callable[[], None]:
        return shown.close

    def go_on_after_trouble() -> None:
        # SolaraViz cannot be told to stop playing, so its controls are removed and created anew.
        if not has_controls:
            set_controls(True)
        elif core is not None and core.trouble and not core.is_busy:
            seat.current = solara.reactive(society.continued())
            set_controls(False)

    solara.use_effect(close_in_the_end, [shown])
    solara.use_effect(lambda: set_at(None), [shown])
    solara.use_effect(go_on_after_trouble)

    if has_controls:
        SolaraViz(
            seat.current, components=[], model_params=_parameters(society), name=TITLE, play_interval=PLAY_INTERVAL
        )
    else:
        with solara.Sidebar():  # Keeps the layout in place.
            solara.Div()
    chronicle = shown.chronicle
    step = chronicle.last if at is None else min(at, chronicle.last)

    def ask(name: str, question: str) -> str:
        return _told(lambda: interview(chronicle, step, name, question, shown.who, shown.limits))

    with solara.Div(classes=["rn-page"]):
        with solara.Div(classes=["rn-head"]):
            solara.Text(f"{drawing.subtitle(chronicle)} · in memory only")
            widgets.StepBar(
                first=chronicle.first,
                last=chronicle.last,
                shown=step,
                plays=False,
                event_move=lambda to: set_at(None if to == chronicle.last else to),
            )
        if society.trouble and has_controls:  # Only once the controls are there to go on with.
            solara.Error(society.trouble, classes=["rn-trouble"], dense=True)
        if shown.model.asks_models:
            Spending(shown)
        components.SocietyView(chronicle, step, ask)


@solara.component
def Spending(core: Core) -> None:
    """The running cost of a society that asks models, and a button to cancel the step under way."""
    beats, set_beats = solara.use_state(0)
    update_counter.get()
    model = core.model
    who = core.who.default.description
    row = {"align-items": "center", "flex-wrap": "wrap", "background": "transparent"}
    with solara.Warning(classes=["rn-spending"], dense=True, icon=False), solara.Row(style=row):
        solara.Text(
            f"{who.get('model', who['backend'])} answers: every step asks it, and that may cost money. So far "
            f"{counted(model.calls, 'call')}, {spending(model.usage)}."
        )
        if core.is_busy:
            widgets.Pulse(milliseconds=400, event_beat=lambda _: set_beats(beats + 1))
            label = "Give up the replies under way" if core.is_cancelled else "Cancel this step"
            solara.Button(label, on_click=core.cancel, outlined=True, small=True)


@solara.component
def Stored(opened: str) -> None:
    """Stored runs: one with a step bar, and another beside it."""
    storage = Path(os.environ.get("REPUNET_STORAGE", "sim_storage"))
    stored = solara.use_memo(lambda: {name: storage / name for name in run_names(storage)}, [])
    paths = {**stored, **{name: PACKAGED_RUNS / name for name in run_names(PACKAGED_RUNS) if name not in stored}}
    if opened:
        here = (name for name, path in paths.items() if path.resolve() == Path(opened).resolve())
        paths = {next(here, opened): Path(opened), **paths}
    with solara.AppBar():
        solara.AppBarTitle(TITLE)
        solara.lab.ThemeToggle()
    with solara.Div(classes=["rn-page"]):
        Replay(paths)


@solara.component
def Replay(paths: dict[str, Path]) -> None:
    """Runs by name: the first with a step bar, any other beside it."""
    name, set_name = solara.use_state(next(iter(paths)))
    beside, set_beside = solara.use_state("")
    step, set_step = solara.use_state(None)
    main = solara.use_memo(lambda: _read(paths[name]), [name])
    other = solara.use_memo(lambda: _read(paths[beside]) if beside else None, [beside])
    read = [run for run in (main, other) if isinstance(run, Chronicle)]
    last = max((run.last for run in read), default=0)
    shown = last if step is None else min(step, last)
    with solara.Div(classes=["rn-head"]):
        components.Choice("run", list(paths), name, set_name)
        components.Choice("beside it", ["", *paths], beside, set_beside)
        widgets.StepBar(first=0, last=last, shown=shown, plays=True, event_move=set_step)
    for run in (main, other):
        if isinstance(run, str):
            solara.Error(run, classes=["rn-trouble"], dense=True)
    if len(read) == 2:
        components.Comparison(read[0], read[1], shown)
    elif len(read) == 1:
        solara.Text(drawing.subtitle(read[0]), classes=["rn-words"])
        path = paths[name if isinstance(main, Chronicle) else beside]
        components.SocietyView(
            read[0],
            shown,
            lambda who, text: _told(lambda: _asked(read[0], shown, who, text)),
            lambda: _checked(path),
        )


def _read(path: Path) -> Chronicle | str:
    """Return a stored run, or the error that prevents reading it."""
    try:
        return Chronicle.of_run(StepReader.open(path))
    except (RepuNetError, OSError) as error:
        return str(error)


def _checked(path: Path) -> list[Check] | str:
    """Return the construct checks of a stored run, or the error that prevents reading it."""
    try:
        return own_checks(StepReader.open(path))
    except (RepuNetError, OSError) as error:
        return str(error)


def _asked(chronicle: Chronicle, step: int, name: str, question: str) -> Interviewed:
    """Ask an agent of a stored run a question."""
    who = talking(chronicle, step, name)
    try:
        return interview(chronicle, step, name, question, who, Limits())
    finally:
        event_loop.run(who.close())


def _told(ask: Callable[[], Interviewed]) -> str:
    """Return an agent's answer and its cost, or the error that prevented it."""
    try:
        said = ask()
    except RepuNetError as error:
        return str(error)
    return f"{said.text}\n({spending(said.usage)}; not written into the run)"
