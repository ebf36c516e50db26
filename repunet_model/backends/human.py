"""The backend of a human at the keyboard, who takes part as an agent.

The human reads the rules of the game once, and for each question the prompt that a language model would read, and
answers field by field: the number of an option, a number, or a line of text. Invalid input is explained and asked for
again. Concurrent questions are asked one at a time. If the input ends, the step fails; its answers are recorded, and
the run can be resumed.

Control characters in texts of other agents are escaped, so that they cannot control the terminal.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, TextIO

from repunet_model.backends.base import Request
from repunet_model.errors import BackendError
from repunet_model.questions.base import Answer
from repunet_model.questions.compound import Compound
from repunet_model.util.text import showable, visible

HOW_TO_ANSWER = (
    "(The fields of the JSON object are asked for one after another: type a text, or a number, and then Enter.)"
)

Stream = Callable[[], TextIO | None]
"""A function that returns a stream: a process may have none, and tests and notebooks replace it."""


class HumanBackend:
    """A human who reads questions from one stream and types answers into another."""

    reads_prompts = True
    is_costly = True
    asks_model = False

    def __init__(self, keyboard: Stream, screen: Stream) -> None:
        self.description: dict[str, Any] = {"backend": "human"}
        self._lines = _Lines(keyboard)
        self._screen = screen
        self._turn = asyncio.Lock()
        self._rules = ""

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Ask for all fields until they are valid; raise BackendError if the input has ended or a stream fails."""
        async with self._turn:
            try:
                return await self._answer(request)
            except BaseException:
                with contextlib.suppress(BackendError):
                    self._show("\n")  # later output starts on a new line
                raise

    async def close(self) -> None:
        """Do nothing: the streams belong to the process."""

    async def _answer[A: Answer](self, request: Request[A]) -> A:
        question = request.question
        if isinstance(question, Compound):
            parts = await question.in_turn(lambda ask, digest: self._answer(request.part(ask, digest)))
            return request.question.as_answer(parts)
        if request.prompts.system != self._rules:
            self._rules = request.prompts.system
            self._show(f"\n{self._rules}\n\n{HOW_TO_ANSWER}\n")
        self._show(f"\n--- {request.coordinates.agent}: {question.name}\n\n{request.prompt}\n\n")
        while True:
            values = {name: await self._ask(request, name) for name in request.schema["properties"]}
            try:
                return request.read(json.dumps(values))
            except ValueError as error:
                self._show(f"These answers do not go together: {error}. Once more, please.\n")

    async def _ask(self, request: Request[Any], name: str) -> Any:
        """Ask for a field until the input is valid."""
        field = request.schema["properties"][name]
        words = _words(name, field)
        if words is None:
            raise BackendError(f"{request.question.name!r} cannot be asked at the keyboard: what is {name!r}?")
        while True:
            self._show(words)
            try:
                return _value(await self._line(request), field)
            except ValueError as error:
                self._show(f"That does not fit: {error}.\n")

    async def _line(self, request: Request[Any]) -> str:
        """Return the next line; raise ValueError if it is not text, BackendError if there is none."""
        where = request.coordinates
        try:
            line = await self._lines.next()
        except UnicodeDecodeError:
            raise ValueError("it cannot be read as text") from None
        except (OSError, ValueError) as error:
            raise BackendError(f"the keyboard cannot be read for {where.agent}: {error}") from error
        if not line:
            raise BackendError(
                f"no more answers at the keyboard for {where.agent}, at {where.question!r} in step {where.step}"
            )
        return line

    def _show(self, text: str) -> None:
        """Show a text; characters that are invisible or that the screen cannot encode are escaped."""
        screen = self._screen()
        if screen is None:
            raise BackendError("there is no screen on which to ask")
        try:
            screen.write(showable(visible(text), getattr(screen, "encoding", None)))
            screen.flush()
        except (OSError, ValueError) as error:
            raise BackendError(f"the question cannot be shown: {error}") from error


class _Lines:
    """The lines of a stream, read on daemon threads.

    A read cannot be cancelled: after a cancelled question, the next line goes to the next question.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._reading: Future[str] | None = None

    async def next(self) -> str:
        """Return the next line, empty at the end of the input; raise OSError or ValueError if it cannot be read."""
        if self._reading is None:
            self._reading = Future()
            self._reading.set_running_or_notify_cancel()  # a cancelled question must not cancel it
            threading.Thread(target=self._read, args=(self._reading,), name="repunet-keyboard", daemon=True).start()
        line = asyncio.wrap_future(self._reading)
        try:
            return await line
        finally:
            if not line.cancelled():
                self._reading = None

    def _read(self, reading: Future[str]) -> None:
        try:
            stream = self._stream()
            reading.set_result("" if stream is None else stream.readline())
        except Exception as error:
            reading.set_exception(error)


def _words(name: str, field: Mapping[str, Any]) -> str | None:
    """Return the text that asks for a field of a schema; None for a type that cannot be typed."""
    about = f" ({field['description']})" if "description" in field else ""
    if "enum" in field:
        listed = "".join(f"  {number}  {option}\n" for number, option in enumerate(field["enum"], 1))
        return f"{name}{about}:\n{listed}number: "
    if field.get("type") == "string":
        return f"{name}{about}: "
    if field.get("type") in ("number", "integer"):
        ends = (("from", "minimum"), ("to", "maximum"))
        limits = " ".join(f"{word} {field[end]}" for word, end in ends if end in field)
        return f"{name}{about}{limits and f', {limits}'}: "
    return None


def _value(line: str, field: Mapping[str, Any]) -> Any:
    """Parse a line as the value of a field; raise ValueError, with the valid values, if it does not fit."""
    text = line.strip()
    if not text:
        raise ValueError("nothing was typed")
    if visible(text) != text:
        raise ValueError("it holds characters that cannot be seen")
    if "enum" in field:
        numbers = {str(number): option for number, option in enumerate(field["enum"], 1)}
        if text not in numbers:
            raise ValueError(f"type a number from 1 to {len(numbers)}")
        return numbers[text]
    if field["type"] == "string":
        if len(text) > field.get("maxLength", math.inf):
            raise ValueError(f"at most {field['maxLength']} characters, these are {len(text)}")
        return text
    return _number(text, field)


def _number(text: str, field: Mapping[str, Any]) -> float:
    is_whole = field["type"] == "integer"
    try:
        number = int(text) if is_whole else float(text)
    except ValueError:
        raise ValueError(f"type a {'whole number' if is_whole else 'number'}") from None
    low, high = field.get("minimum", -math.inf), field.get("maximum", math.inf)
    if not (low <= number <= high and abs(number) < math.inf):
        raise ValueError(f"type a number from {low} to {high}")
    return number
