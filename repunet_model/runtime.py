"""The event loop of the process: one background thread owns it, and with it every client.

A model's `step` may be called from a script, from a notebook or from a page that already runs a loop. All of them
submit to this one thread, so that a client never meets a second loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from functools import cache
from typing import Any

_CLEAN_UP_SECONDS = 10.0


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="repunet-event-loop", daemon=True).start()
    return loop


def run[T](coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the background loop and wait for its result.

    When the wait is interrupted, the coroutine is cancelled and given time to clean up after itself.
    """
    ended = threading.Event()

    async def watched() -> T:
        try:
            return await coroutine
        finally:
            ended.set()

    future = asyncio.run_coroutine_threadsafe(watched(), _loop())
    try:
        return future.result()
    except BaseException:
        future.cancel()
        ended.wait(_CLEAN_UP_SECONDS)
        raise
