"""Waiting for several thoughts at once, and knowing what each waited for.

Every flow of thought carries its causes: the calls it builds on directly. A call follows from the causes of its flow
and then is the only one; a flow that waits for others takes over theirs. So each call knows what it waited for, and
the longest chain of calls, which no concurrency can shorten, is known (the critical path).
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
    """A call that was answered.

    Attributes:
        key: What identifies the call.
        depth: How many calls the longest chain that ends with it has, itself included.
    """

    key: Any
    depth: int


_CAUSES: ContextVar[tuple[Cause, ...]] = ContextVar("causes", default=())


def causes() -> tuple[Cause, ...]:
    """Return the calls that the present flow of thought builds on directly."""
    return _CAUSES.get()


def follow_from(*found: Cause) -> None:
    """Let what comes next in this flow build on these calls, and on no earlier ones."""
    _CAUSES.set(found)


def follow_from_last() -> None:
    """Of all calls that this flow builds on, keep the one at the end of the longest chain.

    For flows that wait for many others, one after another.
    """
    if len(_CAUSES.get()) > 1:
        _CAUSES.set((max(_CAUSES.get(), key=lambda cause: cause.depth),))


def _add(found: Iterable[Cause]) -> None:
    _CAUSES.set(tuple(dict.fromkeys((*_CAUSES.get(), *found))))


class Milestone:
    """A point in one flow of thought that others wait for."""

    __slots__ = ("_causes", "_reached")

    def __init__(self) -> None:
        self._reached = asyncio.Event()
        self._causes: tuple[Cause, ...] = ()

    def reach(self) -> None:
        """Say that the point is reached."""
        self._causes = causes()
        self._reached.set()

    def __await__(self) -> Generator[Any, None, None]:
        """Wait for the point, and build on what led to it."""
        yield from self._reached.wait().__await__()
        _add(self._causes)


@asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """Open a group of tasks: when one fails, the others are cancelled, and its error is raised as it is.

    So a failed step asks nothing more, and whoever catches its error need not look into groups.
    """
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as failures:
        raise _first_of(failures) from failures


async def together[T](*thoughts: Coroutine[Any, Any, T]) -> list[T]:
    """Run coroutines side by side, as a group of tasks, and return their results in the order given."""
    if len(thoughts) == 1:
        return [await thoughts[0]]
    async with task_group() as group:
        tasks = [group.create_task(thought) for thought in thoughts]
    if tasks:
        follow_from(*dict.fromkeys(cause for task in tasks for cause in task.get_context().get(_CAUSES, ())))
    return [task.result() for task in tasks]


def _first_of(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first single error of a group, however deeply it is nested."""
    error: BaseException = failures
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
