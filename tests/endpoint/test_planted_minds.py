"""Planted minds in a population of language models."""

from __future__ import annotations

from pathlib import Path

import pytest

from repunet_model.testing import endpoint
from tests.societies.test_planted_minds import AHMED, AISHA, rows, run, told_by


def test_liars_are_planted_among_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint() as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        parameters = {"backend": "openai", "backend_for": dict.fromkeys((AHMED, AISHA), "slanderer"), "n_agents": 4}
        with run(4, storage=str(tmp_path), mechanism="paper,partner_probability=0", **parameters) as model:
            lies = [row for row in told_by(model, AHMED, AISHA) if "conduct was very bad" in row["dialogue"][0][1]]
            calls = rows(model, "calls")
    assert {row["tone"] for row in told_by(model, AHMED, AISHA)} == {"negative"}
    asked = {row["agent"] for row in calls if "prompt" in row}
    assert not asked & {AHMED, AISHA}
    heard = [row["prompt"] for row in calls if row["question"] == "hear" and row["agent"] in asked]
    to_models = [row["dialogue"][0][1] for row in lies if row["listener"] in asked]
    assert to_models
    assert all(any(text in prompt for prompt in heard) for text in to_models)
