"""The findings of a study: sections of its report, lines for the terminal, and a Markdown page with pictures."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from repunet_model.errors import StorageError
from repunet_model.report import attack
from repunet_model.report.evidence import Evidence
from repunet_model.report.page import contrast_table, final_table, lead
from repunet_model.report.pictures import Picture
from repunet_model.report.sections import Section, Table
from repunet_model.study import claims, reference, screening
from repunet_model.study.following import Answers
from repunet_model.study.screening import Screened
from repunet_model.util import files

SHOWN = ("cooperation", "reference", "contrasts", "isolation", "gossip", "others", "screening", "attack")
"""The pictures of the report that the page shows as well, where there are any."""


def in_markdown(table: Table) -> str:
    """Return a table in Markdown, under its caption."""
    rule = ["---" if place < table.words else "---:" for place in range(len(table.headings))]
    rows = "\n".join(f"| {' | '.join(row)} |" for row in (table.headings, rule, *table.rows))
    return f"{table.caption}\n\n{rows}"


@dataclass(frozen=True, slots=True)
class Results:
    """The findings of a study.

    Attributes:
        evidence: Its runs.
        answers: The findings.
        screened: The screening of the rules, by scenario; none without one.
        others: Other runs of which the same is asked; None for none.
        attacked: The curves of its attack; none without one.
    """

    evidence: Evidence
    answers: Answers
    screened: Sequence[Screened] = ()
    others: Evidence | None = None
    attacked: Sequence[attack.Curve] = ()

    def sections(self) -> list[tuple[Section, Picture]]:
        """Return the last sections of the report, each with its picture."""
        found = [(reference.section(self.evidence), reference.picture(self.evidence))]
        if self.others is not None:
            found.append((self._of_others(self.others), reference.picture(self.others, "others", "Other runs")))
        if self.screened:
            found.append((screening.section(self.screened), screening.picture(self.screened)))
        if self.attacked:
            found.append((attack.section(self.attacked), attack.picture(self.attacked)))
        return found

    def _of_others(self, others: Evidence) -> Section:
        findings = [each for each in claims.findings(others, self.answers.asked) if each.measured is not None]
        texts = [lead(others), *reference.sentences(others)]
        texts.append("Questions and measures without a row have nothing to measure in these runs.")
        return Section("others", "Other runs", texts, tables=[reference.table(others), claims.table(findings)])

    def lines(self) -> list[str]:
        """Return the answers as lines of text."""
        text = [*claims.lines(self.answers.planned), "", *self.answers.texts]
        later = [*self.answers.later, *self.answers.with_more_seeds]
        if later:
            text += ["", "Exploratory:", *claims.lines(later)]
        return [*text, "", *screening.sentences(self.screened)]

    def statistics(self) -> dict[str, Any]:
        """Return the findings as entries of report.json."""
        parts = {
            "findings": self.answers.planned,
            "later": self.answers.later,
            "with_more_seeds": self.answers.with_more_seeds,
        }
        described = {
            name: [finding.described() for finding in found]
            for name, found in parts.items()
            if found or name == "findings"
        }
        attacks = {"attacks": attack.described(self.attacked)} if self.attacked else {}
        return {"plan": self.answers.plan, **described, **attacks}

    def write(self, path: Path, command: str, report: Path, sections: Sequence[Section]) -> None:
        """Write the page, with pictures of the report in a folder beside it.

        Args:
            path: The page.
            command: The command that ran the study.
            report: The folder of the report.
            sections: The sections of the report.

        Raises:
            StorageError: If the page cannot be written.
        """
        folder = path.with_suffix("")
        named = {section.name: section for section in sections}
        environment = Environment(
            loader=PackageLoader("repunet_model.study"), undefined=StrictUndefined, trim_blocks=True, autoescape=False
        )
        environment.filters["table"] = in_markdown
        text = environment.get_template("results.md.j2").render(
            command=command,
            lead=lead(self.evidence),
            folder=folder.name,
            sections=named,
            answers=self.answers,
            measured=claims.measured(self.answers.asked),
            final=final_table(self.evidence),
            contrasts=contrast_table(self.evidence),
        )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            shown = [] if folder.resolve() == report.resolve() else [name for name in SHOWN if name in named]
            for name in shown:
                shutil.copyfile(report / f"{name}.png", folder / f"{name}.png")
        except OSError as error:
            raise StorageError(f"{folder} cannot be written: {error.strerror or error}") from error
        files.replace(path, text.encode())
