"""One description of a run: the model, files and commands take the same parameters; and what a model refuses."""

from __future__ import annotations

import copy
import functools
import inspect
import pickle
from pathlib import Path
from typing import Any

import mesa
import numpy as np
import pandas as pd
import pyarrow.dataset as ds
import pytest

from repunet_model import RepuNetError, RepuNetModel
from repunet_model.cli import main
from repunet_model.cli.options import flags_of
from repunet_model.config import RunConfig
from repunet_model.errors import ConfigurationError
from repunet_model.mechanism import Mechanism
from repunet_model.storage.schema import TABLES

NO_PARAMETERS = {"limits", "storage", "run_name"}
"""Keywords of the model that change no outcome."""


def test_the_model_takes_just_the_parameters_that_are_described() -> None:
    keywords = {"rng" if field == "seed" else field for field in RunConfig.model_fields}
    signature = inspect.signature(RepuNetModel).parameters
    assert set(signature) == keywords | NO_PARAMETERS
    for field, described in RunConfig.model_fields.items():
        if field not in {"seed", "backend_for", "game_parameters", "mechanism", "errors", "events"}:
            assert signature[field].default == described.default, field
        assert f" {'rng' if field == 'seed' else field}: " in (RepuNetModel.__init__.__doc__ or "")


@pytest.mark.parametrize("command", ["run", "seed", "estimate", "sweep"])
def test_commands_have_an_option_for_each(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    without = {"seed", "backend_for"} if command == "sweep" else set()
    for field in set(RunConfig.model_fields) - without:
        assert all(flag in shown for flag in flags_of(field)), field


CHANGED: dict[str, tuple[object, set[str]]] = {
    "game": ("sign_up", {"game_parameters", "population", "prompts", "system_prompt"}),
    "reputation": (False, {"system_prompt"}),
    "gossip": (False, {"system_prompt"}),
    "game_parameters": ("temptation=4", {"system_prompt"}),
    "n_agents": (9, {"population"}),
    "personas": ("rational", {"population"}),
    "population": ("altruistic=0.25", {"population"}),
    "network": ("ring", set()),
    "prompts": ("plain", {"system_prompt"}),
    "backend": ("rules:learning_rate=0.2", set()),
    "backend_for": ({"Emma Dubois": "always_defect"}, set()),
    "activation": ("sequential", set()),
    "dialogue_turns": (5, set()),
    "questions": ("fused", set()),
    "mechanism": ("paper,second_order=off", {"system_prompt"}),
    "errors": ("slip=0.3", set()),
    "events": (("step=2 agents=3 becomes=always_defect",), {"planted"}),
    "seed": (2, set()),
    "label": ("mine", set()),
}
"""Another value of each parameter, and the entries of a manifest that follow from it."""

NOT_FOR_RULES = {"prompts", "dialogue_turns", "questions", "label"}
"""Parameters that the offline rules do not decide by."""


def outcome(**parameters: Any) -> tuple[dict[str, Any], object]:
    """Return the manifest of a run, and what its agents did and are in the end."""
    model = RepuNetModel(**{"n_agents": 10, "rng": 1, **parameters})
    for _ in range(3):
        model.step()
    did = model.datacollector.get_table_dataframe("interactions").to_dict("records")
    return model.manifest().data, (model.state, did)


DEFAULT = functools.cache(outcome)


@pytest.mark.parametrize("field", RunConfig.model_fields)
def test_each_changes_its_entry_of_the_manifest_what_agents_do_and_nothing_else(field: str) -> None:
    value, follow = CHANGED[field]
    (was, before), (now, after) = DEFAULT(), outcome(**{"rng" if field == "seed" else field: value})
    own = set() if field in ("n_agents", "personas") else {field}  # These are entries of the population.
    assert {name for name in was | now if was.get(name) != now.get(name)} == own | follow
    assert (before == after) is (field in NOT_FOR_RULES)


@pytest.fixture
def model(tmp_path: Path) -> RepuNetModel:
    made = RepuNetModel(n_agents=4, rng=1, storage=tmp_path, run_name="it")
    made.step()
    return made


def test_an_agent_cannot_leave(model: RepuNetModel) -> None:
    agent = model.agents.to_list()[0]
    with pytest.raises(ConfigurationError, match=f"{agent.name} cannot be removed"):
        agent.remove()
    assert len(model.agents) == 4
    model.step()


@pytest.mark.parametrize("change", ["add_edge('Ann', 'Bob')", "clear()", "remove_node('Emma Dubois')", "add_node('X')"])
def test_ties_cannot_be_changed_by_hand_but_in_a_copy(model: RepuNetModel, change: str) -> None:
    before = set(model.graph.edges)
    with pytest.raises(ConfigurationError, match="is read-only"):
        eval(f"graph.{change}", {"graph": model.graph})
    other = model.graph.copy()
    other.add_edge("Ann", "Bob")
    assert set(model.graph.edges) == before


@pytest.mark.parametrize("way", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_model_is_not_copied_but_loaded_again(model: RepuNetModel, way: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"use RepuNetModel\.load"):
        way(model)
    assert model.folder is not None
    assert RepuNetModel.load(model.folder.path).measures == model.measures


def test_numpy_values_work_and_a_mapping_in_batch_run_is_told_what_to_do() -> None:
    parameters = {"n_agents": np.arange(4, 6), "reputation": np.array([True, False]), "questions": ["single"]}
    rows = mesa.batch_run(RepuNetModel, parameters, rng=[1], max_steps=1, display_progress=False)
    assert {row["reputation"] for row in rows} == {True, False}
    with pytest.raises(RepuNetError, match="give a list of such mappings"):
        mesa.batch_run(
            RepuNetModel, {"backend_for": {"Emma Dubois": "rules"}}, rng=[1], max_steps=1, display_progress=False
        )
    rows = mesa.batch_run(
        RepuNetModel, {"backend_for": [{"Emma Dubois": "rules"}]}, rng=[1], max_steps=1, display_progress=False
    )
    assert len(rows) == 20


# Exports have one schema


def exported(name: str, layout: str, *words: str) -> Path:
    assert main(["run", "--scenario", "investment", "--steps", "2", "--sim-name", name, *words]) == 0
    assert main(["export", name, f"out/{name}", "--layout", layout]) == 0
    return Path("out") / name


def test_parquet_of_runs_with_and_without_deals_is_one_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    deals = exported("deals", "parquet", "-n", "6")
    none = exported("none", "parquet", "-n", "6", "--backend", "always_defect")
    for name in (name for name, table in TABLES.items() if table.is_exported):
        schemas = [ds.dataset(folder / f"{name}.parquet").schema for folder in (deals, none)]
        assert schemas[0] == schemas[1]
        both = ds.dataset([folder / f"{name}.parquet" for folder in (deals, none)]).to_table()
        assert both.num_rows == sum(len(pd.read_parquet(folder / f"{name}.parquet")) for folder in (deals, none))
    amounts = [pd.read_parquet(folder / "interactions.parquet")["amount"] for folder in (deals, none)]
    assert amounts[0].notna().any()
    assert amounts[1].isna().all()


@pytest.mark.parametrize("layout", ["csv", "parquet"])
def test_an_export_of_step_0_has_the_headers_of_all_tables(
    layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["seed", "--scenario", "investment", "--sim-name", "it"]) == 0
    assert main(["export", "it/step_0", "out", "--layout", layout]) == 0
    read = pd.read_csv if layout == "csv" else pd.read_parquet
    for name, table in TABLES.items():
        if table.is_exported:
            frame = read(Path("out") / f"{name}.{layout}")
            assert frame.empty
            assert set(table.columns) <= set(frame.columns)


def test_a_mechanism_is_given_as_text_as_a_table_and_as_an_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given: list[Any] = ["paper,second_order=off", Mechanism(second_order=False), {"second_order": "off"}]
    models = [RepuNetModel(n_agents=4, rng=1, mechanism=each) for each in given]
    assert {str(model.config.mechanism) for model in models} == {"paper,second_order=off"}
    rows = mesa.batch_run(
        RepuNetModel, {"n_agents": 4, "mechanism": given[:2]}, rng=[1], max_steps=1, display_progress=False
    )
    assert len(rows) == 2 * 4
    Path("sweep.toml").write_text(
        'steps = 1\n[grid]\nn_agents = 4\nmechanism = ["paper", "published", {second_order = "off"}]\n'
        'errors = ["none", {slip = 1.0}]\n'
    )
    assert main(["sweep", "sweep.toml"]) == 0
    assert main(["sweep", "sweep.toml"]) == 0
    swept = pd.read_parquet("sim_storage/sweep/results.parquet")
    assert set(swept["mechanism"]) == {"paper", "published", "paper,second_order=off"}
    assert set(swept["errors"]) == {"none", "slip=1.0"}
    assert set(swept["slips"].dropna()) == {4}
