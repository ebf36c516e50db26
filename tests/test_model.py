from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repunet_model import RepuNetError, RepuNetModel
from repunet_model.questions.gossip import Hear
from tests.backends import FailsAt, FailsFirst, Overheard
from tests.conftest import MODE_NAMES, MODES, contents


def run(steps: int = 5, **parameters: object) -> RepuNetModel:
    model = RepuNetModel(**{"rng": 1, **parameters})  # type: ignore[arg-type]
    for _ in range(steps):
        model.step()
    return model


def check_invariants(model: RepuNetModel) -> None:
    """Check what must hold after every step of every run."""
    graph = model.graph
    assert not any(a == b for a, b in graph.edges)
    for agent in model.agents:
        for record in agent.ledger.present():
            assert sum(record.distribution) == pytest.approx(1)
            assert all(0 <= p <= 1 for p in record.distribution)
            assert -1 <= record.score <= 1
        blacklist = model.network.blacklist(agent.name)
        assert len(blacklist) <= 5
        assert not any(model.network.is_bound(agent.name, other, role) for other, role in blacklist)
    interactions = model.datacollector.get_table_dataframe("interactions")
    paid = interactions["first_payoff"].sum() + interactions["second_payoff"].sum()
    assert sum(agent.resources for agent in model.agents) == Decimal(10) * len(graph) + Decimal(str(paid))
    for row in interactions.itertuples():
        moves = (row.first_move, row.second_move)
        assert (row.first_payoff, row.second_payoff) == {
            ("cooperate", "cooperate"): (3, 3),
            ("cooperate", "defect"): (0, 5),
            ("defect", "cooperate"): (5, 0),
            ("defect", "defect"): (1, 1),
        }[moves]


@pytest.mark.parametrize("activation", ["simultaneous", "sequential"])
@pytest.mark.parametrize(("reputation", "gossip"), MODES, ids=MODE_NAMES)
def test_every_mode_runs_and_keeps_the_invariants(reputation: bool, gossip: bool, activation: str) -> None:
    model = run(0, reputation=reputation, gossip=gossip, activation=activation)
    for _ in range(8):
        model.step()
        check_invariants(model)
    told = model.datacollector.get_table_dataframe("gossip")
    assert (len(told) > 0) is gossip
    assert any(list(agent.ledger.present()) for agent in model.agents) is reputation
    assert (model.measures["score_altruistic"] != 0) is reputation


