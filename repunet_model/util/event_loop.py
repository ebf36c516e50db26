"""The event loop of the process: one background thread runs it, and all clients belong to it.

A model's `step` may be called from a script, from a notebook or from a page with a running loop. All of them submit to
this thread, so that a client is never used on two loops.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from contextvars import ContextVar, copy_context
from typing import Any

_LOCK = threading.RLock()
_LOOPS: dict[int, asyncio.AbstractEventLoop] = {}
"""The loop by process number: a forked child inherits the entry of its parent, but not the thread."""

_BACKGROUND: ContextVar[BackgroundTask[Any]] = ContextVar("background")
"""The background task in which an asyncio task was created, directly or not."""


def _loop() -> asyncio.AbstractEventLoop:
    with _LOCK:
        process = os.getpid()
        if process not in _LOOPS:
            loop = asyncio.new_event_loop()
            # A model being collected may schedule its clean-up on this loop, so creation must be re-entrant.
            if _LOOPS.setdefault(process, loop) is loop:
                threading.Thread(target=loop.run_forever, name="repunet-event-loop", daemon=True).start()
            else:
                loop.close()
        return _LOOPS[process]


class BackgroundTask[T]:
    """A coroutine on the background loop; it is done when its clean-up is done."""

    def __init__(self) -> None:
        self._loop = _loop()
        self._outcome: Future[T] = Future()
        self._task: asyncio.Task[T] | None = None
        self._is_cancelled = False

    def start(self, coroutine: Coroutine[Any, Any, T]) -> None:
        """Start a coroutine, unless this task was cancelled before."""
        self._loop.call_soon_threadsafe(self._start, coroutine)

    def _start(self, coroutine: Coroutine[Any, Any, T]) -> None:
        if self._outcome.done():
            coroutine.close()
            return
        context = copy_context()
        context.run(_BACKGROUND.set, self)
        self._task = self._loop.create_task(coroutine, context=context)
        self._task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[T]) -> None:
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None:
            self._outcome.set_exception(error)
        else:
            self._outcome.set_result(task.result())

    def cancel(self) -> None:
        """Cancel the coroutine; a second call cancels every task that it waits for."""
        self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self._is_cancelled:
            # A task group that waits for its members does not forward a second cancellation.
            for task in asyncio.all_tasks(self._loop):
                if task.get_context().get(_BACKGROUND) is self:
                    task.cancel()
            return
        self._is_cancelled = True
        if self._task is not None:
            self._task.cancel()
        elif not self._outcome.done():
            self._outcome.set_exception(asyncio.CancelledError())

    def stop(self) -> None:
        """Cancel the coroutine and wait until it has ended; an interrupt meanwhile cancels it again."""
        while True:
            self.cancel()
            try:
                self._outcome.exception()
            except KeyboardInterrupt:
                continue
            return

    def result(self) -> T:
        """Wait for the result."""
        return self._outcome.result()


def run[T](coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the background loop and wait for its result."""
    task = BackgroundTask[T]()
    task.start(coroutine)
    return task.result()


def run_or_stop[T](coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine as `run` does; at an interrupt cancel it, wait until it has ended, and raise the interrupt."""
    task = BackgroundTask[T]()
    task.start(coroutine)
    try:
        return task.result()
    except KeyboardInterrupt:
        task.stop()
        raise
