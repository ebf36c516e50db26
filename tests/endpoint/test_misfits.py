"""Replies that are none, and how a run goes on after them: over HTTP, with the replies as they come."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from repunet_model import RepuNetError, RepuNetModel
from repunet_model.backends import wrappers
from repunet_model.backends.limits import Limits
from repunet_model.cli import main
from repunet_model.testing import Body, Endpoint, answer, completion, endpoint, reply_to, said
from tests.conftest import contents

WAITS: list[float] = []


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Note every wait between attempts, and wait a hundredth of it."""
    WAITS.clear()
    monkeypatch.setenv("LLM_TIMEOUT", "20")

    async def brief(seconds: float) -> None:
        WAITS.append(seconds)
        await asyncio.sleep(min(seconds / 100, 0.02))

    monkeypatch.setattr(wrappers, "sleep", brief)


def run(steps: int = 1, **parameters: Any) -> RepuNetModel:
    with RepuNetModel(**{"rng": 1, "backend": "openai", "n_agents": 4, **parameters}) as model:
        for _ in range(steps):
            model.step()
    return model


def command(verb: str, storage: Path, *words: str) -> int:
    new = "--backend openai -n 4 --seed 1 --steps 1 --sim-name it" if verb == "run" else "it"
    return main([verb, *new.split(), "--storage", str(storage), *words])


def sent_twice(running: Endpoint) -> list[str]:
    """Return the requests that were sent again after they had been answered."""
    answered = Counter(json.dumps(body, sort_keys=True) for body in running.answered)
    return [body for body, times in answered.items() if times > 1]


def is_from(name: str, body: Body) -> bool:
    return f"You are {name}," in body["messages"][1]["content"]


def test_a_run_whose_replies_did_not_fit_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "Aisha Ibrahim"
    with endpoint() as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        run(storage=str(tmp_path / "whole"), run_name="it")
    is_ill = True

    def fault(number: int, body: Body) -> web.Response | None:
        return said({"content": None}) if is_ill and is_from(name, body) else None

    with endpoint(fault=fault) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert command("run", tmp_path) == 2
        assert f"{name} gave no valid answer to 'choose_move' in step 1 in 4 attempts" in capsys.readouterr().err
        asked = [body for body in running.requests if is_from(name, body)]
        assert [len(body["messages"]) for body in asked] == [2, 4, 4, 4]
        before = len(running.requests)
        assert command("resume", tmp_path, "--steps", "1") == 2
        assert "in 8 attempts" in capsys.readouterr().err
        asked = running.requests[before:]
        assert [len(body["messages"]) for body in asked] == [2, 4, 4, 4]  # the question, asked anew, and nothing else
        is_ill = False
        assert command("fork", tmp_path, "--sim-name", "another") == 0
        assert command("resume", tmp_path, "--steps", "1") == 0
        assert main(["resume", "another", "--storage", str(tmp_path), "--steps", "1"]) == 0
    assert len({body["seed"] for body in running.requests if len(body["messages"]) == 2 and is_from(name, body)}) > 3
    assert contents(tmp_path / "it") == contents(tmp_path / "whole" / "it")
    assert not (tmp_path / "it" / "replies.jsonl").exists()


def test_only_what_did_not_fit_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    is_ill = True

    def fault(number: int, body: Body) -> web.Response | None:
        return completion("no") if is_ill and body["response_format"]["json_schema"]["name"] == "reflect" else None

    parameters: dict[str, Any] = {"storage": str(tmp_path), "run_name": "it"}
    with endpoint(fault=fault) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with pytest.raises(RepuNetError, match="no valid answer to 'reflect'"):
            run(**parameters)
        is_ill, before = False, len(running.requests)
        with RepuNetModel.load(tmp_path / "it") as model:
            model.step()
    assert sent_twice(running) == []
    fitted = [body for body in running.requests[:before] if body["response_format"]["json_schema"]["name"] != "reflect"]
    assert len(running.requests) - before == model.calls - len(fitted)


