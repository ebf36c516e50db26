"""What is shown on a terminal: as it is, never as markup, and nothing in it steers the terminal.

Names and texts come from personas, models and other people's folders. Whatever a command shows goes through here.
Characters that a console has no place for, such as Chinese ones in code page 1252, are escaped.
"""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any

from repunet_model.util.text import showable, visible

if TYPE_CHECKING:
    from rich.console import Console


def escape_unknown() -> None:
    """Let the standard streams escape the characters that their encoding lacks, where Python would raise an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(line: str, *, stderr: bool = False) -> None:
    """Write one line, whatever it holds, on the standard output or on the standard error stream."""
    print(visible(line).replace("\n", "\\n"), file=sys.stderr if stderr else sys.stdout)


def make_console(*, stderr: bool = False) -> Console:
    """Return a console for tables and progress, on the standard output or on the standard error stream."""
    from rich.console import Console
    from rich.text import Text

    class Screen(Console):
        def render_str(self, text: str, **looks: Any) -> Text:
            # Here already, so that the columns of a table have their width.
            return super().render_str(showable(visible(text), self.encoding), **looks)

    return Screen(stderr=stderr, markup=False, emoji=False)
