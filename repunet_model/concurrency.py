"""Waiting for several thoughts at once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def together[T](*thoughts: Coroutine[Any, Any, T]) -> list[T]:
    """Run coroutines side by side and return their results in the order given.

    When one fails, the others are cancelled, so that a failed step asks nothing more, and its error is raised.
    """
    if len(thoughts) == 1:
        return [await thoughts[0]]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(thought) for thought in thoughts]
    except BaseExceptionGroup as failures:
        raise first_of(failures) from failures
    return [task.result() for task in tasks]


def first_of(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first single error of a group, however deeply it is nested."""
    error: BaseException = failures
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
