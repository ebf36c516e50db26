"""The backend that repeats a stored run: every answer is the recorded one, and no endpoint is asked.

A run that asks what the recorded one asked gets its answers and writes the same bytes. The first question that was
not asked, or that was asked otherwise, ends the replay with an error that names it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

from repunet_model.backends.base import Request
from repunet_model.errors import ConfigurationError, DivergenceError
from repunet_model.questions.base import Answer, Coordinates
from repunet_model.storage.reader import StepReader
from repunet_model.storage.schema import CALLS, CallRow


class Recording:
    """The calls of a stored run, read step by step as they are needed."""

    def __init__(self, path: Path) -> None:
        """Open a run.

        Args:
            path: Its folder.

        Raises:
            RepuNetError: If there is no run, or it cannot be read.
        """
        self.run = StepReader.open(path)
        self.run.folder.check_chain(0, self.run.last)
        if (parent := self.run.manifest.parent) is not None:
            raise ConfigurationError(f"{path} is a fork of {parent['run']!r}: only whole runs replay")
        self._step = 0
        self._calls: dict[tuple[str | int, ...], CallRow] = {}

    @property
    def path(self) -> Path:
        """The folder of the run."""
        return self.run.folder.path

    def call(self, where: Coordinates) -> CallRow:
        """Return a recorded call.

        Raises:
            DivergenceError: If nothing was asked there.
        """
        if where.step > self.run.last:
            raise DivergenceError(f"the replayed run {self.path} ends with step {self.run.last}")
        if where.step != self._step:
            self._calls = {
                (where.step, row["stage"], row["question"], row["agent"], row["about"], row["source"]): row
                for row in self.run.step(where.step).rows(CALLS)
            }
            self._step = where.step
        try:
            return self._calls[where]
        except KeyError:
            raise DivergenceError(f"{_place(where)}: was not asked in the replayed run {self.path}") from None


class ReplayBackend:
    """The recorded answers of one backend of a run.

    Attributes:
        description: The recorded backend's: its answers are given again, so it is what the outcome depends on.
        reads_prompts: Whether the recorded backend did.
    """

    is_costly = False
    asks_model = False

    def __init__(self, recording: Recording, description: Mapping[str, Any], *, reads_prompts: bool) -> None:
        """Make a backend.

        Args:
            recording: The run.
            description: Which of its backends to repeat.
            reads_prompts: Whether that backend answered prompts, which are then compared.
        """
        self._recording = recording
        self.description = dict(description)
        self.reads_prompts = reads_prompts

    def check(self, own: Mapping[str, Any]) -> None:
        """Make sure that a run has the parameters of the recorded one.

        Args:
            own: Its parameters, by the names of the manifest.

        Raises:
            ConfigurationError: If one differs.
        """
        recorded = self._recording.run.manifest.config.stored()
        for name, value in own.items():
            if recorded[name] != value:
                raise ConfigurationError(
                    f"the run {self._recording.path} was made with {name}={recorded[name]}, a replay with "
                    f"{name}={value} would be another one"
                )

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Return the recorded answer.

        Raises:
            DivergenceError: If the question was not asked, or was asked otherwise.
        """
        row = self._recording.call(request.coordinates)
        if self.reads_prompts and row.get("request") != request.fingerprint:
            raise DivergenceError(
                f"{_place(request.coordinates)}: was asked otherwise in the replayed run "
                f"{self._recording.path}: {_difference(str(row.get('prompt')), request.prompt)}"
            )
        try:
            return request.question.read(json.dumps(row["answer"]))
        except ValueError as error:
            raise DivergenceError(
                f"{_place(request.coordinates)}: the answer of the replayed run {self._recording.path} does "
                f"not fit ({error})"
            ) from error

    async def close(self) -> None:
        """Nothing to give back."""


def _place(where: Coordinates) -> str:
    about = f" about {where.about}" if where.about else ""
    return f"step {where.step}, {where.question!r} to {where.agent}{about}"


def _difference(recorded: str, now: str) -> str:
    """Say where two prompts part."""
    if recorded == now:
        return "the rules of the game, the options or the model differ"
    start = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(recorded, now, strict=False)))
    return f"recorded {recorded[start : start + 40]!r}, now {now[start : start + 40]!r}"
