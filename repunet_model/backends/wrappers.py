"""Wrappers that add one function each to a backend; `service` stacks them around a costly one, outermost first.

`Reask`, `Recall`, `Retry`, `Gate`, `Budget`, `Record`, `Meter`. `Retry` waits outside `Gate`, so a waiting request
occupies no place.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import sleep
from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any

from repunet_model.backends.base import Backend, Correction, Request, Usage, label_of
from repunet_model.backends.limits import Limits, Pace, Reservation, price_of, terms_of
from repunet_model.backends.prices import Price, Prices
from repunet_model.backends.waits import Waits, in_words
from repunet_model.errors import (
    AdaptationError,
    BackendError,
    BudgetError,
    ConfigurationError,
    EndpointError,
    InvalidReplyError,
    TransientError,
)
from repunet_model.questions.base import Answer
from repunet_model.storage.journal import Journal
from repunet_model.util.text import command

_LOG = logging.getLogger(__name__)

WORTH_TELLING = 10.0
"""Shortest wait in seconds that is logged."""

RETRIES = 5
"""Attempts after the first one fails in transit."""

FIRST_WAIT = 0.5
"""Seconds before the first retry, four times as long after a rate limit; each retry doubles it."""

LONGEST_WAIT = 30.0
"""Limit in seconds of waits that the endpoint did not ask for."""


def service(backend: Backend, limits: Limits, journal: Journal) -> Backend:
    """Wrap a backend if it is costly; raise ConfigurationError if a budget in dollars lacks a price of the model."""
    if not backend.is_costly:
        return backend
    recorded = Record(Meter(backend, limits.prices), journal)
    gated = Gate(Budget(recorded, limits), limits.pace)
    if (terms := terms_of(backend)) is not None:  # what waits for a slow endpoint takes no place of the others
        gated = Gate(gated, limits.pace_of(terms))
    return Reask(Recall(Retry(gated, limits.waits), journal))


class Wrapper:
    """Base class of wrappers, which have the properties of the wrapped backend."""

    def __init__(self, inner: Backend) -> None:
        self._inner = inner
        self.description = inner.description
        self.reads_prompts = inner.reads_prompts
        self.is_costly = inner.is_costly
        self.asks_model = inner.asks_model
        self.terms = terms_of(inner)

    async def close(self) -> None:
        """Close the wrapped backend."""
        await self._inner.close()


class Record(Wrapper):
    """Wrapper that records every reply, valid or not, before it is used.

    A first cancellation still waits for the reply of a model, which is paid for; a second one drops it.
    """

    def __init__(self, inner: Backend, journal: Journal) -> None:
        super().__init__(inner)
        self._journal = journal

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Answer and record the reply."""
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
            missing = {"missing": error.missing} if error.missing else {}
            self._write(request, before, text=error.text, problem=error.problem, remedy=error.remedy, **room, **missing)
            raise
        except BackendError:
            self._release(request)  # the reply could not be parsed
            raise
        thought = {"thought": request.thoughts[-1]} if request.thoughts else {}
        self._write(request, before, text=answer.model_dump_json(), **thought)
        return answer

    def _write(self, request: Request[Any], before: Usage, **reply: str | int) -> None:
        row = {"request": request.fingerprint, **reply, "usage": request.usage.since(before).to_dict()}
        self._journal.add(request.coordinates, request.attempt, row)
        self._release(request)

    @staticmethod
    def _release(request: Request[Any]) -> None:
        """Call and remove the receipts of a request: its replies need no other copy now."""
        while request.receipts:
            request.receipts.pop()()


class Recall(Wrapper):
    """Wrapper that returns the recorded reply if the journal has one for exactly this request."""

    def __init__(self, inner: Backend, journal: Journal) -> None:
        super().__init__(inner)
        self._journal = journal

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Answer from the journal or the wrapped backend; raise InvalidReplyError if the recorded reply was invalid."""
        row = self._journal.find(request.coordinates, request.attempt)
        if row is None or row["request"] != request.fingerprint:
            return await self._inner.answer(request)
        try:
            answer = None if "problem" in row else request.read(row["text"])
        except ValueError:  # recorded by a version with other validation
            return await self._inner.answer(request)
        request.usage.recalled += 1
        request.earlier.add(Usage.from_dict(row["usage"]))
        if answer is None:
            room, missing = row.get("room"), row.get("missing", "")
            raise InvalidReplyError(row["text"], row["problem"], row["remedy"], room=room, missing=missing)
        request.thoughts[:] = [row["thought"]] if "thought" in row else []
        return answer


class Meter(Wrapper):
    """Wrapper that adds the cost of a reply to the usage.

    If a reply without reported tokens may have been charged, the highest cost is assumed and counted separately.
    """

    def __init__(self, inner: Backend, prices: Prices) -> None:
        super().__init__(inner)
        self._price = price_of(inner, prices)

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Answer and add the cost, or the number of tokens if the model has no known price."""
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
                usage.usd += self._price.of(
                    used.prompt_tokens, used.completion_tokens, used.cached_tokens, used.reasoning_tokens
                )
            if may_have_cost and not used.counted and self.asks_model:
                most = most_of(request, self.description, self._price)
                usage.assumed_tokens += max(most.tokens - used.tokens, 0)
                usage.assumed_usd += max(most.usd - usage.usd + before.usd, 0.0)


