from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import web
from playwright.sync_api import Browser, Page

from repunet_model import RepuNetModel, testing
from repunet_model.reference_layout import export_step, import_run
from repunet_model.storage import StepReader
from tests import chromium as real
from tests.societies.test_published_runs import invented

pytestmark = pytest.mark.skipif(real.CHROMIUM is None, reason="there is no Chromium on this machine")

STEPS = 8


class Trouble:
    """What the endpoint of the tests does instead of answering; nothing by default."""

    def __init__(self) -> None:
        self.fault: testing.Fault | None = None

    def __call__(self, number: int, body: testing.Body) -> web.Response | testing.Reset | testing.Hang | None:
        return self.fault(number, body) if self.fault is not None else None


@pytest.fixture(scope="module")
def trouble() -> Trouble:
    return Trouble()


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs to compare, one of two roles, and one that was imported."""
    folder = tmp_path_factory.mktemp("runs")
    kinds = {
        "with": ("prisoners_dilemma", True),
        "without": ("prisoners_dilemma", False),
        "roles": ("investment", True),
    }
    for name, (game, repunet) in kinds.items():
        with RepuNetModel(game, reputation=repunet, gossip=repunet, rng=1, storage=str(folder), run_name=name) as model:
            for _ in range(STEPS if name != "without" else STEPS - 2):
                model.step()
    out = folder.parent / "published" / f"step_{STEPS}"
    out.parent.mkdir()
    export_step(StepReader.open(folder / "roles"), STEPS, out)
    import_run(out, folder, "imported")
    import_run(invented(out.parent), folder, "invented")
    return folder


@pytest.fixture(scope="module")
def server(storage: Path, trouble: Trouble) -> Iterator[real.Server]:
    with testing.endpoint(fault=trouble) as endpoint:
        environment = {"LLM_API_BASE": endpoint.url, "LLM_MODEL": "test-model"}
        with real.serving(storage, environment=environment) as running:
            yield running


@pytest.fixture
def tab(browser: Browser, server: real.Server) -> Iterator[Page]:
    """A tab on the live page, which complains of nothing and stays on this machine."""
    with real.watched_tab(browser, server.url, 800) as opened:
        yield opened


def shown(tab: Page) -> int:
    return int(tab.locator(".rn-step").get_attribute("data-shown") or "-1")


def wait_for_step(tab: Page, step: int) -> None:
    tab.wait_for_selector(f".rn-step[data-shown='{step}']", state="attached")
    tab.wait_for_selector(f".rn-net svg[aria-label*=' at step {step},']")


def press(tab: Page, name: str) -> None:
    tab.get_by_role("button", name=name, exact=True).click()


def choose(tab: Page, label: str, value: str) -> None:
    tab.get_by_label(label, exact=True).click(force=True)
    tab.locator(".menuable__content__active .v-list-item").filter(has_text=re.compile(f"^{re.escape(value)}$")).click()


def ties(tab: Page) -> str:
    """Return the lines of the network, which differ as the ties do."""
    lines = tab.locator(".rn-kept, .rn-made, .rn-cut").evaluate_all("all => all.map(one => one.getAttribute('d'))")
    return "|".join(line or "" for line in lines)


def stored(tab: Page, run: str) -> None:
    tab.goto(f"{tab.url.partition('?')[0]}?stored")
    tab.wait_for_selector(".rn-steps >> text=Play")
    if tab.get_by_label("run", exact=True).input_value() != run:
        choose(tab, "run", run)
    tab.wait_for_selector(f".rn-net svg[aria-label^='Ties of {run} at ']")


def until(condition: Callable[[], bool], seconds: float = real.PATIENCE) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.2)
    return condition()


# The live page


def test_three_steps_each_show_a_new_state(tab: Page) -> None:
    states = [ties(tab)]
    for step in (1, 2, 3):
        press(tab, "Step")
        wait_for_step(tab, step)
        states.append(ties(tab))
    assert len(set(states)) == 4
    assert tab.get_by_text("Time: 3.0").count() == 1


def test_play_goes_on_until_pause(tab: Page) -> None:
    press(tab, "▶")
    assert until(lambda: shown(tab) >= 3)
    press(tab, "❚❚")
    tab.get_by_role("button", name="▶", exact=True).wait_for()
    time.sleep(1)
    paused = shown(tab)
    time.sleep(1.5)
    assert shown(tab) == paused


def test_reset_makes_the_society_of_another_seed_and_the_same_again(tab: Page) -> None:
    press(tab, "Step")
    wait_for_step(tab, 1)
    first = ties(tab)
    for seed, is_same in (("7", False), ("1", True)):
        tab.get_by_label("Seed").fill(seed)
        tab.get_by_label("Seed").press("Enter")
        press(tab, "Reset")
        wait_for_step(tab, 0)
        tab.get_by_text(f"seed {seed}").wait_for()
        press(tab, "Step")
        wait_for_step(tab, 1)
        assert (ties(tab) == first) is is_same


def test_a_society_that_cannot_be_made_is_said_beside_the_last_good_one(tab: Page) -> None:
    press(tab, "Step")
    wait_for_step(tab, 1)
    before = ties(tab)
    tab.get_by_label("Seed").fill("lucky")
    tab.get_by_label("Seed").press("Enter")
    press(tab, "Reset")
    tab.get_by_text("seed is 'lucky': the seed must be an integer").wait_for()
    assert ties(tab) == before


def test_a_click_or_the_keyboard_selects_an_agent(tab: Page) -> None:
    press(tab, "Step")
    wait_for_step(tab, 1)
    tab.locator("[data-agent='Emma Dubois']").click()
    tab.get_by_role("heading", name="Emma Dubois").wait_for()
    calls = tab.locator(".rn-call")
    assert calls.count() > 3
    calls.first.locator("summary").click()
    assert "reason" in calls.first.inner_text()
    tab.locator("[data-agent='Emma Dubois']").press("ArrowRight")
    tab.keyboard.press("Enter")
    tab.get_by_role("heading", name="Fatima Ali").wait_for()


def test_the_first_link_opens_a_run_of_a_language_model_with_its_prompts(tab: Page) -> None:
    with tab.expect_popup() as opening:
        tab.get_by_role("link", name="Run of a language model").click()
    opened = opening.value
    opened.wait_for_selector(".rn-net svg[aria-label^='Ties of example at step 10,']")
    opened.locator("[data-agent='Emma Dubois']").first.click()
    call = opened.locator(".rn-call").nth(1)
    call.locator("summary").first.click()
    assert "Emma Dubois" in call.locator("pre").first.inner_text(), "the prompt"
    assert re.search(r"reason: \w+", call.inner_text()), "the reply"
    opened.close()


def test_rules_cannot_talk_and_say_so(tab: Page) -> None:
    tab.locator("[data-agent='Emma Dubois']").click()
    tab.get_by_label(re.compile("^Ask Emma Dubois")).fill("Why?")
    press(tab, "Ask")
    tab.get_by_text("Emma Dubois cannot talk").wait_for()


def test_earlier_steps_of_a_live_society_can_be_looked_at(tab: Page) -> None:
    states = []
    for step in (1, 2):
        press(tab, "Step")
        wait_for_step(tab, step)
        states.append(ties(tab))
    press(tab, "step before")
    wait_for_step(tab, 1)
    assert ties(tab) == states[0]
    press(tab, "step after")
    wait_for_step(tab, 2)
    assert ties(tab) == states[1]


# A paid endpoint


@pytest.fixture
def paid(tab: Page, trouble: Trouble) -> Iterator[Page]:
    """A small society that a model answers for."""
    tab.get_by_role("slider", name="Population").focus()
    for _ in range(16):
        tab.keyboard.press("ArrowLeft")
    choose(tab, "Who answers (rules: free)", "openai")
    press(tab, "Reset")
    tab.get_by_text("test-model answers").wait_for()
    yield tab
    trouble.fault = None


def test_a_paid_endpoint_shows_what_it_costs_and_talks(paid: Page) -> None:
    press(paid, "Step")
    wait_for_step(paid, 1)
    spent = paid.locator(".rn-spending").inner_text()
    assert re.search(r"So far [1-9]\d* calls, [1-9][\d,]* tokens", spent)
    paid.locator(".rn-node").first.click()
    paid.get_by_label(re.compile("^Ask ")).fill("What do you make of the others?")
    press(paid, "Ask")
    paid.get_by_text("not written into the run").wait_for()


def test_an_endpoint_that_fails_is_said_beside_the_last_good_state_and_can_be_tried_again(
    paid: Page, trouble: Trouble
) -> None:
    press(paid, "Step")
    wait_for_step(paid, 1)
    before = ties(paid)
    trouble.fault = lambda number, body: testing.error(401, "no such key")
    press(paid, "Step")
    paid.get_by_text("Step 2 failed, and the society is as it was before it").wait_for()
    assert shown(paid) == 1
    assert ties(paid) == before
    press(paid, "▶")
    paid.get_by_role("button", name="❚❚", exact=True).wait_for()
    paid.get_by_role("button", name="▶", exact=True).wait_for()
    trouble.fault = None
    press(paid, "Step")
    wait_for_step(paid, 2)
    assert paid.get_by_text("Step 2 failed").count() == 0


def test_a_step_can_be_cancelled_and_leaves_the_society_whole(paid: Page, trouble: Trouble) -> None:
    trouble.fault = lambda number, body: testing.Hang(60)
    press(paid, "Step")
    press(paid, "Cancel this step")
    press(paid, "Give up the replies under way")
    paid.get_by_text("Step 1 was cancelled").wait_for()
    trouble.fault = None
    press(paid, "Step")
    wait_for_step(paid, 1)


# Tabs


def test_two_tabs_are_two_societies_and_a_closed_one_leaves_no_thread(
    browser: Browser, server: real.Server, tab: Page
) -> None:
    press(tab, "Step")
    wait_for_step(tab, 1)
    time.sleep(1)
    before = server.threads()
    with browser.new_context() as context:
        other = context.new_page()
        other.set_default_timeout(real.PATIENCE * 1000)
        other.goto(server.url)
        other.wait_for_selector(".rn-node")
        assert shown(other) == 0
        press(other, "▶")
        assert until(lambda: shown(other) >= 3)
        assert len(server.threads()) > len(before)
        assert shown(tab) == 1
        other.close()
    assert until(lambda: len(server.threads()) <= len(before)), "".join(server.threads())
    press(tab, "Step")
    wait_for_step(tab, 2)


def test_a_tab_that_is_closed_during_a_paid_step_leaves_no_thread(
    browser: Browser, server: real.Server, tab: Page, trouble: Trouble
) -> None:
    before = server.threads()
    with browser.new_context() as context:
        other = context.new_page()
        other.set_default_timeout(real.PATIENCE * 1000)
        other.goto(server.url)
        other.wait_for_selector(".rn-node")
        choose(other, "Who answers (rules: free)", "openai")
        press(other, "Reset")
        other.get_by_text("test-model answers").wait_for()
        trouble.fault = lambda number, body: testing.Hang(60)
        press(other, "Step")
        other.get_by_role("button", name="Cancel this step").wait_for()
        assert len(server.threads()) > len(before)
        other.close()
    trouble.fault = None
    assert until(lambda: len(server.threads()) <= len(before)), "".join(server.threads())


# Stored runs


def test_stored_runs_open_in_a_tab_of_their_own(tab: Page) -> None:
    press(tab, "Step")
    wait_for_step(tab, 1)
    with tab.expect_popup() as popup:
        tab.get_by_role("link", name="Stored runs").click()
    popup.value.wait_for_selector(".rn-steps >> text=Play")
    assert shown(tab) == 1


def test_the_first_link_opens_the_run_of_a_language_model(tab: Page) -> None:
    first = tab.get_by_role("link").first
    assert first.inner_text().lower() == "run of a language model"
    with tab.expect_popup() as popup:
        first.click()
    popup.value.wait_for_selector(".rn-steps >> text=Play")
    assert "qwen2.5-coder-1.5b" in popup.value.locator(".rn-words").first.inner_text()


def test_the_slider_and_play_go_through_a_stored_run(tab: Page) -> None:
    stored(tab, "with")
    wait_for_step(tab, STEPS)
    last = ties(tab)
    tab.get_by_role("slider", name="step").fill("3")
    wait_for_step(tab, 3)
    assert ties(tab) != last
    press(tab, "Play")
    wait_for_step(tab, STEPS)
    assert ties(tab) == last
    tab.get_by_role("button", name="Play", exact=True).wait_for()


def test_two_runs_beside_each_other_move_together(tab: Page) -> None:
    stored(tab, "with")
    choose(tab, "beside it", "without")
    tab.get_by_role("heading", name="without").wait_for()
    assert tab.locator(".rn-net").count() == 2
    assert tab.get_by_text(f"at its last step, {STEPS - 2}").count() == 1
    before = ties(tab)
    tab.get_by_role("slider", name="step").fill("2")
    wait_for_step(tab, 2)
    assert ties(tab) != before
    tab.locator("[data-agent='Emma Dubois']").first.click()
    tab.get_by_role("heading", name="Emma Dubois").nth(1).wait_for()


def test_gossip_is_filtered(tab: Page) -> None:
    stored(tab, "with")
    tab.get_by_role("tab", name="Gossip").click()
    count = tab.locator(".rn-count")
    everything = re.match(r"(\d+) of \1 messages", count.inner_text())
    assert everything
    tab.get_by_label("tone").select_option("negative")
    negative = tab.locator(".rn-message")
    assert 0 < negative.count() < int(everything[1])
    assert all("complaint" in text for text in negative.all_inner_texts())
    tab.get_by_label("involves").fill("emma")
    assert all("Emma Dubois" in text for text in negative.all_inner_texts())


def test_the_layer_of_a_role_shows_its_own_ties(tab: Page) -> None:
    stored(tab, "roles")
    tab.get_by_label("ties to").wait_for()
    everything = ties(tab)
    choose(tab, "ties to", "trustee")
    assert until(lambda: ties(tab) != everything)


def test_opinions_and_communities_lead_to_an_agent(tab: Page) -> None:
    stored(tab, "with")
    tab.get_by_role("tab", name="Opinions").click()
    matrix = tab.locator("canvas")
    matrix.focus()
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("Enter")
    tab.get_by_text(re.compile(r"^Aisha Ibrahim of Ahmed Hassan as player")).wait_for()
    tab.get_by_role("tab", name="Communities").click()
    tab.locator(".rn-communities button").first.click()
    tab.locator(".rn-agent h2").wait_for()
    tab.get_by_role("tab", name="Checks").click()
    tab.get_by_role("cell", name="conduct as judged, and the act").wait_for()


def test_an_imported_run_opens(tab: Page) -> None:
    stored(tab, "imported")
    wait_for_step(tab, STEPS)
    tab.locator("[data-agent='Emma Dubois']").click()
    tab.get_by_text(re.compile("What others think of it")).wait_for()


def test_all_steps_of_a_published_run_are_in_the_slider(tab: Page) -> None:
    stored(tab, "invented")
    wait_for_step(tab, 3)
    made = ties(tab)
    slider = tab.get_by_role("slider", name="step")
    assert (slider.get_attribute("min"), slider.get_attribute("max")) == ("0", "3")
    for step in (0, 1, 2):
        slider.fill(str(step))
        wait_for_step(tab, step)
        assert ties(tab) != made
    assert tab.get_by_text("not measured yet").count() == 0


@pytest.mark.parametrize("view", ["live", "stored"])
def test_a_phone_shows_all_of_it_without_scrolling_sideways(view: str, browser: Browser, server: real.Server) -> None:
    with browser.new_context(viewport={"width": 390, "height": 844}) as context:
        phone = context.new_page()
        phone.set_default_timeout(real.PATIENCE * 1000)
        phone.goto(f"{server.url}/?{view}")
        phone.wait_for_selector(".rn-node")
        assert until(lambda: phone.locator(".v-overlay--active").count() == 0)
        assert phone.evaluate("document.documentElement.scrollWidth") <= 390
        for shown_word in phone.locator("header .v-toolbar__title:visible, header .v-btn:visible").all():
            assert shown_word.evaluate("box => box.scrollWidth <= box.clientWidth"), shown_word.inner_text()
        drawn = phone.locator(".rn-net svg").first.bounding_box()
        assert drawn is not None
        assert drawn["x"] >= 0
        assert drawn["x"] + drawn["width"] <= 390
        phone.locator("[data-agent='Emma Dubois']").click()
        phone.get_by_role("heading", name="Emma Dubois").wait_for()


# What people write


def test_markup_in_names_and_texts_stays_text(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("markup")
    nasty = "You {{ 1 + 1 }} <img src=x onerror=\"document.title='caught'\"> </script> \u0007 ${x}"
    people = folder / "people.json"
    ann = {"name": "<b>Ann</b> {{ 3 * 3 }}", "disposition": "altruistic", "learned": nasty}
    people.write_text(json.dumps([ann, {"name": "Bob", "disposition": "self-interested"}]))
    with RepuNetModel(personas=str(people), rng=1, storage=str(folder), run_name="nasty") as model:
        model.step()
    with real.serving(folder, str(folder / "nasty")) as running, browser.new_context() as context:
        watched = real.Watched()
        opened = context.new_page()
        opened.set_default_timeout(real.PATIENCE * 1000)
        watched.listen(opened)
        opened.goto(running.url)
        opened.locator(".rn-node").first.click()
        opened.get_by_role("heading", name="<b>Ann</b> {{ 3 * 3 }}").wait_for()
        opened.get_by_role("slider", name="step").fill("0")
        opened.get_by_text('<img src=x onerror="document').wait_for()
        assert opened.title() != "caught"
        assert opened.locator(".rn-agent img").count() == 0
        assert watched.errors == []


def test_the_parts_draw_in_a_plain_page_of_mesa(browser: Browser, tmp_path: Path) -> None:
    app = tmp_path / "plain.py"
    app.write_text(
        "import solara\n"
        "from mesa.visualization import SolaraViz, make_plot_component\n"
        "from repunet_model import RepuNetModel\n"
        "from visualization import for_mesa\n"
        "model = RepuNetModel(rng=1)\n"
        "parts = [for_mesa.network, for_mesa.agent, for_mesa.opinions, for_mesa.rates, for_mesa.gossip]\n"
        "@solara.component\n"
        "def Page():\n"
        "    SolaraViz(model, components=[*parts, make_plot_component('cooperation_rate')])\n"
    )
    with real.serving_app(app) as running, browser.new_context() as context:
        watched = real.Watched()
        opened = context.new_page()
        opened.set_default_timeout(real.PATIENCE * 1000)
        watched.listen(opened)
        opened.goto(running.url)
        opened.wait_for_selector(".rn-node")
        press(opened, "Step")
        assert until(lambda: "M" in ties(opened))
        opened.locator("[data-agent='Emma Dubois']").click()
        opened.get_by_role("heading", name="Emma Dubois").wait_for()
        assert opened.locator(".rn-matrix canvas").count() == 1
        assert opened.locator(".rn-gossip").count() == 1
        assert watched.errors == []
