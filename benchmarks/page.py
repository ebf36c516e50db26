"""Latency of the page in a real browser: from a click until the new state is drawn.

    uv run benchmarks/page.py

Measured are a Step of 20 agents with the rules backend; a stored run of 100 steps of 20 agents, until it is first drawn
and for each move of its slider; the same with 200 agents, for 30 steps; and the opening of the run that comes with the
package. The page is 1280 × 800 pixels.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from playwright.sync_api import Page

from repunet_model import RepuNetModel

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests import chromium as real

RUNS = {"small": (20, 100), "large": (200, 30)}


def stored(storage: str) -> None:
    """Run and store the societies."""
    for name, (agents, steps) in RUNS.items():
        with RepuNetModel(n_agents=agents, rng=1, storage=storage, run_name=name) as model:
            for _ in range(steps):
                model.step()


def until_drawn(tab: Page, step: int, act: Callable[[], None]) -> float:
    """Return the seconds from an action until a step is drawn."""
    started = time.perf_counter()
    act()
    tab.wait_for_selector(f".rn-step[data-shown='{step}']", state="attached")
    tab.evaluate("() => new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    return time.perf_counter() - started


def opened(tab: Page, url: str) -> float:
    """Return the seconds from opening the page until a society is drawn."""
    started = time.perf_counter()
    tab.goto(url)
    tab.wait_for_selector(".rn-node")
    return time.perf_counter() - started


def moves(tab: Page, last: int) -> list[float]:
    """Move the slider back and forth; return the seconds of each move."""
    slider = tab.get_by_role("slider", name="step")
    targets = [1 + (7 * number) % (last - 1) for number in range(1, 16)]
    return [until_drawn(tab, step, lambda step=step: slider.fill(str(step))) for step in targets]  # type: ignore[misc]


def steps(tab: Page, count: int) -> list[float]:
    """Press Step; return the seconds of each step."""
    button = tab.get_by_role("button", name="Step", exact=True)
    return [until_drawn(tab, step, button.click) for step in range(1, count + 1)]


def told(what: str, seconds: list[float], promise: str = "") -> None:
    """Print a figure: the median, the first, and the slowest."""
    figures = f"{median(seconds):.2f} s, the first {seconds[0]:.2f} s, at most {max(seconds):.2f} s"
    print(f"{what}: {figures}{promise and f' (promised: {promise})'}")


def main() -> None:
    """Print the figures."""
    if real.CHROMIUM is None:
        sys.exit("there is no Chromium on this machine: apt-get install chromium")
    with tempfile.TemporaryDirectory() as storage, real.running_browser() as browser:
        stored(storage)
        with real.serving(Path(storage)) as server:
            tab = browser.new_page(viewport={"width": 1280, "height": 800})
            told("the live page opens", [opened(tab, server.url) for _ in range(3)])
            told("a Step of 20 agents", steps(tab, 15), "1 s")
            tab.locator("[data-agent='Emma Dubois']").click()
            tab.get_by_role("slider", name="Population").focus()
            tab.keyboard.press("End")
            tab.get_by_role("button", name="Reset", exact=True).click()
            tab.wait_for_function("document.querySelectorAll('.rn-node').length === 200")
            told("a Step of 200 agents", steps(tab, 5))
            example = f"{server.url}/?example"
            told("the packaged run of a language model opens", [opened(tab, example) for _ in range(3)], "3 s")
        for name, (agents, last) in RUNS.items():
            with real.serving(Path(storage), str(Path(storage) / name)) as server:
                tab = browser.new_page(viewport={"width": 1280, "height": 800})
                promises = ("3 s", "0.5 s") if name == "small" else ("", "")
                what = f"{last} steps of {agents} agents"
                told(f"a run of {what} opens", [opened(tab, server.url) for _ in range(3)], promises[0])
                told(f"its slider, {agents} agents", moves(tab, last), promises[1])
                tab.locator("[data-agent='Emma Dubois']").click()
                tab.get_by_role("heading", name="Emma Dubois").wait_for()
                told("the same with an agent open", moves(tab, last), promises[1])
                tab.get_by_role("tab", name="Opinions").click()
                tab.wait_for_selector("canvas")
                told("the same with the matrix open", moves(tab, last), promises[1])


if __name__ == "__main__":
    main()
