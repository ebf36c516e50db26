"""Run coroutines concurrently and record which model calls each call depends on.

Every context carries its causes, the calls it depends on directly. An answered call replaces them; a coroutine that
waits for others adds theirs. The longest chain of calls is the critical path, which no concurrency can shorten.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Generator, Iterable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Cause:
    """Answered call; `depth` is the length of the longest chain of calls that ends with it."""

    key: Any
    depth: int


_CAUSES: ContextVar[tuple[Cause, ...]] = ContextVar("causes", default=())


def causes() -> tuple[Cause, ...]:
    """Return the calls that the current context depends on directly."""
    return _CAUSES.get()


def follow_from(*found: Cause) -> None:
    """Make later calls of this context depend on these calls alone."""
    _CAUSES.set(found)


def follow_from_last() -> None:
    """Make later calls depend on all calls so far, represented by the end of the longest chain."""
    if len(_CAUSES.get()) > 1:
        _CAUSES.set((max(_CAUSES.get(), key=lambda cause: cause.depth),))


def _add(found: Iterable[Cause]) -> None:
    _CAUSES.set(tuple(dict.fromkeys((*_CAUSES.get(), *found))))


class Milestone:
    """An awaitable event that passes on its causes."""

    __slots__ = ("_causes", "_reached")

    def __init__(self) -> None:
        self._reached = asyncio.Event()
        self._causes: tuple[Cause, ...] = ()

    def reach(self) -> None:
        """Set the event."""
        self._causes = causes()
        self._reached.set()

    def __await__(self) -> Generator[Any, None, None]:
        """Wait for the event, and add its causes."""
        yield from self._reached.wait().__await__()
        _add(self._causes)


@asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """Open a group of tasks that raises the first single error instead of a group, and cancels the other tasks."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as failures:
        error: BaseException = failures
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from failures


async def together[T](*coroutines: Coroutine[Any, Any, T]) -> list[T]:
    """Run coroutines concurrently, as a group of tasks, and return their results in the order given."""
    if len(coroutines) == 1:
        return [await coroutines[0]]
    async with task_group() as group:
        tasks = [group.create_task(coroutine) for coroutine in coroutines]
    if tasks:
        follow_from(*dict.fromkeys(cause for task in tasks for cause in task.get_context().get(_CAUSES, ())))
    return [task.result() for task in tasks]