@settings(max_examples=15, deadline=None)
@given(n_agents=st.integers(2, 9), seed=st.integers(0, 10_000), mode=st.sampled_from(MODES))
def test_any_population_runs(n_agents: int, seed: int, mode: tuple[bool, bool]) -> None:
    model = run(4, n_agents=n_agents, rng=seed, reputation=mode[0], gossip=mode[1])
    check_invariants(model)
    interactions = model.datacollector.get_table_dataframe("interactions")
    assert len(interactions) == 4 * (n_agents // 2)
    for _, pairs in interactions.groupby("step"):
        met = [*pairs["first"], *pairs["second"]]
        assert len(met) == len(set(met)) == n_agents - n_agents % 2


def test_with_an_odd_number_another_one_sits_out_from_step_to_step() -> None:
    model = run(0, n_agents=5)
    idle: list[str] = []
    for _ in range(10):
        model.step()
        idle.extend(agent.name for agent in model.agents if agent.payoff is None)
    assert len(idle) == 10
    assert len(set(idle)) > 1


def test_the_data_collector_has_the_measures_the_agents_and_the_tables() -> None:
    model = run(3)
    measures = model.datacollector.get_model_vars_dataframe()
    assert list(measures.index) == [0, 1, 2, 3]
    interactions = model.datacollector.get_table_dataframe("interactions")
    for step in (1, 2, 3):
        rows = interactions[interactions["step"] == step]
        acts = [*rows["first_cooperated"], *rows["second_cooperated"]]
        assert measures["cooperation_rate"][step] == sum(acts) / len(acts)
    gossip = model.datacollector.get_table_dataframe("gossip")
    assert measures["gossip_told"].sum() == len(gossip) > 0
    assert measures["gossip_positive"].sum() == (gossip["tone"] == "positive").sum()
    assert measures["gossip_second_order"].sum() == (gossip["order"] == 2).sum() > 0
    assert measures["ties"].iloc[-1] == model.graph.number_of_edges()
    assert measures["calls"].sum() == model.calls
    agents = model.datacollector.get_agent_vars_dataframe().xs(3, level="Step")
    assert (
        agents["payoff"].sum() == interactions[interactions["step"] == 3][["first_payoff", "second_payoff"]].sum().sum()
    )
    assert agents["out_degree"].sum() == agents["in_degree"].sum() == model.graph.number_of_edges()


def test_equal_seeds_make_equal_runs_and_other_seeds_others(tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        run(3, rng=seed, storage=str(tmp_path), run_name=name)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a") != contents(tmp_path / "c")


def test_astep_does_what_step_does(tmp_path: Path) -> None:
    async def steps(model: RepuNetModel) -> None:
        for _ in range(3):
            await model.astep()

    asyncio.run(steps(run(0, storage=str(tmp_path), run_name="asynchronous")))
    run(3, storage=str(tmp_path), run_name="synchronous")
    assert contents(tmp_path / "asynchronous") == contents(tmp_path / "synchronous")


def test_step_works_where_an_event_loop_already_runs() -> None:
    async def step_inside() -> int:
        model = run(0)
        model.step()
        return model.steps

    assert asyncio.run(step_inside()) == 1


@pytest.mark.parametrize("question", ["choose_move", "reflect", "hear"])
@pytest.mark.parametrize("activation", ["simultaneous", "sequential"])
def test_a_failed_step_leaves_no_trace_and_can_be_tried_again(tmp_path: Path, question: str, activation: str) -> None:
    backend = FailsAt(step=3, question=question)
    model = run(2, backend=backend, activation=activation, storage=str(tmp_path), run_name="failing")
    before = contents(tmp_path / "failing")
    state = (model.network.to_dict(), [agent.state() for agent in model.agents], model.measures, model.scores)
    for _ in range(2):
        with pytest.raises(RepuNetError, match="the endpoint is down"):
            model.step()
        assert model.steps == model.time == 2
        assert contents(tmp_path / "failing") == before
        assert state == (
            model.network.to_dict(),
            [agent.state() for agent in model.agents],
            model.measures,
            model.scores,
        )
    backend.failing = False
    model.step()
    model.step()
    run(4, activation=activation, storage=str(tmp_path), run_name="smooth")
    assert contents(tmp_path / "failing") == contents(tmp_path / "smooth")


def test_a_failed_step_asks_nothing_more() -> None:
    backend = FailsFirst()
    model = run(0, backend=backend)
    with pytest.raises(RepuNetError):
        model.step()
    asked = backend.asked
    time.sleep(0.1)
    assert backend.asked == asked
    assert backend.answered == 0


@pytest.mark.parametrize(("reputation", "gossip"), MODES, ids=MODE_NAMES)
def test_a_loaded_run_goes_on_as_if_it_had_never_stopped(tmp_path: Path, reputation: bool, gossip: bool) -> None:
    mode = {"reputation": reputation, "gossip": gossip, "n_agents": 7}
    whole = run(6, storage=str(tmp_path), run_name="whole", **mode)
    run(3, storage=str(tmp_path), run_name="parted", **mode)
    model = RepuNetModel.load(tmp_path / "parted")
    assert model.steps == 3
    for _ in range(3):
        model.step()
    assert contents(tmp_path / "parted") == contents(tmp_path / "whole")
    for table in ("interactions", "gossip"):
        assert model.datacollector.tables[table] == whole.datacollector.tables[table]
    assert model.datacollector.get_model_vars_dataframe().equals(whole.datacollector.get_model_vars_dataframe())
    assert model.datacollector.get_agent_vars_dataframe().equals(whole.datacollector.get_agent_vars_dataframe())


def test_a_listener_takes_messages_one_after_another() -> None:
    backend = Overheard()
    run(12, backend=backend)
    shares: dict[str, list[float]] = {}
    for request in backend.requests:
        if isinstance(request.question, Hear) and request.question.uncredible_share is not None:
            shares.setdefault(request.coordinates.agent, []).append(request.question.uncredible_share)
    assert any(len(set(values)) > 1 for values in shares.values())


def test_gossip_goes_to_somebody_the_gossiper_is_bound_to_and_never_to_its_subject() -> None:
    rows = run(15).datacollector.get_table_dataframe("gossip")
    second = rows[rows["order"] == 2]
    assert len(second) > 0
    for row in rows.itertuples():
        assert len({row.gossiper, row.listener, row.subject}) == 3
        assert row.dialogue[0][0] == row.gossiper
        assert row.dialogue[-1][0] == row.listener
    for row in second.itertuples():
        assert row.origin not in {row.gossiper, row.listener, row.subject}
        first = rows[(rows["step"] == row.step) & (rows["order"] == 1) & (rows["subject"] == row.subject)]
        assert ((first["gossiper"] == row.origin) & (first["listener"] == row.gossiper)).any()
        assert (first["passed_on_to"] == row.listener).any()


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"game": "chess"}, "unknown game 'chess'"),
        ({"n_agents": 1}, "n_agents"),
        ({"n_agents": 2.5}, "n_agents"),
        ({"activation": "random"}, "unknown activation"),
        ({"backend": "oracle"}, "unknown backend"),
        ({"rng": "soon"}, "seed must be an integer"),
        ({"reputation": "yes"}, "reputation"),
        ({"dialogue_turns": 11}, "dialogue_turns"),
        ({"concurrency": 0}, "concurrency"),
    ],
)
def test_parameters_that_cannot_be_used_are_named(parameters: dict[str, object], problem: str, tmp_path: Path) -> None:
    with pytest.raises(RepuNetError, match=problem) as failure:
        run(0, storage=str(tmp_path / "storage"), **parameters)
    assert "\n" not in str(failure.value)
    assert not (tmp_path / "storage").exists()


