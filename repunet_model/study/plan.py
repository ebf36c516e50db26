"""A study, and its plan: what is run, asked and measured, written down with a hash before any run.

A plan is a JSON file::

    study         name, steps, seeds, random starts of the screening, limits, the grid of parameters, and its design
    confounded    what the design cannot tell apart, in sentences; only with a design
    claims        question, games and measures by key
    decision      how a number answers a question
    classifier    the classifier of the tone of gossip; null without one
    parameters    everything that identifies all runs alike: the mechanism, the model and how it is asked, ...
    runs          by run, what identifies it beside these
    estimate      requests, tokens and US dollars of all runs, and how they were estimated
    repunet, versions, commit, extensions
    sha256        the hash of all the above
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from repunet_model.backends.base import Usage
from repunet_model.backends.estimate import CHARACTERS_PER_TOKEN, estimating
from repunet_model.backends.prices import Prices
from repunet_model.config import FULL, MODES, NEITHER
from repunet_model.errors import ConfigurationError
from repunet_model.jobs.job import LimitsTable, Section, Steps, parsed
from repunet_model.results.sentiment import classifier
from repunet_model.storage.manifest import SHOWN_DIGITS, made_by
from repunet_model.study import attacking, claims, reference, screening
from repunet_model.study.claims import Claim
from repunet_model.sweep.design import Kind
from repunet_model.sweep.folder import SweepFolder
from repunet_model.sweep.grid import Grid, Sweep, designed_grids, seeds_of
from repunet_model.sweep.running import Prepared
from repunet_model.util import files
from repunet_model.util.text import quoted

FORMAT = 1

ESTIMATED_STEPS = 10
"""The largest number of steps that an estimate runs; costs of longer runs are scaled."""

_TOGETHER = ("game", "reputation", "gossip")
"""Parameters that may have several values in a study that is screened or attacked."""

APART = ("scenario", "reputation", "gossip")
"""Parameters that are combined with every cell of a design, by their names in grids, since claims compare modes."""


@dataclass(frozen=True, slots=True)
class Study:
    """A study: a sweep of one grid or its design, whose runs answer the claims.

    Attributes:
        sweep: The sweep.
        trajectories: The number of random starts of the screening of the rules; 0 for none.
        grid: The grid with all values.
        design: The design of the sweep; None for every combination. Each of its cells has every scenario and mode.
        points: The number of points of a Latin hypercube; None for the default.
        attack: The backend of the planted agents of its attack; empty for none.
    """

    sweep: Sweep
    trajectories: int
    grid: Grid
    design: Kind | None = None
    points: int | None = None
    attack: str = ""

    @classmethod
    def of_values(
        cls,
        sweep: Callable[[Mapping[str, Any], Kind | None, int | None, Sequence[str]], Sweep],
        values: Mapping[str, Any],
        starts: int | None,
        design: Kind | None = None,
        points: int | None = None,
        attack: str = "",
    ) -> Self:
        """Describe a study: the paper's scenarios in all modes, unless `values` say otherwise.

        Args:
            sweep: Makes the sweep of a grid from its values, its design, points, and the parameters apart from that.
            values: The values of parameters, as in the grid of a sweep.
            starts: The number of random starts of the screening; None for 6 if the rules answer and nothing but game
                and mode varies, else for none.
            design: The design of the sweep.
            points: The number of points of its Latin hypercube.
            attack: The backend of the planted agents of its attack; empty for none.

        Raises:
            ConfigurationError: If a value is invalid, there are fewer than two seeds, or it cannot be screened or
                attacked.
        """
        every = {"scenario": list(reference.SCENARIOS), "reputation": [True, False], "gossip": [True, False]}
        grid = {**every, **values}
        wanted, whole = sweep(grid, design, points, APART), Grid(grid)
        if len(wanted.seeds) < 2:
            raise ConfigurationError(f"--seeds {wanted.seeds[0]}: name at least two")
        problem = _not_screened(whole)
        if starts and problem:
            raise ConfigurationError(f"--trajectories {starts}: {problem}; leave the option out")
        if starts == 1:
            raise ConfigurationError("--trajectories 1: name at least two, or 0 for no screening")
        if attack and (problem := _not_attacked(whole)):
            raise ConfigurationError(f"--attack {attack}: {problem}; leave the option out")
        return cls(wanted, (0 if problem else 6) if starts is None else starts, whole, design, points, attack)

    def sweeps(self) -> dict[str, Sweep]:
        """Return its sweeps by part: that of its runs, first, and those of its screening and its attack."""
        parts = {"runs": self.sweep}
        if self.trajectories:
            parts["screening"] = screening.sweep(self.sweep, self.trajectories)
        if self.attack:
            parts["attack"] = attacking.sweep(self.sweep, self.attack)
        return parts

    def changed(self, more_seeds: str, limits: Mapping[str, Any]) -> Study:
        """Return the study with further seeds, and with other limits; raise ConfigurationError if one is invalid."""
        seeds = list(dict.fromkeys([*self.sweep.seeds, *(seeds_of(more_seeds) if more_seeds else ())]))
        limited = LimitsTable(**{**self.sweep.limits.model_dump(), **limits})
        return replace(self, sweep=replace(self.sweep, seeds=seeds, limits=limited))

    def described(self) -> dict[str, Any]:
        """Return what a plan stores of the study."""
        return {
            "name": self.sweep.name,
            "steps": self.sweep.steps,
            "until_stable": self.sweep.until_stable,
            "seeds": list(self.sweep.seeds),
            "trajectories": self.trajectories,
            "limits": self.sweep.limits.model_dump(),
            "grid": self.grid.stored(),
            **({"attack": self.attack} if self.attack else {}),
            **({"design": self.design, "points": self.points} if self.sweep.notes else {}),
        }


def _not_screened(grid: Grid) -> str:
    """Return why a study cannot be screened, empty if it can."""
    if problem := _not_offline(grid, "the screening"):
        return problem
    if not all(mode.reputation in grid.values["reputation"] and mode.gossip in grid.values["gossip"] for mode in _ENDS):
        return "the screening needs runs with reputation and gossip and with neither"
    return ""


def _not_attacked(grid: Grid) -> str:
    """Return why a study cannot be attacked, empty if it can."""
    return "its runs have events of their own" if any(grid.values["events"]) else _not_offline(grid, "the attack")


def _not_offline(grid: Grid, part: str) -> str:
    """Return why a part of a study that is by the rules alone cannot be run, empty if it can."""
    if grid.backends() != ["rules"]:
        return f"{part} is by the rules (--backend rules), and these runs are not"
    varied = {**grid.values, **grid.game}
    several = [name for name, values in varied.items() if len(values) > 1 and name not in _TOGETHER]
    return f"{part} needs one value of {several[0]}" if several else ""


_ENDS = (MODES[FULL], MODES[NEITHER])


class _Stored(Section):
    """The entries of a study in a plan."""

    name: str
    steps: Steps
    until_stable: bool
    seeds: list[int]
    trajectories: int
    limits: LimitsTable
    grid: dict[str, Any]
    design: Kind | None = None
    points: int | None = None
    attack: str = ""


@dataclass(frozen=True)
class Plan:
    """A plan; `content` is that of its file."""

    content: dict[str, Any]

    @classmethod
    def of_study(
        cls, study: Study, prepared: Prepared, asked: Sequence[Claim], prices: Prices, done: Callable[[int, int], None]
    ) -> Self:
        """Plan a study.

        Args:
            study: The study.
            prepared: Its sweep, with validated runs.
            asked: The claims.
            prices: The prices of models.
            done: Called after each step of the estimate, with the number of steps so far and in all.

        Raises:
            RepuNetError: If the cost cannot be estimated.
        """
        described = {
            cell.name: job.described.described(job.described.data["population"])
            for cell, job in zip(prepared.cells, prepared.jobs, strict=True)
            if job.described is not None
        }
        runs: dict[str, dict[str, Any]] = json.loads(json.dumps(described))
        shared, *others = runs.values()
        alike = {
            name: value
            for name, value in shared.items()
            if all(name in each and each[name] == value for each in others)
        }
        content = {
            "format": FORMAT,
            "study": study.described(),
            **({"confounded": list(study.sweep.notes)} if study.sweep.notes else {}),
            "claims": {claim.key: claim.described() for claim in asked},
            "decision": claims.DECISION,
            "classifier": None if (judge := classifier()) is None else judge.name,
            "parameters": alike,
            "runs": {run: {name: own[name] for name in own if name not in alike} for run, own in runs.items()},
            "estimate": estimated(prepared, prices, done),
            **made_by(),
        }
        return cls({**content, "sha256": _hash(content)})

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read a plan.

        Raises:
            ConfigurationError: If it is not there, is no plan, or was changed after it was written.
        """
        try:
            content = json.loads(file.read_bytes())
        except OSError as error:
            raise ConfigurationError(f"plan {file} cannot be read: {error.strerror or error}") from None
        except (ValueError, RecursionError) as error:
            raise ConfigurationError(f"plan {file} is no JSON: {error}") from None
        if not isinstance(content, dict) or content.get("format") != FORMAT or "sha256" not in content:
            raise ConfigurationError(f"{file} is no plan of this version: write one with study --plan FILE")
        if _hash(content) != content["sha256"]:
            raise ConfigurationError(
                f"plan {file} was changed after it was written: its content has another hash than the one in it; take "
                "the plan as it was written, or write another"
            )
        plan = cls(content)
        _ = plan.study(str(file))
        return plan

    def study(self, where: str = "plan") -> Study:
        """Return the planned study; raise ConfigurationError, beginning with `where`, if it is invalid."""
        stored = parsed(_Stored, self.content["study"], f"{where}: study")
        grid = Grid(stored.grid, f"{where}: grid")
        grids, notes = designed_grids(grid, stored.design, stored.points, APART)
        sweep = Sweep(
            stored.name, stored.steps, stored.seeds, grids, stored.limits, until_stable=stored.until_stable, notes=notes
        )
        return Study(sweep, stored.trajectories, grid, stored.design, stored.points, stored.attack)

    def text(self) -> bytes:
        """Return the content of its file."""
        return (json.dumps(self.content, ensure_ascii=False, indent=2) + "\n").encode()

    @property
    def digits(self) -> str:
        """The first digits of its hash."""
        return str(self.content["sha256"])[:SHOWN_DIGITS]

    def parameters_of(self, run: str) -> dict[str, Any]:
        """Return everything that identifies a planned run."""
        return {**self.content["parameters"], **self.content["runs"][run]}

    def in_words(self) -> str:
        """Summarise the plan in a sentence."""
        study, runs, asked = self.content["study"], self.content["runs"], self.content["claims"]
        return (
            f"{len(runs)} runs of {study['steps']} steps, {len(study['seeds'])} seeds, {len(asked)} questions; "
            f"estimated: {self.estimate()}"
        )

    def estimate(self) -> str:
        """Format the estimated cost."""
        estimate = self.content["estimate"]
        known = cost_in_words(estimate["requests"], estimate["tokens"], estimate["usd"])
        return f"{known}, and some models have no known price" if estimate["unpriced_tokens"] else known


