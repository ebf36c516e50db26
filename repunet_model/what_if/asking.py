"""Ask changed questions, and leave unchanged ones their recorded answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, Self

from repunet_model.backends.base import Backend, Request
from repunet_model.backends.limits import Limits
from repunet_model.backends.setup import Respondents
from repunet_model.backends.wrappers import service
from repunet_model.errors import BackendError, ConfigurationError
from repunet_model.games.base import Game
from repunet_model.probe.asking import Progress, is_hopeless
from repunet_model.questions.base import Answer
from repunet_model.storage import Manifest
from repunet_model.storage.journal import Journal
from repunet_model.util.causality import together
from repunet_model.util.event_loop import run_or_stop
from repunet_model.util.text import assignment
from repunet_model.what_if.changes import Change, UnchangeableError, read_change
from repunet_model.what_if.recorded import Recorded


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a changed question beside the recorded one; equal to it, without a call, if nothing changed."""

    recorded: Recorded
    answer: Answer
    was_asked: bool


@dataclass(slots=True)
class Variant:
    """Recorded questions under the same changes.

    Attributes:
        changes: The changes, made together.
        asks: The questions as they are asked now; None where nothing changes.
        left_out: The number of questions that are left out, by reason.
        replies: The replies, in the order of the questions, once they were asked.
    """

    changes: Sequence[Change]
    asks: list[tuple[Recorded, Request[Any] | None]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    replies: list[Reply] = field(default_factory=list)

    @property
    def label(self) -> str:
        """The changes as text."""
        return ", ".join(change.text for change in self.changes) or "nothing"

    @property
    def asked(self) -> int:
        """The number of questions that need a call."""
        return sum(request is not None for _, request in self.asks)


@dataclass(frozen=True, slots=True)
class Answering:
    """Who answers changed questions.

    Attributes:
        who: The backends.
        own: The backends of the run by their descriptions, each of which answers what it answered then; None if one
            other backend answers everything.
    """

    who: Respondents
    own: Mapping[str, Backend] | None = None

    @classmethod
    def of_run(cls, manifest: Manifest, who: Respondents) -> Self:
        """Return the backends of a run, those that agents got in events included."""
        pairs = [
            (manifest.backend, who.default),
            *((described, who.by_name[name]) for name, described in manifest.backend_for.items()),
            *((described, who.planted[name]) for name, described in manifest.planted.items()),
        ]
        return cls(who, {_key({**described}): backend for described, backend in pairs})

    @property
    def other(self) -> Backend | None:
        """The other backend that answers everything; None for those of the run."""
        return self.who.default if self.own is None else None

    def of(self, request: Request[Any]) -> Backend:
        """Return the backend that answers a question."""
        return self.who.default if self.own is None else self.own[_key(request.answered_by)]


def _key(description: Mapping[str, Any]) -> str:
    """Return a key of the description of a backend, in a manifest or of its own."""
    return repr(sorted((name, value) for name, value in description.items() if name != "reads_prompts"))


def variants(
    questions: Sequence[Recorded], settings: Sequence[str], game: Game, other: Backend | None = None
) -> list[Variant]:
    """Return the variants of questions that some settings describe.

    Args:
        questions: Recorded questions of one kind.
        settings: Each NAME=VALUE, or NAME=VALUE,VALUE,...: a variant for each combination of values.
        game: The game of the run.
        other: The backend that answers now; None for those of the run.

    Raises:
        ConfigurationError: If a setting does not fit, or nothing would change in any question.
    """
    example = questions[0].request
    given: dict[str, list[str]] = {}
    for text in settings:
        name, values = assignment("--set", text)
        if name in given:
            raise ConfigurationError(f"--set {text!r}: {name} is there twice; give several values by commas")
        given[name] = [value.strip() for value in values.split(",")]
    ways = [[read_change(name, value, example, game) for value in values] for name, values in given.items()]
    found = [Variant(changes) for changes in product(*ways)]
    for variant in found:
        for each in questions:
            try:
                variant.asks.append((each, _changed(each, variant.changes, other)))
            except UnchangeableError as error:
                variant.left_out[str(error)] += 1
    if not any(variant.asks for variant in found):
        raise ConfigurationError(f"no question of {len(questions)} can be changed so: {min(found[0].left_out)}")
    return found


def _changed(recorded: Recorded, changes: Sequence[Change], other: Backend | None) -> Request[Any] | None:
    """Return a question as it is asked now; None if it is the recorded one."""
    was = recorded.request
    now = was
    for change in changes:
        now = change.apply(now)
    if other is not None:
        now = replace(now, answered_by=other.description)
    is_same = (now.question, now.persona, now.learned, now.answered_by, now.options) == (
        was.question,
        was.persona,
        was.learned,
        was.answered_by,
        was.options,
    )
    return None if is_same else replace(now, usage=type(was.usage)(), earlier=type(was.usage)(), mailbox=None)


class Asking:
    """The calls for some variants.

    Attributes:
        progress: What is done so far.
        stopped: Why the calls ended early; empty if they did not.
    """

    def __init__(self, found: Sequence[Variant], answering: Answering, limits: Limits) -> None:
        """Prepare the calls; nothing is recorded beside the replies."""
        self._variants, self._answering = found, answering
        self._services = {id(each): service(each, limits, Journal()) for each in answering.who.distinct()}
        self.progress = Progress(sum(variant.asked for variant in found))
        self.stopped = ""

    def run(self, done: Callable[[], None]) -> None:
        """Ask everything, and give the variants their replies; `done` is called after each call.

        What a model gave no valid reply to is left out and counted. If the endpoint fails or the budget is used up,
        `stopped` says so and the replies so far stand.

        Raises:
            BackendError: If there is no reply at all.
        """
        run_or_stop(self._all(done))

    async def _all(self, done: Callable[[], None]) -> None:
        try:
            calls = [(variant, *each) for variant in self._variants for each in variant.asks]
            replies = await together(*(self._ask(*call, done) for call in calls))
        finally:
            await self._answering.who.close()
        for (variant, *_), reply in zip(calls, replies, strict=True):
            if reply is not None:
                variant.replies.append(reply)
        if self.stopped and not any(reply is not None and reply.was_asked for reply in replies):
            raise BackendError(self.stopped)

    async def _ask(
        self, variant: Variant, recorded: Recorded, request: Request[Any] | None, done: Callable[[], None]
    ) -> Reply | None:
        if request is None:
            return Reply(recorded, recorded.answer, was_asked=False)
        if self.stopped:
            variant.left_out["not asked"] += 1
            return None
        backend = self._answering.of(request)
        try:
            answer: Answer = await self._services[id(backend)].answer(request)
        except BackendError as error:
            if is_hopeless(error):
                variant.left_out["the model gave no valid reply"] += 1
            else:
                self.stopped = self.stopped or str(error)
                variant.left_out["not asked"] += 1
            return None
        finally:
            self.progress.usage.add(request.usage)
            self.progress.done += 1
            done()
        return Reply(recorded, answer, was_asked=True)
