"""An interactive session: start or resume a run, advance it by some steps, inspect it, leave it.

Every step is stored as it is done, so that leaving loses nothing. An input error is one line, and the prompt returns. A
terminal has history and completion; other input is read line by line, and its end is `fin`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from rich.console import Console

from repunet_model import games
from repunet_model.backends.limits import Limits
from repunet_model.cli.progress import advance, folder_of, telling_how_to_go_on
from repunet_model.config import RunConfig
from repunet_model.errors import ConfigurationError, RepuNetError, StorageError
from repunet_model.jobs.resume import Resumed, check_nobody_types, resumed, start, start_from
from repunet_model.model import RepuNetModel
from repunet_model.report.tables import rates_table
from repunet_model.results import describe
from repunet_model.storage import RunFolder, StepReader, run_names
from repunet_model.util.text import (
    SCENARIOS,
    at_step,
    counted,
    one_line,
    scenario,
    scenario_names,
    showable,
    visible,
    whole,
    yes_or_no,
)

HELP = {
    "run": "run [SCENARIO] STEPS   so many steps more, such as: run 5",
    "status": "status                 the run, its last step and what it has cost",
    "show": "show NAME              what an agent went through, and what others think of it",
    "save": "save                   make sure that everything is stored, and say where",
    "fin": "fin                    save and leave (also: Ctrl-D)",
    "exit": "exit                   leave, and delete the run if it was started here",
    "help": "help                   this list",
}
"""The commands, each with its line of help."""

HISTORY = ".shell_history"
"""The file in the storage that holds what was typed at a terminal."""

Suggest = Callable[[str], Iterable[str]]
"""Returns the lines that complete the text typed so far."""


class Keyboard(Protocol):
    """A source of typed lines."""

    def ask(self, question: str, suggest: Suggest, storage: Path | None = None) -> str:
        """Return the next line (history in `storage`); raise EOFError at the end, KeyboardInterrupt on Ctrl-C."""


class Terminal:
    """A terminal, with history and completion."""

    def ask(self, question: str, suggest: Suggest, storage: Path | None = None) -> str:
        """Return the next line; see `Keyboard`."""
        history: History = InMemoryHistory() if storage is None else FileHistory(str(storage / HISTORY))
        session: PromptSession[str] = PromptSession(history=history, completer=_Completer(suggest))
        return session.prompt(_on_terminal(question))


class Pipe:
    """A pipe or a file; its lines are echoed, so that the output can be read on its own."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def ask(self, question: str, suggest: Suggest, storage: Path | None = None) -> str:
        """Return the next line; see `Keyboard`."""
        try:
            line = sys.stdin.readline() if sys.stdin is not None else ""
        except UnicodeDecodeError:
            line = ""  # Nothing sensible can follow.
        if not line:
            raise EOFError
        line = line.rstrip("\r\n")
        _show(self._console, f"{question}{line}")
        return line


class _Completer(Completer):
    def __init__(self, suggest: Suggest) -> None:
        self._suggest = suggest

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """Yield the lines that begin with what is typed, in capitals or not."""
        typed = document.text_before_cursor
        for line in self._suggest(typed):
            if line.casefold().startswith(typed.casefold()):
                yield Completion(line, start_position=-len(typed), display=_on_terminal(line))