def test_a_setting_changed_as_the_message_says_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def cut(number: int, body: Body) -> web.Response | None:
        return completion('{"reason": "' + "x" * 50, finish_reason="length") if body["max_tokens"] < 100 else None

    monkeypatch.setenv("LLM_MAX_TOKENS", "50")
    with endpoint(fault=cut) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert command("run", tmp_path) == 2
        assert "cut off at LLM_MAX_TOKENS=50: raise it" in capsys.readouterr().err
        monkeypatch.setenv("LLM_MAX_TOKENS", "500")
        assert command("fork", tmp_path, "--sim-name", "longer", "--set", "backend=openai") == 0
        assert main(["resume", "longer", "--storage", str(tmp_path), "--steps", "1"]) == 0
    assert running.requests[-1]["max_tokens"] == 500


def test_another_form_of_replies_is_used_when_a_run_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ignorant(number: int, body: Body) -> web.Response | None:
        return completion("I cooperate.") if "response_format" in body else None

    with endpoint(fault=ignorant) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert command("run", tmp_path) == 2
        monkeypatch.setenv("LLM_REPLY_FORMAT", "text")
        assert command("resume", tmp_path, "--steps", "1") == 0


# Drafts


@pytest.mark.parametrize(
    "thought",
    [
        "<think>I could say {draft} but no.</think> My final answer is: defect.",
        "<think>I could say </think> {draft} but no.</think> My final answer is: defect.",
        "<think>I could say {draft} but no",
        "[THINK]I could say {draft} but no.[/THINK]defect",
        "<|channel|>analysis<|message|>I could say {draft} but no.",
    ],
)
def test_a_draft_inside_a_thought_is_no_decision(thought: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draft = json.dumps({"reason": "Perhaps.", "decision": "cooperate"})

    def think(number: int, body: Body) -> web.Response | None:
        is_first = len(body["messages"]) == 2 and body["response_format"]["json_schema"]["name"] == "choose_move"
        return completion(thought.replace("{draft}", draft)) if is_first else None

    with endpoint() as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        run(storage=str(tmp_path), run_name="plain")
    with endpoint(fault=think) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        model = run(storage=str(tmp_path), run_name="thinking")
    assert model.usage.reasks == len([body for body in running.requests if len(body["messages"]) == 4]) == 4
    assert contents(tmp_path / "plain") == contents(tmp_path / "thinking")


def test_an_answer_may_quote_the_marks_of_thoughts(monkeypatch: pytest.MonkeyPatch) -> None:
    def quoting(number: int, body: Body) -> web.Response:
        text = json.dumps(reply_to(body))
        return completion("<think>Hm, </think> hm.</think>" + text.replace("honest", "</think> {x}"))

    with endpoint(fault=quoting) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert run().usage.reasks == 0


# Replies that are none


def test_an_error_inside_a_choice_is_waited_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ill: list[dict[str, Any]] = [
        {"finish_reason": "error"},
        {"finish_reason": "error", "error": {"code": 502, "message": "upstream went away"}},
        {"finish_reason": "stop", "error": {"code": 429, "message": "slow down"}},
    ]
    with endpoint(fault=lambda number, body: said({"content": None}, **ill[number]) if number < 3 else None) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        model = run(gossip=False)
    assert (model.usage.retries, model.usage.reasks) == (3, 0)
    assert len(running.requests) == model.calls + 3
    failing = {"error": {"code": 502, "message": "Provider returned error", "metadata": {"raw": '{"detail":"no GPU"}'}}}
    with endpoint(fault=lambda number, body: said({}, finish_reason="error", **failing)) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with pytest.raises(RepuNetError, match=r"Provider returned error no GPU.*gave up after 6 attempts"):
            run()
    assert sum(WAITS[-5:]) > 5  # of seconds, had they been waited


def test_an_error_with_http_200_that_will_not_pass_ends_the_step_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    failure = {"error": {"code": 402, "message": "Insufficient credits"}}
    with endpoint(fault=lambda number, body: web.json_response(failure)) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with pytest.raises(RepuNetError, match="Insufficient credits"):
            run()
    assert len(running.requests) == 4
    assert WAITS == []


def test_a_filter_ends_the_step_at_once_and_going_on_asks_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_ill = True

    def fault(number: int, body: Body) -> web.Response | None:
        return said({"content": None}, finish_reason="content_filter") if is_ill and number == 10 else None

    with endpoint(fault=fault) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with pytest.raises(RepuNetError, match="a filter took the reply"):
            run(storage=str(tmp_path), run_name="it")
        is_ill, filtered = False, running.requests[10]
        with RepuNetModel.load(tmp_path / "it") as model:
            model.step()
    assert running.requests.count(filtered) == 2
    assert len(running.requests) == model.calls + 1


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_an_empty_reply_with_reasoning_is_asked_again_after_a_pause(
    field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def empty() -> web.Response:
        return said({"content": "", field: '{"decision": "cooperate"}' * 40})

    with endpoint(fault=lambda number, body: empty() if number == 0 else None) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert run().usage.reasks == 1
    assert len(WAITS) == 1
    with endpoint(fault=lambda number, body: empty()) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with pytest.raises(
            RepuNetError, match=r"empty after 1,000 characters of reasoning \(finish_reason stop\); the server may"
        ):
            run(n_agents=2)
    assert sum(WAITS) > 1.5


def thinking(tokens: int) -> Any:
    """A model that thinks so many tokens before it answers."""

    def fault(number: int, body: Body) -> web.Response | None:
        if body["max_tokens"] > tokens:
            return None
        return said({"content": "", "reasoning_content": "Hm. " * 500}, finish_reason="length")

    return fault


def test_a_model_that_used_up_its_tokens_in_thinking_is_given_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_MAX_TOKENS", "100")
    with endpoint() as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        run(2, storage=str(tmp_path), run_name="plain")
    with endpoint(fault=thinking(300)) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        model = run(2, storage=str(tmp_path), run_name="thinking")
    cut = [body for body in running.requests if body["max_tokens"] == 100]
    assert 1 <= len(cut) <= 4  # those on their way before the first answer; all others are given more at once
    assert {body["max_tokens"] for body in running.requests} == {100, 400}
    assert {len(body["messages"]) for body in running.requests} == {2}  # nobody is told to be brief
    assert model.usage.reasks == len(cut)
    assert contents(tmp_path / "plain") == contents(tmp_path / "thinking")


def test_a_model_that_thinks_without_end_is_given_up_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LLM_MAX_TOKENS", "100")
    with endpoint(fault=thinking(1_000)) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert command("run", tmp_path) == 2
        line = capsys.readouterr().err
        assert "cut off at 400 tokens after 2,000 characters of reasoning" in line
        assert "set LLM_MOST_TOKENS above 400 and go on" in line
        assert Counter(body["max_tokens"] for body in running.requests) == {100: 4, 400: 1}
        monkeypatch.setenv("LLM_MOST_TOKENS", "1600")
        running.requests.clear()
        assert command("resume", tmp_path, "--steps", "1") == 0
    assert 100 not in {body["max_tokens"] for body in running.requests[:1]}
    assert Counter(body["max_tokens"] for body in running.requests)[1600] >= 28


def test_more_room_stays_within_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_MAX_TOKENS", "100")
    limits = Limits(budget_tokens=12_000)
    with endpoint(fault=thinking(300)) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with pytest.raises(RepuNetError, match="budget of 12,000 tokens is used up"):
            run(5, limits=limits)
    assert running.tokens <= limits.purse.spent_tokens <= 12_000


@pytest.mark.parametrize(
    "usage", [{"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, {"prompt_tokens": 9}]
)
def test_tokens_that_are_not_counted_do_not_switch_the_budget_off(usage: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    def uncounted(number: int, body: Body) -> web.Response:
        reply = json.loads(answer(body).text or "")
        return web.json_response({**reply, "usage": usage})

    limits = Limits(budget_usd=0.005)
    with endpoint(fault=uncounted) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with pytest.raises(RepuNetError, match=r"budget of \$0.0050 is used up"):
            run(5, limits=limits)
    assert len(running.requests) <= 2  # each may have cost 4,096 tokens of a reply


# Waits


@pytest.mark.parametrize(
    ("response", "seconds"),
    [
        (lambda: limited({"Retry-After": "40"}), 40),
        (lambda: limited({"Retry-After": at(40), "Date": at(0)}), 40),
        (lambda: limited({"retry-after-ms": "12345"}), 12.3),
        (lambda: limited({"x-ratelimit-reset-requests": "12.3s"}), 12.3),
        (lambda: limited({"x-ratelimit-reset-requests": "1s", "x-ratelimit-remaining-requests": "9",
                          "x-ratelimit-reset-tokens": "6m0s", "x-ratelimit-remaining-tokens": "0"}), 360),
        (lambda: limited({"X-RateLimit-Reset": str((time.time() + 50) * 1000)}), 50),
        (lambda: limited({}, [{"error": {"code": 429, "details": [{"retryDelay": "38s"}]}}]), 38),
        (lambda: limited({}, {"error": {"message": "Rate limit reached. Please try again in 7m12.5s. See"}}), 432.5),
        (lambda: limited({}, {"error": {"message": "try again in 9m"}}), 540),
        (lambda: limited({}, {"error": {"message": "Please retry after 20 seconds."}}), 20),
        (lambda: limited({}, {"error": {"message": "Please try again in 120ms."}}), 0.12),
    ],
)  # fmt: skip
def test_a_wait_is_as_long_as_the_endpoint_says(response: Any, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint(fault=lambda number, body: response() if number == 0 else None) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        model = run()
    assert model.usage.retries == 1
    assert seconds - 2 <= WAITS[0] <= max(seconds, 0.5) + 0.1


def limited(headers: dict[str, str], body: Any = None) -> web.Response:
    return web.json_response(body or {"error": {"message": "slow down"}}, status=429, headers=headers)


def at(seconds: float) -> str:
    return formatdate(time.time() + seconds, usegmt=True)


def test_too_long_a_wait_stops_the_run_at_once_and_says_until_when(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    is_ill = True

    def fault(number: int, body: Body) -> web.Response | None:
        return limited({"Retry-After": "2580"}) if is_ill and number >= 10 else None

    with endpoint(fault=fault) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert command("run", tmp_path) == 2
        line = capsys.readouterr().err
        assert "it asks to wait 43 min, longer than LLM_LONGEST_WAIT=600 s: go on after 20" in line
        assert WAITS == []
        is_ill, paid = False, len(running.answered)
        assert command("resume", tmp_path, "--steps", "1") == 0
    assert sent_twice(running) == []
    assert len(running.answered) == 28
    assert paid == 10
    monkeypatch.setenv("LLM_LONGEST_WAIT", "3000")
    with endpoint(fault=lambda number, body: limited({"Retry-After": "2580"}) if number == 0 else None) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        run()
    assert WAITS == [2580]


def test_a_limit_without_a_stated_wait_is_waited_out_to_the_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint(fault=lambda number, body: limited({})) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with pytest.raises(RepuNetError, match="gave up after 6 attempts"):
            run(n_agents=2, limits=Limits(concurrency=1))
    assert sum(WAITS) / 2 > 25


def test_a_long_wait_is_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    with endpoint(fault=lambda number, body: limited({"Retry-After": "40"}) if number < 4 else None) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        run()
    told = [record.message for record in caplog.records if "Waiting" in record.message]
    assert len(told) == 1
    assert told[0].startswith("Waiting 40 s: ")
    assert "slow down" in told[0]