def test_a_page_hands_the_seed_over_as_text() -> None:
    assert run(0, rng="12").seed == 12


BATCH = """
import mesa

from repunet_model import RepuNetModel

if __name__ == "__main__":
    rows = mesa.batch_run(
        RepuNetModel,
        {"game": "prisoners_dilemma", "reputation": [True, False], "gossip": [True, False]},
        rng=[1, 2],
        max_steps=5,
        number_processes=2,
        display_progress=False,
    )
    runs = {row["RunId"]: row for row in rows}
    print(len(rows), len(runs), {row["Step"] for row in rows})
    print(sorted((row["reputation"], row["gossip"], row["rng"], row["cooperation_rate"]) for row in runs.values()))
"""


def test_batch_run_works_from_a_plain_script(tmp_path: Path) -> None:
    script = tmp_path / "batch.py"
    script.write_text(BATCH)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, cwd=tmp_path)
    first, second = done.stdout.splitlines()
    assert first == "160 8 {5.0}"
    expected = sorted(
        (reputation, gossip, seed, run(5, reputation=reputation, gossip=gossip, rng=seed).measures["cooperation_rate"])
        for reputation, gossip in MODES
        for seed in (1, 2)
    )
    assert second == str(expected)


def test_no_column_hides_a_parameter_in_the_rows_of_batch_run() -> None:
    model = run(1)
    columns = {*model.datacollector.model_reporters, *model.datacollector.agent_reporters}
    assert not columns & set(inspect.signature(RepuNetModel).parameters)
