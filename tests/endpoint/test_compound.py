"""Questions that are asked together."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from enum import Enum
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from repunet_model import RepuNetModel
from repunet_model.backends.base import Request
from repunet_model.backends.rules import RulesBackend
from repunet_model.cli import main
from repunet_model.questions import compound
from repunet_model.questions.base import Answer, Question
from repunet_model.questions.compound import Compound
from repunet_model.results import profile
from repunet_model.storage import StepReader
from repunet_model.storage.schema import CALLS
from repunet_model.testing import completion, endpoint, error, random_reply, reply_to
from tests.backends import Overheard
from tests.conftest import contents
from tests.societies import test_games

CONTRACTS = (test_games.TestPrisonersDilemma(), test_games.TestInvestment(), test_games.TestSignUp())


def compounds(contract: Any, **parameters: Any) -> list[Request[Any]]:
    overheard: Overheard = contract.overheard(True, True, questions="fused", n_agents=20, **parameters)
    return [request for request in overheard.requests if isinstance(request.question, Compound)]


def first(name: str) -> Request[Any]:
    return next(r for r in compounds(CONTRACTS[0]) if r.question.name == name and len(r.schema["properties"]) > 3)


def test_a_compound_asks_in_the_order_of_the_single_questions() -> None:
    parts = list(first("aftermath").schema["properties"])
    assert parts[:6] == ["evaluation", "own_record", "partner_record", "learned", "tie", "wish"]
    assert ["listener", "message"] in [list(r.schema["properties"])[6:] for r in compounds(CONTRACTS[0])]
    hearing = next(
        r for r in compounds(CONTRACTS[0]) if "message" in r.schema["properties"] and r.question.name == "hearing"
    )
    assert list(hearing.schema["properties"])[:2] == ["judgement", "record"]
    assert list(hearing.schema["properties"])[-1] == "message"


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.game)
@pytest.mark.first
def test_what_is_asked_does_not_rest_on_answers_that_nobody_has_given(
    contract: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def otherwise(question: Question[Any]) -> Answer:
        candidates = question.candidates()
        values: dict[str, Any] = {}
        for name, described in question.answer.model_fields.items():
            kind = described.annotation
            if name in candidates:
                values[name] = candidates[name][-1]
            elif isinstance(kind, type) and issubclass(kind, Enum) and name != "decision":
                values[name] = list(kind)[-1]
            elif isinstance(kind, type) and issubclass(kind, Enum):
                values[name] = next(iter(kind))
            else:
                values[name] = {str: "INVENTED", int: 77, float: 0.77}[kind]  # type: ignore[index]
        return question.answer.model_construct(**values)

    prompts = [request.prompt for request in compounds(contract)]
    monkeypatch.setattr(compound, "_blank", otherwise)
    assert [request.prompt for request in compounds(contract)] == prompts
    assert not any("INVENTED" in prompt for prompt in prompts)


def replies(request: Request[Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield replies that do not fit, and the part that is wrong."""
    fitting = random_reply(request.schema, request.random())
    yield {name: fitting[name] for name in fitting if name != "tie"}, "tie"
    yield fitting | {"extra": 1}, "just these fields"
    yield fitting | {"learned": None}, "learned"
    yield fitting | {"own_record": fitting["own_record"] | {"certainty": 101}}, "own_record.certainty"
    yield fitting | {"evaluation": {"own": "good"}}, "evaluation"
    yield fitting | {"wish": "gossip"}, "wish"


def test_a_reply_of_which_a_part_does_not_fit_is_refused_with_its_name() -> None:
    request = first("aftermath")
    for reply, problem in replies(request):
        with pytest.raises(ValueError, match=problem) as failure:
            request.question.read(json.dumps(reply))
        assert "\n" not in str(failure.value)
    with pytest.raises(ValueError, match="not JSON"):
        request.question.read("gossip")


def test_what_is_not_passed_on_needs_no_words() -> None:
    class Quiet(RulesBackend):
        kept = 0

        async def answer[A: Answer](self, request: Request[A]) -> A:
            if request.question.name == "hearing" and "message" in request.schema["properties"]:
                nothing = {name: None for name in ("listener", "message") if name in request.schema["properties"]}
                reply = random_reply(request.schema, request.random()) | nothing
                reply["judgement"]["decision"] = "pass it on"
                with pytest.raises(ValueError, match="is null, but has to be answered, since you "):
                    request.question.read(json.dumps(reply))
                reply["judgement"]["decision"] = "keep it to yourself"
                self.kept += 1
                return request.question.read(json.dumps(reply))
            return await super().answer(request)

    backend = Quiet()
    model = RepuNetModel(backend=backend, rng=1, questions="fused")
    for _ in range(5):
        model.step()
    assert backend.kept > 0
    first_hand = model.datacollector.get_table_dataframe("gossip").query("order == 1")
    assert len(first_hand) >= backend.kept


