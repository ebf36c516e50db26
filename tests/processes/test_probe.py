"""The fitness card of a small model on this machine, where one is installed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from repunet_model.backends.limits import Limits
from repunet_model.backends.setup import respondents
from repunet_model.config import RunConfig
from repunet_model.probe.asking import Asking
from repunet_model.probe.battery import Block, Size, battery
from repunet_model.probe.measuring import lines_of
from tests.processes.test_local import SMALL_MODEL, needs_model, needs_server


@needs_server
@needs_model
@pytest.mark.timeout(900)  # a quarter of a minute on two free cores, minutes on busy ones
def test_a_very_small_model_has_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SmolLM2 with 135 million parameters answers; what it decides differs by machine and is not asserted."""
    monkeypatch.setenv("PYTHON_CPU_COUNT", "1")  # Threads of llama.cpp wait for each other on a busy machine.
    settings = {
        "LLM_GGUF": str(SMALL_MODEL),
        "LLM_MAX_TOKENS": "160",
        "LLM_TEMPERATURE": "0.7",
        "LLM_FREQUENCY_PENALTY": "1",
        "LLM_TIMEOUT": "600",
    }
    whole = battery(RunConfig(seed=1), Size.SMALL)
    asked = replace(whole, items=tuple(item for item in whole.items if item.block is Block.CONDUCT))
    backend = respondents("local", environment=settings).default
    asking = Asking([asked], backend, Limits(concurrency=1), tmp_path / "replies.jsonl")
    (rows,) = asking.run(lambda: None)
    assert asking.progress.done == len(rows) == 8
    lines = {line.form.name: line for line in lines_of(rows, {})}
    for name in ("order_of_scales", "conduct"):
        assert lines[name].verdict in {"fit", "doubtful", "unfit"}
