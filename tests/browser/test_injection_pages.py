"""In a browser, too, whatever somebody writes is text: on the page and in a report, nothing of it runs."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from repunet_model import RepuNetModel
from repunet_model.cli import main
from repunet_model.testing import endpoint
from repunet_model.util.text import visible
from tests import chromium as real
from tests import hostile

pytestmark = pytest.mark.skipif(real.CHROMIUM is None, reason="there is no Chromium on this machine")

MODEL = f"<img src=x onerror={hostile.CANARY}> $\\foo{{$ {{{{ 7*7 }}}} [red] \x1b[31m\u202e --> ]]>"
"""What an endpoint may call its model."""

FOLDERS = (f"<img src=x onerror={hostile.CANARY}>", hostile.NAMES[2], "\x1b[31m\u202e[red] {{ 7*7 }} & &lt;")
"""What somebody may call the folder of a run."""


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of hostile personas and of a model that writes hostile texts, and copies of it under hostile names."""
    folder = tmp_path_factory.mktemp("runs")
    with endpoint(fault=hostile.Hostile()) as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLM_API_BASE", running.url)
        patch.setenv("LLM_MODEL", MODEL)
        with RepuNetModel(
            personas=hostile.people(), backend="openai", rng=1, storage=str(folder), run_name="run", dialogue_turns=4
        ) as model:
            for _ in range(6):  # in fewer steps random replies may lead to no gossip
                model.step()
    for name in FOLDERS:
        shutil.copytree(folder / "run", folder / name)
    return folder


def check_nothing_ran(tab: Page) -> None:
    """Check that the canary lives, and that no element of theirs came to be."""
    assert tab.evaluate("window.__pwned") is None
    assert tab.locator("img[src='x'], main script, .rn-page script").count() == 0


def shows(tab: Page, text: str) -> bool:
    """Tell whether a text can be read somewhere, blanks aside."""
    letters = re.sub(r"\s", "", text)
    return letters in re.sub(r"\s", "", tab.locator("body").inner_text())


def test_a_report_shows_hostile_names_as_text(storage: Path, browser: Browser, tmp_path: Path) -> None:
    with RepuNetModel(personas=hostile.people(), rng=1, storage=str(tmp_path), run_name="rules") as model:
        for _ in range(3):
            model.step()
    title = hostile.TEXTS[-1]
    runs = [str(storage / "run"), str(tmp_path / "rules")]
    assert main(["report", *runs, "--title", title, "--out", str(tmp_path / "report")]) == 0
    watched = real.Watched()
    with browser.new_context() as context:
        tab = context.new_page()
        tab.set_default_timeout(real.PATIENCE * 1000)
        watched.listen(tab)
        page = (tmp_path / "report" / "index.html").as_uri()
        tab.goto(page)
        check_nothing_ran(tab)
        assert shows(tab, visible(title))
        assert tab.title().split() == visible(title).split()
        assert shows(tab, visible(MODEL))
        drawn = tab.locator("figure img").evaluate_all("all => all.map(image => image.naturalWidth)")
        assert len(drawn) > 5
        assert all(drawn)
    assert watched.errors == []
    assert watched.strangers == [page]


@pytest.fixture(scope="module")
def server(storage: Path) -> Iterator[real.Server]:
    with endpoint(fault=hostile.Hostile()) as running:
        environment = {"LLM_API_BASE": running.url, "LLM_MODEL": MODEL}
        with real.serving(storage, environment=environment) as serving:
            yield serving


@pytest.fixture
def tab(browser: Browser, server: real.Server) -> Iterator[Page]:
    """A tab on the stored runs, in which nothing may run or fail, and which stays on this machine."""
    with real.watched_tab(browser, f"{server.url}/?stored", 900) as opened:
        yield opened
        check_nothing_ran(opened)


def choose(tab: Page, label: str, number: int) -> str:
    """Choose what is at a place of a list, and return it."""
    tab.get_by_label(label, exact=True).click(force=True)
    items = tab.locator(".menuable__content__active .v-list-item")
    items.first.wait_for()
    check_nothing_ran(tab)
    chosen = items.nth(number).inner_text()
    items.nth(number).click()
    return chosen


def test_runs_are_offered_under_their_hostile_names(tab: Page) -> None:
    names = {choose(tab, "run", number) for number in range(len(FOLDERS) + 1)}
    assert {name.strip() for name in FOLDERS[:2]} < names
    choose(tab, "beside it", 1)
    tab.locator(".rn-run").first.wait_for()
    check_nothing_ran(tab)


def test_agents_and_what_they_say_are_shown_letter_by_letter(tab: Page) -> None:
    unseen = {hostile.TEMPLATES, hostile.JSON, hostile.MARKUP, hostile.VUE, hostile.RICH, hostile.CELLS}
    for name in hostile.NAMES:
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        tab.locator(f'[data-agent="{quoted}"]').click()
        tab.get_by_role("heading", name=name, exact=True).wait_for()
        tab.locator(".rn-agent details").evaluate_all("all => all.forEach(one => { one.open = true; })")
        check_nothing_ran(tab)
        unseen -= {text for text in unseen if shows(tab, text)}
    assert unseen == set()


def test_gossip_opinions_and_communities_are_shown_letter_by_letter(tab: Page) -> None:
    tab.get_by_role("tab", name="Gossip").click()
    tab.locator(".rn-message").first.wait_for()
    while tab.get_by_role("button", name="show more").count():
        tab.get_by_role("button", name="show more").click()
    assert any(shows(tab, text) for text in (hostile.MARKUP, hostile.VUE))
    tab.get_by_role("tab", name="Opinions").click()
    matrix = tab.locator(".rn-matrix canvas")
    matrix.focus()
    for key in ("ArrowRight", "Enter"):
        matrix.press(key)
    tab.get_by_role("tab", name="Communities").click()
    tab.locator(".rn-group").first.wait_for()
    assert shows(tab, hostile.NAMES[1])


def test_an_interview_shows_what_the_model_answers_as_text(tab: Page) -> None:
    name = hostile.NAMES[1]
    tab.locator(f'[data-agent="{name}"]').click()
    question = tab.get_by_label(re.compile("^Ask "))
    question.fill(hostile.MARKUP + hostile.VUE)
    tab.get_by_role("button", name="Ask", exact=True).click()
    said = tab.locator(".rn-answer")
    said.wait_for()
    told = said.inner_text()
    assert "not written into the run" in told
    letters = re.sub(r"\W", "", told)
    assert any(letters.startswith(re.sub(r"\W", "", text)[:20]) for text in hostile.TEXTS)
