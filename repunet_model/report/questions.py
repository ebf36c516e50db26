"""Compare one question per call with fused questions: cost and outcome of a step."""

from __future__ import annotations

from statistics import mean
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from repunet_model import games
from repunet_model.report.statistics import contrast

if TYPE_CHECKING:
    import pandas as pd

COMPARED = ("ties", "gossip_told", "score_altruistic", "score_self_interested", "calls", "attempts", "tokens", "usd")
"""The measures compared, beside the rates of the game."""


def questions_table(results: pd.DataFrame) -> Table:
    """Build the table of measures by way of asking, paired by seed, from a sweep of one scenario and mode over both."""
    table = Table(
        title="A step, one question a call and fused", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )
    table.add_column("mean over steps and seeds")
    for heading in ("single", "fused", "fused - single", "95 % interval (t)"):
        table.add_column(heading, justify="right")
    for measure in (*games.find(results["game"].iloc[0]).rates, *COMPARED):
        values = results.groupby(["questions", "seed"])[measure].mean()
        single, fused = (
            {int(seed): float(value) for seed, value in values[way].dropna().items()} for way in ("single", "fused")
        )
        found = contrast(fused, single)
        if found is None or not any((*single.values(), *fused.values())):
            continue
        between = found.difference
        interval = "too few seeds" if between.low is None else f"{between.low:+,.3g} to {between.high:+,.3g}"
        table.add_row(
            measure.replace("_", " "),
            f"{mean(single.values()):,.4g}",
            f"{mean(fused.values()):,.4g}",
            f"{between.mean:+,.3g}",
            interval,
        )
    return table
