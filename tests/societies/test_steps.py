"""What may go wrong around a step, and what agents see in it."""

from __future__ import annotations

import _thread
import asyncio
import itertools
import json
import threading
from pathlib import Path
from random import Random
from statistics import mean
from typing import Any

import pytest

from repunet_model import RepuNetError, RepuNetModel
from repunet_model.backends.base import Request
from repunet_model.backends.mind import Rules
from repunet_model.backends.rules import RulesBackend
from repunet_model.games.prisoners_dilemma import ChooseMove
from repunet_model.questions.base import Answer
from repunet_model.questions.encounter import ChoosePartner, Evaluate, UpdateRecord
from repunet_model.questions.gossip import Hear, HearSecondHand, Judge
from repunet_model.reputation import Cause
from tests.backends import Overheard
from tests.conftest import contents

TALKATIVE = Rules(gossip_threshold=0.0, social_precision=1.0)


class Reading(RulesBackend):
    """The rules, but as if they read prompts; with or without a pause before each answer."""

    reads_prompts = True

    def __init__(self, pause: float | None = None) -> None:
        super().__init__(TALKATIVE)
        self.pause = pause
        self.requests: list[Request[Any]] = []
        self.windows: list[tuple[int, int, Request[Any]]] = []
        self._clock = 0

    def _tick(self) -> int:
        self._clock += 1
        return self._clock

    async def answer[A: Answer](self, request: Request[A]) -> A:
        begun = self._tick()
        self.requests.append(request)
        if self.pause is not None:
            await asyncio.sleep(self.pause * Random(request.digest).random())
        self.windows.append((begun, self._tick(), request))
        return await super().answer(request)


def run(steps: int, **parameters: Any) -> RepuNetModel:
    model = RepuNetModel(**{"rng": 1, **parameters})
    for _ in range(steps):
        model.step()
    return model


@pytest.mark.parametrize("game", ["prisoners_dilemma", "investment", "sign_up"])
@pytest.mark.first
def test_prompts_do_not_depend_on_whether_answers_come_at_once(game: str, tmp_path: Path) -> None:
    for name, pause in (("at once", None), ("soon", 0.0), ("later", 0.003)):
        run(6, game=game, n_agents=10, backend=Reading(pause), storage=str(tmp_path), run_name=name)
    assert contents(tmp_path / "at once") == contents(tmp_path / "soon") == contents(tmp_path / "later")


def steps(model: RepuNetModel) -> None:
    """Run steps until something stops them."""
    for _ in range(1000):
        model.step()


@pytest.mark.parametrize("interrupted_at", [1, 60, 119, 120, 121])
def test_an_interrupted_run_is_whole_and_goes_on(interrupted_at: int, tmp_path: Path) -> None:
    class Interrupting(RulesBackend):
        asked = 0

        async def answer[A: Answer](self, request: Request[A]) -> A:
            self.asked += 1
            if self.asked == interrupted_at:
                _thread.interrupt_main()
            return await super().answer(request)

    parameters: dict[str, Any] = {"n_agents": 20, "gossip": False, "storage": str(tmp_path)}
    model = run(0, backend=Interrupting(), run_name="interrupted", **parameters)
    with pytest.raises(KeyboardInterrupt):
        steps(model)
    assert model.folder is not None
    assert model.steps == model.time == model.folder.steps()[-1]
    while model.steps < 4:
        model.step()
    interrupted_at = 0
    run(model.steps, backend=Interrupting(), run_name="smooth", **parameters)
    assert contents(tmp_path / "interrupted") == contents(tmp_path / "smooth")


def test_a_cancelled_step_is_undone(tmp_path: Path) -> None:
    backend = Reading(pause=10.0)
    model = run(0, n_agents=6, backend=backend, storage=str(tmp_path), run_name="cancelled")

    async def give_up() -> None:
        await asyncio.wait_for(model.astep(), 0.2)

    with pytest.raises(TimeoutError):
        asyncio.run(give_up())
    assert model.steps == 0
    backend.pause = None
    model.step()
    run(1, n_agents=6, backend=Reading(), storage=str(tmp_path), run_name="smooth")
    assert contents(tmp_path / "cancelled") == contents(tmp_path / "smooth")


