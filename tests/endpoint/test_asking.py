"""How endpoints want to be asked, and what of their replies is mended or told: over HTTP, as they come."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from aiohttp import web

from repunet_model import RepuNetError, RepuNetModel
from repunet_model.backends import wrappers
from repunet_model.backends.endpoint import Endpoint as Settings
from repunet_model.backends.endpoint import Sampling
from repunet_model.backends.mending import mended
from repunet_model.backends.sender import client
from repunet_model.cli import main
from repunet_model.errors import ConfigurationError
from repunet_model.questions.encounter import Reflect
from repunet_model.report import evidence
from repunet_model.results.tables import table_of
from repunet_model.storage import StepReader
from repunet_model.testing import Body, Fault, Hang, answer, completion, endpoint, error, reply_to, restated
from tests.conftest import contents


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrappers, "sleep", lambda seconds: asyncio.sleep(min(seconds / 100, 0.02)))
    monkeypatch.setenv("LLM_TIMEOUT", "20")


def run(steps: int = 1, **parameters: Any) -> RepuNetModel:
    with RepuNetModel(**{"rng": 1, "backend": "openai", "n_agents": 2, **parameters}) as model:
        for _ in range(steps):
            model.step()
    return model


# Parameters


def test_of_two_parameters_the_idle_one_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(number: int, body: Body) -> web.Response | None:
        if "temperature" in body and "top_p" in body:
            return error(400, "`temperature` and `top_p` cannot both be specified for this model.")
        return None

    monkeypatch.setenv("LLM_TEMPERATURE", "0.3")
    with endpoint(fault=fault) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert run().usage.adaptations == {"without top_p"}
        assert {body["temperature"] for body in running.answered} == {0.3}
        monkeypatch.setenv("LLM_TOP_P", "0.9")
        assert run().usage.adaptations == {"without top_p"}


def test_what_was_not_taken_stands_where_the_run_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fault(number: int, body: Body) -> web.Response | None:
        return error(400, "temperature is not supported", param="temperature") if "temperature" in body else None

    monkeypatch.setenv("LLM_TEMPERATURE", "0.3")
    with endpoint(fault=fault) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        run(storage=str(tmp_path), run_name="it", n_agents=4)
    assert main(["show", "it", "--storage", str(tmp_path)]) == 0
    assert "the endpoint did not take: temperature=0.3" in capsys.readouterr().out
    assert list(table_of(StepReader.open(tmp_path / "it"))["not_taken"]) == ["temperature=0.3"]
    assert evidence.read([StepReader.open(tmp_path / "it")]).runs[0].parameters["not_taken"] == "temperature=0.3"


def test_bounds_that_a_schema_may_not_have_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(number: int, body: Body) -> web.Response | None:
        if "maxLength" in json.dumps(body["response_format"]):
            return error(400, "Invalid schema for response_format: 'maxLength' is not permitted.")
        return None

    with endpoint(fault=fault) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert run().usage.adaptations == {"schemas without bounds"}
    assert {body["response_format"]["type"] for body in running.requests} == {"json_schema"}


@pytest.mark.parametrize(
    ("status", "complaint"),
    [
        (400, "System role not supported"),
        (400, "Developer instruction is not enabled for models/gemma-3-27b-it"),
        (500, "Value is not callable: raise_exception('System role not supported')"),
        (400, "Conversation roles must alternate user/assistant/user/assistant/..."),
    ],
)
def test_rules_go_first_in_the_users_message_where_there_is_no_system_role(
    status: int, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with endpoint() as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        run(storage=str(tmp_path), run_name="plain")
        rules, question = (message["content"] for message in running.requests[0]["messages"])

    def fault(number: int, body: Body) -> web.Response | None:
        return error(status, complaint) if body["messages"][0]["role"] == "system" else None

    with endpoint(fault=fault) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        model = run(storage=str(tmp_path), run_name="merged")
    assert model.usage.adaptations == {"rules in the user's message"}
    assert len(running.requests) - model.calls <= 2
    asked = [body["messages"] for body in running.answered]
    assert [{"role": "user", "content": f"{rules}\n\n{question}"}] in asked
    assert contents(tmp_path / "plain") == contents(tmp_path / "merged")


# Words


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1/v1?api-version=2", "holds a query"),
        ("http://127.0.0.1:1/v1/chat/completions", "leave out /chat/completions"),
    ],
)
def test_an_address_with_too_much_is_refused(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Settings.from_environment({"LLM_API_BASE": url})


@pytest.mark.parametrize("model", ["gpt@http://evil", "http://127.0.0.1/v1"])
def test_a_model_is_no_address(model: str) -> None:
    with pytest.raises(ConfigurationError, match="holds an address"):
        Sampling(model=model)


@pytest.mark.parametrize(
    ("fault", "words", "requests"),
    [
        (
            lambda: error(400, "Provider returned error", metadata={"raw": '{"error":{"message":"no such GPU"}}'}),
            "Provider returned error no such GPU",
            2,
        ),
        (lambda: error(400, "Request contains an invalid argument."), "try LLM_REPLY_FORMAT=json_object", 2),
        (lambda: web.Response(text='{"choices": ['), r"not JSON, which begins with '{\"choices\": \['", 12),
        (lambda: Hang(0.8), "no reply within LLM_TIMEOUT=0.3 s", 12),
    ],
)
def test_a_failure_is_told_in_words_that_help(
    fault: Any, words: str, requests: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if words.startswith("no reply"):
        monkeypatch.setenv("LLM_TIMEOUT", "0.3")
    with endpoint(fault=lambda number, body: fault()) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with pytest.raises(RepuNetError, match=words):
            run()
    assert len(running.requests) <= requests


def test_an_address_without_v1_is_answered_by_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint() as running:
        base = running.url.removesuffix("/v1")
        monkeypatch.setenv("LLM_API_BASE", base)
        with pytest.raises(RepuNetError, match=f"has no /v1: perhaps LLM_API_BASE={base}/v1"):
            run()


def test_a_reason_behind_a_router_is_read_for_how_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(number: int, body: Body) -> web.Response | None:
        raw = json.dumps({"error": {"message": "seed is not supported"}})
        return error(400, "Provider returned error", metadata={"raw": raw}) if "seed" in body else None

    with endpoint(fault=fault) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert run().usage.adaptations == {"without seed"}


def test_another_model_and_prompts_that_are_cut_are_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def shorter(number: int, body: Body) -> web.Response:
        return completion(json.dumps(reply_to(body)), prompt_tokens=2048, completion_tokens=9, model="llama-tiny")

    with endpoint(fault=shorter) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        run(2)
    told = [record.message for record in caplog.records if record.name.endswith("notices")]
    assert len(told) == 2
    assert "replies come from the model 'llama-tiny'" in told[0]
    assert "counts 2048 tokens for every prompt" in told[1]


def test_a_dated_name_of_a_model_is_the_same_model(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def dated(number: int, body: Body) -> web.Response:
        reply = json.loads(answer(body).text or "")
        return web.json_response({**reply, "model": f"openai/{body['model']}-2024-07-18"})

    with endpoint(fault=dated) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        run()
    assert not [record for record in caplog.records if record.name.endswith("notices")]


def test_certificates_of_the_environment_hold_for_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    if which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", *words.split(), *files], capture_output=True, check=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    with endpoint(tls=context) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        sender_anew(monkeypatch)
        run()
    assert running.answered


def sender_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have requests sent by a process that is started in the environment as it is now."""
    monkeypatch.setattr(client, "_SENDERS", {})


