"""The browser that these tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests import chromium as real


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The browser of this machine; without one the test is skipped."""
    if real.CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    with real.running_browser() as running:
        yield running
