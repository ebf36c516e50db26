"""What stands between an agent and an endpoint that is paid for, slow and unreliable."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import signal
import threading
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from repunet_model import RepuNetError, RepuNetModel
from repunet_model.backends import wrappers
from repunet_model.backends.estimate import CHARACTERS_PER_TOKEN, estimating
from repunet_model.backends.limits import Limits
from repunet_model.backends.prices import Price, Prices
from repunet_model.backends.setup import respondents
from repunet_model.cli import main
from repunet_model.errors import StorageError
from repunet_model.games import GAMES
from repunet_model.testing import (
    HARMLESS,
    SURVIVED,
    Body,
    Endpoint,
    FaultKind,
    Faults,
    Hang,
    Reset,
    answer,
    completion,
    endpoint,
    error,
    rejecting,
    said,
)
from tests.conftest import LONG_ENOUGH, MODE_NAMES, MODES, contents, decided

IN_TRANSIT = (FaultKind.LIMIT, FaultKind.OVERLOAD, FaultKind.RESET, FaultKind.SLOW, FaultKind.IN_A_CHOICE)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the order of retries, but not the seconds between them."""

    async def brief(seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.01))

    monkeypatch.setattr(wrappers, "sleep", brief)


def run(steps: int, **parameters: Any) -> RepuNetModel:
    with RepuNetModel(**{"rng": 1, "backend": "openai", "n_agents": 6, **parameters}) as model:
        for _ in range(steps):
            model.step()
    return model


def cli_run(storage: Path, *words: str, steps: int = 3, backend: str = "openai") -> int:
    return main(
        ["run", "--steps", str(steps), "--backend", backend, "-n", "6", "--storage", str(storage), *words]
        + ([] if "--sim-name" in words else ["--sim-name", "it"])
    )


