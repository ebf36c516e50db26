"""Wrappers of the one backend protocol. Each does one thing; `service` stacks them around a costly backend.

From the outside in:

- `Reask` tells the model what was wrong with a reply, and asks again.
- `Recall` gives back a reply that was recorded before.
- `Retry` waits out failures in transit. It waits outside the gate, so that a request that waits holds no place.
- `Gate` limits how many requests are under way at once, and how many requests and tokens go out in a minute.
- `Budget` refuses what might cost more than is left.
- `Record` writes a reply down before anybody uses it, and does not let go of a request that was sent.
- `Meter` counts what the tokens of a reply cost.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import sleep
from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any

from repunet_model.backends.base import Backend, Correction, Request, Usage
from repunet_model.backends.limits import Limits, Reservation
from repunet_model.backends.prices import Price, Prices
from repunet_model.backends.waits import Waits, in_words
from repunet_model.errors import (
    AdaptationError,
    BackendError,
    ConfigurationError,
    EndpointError,
    InvalidReplyError,
    TransientError,
)
from repunet_model.questions.base import Answer
from repunet_model.storage.journal import Journal

_LOG = logging.getLogger(__name__)

WORTH_TELLING = 10.0
"""A wait of so many seconds is said."""


def service(backend: Backend, limits: Limits, journal: Journal) -> Backend:
    """Return a backend as a run asks it: one that is costly through all wrappers, any other as it is.

    Args:
        backend: The backend.
        limits: What all requests may not exceed together.
        journal: Where replies are recorded.

    Raises:
        ConfigurationError: If there is a budget in dollars and no price for the model.
    """
    if not backend.is_costly:
        return backend
    return Reask(
        Recall(
            Retry(Gate(Budget(Record(Meter(backend, limits.prices), journal), limits), limits), limits.waits), journal
        )
    )


class Wrapper:
    """Base of wrappers: everything but `answer` is the wrapped backend's."""

    def __init__(self, inner: Backend) -> None:
        self._inner = inner

    @property
    def description(self) -> dict[str, Any]:
        """The wrapped backend's; a wrapper does not change outcomes."""
        return self._inner.description

    @property
    def reads_prompts(self) -> bool:
        """The wrapped backend's."""
        return self._inner.reads_prompts

    @property
    def is_costly(self) -> bool:
        """The wrapped backend's."""
        return self._inner.is_costly

    @property
    def asks_model(self) -> bool:
        """The wrapped backend's."""
        return self._inner.asks_model

    async def close(self) -> None:
        """Close the wrapped backend."""
        await self._inner.close()


class Record(Wrapper):
    """Write every reply down before it is used, those that do not fit included.

    A request that was sent to a model is seen to its end even if nobody waits for it any more, since its reply is
    paid for; only a second cancellation gives it up. Nobody else goes on answering for nothing.
    """

    def __init__(self, inner: Backend, journal: Journal) -> None:
        super().__init__(inner)
        self._journal = journal

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Answer, and write down the reply."""
        if not self.asks_model:
            return await self._send(request)
        sent = asyncio.create_task(self._send(request))
        try:
            return await asyncio.shield(sent)
        except asyncio.CancelledError:
            try:
                await asyncio.wait([sent])
            finally:
                sent.cancel()
            if not sent.cancelled():
                sent.exception()
            raise

    async def _send[A: Answer](self, request: Request[A]) -> A:
        before = request.usage.copy()
        try:
            answer = await self._inner.answer(request)
        except InvalidReplyError as error:
            room = {} if error.room is None else {"room": error.room}
            self._write(request, before, text=error.text, problem=error.problem, remedy=error.remedy, **room)
            raise
        except BackendError:
            self._release(request)  # a reply that could not be read
            raise
        self._write(request, before, text=answer.model_dump_json())
        return answer

    def _write(self, request: Request[Any], before: Usage, **reply: str | int) -> None:
        row = {
            "request": request.fingerprint,
            **reply,
            "usage": request.usage.since(before).to_dict(),
        }
        self._journal.add(request.coordinates, request.attempt, row)
        self._release(request)

    @staticmethod
    def _release(request: Request[Any]) -> None:
        """Say that nobody else needs to keep the replies to a request."""
        while request.receipts:
            request.receipts.pop()()


class Recall(Wrapper):
    """Give back the recorded reply to a request, if there is one to just this request."""

    def __init__(self, inner: Backend, journal: Journal) -> None:
        super().__init__(inner)
        self._journal = journal

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Answer from the journal, or have it answered.

        Raises:
            InvalidReplyError: If the recorded reply did not fit.
        """
        row = self._journal.find(request.coordinates, request.attempt)
        if row is None or row["request"] != request.fingerprint:
            return await self._inner.answer(request)
        try:
            answer = None if "problem" in row else request.question.read(row["text"])
        except ValueError:  # recorded by a version that read replies otherwise
            return await self._inner.answer(request)
        request.usage.recalled += 1
        request.earlier.add(Usage.from_dict(row["usage"]))
        if answer is None:
            raise InvalidReplyError(row["text"], row["problem"], row["remedy"], room=row.get("room"))
        return answer


