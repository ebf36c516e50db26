"""Limits on the requests of a run, or of several runs that share them.

Concurrency is the number of pending requests. A rate counts a request from its start until a minute after its reply,
so that the endpoint never receives more in a minute, whatever the delays of the network; until the reply, it counts
the largest possible number of tokens. A budget reserves the largest possible cost of a request before it is sent, so
that it is never exceeded. It includes the stored cost of a resumed run, except for attempts that failed in transit,
which are not stored. A named endpoint may have a concurrency and rates of its own (`Terms`), beside those of all
requests.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from time import monotonic

from repunet_model.backends.base import Backend, Usage
from repunet_model.backends.prices import Price, Prices
from repunet_model.backends.waits import Waits
from repunet_model.errors import BudgetError, ConfigurationError

MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Terms:
    """The limits and the price of a named endpoint; None is no limit, and the price of its model.

    Backends that share equal terms within the same `Limits` share the limits.
    """

    name: str
    concurrency: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    price: Price | None = None


def terms_of(backend: Backend) -> Terms | None:
    """Return the attribute `terms` of a backend; None if it has none."""
    return getattr(backend, "terms", None)


def price_of(backend: Backend, prices: Prices) -> Price | None:
    """Return the price of a backend's tokens: that of its terms, else that of its model; None if it is unknown."""
    terms = terms_of(backend)
    return terms.price if terms is not None and terms.price is not None else prices.find(backend.description)


class Pace:
    """Limits on the concurrency of requests, and on requests and tokens in a minute; None is no limit."""

    def __init__(
        self,
        concurrency: int | None,
        requests_per_minute: int | None,
        tokens_per_minute: int | None,
        minute: float = MINUTE,
    ) -> None:
        """Set limits; `minute` is the length of the window of a rate, in seconds."""
        self.places: AbstractAsyncContextManager[None] = (
            nullcontext() if concurrency is None else asyncio.Semaphore(concurrency)
        )
        self.requests = Rate(requests_per_minute, minute)
        self.tokens = Rate(tokens_per_minute, minute)
        self.has_rates = requests_per_minute is not None or tokens_per_minute is not None


class Limits:
    """Limits on concurrency, rates and cost, with the prices of tokens and the waits that endpoints have asked for."""

    def __init__(
        self,
        concurrency: int = 32,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        budget_tokens: int | None = None,
        budget_usd: float | None = None,
        prices: Prices | None = None,
        minute: float = MINUTE,
    ) -> None:
        """Set limits; None is no limit.

        Args:
            concurrency: The limit on pending requests.
            requests_per_minute: The limit on requests in a minute.
            tokens_per_minute: The limit on tokens in a minute.
            budget_tokens: The limit on tokens, including those of a run before it is resumed.
            budget_usd: The limit on US dollars; needs a price for every model.
            prices: The prices of tokens; by default `Prices.load()`.
            minute: The length of the window of a rate, in seconds.

        Raises:
            ConfigurationError: If a limit is not positive.
        """
        limits = {
            "concurrency": concurrency,
            "requests_per_minute": requests_per_minute,
            "tokens_per_minute": tokens_per_minute,
            "budget_tokens": budget_tokens,
            "budget_usd": budget_usd,
        }
        for name, limit in limits.items():
            if limit is None:
                continue
            is_whole = isinstance(limit, int) or name == "budget_usd"
            if isinstance(limit, bool) or not is_whole or not 0 < limit < math.inf:
                kind = "number" if name == "budget_usd" else "whole number"
                raise ConfigurationError(f"{name} is {limit!r}: must be a {kind} above 0")
        self.pace = Pace(concurrency, requests_per_minute, tokens_per_minute, minute)
        self._own_paces: dict[Terms, Pace] = {}
        self._minute = minute
        self.purse = Purse(budget_tokens, budget_usd)
        self.prices = prices or Prices.load()
        self.waits = Waits()

    def pace_of(self, terms: Terms) -> Pace:
        """Return the limits of a named endpoint, which all its backends share."""
        own = (terms.concurrency, terms.requests_per_minute, terms.tokens_per_minute)
        return self._own_paces.setdefault(terms, Pace(*own, self._minute))


