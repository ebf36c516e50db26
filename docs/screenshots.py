"""Makes the pictures of the page in this folder, in a real browser.

    uv run docs/screenshots.py

A live society after 12 steps with an agent open; a run with RepuNet beside one without; an investment run with its
gossip; and a stored run on a phone. All of them with the rules backend and seed 1.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page

from repunet_model import RepuNetModel

DOCS = Path(__file__).parent

sys.path.insert(0, str(DOCS.parent))

from tests import chromium as real  # noqa: E402

DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}

RUNS = {
    "with RepuNet": ("prisoners_dilemma", True, 30),
    "without RepuNet": ("prisoners_dilemma", False, 30),
    "investment": ("investment", True, 12),
}


def stored(storage: str) -> None:
    """Run and store what is shown."""
    for name, (game, repunet, steps) in RUNS.items():
        with RepuNetModel(game, reputation=repunet, gossip=repunet, rng=1, storage=storage, run_name=name) as model:
            for _ in range(steps):
                model.step()


def opened(browser: Browser, url: str, size: dict[str, int]) -> Page:
    """Open the page at a size."""
    tab = browser.new_page(viewport={"width": size["width"], "height": size["height"]})
    tab.goto(url)
    tab.wait_for_selector(".rn-node")
    return tab


def kept(tab: Page, name: str) -> None:
    """Keep a picture of what is to be seen, once nothing moves any more."""
    tab.mouse.move(2, 400)
    tab.wait_for_timeout(1200)
    tab.screenshot(path=DOCS / f"page_{name}.png")
    tab.close()


def to_step(tab: Page, step: int) -> None:
    """Move the slider."""
    tab.get_by_role("slider", name="step").fill(str(step))
    tab.wait_for_selector(f".rn-step[data-shown='{step}']", state="attached")


def live(browser: Browser, url: str) -> None:
    """Picture a live society with a mind open."""
    tab = opened(browser, url, DESK)
    for step in range(1, 13):
        tab.get_by_role("button", name="Step", exact=True).click()
        tab.wait_for_selector(f".rn-step[data-shown='{step}']", state="attached")
    tab.locator("[data-agent='Fatima Ali']").click()
    tab.get_by_role("heading", name="Fatima Ali").wait_for()
    kept(tab, "live")


def comparison(browser: Browser, url: str) -> None:
    """Picture two runs beside each other."""
    tab = opened(browser, url, DESK)
    tab.get_by_label("beside it").click(force=True)
    tab.locator(".menuable__content__active .v-list-item", has_text="without RepuNet").click()
    tab.get_by_role("heading", name="without RepuNet").wait_for()
    to_step(tab, 20)
    kept(tab, "comparison")


def gossip(browser: Browser, url: str) -> None:
    """Picture a run of two roles, with communities and gossip."""
    tab = opened(browser, url, DESK)
    tab.get_by_text("communities", exact=True).click()
    tab.get_by_role("tab", name="Gossip").click()
    tab.get_by_label("tone").select_option("negative")
    kept(tab, "gossip")


def phone(browser: Browser, url: str) -> None:
    """Picture a stored run on a phone."""
    tab = opened(browser, url, PHONE)
    to_step(tab, 20)
    kept(tab, "phone")


def main() -> None:
    """Make the pictures."""
    if real.CHROMIUM is None:
        sys.exit("there is no Chromium on this machine: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder, real.running_browser() as browser:
        storage = Path(folder)
        stored(folder)
        with real.serving(storage) as server:
            live(browser, server.url)
        with real.serving(storage, str(storage / "with RepuNet")) as server:
            comparison(browser, server.url)
            phone(browser, server.url)
        with real.serving(storage, str(storage / "investment")) as server:
            gossip(browser, server.url)


if __name__ == "__main__":
    main()
