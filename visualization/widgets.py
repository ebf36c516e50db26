"""The parts that are drawn in the browser: each a Vue file, given plain data.

They hold no state that matters: what is shown is what they are given, and what somebody does there comes back as a call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import solara

from visualization.drawing import Drawn


@solara.component_vue("vue/network.vue")
def Network(  # noqa: N802
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
def Matrix(  # noqa: N802
    names: list[str],
    short: list[str],
    cells: str,
    scale: list[str],
    selected: str,
    event_pick: Callable[[list[str]], None],
) -> None:
    """Who thinks what of whom; what is picked are a holder and a subject."""


@solara.component_vue("vue/chart.vue")
def Chart(series: list[Drawn], first: int, last: int, step: int, unit: bool, tall: int) -> None:  # noqa: N802
    """Measures over time, with a mark at the step that is shown."""


@solara.component_vue("vue/gossip.vue")
def Gossip(rows: list[Drawn], step: int) -> None:  # noqa: N802
    """Who told whom what of whom, with filters."""


@solara.component_vue("vue/agent.vue")
def Agent(mind: Drawn) -> None:  # noqa: N802
    """One agent from the inside."""


@solara.component_vue("vue/communities.vue")
def Communities(found: Drawn, event_pick: Callable[[str], None]) -> None:  # noqa: N802
    """Who belongs together."""


@solara.component_vue("vue/stepbar.vue")
def StepBar(  # noqa: N802
    first: int, last: int, shown: int, plays: bool, event_move: Callable[[int], None]
) -> None:
    """A slider over the steps; it asks for one step at a time."""