class Shell:
    """An interactive session."""

    def __init__(
        self,
        storage: Path,
        config: RunConfig,
        keyboard: Keyboard,
        console: Console,
        errors: Console,
    ) -> None:
        """Create a session with the given options; seed and number of agents are for a new run."""
        self._storage = storage
        self._config = config
        self._limits = Limits()
        self._keyboard = keyboard
        self._console = console
        self._errors = errors
        self._is_own = True
        """Whether the run was started in this session, and may be deleted."""

    def run(self) -> None:
        """Run the session to its end; raise RepuNetError if no run can be started, or it was altered on disk."""
        try:
            model = self._start()
        except EOFError:
            return
        with model:
            self._say(f"{self._whereabouts(model)}. Type help for the commands.")
            while self._command(model):
                pass

    # The start

    def _start(self) -> RepuNetModel:
        """Ask for the run, its mode and its scenario, and start or resume it."""
        config, storage = self._config, self._storage
        check_nobody_types(start(config, storage).who())
        taken_up = self._answer(
            "Start from (RUN[/step_N], or nothing for a new run): ", self._stored, run_names(storage)
        )
        if isinstance(taken_up, Resumed):
            return taken_up.model
        if taken_up is None and start(config, storage).replayed_steps is not None:
            asked = {}
        else:
            asked = self._mode_and_scenario("pd" if taken_up is None else taken_up.manifest.config.game)
        config = config.changed(asked)
        begun = start(config, storage) if taken_up is None else start_from(taken_up, config, storage, os.environ)
        return begun.make(begun.who(), self._limits, storage=storage)

    def _mode_and_scenario(self, game: str) -> dict[str, Any]:
        """Ask for the mode and the scenario of a run."""
        asked: dict[str, Any] = {}
        for name, question in (("reputation", "Reputation (y/n)"), ("gossip", "Gossip (y/n)")):
            asked[name] = self._answer(f"{question} [y]: ", lambda text: yes_or_no(text or "y"), ("y", "n"))
        question = f"Scenario ({', '.join(scenario_names())}) [{game}]: "
        asked["game"] = self._answer(question, lambda text: scenario(text or game), SCENARIOS)
        return asked

    def _stored(self, text: str) -> Resumed | StepReader | None:
        """Resume the named run; a seed run is only opened, and None stands for a new run."""
        if not text:
            return None
        path, step = at_step(text, self._storage)
        run = StepReader.open(path, step)
        if run.last == 0:
            return run
        for option, field in (("--seed", "seed"), ("-n", "n_agents")):
            if field in self._config.model_fields_set:
                value = getattr(self._config, field)
                raise ConfigurationError(f"{option} {value} is for a new run: a stored one has its own")
        taken_up = resumed(path, step, self._storage, config=self._config, allow_human=False, limits=self._limits)
        self._is_own = taken_up.is_fork
        return taken_up

    def _answer[T](self, question: str, read: Callable[[str], T], suggested: Iterable[str]) -> T:
        """Ask until the answer is valid."""
        while True:
            try:
                return read(self._keyboard.ask(question, lambda _: suggested).strip())
            except RepuNetError as error:
                self._complain(error)
            except KeyboardInterrupt:
                self._say("")

    # Commands

    def _command(self, model: RepuNetModel) -> bool:
        """Take one command, and return whether the session goes on."""
        try:
            line = self._keyboard.ask("> ", lambda typed: _suggestions(model, typed), self._storage)
            command, _, rest = line.strip().partition(" ")
            if command not in {"fin", "exit"}:
                self._obey(model, command, rest.strip())
                return True
            _take_nothing(command, rest)
            if command == "exit":
                self._exit(model)
                return False
        except RepuNetError as error:
            self._complain(error)
            return True
        except KeyboardInterrupt:
            return True
        except EOFError:
            pass
        self._save(model)
        return False

    def _obey(self, model: RepuNetModel, command: str, rest: str) -> None:
        """Execute a command that does not end the session."""
        match command:
            case "":
                return
            case "run":
                self._run(model, _steps(rest, model.config.game))
            case "show":
                if not rest:
                    raise ConfigurationError("show: whom? name an agent, as in: show Emma Dubois")
                for line in describe.of_agent(StepReader(folder_of(model)), rest.strip("\"'"), model.steps):
                    self._say(line)
            case "status":
                _take_nothing(command, rest)
                self._status(model)
            case "save":
                _take_nothing(command, rest)
                self._save(model)
            case "help":
                for line in HELP.values():
                    self._say(line)
            case _:
                raise ConfigurationError(f"unknown command {command!r}: choose one of {', '.join(HELP)}")

    def _run(self, model: RepuNetModel, steps: int) -> None:
        """Run some steps, and show the rates of those that were completed."""
        first = model.steps + 1
        try:
            with telling_how_to_go_on(model, model.steps + steps, "run {}".format):
                advance(model, steps)
        finally:
            if model.steps >= first:
                self._console.print(rates_table(model, first))

    def _status(self, model: RepuNetModel) -> None:
        self._say(self._whereabouts(model))
        if model.steps:
            rates = {name: model.measures[name] for name in games.find(model.config.game).rates}
            self._say(", ".join(f"{name} {'-' if rate is None else f'{rate:.3g}'}" for name, rate in rates.items()))
        data = model.datacollector.get_model_vars_dataframe()
        calls, tokens = data["calls"].sum(), data["tokens"].sum()
        dollars = f", ${model.limits.purse.spent_usd:,.4f}" if model.limits.purse.spent_usd else ""
        self._say(f"{counted(calls, 'call')}, {counted(tokens, 'token')}{dollars}")

    def _save(self, model: RepuNetModel) -> None:
        """Verify that the run is stored, and show its folder."""
        # A new object, since the model's one caches hashes.
        folder = RunFolder(folder_of(model).path)
        for damage in folder.damages():
            raise StorageError(damage)
        self._say(f"Stored: {folder.path}, whole up to step {folder.steps()[-1]}")

    def _exit(self, model: RepuNetModel) -> None:
        """Delete the run if it was started here and the user confirms."""
        folder = folder_of(model)
        if not self._is_own:
            self._say(f"Kept: {folder.path}, which was there before, up to step {model.steps}")
            return
        try:
            answer = self._keyboard.ask(f"Delete {folder.path}? (y/n): ", lambda _: ("y", "n")).strip()
        except EOFError:
            answer = "n"
        if yes_or_no(answer):
            model.close()  # Closes its files.
            folder.delete()
            self._say(f"Deleted: {folder.path}")
        else:
            self._say(f"Kept: {folder.path}, up to step {model.steps}")

    def _whereabouts(self, model: RepuNetModel) -> str:
        parts = model.config.conditions
        return f"{folder_of(model).path}, step {model.steps}: {model.config.game}, {parts}, seed {model.config.seed}"

    def _say(self, line: str) -> None:
        _show(self._console, line)

    def _complain(self, error: RepuNetError) -> None:
        _show(self._errors, f"error: {one_line(str(error))}")


