"""The clock of a model with asynchronous steps: one step at a time, atomic, and interruptible.

Mesa 3.5 drops its step event when a step raises an error, and later calls of `step` would do nothing. Only this module
depends on how Mesa schedules steps.
"""

from __future__ import annotations

import asyncio
import threading
from abc import abstractmethod
from contextvars import ContextVar

import mesa
from mesa.time import EventGenerator, Priority, Schedule

from repunet_model.errors import RepuNetError
from repunet_model.util import event_loop

_PREPARED: ContextVar[event_loop.BackgroundTask[None] | None] = ContextVar("prepared", default=None)
"""The task of a step that `astep` is about to start on a thread, so that it can be cancelled before it begins."""


class SteppedModel(mesa.Model):  # type: ignore[misc]  # Mesa 3.5 ships no types
    """A Mesa model whose step is a coroutine; `steps` counts completed steps and the one under way."""

    steps: int
    time: float
    _default_schedule: EventGenerator

    def __init__(self, rng: int) -> None:
        """Create a model before its first step, with the seed of Mesa's own generators."""
        self._stepping = threading.Lock()
        self._task: event_loop.BackgroundTask[None] | None = None
        self._whole = 0
        super().__init__(rng=rng)

    @abstractmethod
    async def _run_step(self) -> None:
        """Run the step that `steps` already counts, and set `_whole` to it when it can no longer fail.

        If it raises an error before that, it must leave no trace.
        """

    def step(self) -> None:
        """Run one step.

        Raises:
            RepuNetError: If the step failed; the model is then in the state before it.
        """
        self._task = _PREPARED.get() or event_loop.BackgroundTask()
        self._task.start(self._run_step())
        self._task.result()

    async def astep(self) -> None:
        """Run one step without blocking the event loop of the caller; cancellation undoes the step."""
        task = event_loop.BackgroundTask[None]()
        prepared = _PREPARED.set(task)
        step = asyncio.create_task(asyncio.to_thread(self.step))
        _PREPARED.reset(prepared)
        try:
            await asyncio.shield(step)
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait([step])
            if not step.cancelled():
                step.exception()
            raise

    def interrupt(self) -> bool:
        """Cancel the step under way, from another thread; its `step` then raises `CancelledError`.

        Pending replies are awaited and recorded; a second call drops them.

        Returns:
            Whether a step was under way.
        """
        task = self._task
        if task is not None:
            task.cancel()
        return task is not None

    def _wrapped_step(self) -> None:
        """Refuse overlapping steps, which Mesa would miscount, and reset the clock after a failure."""
        if not self._stepping.acquire(blocking=False):
            raise RepuNetError("a step of this model is under way: wait for it to end")
        try:
            super()._wrapped_step()
        except BaseException:
            try:
                if self._task is not None:
                    self._task.stop()
            finally:
                self._set_clock(self._whole)
            raise
        finally:
            self._task = None
            self._stepping.release()

    def _set_clock(self, step: int) -> None:
        """Set Mesa's clock to the end of a step and schedule the next one, which Mesa does not do after an error."""
        self._default_schedule.stop()
        self._whole = self.steps = step
        self.time = float(step)
        self._default_schedule = EventGenerator(
            self, self._do_step, Schedule(interval=1.0, start=self.time + 1.0), priority=Priority.HIGH
        ).start()