def test_steps_of_one_model_do_not_overlap_and_those_of_several_share_one_loop() -> None:
    async def overlap() -> list[Any]:
        model = run(0, n_agents=4, backend=Reading(pause=0.05))
        others = [run(0, n_agents=4, backend=Reading(pause=0.05)) for _ in range(4)]
        steps = [model.astep(), model.astep(), *(other.astep() for other in others)]
        return await asyncio.gather(*steps, return_exceptions=True)

    results = asyncio.run(overlap())
    refused = [result for result in results if result is not None]
    assert len(refused) == 1
    assert isinstance(refused[0], RepuNetError)
    assert sum(thread.name == "repunet-event-loop" for thread in threading.enumerate()) == 1


def test_a_failed_step_notes_what_it_has_cost(tmp_path: Path) -> None:
    class Costly(RulesBackend):
        async def answer[A: Answer](self, request: Request[A]) -> A:
            request.usage.attempts += 1
            request.usage.prompt_tokens += 7
            if request.coordinates.question == "reflect":
                raise RepuNetError("no more")
            return await super().answer(request)

    with pytest.raises(RepuNetError, match="no more"):
        run(1, backend=Costly(), n_agents=4, storage=str(tmp_path), run_name="it")
    (row,) = (json.loads(line) for line in (tmp_path / "it" / "usage_failed.jsonl").read_text().splitlines())
    assert (row["step"], row["error"]) == (1, "no more")
    assert row["prompt_tokens"] == 7 * row["attempts"] > 0


def test_a_run_with_a_missing_step_is_not_read(tmp_path: Path) -> None:
    run(3, n_agents=4, storage=str(tmp_path), run_name="it")
    (tmp_path / "it" / "step_2").rename(tmp_path / "step_2")
    with pytest.raises(RepuNetError, match="step 2 is missing"):
        RepuNetModel.load(tmp_path / "it")


@pytest.mark.parametrize("content", ["5", '{"format": 1}', '{"format": 1, "game": 3}'])
def test_a_damaged_manifest_is_one_clear_error(content: str, tmp_path: Path) -> None:
    run(1, n_agents=4, storage=str(tmp_path), run_name="it")
    (tmp_path / "it" / "manifest.json").write_text(content)
    with pytest.raises(RepuNetError) as failure:
        RepuNetModel.load(tmp_path / "it")
    assert "\n" not in str(failure.value)


def test_a_listener_takes_messages_one_after_another() -> None:
    backend = Reading(pause=0.004)
    run(12, backend=backend, n_agents=8)
    heard: dict[tuple[int, str], list[tuple[int, int, str, str]]] = {}
    concluded: dict[tuple[int, str, str], int] = {}
    for begun, ended, request in backend.windows:
        where = request.coordinates
        if where.stage == "gossip" and where.question in {"hear", "hear_second_hand"}:
            heard.setdefault((where.step, where.agent), []).append((begun, ended, where.about, where.source))
        if where.stage == "gossip" and where.question == "update_record":
            concluded[where.step, where.agent, where.about] = ended
    queues = rested_on = 0
    for (step, listener), windows in heard.items():
        ordered = sorted(windows)
        queues += len(ordered) > 1
        assert all(ended < begun for (_, ended, *_), (begun, *_) in itertools.pairwise(ordered))
        for place, (begun, _, _, source) in enumerate(ordered):
            for _, _, subject, _ in ordered[:place]:
                if subject in source.split(" < "):  # what it thinks of who tells it now
                    rested_on += 1
                    assert concluded[step, listener, subject] < begun
    assert queues > 5
    assert rested_on > 0


def test_a_listener_remembers_how_it_judged_the_message_before() -> None:
    backend = Reading()
    model = run(6, backend=backend, n_agents=12)
    table = model.datacollector.get_table_dataframe("gossip")
    judged: dict[str, list[bool]] = {}
    questions = {
        (r.coordinates.step, r.coordinates.agent, r.coordinates.source): r.question
        for r in backend.requests
        if isinstance(r.question, Judge)
    }
    for row in table.itertuples():
        source = row.gossiper if row.order == 1 else f"{row.gossiper} < {row.origin}"
        before = judged.setdefault(row.listener, [])
        shown = questions[row.step, row.listener, source].uncredible_share
        assert shown == (sum(before) / len(before) if before else None)
        before.append("uncredible" in row.credibility)


