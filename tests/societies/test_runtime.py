"""The event loop of the process, whoever asks for it and whenever."""

from __future__ import annotations

import gc
import os
import threading
import time
import weakref

import pytest

from repunet_model import RepuNetModel
from repunet_model.util import event_loop
from tests.conftest import LONG_ENOUGH


@pytest.mark.parametrize("is_first", [True, False])
def test_a_model_may_go_while_the_loop_is_looked_up(is_first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_loop, "_LOOPS", {} if is_first else dict(event_loop._LOOPS))
    gone = weakref.ref(RepuNetModel(n_agents=2, rng=1))

    process = os.getpid()

    def collecting() -> int:
        gc.collect()
        return process

    async def answer() -> int:
        return 7

    answers: list[int] = []
    gc.disable()
    try:
        RepuNetModel(n_agents=2, rng=1)
        with monkeypatch.context() as patched:
            patched.setattr("repunet_model.util.event_loop.os.getpid", collecting)
            asking = threading.Thread(target=lambda: answers.append(event_loop.run(answer())), daemon=True)
            asking.start()
            asking.join(LONG_ENOUGH)
    finally:
        gc.enable()
    assert answers == [7]
    assert gone() is None
    if is_first:
        (loop,) = event_loop._LOOPS.values()
        loop.call_soon_threadsafe(loop.stop)
        while loop.is_running():
            time.sleep(0.01)
        loop.close()
