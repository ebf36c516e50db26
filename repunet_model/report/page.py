"""A report as a folder: the pictures as PNG and SVG, and one page that holds all of it and needs nothing else.

OUT/
index.html         the report; opens without a network, prints on A4
NAME.png, NAME.svg each picture
report.json        the runs it was made from
"""

from __future__ import annotations

import base64
import json
import math
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from repunet_model.errors import ConfigurationError, StorageError
from repunet_model.report.drawing import save
from repunet_model.report.evidence import Evidence, Panel, Run
from repunet_model.report.figures import contrasts_of, gossip_line
from repunet_model.report.pictures import Picture, pictures
from repunet_model.report.statistics import Estimate, estimate
from repunet_model.results.tables import PHASE
from repunet_model.storage.manifest import made_by
from repunet_model.util import files
from repunet_model.util.text import visible

MARKER = "report.json"
"""The file by which a folder is known to be a report, which may be made anew."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a report.

    Attributes:
        caption: What it shows.
        headings: Of its columns.
        rows: Its cells, in words.
        words: How many first columns are words; the others are numbers.
    """

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1


@dataclass(frozen=True, slots=True)
class Section:
    """A section of a report.

    Attributes:
        name: Its anchor, and the name of the files of its picture.
        title: Its heading.
        texts: Its paragraphs.
        caption: Of its picture.
        image: The picture as SVG, in base64; empty for none.
        tables: Its tables.
    """

    name: str
    title: str
    texts: Sequence[str] = ()
    caption: str = ""
    image: str = ""
    tables: Sequence[Table] = field(default_factory=list)


def check_place(out: Path) -> None:
    """Make sure that a report can be written, before the work that it shows.

    Raises:
        ConfigurationError: If there is something that is no report.
        StorageError: If its folder cannot be written.
    """
    try:
        if out.exists() and not (out / MARKER).is_file() and (not out.is_dir() or files.entries(out)):
            raise ConfigurationError(f"{out} is there and is no report: name another folder")
        files.check_new(out)
        above = next(folder for folder in out.absolute().parents if folder.exists())
    except OSError as error:
        raise StorageError(f"{out} cannot be written: {error.strerror or error}") from error
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise StorageError(f"{out} cannot be written: {above} is no folder that can be written")


