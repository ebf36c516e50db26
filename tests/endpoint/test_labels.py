"""Labels of a prompt set over HTTP: models are shown them and reply with them, and values are stored."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from repunet_model import RepuNetModel
from repunet_model.backends.human import HumanBackend
from repunet_model.cli import main
from repunet_model.storage import StepReader
from repunet_model.storage.schema import CALLS
from repunet_model.testing import Body, Fault, completion, endpoint
from tests.conftest import contents


def run(
    monkeypatch: pytest.MonkeyPatch, fault: Fault | None = None, steps: int = 2, **parameters: Any
) -> tuple[RepuNetModel, list[Body]]:
    with endpoint(fault=fault) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with RepuNetModel(**{"rng": 1, "backend": "openai", "n_agents": 4, **parameters}) as model:
            for _ in range(steps):
                model.step()
    return model, running.requests


def texts(body: Body) -> str:
    return json.dumps([body["messages"], body["response_format"]], ensure_ascii=False)


@pytest.mark.parametrize("questions", ["single", "fused"])
def test_a_model_reads_and_writes_labels_and_the_run_stores_values(
    questions: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, requests = run(monkeypatch, questions=questions, prompts="zh", storage=tmp_path, run_name="it")
    choices = [body for body in requests if re.search(r'"enum": \["(合作|背叛)"', texts(body))]
    assert choices
    for body in choices:
        assert re.search(r'"enum": \["(合作|背叛)", "(合作|背叛)"\]', texts(body))
        assert re.search("decision.(合作 或 背叛|背叛 或 合作)", texts(body))
    assert not any(word in texts(body) for body in requests for word in ("cooperate", "very good", "keep the tie"))
    met = model.datacollector.get_table_dataframe("interactions")
    assert set(met["first_move"]) | set(met["second_move"]) <= {"cooperate", "defect"}
    assert set(met["first_judges_second"]) <= {"very bad", "bad", "neutral", "good", "very good"}
    for row in StepReader.open(tmp_path / "it").step(1).rows(CALLS):
        assert not any(option in ("合作", "背叛", "很好") for options in row["options"].values() for option in options)
        assert "合作" not in json.dumps(row["answer"], ensure_ascii=False)
    assert model.usage.reasks == 0


def test_a_run_with_labels_is_resumed_and_replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run(monkeypatch, prompts="market", storage=tmp_path, run_name="whole")
    run(monkeypatch, prompts="market", storage=tmp_path, run_name="parted", steps=1)
    with endpoint() as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        with RepuNetModel.load(tmp_path / "parted") as model:
            model.step()
    whole, parted = (contents(tmp_path / name) for name in ("whole", "parted"))
    assert {name for name in whole if "step_2" in str(name)}
    assert {name: text for name, text in whole.items() if "metrics" in str(name)} == {
        name: text for name, text in parted.items() if "metrics" in str(name)
    }
    assert main(["run", "--backend", "replay:whole", "--storage", str(tmp_path), "--sim-name", "again"]) == 0
    first, again = (StepReader.open(tmp_path / name).step(2).state for name in ("whole", "again"))
    assert first == again


def test_a_reply_that_is_no_label_is_told_the_labels_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(number: int, body: Body) -> web.Response | None:
        if number == 0:
            return completion(json.dumps({"reason": "So.", "decision": "cooperate"}))
        return None

    model, requests = run(monkeypatch, fault, steps=1, prompts="market", reputation=False, gossip=False)
    assert model.usage.reasks == 1
    (told,) = (body for body in requests if len(body["messages"]) > 2)
    correction = told["messages"][-1]["content"]
    assert "decision: must be one of sound goods, shoddy goods" in correction
    assert "cooperate" not in correction


def test_a_human_chooses_among_labels_and_the_value_is_stored() -> None:
    screen, keyboard = io.StringIO(), io.StringIO("Because.\n1\n" * 60)
    human = HumanBackend(lambda: keyboard, lambda: screen)
    with RepuNetModel(rng=1, n_agents=2, prompts="game", reputation=False, gossip=False, backend=human) as model:
        model.step()
    assert "  1  A\n" in screen.getvalue() or "  1  B\n" in screen.getvalue()
    assert not re.search("cooperate|defect", screen.getvalue().replace("cooperation", ""))
    (met,) = model.datacollector.get_table_dataframe("interactions").to_dict("records")
    assert {met["first_move"], met["second_move"]} <= {"cooperate", "defect"}
