"""A run as tables: its rates by step, and what its questions cost. It loads nothing that draws."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from repunet_model import games
from repunet_model.backends.base import Usage

if TYPE_CHECKING:
    from repunet_model.model import RepuNetModel

RATES_SHOWN = 4
"""How many of a game's rates fit into a terminal of 80 columns."""


def rates_table(model: RepuNetModel, first: int) -> Table:
    """Return the rates of a run by step.

    Args:
        model: The model.
        first: The first step to show.
    """
    table = Table(title="Rates by step", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    rates = games.find(model.game).rates
    columns: dict[str, tuple[str, str]] = {
        **{name.removesuffix("_rate").replace("_", " "): (name, "{:.0%}") for name in rates[:RATES_SHOWN]},
        "ties": ("ties", "{:.0f}"),
        "gossip": ("gossip_told", "{:.0f}"),
        "calls": ("calls", "{:,.0f}"),
        "tokens": ("tokens", "{:,.0f}"),
    }
    for heading in ("step", *columns):
        table.add_column(heading, justify="right")
    data = model.datacollector.get_model_vars_dataframe()
    for step in range(first, model.steps + 1):
        table.add_row(str(step), *(shown(data[name].iloc[step], form) for name, form in columns.values()))
    return table


def usage_table(usage: Mapping[str, Usage], title: str) -> Table:
    """Return what questions cost.

    Args:
        usage: By the name of the question.
        title: Of the table.
    """
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    counts = {
        "sent": "attempts",
        "re-asked": "reasks",
        "failed": "failures",
        "retried": "retries",
        "recalled": "recalled",
        "prompt": "prompt_tokens",
        "cached": "cached_tokens",
        "reply": "completion_tokens",
    }
    total = Usage()
    for each in usage.values():
        total.add(each)
    shown = {
        heading: name for heading, name in counts.items() if getattr(total, name) or heading in {"sent", "re-asked"}
    }
    table.add_column("question")
    for heading in (*shown, "USD"):
        table.add_column(heading, justify="right")
    for question, each in sorted(usage.items()):
        table.add_row(question, *(f"{getattr(each, name):,}" for name in shown.values()), _dollars(each))
    table.add_section()
    table.add_row("all", *(f"{getattr(total, name):,}" for name in shown.values()), _dollars(total))
    return table


def _dollars(usage: Usage) -> str:
    """Return what is known to have been paid, and that it is not all where a price is not known."""
    if not usage.unpriced_tokens:
        return f"{usage.usd:,.4f}"
    return f"{usage.usd:,.4f} + ?" if usage.usd else "?"


def shown(value: float | None, form: str) -> str:
    """Return a measure in words, a dash where there is none."""
    return "-" if value is None or math.isnan(value) else form.format(value)
