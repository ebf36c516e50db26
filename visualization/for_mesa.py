"""The parts of the page for a `mesa.visualization.SolaraViz` of one's own, in a notebook or a script.

Beside the components of Mesa::

    from mesa.visualization import SolaraViz, make_plot_component

    from repunet_model import RepuNetModel
    from visualization import for_mesa

    model = RepuNetModel(rng=1)
    page = SolaraViz(model, components=[for_mesa.network, for_mesa.agent, make_plot_component("cooperation_rate")])

Each is a function of the model, as Mesa wants components. Who is selected in one is shown by the others.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

import solara

from repunet_model import RepuNetModel
from repunet_model.chronicle import Chronicle
from visualization import components

_CHRONICLES: WeakKeyDictionary[RepuNetModel, Chronicle] = WeakKeyDictionary()

_selected = solara.reactive("")


def chronicle_of(model: RepuNetModel) -> Chronicle:
    """Return the chronicle of a model, which begins when it is first asked for and goes on with every step."""
    if model not in _CHRONICLES:
        _CHRONICLES[model] = Chronicle.of_model(model)
    return _CHRONICLES[model]


def network(model: RepuNetModel) -> None:
    """Who is bound to whom; a click selects."""
    chronicle = chronicle_of(model)
    solara.Style(components.STYLE)
    components.Network(chronicle, chronicle.last, _selected.value, _selected.set)


def agent(model: RepuNetModel) -> None:
    """The selected agent from the inside."""
    chronicle = chronicle_of(model)
    solara.Style(components.STYLE)
    with solara.Column(style={"max-height": "420px", "overflow": "auto"}):
        components.Choice("agent", list(chronicle.personas), _selected.value or None, _selected.set)
        components.Agent(chronicle, chronicle.last, _selected.value)


def opinions(model: RepuNetModel) -> None:
    """Who thinks what of whom."""
    chronicle = chronicle_of(model)
    solara.Style(components.STYLE)
    with solara.Column():
        components.Opinions(chronicle, chronicle.last, _selected.value, _selected.set)


def rates(model: RepuNetModel) -> None:
    """Measures over time."""
    chronicle = chronicle_of(model)
    solara.Style(components.STYLE)
    components.Chart([chronicle], chronicle.last, chronicle.last)


def gossip(model: RepuNetModel) -> None:
    """Who told whom what of whom."""
    chronicle = chronicle_of(model)
    solara.Style(components.STYLE)
    components.Gossip(chronicle, chronicle.last)