@pytest.fixture
def one_line(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return what was said last on the error stream: a single line."""

    def read() -> str:
        lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith(("step ", "Loading"))]
        assert len(lines) == 1, lines
        assert lines[0].startswith("error: ")
        return lines[0]

    return read


def sent_twice(running: Endpoint) -> list[str]:
    """Return the requests that were sent again after they had been answered."""
    answered = Counter(json.dumps(body) for body in running.answered)
    return [body for body, times in answered.items() if times > 1]


# Faults


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize(("reputation", "gossip"), MODES, ids=MODE_NAMES)
@pytest.mark.first
def test_faults_on_30_percent_of_attempts_leave_no_trace_in_a_run(
    game: str, reputation: bool, gossip: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = {"game": game, "reputation": reputation, "gossip": gossip, "storage": str(tmp_path)}
    with endpoint() as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        run(2, run_name="without", **parameters)
    faults = Faults(0.3, slow=0.8)
    with endpoint(fault=faults) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        monkeypatch.setenv("LLM_TIMEOUT", "0.4")
        model = run(2, run_name="with", **parameters)
    assert contents(tmp_path / "without") == contents(tmp_path / "with")
    assert faults.made.total() > 0.15 * len(running.requests)
    assert model.usage.failures == model.usage.retries >= sum(faults.made[kind] for kind in IN_TRANSIT)
    assert model.usage.reasks == faults.made.total() - sum(faults.made[kind] for kind in IN_TRANSIT)
    assert model.usage.attempts == len(running.requests)


def test_every_kind_of_fault_is_among_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = Faults(0.3, slow=0.8)
    with endpoint(fault=faults) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        monkeypatch.setenv("LLM_TIMEOUT", "0.4")
        run(3)
    assert set(faults.made) == set(SURVIVED)


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize(("reputation", "gossip"), MODES, ids=MODE_NAMES)
@pytest.mark.first
def test_after_faults_of_all_kinds_runs_end_as_without(
    game: str, reputation: bool, gossip: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters: dict[str, Any] = {"game": game, "reputation": reputation, "gossip": gossip, "storage": str(tmp_path)}
    with endpoint() as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        run(3, run_name="without", **parameters)
    without = Counter(json.dumps(body["messages"][:2]) for body in running.requests)
    # Slow replies are left to the tests above: with their short time limit a busy machine is too late with others too.
    kinds = [kind for kind in FaultKind if kind is not FaultKind.SLOW]
    faults, is_ill, failures, healthy = Faults(0.3, kinds=kinds, most=9), True, 0, []

    def fault(number: int, body: Body) -> web.Response | Reset | Hang | None:
        if number == 5:  # in every cell one that a run does not survive
            return said({"content": None}, finish_reason="content_filter")
        harmless = sum(faults.made[kind] for kind in HARMLESS)
        failure = faults(number, body) if is_ill else None
        if failure is None or sum(faults.made[kind] for kind in HARMLESS) > harmless:
            healthy.append(json.dumps(body["messages"][:2]))
        return failure

    with endpoint(fault=fault) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with RepuNetModel(rng=1, backend="openai", n_agents=6, run_name="with", **parameters):
            pass
        for _ in range(12):
            with RepuNetModel.load(tmp_path / "with") as model:
                try:
                    while model.steps < 3:
                        model.step()
                except RepuNetError:
                    failures += 1
            is_ill = failures < 6
    assert failures > 0
    assert faults.made.total() > 0
    assert contents(tmp_path / "without") == contents(tmp_path / "with")
    assert Counter(healthy) <= without


@pytest.mark.parametrize("kind", HARMLESS)
@pytest.mark.parametrize("questions", ["single", "fused"])
def test_a_harmless_fault_changes_nothing(
    kind: FaultKind, questions: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = Faults(1.0, kinds=[kind], most=1_000)
    for name, fault in (("without", None), ("with", faults)):
        with endpoint(fault=fault) as running:
            monkeypatch.setenv("LLM_API_BASE", running.url)
            model = run(1, storage=str(tmp_path), run_name=name, questions=questions)
    assert faults.made[kind] == len(running.requests) == model.calls
    assert contents(tmp_path / "without") == contents(tmp_path / "with")


def test_usage_counts_failures_and_re_asks_by_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fault(number: int, body: Body) -> web.Response | None:
        if len(body["messages"]) > 2 or "move" not in body["response_format"]["json_schema"]["name"]:
            return None
        return completion("no") if number % 2 else None

    with endpoint(fault=fault) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert cli_run(tmp_path, steps=1) == 0
    wrong = sum(len(body["messages"]) == 4 for body in running.requests)
    usage = json.loads((tmp_path / "it" / "step_1" / "usage.json").read_text())
    assert wrong == usage["choose_move"]["reasks"] > 0
    assert all("reasks" not in counts for name, counts in usage.items() if name != "choose_move")
    table = capsys.readouterr().out
    assert "What the questions cost" in table
    assert any(line.split()[:1] == ["choose_move"] and line.split()[2] == str(wrong) for line in table.splitlines())


def test_a_reply_that_the_context_cut_off_is_not_blamed_on_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    cut: dict[str, Any] = {"finish_reason": "length", "prompt_tokens": 3974, "completion_tokens": 122}
    with endpoint(fault=lambda number, body: completion("{", **cut)) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with pytest.raises(RepuNetError, match="context was full with 3,974 tokens of the prompt and 122 of the reply"):
            run(1, n_agents=2)
    assert max(len(body["messages"]) for body in running.requests) == 4  # only the last wrong reply is shown again


def test_a_reply_that_is_always_cut_off_says_which_setting_to_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_MAX_TOKENS", "7")
    cut = '{"reason": "' + "x" * 5000
    with endpoint(fault=lambda number, body: completion(cut, finish_reason="length")) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with pytest.raises(RepuNetError, match="cut off at LLM_MAX_TOKENS=7: raise it"):
            run(1, n_agents=2)
    sent = [message for body in running.requests for message in body["messages"]]
    told_back = [message["content"] for message in sent if message["role"] == "assistant"]
    assert 0 < max(map(len, told_back)) <= 500


# What was paid for


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.first
def test_an_endpoint_that_fails_from_the_third_step_on_loses_nothing(
    game: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_line: Any
) -> None:
    storage = str(tmp_path)
    with endpoint() as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        run(2, game=game)
        before = len(running.requests)
        run(4, game=game, storage=storage, run_name="uninterrupted")
    is_down = False

    def fault(number: int, body: Body) -> web.Response | Hang | None:
        nonlocal is_down
        is_down = is_down or number == before + 5
        return error(503, "down for maintenance") if is_down else None

    draw = random.Random(1)
    with endpoint(latency=lambda: draw.uniform(0, 0.02), fault=fault) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert cli_run(tmp_path, "--scenario", game, steps=4) == 2
        line = one_line()
        assert "HTTP 503, down for maintenance; gave up after 6 attempts; to try the endpoint: repunet doctor" in line
        assert "; the run is whole up to step 2, go on with: " in line
        assert main(["resume", str(tmp_path / "it"), "--steps", "2"]) == 2
        one_line()
        is_down, before = False, -1_000_000
        assert main(["resume", str(tmp_path / "it"), "--steps", "2"]) == 0
    assert contents(tmp_path / "it") == contents(tmp_path / "uninterrupted")
    assert sent_twice(running) == []
    calls = sum(
        len((tmp_path / "it" / f"step_{step}" / "calls.jsonl").read_text().splitlines()) for step in range(1, 5)
    )
    assert calls == len(running.answered)


def test_a_step_that_is_tried_again_does_not_pay_again_without_a_folder_either(monkeypatch: pytest.MonkeyPatch) -> None:
    is_down = True

    def fault(number: int, body: Body) -> web.Response | None:
        return error(401, "no") if is_down and number >= 40 else None

    with endpoint(fault=fault) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        model = RepuNetModel(rng=1, backend="openai", n_agents=6)
        with model:
            with pytest.raises(RepuNetError, match="HTTP 401"):
                model.step()
            is_down = False
            paid = len(running.answered)
            model.step()
    assert paid >= 40
    assert model.usage.recalled == paid
    assert sent_twice(running) == []


def test_a_reply_that_does_not_fit_is_not_paid_twice_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    is_down = True

    def fault(number: int, body: Body) -> web.Response | None:
        if is_down and number >= 30:
            return error(401, "no")
        return completion("no", prompt_tokens=9) if len(body["messages"]) == 2 else None

    parameters: dict[str, Any] = {"storage": str(tmp_path), "run_name": "it"}
    with endpoint(fault=fault) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with pytest.raises(RepuNetError, match="HTTP 401"):
            run(1, **parameters)
        is_down = False
        with RepuNetModel.load(tmp_path / "it") as model:
            model.step()
    assert sent_twice(running) == []
    usage = json.loads((tmp_path / "it" / "step_1" / "usage.json").read_text())
    assert sum(counts["prompt_tokens"] for counts in usage.values()) == running.prompt_tokens
    assert model.usage.tokens < running.tokens


def interrupted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the replies of a run whose first step failed."""
    with endpoint(fault=lambda number, body: error(401, "no") if number >= 10 else None) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with pytest.raises(RepuNetError, match="HTTP 401"):
            run(1, storage=str(folder), run_name="it")
    return folder / "it" / "replies.jsonl"


def test_a_reply_that_was_half_written_is_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replies = interrupted(tmp_path, monkeypatch)
    whole = replies.read_bytes()
    lines = whole.splitlines(keepends=True)
    replies.write_bytes(b"".join(lines[:-1]) + lines[-1][:20])
    with endpoint() as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with RepuNetModel.load(tmp_path / "it") as model:
            model.step()
        run(1, storage=str(tmp_path), run_name="other")
    assert model.usage.recalled == len(lines) - 1
    assert contents(tmp_path / "it") == contents(tmp_path / "other")
    assert not replies.exists()


def test_replies_that_are_damaged_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_line: Any) -> None:
    replies = interrupted(tmp_path, monkeypatch)
    replies.write_bytes(b'{"at":[1]}\n' + replies.read_bytes())
    with pytest.raises(StorageError, match="line 1: damaged"):
        RepuNetModel.load(tmp_path / "it")
    assert main(["resume", str(tmp_path / "it")]) == 2
    assert "replies.jsonl, line 1" in one_line()


