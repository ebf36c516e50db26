"""What a model thinks before it answers: counted and priced apart, stored beside the reply, shown, and in no prompt."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from repunet_model import RepuNetError, RepuNetModel
from repunet_model.backends.limits import Limits
from repunet_model.backends.prices import Price, Prices
from repunet_model.chronicle import Chronicle
from repunet_model.cli import main
from repunet_model.storage import StepReader
from repunet_model.testing import Body, Endpoint, Fault, answer, completion, endpoint, error, reply_to, said
from tests.conftest import contents, decided
from visualization import drawing

MARK = "Zanzibar"
"""A word that no prompt has."""


def run(steps: int = 2, **parameters: Any) -> RepuNetModel:
    with RepuNetModel(**{"rng": 1, "backend": "openai", "n_agents": 4, **parameters}) as model:
        for _ in range(steps):
            model.step()
    return model


def calls(folder: Path) -> list[dict[str, Any]]:
    files = sorted(folder.glob("step_*/calls.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


def thought_of(body: Body) -> str:
    """Return a thought that differs from question to question."""
    return f"{MARK}: {reply_to(body)}"


def apart(field: str, body: Body) -> web.Response:
    return said({"content": json.dumps(reply_to(body)), field: thought_of(body)})


FORMS: dict[str, Callable[[Body], web.Response]] = {
    "reasoning_content": lambda body: apart("reasoning_content", body),
    "reasoning": lambda body: apart("reasoning", body),
    "marks": lambda body: completion(f"<think>\n{thought_of(body)}\n</think>\n\n{json.dumps(reply_to(body))}"),
    "parts": lambda body: said(
        {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": thought_of(body)}]},
                {"type": "text", "text": json.dumps(reply_to(body))},
            ]
        }
    ),
}


def thinking(form: str = "reasoning_content") -> Fault:
    return lambda number, body: FORMS[form](body)


@pytest.fixture
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of a model that says nothing of its thoughts."""
    with endpoint() as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        run(storage=str(tmp_path), run_name="plain")
    return tmp_path / "plain"


