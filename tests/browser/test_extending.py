"""A component of the page in one file."""

from __future__ import annotations

import re
from pathlib import Path

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


def test_a_stage_in_one_file_is_asked_in_the_page(browser: Browser, tmp_path: Path) -> None:
    extension = {"REPUNET_EXTENSIONS": str(EXAMPLES / "punishment.py")}
    with real.serving(tmp_path, environment=extension) as running, real.watched_tab(browser, running.url, 800) as tab:
        tab.get_by_role("button", name="Step", exact=True).click()
        tab.locator(".rn-step[data-shown='1']").wait_for()
        tab.locator("[data-agent='Emma Dubois']").click()
        tab.get_by_role("heading", name="Emma Dubois").wait_for()
        tab.locator(".rn-call", has_text="punish").first.wait_for()
