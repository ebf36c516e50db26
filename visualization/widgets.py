"""Widgets that the browser draws: a Vue file each, with plain data in and events as calls."""

from __future__ import annotations

from collections.abc import Callable

import solara

from visualization.drawing import Drawn


@solara.component_vue("vue/network.vue")
def Network(
    nodes: list[Drawn],
    kept: list[int],
    made: list[int],
    cut: list[int],
    colors: Drawn,
    selected: str,
    label: str,
    tall: int,
    event_pick: Callable[[str], None],
) -> None:
    """Agents on a ring and their ties; `tall` is the largest height in pixels."""


@solara.component_vue("vue/matrix.vue")
def Matrix(
    names: list[str],
    short: list[str],
    cells: str,
    scale: list[str],
    selected: str,
    event_pick: Callable[[list[str]], None],
) -> None:
    """The matrix of opinions; an event picks a holder and a subject."""


@solara.component_vue("vue/chart.vue")
def Chart(
    series: list[Drawn], first: int, last: int, step: int, unit: bool, marks: list[list[int | str]], tall: int
) -> None:
    """Measures over time, with marks at the selected step and at the steps of events, which have texts."""


@solara.component_vue("vue/gossip.vue")
def Gossip(rows: list[Drawn], step: int) -> None:
    """The messages of gossip, with filters."""


@solara.component_vue("vue/agent.vue")
def Agent(mind: Drawn) -> None:
    """The details of one agent."""


@solara.component_vue("vue/communities.vue")
def Communities(found: Drawn, event_pick: Callable[[str], None]) -> None:
    """The communities of agents."""


@solara.component_vue("vue/stepbar.vue")
def StepBar(first: int, last: int, shown: int, plays: bool, event_move: Callable[[int], None]) -> None:
    """A slider over the steps; it asks for one step at a time."""


@solara.component_vue("vue/pulse.vue")
def Pulse(milliseconds: int, event_beat: Callable[[object], None]) -> None:
    """An invisible widget that calls back at an interval."""


@solara.component_vue("vue/narrow.vue")
def Narrow(pixels: int, event_found: Callable[[object], None]) -> None:
    """An invisible widget that calls back once if the window is narrower than `pixels`."""
