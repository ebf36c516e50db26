"""Replies that are none, and how a run goes on after them: over HTTP, with the replies as they come."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from repunet_model import RepuNetError, RepuNetModel
from repunet_model.backends import wrappers
from repunet_model.cli import main
from repunet_model.testing import Body, Endpoint, completion, endpoint, said
from tests.conftest import contents

WAITS: list[float] = []


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Note every wait between attempts, and wait a hundredth of it."""
    WAITS.clear()

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
        assert [len(body["messages"]) for body in asked] == [2, 4, 6, 8]
        before = len(running.requests)
        assert command("resume", tmp_path, "--steps", "1") == 2
        assert "in 8 attempts" in capsys.readouterr().err
        asked = running.requests[before:]
        assert [len(body["messages"]) for body in asked] == [2, 4, 6, 8]  # the question, asked anew, and nothing else
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