class Budget(Wrapper):
    """Wrapper that rejects a request whose highest possible cost exceeds the rest of the budget."""

    def __init__(self, inner: Backend, limits: Limits) -> None:
        """Wrap a backend; raise ConfigurationError if a budget in dollars lacks the model's price."""
        super().__init__(inner)
        self._purse = limits.purse
        self._price = price_of(inner, limits.prices)
        if self._price is None and limits.purse.usd is not None:
            own = f"set endpoints.{self.terms.name}.prices, " if self.terms is not None else ""
            raise ConfigurationError(
                f"a budget in dollars needs the price of {inner.description['model']!r}, which is not in "
                f"{limits.prices.source}: {own}name a file with it by LLM_PRICES, or set a budget in tokens"
            )

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Answer, or raise BudgetError if the budget does not cover the longest possible reply."""
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
    """Return the highest possible cost of an attempt, in tokens and dollars (0 without a price)."""
    prompt = request.most_prompt_tokens()
    completion = int(description.get("max_tokens", 0)) if request.room is None else request.room
    return Reservation(prompt + completion, price.most(prompt, completion) if price is not None else 0.0)


class Gate(Wrapper):
    """Wrapper that delays requests to a model to keep the limits on concurrency and rates."""

    def __init__(self, inner: Backend, pace: Pace) -> None:
        super().__init__(inner)
        self._pace = pace

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Answer as soon as the limits allow it."""
        if not self.asks_model:
            return await self._inner.answer(request)
        pace = self._pace
        async with pace.places:
            if not pace.has_rates:
                return await self._inner.answer(request)
            most = most_of(request, self.description).tokens
            async with pace.tokens.slot(most) as tokens, pace.requests.slot(1) as requests:
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
    """Wrapper that retries after transient failures, with exponential and jittered waits.

    A retry waits at least as long as the endpoint asks. Rate limits without a stated wait get longer waits, since most
    limits are per minute. After an `AdaptationError` the next attempt follows at once and counts as no failure.
    """

    def __init__(self, inner: Backend, waits: Waits) -> None:
        super().__init__(inner)
        self._waits = waits
        self._jitter = Random()  # affects waits only, never outcomes

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Answer, with retries if necessary; raise EndpointError if the last one failed too."""
        retry = 0
        while True:
            try:
                return await self._inner.answer(request)
            except AdaptationError:
                continue
            except TransientError as error:
                request.usage.failures += 1
                if retry == RETRIES:
                    raise EndpointError(f"{error}; gave up after {retry + 1} attempts") from error
                first = FIRST_WAIT * (4 if error.is_limit else 1)
                wait = min(first * 2**retry, LONGEST_WAIT) * self._jitter.uniform(0.5, 1.0)
                wait = max(wait, error.retry_after or 0.0)
                retry += 1
                request.usage.retries += 1
                with self._waits.waiting(wait, str(error)) as is_news:
                    if is_news and wait >= WORTH_TELLING:
                        _LOG.warning("Waiting %s: %s", in_words(wait), error)
                    await sleep(wait)


def _to_try(description: Mapping[str, Any]) -> str:
    """Return the advice to try the endpoint of a backend; none for a backend that has no name."""
    name = description.get("backend", "")
    if "endpoint" in description:
        tried = command(f"doctor --backend {label_of(description)} --endpoints FILE")
        return f"; to try the endpoint: {tried}, where FILE has [endpoints.{description['endpoint']}]"
    backend = label_of(description) if name == "openai" else name
    return f"; to try the endpoint: {command(f'doctor --backend {backend}')}" if name else ""


class Reask(Wrapper):
    """Wrapper that asks again after an invalid reply and tells the model the problem.

    A small model may copy the reply that it is shown: if one comes back word for word, the next request is without it.
    If a part of a compound reply is null that has to be answered, the schema of the next reply does not allow that.

    It waits after an empty reply, which may be a server fault. If thinking used up all tokens, one request alone tries
    a higher limit; after an answer, all later requests use this limit.

    If all replies of a round of attempts came from the journal and none was valid (a failed run is resumed), a new
    round begins, without the correction of the last one.
    """

    def __init__(self, inner: Backend, reasks: int = 3) -> None:
        super().__init__(inner)
        self._reasks = reasks
        self._room: int | None = None
        self._refused: EndpointError | None = None
        self._widening = asyncio.Lock()
        self._jitter = Random()  # affects waits only, never outcomes

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Answer with a valid reply; raise BackendError, which points to `doctor`, if no reply was valid."""
        try:
            return await self._ask(request)
        except BackendError as error:
            if isinstance(error, BudgetError) or not self.asks_model:
                raise
            raise type(error)(f"{error}{_to_try(self.description)}") from error

    async def _ask[A: Answer](self, request: Request[A]) -> A:
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
                    shown = request.correction
                    copied = shown is not None and error.text != "" and error.text == shown.text
                    request = request.anew() if copied else request.corrected(Correction.of(error, shown))
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
        """Answer; only one request at a time may try a token limit above the highest proven one."""
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
