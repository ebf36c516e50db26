"""Configurations that cannot work: known from the first replies, without a pause, over HTTP; and waits, as shown."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from aiohttp import web

from repunet_model import RepuNetError, RepuNetModel
from repunet_model.backends import wrappers
from repunet_model.backends.limits import Limits
from repunet_model.backends.sender import client
from repunet_model.cli import main
from repunet_model.testing import Body, Fault, endpoint, error, page

AGENTS = 4
"""All of them are asked at once in the first stage."""

WAITS: list[float] = []


@pytest.fixture(autouse=True)
def _no_pauses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Note every wait between attempts, and do not wait."""
    WAITS.clear()
    monkeypatch.chdir(tmp_path)

    async def note(seconds: float) -> None:
        WAITS.append(seconds)
        await asyncio.sleep(0)

    monkeypatch.setattr(wrappers, "sleep", note)


def run(**parameters: Any) -> RepuNetModel:
    with RepuNetModel(**{"rng": 1, "backend": "openai", "n_agents": AGENTS, **parameters}) as model:
        model.step()
    return model


HOPELESS: dict[str, tuple[Callable[[], web.Response], str]] = {
    "key": (lambda: error(401, "Incorrect API key provided"), "HTTP 401, Incorrect API key"),
    "model": (lambda: error(404, "The model 'gpt-5' does not exist", code="model_not_found"), "does not exist"),
    "quota": (lambda: error(429, "You exceeded your quota", code="insufficient_quota"), "HTTP 429, You exceeded"),
    "page": (
        lambda: page("<!DOCTYPE html><title>Sign in</title>" + "x" * 500),
        "a page, which begins with '<!DOCTYPE html><title>Sign in</title>x{43}'",
    ),
    "stream": (
        lambda: web.Response(text='data: {"choices": []}\n\n', content_type="text/event-stream"),
        "an event stream, which begins with 'data: ",
    ),
    "context of vLLM": (
        lambda: error(400, "This model's maximum context length is 4096 tokens. However, you requested 4900 tokens"),
        "4900 tokens; its context has to hold a prompt and LLM_MAX_TOKENS=4096",
    ),
    "context of llama.cpp": (
        lambda: error(400, "the request exceeds the available context size, try increasing it"),
        "available context size.*LLM_MAX_TOKENS=4096: lower that",
    ),
}


def always(response: Callable[[], web.Response]) -> Fault:
    return lambda number, body: response()


@pytest.mark.parametrize("kind", HOPELESS)
def test_what_cannot_work_is_known_from_the_first_replies(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fault, words = HOPELESS[kind]
    is_ill = True
    with endpoint(fault=lambda number, body: fault() if is_ill else None) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with pytest.raises(RepuNetError, match=words):
            run(storage=".", run_name="it")
        asked = Counter(json.dumps(body["messages"]) for body in running.requests)
        assert set(asked.values()) == {1}  # one request a question
        assert len(asked) <= AGENTS
        assert WAITS == []
        is_ill = False
        with RepuNetModel.load("it") as model:
            model.step()
        assert len(running.requests) == len(asked) + model.calls


def test_an_event_stream_counts_towards_a_budget_and_a_page_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, costs in (("stream", True), ("page", False)):
        fault, limits = HOPELESS[kind][0], Limits(budget_tokens=1_000_000)
        with endpoint(fault=always(fault)) as running:
            monkeypatch.setenv("LLM_API_BASE", running.url)
            with pytest.raises(RepuNetError):
                run(limits=limits)
        assert (limits.purse.spent_tokens > 0) == costs


def test_a_page_from_an_endpoint_that_has_answered_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint(fault=lambda number, body: page() if number == 10 else None) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        model = run()
    assert model.usage.retries == len(WAITS) == 1


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """A server's certificate that nobody trusts."""
    if which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", *words.split(), *files], capture_output=True, check=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


def test_a_certificate_that_is_not_trusted_is_known_at_once(
    tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_SENDERS", {})  # a sender that knows no certificate
    with endpoint(tls=tls) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with pytest.raises(RepuNetError, match=r"self.signed certificate\); name the file .* by SSL_CERT_FILE"):
            run()
    assert running.requests == []
    assert WAITS == []


def test_a_server_that_speaks_no_tls_is_known_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint() as running:
        monkeypatch.setenv("LLM_API_BASE", running.url.replace("http:", "https:"))
        with pytest.raises(RepuNetError, match="begin LLM_API_BASE with http://"):
            run()
    assert running.requests == []
    assert WAITS == []


# What is shown of waits, and of what was not taken


SWEEP = ["sweep", "--backend", "openai", "-n", "4", "--steps", "1", "--seeds", "1-2", "--name", "two"]


def test_a_sweep_shows_what_it_waits_for(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    async def seen(seconds: float) -> None:
        if seconds >= 40:
            await asyncio.sleep(1.0)  # the total is drawn several times a second

    def fault(number: int, body: Body) -> web.Response | None:
        return error(429, "slow down. Try again in 40 s") if number == 0 else None

    monkeypatch.setattr(wrappers, "sleep", seen)
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with endpoint(fault=fault) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert main(SWEEP) == 0
    shown = capsys.readouterr().err
    assert "left: the endpoint http://127.0.0.1" in shown
    assert "HTTP 429, slow do" in shown
