from __future__ import annotations

import asyncio
import inspect
import time
from pathlib import Path

import mesa
import pandas as pd
import pytest

from repunet_model import RepuNetError, RepuNetModel
from tests.backends import FailsFirst
from tests.conftest import contents


def run(steps: int = 5, **parameters: object) -> RepuNetModel:
    model = RepuNetModel(**{"rng": 1, **parameters})  # type: ignore[arg-type]
    for _ in range(steps):
        model.step()
    return model


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


def test_a_failed_step_asks_nothing_more() -> None:
    backend = FailsFirst()
    model = run(0, backend=backend)
    with pytest.raises(RepuNetError):
        model.step()
    asked = backend.asked
    time.sleep(0.1)
    assert backend.asked == asked
    assert backend.answered == 0


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
        ({"backend": "gpt"}, "unknown backend"),
    ],
)
def test_parameters_that_cannot_be_used_are_named(parameters: dict[str, object], problem: str, tmp_path: Path) -> None:
    with pytest.raises(RepuNetError, match=problem) as failure:
        run(0, storage=str(tmp_path / "storage"), **parameters)
    assert "\n" not in str(failure.value)
    assert not (tmp_path / "storage").exists()


def test_a_page_hands_the_seed_over_as_text() -> None:
    assert run(0, rng="12").seed == 12


@pytest.mark.parametrize("period", [1, 2, -1])
def test_batch_run_works_in_every_scenario_mode_and_period(period: int) -> None:
    games = ["prisoners_dilemma", "investment", "sign_up"]
    rows = mesa.batch_run(
        RepuNetModel,
        {"game": games, "reputation": [True, False], "gossip": [True, False], "n_agents": 4},
        rng=[3],
        max_steps=3,
        data_collection_period=period,
        display_progress=False,
    )
    table = pd.DataFrame(rows)
    assert table.groupby(["game", "reputation", "gossip"]).ngroups == 12
    assert set(table["Step"]) == {1: {0, 1, 2, 3}, 2: {0, 2}, -1: {3}}[period]
    step = int(table["Step"].max())
    last = table[(table["game"] == "investment") & table["reputation"] & table["gossip"] & (table["Step"] == step)]
    model = run(step, game="investment", n_agents=4, rng=3)
    assert set(last["ties"]) == {model.measures["ties"]}
    assert sorted(last["resources"]) == sorted(float(agent.resources) for agent in model.agents)


def test_no_column_hides_a_parameter_in_the_rows_of_batch_run() -> None:
    model = run(1)
    columns = {*model.datacollector.model_reporters, *model.datacollector.agent_reporters}
    assert not columns & set(inspect.signature(RepuNetModel).parameters)
