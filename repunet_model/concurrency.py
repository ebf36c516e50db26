"""Waiting for several thoughts at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any


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
    return [task.result() for task in tasks]


def _first_of(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first single error of a group, however deeply it is nested."""
    error: BaseException = failures
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