def write(
    evidence: Evidence,
    out: Path,
    title: str,
    *,
    before: Sequence[Section] = (),
    after: Sequence[tuple[Section, Picture]] = (),
    not_whole: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write a report, whole or not at all; an earlier one in the same folder is replaced.

    Args:
        evidence: The runs.
        out: The folder.
        title: What it is about.
        before: Sections that come first.
        after: Sections that come last, each with its picture.
        not_whole: Runs of a sweep that are not in it: their run, result and error.

    Raises:
        ConfigurationError: If there is something else in the folder.
        StorageError: If it cannot be written.
    """
    check_place(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".report-", dir=out.parent) as temporary:
            place = Path(temporary) / "whole"
            place.mkdir()
            sections = [_drawn(Section(each.name, each.title), each, place) for each in pictures(evidence)]
            sections = [_with_tables(section, evidence) for section in sections]
            page = _template().render(
                title=title,
                lead=lead(evidence),
                not_whole=not_whole,
                sections=[*before, *sections, *(_drawn(*each, place) for each in after), _runs_section(evidence)],
                made=_made(evidence.runs),
            )
            (place / "index.html").write_text(page, encoding="utf-8", newline="\n")
            names = [str(run.stored.folder.path) for run in evidence.runs]
            made = json.dumps({"runs": names, **made_by()}, indent=2) + "\n"
            (place / MARKER).write_text(made, encoding="utf-8", newline="\n")
            if out.exists():
                out.rename(Path(temporary) / "earlier")
            place.rename(out)
    except OSError as error:
        raise StorageError(f"{out} cannot be written: {error.strerror or error}") from error


@cache
def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("repunet_model.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=_shown,
    )  # fmt: skip
    return environment.get_template("report.html.j2")


def _shown(value: object) -> object:
    """Return what a template writes: no character in it hides or turns others, or is none of HTML's."""
    return visible(value) if isinstance(value, str) else value


def _drawn(section: Section, picture: Picture, place: Path) -> Section:
    """Write the picture of a section, and return the section with it."""
    for kind in ("png", "svg"):
        save(picture.figure, place / f"{picture.name}.{kind}")
    image = base64.b64encode((place / f"{picture.name}.svg").read_bytes()).decode()
    return Section(picture.name, section.title, section.texts, picture.caption, image, section.tables)


def lead(evidence: Evidence) -> str:
    """Return what a report is made from, in words."""
    games = ", ".join(dict.fromkeys(panel.title for panel in evidence.panels))
    runs, seeds = len(evidence.runs), len({run.seed for run in evidence.runs})
    last = sorted({run.last_step for run in evidence.runs})
    steps = f"{last[0]} steps" if len(last) == 1 else f"{last[0]} to {last[-1]} steps"
    backends = ", ".join(dict.fromkeys(_backend(run) for run in evidence.runs))
    return (
        f"{games}. {runs} run{'s' if runs > 1 else ''} ({seeds} seed{'s' if seeds > 1 else ''}; "
        f"{', '.join(evidence.modes)}) of {steps}; answered by {backends}."
    )


def _backend(run: Run) -> str:
    """Return who answered in a run, in words."""
    name = str(run.parameters["backend"])
    imported = run.stored.manifest.imported
    if imported is not None:
        past = f"the published implementation up to step {imported['step']}"
        return f"{past}, then {name}" if run.stored.last else past
    model = run.parameters.get("backend.model")
    return f"{name} ({model})" if model else f"the backend {name}"


def _with_tables(section: Section, evidence: Evidence) -> Section:
    """Return a section of a picture with the tables that belong to it."""
    made = {"cooperation": final_table, "contrasts": contrast_table, "gossip_and_score": _regression_table}
    made["costs"] = _cost_table
    # With many panels there are several pictures of a kind; the table, which has them all, is with the first.
    name = section.name.removesuffix("_1")
    tables = [made[name](evidence)] if name in made else []
    return Section(section.name, section.title, section.texts, section.caption, section.image, tables)


def estimate_in_words(value: Estimate) -> tuple[str, str]:
    """Return a mean and its interval."""
    interval = "too few runs" if value.low is None else f"{value.low:.3f} to {value.high:.3f}"
    return f"{value.mean:.3f}", interval


def final_table(evidence: Evidence) -> Table:
    """Return first and final cooperation of every scenario and mode."""
    rows = []
    for panel, mode, _ in evidence.cells():
        first, last = (panel.by_seed(mode, "cooperation_rate", first=first) for first in (True, False))
        if last:
            final = estimate(list(last.values()))
            rows.append([panel.title, mode, f"{_mean(first.values()):.3f}", *estimate_in_words(final), str(final.n)])
    caption = (
        f"Mean cooperation rate of the first {PHASE // 2} and of the last {PHASE} steps; interval: 95 % bootstrap "
        f"(BCa) "
        "over seeds, from five seeds on."
    )
    return Table(caption, ["scenario", "mode", "first steps", "last steps", "95 % interval", "seeds"], rows, words=2)


def contrast_table(evidence: Evidence) -> Table:
    """Return the differences between modes, paired by seed."""
    rows = []
    for panel in evidence.panels:
        for name, each in contrasts_of(panel):
            effect = "–" if each.effect is None else f"{each.effect:.2f}"
            mean, interval = estimate_in_words(each.difference)
            rows.append([panel.title, name, mean, interval, effect, f"{each.above:.0%}", str(each.difference.n)])
    caption = (
        f"Differences in the mean cooperation rate of the last {PHASE} steps, paired by seed; effect: mean "
        f"difference in "
        "standard deviations of the differences (Cohen's d for pairs); above: share of seeds with a positive "
        "difference."
    )
    headings = ["scenario", "contrast", "difference", "95 % interval", "effect", "above", "seeds"]
    return Table(caption, headings, rows, words=2)


def _regression_table(evidence: Evidence) -> Table:
    rows = []
    for panel in evidence.panels:
        line = gossip_line(panel)
        if line is not None:
            rows.append(
                [
                    panel.title,
                    f"{line.slope:+.4f}",
                    f"{line.low:+.4f} to {line.high:+.4f}",
                    f"{line.p:.3f}" if line.p >= 0.001 else "< 0.001",
                    f"{line.r_squared:.3f}",
                    str(line.agents),
                    str(line.runs),
                ]
            )
    caption = (
        "Score at the end on the number of messages told, ordinary least squares over agents; errors are clustered "
        "by run "
        "(robust, HC3, for a single run). A slope is no cause: who is thought well of may also be tied to more people."
    )
    return Table(caption, ["scenario", "slope", "95 % interval", "p", "R²", "agents", "seeds"], rows)


def _cost_table(evidence: Evidence) -> Table:
    rows = []
    for panel, mode, runs in evidence.cells():
        totals = [
            math.fsum(float(run.measures[name].sum()) for run in runs if name in run.measures)
            for name in ("calls", "attempts", "tokens", "usd")
        ]
        calls, attempts, tokens, usd = totals
        rows.append([panel.title, mode, f"{calls:,.0f}", f"{attempts:,.0f}", f"{tokens:,.0f}", f"{usd:,.4f}"])
    caption = "Questions answered, requests sent to endpoints, their tokens and their known price, all seeds together."
    return Table(caption, ["scenario", "mode", "questions", "requests", "tokens", "US dollars"], rows, words=2)


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return float(np.mean(found)) if found else math.nan


def _runs_section(evidence: Evidence) -> Section:
    """Return what the runs are: the parameters that they share, and those by which cells differ."""
    shared: list[list[str]] = []
    names = dict.fromkeys(name for run in evidence.runs for name in run.parameters)
    for name in names:
        values = list(dict.fromkeys(run.parameters.get(name) for run in evidence.runs))
        if len(values) == 1 and name not in {"run", "seed"}:
            shared.append([name, str(values[0])])
    cells = [[panel.title, mode, _seeds(panel, mode)] for panel, mode, _ in evidence.cells()]
    tables = [Table("Runs by scenario and mode.", ["scenario", "mode", "seeds"], cells, words=3)]
    if shared:
        tables.append(Table("Parameters that all runs share.", ["parameter", "value"], shared, words=2))
    forks = [run for run in evidence.runs if run.shared_steps]
    texts = [
        f"{run.parameters['run']} is a fork: steps 1 to {run.shared_steps}, which it shares with its parent "
        f"{run.parameters['parent']}, are left out."
        for run in forks
    ]
    return Section("runs", "Runs", texts, tables=tables)


def _seeds(panel: Panel, mode: str) -> str:
    """Return the seeds of a mode in words, ranges as such."""
    return ", ".join(_ranges([run.seed for run in panel.runs[mode]]))


def _ranges(numbers: Sequence[int]) -> Iterator[str]:
    first = last = None
    for number in [*sorted(numbers), None]:
        if last is not None and (number is None or number != last + 1):
            yield str(last) if first == last else f"{first}–{last}"
            first = None
        first, last = (number if first is None else first), number


def _made(runs: Sequence[Run]) -> str:
    """Return what made the runs and the report."""
    by = {json.dumps([run.stored.manifest.data.get(name) for name in ("repunet", "commit")]) for run in runs}
    versions = ", ".join(f"{version}, commit {commit or 'unknown'}" for version, commit in map(json.loads, sorted(by)))
    return (
        f"Runs made by RepuNet for Mesa {versions}. Intervals are of the seeds run; they say nothing of other models."
    )
