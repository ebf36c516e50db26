"""The command line: parses arguments, calls the package, prints the result.

An error that a user can mend is one line on standard error and exit code 2, with no partial output. Slow imports are
inside functions, so that help and errors appear at once. Each module holds related commands; help lists them in the
order in which the modules are imported.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import typer
from typer.main import get_command

from repunet_model.cli import comparison, doctor, page, probe, prompts, runs, stored, study, sweeps, what_if
from repunet_model.cli.app import app
from repunet_model.errors import RepuNetError
from repunet_model.util.screen import escape_unknown, say
from repunet_model.util.text import one_line, program

MAIN_JOB = comparison.compare.__name__
"""The default command."""

__all__ = ["comparison", "doctor", "main", "page", "probe", "prompts", "runs", "stored", "study", "sweeps", "what_if"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 for success, 2 for an error, 130 for an interrupt."""
    escape_unknown()
    words = sys.argv[1:] if arguments is None else arguments
    try:
        code = _commands()(words or [MAIN_JOB], prog_name=program(), standalone_mode=False)
    except typer.TyperException as error:
        return _complain(error.format_message())
    except RepuNetError as error:
        _complain(str(error))
        return 130 if isinstance(error.__cause__, KeyboardInterrupt) else 2
    return code if isinstance(code, int) else 0


@cache
def _commands() -> Any:
    """Return the commands, built once: calling `app` would read the signatures of all of them each time."""
    return get_command(app)


def _complain(message: str) -> int:
    say(f"error: {one_line(message)}", stderr=True)
    return 2