def test_replies_of_another_model_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(tmp_path, monkeypatch)
    with endpoint() as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        storage = ["--storage", str(tmp_path), "--sim-name"]
        assert main(["fork", "it", *storage, "another", "--set", "backend=openai:another"]) == 0
        assert main(["fork", "it", *storage, "same"]) == 0
        with RepuNetModel.load(tmp_path / "same") as same, RepuNetModel.load(tmp_path / "another") as model:
            same.step()
            kept = len(running.requests)
            assert kept == same.calls - same.usage.recalled < same.calls
            running.requests.clear()
            model.step()
    assert model.usage.recalled == 0
    assert len(running.requests) == model.calls


# Budgets, rates and prices


def test_a_budget_in_tokens_stops_a_run_before_it_is_exceeded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_line: Any
) -> None:
    monkeypatch.setenv("LLM_MAX_TOKENS", "200")
    with endpoint() as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        run(3, storage=str(tmp_path), run_name="unlimited")
        budget = running.tokens * 6 // 10
    with endpoint(latency=0.002, fault=Faults(0.3, slow=0.8)) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        monkeypatch.setenv("LLM_TIMEOUT", "0.4")
        assert cli_run(tmp_path, "--budget-tokens", str(budget)) == 2
        said = one_line()
        assert f"the budget of {budget:,} tokens is used up" in said
        assert "go on with: repunet resume" in said
        assert 0.5 * budget < running.tokens <= budget
        assert main(["resume", str(tmp_path / "it"), "--steps", "3", "--budget-tokens", str(budget)]) == 2
        one_line()
        assert running.tokens <= budget
        whole = len(list((tmp_path / "it").glob("step_*"))) - 1
        assert main(["resume", str(tmp_path / "it"), "--steps", str(3 - whole), "--budget-tokens", "9999999"]) == 0
    assert contents(tmp_path / "it") == contents(tmp_path / "unlimited")


