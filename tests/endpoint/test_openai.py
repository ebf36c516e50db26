from __future__ import annotations

import asyncio
import gc
import json
import random
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from repunet_model import RepuNetError, RepuNetModel
from repunet_model.backends import wrappers
from repunet_model.backends.base import Request
from repunet_model.backends.endpoint import Endpoint as Settings
from repunet_model.backends.limits import Limits
from repunet_model.chronicle import Chronicle
from repunet_model.cli import main
from repunet_model.errors import TransientError
from repunet_model.questions.base import Answer
from repunet_model.storage import StepReader
from repunet_model.storage.schema import CALLS
from repunet_model.testing import Endpoint, completion, endpoint, reply_to
from tests.conftest import MODE_NAMES, MODES, complaint, contents, until
from tests.societies.test_identity import as_format_3
from visualization import drawing


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let retries wait a hundredth of what they would."""
    monkeypatch.setattr(wrappers, "sleep", lambda seconds: asyncio.sleep(seconds / 100))


def run(steps: int, **parameters: Any) -> RepuNetModel:
    with RepuNetModel(**{"rng": 1, "backend": "openai", **parameters}) as model:
        for _ in range(steps):
            model.step()
    return model


def cli_run(reputation: bool, gossip: bool, storage: Path, steps: int = 3) -> int:
    answers = {True: "y", False: "n"}
    words = ["--reputation", answers[reputation], "--gossip", answers[gossip], "--storage", str(storage)]
    return main(["run", "--scenario", "pd", "--steps", str(steps), "--backend", "openai", "--sim-name", "it", *words])


@pytest.mark.parametrize(("reputation", "gossip"), MODES, ids=MODE_NAMES)
@pytest.mark.first
def test_every_mode_runs_against_an_endpoint_with_20_calls_at_once(
    reputation: bool, gossip: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    latencies = iter([2.0] * 20)
    with endpoint(latency=lambda: next(latencies, 0.0)) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert cli_run(reputation, gossip, tmp_path) == 0
    assert running.most_at_once >= 20
    folder = tmp_path / "it"
    calls = [
        json.loads(line)
        for step in (1, 2, 3)
        for line in (folder / f"step_{step}" / "calls.jsonl").read_text().splitlines()
    ]
    assert len(calls) == len(running.requests)
    sent = Counter(body["messages"][1]["content"] for body in running.requests)
    assert Counter(call["prompt"] for call in calls) == sent


def told(folder: Path) -> Counter[tuple[str | None, str]]:
    """Return the prompts of a stored run, each in its two halves."""
    run = StepReader.open(folder)
    prompts: Counter[tuple[str | None, str]] = Counter()
    for step in run.steps(1):
        manifest = run.manifest.at(step.number)
        assert manifest is not None
        prompts.update((manifest.system_prompt, call["prompt"]) for call in step.rows(CALLS))
    return prompts


def test_every_prompt_is_in_the_run_folder_in_both_halves_and_is_shown(
    local_endpoint: Endpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli_run(True, True, tmp_path, steps=2) == 0
    sent = [tuple(message["content"] for message in body["messages"]) for body in local_endpoint.requests]
    assert told(tmp_path / "it") == Counter(sent)
    ((system, _), *_) = sent
    assert (tmp_path / "it" / "manifest.json").read_text().count(json.dumps(system, ensure_ascii=False)) == 1
    assert sum(system[:80] in path.read_text() for path in (tmp_path / "it").rglob("*.json*")) == 1
    capsys.readouterr()
    assert main(["show", "it", "--agent", "Emma Dubois", "--storage", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert (
        "\nWhat every prompt of step 2 began with\n  People meet in pairs, round after round, and play a game." in shown
    )
    asked = [call for call in StepReader.open(tmp_path / "it").step(2).rows(CALLS) if call["agent"] == "Emma Dubois"]
    assert len(asked) > 5
    for text in (system, *(call["prompt"] for call in asked)):
        assert all(f"  {line}\n" in shown for line in text.split("\n"))
    drawn = drawing.agent(Chronicle.of_run(StepReader.open(tmp_path / "it")), 2, "Emma Dubois")
    assert drawn["system_prompt"] == system
    assert {call["prompt"] for call in drawn["calls"]} == {call["prompt"] for call in asked}


def test_a_fork_in_another_mode_has_the_prompts_of_both(local_endpoint: Endpoint, tmp_path: Path) -> None:
    assert cli_run(True, True, tmp_path, steps=1) == 0
    changes = ["--set", "reputation=n", "--set", "gossip=n", "--sim-name", "fork"]
    assert main(["fork", "it", *changes, "--storage", str(tmp_path)]) == 0
    assert main(["resume", "fork", "--steps", "1", "--storage", str(tmp_path)]) == 0
    sent = Counter(tuple(message["content"] for message in body["messages"]) for body in local_endpoint.requests)
    assert told(tmp_path / "fork") == sent
    assert len({system for system, _ in sent}) == 2


def test_a_run_that_did_not_store_what_prompts_begin_with_is_read(
    local_endpoint: Endpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli_run(True, True, tmp_path, steps=1) == 0
    as_format_3(tmp_path / "it")
    capsys.readouterr()
    assert main(["check", "it", "--storage", str(tmp_path)]) == 0
    assert main(["show", "it", "--agent", "Emma Dubois", "--storage", str(tmp_path)]) == 0
    assert "\n  It was not stored by the version that made the step.\n" in capsys.readouterr().out
    assert drawing.agent(Chronicle.of_run(StepReader.open(tmp_path / "it")), 1, "Emma Dubois")["system_prompt"] is None


def test_requests_carry_the_parameters_and_the_schema(
    local_endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_MODEL", "some-model")
    monkeypatch.setenv("LLM_TEMPERATURE", "0.7")
    monkeypatch.setenv("LLM_MAX_TOKENS", "300")
    run(1, n_agents=2)
    for body in local_endpoint.requests:
        assert (body["model"], body["temperature"], body["max_tokens"], body["top_p"]) == ("some-model", 0.7, 300, 1.0)
        assert body["response_format"]["json_schema"]["strict"] is True
        assert [message["role"] for message in body["messages"]] == ["system", "user"]


def test_tokens_are_those_the_endpoint_reports(local_endpoint: Endpoint) -> None:
    model = run(2, n_agents=4)
    assert model.usage.prompt_tokens == local_endpoint.prompt_tokens > 0
    assert model.usage.completion_tokens == local_endpoint.completion_tokens > 0
    tokens = model.datacollector.get_model_vars_dataframe()["tokens"]
    assert tokens.sum() == local_endpoint.prompt_tokens + local_endpoint.completion_tokens


def test_concurrency_and_latency_leave_no_trace_in_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for concurrency in (1, 4, 32):
        draw = random.Random(concurrency)
        with endpoint(latency=lambda draw=draw: draw.uniform(0, 0.008)) as running:  # type: ignore[misc]
            monkeypatch.setenv("LLM_API_BASE", running.url)
            run(3, n_agents=10, limits=Limits(concurrency), storage=str(tmp_path), run_name=f"with {concurrency}")
        assert running.most_at_once <= concurrency
        assert (concurrency == 1) == (running.most_at_once == 1)
    assert contents(tmp_path / "with 1") == contents(tmp_path / "with 4") == contents(tmp_path / "with 32")


def test_a_wrong_reply_is_asked_again_with_the_error_told_and_leaves_no_trace_in_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = [
        lambda body: completion("I would rather not say"),
        lambda body: completion('{"decision": "both"}'),
        lambda body: completion(""),
        lambda body: completion(json.dumps(reply_to(body))[:20], finish_reason="length"),
    ]

    def fault(number: int, body: dict[str, Any]) -> web.Response | None:
        return wrong[number % 4](body) if len(body["messages"]) == 2 and number % 3 == 0 else None

    with endpoint() as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        run(2, n_agents=6, storage=str(tmp_path), run_name="right")
    with endpoint(fault=fault) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        model = run(2, n_agents=6, storage=str(tmp_path), run_name="wrong")
    corrected = [body for body in running.requests if len(body["messages"]) == 4]
    assert model.usage.reasks == len(corrected) > 10
    told = " ".join(body["messages"][3]["content"] for body in corrected)
    assert "does not fit" in told
    assert "cut off" in told
    assert contents(tmp_path / "right") == contents(tmp_path / "wrong")


def test_a_reply_that_never_fits_fails_the_step_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint(fault=lambda number, body: completion("no")) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with pytest.raises(
            RepuNetError, match="gave no valid answer to 'choose_move' in step 1 in 4 attempts"
        ) as failure:
            run(1, n_agents=2, storage=str(tmp_path), run_name="it")
    assert "\n" not in str(failure.value)
    assert [path.name for path in (tmp_path / "it").iterdir() if path.is_dir()] == ["step_0"]


def test_limits_overloads_and_broken_replies_are_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    failures = [
        lambda: web.json_response({"error": {"message": "slow down"}}, status=429, headers={"Retry-After": "1"}),
        lambda: web.json_response({"error": {"message": "overloaded"}}, status=503),
        lambda: web.Response(text="<html>gateway</html>", status=502, content_type="text/html"),
        lambda: web.Response(text="{", content_type="application/json"),
    ]

    def fault(number: int, body: dict[str, Any]) -> web.Response | None:
        return failures[number % 4]() if number < 4 else None

    with endpoint(fault=fault) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        model = run(1, n_agents=2)
    assert model.usage.retries == 4
    assert model.usage.attempts == len(running.requests) == model.calls + 4


def test_a_refusal_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = {"error": {"message": "no such model\nplease", "code": "model_not_found"}}
    with endpoint(fault=lambda number, body: web.json_response(refusal, status=404)) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with pytest.raises(RepuNetError, match=r"HTTP 404.*no such model please"):
            run(1, n_agents=2)
    assert len(running.requests) <= 2


def test_an_endpoint_that_cannot_be_reached_leaves_a_run_that_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("LLM_API_BASE", f"http://127.0.0.1:{port}/v1")
    assert cli_run(True, True, tmp_path, steps=2) == 2
    line = capsys.readouterr().err.strip()
    assert line.startswith("error: the endpoint")
    assert "cannot be reached" in line
    assert f"resume {tmp_path / 'it'} --steps 2" in line
    assert "\n" not in line
    with endpoint(port=port):
        assert main(["resume", str(tmp_path / "it"), "--steps", "2"]) == 0
        assert cli_run(True, True, tmp_path / "other", steps=2) == 0
    assert contents(tmp_path / "it") == contents(tmp_path / "other" / "it")


def test_a_run_is_resumed_with_the_model_it_was_made_with(
    local_endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_MODEL", "first")
    run(1, n_agents=2, storage=str(tmp_path), run_name="it")
    monkeypatch.setenv("LLM_MODEL", "second")
    with RepuNetModel.load(tmp_path / "it") as model:
        model.step()
    assert {body["model"] for body in local_endpoint.requests} == {"first"}


def test_the_key_reaches_the_endpoint_and_nothing_else(
    local_endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = "sk-secret-0123456789"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    assert cli_run(True, True, tmp_path, steps=1) == 0
    assert local_endpoint.keys == {f"Bearer {key}"}
    echo = {"error": {"message": f"bad key {key}"}}
    with endpoint(fault=lambda number, body: web.json_response(echo, status=401)) as refusing:
        monkeypatch.setenv("LLM_API_BASE", refusing.url)
        assert main(["resume", str(tmp_path / "it")]) == 2
    shown = capsys.readouterr()
    assert "HTTP 401" in shown.err
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert key not in shown.out + shown.err + written.decode()


@pytest.mark.parametrize(
    ("url", "local"),
    [
        (None, False),
        ("https://api.example.com/v1", False),
        ("http://127.0.0.1:8000/v1", True),
        ("http://localhost:11434/v1", True),
        ("http://192.168.1.7/v1", True),
        ("http://gpu-box/v1", True),
        ("https://8.8.8.8/v1", False),
    ],
)
def test_only_an_endpoint_of_ones_own_works_without_a_key(url: str | None, local: bool) -> None:
    environment = {} if url is None else {"LLM_API_BASE": url}
    assert Settings.from_environment(environment).is_local is local


def test_waits_grow_and_heed_what_the_endpoint_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def note(seconds: float) -> None:
        waits.append(seconds)

    class Limited:
        reads_prompts = True
        is_costly = True
        asks_model = True

        @property
        def description(self) -> dict[str, Any]:
            return {}

        async def answer[A: Answer](self, request: Request[A]) -> A:
            raise TransientError("limit", retry_after=20.0 if len(waits) == 2 else None)

        async def close(self) -> None: ...

    monkeypatch.setattr(wrappers, "sleep", note)
    with pytest.raises(RepuNetError, match="limit; gave up after 6 attempts"):
        RepuNetModel(n_agents=2, backend=Limited()).step()
    first = waits[: len(waits) // 2 * 2]
    assert max(first) == 20.0
    assert all(0.25 <= wait <= 20.0 for wait in waits)


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8000",
        "ftp://127.0.0.1/v1",
        "http://[::1",
        "http://localhost:abc/v1",
        "http://localhost:99999/v1",
        "http://local host/v1",
        "http://127.0.0.1/v\t1",
        "http:///v1",
    ],
)
def test_an_address_that_is_none_is_one_clear_line(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LLM_API_BASE", url)
    assert cli_run(True, True, tmp_path / "storage") == 2
    line = capsys.readouterr().err
    assert line.startswith("error: LLM_API_BASE must be a URL")
    assert line.count("\n") == 1
    assert not (tmp_path / "storage").exists()


def test_an_address_with_a_password_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLM_API_BASE", "http://ann:hunter2@127.0.0.1:8000/v1")
    line = complaint(["run", "--backend", "openai"], capsys)
    assert line.startswith("error: LLM_API_BASE holds a user or a password")
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("LLM_MAX_TOKENS", "1e3", "must be a whole number"),
        ("LLM_MAX_TOKENS", "0", "must be from 1"),
        ("LLM_TEMPERATURE", "hot", "must be a number"),
        ("LLM_TEMPERATURE", "nan", "must be from 0 to 2"),
        ("LLM_TOP_P", "2", "must be from 0 to 1"),
        ("OPENAI_API_KEY", "sk-secret\nabc", "blanks or characters"),
        ("OPENAI_API_KEY", "sk-schlüssel", "blanks or characters"),
    ],
)
def test_a_setting_that_cannot_be_used_is_one_clear_line(
    name: str, value: str, problem: str, local_endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv(name, value)
    assert cli_run(True, True, tmp_path / "storage") == 2
    line = capsys.readouterr().err
    assert name in line
    assert problem in line
    assert "secret" not in line
    assert line.count("\n") == 1
    assert not (tmp_path / "storage").exists()


@pytest.mark.parametrize(
    "body",
    [
        {"choices": [{}]},
        {"choices": [{"message": None}]},
        {"choices": "abc"},
        {"choices": []},
        {"error": {"message": "too busy", "code": 429}},
        [],
        None,
    ],
)
def test_what_is_no_chat_completion_is_waited_out_and_then_named(body: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint(fault=lambda number, _: web.json_response(body) if number < 3 else None) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        model = run(1, n_agents=2)
    assert (model.usage.retries, model.usage.reasks) == (3, 0)
    with endpoint(fault=lambda number, _: web.json_response(body)) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with pytest.raises(RepuNetError, match="not a chat completion") as failure:
            run(1, n_agents=2)
    assert "\n" not in str(failure.value)


def test_usage_that_an_endpoint_does_not_count_is_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_usage(number: int, body: dict[str, Any]) -> web.Response:
        message = {"role": "assistant", "content": json.dumps(reply_to(body))}
        usage = {"prompt_tokens": None} if number % 2 else None
        return web.json_response({"choices": [{"finish_reason": "stop", "message": message}], "usage": usage})

    with endpoint(fault=without_usage) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        model = run(1, n_agents=2)
    assert model.usage.attempts == len(running.requests)
    assert model.usage.tokens == 0


def test_a_refusal_of_the_model_is_told_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(number: int, body: dict[str, Any]) -> web.Response | None:
        message = {"role": "assistant", "content": None, "refusal": "I do not play games."}
        return web.json_response({"choices": [{"finish_reason": "stop", "message": message}]}) if number == 0 else None

    with endpoint(fault=refuse) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert run(1, n_agents=2).usage.reasks == 1
    told = [body["messages"][3]["content"] for body in running.requests if len(body["messages"]) == 4]
    assert "I do not play games." in told[0]


def test_a_reply_that_is_no_text_can_be_told_back(monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint(fault=lambda number, body: completion("\ud800") if number == 0 else None) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert run(1, n_agents=2).usage.reasks == 1


def test_connections_are_given_back_when_nobody_holds_the_model(local_endpoint: Endpoint) -> None:
    open_files = Path("/proc/self/fd")
    if not open_files.is_dir():
        pytest.skip("this system does not list open files")
    counts = []
    for _ in range(6):
        model = RepuNetModel(rng=1, backend="openai", n_agents=10)
        model.step()
        del model
        gc.collect()
        counts.append(len(list(open_files.iterdir())))
    until(lambda: len(list(open_files.iterdir())) <= counts[0] + 12)  # not 10 more for each model
