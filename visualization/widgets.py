"""The parts that are drawn in the browser: each a Vue file, given plain data.

What is shown is what they are given; what somebody does there comes back as a call.
"""

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
    """Agents on a ring, and who is bound to whom; `tall` is the greatest height in pixels."""


@solara.component_vue("vue/matrix.vue")
def Matrix(
    names: list[str],
    short: list[str],
    cells: str,
    scale: list[str],
    selected: str,
    event_pick: Callable[[list[str]], None],
) -> None:
    """Who thinks what of whom; what is picked are a holder and a subject."""


@solara.component_vue("vue/chart.vue")
def Chart(series: list[Drawn], first: int, last: int, step: int, unit: bool, tall: int) -> None:
    """Measures over time, with a mark at the step that is shown."""


@solara.component_vue("vue/gossip.vue")
def Gossip(rows: list[Drawn], step: int) -> None:
    """Who told whom what of whom, with filters."""


@solara.component_vue("vue/agent.vue")
def Agent(mind: Drawn) -> None:
    """One agent from the inside."""


@solara.component_vue("vue/communities.vue")
def Communities(found: Drawn, event_pick: Callable[[str], None]) -> None:
    """Who belongs together."""


@solara.component_vue("vue/stepbar.vue")
def StepBar(first: int, last: int, shown: int, plays: bool, event_move: Callable[[int], None]) -> None:
    """A slider over the steps; it asks for one step at a time."""


@solara.component_vue("vue/pulse.vue")
def Pulse(milliseconds: int, event_beat: Callable[[object], None]) -> None:
    """Nothing to see: calls back at an interval for as long as it is there."""


@solara.component_vue("vue/narrow.vue")
def Narrow(pixels: int, event_found: Callable[[object], None]) -> None:
    """Nothing to see: calls back once if the window is narrower than this."""