class Meter(Wrapper):
    """Count the money that the tokens of a reply cost.

    A reply that the endpoint may have given, but that did not arrive or whose tokens it does not count, is taken to
    have cost the most it can; that is counted apart.
    """

    def __init__(self, inner: Backend, prices: Prices) -> None:
        super().__init__(inner)
        self._price = prices.find(inner.description)

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Answer, and count what it cost; of a model without a known price, how many tokens."""
        usage = request.usage
        before = usage.copy()
        may_have_cost = True
        try:
            return await self._inner.answer(request)
        except BackendError as error:
            may_have_cost = isinstance(error, InvalidReplyError) or getattr(error, "may_have_cost", False)
            raise
        finally:
            used = usage.since(before)
            if self._price is None:
                usage.unpriced_tokens += used.tokens
            else:
                usage.usd += self._price.of(used.prompt_tokens, used.completion_tokens, used.cached_tokens)
            if may_have_cost and not used.counted and self.asks_model:
                most = most_of(request, self.description, self._price)
                usage.assumed_tokens += max(most.tokens - used.tokens, 0)
                usage.assumed_usd += max(most.usd - usage.usd + before.usd, 0.0)


class Budget(Wrapper):
    """Refuse a request that might cost more than is left of the budget."""

    def __init__(self, inner: Backend, limits: Limits) -> None:
        """Wrap a backend.

        Args:
            inner: The backend.
            limits: Where the budget and the prices are.

        Raises:
            ConfigurationError: If there is a budget in dollars and no price for the model.
        """
        super().__init__(inner)
        self._purse = limits.purse
        self._price = limits.prices.find(inner.description)
        if self._price is None and limits.purse.usd is not None:
            raise ConfigurationError(
                f"a budget in dollars needs the price of {inner.description['model']!r}, which is not in "
                f"{limits.prices.source}: name a file with it by LLM_PRICES, or set a budget in tokens"
            )

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Answer, if it fits into the budget whatever the reply.

        Raises:
            BudgetError: If it may not fit.
        """
        if not self._purse.is_limited or not self.asks_model:
            return await self._inner.answer(request)
        most = most_of(request, self.description, self._price)
        await self._purse.reserve(most)
        before = request.usage.copy()
        try:
            return await self._inner.answer(request)
        finally:
            self._purse.settle(most, request.usage.since(before))


def most_of(request: Request[Any], description: Mapping[str, Any], price: Price | None = None) -> Reservation:
    """Return the most that an attempt can cost.

    Args:
        request: What is asked.
        description: Who is asked.
        price: What tokens cost; None if it is not known.
    """
    prompt = request.most_prompt_tokens()
    completion = int(description.get("max_tokens", 0)) if request.room is None else request.room
    return Reservation(prompt + completion, price.of(prompt, completion) if price is not None else 0.0)


class Gate(Wrapper):
    """Let a request to a model pass when there is a place for it, and when the rates allow it."""

    def __init__(self, inner: Backend, limits: Limits) -> None:
        super().__init__(inner)
        self._limits = limits

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Answer when it is the request's turn."""
        if not self.asks_model:
            return await self._inner.answer(request)
        limits = self._limits
        async with limits.places:
            if not limits.has_rates:
                return await self._inner.answer(request)
            most = most_of(request, self.description).tokens
            async with limits.tokens.slot(most) as tokens, limits.requests.slot(1) as requests:
                before = request.usage.copy()
                tokens.amount = requests.amount = 0
                try:
                    return await self._inner.answer(request)
                finally:
                    used = request.usage.since(before)
                    if used.attempts:
                        requests.amount = 1
                        tokens.amount = used.tokens if used.counted else most


