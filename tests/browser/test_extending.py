"""A component of the page in one file."""

from __future__ import annotations

import re

from playwright.sync_api import Browser

from tests import EXAMPLES
from tests import chromium as real


def test_a_component_in_one_file_is_drawn(browser: Browser) -> None:
    with real.serving_app(EXAMPLES / "leaderboard.py") as running, browser.new_context() as context:
        page = context.new_page()
        page.set_default_timeout(real.PATIENCE * 1000)
        page.goto(running.url)
        page.get_by_text("Nobody has a reputation yet.").wait_for()
        page.get_by_role("button", name="Step").click()
        page.get_by_text(re.compile(r"^1\. ")).wait_for()