def cost_in_words(requests: float, tokens: float, usd: float) -> str:
    """Format a cost."""
    if not tokens:
        return "no request to an endpoint"
    return f"{requests:,.0f} requests, {tokens:,.0f} tokens{f', ${usd:,.2f}' if usd else ''}"


def begin(study: Study, plan: Plan | None, storage: Path) -> list[str]:
    """Make the folder of a study, or take it up, with a copy of its plan in it before its first run.

    Returns:
        The runs that were there before the plan; none without a plan.

    Raises:
        ConfigurationError: If the folder is that of another plan, or of another study.
        StorageError: If the folder cannot be read or written.
    """
    path = storage / study.sweep.name
    copy, before = path / "plan.json", path / "before_plan.json"
    if copy.is_file():
        if plan is None:
            raise ConfigurationError(f"{path} follows a plan: use --follow {quoted(copy)}, or give another --name")
        if Plan.load(copy).content["sha256"] != plan.content["sha256"]:
            raise ConfigurationError(f"{path} follows another plan, {copy}: use that one, or give another --storage")
        return list(files.parsed(files.content(before), before))
    folder = SweepFolder.prepare(storage, study.sweep)
    if plan is None:
        return []
    there = sorted(run.name for run in files.entries(folder.runs)) if folder.runs.is_dir() else []
    files.replace(before, (json.dumps(there, indent=2) + "\n").encode())
    files.replace(copy, plan.text())
    return there


