"""The event loop of the process: one background thread owns it, and with it every client.

A model's `step` may be called from a script, from a notebook or from a page that already runs a loop. All of them
submit to this one thread, so that a client never meets a second loop.
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
"""The loop of this process, by its number: a forked child inherits the entry, but not the thread."""

_BACKGROUND: ContextVar[BackgroundTask[Any]] = ContextVar("background")
"""The background task that an asyncio task belongs to, however deep in it that was made."""


def _loop() -> asyncio.AbstractEventLoop:
    with _LOCK:
        process = os.getpid()
        if process not in _LOOPS:
            loop = asyncio.new_event_loop()
            # At any moment garbage may be collected, and a model that goes closes its backends on this very loop.
            if _LOOPS.setdefault(process, loop) is loop:
                threading.Thread(target=loop.run_forever, name="repunet-event-loop", daemon=True).start()
            else:
                loop.close()
        return _LOOPS[process]


class BackgroundTask[T]:
    """A coroutine on the background loop. It is over only when it has cleaned up after itself."""

    def __init__(self) -> None:
        self._loop = _loop()
        self._outcome: Future[T] = Future()
        self._task: asyncio.Task[T] | None = None
        self._is_cancelled = False

    def start(self, coroutine: Coroutine[Any, Any, T]) -> None:
        """Start a coroutine; it does not start any more once this was cancelled."""
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
        """Ask the coroutine to stop, if it has not ended; a second time, everything that it still waits for."""
        self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self._is_cancelled:
            # A group of tasks that waits for its members to end does not hand on a second cancellation.
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
        """Cancel the coroutine and wait until it has ended, whichever way; an interrupt meanwhile cancels it again."""
        while True:
            self.cancel()
            try:
                self._outcome.exception()
            except KeyboardInterrupt:
                continue
            return

    def result(self) -> T:
        """Wait for the end and return the result."""
        return self._outcome.result()


def run[T](coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the background loop and wait for its result."""
    task = BackgroundTask[T]()
    task.start(coroutine)
    return task.result()
