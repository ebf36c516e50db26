"""Write a report as a folder: one self-contained page, and its pictures as PNG and SVG.

OUT/
    index.html          the report; opens without a network, prints on A4
    NAME.png, NAME.svg  each picture
    report.json         the runs it was made from, and the statistics of final cooperation
"""

from __future__ import annotations

import base64
import json
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from repunet_model.backends.asked import in_words
from repunet_model.backends.base import Usage
from repunet_model.errors import ConfigurationError, StorageError
from repunet_model.report import attack, audit, checks, dimensions
from repunet_model.report.contrasts import contrasts_of, statistics_of, unequal_in_words
from repunet_model.report.drawing import save
from repunet_model.report.evidence import FIRST, Evidence, Run, lengths_in_words, phase_in_words
from repunet_model.report.figures import gossip_line
from repunet_model.report.pictures import Picture, pictures
from repunet_model.report.sections import Section, Table, estimate_in_words
from repunet_model.report.statistics import METHOD, estimate
from repunet_model.results.tables import PHASE
from repunet_model.storage import stopping
from repunet_model.storage.manifest import made_by
from repunet_model.util import files
from repunet_model.util.text import counted, ranges, visible

MARKER = "report.json"
"""The file that marks a folder as a report, which may be replaced."""


def check_place(out: Path) -> None:
    """Check the place before any run; raise ConfigurationError if it holds other files, StorageError if unwritable."""
    try:
        if out.exists() and not (out / MARKER).is_file() and (not out.is_dir() or files.entries(out)):
            raise ConfigurationError(f"{out} is there and is no report: name another folder")
        files.check_new(out)
        above = next(folder for folder in out.absolute().parents if folder.exists())
    except OSError as error:
        raise StorageError(f"{out} cannot be written: {error.strerror or error}") from error
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise StorageError(f"{out} cannot be written: {above} is not a writable folder")


def write(
    evidence: Evidence,
    out: Path,
    title: str,
    *,
    before: Sequence[Section] = (),
    after: Sequence[tuple[Section, Picture]] = (),
    not_whole: Sequence[Mapping[str, Any]] = (),
    more: Mapping[str, Any] | None = None,
) -> list[Section]:
    """Write a report atomically, in place of an earlier one in the same folder, and return its sections.

    `before` and `after` are its first and last sections. `not_whole` holds run, result and error of each incomplete run
    of a sweep, which the report lacks; `more` are further entries of report.json. Raises ConfigurationError if `out`
    exists and is not a report, StorageError if the report cannot be written.
    """
    check_place(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".report-", dir=out.parent) as temporary:
            place = Path(temporary) / "whole"
            place.mkdir()
            drawn = [
                *(
                    (Section(each.name, each.title, tables=_tables_of(each, evidence)), each)
                    for each in pictures(evidence)
                ),
                *after,
            ]
            checked, picture = checks.section(evidence), checks.picture(evidence)
            audited = audit.section(evidence)
            attacked = attack.curves(evidence)
            if attacked:
                drawn.insert(0, (attack.section(attacked), attack.picture(attacked)))
            sections = [
                *before,
                *(drawn_section(*each, place) for each in drawn),
                checked if picture is None else drawn_section(checked, picture, place),
                *([] if audited is None else [audited]),
                runs_section(evidence),
                dimensions.section(evidence),
            ]
            page = html(
                title,
                lead(evidence),
                sections,
                _made(evidence.runs),
                not_taken=in_words([run.parameters.get("not_taken", "") for run in evidence.runs]),
                not_whole=not_whole,
            )
            (place / "index.html").write_text(page, encoding="utf-8", newline="\n")
            names = [str(run.stored.folder.path) for run in evidence.runs]
            content = {
                "runs": names,
                "statistics": statistics_of(evidence),
                "attacks": attack.described(attacked),
                "checks": checks.described(evidence),
                "audits": [each.described() for each in audit.audits(evidence)],
                "varied": dimensions.varied(evidence.runs),
                **(more or {}),
                **made_by(),
            }
            made = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
            (place / MARKER).write_text(made, encoding="utf-8", newline="\n")
            if out.exists():
                out.rename(Path(temporary) / "earlier")
            place.rename(out)
            return sections
    except OSError as error:
        raise StorageError(f"{out} cannot be written: {error.strerror or error}") from error


