"""The event loop of the process, whoever asks for it and whenever."""

from __future__ import annotations

import gc
import os
import threading
import time
import weakref

import pytest

from repunet_model import RepuNetModel, runtime
from tests.conftest import LONG_ENOUGH


@pytest.mark.parametrize("is_first", [True, False])
def test_a_model_may_go_while_the_loop_is_looked_up(is_first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_LOOPS", {} if is_first else dict(runtime._LOOPS))
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
            patched.setattr("repunet_model.runtime.os.getpid", collecting)
            asking = threading.Thread(target=lambda: answers.append(runtime.run(answer())), daemon=True)
            asking.start()
            asking.join(LONG_ENOUGH)
    finally:
        gc.enable()
    assert answers == [7]
    assert gone() is None
    if is_first:
        (loop,) = runtime._LOOPS.values()
        loop.call_soon_threadsafe(loop.stop)
        while loop.is_running():
            time.sleep(0.01)
        loop.close()
