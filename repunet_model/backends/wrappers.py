"""Wrappers of the one backend protocol. Each does one thing; `backends.openai.connect` stacks them.

From the outside in: `Reask` tells the model what was wrong with a reply, `Retry` waits out failures in transit,
`Gate` limits how many requests are under way at once. Retry waits outside the gate, so that a request that waits
holds no place.
"""

from __future__ import annotations

from asyncio import Semaphore, sleep
from random import Random
from typing import Any

from repunet_model.backends.base import Backend, Correction, Request
from repunet_model.errors import BackendError, EndpointError, InvalidReplyError, TransientError
from repunet_model.questions.base import Answer


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

    async def close(self) -> None:
        """Close the wrapped backend."""
        await self._inner.close()


class Gate(Wrapper):
    """At most so many requests under way at once."""

    def __init__(self, inner: Backend, concurrency: int) -> None:
        super().__init__(inner)
        self._places = Semaphore(concurrency)

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Answer when there is a free place."""
        async with self._places:
            return await self._inner.answer(request)


class Retry(Wrapper):
    """Try again after a failure that may pass, with growing and jittered waits, and at last give up."""

    def __init__(self, inner: Backend, retries: int = 5, first_wait: float = 0.5, longest_wait: float = 30.0) -> None:
        """Wrap a backend.

        Args:
            inner: The backend.
            retries: Attempts after the first.
            first_wait: Seconds before the first retry; it doubles with each.
            longest_wait: Limit of a wait in seconds. An endpoint that asks for a longer one gets it, to the minute.
        """
        super().__init__(inner)
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
            except TransientError as error:
                if retry == self._retries:
                    raise EndpointError(f"{error}; gave up after {retry + 1} attempts") from error
                wait = min(self._first_wait * 2**retry, self._longest_wait) * self._jitter.uniform(0.5, 1.0)
                if error.retry_after is not None:
                    wait = max(wait, min(error.retry_after, 60.0))
                retry += 1
                request.usage.retries += 1
                await sleep(wait)


class Reask(Wrapper):
    """Ask again when a reply does not fit, and tell the model what was wrong with it."""

    def __init__(self, inner: Backend, reasks: int = 3) -> None:
        super().__init__(inner)
        self._reasks = reasks

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Answer with a reply that fits.

        Raises:
            BackendError: When no reply fitted.
        """
        while True:
            try:
                return await self._inner.answer(request)
            except InvalidReplyError as error:
                if len(request.corrections) == self._reasks:
                    where = request.coordinates
                    raise BackendError(
                        f"{where.agent} gave no valid answer to {where.question!r} in step {where.step} in "
                        f"{self._reasks + 1} attempts, the last: {error.problem}"
                    ) from error
                request.usage.reasks += 1
                request = request.corrected(Correction(error.text, error.problem))
