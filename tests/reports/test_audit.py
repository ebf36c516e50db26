"""What a report says cooperation hangs on, for planted agents whose cooperation depends on known things alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest

from repunet_model.backends import setup
from repunet_model.backends.base import Request
from repunet_model.backends.rules import RulesBackend
from repunet_model.cli import main
from repunet_model.games.prisoners_dilemma import ChooseMove, Move, MoveAnswer
from repunet_model.questions.base import Answer
from repunet_model.report.audit import audits, section
from repunet_model.report.evidence import Evidence, read
from repunet_model.study import auditing, claims
from repunet_model.sweep.folder import SweepFolder

PLAIN, IN_BULLETS = 0.3, 0.7
"""The probability of cooperation where the persona is a text, and where it is a list."""


class Planted(RulesBackend):
    """Agents that cooperate with a probability that depends on their prompts.

    "planted": on the persona format; "crossed": on whether both or neither of persona format and wording are changed;
    "unmoved": on nothing.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.description = {**self.description, "backend": name}

    async def answer[A: Answer](self, request: Request[A]) -> A:
        if not isinstance(request.question, ChooseMove):
            return await super().answer(request)
        in_bullets, is_plain = "\n- name:" in request.prompt, "What do you do, and why?" in request.prompt
        high = {"planted": in_bullets, "crossed": in_bullets is is_plain, "unmoved": False}
        cooperates = request.random().random() < (IN_BULLETS if high[self.description["backend"]] else PLAIN)
        move = Move.COOPERATE if cooperates else Move.DEFECT
        return cast("A", MoveAnswer(reason="I drew lots.", decision=move))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    kinds = {
        name: setup.Kind(lambda *_, name=name: Planted(name), lambda *_, name=name: Planted(name))
        for name in ("planted", "crossed", "unmoved")
    }
    monkeypatch.setattr(setup, "_KINDS", {**setup._KINDS, **kinds})


def swept(backend: str) -> Evidence:
    """Run a sweep over prompt sets, and read it."""
    sets = " ".join(f"--prompts {each}" for each in ("neutral", "bullets", "plain", "plain+bullets"))
    words = f"sweep --reputation n --gossip n {sets} --seeds 1-5 --steps 2 -n 20 --workers 1 --backend {backend}"
    assert main(words.split()) == 0
    return read(SweepFolder.open(Path("sim_storage/sweep")).whole_runs())


def test_an_effect_of_persona_format_is_found_and_nothing_else_is() -> None:
    swept("planted")
    assert main(["report", "sweep", "--out", "report"]) == 0
    (found,) = json.loads(Path("report/report.json").read_text())["audits"]
    page = Path("report/index.html").read_text()
    assert found["sensitive_to"] == ["persona format"]
    assert "Prisoner&#39;s dilemma: final cooperation is sensitive to persona format; not audited for model, " in page
    shape = next(each for each in found["factors"] if each["factor"] == "persona format")
    (difference,) = shape["differences"]
    assert (difference["from"], difference["to"]) == ("default", "bullets")
    assert difference["low"] < IN_BULLETS - PLAIN < difference["high"]
    assert difference["high"] - difference["low"] < 0.25
    assert shape["low"] < shape["share"] < shape["high"]
    assert "format" not in found["not_varied"]
    assert {"hierarchy", "order", "population"} <= set(found["not_varied"])
    assert "<td>persona format: default, bullets</td>" in page
    (together,) = found["interactions"]
    assert (together["factors"], together["is_shown"]) == (["wording", "persona format"], False)


def test_an_effect_of_two_factors_together_is_found_where_neither_has_one() -> None:
    evidence = swept("crossed")
    (found,) = audits(evidence)
    assert found.verdict.startswith("sensitive to wording × persona format; not audited for model")
    assert found.sensitive_to() == []
    (together,) = found.described()["interactions"]
    assert (together["largest"]["first"], together["largest"]["second"]) == (
        ["neutral", "plain"],
        ["default", "bullets"],
    )
    assert together["largest"]["low"] < 2 * (IN_BULLETS - PLAIN) < together["largest"]["high"]
    assert together["low"] < together["share"] < together["high"]
    assert together["share"] > 0.5
    shown = section(evidence)
    assert shown is not None
    assert "(plain − neutral at bullets) − (plain − neutral at default), +0." in shown.texts[0]
    assert [table.rows[0][1] for table in shown.tables if "Interactions" in table.caption] == [
        "wording × persona format"
    ]


def test_what_depends_on_nothing_is_stable() -> None:
    evidence = swept("unmoved")
    (found,) = audits(evidence)
    assert found.sensitive_to() == []
    assert found.verdict.startswith("stable; not audited for model")
    shown = section(evidence)
    assert shown is not None
    assert "final cooperation is stable; " in shown.texts[0]


def test_an_answer_that_differs_between_backends_is_sensitive_to_them_and_one_that_does_not_is_stable() -> None:
    words = "sweep --backend always_cooperate --backend always_defect --activation simultaneous,sequential"
    words += " --seeds 1-5 --steps 1 -n 4 --workers 1"
    assert main(words.split()) == 0
    evidence = read(SweepFolder.open(Path("sim_storage/sweep")).whole_runs())
    persistence = next(claim for claim in claims.CLAIMS if claim.key == "persistence")
    (found,) = auditing.audits(evidence, [persistence])
    assert [each.factor.name for each in found.sensitive_to()] == ["backend"]
    assert found.verdict.startswith("sensitive to backend; not audited for agent specification")
    apart = [run for run in evidence.runs if run.parameters["backend"] == "always_defect"]
    (found,) = auditing.audits(Evidence(apart), [persistence])
    assert found.verdict.startswith("stable; not audited for model")
    assert "no at every level" in str(auditing.section([found]).tables[0].rows)
