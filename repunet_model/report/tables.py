"""Tables of runs for the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from repunet_model import games
from repunet_model.backends.base import Usage
from repunet_model.personas import Disposition

if TYPE_CHECKING:
    from repunet_model.model import RepuNetModel
    from repunet_model.results.constructs import Check

WINDOW = 5
"""The number of steps averaged in tables and pictures."""

RATES_SHOWN = 4
"""The number of rates of a game that fit into a terminal of 80 columns."""


def rates_table(model: RepuNetModel, first: int) -> Table:
    """Build the table of rates by step, from step `first` on."""
    table = Table(title="Rates by step", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    rates = games.find(model.config.game).rates
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
        table.add_row(str(step), *(_shown(data[name].iloc[step], form) for name, form in columns.values()))
    return table


def checks_table(found: Sequence[Check], title: str) -> Table:
    """Build the table of the construct checks of a run."""
    table = Table(title=f"Checks: {title}", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("compared", "value", "95 %", "meaning"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "value" else "left")
    for each in found:
        table.add_row(each.title, *each.shown, each.meaning)
    return table


def usage_table(usage: Mapping[str, Usage], title: str, by: str = "question") -> Table:
    """Build the table of requests, tokens and cost by question, or `by` something else."""
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
        "reasoning": "reasoning_tokens",
    }
    total = Usage()
    for each in usage.values():
        total.add(each)
    shown = {
        heading: name for heading, name in counts.items() if getattr(total, name) or heading in {"sent", "re-asked"}
    }
    table.add_column(by, overflow="fold")
    for heading in (*shown, "USD"):
        table.add_column(heading, justify="right")
    for question, each in sorted(usage.items()):
        table.add_row(question, *(f"{getattr(each, name):,}" for name in shown.values()), _dollars(each))
    table.add_section()
    table.add_row("all", *(f"{getattr(total, name):,}" for name in shown.values()), _dollars(total))
    return table


def _dollars(usage: Usage) -> str:
    """Format the known cost; a "?" stands for tokens without a known price."""
    if not usage.unpriced_tokens:
        return f"{usage.usd:,.4f}"
    return f"{usage.usd:,.4f} + ?" if usage.usd else "?"


def spending(usage: Usage) -> str:
    """Format tokens and the known cost."""
    cost = f", ${usage.usd:,.4f}" if usage.usd else ""
    return f"{usage.tokens:,} tokens{cost}"


def _shown(value: float | None, form: str) -> str:
    """Format a measure; a dash if it is missing."""
    return "-" if value is None or math.isnan(value) else form.format(value)


def share_in_words(value: float | None) -> str:
    """Format a share in per cent; a dash if it is missing."""
    return _shown(value, "{:.0%}")


def comparison_table(models: Mapping[str, RepuNetModel]) -> Table:
    """Build the table that compares models, one column each, by label."""
    config = next(iter(models.values())).config
    table = Table(title=f"The same agents, side by side: {config.backend}, seed {config.seed}")
    table.add_column("")
    for label in models:
        table.add_column(label, justify="right")
    frames = [model.datacollector.get_model_vars_dataframe() for model in models.values()]
    steps = min(len(frame) for frame in frames) - 1
    for start in range(1, steps + 1, WINDOW):
        end = min(start + WINDOW - 1, steps)
        table.add_row(
            f"cooperation, steps {start}-{end}",
            *(share_in_words(frame["cooperation_rate"].iloc[start : end + 1].mean()) for frame in frames),
        )
    table.add_section()
    for disposition in (Disposition.ALTRUISTIC, Disposition.SELF_INTERESTED):
        gained = (_gained(model, disposition) for model in models.values())
        table.add_row(f"mean gain, {disposition.value} agents (units)", *gained)
    for name, heading in (("ties", "ties"), ("mutual_ties", "mutual ties")):
        table.add_row(f"{heading} at the end", *(f"{frame[name].iloc[-1]:.0f}" for frame in frames))
    table.add_row("gossip told", *(f"{frame['gossip_told'].sum():.0f}" for frame in frames))
    table.add_row("questions answered", *(f"{frame['calls'].sum():,.0f}" for frame in frames))
    return table


def _gained(model: RepuNetModel, disposition: Disposition) -> str:
    resources = [float(agent.resources) for agent in model.agents if agent.persona.disposition is disposition]
    return f"{mean(resources) - float(model.game.parameters.start_resources):.1f}" if resources else "-"
