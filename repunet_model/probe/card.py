"""The fitness card: what a probe found, as data, as tables and as a page."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from repunet_model import games
from repunet_model.backends.base import label_of
from repunet_model.config import RunConfig
from repunet_model.errors import ConfigurationError
from repunet_model.model import RepuNetModel
from repunet_model.probe.battery import Block
from repunet_model.probe.measuring import Line, costs_of, lines_of
from repunet_model.probe.verdict import Verdict
from repunet_model.questions.prompt_sets import NEUTRAL
from repunet_model.report.sections import Section, Table
from repunet_model.report.statistics import Estimate
from repunet_model.storage.manifest import Manifest, made_by
from repunet_model.util import files
from repunet_model.util.text import counted

FORMAT = 1
"""The version of the layout of a card's file."""

FILE = "card.json"
"""The file of a card in its folder."""


@dataclass(frozen=True, slots=True)
class GameCard:
    """What a probe found in one game.

    Attributes:
        rows: What the replies show.
        unasked: Why a part of the battery was not asked.
        run: The calls that a run takes, by the offline rules: agents, steps, calls, and the requests under way at once.
    """

    game: str
    rows: Sequence[Mapping[str, Any]]
    unasked: Mapping[Block, str]
    run: Mapping[str, int]

    @property
    def title(self) -> str:
        """The title of the game; its name if it is not registered here."""
        return games.GAMES[self.game].title if self.game in games.GAMES else self.game

    def lines(self) -> list[Line]:
        """Return the lines."""
        return lines_of(self.rows, self.unasked)

    def costs(self) -> dict[str, Estimate | None]:
        """Return the mean cost of a call."""
        return costs_of(self.rows)

    def uses(self) -> dict[Verdict, list[str]]:
        """Return for what the model is fit, doubtful and unfit."""
        found: dict[Verdict, list[str]] = {each: [] for each in Verdict}
        for line in self.lines():
            if line.form.use:
                found[line.verdict].append(line.form.use)
        return found

    def summary(self) -> str:
        """Return for what the model is fit, doubtful and unfit, in one paragraph."""
        uses = self.uses()
        words = {Verdict.UNFIT: "Unfit for", Verdict.DOUBTFUL: "Doubtful for", Verdict.FIT: "Fit for"}
        if not uses[Verdict.UNFIT] and not uses[Verdict.DOUBTFUL] and not uses[Verdict.NONE]:
            return "Fit on every line."
        told = [f"{name}: {'; '.join(uses[each])}." for each, name in words.items() if uses[each]]
        if uses[Verdict.NONE]:
            told.append(f"Not measured: {'; '.join(uses[Verdict.NONE])}.")
        return " ".join(told)

    def cost_of_call(self) -> str:
        """Return the mean cost of a call in words."""
        costs = self.costs()
        tokens, seconds, usd = (costs[name] for name in ("tokens", "seconds", "usd"))
        parts = [
            *([] if tokens is None else [f"{tokens.mean:,.0f} tokens"]),
            *([] if seconds is None else [f"{seconds.mean:.2f} s"]),
            "dollars unknown" if usd is None else f"${usd.mean:.6f}",
        ]
        return f"A call: {', '.join(parts)}."

    def cost_of_run(self) -> str:
        """Return what a run would take in words."""
        agents, steps, calls, at_once = (self.run[name] for name in ("agents", "steps", "calls", "concurrency"))
        costs = self.costs()
        tokens, seconds, usd = (costs[name] for name in ("tokens", "seconds", "usd"))
        parts = [f"about {calls:,} calls"]
        if tokens is not None:
            parts.append(f"{calls * tokens.mean:,.0f} tokens")
        parts.append("dollars unknown (no price of the model)" if usd is None else f"${calls * usd.mean:,.2f}")
        if seconds is not None:
            busy = min(at_once, agents)
            parts.append(f"{_duration(calls * seconds.mean / busy)} at {counted(busy, 'request')} at once")
        return f"A run of {agents} agents and {counted(steps, 'step')}: {', '.join(parts)}."


