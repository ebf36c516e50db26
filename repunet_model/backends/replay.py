"""The backend that answers with the recorded answers of a stored run.

A run with the same questions as the recorded one writes the same bytes. The first question that the recorded run did
not ask, or asked with another prompt, ends the replay with an error that names the question.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

from repunet_model.backends.base import Request
from repunet_model.errors import ConfigurationError, DivergenceError
from repunet_model.initial_network import InitialNetwork
from repunet_model.questions.base import Answer, Coordinates
from repunet_model.storage.reader import StepReader
from repunet_model.storage.schema import CALLS, CallRow


class Recording:
    """The recorded calls of the stored run in a folder, read step by step."""

    def __init__(self, path: Path) -> None:
        self.run = StepReader.open(path)
        self.path = self.run.folder.path
        self.run.folder.check_chain(0, self.run.last)
        self._step = 0
        self._calls: dict[tuple[str | int, ...], CallRow] = {}

    def call(self, where: Coordinates) -> CallRow:
        """Return the recorded call with these coordinates; raise DivergenceError if there is none."""
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
    """The recorded answers of a backend, under its description; prompts that it read are compared."""

    is_costly = False
    asks_model = False

    def __init__(self, recording: Recording, description: Mapping[str, Any], *, reads_prompts: bool) -> None:
        self._recording = recording
        self.description = dict(description)
        self.reads_prompts = reads_prompts

    def check(self, own: Mapping[str, Any], game_parameters: Mapping[str, Any]) -> None:
        """Compare a run with the recorded one; raise ConfigurationError if a parameter differs.

        Args:
            own: The parameters of the run by manifest names, the description of its ties at the start and the name of
                its prompt set.
            game_parameters: Those of its game.
        """
        manifest = self._recording.run.manifest
        recorded = {**manifest.config.in_table(), "network": manifest.network, "prompts": manifest.prompts["set"]}
        if own["game"] == recorded["game"]:
            recorded |= {f"game.{name}": value for name, value in manifest.game_parameters.items()}
            own = {**own, **{f"game.{name}": value for name, value in game_parameters.items()}}
        for name, value in own.items():
            if recorded.get(name, value) != value:
                was, now = (InitialNetwork(each) if name == "network" else each for each in (recorded[name], value))
                raise ConfigurationError(
                    f"the run {self._recording.path} was made with {name}={was}, a replay with {name}={now} would be "
                    "another one"
                )

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Return the recorded answer; raise DivergenceError if the question was not recorded with this prompt."""
        row, place = self._recording.call(request.coordinates), _place(request.coordinates)
        if self.reads_prompts and row.get("request") != request.fingerprint:
            raise DivergenceError(
                f"{place}: was asked otherwise in the replayed run {self._recording.path}: "
                f"{_difference(str(row.get('prompt')), request.prompt)}"
            )
        try:
            request.thoughts[:] = [row["thought"]] if "thought" in row else []
            return request.question.read(json.dumps(row["answer"]))
        except ValueError as error:
            raise DivergenceError(
                f"{place}: the answer of the replayed run {self._recording.path} does not fit ({error})"
            ) from error

    async def close(self) -> None:
        """Do nothing: there are no connections."""


def _place(where: Coordinates) -> str:
    about = f" about {where.about}" if where.about else ""
    return f"step {where.step}, {where.question!r} to {where.agent}{about}"


def _difference(recorded: str, now: str) -> str:
    """Describe the first difference of two prompts."""
    if recorded == now:
        return "the rules of the game, the options or the model differ"
    start = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(recorded, now, strict=False)))
    return f"recorded {recorded[start : start + 40]!r}, now {now[start : start + 40]!r}"