def _hash(content: dict[str, Any]) -> str:
    hashed = {name: value for name, value in content.items() if name != "sha256"}
    return sha256(json.dumps(hashed, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def estimated(prepared: Prepared, prices: Prices, done: Callable[[int, int], None]) -> dict[str, Any]:
    """Estimate the cost of all runs from one seed of each cell of the grid."""
    if not prepared.is_costly:
        return {"requests": 0, "tokens": 0, "usd": 0.0, "unpriced_tokens": 0, "how": "no endpoint is asked"}
    first = prepared.sweep.seeds[0]
    sample = [job for cell, job in zip(prepared.cells, prepared.jobs, strict=True) if cell.config.seed == first]
    steps = min(prepared.sweep.steps, ESTIMATED_STEPS)
    total = Usage()
    for number, job in enumerate(sample):
        assert job.start is not None
        with job.start.make(estimating(job.who(), prices), None) as model:
            for step in range(1, steps + 1):
                model.step()
                done(number * steps + step, len(sample) * steps)
            total.add(model.usage)
    times = len(prepared.sweep.seeds) * prepared.sweep.steps / steps
    return {
        "requests": round(total.attempts * times),
        "tokens": round(total.tokens * times),
        "usd": round(float(total.usd) * times, 4),
        "unpriced_tokens": round(total.unpriced_tokens * times),
        "how": (
            f"by the rules with seed {first}, {steps} steps of each cell of the grid, times {times:g}; a token is "
            f"{CHARACTERS_PER_TOKEN:g} characters; nothing is asked twice, and nothing comes from a cache"
        ),
    }
