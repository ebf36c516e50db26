"""The parts of the page for Mesa's `SolaraViz`, in a notebook or a script.

They combine with the components of Mesa::

    from mesa.visualization import SolaraViz, make_plot_component

    from repunet_model import RepuNetModel
    from visualization import for_mesa

    model = RepuNetModel(rng=1)
    page = SolaraViz(model, components=[for_mesa.network, for_mesa.agent, make_plot_component("cooperation_rate")])

Each is a function of the model, as Mesa requires. They share the selected agent.
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
    """Return the chronicle of a model, which starts with the first call and records every later step."""
    if model not in _CHRONICLES:
        _CHRONICLES[model] = Chronicle.of_model(model)
    return _CHRONICLES[model]


def _styled(model: RepuNetModel) -> Chronicle:
    solara.Style(components.STYLE)
    return chronicle_of(model)


def network(model: RepuNetModel) -> None:
    """Draw the ties between agents; a click selects an agent."""
    chronicle = _styled(model)
    components.Network(chronicle, chronicle.last, _selected.value, _selected.set)


def agent(model: RepuNetModel) -> None:
    """Draw the details of the selected agent."""
    chronicle = _styled(model)
    with solara.Column(style={"max-height": "420px", "overflow": "auto"}):
        components.Choice("agent", list(chronicle.personas), _selected.value or None, _selected.set)
        components.Agent(chronicle, chronicle.last, _selected.value)


def opinions(model: RepuNetModel) -> None:
    """Draw the matrix of opinions."""
    chronicle = _styled(model)
    with solara.Column():
        components.Opinions(chronicle, chronicle.last, _selected.value, _selected.set)


def rates(model: RepuNetModel) -> None:
    """Draw measures over time."""
    chronicle = _styled(model)
    components.Chart([chronicle], chronicle.last, chronicle.last)


def gossip(model: RepuNetModel) -> None:
    """Draw the messages of gossip."""
    chronicle = _styled(model)
    components.Gossip(chronicle, chronicle.last)