def keyboard(console: Console) -> Keyboard:
    """Return the input of this process; a console echoes lines that are not typed at a terminal."""
    return Terminal() if sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty() else Pipe(console)


def _on_terminal(text: str) -> str:
    return showable(visible(text), sys.stdout.encoding)


def _show(console: Console, line: str) -> None:
    console.print(line, highlight=False, soft_wrap=True)


def _suggestions(model: RepuNetModel, typed: str) -> list[str]:
    command, has_more, _ = typed.partition(" ")
    if not has_more:
        return list(HELP)
    words = {"run": SCENARIOS, "show": list(model.network.graph)}.get(command, ())
    return [f"{command} {word}" for word in words]


def _steps(text: str, game: str) -> int:
    """Parse the arguments of `run [SCENARIO] STEPS`."""
    *named, last = text.split() or [""]
    steps = whole(last)
    if len(named) > 1 or not steps:
        raise ConfigurationError(f"run {text}: must read run STEPS or run {game} STEPS, with at least 1 step")
    if named and named[0] != game and scenario(named[0]) != game:
        raise ConfigurationError(f"run {text}: the scenario of this run is {game}")
    return steps


def _take_nothing(command: str, rest: str) -> None:
    if rest.strip():
        raise ConfigurationError(f"{command} {rest.strip()}: {command} stands alone")
