"""Parse what users type (scenarios, yes and no, runs, steps) and format text for display and for prompts.

Nothing here takes long to import, so that errors in arguments are reported at once.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from repunet_model import extensions
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
    "donation": "donation",
}
"""The games by their names on the command line, including those of the published runner; `games.register` adds more."""


def scenario(text: str) -> str:
    """Return the game with a name; raise ConfigurationError if it is unknown."""
    try:
        return SCENARIOS[text]
    except KeyError:
        raise ConfigurationError(
            f"unknown scenario {text!r}: choose {', '.join(scenario_names())}, or load the file of your own before the "
            "command: --extension FILE.py"
        ) from None


def scenario_names() -> list[str]:
    """Return the games in the order of registration, each by the first of its names on the command line."""
    first = {game: name for name, game in reversed(SCENARIOS.items())}
    return [first[game] for game in dict.fromkeys(SCENARIOS.values())]


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural (with "s") unless the number is 1."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def one_of(names: Sequence[str]) -> str:
    """Join two or more names by commas, the last one by "or"."""
    return f"{', '.join(names[:-1])} or {names[-1]}"


def yes_or_no(text: str) -> bool:
    """Parse y or n; raise ConfigurationError if the text is neither."""
    answers = {"y": True, "yes": True, "n": False, "no": False}
    if text.lower() not in answers:
        raise ConfigurationError(f"{text!r}: say y or n")
    return answers[text.lower()]


def assignment(option: str, text: str, form: str = "NAME=VALUE") -> tuple[str, str]:
    """Parse the NAME=VALUE of an option; raise ConfigurationError if the text has another form."""
    name, is_there, value = (part.strip() for part in text.partition("="))
    if not (name and is_there and value):
        raise ConfigurationError(f"{option} {text!r}: must read {form}")
    return name, value


def assignments(text: str, what: str) -> dict[str, str]:
    """Parse NAME=VALUE,...; raise ConfigurationError, which begins with `what`, for another form or a name twice."""
    found: dict[str, str] = {}
    for part in text.split(",") if text.strip() else ():
        name, is_there, value = (word.strip() for word in part.partition("="))
        if not (name and is_there and value):
            raise ConfigurationError(f"{what}: {part.strip()!r} must read NAME=VALUE")
        if name in found:
            raise ConfigurationError(f"{what}: {name} is there twice")
        found[name] = value
    return found


def whole(text: str) -> int | None:
    """Parse a whole number of at most nine digits; None for any other text."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}")
