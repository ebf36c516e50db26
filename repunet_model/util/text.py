"""What users write, understood: scenarios by their short names, yes and no, runs by name or path, and steps of them.

Also the way back: how texts of others are shown, and what can be typed next: commands, by the name under which the
program was called. Nothing here takes long to import, so that whoever reads words can complain at once.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

from repunet_model.errors import ConfigurationError

if TYPE_CHECKING:
    from pydantic import ValidationError

SCENARIOS = {
    "pd": "prisoners_dilemma",
    "p": "prisoners_dilemma",
    "pd_game": "prisoners_dilemma",
    "prisoners_dilemma": "prisoners_dilemma",
    "investment": "investment",
    "invest": "investment",
    "i": "investment",
    "sign_up": "sign_up",
    "sign": "sign_up",
    "s": "sign_up",
}
"""The games by the names they have on a command line, those of the published runner included; `games.register` adds."""


def scenario(text: str) -> str:
    """Return the game of a name.

    Raises:
        ConfigurationError: If there is none.
    """
    try:
        return SCENARIOS[text]
    except KeyError:
        first = {game: name for name, game in reversed(SCENARIOS.items())}
        known = ", ".join(first[game] for game in dict.fromkeys(SCENARIOS.values()))
        raise ConfigurationError(f"unknown scenario {text!r}: choose {known}") from None


def yes_or_no(text: str) -> bool:
    """Return a truth value.

    Raises:
        ConfigurationError: If it is neither.
    """
    answers = {"y": True, "yes": True, "n": False, "no": False}
    if text.lower() not in answers:
        raise ConfigurationError(f"{text!r}: say y or n")
    return answers[text.lower()]


def whole(text: str) -> int | None:
    """Return a whole number in digits, at most nine; None for any other text."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}")
_FORBIDDEN = frozenset('<>:"/\\|?*')
_DEVICES = frozenset({"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}) | {
    f"{device}{number}" for device in ("COM", "LPT") for number in "0123456789¹²³"
}
"""Names that Windows keeps for devices, whatever follows them after a "."."""


def is_file_name(name: str) -> bool:
    """Whether every system, Windows included, takes a name for a file or folder."""
    return (
        bool(name)
        and not _FORBIDDEN & set(name)
        and all(char >= " " for char in name)
        and name.rstrip(" .") == name
        and name.partition(".")[0].rstrip(" ").upper() not in _DEVICES
    )


def check_name(name: str) -> str:
    """Return the name of a run, if it can be one on every system and lies in its storage.

    Raises:
        ConfigurationError: If it cannot.
    """
    if not _NAME.fullmatch(name) or name.rstrip(" .") != name:
        raise ConfigurationError(
            f"run name {name!r}: use at most 100 letters, digits, blanks, '.', '_', '-', a letter or digit first and "
            "no blank or '.' last"
        )
    if not is_file_name(name):
        raise ConfigurationError(f"run name {name!r}: Windows keeps it for a device; choose another")
    return name


def path_of(run_folder: str, storage: Path) -> Path:
    """Return the folder of a run that is given by its name or its path.

    Raises:
        ConfigurationError: If it is a name that no run can have, such as "..", which would lead out of the storage.
    """
    return Path(run_folder) if "/" in _slashed(run_folder) else storage / check_name(run_folder)


def at_step(text: str, storage: Path) -> tuple[Path, int | None]:
    """Return the folder of a run and the step, if RUN/step_N names one."""
    text = _slashed(text)
    run_folder, _, last = text.rstrip("/").rpartition("/")
    step = whole(last.removeprefix("step_")) if last.startswith("step_") else None
    if run_folder and step is not None:
        return path_of(run_folder, storage), step
    return path_of(text.rstrip("/") or text, storage), None


def _slashed(path: str) -> str:
    """Return a path with "/" between its parts, which every system takes."""
    return path.replace(os.sep, "/")


def replayable(backend: str, storage: Path) -> str:
    """Return the name of a backend; a run to replay is then named by its folder."""
    kind, _, replayed = backend.partition(":")
    return f"replay:{path_of(replayed, storage)}" if kind == "replay" and replayed else backend


def quoted(path: Path) -> str:
    """Return a path as a shell reads it, never as the bare name of a run."""
    text = f".{os.sep}{path}" if len(path.parts) == 1 else str(path)
    if os.name == "nt":
        return text if re.fullmatch(r"[\w.:\\-]+", text) else f'"{text}"'
    return shlex.quote(text)


def to_go_on(path: Path, steps: int) -> str:
    """Return the command that goes on with a run.

    Args:
        path: The folder of the run.
        steps: How many steps.
    """
    return command(f"resume {quoted(path)} --steps {steps}")


def program() -> str:
    """Return how the command line was called: as run.py of a checkout, by `python -m`, or else as `repunet`."""
    match Path(sys.argv[0]).parts:
        case (*_, "run.py"):
            return "uv run run.py"
        case (*_, "repunet_model", "__main__.py"):
            return "python -m repunet_model"
    return "repunet"


def command(words: str) -> str:
    """Return a command line that a user can type.

    Args:
        words: What follows the program's name.
    """
    return f"{program()} {words}"


def to_install(extra: str) -> str:
    """Return how an extra of this package is installed."""
    return f"pip install 'repunet-mesa[{extra}]', or uv sync --extra {extra} in a checkout"


def visible(text: str) -> str:
    """Return a text as it can be shown: whatever steers a terminal, turns or hides letters is escaped.

    Printable characters, spaces and new lines stay as they are. What is stored is never changed, only what is shown.
    """
    if text.isprintable():
        return text
    return "".join(
        char
        if char == "\n" or char.isprintable() or unicodedata.category(char) == "Zs"
        else char.encode("unicode_escape").decode()
        for char in text
    )


def showable(text: str, encoding: str | None) -> str:
    """Return a text with escapes for the characters that an encoding lacks.

    Args:
        text: The text.
        encoding: That of a terminal, a pipe or a file; None for one that has all characters.
    """
    encoding = encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def one_line(text: str) -> str:
    """Return a text of somebody's in one line, with single blanks between its words."""
    return " ".join(text.split())


def first_problem(error: ValidationError) -> str:
    """Return what is wrong with some data in one line: where in them it is first, and what.

    Args:
        error: What pydantic says of them.
    """
    first = error.errors(include_url=False)[0]
    return one_line(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")


_MARK = re.compile(r"<(?=[|\uff5c]|/?s>|(?:start|end)_of_turn>|/?<SYS>>)|\[(?=/?INST\])", re.IGNORECASE)
"""Where a mark begins that chat templates part turns with: ChatML, Llama, Phi, Gemma, Mistral, DeepSeek."""


def without_marks(text: str) -> str:
    """Return a text as a chat model may be sent it: a blank stands in every mark of a turn, which so is none.

    Servers such as llama.cpp take a mark inside of a message for a mark, so that whoever writes one could speak as the
    rules.
    """
    return _MARK.sub(r"\g<0> ", text)