@dataclass(frozen=True, slots=True)
class Card:
    """The fitness card of a model.

    Attributes:
        backend: The description of the backend.
        made: The versions that made the card, as in the manifest of a run.
    """

    backend: Mapping[str, Any]
    size: str
    seed: int
    prompts: str
    mechanism: str
    games: Sequence[GameCard]
    made: Mapping[str, Any] = field(default_factory=made_by)

    @property
    def label(self) -> str:
        """What tables call the model, such as openai:gpt-4o-mini."""
        return label_of(self.backend)

    def to_dict(self) -> dict[str, Any]:
        """Return the card as plain data; lines and costs follow from the rows and are there to be read."""
        return {
            "card": FORMAT,
            "label": self.label,
            "backend": dict(self.backend),
            "size": self.size,
            "seed": self.seed,
            "prompts": self.prompts,
            "mechanism": self.mechanism,
            "games": [
                {
                    "game": each.game,
                    "summary": each.summary(),
                    "lines": [_line(line) for line in each.lines()],
                    "costs": {name: _numbers(value) for name, value in each.costs().items()},
                    "run": dict(each.run),
                    "cost_of_run": each.cost_of_run(),
                    "unasked": {block.value: why for block, why in each.unasked.items()},
                    "rows": [dict(row) for row in each.rows],
                }
                for each in self.games
            ],
            "made": dict(self.made),
        }

    def text(self) -> bytes:
        """Return the card as JSON."""
        return f"{json.dumps(self.to_dict(), ensure_ascii=False, indent=1)}\n".encode()

    @classmethod
    def read(cls, path: Path) -> Card:
        """Read the file of a card.

        Raises:
            ConfigurationError: If it is no card that is known here.
            StorageError: If it cannot be read.
        """
        data = files.parsed(files.content(path), path)
        try:
            if data["card"] != FORMAT:
                raise ValueError(f"format {data['card']!r}, known is {FORMAT}")
            found = [
                GameCard(
                    each["game"],
                    each["rows"],
                    {Block(block): why for block, why in each["unasked"].items()},
                    each["run"],
                )
                for each in data["games"]
            ]
            card = cls(
                data["backend"], data["size"], data["seed"], data["prompts"], data["mechanism"], found, data["made"]
            )
            card.to_dict()
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(f"{path} is no card of a probe ({error}): make one by probe") from None
        return card

    def section(self, name: str) -> Section:
        """Return the card as a section of a report, under a name."""
        return Section(
            name,
            f"What the model {self.label} understands",
            texts=[f"{each.title}. {each.summary()}" for each in self.games],
            tables=[table for each in self.games for table in tables_of(each)],
        )


def beside(path: Path, manifests: Sequence[Manifest]) -> Card:
    """Read a card that is to stand beside runs.

    Raises:
        ConfigurationError: If its model answered none of them, or the file is no card.
    """
    card = Card.read(path)
    answered = {label_of(each) for manifest in manifests for each in (manifest.backend, *manifest.backend_for.values())}
    if card.label not in answered:
        raise ConfigurationError(
            f"{path} is the card of {card.label}, and the runs were answered by {', '.join(sorted(answered))}: make a "
            "card of their model by probe"
        )
    return card


def calls_of_run(config: RunConfig, agents: int, steps: int, concurrency: int) -> dict[str, int]:
    """Return the size of a run and the calls that it takes, as the offline rules would make them.

    Args:
        config: The game, the mechanism and the seed.
        agents: The number of agents.
        steps: The number of steps.
        concurrency: The requests under way at once.
    """
    run = config.changed({"backend": "rules", "n_agents": agents, "prompts": NEUTRAL})
    with RepuNetModel(**run.keywords(), game_parameters=run.game_parameters, n_agents=agents) as model:
        for _ in range(steps):
            model.step()
        calls = sum(int(each) for each in model.datacollector.get_model_vars_dataframe()["calls"])
    return {"agents": agents, "steps": steps, "calls": calls, "concurrency": concurrency}


def tables_of(card: GameCard) -> list[Table]:
    """Return the lines and the costs of a game as tables."""
    return [
        Table(
            f"{card.title}: the fitness card. Intervals are of 95 %.",
            ("line", "what is measured", "thresholds", "verdict", "value", "interval", "n"),
            [_cells_with_thresholds(line) for line in card.lines()],
            words=4,
        ),
        Table(
            f"{card.title}: cost of a call. {card.cost_of_run()}",
            ("", "mean", "interval"),
            [(name, *_cost_cells(name, value)) for name, value in card.costs().items()],
        ),
    ]


def cells_of(line: Line) -> tuple[str, ...]:
    """Return a line as the cells of a table."""
    form, measured = line.form, line.measured
    if measured is None:
        return form.title, f"not measured: {line.why}", "-", "", "", ""
    interval = "too few" if measured.low is None else f"{measured.low:.2f} to {measured.high:.2f}"
    return form.title, form.number, line.verdict.value, f"{measured.mean:.2f}", interval, str(measured.n)


def _cells_with_thresholds(line: Line) -> tuple[str, ...]:
    title, number, *cells = cells_of(line)
    return title, number, line.form.rule.words or "no verdict", *cells


def _cost_cells(name: str, value: Estimate | None) -> tuple[str, str]:
    form = {"tokens": "{:,.0f}", "seconds": "{:.2f}", "usd": "${:.6f}"}[name]
    if value is None:
        return "unknown", ""
    if value.low is None or value.high is None:
        return form.format(value.mean), "too few"
    return form.format(value.mean), f"{form.format(value.low)} to {form.format(value.high)}"


def _line(line: Line) -> dict[str, Any]:
    return {
        "name": line.form.name,
        "title": line.form.title,
        "number": line.form.number,
        "for": line.form.use,
        "thresholds": line.form.rule.words,
        "verdict": line.verdict.value,
        **({"why": line.why} if line.measured is None else _numbers(line.measured) or {}),
    }


def _numbers(value: Estimate | None) -> dict[str, Any] | None:
    return None if value is None else {"value": value.mean, "low": value.low, "high": value.high, "n": value.n}


def _duration(seconds: float) -> str:
    """Return a duration in words."""
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