def test_what_agents_see_is_what_they_hold() -> None:
    class Checking(Reading):
        model: RepuNetModel
        checked = 0

        async def answer[A: Answer](self, request: Request[A]) -> A:
            agent = self.model.agent(request.coordinates.agent)
            about = request.coordinates.about
            question = request.question
            ledger = agent.ledger
            if isinstance(question, ChooseMove | Evaluate):
                assert question.own_opinion is not None
                assert question.partner_opinion is not None
                assert question.own_opinion.record == ledger.record(agent.name, "player")
                assert question.partner_opinion.record == ledger.record(about, "player")
                self.checked += 1
            if isinstance(question, ChooseMove):
                assert question.events == agent.memory.snapshot()[-5:]
            if isinstance(question, ChoosePartner):
                graph = self.model.graph
                for person in question.people:
                    assert graph.has_edge(agent.name, person.name)
                    assert graph.has_edge(person.name, agent.name)
            if isinstance(question, HearSecondHand):
                assert question.origin_opinion is not None
                assert question.gossiper_opinion is not None
                for name, opinion in (
                    (question.origin, question.origin_opinion),
                    (question.gossiper, question.gossiper_opinion),
                ):
                    assert opinion.record is None or opinion.record.subject == name
            return await super().answer(request)

    backend = Checking()
    backend.model = run(0, backend=backend)
    for _ in range(15):
        backend.model.step()
    assert backend.checked == 15 * 40


def test_records_follow_from_the_conduct_of_their_subject_and_gossip_from_its_credibility() -> None:
    backend = Overheard(TALKATIVE)
    model = run(8, backend=backend)
    evaluations = model.datacollector.get_table_dataframe("interactions")
    judged = {
        (row.step, holder, subject): level
        for row in evaluations.itertuples()
        for holder, subject, level in (
            (row.first, row.second, row.first_judges_second),
            (row.second, row.first, row.second_judges_first),
        )
    }
    believed = {
        (row.step, row.listener, row.subject, row.gossiper): row.credibility
        for row in model.datacollector.get_table_dataframe("gossip").itertuples()
    }
    other, from_gossip = 0, 0
    for request in backend.requests:
        question, where = request.question, request.coordinates
        if not isinstance(question, UpdateRecord):
            continue
        if question.hearsay is not None:
            key = (where.step, where.agent, where.about, question.hearsay.gossiper)
            assert question.hearsay.credibility == believed[key]
            from_gossip += 1
        elif not question.is_self:
            assert question.conduct == judged[where.step, where.agent, where.about]
            other += 1
    assert other == 160
    assert len(set(believed.values())) > 2
    assert from_gossip > 20


def test_a_later_message_is_judged_with_what_an_earlier_one_changed() -> None:
    backend = Overheard(TALKATIVE)
    model = run(15, backend=backend)
    changed = 0
    for request in backend.requests:
        question, where = request.question, request.coordinates
        if isinstance(question, Judge):
            assert question.gossiper_opinion is not None
            written = [
                update.record
                for update in model.agent(where.agent).ledger.history(question.gossiper, "player")
                if update.step == where.step and update.cause is not Cause.EXPERIENCE
            ]
            changed += question.gossiper_opinion.record in written
    assert changed > 0


@pytest.mark.parametrize(("activation", "known"), [("simultaneous", False), ("sequential", True)])
def test_only_in_sequential_activation_do_later_pairs_know_what_earlier_ones_told(activation: str, known: bool) -> None:
    backend = Overheard(TALKATIVE)
    model = run(12, backend=backend, activation=activation, n_agents=8)
    order = {id(request): number for number, request in enumerate(backend.requests)}
    told = [request for request in backend.requests if isinstance(request.question, Hear)]
    choices = [request for request in backend.requests if isinstance(request.question, ChooseMove)]
    later = [
        choice
        for hearing in told
        for choice in choices
        if choice.coordinates.step == hearing.coordinates.step and order[id(choice)] > order[id(hearing)]
    ]
    assert bool(later) is known
    assert model.steps == 12


def test_choosers_take_their_turn_by_score_best_first() -> None:
    model = run(10, n_agents=12)
    records = [record for agent in model.agents for record in agent.ledger.present()]
    scores = {agent.name: mean(r.score for r in records if r.subject == agent.name) for agent in model.agents}
    model.step()
    table = model.datacollector.get_table_dataframe("interactions")
    firsts = list(table[table["step"] == 11]["first"])
    assert [scores[name] for name in firsts] == sorted((scores[name] for name in firsts), reverse=True)


def test_lapsed_wishes_are_counted() -> None:
    model = run(1, backend=RulesBackend(Rules(gossip_threshold=0.0, tie_threshold=1.0, social_precision=50.0)))
    assert model.graph.number_of_edges() == 0
    assert model.measures["gossip_told"] == 0
    assert model.measures["gossip_lapsed"] == 20