class Retry(Wrapper):
    """Try again after a failure that may pass, with growing and jittered waits, and at last give up.

    An endpoint that says how long to wait is waited for as long: what is too long does not come as a `TransientError`.
    Without that, a limit is waited for longer than other failures, since most limits are by the minute. A backend that
    has learned to ask otherwise is asked again at once; that is not counted as a failure.
    """

    def __init__(
        self, inner: Backend, waits: Waits, retries: int = 5, first_wait: float = 0.5, longest_wait: float = 30.0
    ) -> None:
        """Wrap a backend.

        Args:
            inner: The backend.
            waits: Where waits are counted that the endpoint has asked for.
            retries: Attempts after the first.
            first_wait: Seconds before the first retry; it doubles with each. After a limit it is four times as long.
            longest_wait: Limit in seconds of a wait that the endpoint has not asked for.
        """
        super().__init__(inner)
        self._waits = waits
        self._retries = retries
        self._first_wait = first_wait
        self._longest_wait = longest_wait
        self._jitter = Random()  # of time only: no outcome depends on it

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Answer, if need be after some retries.

        Raises:
            EndpointError: When the last retry failed too.
        """
        retry = 0
        while True:
            try:
                return await self._inner.answer(request)
            except AdaptationError:
                continue
            except TransientError as error:
                request.usage.failures += 1
                if retry == self._retries:
                    raise EndpointError(f"{error}; gave up after {retry + 1} attempts") from error
                first = self._first_wait * (4 if error.is_limit else 1)
                wait = min(first * 2**retry, self._longest_wait) * self._jitter.uniform(0.5, 1.0)
                wait = max(wait, error.retry_after or 0.0)
                retry += 1
                request.usage.retries += 1
                with self._waits.waiting(wait) as is_news:
                    if is_news and wait >= WORTH_TELLING:
                        _LOG.warning("Waiting %s: %s", in_words(wait), error)
                    await sleep(wait)


class Reask(Wrapper):
    """Ask again when a reply does not fit, and tell the model what was wrong with it.

    After an empty reply it waits, since the server may be at fault. A model that used up its tokens in thinking is
    asked again with more, first one request alone; if that is answered, all further requests are given as many.

    Attempts go in rounds. If all replies of a round were recorded before and none fitted, as when a run is gone on with
    that failed by them, the question is asked anew in another round, without what was told in the last.
    """

    def __init__(self, inner: Backend, reasks: int = 3) -> None:
        super().__init__(inner)
        self._reasks = reasks
        self._room: int | None = None
        self._refused: EndpointError | None = None
        self._widening = asyncio.Lock()
        self._jitter = Random()  # of time only: no outcome depends on it

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Answer with a reply that fits.

        Raises:
            BackendError: When no reply fitted.
        """
        tries, was_asked = 0, False
        request = replace(request, room=self._room)
        while True:
            recalled = request.usage.recalled
            try:
                return await self._answer_in_room(request)
            except InvalidReplyError as error:
                was_recalled = request.usage.recalled > recalled
                was_asked = was_asked or not was_recalled
                if error.room is not None:
                    request.usage.reasks += 1
                    request = request.in_room(error.room)
                    continue
                tries += 1
                if tries <= self._reasks:
                    request.usage.reasks += 1
                    if error.is_empty and not was_recalled:
                        await sleep(2 ** (tries - 2) * self._jitter.uniform(0.5, 1.0))
                    request = request.corrected(Correction(error.text, error.problem))
                elif was_asked:
                    where = request.coordinates
                    remedy = f"; {error.remedy}" if error.remedy else ""
                    raise BackendError(
                        f"{where.agent} gave no valid answer to {where.question!r} in step {where.step} in "
                        f"{request.attempt + 1} attempts, the last: {error.problem}{remedy}"
                    ) from error
                else:
                    tries, request = 0, request.anew()

    async def _answer_in_room[A: Answer](self, request: Request[A]) -> A:
        """Answer; with more tokens than were ever needed, only while no other request tries that."""
        if request.room is None or request.room <= (self._room or 0):
            return await self._inner.answer(request)
        known = self._refused
        async with self._widening:
            if self._refused is not known and self._refused is not None:  # while this request waited
                raise EndpointError(str(self._refused))
            if request.room > (self._room or 0):
                try:
                    answer = await self._inner.answer(request)
                except InvalidReplyError as error:
                    if error.room is None:
                        self._room = request.room
                    raise
                except EndpointError as error:
                    self._refused = error
                    raise
                self._room = request.room
                return answer
        return await self._inner.answer(request)
