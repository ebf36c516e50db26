"""The contract of games: a class that the tests of a game inherit.

class TestMyGame(GameContract):
    game = "my_game"

    def check_payoffs(self, model): ...
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repunet_model import RepuNetError, RepuNetModel
from repunet_model.backends.mind import Rules
from repunet_model.backends.policies import FixedPolicy
from repunet_model.backends.rules import RulesBackend
from repunet_model.error_rates import MEASURE_OF, ErrorKind
from repunet_model.games import find
from repunet_model.mechanism import Institution
from repunet_model.personas import built_in
from repunet_model.prompt_check import WORDS
from repunet_model.testing import endpoint
from tests.backends import FailsAt, Overheard, RandomReplies, mark
from tests.conftest import MODE_NAMES, MODES, contents

TALKATIVE = Rules(gossip_threshold=0.0, social_precision=1.0)
"""Rules with which every question is asked within a few steps."""

EVENTS = (
    "step=2 agents=2 becomes=always_defect; step=3 agents=1 becomes=leave; step=3 agents=6 becomes=enter; "
    "step=4 agents=2 becomes=whitewash"
)
"""Events of every kind."""

EVENTS_OF_ANY_GAME = EVENTS.replace("always_defect", "rules:learning_rate=0.9")
"""The same with a backend that every game has."""

REPUTATION_WORDS, GOSSIP_WORDS = WORDS["reputation"], WORDS["gossip"]

every_mode = pytest.mark.parametrize(("reputation", "gossip"), MODES, ids=MODE_NAMES)
both_ways = pytest.mark.parametrize("questions", ["single", "fused"])


class GameContract(ABC):
    """Tests that every game must pass.

    Attributes:
        game: The name of the game.
        refused_policies: The policies of planted agents that mean nothing in the game.
        published: Fields of answers that others may read, as (question, field), beside messages of gossip.
    """

    game: ClassVar[str]
    published: ClassVar[frozenset[tuple[str, str]]] = frozenset()
    refused_policies: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def check_payoffs(self, model: RepuNetModel) -> None:
        """Check that payoffs balance by the rules of the game, over all interactions so far."""

    def gained(self, model: RepuNetModel) -> Decimal:
        """Return the sum of all gains so far, in units: those of encounters."""
        interactions = model.datacollector.get_table_dataframe("interactions")
        payoffs = [*interactions["first_payoff"], *interactions["second_payoff"]]
        return sum((Decimal(repr(payoff)) for payoff in payoffs), Decimal(0))

    def run(self, steps: int, **parameters: Any) -> RepuNetModel:
        """Run a society that plays the game."""
        model = RepuNetModel(**{"game": self.game, "rng": 1, **parameters})
        for _ in range(steps):
            model.step()
        return model

    def overheard(self, reputation: bool, gossip: bool, steps: int = 7, **parameters: Any) -> Overheard:
        """Run a small talkative society and return the backend with its requests."""
        backend = Overheard(TALKATIVE, self.published)
        made = {"n_agents": 8, "reputation": reputation, "gossip": gossip, "dialogue_turns": 6, **parameters}
        self.run(steps, backend=backend, **made)
        return backend

    def check(self, model: RepuNetModel) -> None:
        """Check the invariants that hold after every step of every run."""
        assert not any(a == b for a, b in model.graph.edges)
        for agent in model.agents:
            for record in agent.ledger.present():
                assert sum(record.distribution) == pytest.approx(1)
                assert all(0 <= p <= 1 for p in record.distribution)
                assert -1 <= record.score <= 1
            blacklist = model.network.blacklist(agent.name)
            assert len(blacklist) <= 5
            assert not any(model.network.is_bound(agent.name, other, role) for other, role in blacklist)
            assert agent.resources >= 0
            assert bool(list(agent.ledger.present())) <= model.config.reputation
        assert sum(agent.resources for agent in model.agents) == Decimal(10) * len(model.graph) + self.gained(model)
        for name in find(self.game).rates:
            rate = model.measures[name]
            assert rate is None or 0 <= rate <= 1
        self.check_payoffs(model)

    @pytest.mark.parametrize("activation", ["simultaneous", "sequential"])
    @every_mode
    @pytest.mark.cover
    def test_every_mode_runs_11_steps_and_keeps_the_invariants(
        self, reputation: bool, gossip: bool, activation: str
    ) -> None:
        model = self.run(0, reputation=reputation, gossip=gossip, activation=activation)
        for _ in range(11):
            model.step()
            self.check(model)
        assert bool(model.datacollector.tables["gossip"]["step"]) is gossip
        assert any(list(agent.ledger.present()) for agent in model.agents) is reputation

    @pytest.mark.parametrize("institution", Institution)
    def test_every_institution_keeps_the_invariants_and_fused_questions_its_outcome(
        self, institution: Institution
    ) -> None:
        known: list[Any] = []
        mechanism = f"paper,public_period=2,institution={institution}"
        for questions, activation in (("single", "simultaneous"), ("fused", "simultaneous"), ("fused", "sequential")):
            more = {"questions": questions, "activation": activation, "backend": RulesBackend(TALKATIVE)}
            model = self.run(0, n_agents=5, mechanism=mechanism, **more)
            for _ in range(3):
                model.step()
                self.check(model)
            known.append((model.network.to_dict(), model.scores, model.state.get("images"), model.state.get("reports")))
            assert ("images" in model.state) is (institution is Institution.IMAGE)
            assert ("reports" in model.state) is (institution is Institution.BOARD)
            assert any(list(agent.ledger.present()) for agent in model.agents) is model._mechanism.peer_records
            assert bool(model.scores) is (institution is not Institution.NONE)
            assert (model.measures["score_altruistic"] is None) is (institution is Institution.NONE)
        assert known[0] == known[1]

    @both_ways
    @every_mode
    @pytest.mark.first
    def test_every_mode_runs_over_http_with_random_replies(
        self, reputation: bool, gossip: bool, questions: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with endpoint() as running:
            monkeypatch.setenv("LLM_API_BASE", running.url)
            parameters = {"reputation": reputation, "gossip": gossip, "backend": "openai", "questions": questions}
            with self.run(0, n_agents=6, **parameters) as model:
                for _ in range(4):
                    model.step()
                    self.check(model)
        assert model.usage.attempts == len(running.requests) == model.calls
        assert model.usage.reasks == model.usage.retries == 0

    def test_whatever_is_replied_a_small_society_keeps_the_invariants(self) -> None:
        @settings(max_examples=12, deadline=None)
        @given(
            n_agents=st.integers(2, 7),
            seed=st.integers(0, 10_000),
            mode=st.sampled_from(MODES),
            activation=st.sampled_from(["simultaneous", "sequential"]),
            questions=st.sampled_from(["single", "fused"]),
            at_random=st.booleans(),
        )
        def society(
            n_agents: int, seed: int, mode: tuple[bool, bool], activation: str, questions: str, at_random: bool
        ) -> None:
            model = self.run(
                0,
                n_agents=n_agents,
                rng=seed,
                reputation=mode[0],
                gossip=mode[1],
                activation=activation,
                questions=questions,
                backend=RandomReplies() if at_random else RulesBackend(TALKATIVE),
            )
            for _ in range(7):
                model.step()
                self.check(model)
            met = model.datacollector.get_table_dataframe("interactions")
            for _, pairs in met.groupby("step"):
                names = [*pairs["first"], *pairs["second"]]
                assert len(names) == len(set(names)) == n_agents - n_agents % 2

        society()

    @every_mode
    def test_a_loaded_run_goes_on_as_if_it_had_never_stopped(
        self, reputation: bool, gossip: bool, tmp_path: Path
    ) -> None:
        mode: dict[str, Any] = {"reputation": reputation, "gossip": gossip, "n_agents": 7, "storage": str(tmp_path)}
        whole = self.run(8, run_name="whole", **mode)
        self.run(4, run_name="parted", **mode)
        model = RepuNetModel.load(tmp_path / "parted")
        assert model.steps == 4
        for _ in range(4):
            model.step()
        assert contents(tmp_path / "parted") == contents(tmp_path / "whole")
        assert model.datacollector.tables == whole.datacollector.tables
        assert model.datacollector.get_model_vars_dataframe().equals(whole.datacollector.get_model_vars_dataframe())
        assert model.datacollector.get_agent_vars_dataframe().equals(whole.datacollector.get_agent_vars_dataframe())

    @pytest.mark.parametrize(("activation", "questions"), [("simultaneous", "single"), ("sequential", "fused")])
    def test_a_run_with_errors_is_loaded_and_replayed_byte_for_byte(
        self, activation: str, questions: str, tmp_path: Path
    ) -> None:
        kinds = [*find(self.game).errors, ErrorKind.GARBLE]
        parameters: dict[str, Any] = {
            "errors": dict.fromkeys(kinds, 0.5),
            "backend": RulesBackend(TALKATIVE),
            "activation": activation,
            "questions": questions,
            "n_agents": 6,
            "storage": str(tmp_path),
        }
        whole = self.run(0, run_name="whole", **parameters)
        found: set[str] = set()
        for _ in range(4):
            whole.step()
            self.check(whole)
            assert whole.folder is not None
            rows = whole.folder.table(whole.steps, "errors")
            assert {MEASURE_OF[kind]: sum(row["kind"] == kind for row in rows) for kind in kinds} == {
                name: whole.measures[name] for name in MEASURE_OF.values() if name in whole.measures
            }
            found |= {row["kind"] for row in rows}
        assert found == set(kinds)
        self.run(2, run_name="parted", **parameters).close()
        parted = RepuNetModel.load(tmp_path / "parted")
        for _ in range(2):
            parted.step()
        self.run(4, run_name="again", **{**parameters, "backend": f"replay:{tmp_path / 'whole'}"})
        assert contents(tmp_path / "parted") == contents(tmp_path / "again") == contents(tmp_path / "whole")
        assert parted.measures == whole.measures

    def test_every_policy_is_planted_loaded_and_replayed_or_refused(self, tmp_path: Path) -> None:
        names = [person.name for person in built_in()]
        wanted: dict[str, str] = {}
        for policy in FixedPolicy:
            own = dict.fromkeys(names[len(wanted) : len(wanted) + 2], policy.value)
            if policy in self.refused_policies:
                with pytest.raises(
                    RepuNetError, match=f"^backend '{policy}' has no meaning in the game '{self.game}':"
                ):
                    self.run(0, backend_for=own)
            else:
                wanted |= own
            if policy in (FixedPolicy.BOOSTER, FixedPolicy.SLANDERER, FixedPolicy.SILENT):
                with pytest.raises(RepuNetError, match=f"^backend '{policy}' means nothing without gossip"):
                    self.run(0, backend_for=own, gossip=False)
        parameters: dict[str, Any] = {
            "backend": RulesBackend(TALKATIVE),
            "backend_for": wanted,
            "n_agents": len(wanted),
            "storage": str(tmp_path),
        }
        whole = self.run(4, run_name="whole", **parameters)
        self.check(whole)
        self.run(2, run_name="parted", **parameters).close()
        parted = RepuNetModel.load(tmp_path / "parted")
        for _ in range(2):
            parted.step()
        again = {"n_agents": len(wanted), "storage": str(tmp_path), "backend": f"replay:{tmp_path / 'whole'}"}
        self.run(4, run_name="again", **again)
        assert contents(tmp_path / "parted") == contents(tmp_path / "again") == contents(tmp_path / "whole")
        fused = self.run(4, questions="fused", **{**parameters, "storage": None})
        assert fused.datacollector.tables == whole.datacollector.tables

    def test_with_a_slip_of_every_hand_those_who_cooperate_defect(self) -> None:
        if ErrorKind.SLIP not in find(self.game).errors:
            with pytest.raises(RepuNetError, match=f"slip means nothing in the game '{self.game}'"):
                self.run(0, errors="slip=1")
            return
        model = self.run(2, backend="always_cooperate", errors="slip=1", n_agents=6)
        assert model.measures["cooperation_rate"] == 0
        self.check(model)

    def test_no_prompt_tells_of_an_error(self) -> None:
        kinds = [*find(self.game).errors, ErrorKind.GARBLE]
        backend = self.overheard(True, True, 3, errors=dict.fromkeys(kinds, 0.5), n_agents=8)
        for request in backend.requests:
            assert not re.search(r"slip|mis.?(perce|unders|t[ao]k)|garble|\berr", request.prompt, re.IGNORECASE)

    @pytest.mark.parametrize("question", ["update_record", "reflect", "hear"])
    @pytest.mark.parametrize("activation", ["simultaneous", "sequential"])
    @pytest.mark.cover
    def test_a_failed_step_leaves_no_trace_and_can_be_tried_again(
        self, question: str, activation: str, tmp_path: Path
    ) -> None:
        parameters: dict[str, Any] = {"n_agents": 10, "activation": activation, "storage": str(tmp_path)}
        backend = FailsAt(step=6, question=question)
        model = self.run(5, backend=backend, run_name="failing", **parameters)
        before = contents(tmp_path / "failing")
        for _ in range(2):
            with pytest.raises(RepuNetError, match="the endpoint is down"):
                model.step()
            assert model.steps == model.time == 5
            assert contents(tmp_path / "failing") == before
        backend.failing = False
        model.step()
        model.step()
        self.run(7, backend=FailsAt(step=0, question=question), run_name="smooth", **parameters)
        assert contents(tmp_path / "failing") == contents(tmp_path / "smooth")

    def test_a_run_that_was_stopped_or_failed_in_a_step_with_events_goes_on_with_equal_bytes(
        self, tmp_path: Path
    ) -> None:
        parameters: dict[str, Any] = {"events": EVENTS_OF_ANY_GAME, "n_agents": 8, "storage": str(tmp_path)}
        whole = self.run(7, run_name="whole", backend=FailsAt(step=0, question=""), **parameters)
        model = self.run(0, run_name="parted", backend=FailsAt(step=0, question=""), **parameters)
        for step in range(1, 8):
            if step in (2, 3, 4):
                numbers, state = [agent.unique_id for agent in model.agents], model.state
                model.close()
                backend = FailsAt(step=step, question="update_record")
                model = RepuNetModel.load(tmp_path / "parted", backend=backend)
                with pytest.raises(RepuNetError, match="the endpoint is down"):
                    model.step()
                assert [agent.unique_id for agent in model.agents] == numbers
                assert model.state == state
                backend.failing = False
            model.step()
        assert contents(tmp_path / "parted") == contents(tmp_path / "whole")
        assert model.datacollector.tables == whole.datacollector.tables
        assert model.datacollector.get_model_vars_dataframe().equals(whole.datacollector.get_model_vars_dataframe())
        assert model.datacollector.get_agent_vars_dataframe().equals(whole.datacollector.get_agent_vars_dataframe())

    def test_nobody_is_told_of_events_or_deals_with_agents_that_left(self) -> None:
        requests = self.overheard(True, True, events=EVENTS_OF_ANY_GAME, n_agents=8).requests
        present: dict[int, set[str]] = {}
        for request in requests:
            present.setdefault(request.coordinates.step, set()).add(request.coordinates.agent)
        left = (present[1] | present[2] | present[3]) - (present[4] | present[5] | present[6])
        assert len(left) == 3
        for request in requests:
            assert not re.search("planted|whitewash|newcomer|turnover", request.prompt, re.IGNORECASE), request.prompt
            if request.coordinates.step >= 4:
                assert request.coordinates.about not in left
                assert left.isdisjoint(name for options in request.options.values() for name in options)

    @pytest.mark.parametrize("activation", ["simultaneous", "sequential"])
    @every_mode
    @pytest.mark.cover
    def test_fused_questions_get_the_answers_they_get_alone(
        self, reputation: bool, gossip: bool, activation: str
    ) -> None:
        parameters = {"reputation": reputation, "gossip": gossip, "activation": activation, "n_agents": 10}
        alone, fused = (self.run(7, questions=questions, **parameters) for questions in ("single", "fused"))
        assert fused.calls < alone.calls
        for name in ("interactions", "gossip"):
            assert fused.datacollector.tables[name] == alone.datacollector.tables[name]
        assert fused.network.to_dict() == alone.network.to_dict()
        assert [agent.state() for agent in fused.agents] == [agent.state() for agent in alone.agents]

    @both_ways
    @every_mode
    @pytest.mark.cover
    def test_every_prompt_is_filled_and_speaks_of_nothing_its_mode_lacks(
        self, reputation: bool, gossip: bool, questions: str
    ) -> None:
        requests = self.overheard(reputation, gossip, questions=questions).requests
        assert requests
        for request in requests:
            prompt = "\n".join(message["content"] for message in request.messages())
            assert not re.search(r"\{\{|\}\}|\{%|%\}|\bNone\b|undefined|Opinion\(|Record\(|<[A-Za-z]+\.", prompt), (
                prompt
            )
            for options in request.options.values():
                assert re.search(".*".join(map(re.escape, options)), request.prompt, re.DOTALL), prompt
            if not reputation:
                assert not REPUTATION_WORDS.search(prompt), prompt
            if not gossip:
                assert not GOSSIP_WORDS.search(prompt), prompt
        rules = requests[0].prompts.system
        assert bool(REPUTATION_WORDS.search(rules)) is reputation
        assert bool(GOSSIP_WORDS.search(rules)) is gossip

    @both_ways
    @every_mode
    @pytest.mark.cover
    def test_no_prompt_carries_what_another_agent_thinks(
        self, reputation: bool, gossip: bool, questions: str, tmp_path: Path
    ) -> None:
        people = [
            person.model_copy(update={"learned": f"You begin here. {mark(person.name)}"}).model_dump(mode="json")
            for person in built_in()[:8]
        ]
        file = tmp_path / "personas.json"
        file.write_text(json.dumps(people))
        requests = self.overheard(reputation, gossip, personas=str(file), questions=questions).requests
        for request in requests:
            marks = set(re.findall(r"\[thought of [^]]*\]", request.prompt))
            assert marks == {mark(request.coordinates.agent)}, request.prompt

    def test_the_rules_come_first_and_are_the_same_for_all_agents_and_steps(self) -> None:
        prompts = {request.messages()[0]["content"] for request in self.overheard(True, True).requests}
        assert len(prompts) == 1
        assert not any(person.name in prompt for person in built_in() for prompt in prompts)
