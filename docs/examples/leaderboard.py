"""A component of one's own for the page, in one file: who is thought well of, and who is not.

    uv run solara run docs/examples/leaderboard.py --no-check-version

A component of Mesa's page is a function of the model. What all of them may read beside the model is its chronicle:
what everybody thought, held and did after each step.
"""

from __future__ import annotations

import solara
from mesa.visualization import SolaraViz

from repunet_model import RepuNetModel
from visualization import for_mesa


def leaderboard(model: RepuNetModel) -> None:
    """List the five best reputations and how they changed in the last step."""
    chronicle = for_mesa.chronicle_of(model)
    now, before = chronicle.last, max(chronicle.last - 1, chronicle.first)
    scores = {name: chronicle.score(name, now) for name in chronicle.personas}
    known = sorted((name for name in scores if scores[name] is not None), key=lambda name: -(scores[name] or 0.0))
    with solara.Card("Leaderboard"):
        if not known:
            solara.Text("Nobody has a reputation yet.")
        for place, name in enumerate(known[:5], 1):
            change = (scores[name] or 0.0) - (chronicle.score(name, before) or 0.0)
            solara.Div([solara.Text(f"{place}. {name} {scores[name]:+.2f} ({change:+.2f})")])


model = RepuNetModel(rng=1)


@solara.component
def Page() -> None:
    """Show the ties and the leaderboard."""
    SolaraViz(model, components=[for_mesa.network, leaderboard])