_FORBIDDEN = frozenset('<>:"/\\|?*')
_DEVICES = frozenset({"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}) | {
    f"{device}{number}" for device in ("COM", "LPT") for number in "0123456789¹²³"
}
"""Names that Windows reserves for devices, with any extension."""


def is_file_name(name: str) -> bool:
    """Whether a name of a file or folder is valid on every system, Windows included."""
    return (
        bool(name)
        and not _FORBIDDEN & set(name)
        and all(char >= " " for char in name)
        and name.rstrip(" .") == name
        and name.partition(".")[0].rstrip(" ").upper() not in _DEVICES
    )


def is_folder_name(name: str) -> bool:
    """Whether a name can be that of a visible folder on every system."""
    return is_file_name(name) and name.strip(" .") == name


def check_folder_names(names: Iterable[str], why: str) -> None:
    """Raise ConfigurationError unless names can be those of different folders on every system; `why` explains it."""
    folders: dict[str, str] = {}
    for name in names:
        if not is_folder_name(name):
            raise ConfigurationError(f"{why}, and {name!r} cannot be one")
        other = folders.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if other != name:
            raise ConfigurationError(
                f"{why}, and those of {other!r} and {name!r} would be one where capitals do not count"
            )


def check_name(name: str) -> str:
    """Return a run's name; raise ConfigurationError unless it is valid on every system and lies in its storage."""
    if not _NAME.fullmatch(name) or name.rstrip(" .") != name:
        raise ConfigurationError(
            f"run name {name!r}: use at most 100 letters, digits, blanks, '.', '_', '-', a letter or digit first and "
            "no blank or '.' last"
        )
    if not is_file_name(name):
        raise ConfigurationError(f"run name {name!r}: Windows keeps it for a device; choose another")
    return name


PACKAGED_RUNS = Path(__file__).parent.parent / "packaged_runs"
"""The folder of runs that come with this package, by name; they are only read."""


def path_of(run_folder: str, storage: Path) -> Path:
    """Return a run's folder from its name or path; raise ConfigurationError for names such as "..".

    A name that the storage lacks may be that of a packaged run.
    """
    if "/" in _slashed(run_folder):
        return Path(run_folder)
    path, packaged = storage / check_name(run_folder), PACKAGED_RUNS / run_folder
    return packaged if packaged.is_dir() and not path.exists() else path


def at_step(text: str, storage: Path) -> tuple[Path, int | None]:
    """Parse RUN[/step_N] into the folder of a run and the step, None without one."""
    text = _slashed(text)
    run_folder, _, last = text.rstrip("/").rpartition("/")
    step = whole(last.removeprefix("step_")) if last.startswith("step_") else None
    if run_folder and step is not None:
        return path_of(run_folder, storage), step
    return path_of(text.rstrip("/") or text, storage), None


def _slashed(path: str) -> str:
    """Return a path with "/" as its separator, which every system accepts."""
    return path.replace(os.sep, "/")


def replayable(backend: str, storage: Path) -> str:
    """Return a backend with the run to replay given by its folder."""
    kind, _, replayed = backend.partition(":")
    return f"replay:{path_of(replayed, storage)}" if kind == "replay" and replayed else backend


def quoted(path: Path) -> str:
    """Quote a path for a shell, with a leading "./" where it would read as the name of a run; a packaged run's name."""
    if path.parent == PACKAGED_RUNS:
        return path.name
    text = f".{os.sep}{path}" if len(path.parts) == 1 else str(path)
    if os.name == "nt":
        return text if re.fullmatch(r"[\w.:\\-]+", text) else f'"{text}"'
    return shlex.quote(text)


def to_go_on(path: Path, steps: int, *, until_stable: bool = False, endpoints: Path | None = None) -> str:
    """Return the command that resumes a run for some steps, or until it is stable, with its file of endpoints."""
    rule = " --until-stable" if until_stable else ""
    where = "" if endpoints is None else f" --endpoints {quoted(endpoints)}"
    return command(f"resume {quoted(path)} --steps {steps}{rule}{where}")


def program() -> str:
    """Return the command that started the program: run.py of a checkout, `python -m`, or `repunet`."""
    match Path(sys.argv[0]).parts:
        case (*_, "run.py"):
            return "uv run run.py"
        case (*_, "repunet_model", "__main__.py"):
            return "python -m repunet_model"
    return "repunet"


def command(words: str) -> str:
    """Return a command line that a user can type, with the extension files that this process has loaded."""
    files = "".join(f"--extension {quoted(Path(file))} " for file in extensions.loaded())
    return f"{program()} {files}{words}"


def to_install(extra: str) -> str:
    """Return the command that installs an extra of this package."""
    return f"pip install 'repunet-mesa[{extra}]', or uv sync --extra {extra} in a checkout"


def visible(text: str) -> str:
    """Escape control, bidirectional and invisible characters, for display.

    Printable characters, spaces and new lines are kept. Stored texts are never changed.
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
    """Escape the characters that an encoding lacks; None stands for UTF-8."""
    encoding = encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def one_line(text: str) -> str:
    """Join the words of a text with single blanks."""
    return " ".join(text.split())


def ranges(numbers: Iterable[int]) -> str:
    """Format distinct whole numbers in ascending order, consecutive ones as a range."""
    groups = groupby(enumerate(sorted(numbers)), lambda item: item[1] - item[0])
    found = ([number for _, number in group] for _, group in groups)
    return ", ".join(f"{own[0]}–{own[-1]}" if len(own) > 1 else str(own[0]) for own in found)


def first_problem(error: ValidationError) -> str:
    """Return the first problem that pydantic found, with its place, in one line."""
    first = error.errors(include_url=False)[0]
    return one_line(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")


_MARK = re.compile(r"<(?=[|\uff5c]|/?s>|(?:start|end)_of_turn>|/?<SYS>>)|\[(?=/?INST\])", re.IGNORECASE)
"""Begin of a turn marker of a chat template: ChatML, Llama, Phi, Gemma, Mistral, DeepSeek."""


def without_marks(text: str) -> str:
    """Break the turn markers of chat templates in a text by a blank.

    Servers such as llama.cpp read a marker inside a message as a real one, which would let agents speak as the system.
    """
    return _MARK.sub(r"\g<0> ", text)
