"""What the tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from repunet_model import sweep
from tests.endpoint import Endpoint, endpoint

MODE_NAMES = list(sweep.MODES)
MODES = list(sweep.MODES.values())


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's own settings out of the tests."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "LLM_API_BASE", "LLM_MODEL", "LLM_GGUF", "REPUNET_STORAGE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def local_endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """A local endpoint without delay, set as LLM_API_BASE."""
    with endpoint() as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        yield running


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of a run that equal runs must share byte for byte."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith("usage")
    }