# Mending


def test_choices_in_another_form_are_the_same_choices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faults: dict[str, Fault | None] = {"plain": None, "otherwise": lambda number, body: restated(body)}
    for name, fault in faults.items():
        with endpoint(fault=fault) as running:
            monkeypatch.setenv("LLM_API_BASE", running.url)
            model = run(2, storage=str(tmp_path), run_name=name, n_agents=6)
    assert model.usage.reasks == 0
    assert model.usage.mended > model.calls / 2
    assert contents(tmp_path / "plain") == contents(tmp_path / "otherwise")


@pytest.mark.parametrize(
    ("value", "found"),
    [("Keep", "keep"), ("keep it.", "keep it."), ("KEEP ", "KEEP "), ("", ""), (7, 7)],
)
def test_what_is_not_plainly_one_option_is_left_as_it_is(value: Any, found: Any) -> None:
    options = ["keep", "cut"] if found == "keep" else ["keep", "Keep", "cut"]
    schema = {"properties": {"decision": {"type": "string", "enum": options}}}
    text, count = mended(json.dumps({"decision": value}), schema)
    assert json.loads(text) == {"decision": found}
    assert count == (found == "keep")


# Lengths


def test_every_question_states_how_long_its_texts_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    for questions in ("single", "fused"):
        with endpoint() as running:
            monkeypatch.setenv("LLM_API_BASE", running.url)
            run(2, n_agents=6, questions=questions, game="sign_up")
        for body in running.requests:
            prompt = body["messages"][1]["content"]
            schema = json.dumps(body["response_format"]["json_schema"]["schema"])
            for name, longest in (("reason", 300), ("learned", 800), ("message", 500)):
                if f'"{name}": {{"description"' in schema:
                    assert f" {name} {longest}" in prompt.splitlines()[-1]
                    assert f'"maxLength": {longest}' in schema


def test_a_text_that_is_longer_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def longer(number: int, body: Body) -> web.Response:
        return completion(json.dumps({**reply_to(body), "reason": "x" * 330}))

    def fault(number: int, body: Body) -> web.Response | None:
        fields = body["response_format"]["json_schema"]["schema"]["properties"]
        return longer(number, body) if "reason" in fields else None

    with endpoint(fault=fault) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert run().usage.reasks == 0


def test_whoever_was_cut_off_is_not_shown_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = '{"learned": "' + "You like trust. " * 200

    def fault(number: int, body: Body) -> web.Response | None:
        is_first = body["response_format"]["json_schema"]["name"] == Reflect.name and len(body["messages"]) == 2
        return completion(loop, finish_reason="length") if is_first else None

    with endpoint(fault=fault) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert run().usage.reasks == 2
    again = [body["messages"] for body in running.requests if len(body["messages"]) == 4]
    assert all("trust" not in messages[2]["content"] and "cut off" in messages[3]["content"] for messages in again)