def test_a_budget_in_dollars_goes_by_the_price_of_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_line: Any
) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text('"my-model" = { prompt = 10.0, completion = 20.0 }')
    monkeypatch.setenv("LLM_MODEL", "my-model")
    monkeypatch.setenv("LLM_MAX_TOKENS", "200")
    with endpoint() as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert cli_run(tmp_path, "--prices", str(prices), "--budget-usd", "0.5", steps=9) == 2
    assert "the budget of $0.5000 is used up" in one_line()
    dollars = (10 * running.prompt_tokens + 20 * running.completion_tokens) / 1_000_000
    assert 0.4 < dollars <= 0.5
    steps = [json.loads(path.read_text()) for path in (tmp_path / "it").glob("step_*/usage.json")]
    kept = [json.loads(line) for line in (tmp_path / "it" / "replies.jsonl").read_text().splitlines()]
    counted = sum(row["usd"] for step in steps for row in step.values()) + sum(row["usage"]["usd"] for row in kept)
    assert counted == pytest.approx(dollars)


def test_an_endpoint_that_does_not_count_tokens_does_not_escape_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    def uncounted(number: int, body: Body) -> web.Response:
        reply = json.loads(answer(body).text or "")
        del reply["usage"]
        return web.json_response(reply)

    monkeypatch.setenv("LLM_MAX_TOKENS", "200")
    with endpoint(fault=uncounted) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with pytest.raises(RepuNetError, match="budget of 50,000 tokens is used up"):
            run(3, limits=Limits(budget_tokens=50_000))
    assert sum(len(json.dumps(body)) for body in running.requests) / 4 < 50_000


def test_models_that_share_limits_share_a_budget(local_endpoint: Endpoint) -> None:
    limits = Limits(budget_tokens=120_000)

    def runs() -> None:
        for seed in range(100):
            run(1, rng=seed, limits=limits)

    with pytest.raises(RepuNetError, match="budget"):
        runs()
    assert local_endpoint.tokens <= 120_000
    assert len(local_endpoint.requests) > 100


def test_a_budget_in_dollars_needs_a_price(local_endpoint: Endpoint, tmp_path: Path, one_line: Any) -> None:
    assert cli_run(tmp_path, "--budget-usd", "1", backend="openai:unheard-of") == 2
    assert "needs the price of 'unheard-of'" in one_line()
    assert not (tmp_path / "it").exists()


def test_tokens_of_a_model_without_a_price_are_not_free(
    local_endpoint: Endpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli_run(tmp_path, "--backend-for", "Akiko Sato=openai:unheard-of", steps=1) == 0
    total = next(line for line in capsys.readouterr().out.splitlines() if line.split()[:1] == ["all"])
    assert total.rstrip().endswith("+ ?")


def test_cached_tokens_are_counted_apart_and_cost_their_own_price(monkeypatch: pytest.MonkeyPatch) -> None:
    def cached(number: int, body: Body) -> web.Response:
        reply = json.loads(answer(body).text or "")
        reply["usage"] = {
            "prompt_tokens": 1000, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 600}
        }  # fmt: skip
        return web.json_response(reply)

    prices = Prices({"gpt-4o-mini": Price(prompt=1.0, cached=0.5, completion=2.0)}, "this test")
    with endpoint(fault=cached) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        usage = run(1, limits=Limits(prices=prices)).usage
    assert usage.cached_tokens == 600 * len(running.requests)
    assert usage.usd == pytest.approx(len(running.requests) * (400 * 1.0 + 600 * 0.5 + 10 * 2.0) / 1_000_000)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("gpt = ", "not TOML"),
        ("gpt = { prompt = 1.0 }", "gpt.completion: Field required"),
        ("gpt = { prompt = -1.0, completion = 1.0 }", "gpt.prompt"),
        ("gpt = 3", "gpt"),
    ],
)
def test_a_price_file_that_cannot_be_used_is_one_clear_line(
    text: str, problem: str, tmp_path: Path, one_line: Any
) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(text)
    assert cli_run(tmp_path, "--prices", str(file), backend="rules") == 2
    line = one_line()
    assert str(file) in line
    assert problem in line
    assert not (tmp_path / "it").exists()


def test_no_minute_sees_more_requests_than_the_rate_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(1)
    with endpoint(latency=lambda: draw.uniform(0, 0.05)) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        run(3, n_agents=10, limits=Limits(requests_per_minute=60, minute=1.0))
    times = sorted(running.times)
    assert len(times) > 180
    # Requests leave no sooner than the rate allows, and arrive when the machine gets to it.
    assert all(later - earlier > 0.5 for earlier, later in zip(times, times[60:], strict=False))
    assert times[-1] - times[0] > (len(times) - 60) / 60 - 0.5


