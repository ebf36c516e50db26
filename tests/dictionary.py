"""The generated parts of the documents: the dictionary of columns and the table of commands.

uv run python -m tests.dictionary    # writes them into docs/analysis.md and docs/commands.md
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from typer.main import get_group

from repunet_model.cli.app import DATA, GO_ON, LOOK, MANY, MODELS, RUN, app
from repunet_model.games import GAMES
from repunet_model.storage.schema import CALLS, INTERACTIONS, TABLES, AgentState, Column, columns_of
from tests import ROOT

NAMES = {int: "whole number", float: "number", bool: "true or false", str: "text", list: "list"}


def columns() -> str:
    """Return a Markdown table of the columns of each table of a run."""
    return "\n".join(_columns())


def _columns() -> Iterator[str]:
    for table in TABLES.values():
        if not table.is_built_in:
            continue
        yield from _table(f"`{table.name}`: a row is {table.meaning}", table.columns, table is CALLS)
    for name, game in GAMES.items():
        yield from _table(f"`{INTERACTIONS.name}` of the game {name} has these columns, too", game.facts)
    yield from _table("`state.json`: an agent after a step (`load_run(...).agents`)", columns_of(AgentState))


def _table(heading: str, found: Mapping[str, Column], may_lack: bool = False) -> Iterator[str]:
    yield f"**{heading}.**{' Columns that do not apply are absent.' if may_lack else ''}"
    yield ""
    yield "| column | type | meaning |"
    yield "|---|---|---|"
    yield from (
        f"| `{name}` | {NAMES.get(column.kind, 'object')} | {column.meaning} |" for name, column in found.items()
    )
    yield ""


def commands() -> str:
    """Return a Markdown table of all commands with the first sentence of their help."""
    found = get_group(app).commands
    lines = ["| group | command | what it does |", "|---|---|---|"]
    for group in (RUN, LOOK, GO_ON, MANY, MODELS, DATA):
        for name, command in found.items():
            if getattr(command, "rich_help_panel", None) == group:
                sentence = " ".join((command.help or "").split("\n\n")[0].split()).split(". ")[0].rstrip(".")
                lines.append(f"| {group} | `{name}` | {sentence} |")
    return "\n".join([*lines, ""])


PARTS: dict[str, Callable[[], str]] = {"analysis": columns, "commands": commands}
"""What generates the part of a page, by the page."""

BEGIN, END = "<!-- generated: uv run python -m tests.dictionary -->\n", "<!-- end of the generated part -->"


def pages() -> Iterable[tuple[str, str, str]]:
    """Yield each page with its present text and the text that it should have."""
    for page, part in PARTS.items():
        text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        yield page, text, f"{before}{BEGIN}\n{part()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    for page, _, wanted in pages():
        (ROOT / "docs" / f"{page}.md").write_text(wanted, encoding="utf-8", newline="\n")
