"""Output on a terminal: text is never read as markup, and control characters are escaped.

Names and texts from personas, models and other users' folders are untrusted, so every command prints through this
module. Characters that the console's encoding lacks, such as Chinese ones in code page 1252, are escaped.
"""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any

from repunet_model.util.text import showable, visible

if TYPE_CHECKING:
    from rich.console import Console


def escape_unknown() -> None:
    """Make the standard streams escape characters that their encoding lacks, instead of raising an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say_next(**commands: str) -> None:
    """Print what a user may do next, a line for each command by its purpose."""
    for purpose, command in commands.items():
        say(f"To {purpose.replace('_', ' ')}: {command}")


def say(line: str, *, stderr: bool = False) -> None:
    """Print one line of any text on standard output or standard error."""
    print(visible(line).replace("\n", "\\n"), file=sys.stderr if stderr else sys.stdout)


def make_console(*, stderr: bool = False) -> Console:
    """Create a console for tables and progress, on standard output or standard error."""
    from rich.console import Console
    from rich.text import Text

    class Screen(Console):
        def render_str(self, text: str, **looks: Any) -> Text:
            # Escaped before layout, so that the columns of a table have the right width.
            return super().render_str(showable(visible(text), self.encoding), **looks)

    return Screen(stderr=stderr, markup=False, emoji=False)
