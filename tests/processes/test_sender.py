"""Requests that are on their way when a process ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest
from aiohttp import web
from filelock import FileLock

from repunet_model import RepuNetModel
from repunet_model.backends.base import Request
from repunet_model.backends.endpoint import Endpoint as Settings
from repunet_model.backends.limits import Limits
from repunet_model.backends.openai import OpenAIBackend
from repunet_model.backends.sender.transport import Destination, RefusedError
from repunet_model.cli import main
from repunet_model.errors import BudgetError, EndpointError
from repunet_model.questions.base import Answer
from repunet_model.testing import Body, Endpoint, answer, endpoint, said
from tests import ROOT
from tests.backends import RandomReplies
from tests.conftest import contents, until

SLOW = 1.0
"""Seconds of a reply that comes too late for a process that was killed."""


def killed_with_requests_on_their_way(storage: Path, running: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Start a run of six agents, and kill it when the first six requests have been sent; return its folder."""
    monkeypatch.setenv("LLM_API_BASE", running.url)
    command = ["run", "--backend", "openai", "-n", "6", "--steps", "1", "--sim-name", "it", "--storage", str(storage)]
    with subprocess.Popen([sys.executable, str(ROOT / "run.py"), *command], stderr=subprocess.DEVNULL) as process:
        until(lambda: len(running.requests) == 6)
        process.kill()
    assert running.answered == []
    return storage / "it"


def test_replies_on_their_way_to_a_killed_process_are_not_paid_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    latency = SLOW
    with endpoint(latency=lambda: latency) as running:
        folder = killed_with_requests_on_their_way(tmp_path, running, monkeypatch)
        latency = 0.0
        with RepuNetModel.load(folder) as model:
            model.step()
        seeds = [body["seed"] for body in running.requests]
        assert len(set(seeds)) == len(seeds) == model.calls
        assert model.usage.attempts == model.calls
        assert not (folder / "replies_unread.jsonl").exists()
        with RepuNetModel(backend="openai", n_agents=6, rng=1, storage=str(tmp_path), run_name="alone") as alone:
            alone.step()
    assert contents(folder) == contents(tmp_path / "alone")


def test_what_came_too_late_and_is_damaged_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with endpoint(latency=SLOW) as running:
        folder = killed_with_requests_on_their_way(tmp_path, running, monkeypatch)
        unread = folder / "replies_unread.jsonl"
        until(lambda: unread.exists() and unread.read_bytes().count(b"\n") == 6)
    unread.write_bytes(b'{"content": 1}\n' + unread.read_bytes())
    assert main(["resume", str(folder), "--steps", "1"]) == 2
    assert "replies_unread.jsonl, line 1: damaged" in capsys.readouterr().err


def test_a_run_outlives_its_sender(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def senders() -> list[psutil.Process]:
        return [
            each for each in psutil.Process().children() if "repunet_model.backends.sender.process" in each.cmdline()
        ]

    with endpoint() as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with RepuNetModel(backend="openai", n_agents=4, rng=1) as model:
            model.step()
            (sender,) = senders()
            sender.kill()
            model.step()
            assert senders() != [sender]
    assert len(running.requests) == model.calls


def test_what_was_never_sent_is_not_sent_for_a_process_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = FileLock(tmp_path / "it" / ".mail.lock")
    with endpoint() as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        RepuNetModel(n_agents=4, rng=1, storage=str(tmp_path), run_name="it", backend="openai").close()
        command = [sys.executable, str(ROOT / "run.py"), "resume", "it", "--steps", "1", "--storage", str(tmp_path)]
        with lock, subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            assert any("Waiting for replies" in line for line in process.stderr)
            process.kill()
            process.stderr.read()  # until the sender, which has it open too, has ended
        assert running.requests == []
        with RepuNetModel.load(tmp_path / "it") as model:
            model.step()
        assert len(running.requests) == model.calls


class InThisProcess:
    """A transport that answers by itself."""

    async def send(self, body: Mapping[str, Any], destination: Destination, request: Request[Any]) -> str:
        return answer(dict(body)).text or ""


def test_a_run_is_the_same_over_a_transport_in_this_process(tmp_path: Path, local_endpoint: Endpoint) -> None:
    here = OpenAIBackend(Settings.from_environment(), "none", InThisProcess())
    for name, backend in (("here", here), ("there", "openai")):
        with RepuNetModel(n_agents=4, rng=1, storage=str(tmp_path), run_name=name, backend=backend) as model:
            model.step()
    assert contents(tmp_path / "here") == contents(tmp_path / "there")
    assert len(local_endpoint.requests) == model.calls


def test_a_refusal_says_when_to_come_again(local_endpoint: Endpoint) -> None:
    def limit(number: int, body: Body) -> web.Response:
        told = {"retry-after-ms": "1200", "X-RateLimit-Reset-Requests": "12.3s", "X-Secret": "s"}
        return web.json_response({"error": {"message": "slow down"}}, status=429, headers=told)

    class Asking(OpenAIBackend):
        refusals: ClassVar[list[RefusedError]] = []

        async def answer[A: Answer](self, request: Request[A]) -> A:
            try:
                with self._addresses.one() as destination:
                    await self._transport.send({}, destination, request)
            except RefusedError as error:
                self.refusals.append(error)
            raise EndpointError("enough")

    with endpoint(fault=limit) as running:
        backend = Asking(replace(Settings.from_environment(), base_url=running.url), "none")
        with RepuNetModel(n_agents=2, rng=1, backend=backend) as model, pytest.raises(EndpointError, match="enough"):
            model.step()
    refusal = Asking.refusals[0]
    assert refusal.status == 429
    told = {name: value for name, value in refusal.headers.items() if name != "date"}
    assert told == {"retry-after-ms": "1200", "x-ratelimit-reset-requests": "12.3s"}


def test_limits_and_budget_apply_to_a_model_of_any_wire_format() -> None:
    class Other(RandomReplies):
        is_costly = True
        asks_model = True

    limits = Limits(budget_tokens=100)
    with RepuNetModel(n_agents=4, rng=1, backend=Other(), limits=limits) as model, pytest.raises(BudgetError):
        model.step()


def test_a_run_is_locked_where_it_is_though_the_process_has_changed_its_folder(
    tmp_path: Path, local_endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        with RepuNetModel(n_agents=2, rng=1, storage="runs", run_name="it", backend="openai") as model:
            model.step()
    locks = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob(".mail.lock")}
    assert locks == {"first", "second"}


def test_a_reply_that_came_late_and_cannot_be_used_ends_one_resumption_and_not_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    latency = SLOW

    def filtered_once(number: int, body: Body) -> web.Response | None:
        return said({"content": None}, finish_reason="content_filter") if number == 1 else None

    with endpoint(latency=lambda: latency, fault=filtered_once) as running:
        folder = killed_with_requests_on_their_way(tmp_path, running, monkeypatch)
        unread = folder / "replies_unread.jsonl"
        until(lambda: unread.exists() and unread.read_bytes().count(b"\n") == 6)
        latency = 0.0
        assert main(["resume", str(folder), "--steps", "1"]) == 2
        assert "content_filter" in capsys.readouterr().err
        assert main(["resume", str(folder), "--steps", "1"]) == 0
    seeds = [body["seed"] for body in running.requests]
    assert len(seeds) == len(set(seeds)) + 1  # the one that was filtered is asked again
