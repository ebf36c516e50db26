"""The parts of the page as Solara components: each draws a chronicle at a step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import solara
import solara.lab

from repunet_model.chronicle import Chronicle
from repunet_model.errors import RepuNetError
from repunet_model.results.constructs import Check
from repunet_model.util.text import one_line
from visualization import drawing, palette, widgets

STYLE = Path(__file__).parent / "components.css"

COLORS = {"made": palette.MADE, "cut": palette.CUT, "scale": palette.scale()[::20]}

TABS = ("Agent", "Opinions", "Gossip", "Communities")

CHECKS = "Checks"
"""The last tab, of a stored run."""

Checking = Callable[[], Sequence[Check] | str]
"""Returns the construct checks of a stored run, or an error in one line."""

Ask = Callable[[str, str], str]
"""Asks an agent (name, question) and returns its answer or an error in one line."""


@solara.component
def Network(
    chronicle: Chronicle,
    step: int,
    selected: str,
    on_select: Callable[[str], None],
    role: str | None = None,
    communities: bool = False,
    tall: int = 520,
) -> None:
    """The ties between agents; a click selects an agent."""
    drawn = solara.use_memo(
        lambda: drawing.network(chronicle, step, role, communities=communities), [chronicle, step, role, communities]
    )
    label = f"Ties of {chronicle.name} at step {step}"
    widgets.Network(**drawn, colors=COLORS, selected=selected, label=label, tall=tall, event_pick=on_select)


@solara.component
def Chart(chronicles: Sequence[Chronicle], step: int, last: int, tall: int = 130) -> None:
    """Measures over time, of one run or two; `last` triggers a new drawing when steps are added."""
    group, set_group = solara.use_state(next(iter(drawing.GROUPS)))
    drawn = solara.use_memo(lambda: drawing.chart(chronicles, group, step), [*chronicles, group, step, last])
    with solara.Div(classes=["rn-over-time"]):
        Choice("over time", list(drawing.GROUPS), group, set_group)
        widgets.Chart(**drawn, tall=tall)


@solara.component
def Choice(label: str, values: Sequence[str], value: str, on_value: Callable[[str], None]) -> None:
    """A select field in one small line."""
    solara.Select(label, list(values), value=value, on_value=on_value, dense=True, classes=["rn-choice"])


@solara.component
def Opinions(chronicle: Chronicle, step: int, selected: str, on_select: Callable[[str], None]) -> None:
    """The matrix of opinions in a role; a click shows the opinion in words and selects its holder."""
    chosen, set_role = solara.use_state(chronicle.roles[0])
    role = chosen if chosen in chronicle.roles else chronicle.roles[0]
    cell, set_cell = solara.use_state(("", ""))
    drawn = solara.use_memo(lambda: drawing.matrix(chronicle, step, role), [chronicle, step, role])

    def pick(names: list[str]) -> None:
        set_cell((names[0], names[1]))
        on_select(names[0])

    if len(chronicle.roles) > 1:
        Choice("of others as", chronicle.roles, role, set_role)
    widgets.Matrix(**drawn, scale=palette.scale(), selected=selected, event_pick=pick)
    if all(name in chronicle.personas for name in cell):
        solara.Text(drawing.opinion(chronicle, step, role, *cell), classes=["rn-words"])


@solara.component
def Gossip(chronicle: Chronicle, step: int) -> None:
    """The messages of gossip, with filters."""
    rows = solara.use_memo(lambda: drawing.gossip(chronicle, step), [chronicle, step])
    widgets.Gossip(rows=rows, step=step)


@solara.component
def Communities(chronicle: Chronicle, step: int, on_select: Callable[[str], None]) -> None:
    """The communities of agents."""
    found = solara.use_memo(lambda: drawing.communities(chronicle, step), [chronicle, step])
    widgets.Communities(found=found, event_pick=on_select)


@solara.component
def Checks(check: Checking, name: str) -> None:
    """The construct checks of the whole run with a name, which are read when they are first shown."""
    reading = solara.lab.use_task(check, dependencies=[name], raise_error=False)
    if isinstance(reading.value, str):
        solara.Error(reading.value, dense=True)
    elif reading.value is None:
        solara.Text("reading ...")
    else:
        solara.Text("Of all steps: whether the parts of the run mean what their names say.", classes=["rn-words"])
        rows = [("compared", "value", "95 %", "meaning"), *drawing.checks(reading.value)]
        cells = [
            [solara.v.Html(tag="th" if not place else "td", children=[each]) for each in row]
            for place, row in enumerate(rows)
        ]
        solara.v.SimpleTable(dense=True, children=[solara.v.Html(tag="tr", children=row) for row in cells])


@solara.component
def Agent(chronicle: Chronicle, step: int, name: str, ask: Ask | None = None) -> None:
    """The details of one agent, and a question to it."""
    if name in chronicle.personas:
        Mind(chronicle, step, name)
        if ask is not None:
            Interview(name, step, ask).key(f"{name} {step}")
    else:
        solara.Text("Click somebody in the network, or choose one here.", classes=["rn-words"])


@solara.component
def Mind(chronicle: Chronicle, step: int, name: str) -> None:
    """The details of one agent."""

    def read() -> drawing.Drawn | str:
        try:
            return drawing.agent(chronicle, step, name)
        except RepuNetError as error:  # A stored run may be altered while it is open.
            return str(error)

    mind = solara.use_memo(read, [chronicle, step, name])
    if isinstance(mind, str):
        solara.Error(mind, dense=True)
    else:
        widgets.Agent(mind=mind)


@solara.component
def Interview(name: str, step: int, ask: Ask) -> None:
    """A free question to an agent; the answer is only shown here."""
    question, set_question = solara.use_state("")
    asking = solara.lab.use_task(ask, dependencies=None, raise_error=False)
    with solara.Div(classes=["rn-interview"]):
        solara.InputText(
            f"Ask {name}, as of step {step}", value=question, on_value=set_question, continuous_update=True
        )
        solara.Button(
            "Ask",
            on_click=lambda: asking(name, question),
            disabled=asking.pending or not question.strip(),
            outlined=True,
        )
        if asking.pending:
            solara.Text("asked ...")
        elif asking.error:
            solara.Error(one_line(f"{type(asking.exception).__name__}: {asking.exception}"), dense=True)
        elif asking.value:
            solara.Text(asking.value, classes=["rn-words", "rn-answer"])


@solara.component
def SocietyView(chronicle: Chronicle, step: int, ask: Ask | None = None, check: Checking | None = None) -> None:
    """One run at a step: the network and its rates on the left, tabs with details on the right."""
    tabs = TABS if check is None else (*TABS, CHECKS)
    selected, select = solara.use_state("")
    role, set_role = solara.use_state("all roles")
    numbered, set_numbered = solara.use_state(False)
    tab, set_tab = solara.use_state(0)

    def look_into(name: str) -> None:
        select(name)
        set_tab(TABS.index("Agent"))

    with solara.Div(classes=["rn-two"]):
        with solara.Div(classes=["rn-left"]):
            with solara.Div(classes=["rn-tools"]):
                if len(chronicle.roles) > 1:
                    Choice("ties to", ["all roles", *chronicle.roles], role, set_role)
                solara.Checkbox(label="communities", value=numbered, on_value=set_numbered)
            layer = role if role in chronicle.roles else None
            Network(chronicle, step, selected, look_into, layer, numbered, tall=410)
            Chart([chronicle], step, chronicle.last)
        with solara.Div(classes=["rn-right"]):
            with solara.v.Tabs(v_model=tab, on_v_model=set_tab, height=38):
                for title in tabs:
                    solara.v.Tab(children=[title])
            with solara.Div(classes=["rn-tab"]):
                match tabs[tab]:
                    case "Agent":
                        Choice("agent", list(chronicle.personas), selected or None, select)
                        Agent(chronicle, step, selected, ask)
                    case "Opinions":
                        Opinions(chronicle, step, selected, select)
                    case "Gossip":
                        Gossip(chronicle, step)
                    case "Communities":
                        Communities(chronicle, step, look_into)
                    case _ if check is not None:
                        Checks(check, chronicle.name)


@solara.component
def Comparison(left: Chronicle, right: Chronicle, step: int) -> None:
    """Two runs beside each other at a step; the shorter one stays at its last step."""
    selected, select = solara.use_state("")
    sides = [(run, max(run.first, min(step, run.last))) for run in (left, right)]
    with solara.Div(classes=["rn-pair"]):
        for run, at in sides:
            with solara.Div(classes=["rn-side"]):
                solara.HTML("h2", run.name, classes=["rn-run"])
                ended = "" if at == step else f" · at its last step, {at}"
                solara.Text(drawing.subtitle(run) + ended, classes=["rn-words"])
                Network(run, at, selected, select, tall=370)
    Chart([left, right], step, max(left.last, right.last))
    Choice("agent", list(left.personas), selected or None, select)
    if selected:
        with solara.Div(classes=["rn-pair"]):
            for run, at in sides:
                with solara.Div(classes=["rn-side"]):
                    Agent(run, at, selected)
