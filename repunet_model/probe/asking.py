"""Ask a battery: each call goes through the limits, re-asking and the journal that runs use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from repunet_model.backends.base import Backend, Request, Usage
from repunet_model.backends.limits import Limits, price_of
from repunet_model.backends.wrappers import service
from repunet_model.errors import BackendError, InvalidReplyError
from repunet_model.probe.battery import Battery, Item
from repunet_model.questions.base import Answer
from repunet_model.storage.journal import Journal
from repunet_model.util.causality import together
from repunet_model.util.event_loop import run_or_stop


@dataclass(slots=True)
class Progress:
    """The calls of a probe so far.

    Attributes:
        total: The number of calls in all.
        done: The number of calls that have ended.
        usage: The cost of this process; what was recalled from the journal is not in it.
    """

    total: int
    done: int = 0
    usage: Usage = field(default_factory=Usage)


class Asking:
    """The calls of one probe, which can be stopped and taken up again.

    Attributes:
        progress: What is done so far.
    """

    def __init__(self, batteries: Sequence[Battery], backend: Backend, limits: Limits, file: Path) -> None:
        """Read the replies that an earlier process kept.

        Args:
            batteries: The calls, one battery for each game.
            backend: Who is asked; it is closed at the end.
            limits: The limits of requests.
            file: The file of the replies, which are kept, so that the same call is not paid for twice.

        Raises:
            RepuNetError: If the file cannot be read, or a budget in dollars lacks the price of the model.
        """
        self._batteries = batteries
        self._backend = backend
        self._has_price = price_of(backend, limits.prices) is not None
        journal = Journal()
        journal.open(file, 0)
        for row in journal.rows():
            limits.purse.count(Usage.from_dict(row["usage"]))
        self._service = service(backend, limits, journal)
        self.progress = Progress(sum(len(each.items) for each in batteries))

    def run(self, done: Callable[[], None]) -> list[list[dict[str, Any]]]:
        """Ask everything and return the observations of each battery, in its order; `done` is called after each call.

        Raises:
            BackendError: If the endpoint failed or the budget is used up; what was answered is kept.
        """
        return run_or_stop(self._all(done))

    async def _all(self, done: Callable[[], None]) -> list[list[dict[str, Any]]]:
        try:
            first, *others = self._calls()
            # The first call alone, so that the time in which a server starts is not in that of all.
            rows = [await self._ask(*first, done), *await together(*(self._ask(*each, done) for each in others))]
        finally:
            await self._backend.close()
        found = iter(rows)
        return [[next(found) for _ in battery.items] for battery in self._batteries]

    def _calls(self) -> Iterable[tuple[Battery, Item]]:
        return ((battery, item) for battery in self._batteries for item in battery.items)

    async def _ask(self, battery: Battery, item: Item, done: Callable[[], None]) -> dict[str, Any]:
        request = item.request(battery.game.name, battery.prompts, self._backend.description)
        answer: Answer | None = None
        problem = ""
        try:
            answer = await self._service.answer(request)
        except BackendError as error:
            if not is_hopeless(error):
                raise
            problem = str(error)
        finally:
            self.progress.usage.add(request.usage)
        self.progress.done += 1
        done()
        told = {"block": item.block.value, "key": item.key, **item.facts, "unanswered": problem}
        return {**(told if answer is None else item.row(answer)), **self._cost(request)}

    def _cost(self, request: Request[Any]) -> dict[str, Any]:
        """Return the cost of a call, in this process and an earlier one."""
        usage = request.usage.copy()
        usage.add(request.earlier)
        return {
            "reasks": request.usage.reasks,
            "tokens": usage.tokens,
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "seconds": round(usage.seconds, 3),
            "usd": usage.usd if self._has_price else None,
        }


def is_hopeless(error: BaseException | None) -> bool:
    """Whether a model gave no valid reply in all attempts."""
    while error is not None and not isinstance(error, InvalidReplyError):
        error = error.__cause__ if type(error) is BackendError else None
    return error is not None
