"""Limits that the requests of a run, or of several runs that share them, keep together.

Concurrency is how many are under way at once. A rate counts a request from the moment it is sent until a minute
after its reply, so that no window of a minute at the endpoint ever holds more, whatever the network delays. A
budget sets aside the most that a request can cost before it is sent: what is spent never exceeds it. A run that is
loaded brings what it has cost; only attempts that failed in transit before it was loaded are no longer known.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from time import monotonic

from repunet_model.backends.base import Usage
from repunet_model.backends.prices import Prices
from repunet_model.backends.waits import Waits
from repunet_model.errors import BudgetError, ConfigurationError

MINUTE = 60.0


class Limits:
    """Limits on concurrency, rates and cost.

    Attributes:
        places: How many requests are under way at once.
        requests: Requests a minute.
        tokens: Tokens a minute, a request counted by the most it can have until its reply says how many it had.
        has_rates: Whether there is a limit a minute at all.
        purse: The budget.
        prices: What tokens cost.
        waits: The waits that endpoints have asked for.
    """

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
            concurrency: Most requests under way at once.
            requests_per_minute: Most requests a minute.
            tokens_per_minute: Most tokens a minute.
            budget_tokens: Most tokens in all, those that a run has cost before it is resumed included.
            budget_usd: Most US dollars in all; needs a price for every model.
            prices: What tokens cost; by default `Prices.load()`.
            minute: Length of a rate's window in seconds.

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
        self.places = asyncio.Semaphore(concurrency)
        self.requests = Rate(requests_per_minute, minute)
        self.tokens = Rate(tokens_per_minute, minute)
        self.has_rates = requests_per_minute is not None or tokens_per_minute is not None
        self.purse = Purse(budget_tokens, budget_usd)
        self.prices = prices or Prices.load()
        self.waits = Waits()


@dataclass(slots=True)
class Slot:
    """The share of a request in a rate.

    Attributes:
        amount: The most it may be; whoever holds the slot sets what it was.
    """

    amount: int


class Rate:
    """At most so much in any window of time."""

    def __init__(self, limit: int | None, seconds: float) -> None:
        """Make a rate.

        Args:
            limit: The most in a window; None for no limit. What is more than it by itself goes alone.
            seconds: The length of the window.
        """
        self._limit = limit
        self._seconds = seconds
        self._held = 0
        self._past: deque[tuple[float, int]] = deque()
        self._line = asyncio.Lock()
        self._left = asyncio.Event()

    @asynccontextmanager
    async def slot(self, amount: int) -> AsyncIterator[Slot]:
        """Wait, first come first served, until an amount fits into the window, and hold it for the block.

        If the slot is not entered, or its holder says so, it counts as less when the block ends.
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
        """Wait until something leaves the window, or a request that is under way turns out to be smaller."""
        self._left.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._left.wait(), self._past[0][0] - monotonic() if self._past else None)


@dataclass(frozen=True, slots=True)
class Reservation:
    """Tokens and dollars that are set aside for a request.

    Attributes:
        tokens: The most tokens it may have.
        usd: The most it may cost.
    """

    tokens: int
    usd: float


class Purse:
    """A budget of tokens and money.

    Attributes:
        tokens: The budget in tokens; None for no limit.
        usd: The budget in US dollars; None for no limit.
        spent_tokens: What has been spent in tokens.
        spent_usd: The same in US dollars.
    """

    def __init__(self, tokens: int | None, usd: float | None) -> None:
        self.tokens = tokens
        self.usd = usd
        self.spent_tokens = 0
        self.spent_usd = 0.0
        self._held: list[Reservation] = []
        self._settled = asyncio.Event()

    @property
    def is_limited(self) -> bool:
        """Whether there is a budget at all."""
        return self.tokens is not None or self.usd is not None

    async def reserve(self, most: Reservation) -> None:
        """Set aside the most a request can cost, if need be when others have turned out cheaper.

        Raises:
            BudgetError: If it does not fit though nothing else is under way.
        """
        while (problem := self._problem(most)) is not None:
            if not self._held:
                raise BudgetError(problem)
            self._settled.clear()
            await self._settled.wait()
        self._held.append(most)

    def settle(self, most: Reservation, spent: Usage) -> None:
        """Give back a reservation and count what was spent instead."""
        self._held.remove(most)
        self.count(spent)
        self._settled.set()

    def count(self, spent: Usage) -> None:
        """Count what was spent, or may have been, without a reservation, as before a run was resumed."""
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