def test_no_minute_sees_more_tokens_than_the_rate_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_MAX_TOKENS", "200")
    with endpoint(latency=0.01) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        run(2, n_agents=10, limits=Limits(tokens_per_minute=40_000, minute=1.0))
    tokens = [json.loads(answer(body).text or "")["usage"]["total_tokens"] for body in running.requests]
    for start, since in enumerate(running.times):
        window = [count for time, count in zip(running.times, tokens, strict=True) if since <= time < since + 0.5]
        assert sum(window) <= 40_000, start
    assert sum(tokens) > 40_000


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--budget-tokens", "0"),
        ("--budget-usd", "-1"),
        ("--budget-usd", "nan"),
        ("--requests-per-minute", "0"),
        ("--tokens-per-minute", "-5"),
        ("--reply-format", "xml"),
    ],
)
def test_a_limit_that_is_none_is_one_clear_line(
    option: str, value: str, local_endpoint: Endpoint, tmp_path: Path, one_line: Any
) -> None:
    assert cli_run(tmp_path, option, value) == 2
    assert option.removeprefix("--").replace("-", "_") in one_line().lower()
    assert not (tmp_path / "it").exists()


# Endpoints differ


@pytest.mark.parametrize(
    ("rejected", "said"),
    [
        (("json_schema",), "replies as json_object"),
        (("json_schema", "json_object"), "replies as text"),
        (("max_tokens",), "max_completion_tokens"),
        (("seed", "temperature"), "without seed, without temperature"),
        (("frequency_penalty", "presence_penalty", "top_p"), "without frequency_penalty, without presence_penalty"),
    ],
)
@pytest.mark.first
def test_what_an_endpoint_rejects_is_found_out_once_and_said(
    rejected: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    with endpoint() as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        run(2, storage=str(tmp_path), run_name="as it comes")
    with endpoint(fault=rejecting(*rejected)) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert cli_run(tmp_path, "--concurrency", "4", steps=2) == 0
    assert contents(tmp_path / "it") == contents(tmp_path / "as it comes")
    assert f"The endpoint was asked: {said}" in capsys.readouterr().out
    assert 0 < len(running.requests) - len(running.answered) <= 4 * len(rejected)
    assert not any(name in body for name in rejected for body in running.answered)


@pytest.mark.parametrize("reply_format", ["json_object", "text", "tool"])
def test_the_form_of_replies_can_be_set(reply_format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint() as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        run(2, storage=str(tmp_path), run_name="as it comes")
        schemas = len(running.requests)
        assert cli_run(tmp_path, "--reply-format", reply_format, steps=2) == 0
    assert contents(tmp_path / "it") == contents(tmp_path / "as it comes")
    for body in running.requests[schemas:]:
        kind = body.get("response_format", {}).get("type", "tool" if "tools" in body else "text")
        assert kind == reply_format


def test_json_is_found_behind_thoughts_and_fences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wordy(number: int, body: Body) -> web.Response:
        text = json.loads(answer(body).text or "")["choices"][0]["message"]["content"]
        return completion(f"<think>Should I reply {{}}?</think>\nHere it is:\n```json\n{text}\n```")

    for name, fault in (("plain", None), ("wordy", wordy)):
        with endpoint(fault=fault) as running:
            monkeypatch.setenv("LLM_API_BASE", running.url)
            model = run(1, storage=str(tmp_path), run_name=name)
    assert model.usage.reasks == 0
    assert decided(tmp_path / "plain") == decided(tmp_path / "wordy")


def test_an_endpoint_that_ignores_the_schema_learns_it_from_the_correction(monkeypatch: pytest.MonkeyPatch) -> None:
    def ignorant(number: int, body: Body) -> web.Response | None:
        knows = '"additionalProperties"' in body["messages"][-1]["content"]
        return None if knows else completion("I would cooperate, I think.")

    with endpoint(fault=ignorant) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        model = run(1)
    assert model.usage.reasks == model.calls


def test_a_model_that_copies_the_reply_it_is_corrected_for_is_asked_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = "I would cooperate, I think."
    known: Counter[str] = Counter()

    def copying(number: int, body: Body) -> web.Response | None:
        question, shown = json.dumps(body["messages"][:2]), [message["content"] for message in body["messages"][2:]]
        known[question] += 1
        return completion(wrong) if wrong in shown or known[question] == 1 else None

    with endpoint(fault=copying) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        model = run(1)
    assert model.usage.reasks == 2 * model.calls
    assert sorted({len(body["messages"]) for body in running.requests}) == [2, 4]


def test_each_request_has_a_seed_of_its_own_that_a_repetition_shares(local_endpoint: Endpoint) -> None:
    run(2)
    first = [body["seed"] for body in local_endpoint.requests]
    run(2)
    again = [body["seed"] for body in local_endpoint.requests[len(first) :]]
    run(2, rng=2)
    other = [body["seed"] for body in local_endpoint.requests[2 * len(first) :]]
    assert len(set(first)) == len(first)
    assert set(first) == set(again)
    assert not set(first) & set(other)


def test_an_endpoint_that_rejects_everything_is_not_asked_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    complaint = "max_tokens, max_completion_tokens, seed, temperature, top_p, response_format: all wrong"
    with endpoint(fault=lambda number, body: error(400, complaint)) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with pytest.raises(RepuNetError, match="all wrong"):
            run(1, n_agents=2)
    assert len(running.requests) < 20


# Replay


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.first
def test_a_replay_repeats_a_run_byte_for_byte_without_a_network(
    game: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with endpoint(fault=Faults(0.2, kinds=[FaultKind.MALFORMED, FaultKind.OVERLOAD])) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        words = ["--seed", "3", "--gossip", "n", "--activation", "sequential", "--sim-name", "first"]
        assert cli_run(tmp_path, "--scenario", game, *words) == 0
    monkeypatch.delenv("LLM_API_BASE")
    assert main(["run", "--backend", "replay:first", "--storage", str(tmp_path), "--sim-name", "again"]) == 0
    assert contents(tmp_path / "first") == contents(tmp_path / "again")
    again = RepuNetModel.load(tmp_path / "again", backend=f"replay:{tmp_path / 'first'}")
    assert again.datacollector.get_model_vars_dataframe()["tokens"].sum() == 0


def test_a_replay_names_the_first_question_that_was_not_asked(
    local_endpoint: Endpoint, tmp_path: Path, one_line: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli_run(tmp_path, steps=2) == 0
    one = ["run", "--backend", "replay:it", "--storage", str(tmp_path), "--sim-name"]
    monkeypatch.delenv("LLM_API_BASE")
    assert main([*one, "seed", "--seed", "2"]) == 2
    assert "was made with seed=1" in one_line()
    assert main([*one, "longer", "--steps", "3"]) == 2
    line = one_line()
    assert "ends with step 2" in line
    assert "whole up to step 2" in line
    personas = tmp_path / "it" / "step_0" / "personas.json"
    people = json.loads(personas.read_text())
    people[0]["learned"] = "You trust nobody."
    other = tmp_path / "people.json"
    other.write_text(json.dumps(people))
    assert main([*one, "persona", "--personas", str(other)]) == 2
    line = one_line()
    assert "step 1, 'choose_move' to" in line
    assert "was asked otherwise" in line
    assert "trust nobody." in line
    assert main([*one, "nowhere", "--backend", "replay:nowhere"]) == 2
    assert "no run at" in one_line()


# Estimates and mixed populations


def test_an_estimate_asks_nobody(
    local_endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LLM_API_BASE")
    assert main(["estimate", "--scenario", "investment", "--steps", "2"]) == 0
    out = capsys.readouterr().out
    total = next(line.split() for line in out.splitlines() if line.split()[:1] == ["all"])
    sent, prompt, reply, dollars = (float(total[i].replace(",", "")) for i in (1, 3, 4, 5))
    assert sent > 100
    assert dollars == pytest.approx((0.15 * prompt + 0.60 * reply) / 1_000_000, abs=1e-4)
    assert main(["estimate", "--backend", "openai:unheard-of"]) == 0
    assert "The price of a model is not in the packaged prices" in capsys.readouterr().out
    assert main(["estimate", "--backend", "rules"]) == 0
    assert local_endpoint.requests == []
    assert list(tmp_path.iterdir()) == []


def test_an_estimate_counts_the_prompts_that_are_sent(local_endpoint: Endpoint) -> None:
    who = estimating(respondents("openai"), Prices.load())
    estimated = run(1, backend=who.default).usage_by_question["choose_move"]
    assert local_endpoint.requests == []
    run(1)
    moves = [
        (body, body["response_format"]["json_schema"])
        for body in local_endpoint.requests
        if body["response_format"]["json_schema"]["name"] == "choose_move"
    ]
    sizes = [
        sum(len(message["content"]) for message in body["messages"]) + len(json.dumps(form["schema"]))
        for body, form in moves
    ]
    assert estimated.attempts == len(moves)
    assert estimated.prompt_tokens == sum(round(size / CHARACTERS_PER_TOKEN) for size in sizes)


def test_agents_of_a_population_may_ask_different_models(
    local_endpoint: Endpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = ["--backend-for", "Akiko Sato=openai:large", "--backend-for", "Ahmed Hassan=rules"]
    assert cli_run(tmp_path, *own, backend="openai:small", steps=2) == 0
    calls = [
        json.loads(line)
        for path in sorted((tmp_path / "it").glob("step_*/calls.jsonl"))
        for line in path.read_text().splitlines()
    ]
    by_agent = Counter(call["agent"] for call in calls)
    models = Counter(body["model"] for body in local_endpoint.requests)
    assert models["large"] == by_agent["Akiko Sato"] > 0
    assert models["small"] == len(calls) - by_agent["Akiko Sato"] - by_agent["Ahmed Hassan"]
    assert all(("prompt" in call) == (call["agent"] != "Ahmed Hassan") for call in calls)
    manifest = json.loads((tmp_path / "it" / "manifest.json").read_text())
    assert manifest["backend"]["model"] == "small"
    assert {name: row["backend"] for name, row in manifest["backend_for"].items()} == {
        "Akiko Sato": "openai", "Ahmed Hassan": "rules",
    }  # fmt: skip
    assert main(["resume", str(tmp_path / "it"), "--steps", "1"]) == 0
    assert cli_run(tmp_path, *own, "--sim-name", "whole", backend="openai:small", steps=3) == 0
    assert contents(tmp_path / "it") == contents(tmp_path / "whole")
    assert main(["run", "--backend", "replay:whole", "--storage", str(tmp_path), "--sim-name", "again"]) == 0
    assert contents(tmp_path / "again") == contents(tmp_path / "whole")


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ("Akiko Sato", "must read NAME=BACKEND"),
        ("=rules", "must read NAME=BACKEND"),
        ("Nobody=rules", "no agent is called 'Nobody'"),
        ("Akiko Sato=gpt", "unknown backend 'gpt'"),
        ("Akiko Sato=replay:it", "cannot stand for single ones"),
    ],
)
def test_a_backend_for_nobody_is_one_clear_line(option: str, problem: str, tmp_path: Path, one_line: Any) -> None:
    assert cli_run(tmp_path, "--backend-for", option, backend="rules") == 2
    assert problem in one_line()
    assert not (tmp_path / "it").exists()


# The key


def test_the_key_is_in_no_file_log_or_message(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    key = "sk-secret-0123456789"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    caplog.set_level(logging.DEBUG)

    def fault(number: int, body: Body) -> web.Response | Reset | None:
        if number % 7 == 3:
            return error(500, f"overloaded, dear {key}")
        if number % 7 == 5:
            return completion("no")
        return error(401, f"wrong key {key}", code=key) if number > 60 else None

    with endpoint(fault=fault) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert cli_run(tmp_path, steps=2) == 2
    assert running.keys == {f"Bearer {key}"}
    shown = capsys.readouterr()
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"replies" in b" ".join(path.name.encode() for path in tmp_path.rglob("*"))
    assert key not in shown.out + shown.err + written.decode() + caplog.text


@pytest.mark.parametrize(
    "form",
    [
        lambda words: web.json_response({"detail": words}, status=400),
        lambda words: web.json_response(
            {"detail": [{"loc": ["body", "seed"], "msg": words, "input": "temperature"}]}, status=422
        ),
        lambda words: web.json_response({"error": words}, status=400),
        lambda words: web.json_response([{"error": {"message": words}}], status=400),
        lambda words: web.Response(text=words, status=400),
        lambda words: web.json_response({"error": {"message": words, "param": 7}}, status=400),
    ],
)
def test_complaints_of_every_form_are_understood_and_shown(form: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint(fault=lambda number, body: form("seed is not supported") if "seed" in body else None) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert run(1, n_agents=2).usage.adaptations == {"without seed"}
    with endpoint(fault=lambda number, body: form("the moon is full")) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with pytest.raises(RepuNetError, match="the moon is full"):
            run(1, n_agents=2)


def test_a_complaint_about_one_generation_does_not_change_how_the_rest_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    complaints = {
        9: error(400, "Failed to validate JSON against the schema", code="json_validate_failed"),
        12: error(400, "max_tokens or max_completion_tokens is too large: the maximum context length is 2048"),
    }
    with endpoint(fault=lambda number, body: complaints.get(number)) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with pytest.raises(RepuNetError, match="is too large"):
            run(1, limits=Limits(concurrency=1))
    assert {body["response_format"]["type"] for body in running.requests} == {"json_schema"}
    assert not any("max_completion_tokens" in body for body in running.requests)


@pytest.mark.parametrize(
    "content",
    [
        lambda text: [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": text}],
        lambda text: json.loads(text),
        lambda text: f"perhaps {{this}}?</think>{text}",
        lambda text: "\ufeff" + text,
    ],
)
def test_replies_of_other_shapes_are_read(content: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def shaped(number: int, body: Body) -> web.Response:
        reply = json.loads(answer(body).text or "")
        message = reply["choices"][0]["message"]
        message["content"] = content(message["content"])
        return web.json_response(reply)

    for name, fault in (("plain", None), ("shaped", shaped)):
        with endpoint(fault=fault) as running:
            monkeypatch.setenv("LLM_API_BASE", running.url)
            model = run(1, storage=str(tmp_path), run_name=name)
    assert model.usage.reasks == 0
    assert decided(tmp_path / "plain") == decided(tmp_path / "shaped")


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": -5, "completion_tokens": -5},
        {"prompt_tokens": 1, "completion_tokens": None},
        {"prompt_tokens": 10**400, "completion_tokens": 1},
        {"completion_tokens": 1},
        {"prompt_tokens": 100, "completion_tokens": 1, "total_tokens": 5_000},
        "many",
    ],
)
def test_a_budget_holds_however_tokens_are_counted(usage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def counted(number: int, body: Body) -> web.Response:
        reply = json.loads(answer(body).text or "")
        reply["usage"] = usage
        return web.json_response(reply)

    monkeypatch.setenv("LLM_MAX_TOKENS", "200")
    limits = Limits(budget_tokens=50_000)
    with endpoint(fault=counted) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with pytest.raises(RepuNetError, match="budget of 50,000 tokens is used up"):
            run(20, limits=limits)
    total = usage.get("total_tokens", 0) if isinstance(usage, dict) else 0
    assert total * (len(running.requests) - 32) <= 50_000
    assert limits.purse.spent_tokens > 0


def test_a_budget_holds_over_resumes_if_tokens_are_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_line: Any
) -> None:
    def uncounted(number: int, body: Body) -> web.Response:
        reply = json.loads(answer(body).text or "")
        del reply["usage"]
        return web.json_response(reply)

    monkeypatch.setenv("LLM_MAX_TOKENS", "200")
    with endpoint(fault=uncounted) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert cli_run(tmp_path, "--budget-tokens", "50000") == 2
        one_line()
        sent = len(running.requests)
        for _ in range(2):
            assert main(["resume", str(tmp_path / "it"), "--budget-tokens", "50000"]) == 2
            one_line()
    assert len(running.requests) == sent > 5


def test_the_rate_holds_while_it_is_found_out_how_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint(fault=rejecting("seed", "temperature", "json_schema")) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        run(1, limits=Limits(requests_per_minute=20, minute=0.5))
    times = sorted(running.times)
    assert all(later - earlier > 0.5 for earlier, later in zip(times, times[20:], strict=False))


def test_prompts_do_not_follow_redirects_or_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint() as elsewhere:
        moved = {"Location": f"{elsewhere.url}/chat/completions"}
        with endpoint(fault=lambda number, body: web.Response(status=307, headers=moved)) as running:
            monkeypatch.setenv("LLM_API_BASE", running.url)
            monkeypatch.setenv("HTTP_PROXY", elsewhere.url)
            with pytest.raises(RepuNetError, match="HTTP 307"):
                run(1, n_agents=2)
    assert running.requests
    assert elsewhere.requests == []


def test_failures_of_a_step_are_noted_with_what_they_cost_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with endpoint(fault=lambda number, body: error(401, "no \ud800") if number >= 10 else None) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with pytest.raises(RepuNetError, match="HTTP 401"):
            run(1, storage=str(tmp_path), run_name="it")
        for _ in range(2):
            with RepuNetModel.load(tmp_path / "it") as model, pytest.raises(RepuNetError, match="HTTP 401"):
                model.step()
    notes = (tmp_path / "it" / "usage_failed.jsonl").read_text().splitlines()
    assert sum(json.loads(note).get("prompt_tokens", 0) for note in notes) == running.prompt_tokens


@pytest.mark.parametrize("interrupts", [1, 2])
def test_an_interrupt_keeps_what_was_sent_and_a_second_one_does_not_wait(
    interrupts: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    latency = 1.5 if interrupts == 1 else 5 * LONG_ENOUGH
    with endpoint(latency=lambda: latency) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with RepuNetModel(rng=1, backend="openai", n_agents=6, storage=str(tmp_path), run_name="it") as model:

            def interrupt() -> None:
                while not running.requests:
                    time.sleep(0.01)
                for _ in range(interrupts):
                    time.sleep(0.5)
                    os.kill(os.getpid(), signal.SIGINT)

            thread = threading.Thread(target=interrupt)
            thread.start()
            with pytest.raises(KeyboardInterrupt):
                model.step()
            thread.join()
            assert model.steps == 0
            sent = len(running.requests)
            latency = 0.0
            model.step()
            assert model.steps == 1
    assert model.usage.recalled == (sent if interrupts == 1 else 0)
    assert sent_twice(running) == []


def test_a_step_that_is_cancelled_as_it_begins_is_undone(local_endpoint: Endpoint) -> None:
    async def cancelled(model: RepuNetModel) -> None:
        step = asyncio.create_task(model.astep())
        await asyncio.sleep(0)
        step.cancel()
        with pytest.raises(asyncio.CancelledError):
            await step

    with RepuNetModel(rng=1, backend="openai", n_agents=6) as model:
        asyncio.run(cancelled(model))
        assert model.steps == 0
        model.step()
        assert model.steps == 1
    assert sent_twice(local_endpoint) == []


def test_waits_between_attempts_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def note(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(wrappers, "sleep", note)
    with endpoint(fault=lambda number, body: error(500, "no")) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with pytest.raises(RepuNetError, match="gave up after 6 attempts"):
            run(1, n_agents=2, limits=Limits(concurrency=1), gossip=False)
    assert any(later > earlier for earlier, later in pairwise(waits))