@pytest.mark.parametrize("form", FORMS)
def test_a_thought_is_stored_beside_the_reply_and_changes_nothing_else(
    form: str, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with endpoint(fault=thinking(form)) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        run(storage=str(tmp_path), run_name="thinking")
    thoughts = [call["thought"] for call in calls(tmp_path / "thinking")]
    assert sorted(thoughts) == sorted(thought_of(body) for body in running.requests)
    assert decided(tmp_path / "thinking") == decided(plain)
    assert not any("thought" in call for call in calls(plain))


def test_equal_replies_with_thoughts_give_equal_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    is_down = True

    def fault(number: int, body: Body) -> web.Response:
        return error(401, "no") if is_down and number >= 20 else thinking()(number, body)  # type: ignore[return-value]

    storage = str(tmp_path)
    with endpoint(fault=thinking()) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        run(storage=storage, run_name="whole", limits=Limits(concurrency=1))
    with endpoint(fault=fault) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with pytest.raises(RepuNetError, match="HTTP 401"):
            run(storage=storage, run_name="resumed")
        is_down = False
        with RepuNetModel.load(tmp_path / "resumed") as model:
            while model.steps < 2:
                model.step()
        assert model.usage.recalled > 0
    monkeypatch.delenv("LLM_API_BASE")
    assert main(["run", "--backend", "replay:whole", "--storage", storage, "--sim-name", "replayed"]) == 0
    assert all(MARK in call["thought"] for call in calls(tmp_path / "whole"))
    assert contents(tmp_path / "whole") == contents(tmp_path / "resumed") == contents(tmp_path / "replayed")


@pytest.mark.parametrize("questions", ["single", "fused"])
@pytest.mark.parametrize("form", ["reasoning_content", "marks"])
def test_no_prompt_holds_a_thought(
    questions: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fault(number: int, body: Body) -> web.Response | None:
        if number % 5 == 3 and len(body["messages"]) == 2:  # to be asked again, with what was wrong
            return completion(f"<think>{thought_of(body)}</think>I say no.")
        return thinking(form)(number, body)  # type: ignore[return-value]

    with endpoint(fault=fault) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        model = run(storage=str(tmp_path), run_name="it", questions=questions, game="sign_up")
        assert model.usage.reasks > 0
        assert main(["ask", "it", "Akiko Sato", "Why?", "--storage", str(tmp_path)]) == 0
    assert calls(tmp_path / "it")
    assert MARK not in json.dumps([body["messages"] for body in running.requests])
    assert MARK not in capsys.readouterr().out


def test_thoughts_are_shown_if_they_are_asked_for(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with endpoint(fault=thinking()) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        run(storage=str(tmp_path), run_name="it")

    def shown(*words: str) -> str:
        assert main(["show", *words, "--storage", str(tmp_path)]) == 0
        return capsys.readouterr().out

    assert MARK not in shown("it") + shown("it", "--agent", "Akiko Sato")
    step = (tmp_path / "it" / "step_2" / "calls.jsonl").read_text(encoding="utf-8").splitlines()
    assert shown("it", "--thoughts").count(MARK) == len(step)
    own = [line for line in shown("it", "--agent", "Akiko Sato", "--thoughts").splitlines() if MARK in line]
    assert own
    assert all(": Akiko Sato, " in line for line in own)
    assert {line.split(":")[0].strip() for line in own} == {"Round 1", "Round 2"}
    assert "the endpoint returned none" in shown("plain", "--thoughts")
    drawn = drawing.agent(Chronicle.of_run(StepReader.open(tmp_path / "it")), 2, "Akiko Sato")["calls"]
    assert all(MARK in call["thought"] for call in drawn)


# Tokens


def counted(prompt: int, completed: int, **more: Any) -> Fault:
    def fault(number: int, body: Body) -> web.Response:
        reply = json.loads(answer(body).text or "")
        return web.json_response({**reply, "usage": {"prompt_tokens": prompt, "completion_tokens": completed, **more}})

    return fault


@pytest.mark.parametrize(
    ("usage", "completed", "reasoning"),
    [
        ({"completion_tokens_details": {"reasoning_tokens": 60}}, 100, 60),
        ({"completion_tokens_details": {"reasoning_tokens": 60}, "total_tokens": 1_100}, 100, 60),
        ({"completion_tokens_details": {"reasoning_tokens": 60}, "total_tokens": 1_160}, 160, 60),  # beside
        ({"total_tokens": 1_160}, 160, 60),
        ({"completion_tokens_details": {"reasoning_tokens": 300}}, 400, 300),  # cannot be a part of 100
        ({"completion_tokens_details": {"reasoning_tokens": -1}}, 100, 0),
        ({"completion_tokens_details": None}, 100, 0),
    ],
)
def test_reasoning_tokens_are_a_part_of_the_completion_with_a_price_of_their_own(
    usage: Body, completed: int, reasoning: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    prices = Prices({"gpt-4o-mini": Price(prompt=1.0, completion=2.0, reasoning=5.0)}, "this test")
    with endpoint(fault=counted(1_000, 100, **usage)) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        spent = run(1, limits=Limits(prices=prices), gossip=False, n_agents=2).usage
    count = len(running.requests)
    assert spent.completion_tokens == count * completed
    assert spent.reasoning_tokens == count * reasoning
    dollars = 1_000 * 1.0 + (completed - reasoning) * 2.0 + reasoning * 5.0
    assert spent.usd == pytest.approx(count * dollars / 1_000_000)
    assert Price(prompt=1.0, completion=2.0).of(1_000, 100, 0, 60) == pytest.approx(1_200 / 1_000_000)


def test_a_budget_holds_for_the_dearer_tokens_of_reasoning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_MAX_TOKENS", "200")
    prices = Prices({"gpt-4o-mini": Price(prompt=1.0, completion=2.0, reasoning=50.0)}, "this test")
    limits = Limits(prices=prices, budget_usd=0.1)
    with endpoint(fault=counted(100, 200, completion_tokens_details={"reasoning_tokens": 200})) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with pytest.raises(RepuNetError, match=r"budget of \$0.1000 is used up"):
            run(20, limits=limits)
    assert 0.05 < limits.purse.spent_usd <= 0.1
    assert limits.purse.spent_usd == pytest.approx(len(running.requests) * (100 + 200 * 50) / 1_000_000)


def test_reasoning_tokens_stand_in_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    fault = counted(1_000, 100, completion_tokens_details={"reasoning_tokens": 60})
    with endpoint(fault=fault) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        monkeypatch.setenv("COLUMNS", "200")
        sweep = ["sweep", "--backend", "openai", "-n", "2", "--steps", "1", "--name", "one", "--gossip", "n"]
        assert main(["run", "--backend", "openai", "-n", "2", "--steps", "1", "--gossip", "n", "--sim-name", "it"]) == 0
        sent = len(running.requests)
        assert main(sweep) == 0
    table = capsys.readouterr().out
    assert any(line.split()[-4:] == ["prompt", "reply", "reasoning", "USD"] for line in table.splitlines())
    total = next(line.split() for line in table.splitlines() if line.split()[:1] == ["all"])
    assert total[-2] == f"{60 * sent:,}"
    stored = (tmp_path / "sim_storage" / "one" / "results.csv").read_text().splitlines()
    row = dict(zip(*(line.split(",") for line in stored), strict=True))
    assert int(row["reasoning_tokens"]) == 60 * sent


def test_the_doctor_says_whether_a_model_reasons(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], local_endpoint: Endpoint
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    assert main(["doctor"]) == 0
    assert "reasoning" not in capsys.readouterr().out
    with endpoint(fault=thinking()) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert main(["doctor"]) == 0
    assert "not counted apart; " in capsys.readouterr().out