def html(
    title: str,
    lead: str,
    sections: Sequence[Section],
    made: str,
    *,
    not_taken: str = "",
    not_whole: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Return a page that needs no network; `made` describes the versions, for the others see the template."""
    return str(
        _template().render(
            title=title, lead=lead, sections=sections, made=made, not_taken=not_taken, not_whole=not_whole
        )
    )


@cache
def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("repunet_model.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=_shown,
    )  # fmt: skip
    return environment.get_template("report.html.j2")


def _shown(value: object) -> object:
    """Escape invisible, bidirectional and non-HTML characters in a value of the template."""
    return visible(value) if isinstance(value, str) else value


def drawn_section(section: Section, picture: Picture, place: Path) -> Section:
    """Write the files of a section's picture, and return the section with the picture embedded."""
    for kind in ("png", "svg"):
        save(picture.figure, place / f"{picture.name}.{kind}")
    image = base64.b64encode((place / f"{picture.name}.svg").read_bytes()).decode()
    return replace(section, name=picture.name, caption=picture.caption, image=image)


def lead(evidence: Evidence) -> str:
    """Summarise the runs of a report in a sentence."""
    games = ", ".join(dict.fromkeys(panel.title for panel in evidence.panels))
    runs, seeds = len(evidence.runs), len({run.seed for run in evidence.runs} - {None})
    last = sorted({run.last_step for run in evidence.runs})
    steps = counted(last[0], "step") if len(last) == 1 else f"{last[0]} to {last[-1]} steps"
    backends = ", ".join(dict.fromkeys(_backend(run) for run in evidence.runs))
    return (
        f"{games}. {counted(runs, 'run')} ({counted(seeds, 'seed') if seeds else 'no seed'}; "
        f"{', '.join(evidence.modes)}) of {steps}; answered by {backends}."
    )


def _backend(run: Run) -> str:
    """Describe the backend of a run."""
    name = str(run.parameters["backend"])
    model = run.parameters.get("backend.model")
    endpoint = run.parameters.get("backend.endpoint")
    if run.seed is None and not model:
        return name
    return f"{name}{f':{endpoint}' if endpoint else ''} ({model})" if model else f"the backend {name}"


def _tables_of(picture: Picture, evidence: Evidence) -> list[Table]:
    """Return the table below a picture; of several pictures of a kind, the first has the table of all panels."""
    tables = {
        "cooperation": [final_table],
        "contrasts": [contrast_table],
        "gossip_and_score": [_regression_table],
        "costs": [_cost_table, backends_table],
    }
    found = (table(evidence) for table in tables.get(picture.name.removesuffix("_1"), ()))
    return [table for table in found if table.rows]


def final_table(evidence: Evidence) -> Table:
    """Build the table of first and final cooperation by scenario and mode."""
    rows = []
    for panel, mode, _ in evidence.cells():
        first, last = (panel.by_seed(mode, "cooperation_rate", first=first) for first in (True, False))
        if last:
            final = estimate(list(last.values()))
            start = f"{np.mean([*first.values()]):.3f}" if first else "–"
            rows.append([panel.title, mode, start, *estimate_in_words(final), str(final.n)])
    first_steps, last_steps = (phase_in_words(evidence.runs, first) for first in (True, False))
    caption = (
        f"Mean cooperation rate. Last steps: {last_steps}. First steps: {first_steps or 'none'}"
        f"{_without_first(evidence)}. Interval: 95 % over seeds ({METHOD}). {lengths_in_words(evidence.runs)}"
    ).strip()
    return Table(caption, ["scenario", "mode", "first steps", "last steps", "95 % interval", "seeds"], rows, words=2)


def _without_first(evidence: Evidence) -> str:
    """Say which runs have no first steps; empty if all have."""
    if all(run.phase(first=True) for run in evidence.runs):
        return ""
    return f"; a run of fewer than {FIRST + PHASE} steps has none, since they would be among its last"


def contrast_table(evidence: Evidence) -> Table:
    """Build the table of differences between modes, paired by seed."""
    rows = []
    found = [(panel, each) for panel in evidence.panels for each in contrasts_of(panel)]
    for panel, each in found:
        effect = "–" if each.contrast.effect is None else f"{each.contrast.effect:.2f}"
        mean, interval = estimate_in_words(each.contrast.difference)
        tests = (_p_in_words(each.contrast.p), _p_in_words(each.adjusted))
        above = f"{each.contrast.above:.0%}"
        rows.append([panel.title, each.label, mean, interval, *tests, effect, above, str(len(each.runs))])
    steps = phase_in_words(run for _, each in found for pair in each.runs for run in pair)
    caption = (
        f"Differences in the mean cooperation rate of {steps or 'the last steps'}, paired by seed. Interval and p: "
        f"{METHOD} for pairs, not adjusted; p, Holm: adjusted for the contrasts of the scenario by Holm's method; "
        "effect: mean difference in standard deviations of the differences, corrected for small samples (Hedges' g); "
        f"above: share of seeds with a positive difference. {unequal_in_words([each for _, each in found])}"
    ).strip()
    headings = ["scenario", "contrast", "difference", "95 % interval", "p", "p, Holm", "effect", "above", "seeds"]
    return Table(caption, headings, rows, words=2)


def _p_in_words(p: float | None) -> str:
    if p is None:
        return "–"
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def _regression_table(evidence: Evidence) -> Table:
    rows = [
        [
            panel.title,
            f"{line.slope:+.4f}",
            f"{line.low:+.4f} to {line.high:+.4f}",
            _p_in_words(line.p),
            f"{line.r_squared:.3f}",
            str(line.agents),
            str(line.runs),
        ]
        for panel in evidence.panels
        if (line := gossip_line(panel)) is not None
    ]
    caption = (
        "Score at the end on the number of messages told, ordinary least squares over agents; errors are clustered by "
        "run (robust, HC3, for a single run); p is not adjusted for the number of lines. A slope is no cause: who is "
        "thought well of may also be tied to more people."
    )
    return Table(caption, ["scenario", "slope", "95 % interval", "p", "R²", "agents", "seeds"], rows)


def _cost_table(evidence: Evidence) -> Table:
    rows = []
    for panel, mode, runs in evidence.cells():
        *counts, usd = (
            math.fsum(run.total(name) for run in runs)
            for name in ("calls", "attempts", "tokens", "reasoning_tokens", "usd")
        )
        rows.append([panel.title, mode, *(f"{count:,.0f}" for count in counts), f"{usd:,.4f}"])
    caption = (
        "Questions answered, requests sent to endpoints, their tokens (with those of reasoning) and their known price, "
        "all seeds together."
    )
    headings = ["scenario", "mode", "questions", "requests", "tokens", "of reasoning", "US dollars"]
    return Table(caption, headings, rows, words=2)


def backends_table(evidence: Evidence) -> Table:
    """Build the table of costs by backend; it has no rows unless backends cost anything."""
    rows = []
    for panel, mode, runs in evidence.cells():
        total: dict[str, Usage] = {}
        for run in runs:
            for label, usage in run.costs.items():
                total.setdefault(label, Usage()).add(usage)
        for label, usage in sorted(total.items()):
            usd = "unknown" if usage.unpriced_tokens else f"{usage.usd:,.4f}"
            rows.append([panel.title, mode, visible(label), f"{usage.attempts:,}", f"{usage.tokens:,}", usd])
    caption = "Requests by backend, their tokens and their price, all seeds together."
    return Table(caption, ["scenario", "mode", "backend", "requests", "tokens", "US dollars"], rows, words=3)


def runs_section(evidence: Evidence) -> Section:
    """Describe the runs: the seeds of each cell, shared parameters, and steps copied by forks."""
    values = {
        name: {run.parameters.get(name) for run in evidence.runs}
        for name in dict.fromkeys(name for run in evidence.runs for name in run.parameters)
    }
    shared = [[name, str(*own)] for name, own in values.items() if len(own) == 1 and name not in {"run", "seed"}]
    cells = [[panel.title, mode, _repetitions(runs)] for panel, mode, runs in evidence.cells()]
    tables = [Table("Runs by scenario and mode.", ["scenario", "mode", "seeds"], cells, words=3)]
    if shared:
        tables.append(Table("Parameters that all runs share.", ["parameter", "value"], shared, words=2))
    texts = [
        f"{run.parameters['run']} is a fork: steps 1 to {run.shared_steps}, which it shares with its parent "
        f"{run.parameters['parent']}, are left out."
        for run in evidence.runs
        if run.shared_steps
    ]
    if (stopped := _stopped_in_words(evidence)) is not None:
        texts.append(stopped)
    return Section("runs", "Runs", texts, tables=tables)


def _stopped_in_words(evidence: Evidence) -> str | None:
    """Say how many runs ended since they were stable, and by which rule; None if none did."""
    noted = [(run, stopping.noted(run.stored.folder)) for run in evidence.runs]
    found = [stopped for run, stopped in noted if stopped is not None and stopped.step == run.stored.last]
    if not found:
        return None
    rule, steps = found[0].rule, [stopped.step for stopped in found]
    return (
        f"{len(found)} of {len(noted)} runs ended as stable, after steps {min(steps)} to {max(steps)}: the mean "
        f"cooperation rates of their last {rule.window} steps and of the {rule.window} before are less than "
        f"{rule.tolerance:g} apart, and they have at least {rule.least} steps."
    )


def _repetitions(runs: Sequence[Run]) -> str:
    """Format the seeds of some runs, and the names of those without one."""
    seeds = ranges(run.seed for run in runs if run.seed is not None)
    return ", ".join(filter(None, [seeds, *(run.label for run in runs if run.seed is None)]))


def _made(runs: Sequence[Run]) -> str:
    """Describe the versions that made the runs."""
    by = {json.dumps([run.stored.manifest.data.get(name) for name in ("repunet", "commit")]) for run in runs}
    versions = ", ".join(f"{version}, commit {commit or 'unknown'}" for version, commit in map(json.loads, sorted(by)))
    return (
        f"Runs made by RepuNet for Mesa {versions}. Intervals are of the seeds run; they say nothing of other models."
    )