def test_a_part_that_does_not_fit_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(number: int, body: dict[str, Any]) -> Any:
        if body["response_format"]["json_schema"]["name"] != "aftermath" or len(body["messages"]) > 2:
            return None
        return completion(json.dumps(reply_to(body) | {"learned": {"learned": ""}}))

    with endpoint(fault=broken) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with RepuNetModel(backend="openai", n_agents=6, rng=1, questions="fused") as model:
            model.step()
        told = [body["messages"][3]["content"] for body in running.requests if len(body["messages"]) > 2]
    assert model.usage.reasks == 6 == len(told)
    assert all("learned.learned" in text for text in told)


def test_a_part_that_was_missing_cannot_be_null_in_the_next_reply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parts(body: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = body["response_format"]["json_schema"]["schema"]["properties"]
        return found

    def wordless(number: int, body: dict[str, Any]) -> Any:
        if "anyOf" not in parts(body).get("message", {}):
            return None
        reply = reply_to(body) | {"message": None}
        if "wish" in reply:
            reply["wish"] = {**reply["wish"], "decision": parts(body)["wish"]["properties"]["decision"]["enum"][0]}
        else:
            reply["judgement"]["decision"] = "pass it on"
        return completion(json.dumps(reply))

    def ends_at_a_correction(number: int, body: dict[str, Any]) -> Any:
        return error(401, "no") if len(body["messages"]) > 2 else wordless(number, body)

    words = ["-n", "4", "--network", "complete", "--storage", str(tmp_path), "--backend", "openai"]
    with endpoint(fault=ends_at_a_correction) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert main(["run", "--questions", "fused", "--steps", "1", "--sim-name", "it", *words]) == 2
    with endpoint(fault=wordless) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert main(["resume", str(tmp_path / "it"), "--steps", "1"]) == 0
        corrected = [body for body in running.requests if len(body["messages"]) > 2]
    assert corrected
    assert all("anyOf" not in parts(body)["message"] for body in corrected)
    assert all("message: is null" in body["messages"][3]["content"] for body in corrected)
    usage = json.loads((tmp_path / "it" / "step_1" / "usage.json").read_text()).values()
    assert sum(each.get("reasks", 0) for each in usage) == len(corrected)


def test_a_fused_run_is_replayed_resumed_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with endpoint() as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        storage = ["--storage", str(tmp_path)]
        words = ["run", "--backend", "openai", "-n", "6", "--questions", "fused", *storage, "--sim-name"]
        assert main([*words, "whole", "--steps", "4"]) == 0
        assert main([*words, "parts", "--steps", "2"]) == 0
        assert main(["resume", "parts", "--steps", "2", *storage]) == 0
    assert main(["run", "--backend", "replay:whole", "--steps", "4", "--sim-name", "again", *storage]) == 0
    assert contents(tmp_path / "whole") == contents(tmp_path / "parts") == contents(tmp_path / "again")
    capsys.readouterr()
    assert main(["show", "whole", "--step", "4", *storage]) == 0
    shown = capsys.readouterr().out
    assert "wish to gossip: " in shown
    assert re.search(r"conduct (?:very bad|bad|neutral|good|very good): «", shown)


def test_both_ways_of_asking_are_compared_over_the_same_seeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["questions", "--seeds", "1-2", "--steps", "3", "--storage", str(tmp_path), "--name", "both"]
    assert main(words) == 0
    rows = {line[:27].strip(): line[27:].split() for line in capsys.readouterr().out.splitlines()}
    single, fused = float(rows["calls"][0]), float(rows["calls"][1])
    assert fused < single / 2
    assert rows["cooperation rate"][0] == rows["cooperation rate"][1]
    assert "tokens" not in rows
    assert len(list((tmp_path / "both" / "runs").iterdir())) == 4


def test_what_a_step_waited_for_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    storage = ["--storage", str(tmp_path)]
    assert main(["run", "-n", "6", "--steps", "3", "--sim-name", "it", *storage]) == 0
    calls = StepReader.open(tmp_path / "it").step(3).rows(CALLS)
    chain = profile.critical_path(calls)
    for before, after in pairwise(chain):
        assert before in calls[after]["after"]
    assert calls[chain[0]]["after"] == []
    capsys.readouterr()
    assert main(["profile", "it/step_3", *storage]) == 0
    shown = capsys.readouterr().out
    assert f"The critical path of step 3: {len(chain)} calls" in shown
    assert f"{calls[chain[-1]]['question']} to {calls[chain[-1]]['agent']}" in shown
    assert main(["profile", "it/step_0", *storage]) == 2
    assert "has no steps yet" in capsys.readouterr().err