@dataclass(slots=True)
class Slot:
    """The amount of a request in a rate: at first the largest possible one; the holder of the slot sets the actual."""

    amount: int


class Rate:
    """A limit on the sum of amounts in any window of `seconds`; an amount above the limit waits for an empty window."""

    def __init__(self, limit: int | None, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._held = 0
        self._past: deque[tuple[float, int]] = deque()
        self._line = asyncio.Lock()
        self._left = asyncio.Event()

    @asynccontextmanager
    async def slot(self, amount: int) -> AsyncIterator[Slot]:
        """Wait, first come first served, until an amount fits into the window, and hold it during the block.

        From the end of the block, the amount that the holder has set is counted instead.
        """
        slot = Slot(amount)
        if self._limit is None:
            yield slot
            return
        async with self._line:
            while not self._fits(amount, self._limit):
                await self._wait()
            self._held += amount
        try:
            yield slot
        finally:
            self._held += slot.amount - amount
            self._past.append((monotonic() + self._seconds, slot.amount))
            self._left.set()

    def _fits(self, amount: int, limit: int) -> bool:
        now = monotonic()
        while self._past and self._past[0][0] <= now:
            self._held -= self._past.popleft()[1]
        return self._held + amount <= limit or self._held == 0

    async def _wait(self) -> None:
        """Wait until an amount leaves the window, or a request ends with a smaller amount."""
        self._left.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._left.wait(), self._past[0][0] - monotonic() if self._past else None)


@dataclass(frozen=True, slots=True)
class Reservation:
    """The largest possible cost of a request, in tokens and US dollars."""

    tokens: int
    usd: float


class Purse:
    """A budget in tokens and US dollars, each unlimited if None, and the amounts spent."""

    def __init__(self, tokens: int | None, usd: float | None) -> None:
        self.tokens = tokens
        self.usd = usd
        self.spent_tokens = 0
        self.spent_usd = 0.0
        self._held: list[Reservation] = []
        self._settled = asyncio.Event()

    @property
    def is_limited(self) -> bool:
        """Whether tokens or dollars are limited."""
        return self.tokens is not None or self.usd is not None

    async def reserve(self, most: Reservation) -> None:
        """Reserve the largest possible cost of a request; wait while other reservations leave too little.

        Raises:
            BudgetError: If the budget is too small even without other reservations.
        """
        while (problem := self._problem(most)) is not None:
            if not self._held:
                raise BudgetError(problem)
            self._settled.clear()
            await self._settled.wait()
        self._held.append(most)

    def settle(self, most: Reservation, spent: Usage) -> None:
        """Replace a reservation by the actual cost."""
        self._held.remove(most)
        self.count(spent)
        self._settled.set()

    def count(self, spent: Usage) -> None:
        """Count a cost without a reservation, such as that of a run before it is resumed."""
        self.spent_tokens += spent.tokens + spent.assumed_tokens
        self.spent_usd += spent.usd + spent.assumed_usd

    def _problem(self, most: Reservation) -> str | None:
        tokens = self.spent_tokens + sum(held.tokens for held in self._held)
        usd = self.spent_usd + math.fsum(held.usd for held in self._held)
        if self.tokens is not None and tokens + most.tokens > self.tokens:
            return (
                f"the budget of {self.tokens:,} tokens is used up: {self.spent_tokens:,} are spent, and the next "
                f"request may take up to {most.tokens:,}"
            )
        if self.usd is not None and usd + most.usd > self.usd:
            return (
                f"the budget of ${self.usd:,.4f} is used up: ${self.spent_usd:,.4f} is spent, and the next request "
                f"may cost up to ${most.usd:,.4f}"
            )
        return None
