"""Write the study as a Markdown page, with its pictures in a folder beside it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from repunet_model.errors import StorageError
from repunet_model.report.evidence import Evidence
from repunet_model.report.page import Table, contrast_table, final_table, lead
from repunet_model.report.pictures import pictures
from repunet_model.study import claims, screening
from repunet_model.study.claims import Finding
from repunet_model.study.screening import Screened
from repunet_model.util import files

SHOWN = ("cooperation", "contrasts", "isolation", "gossip")
"""The pictures of the report on the page; that of the screening follows."""


def in_markdown(table: Table) -> str:
    """Return a table in Markdown."""
    rule = ["---" if place < table.words else "---:" for place in range(len(table.headings))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (table.headings, rule, *table.rows))


def write(
    path: Path,
    command: str,
    report: Path,
    evidence: Evidence,
    findings: Sequence[Finding],
    screened: Sequence[Screened],
    seeds: int,
) -> None:
    """Write the page, and copy the pictures of `report` to a folder with its name; raise StorageError if that fails.

    `command` is the one that ran the study; `seeds` is the number of seeds at each point of the screening.
    """
    folder = path.with_suffix("")
    shown = [each for each in pictures(evidence) if each.name in SHOWN]
    shown.append(screening.picture(screened, seeds))
    environment = Environment(
        loader=PackageLoader("repunet_model.study"), undefined=StrictUndefined, trim_blocks=True, autoescape=False
    )
    tables = {
        "answers": claims.table(findings),
        "final": final_table(evidence),
        "contrasts": contrast_table(evidence),
        "screening": screening.table(screened),
    }
    text = environment.get_template("results.md.j2").render(
        command=command,
        lead=lead(evidence),
        folder=folder.name,
        pictures={each.name: each for each in shown},
        claims=claims.CLAIMS,
        sentences=screening.sentences(screened),
        **{name: in_markdown(table) for name, table in tables.items()},
        **{f"{name}_caption": table.caption for name, table in tables.items()},
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for each in shown:
            shutil.copyfile(report / f"{each.name}.png", folder / f"{each.name}.png")
    except OSError as error:
        raise StorageError(f"{folder} cannot be written: {error.strerror or error}") from error
    files.replace(path, text.encode())
