"""Runs that begin with ties: stored, resumed, forked, replayed, exported, swept, and told apart."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import mesa
import networkx as nx
import pandas as pd
import pytest

from repunet_model import RepuNetModel, load_run
from repunet_model.cli import main
from repunet_model.personas import built_in
from repunet_model.report.evidence import read
from repunet_model.results.tables import identity
from repunet_model.storage import StepReader
from tests.conftest import complaint, contents

STORED = Path("sim_storage")
NAMES = [persona.name for persona in built_in("prisoners_dilemma")[:6]]
EDGES = list(pairwise(NAMES))


@pytest.fixture(autouse=True)
def _edges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ties.csv").write_text("source,target\n" + "".join(f"{one},{other}\n" for one, other in EDGES))


def run(words: str) -> None:
    assert main(words.split()) == 0


def ties(name: str, step: int) -> list[Any]:
    return StepReader.open(STORED / name).step(step).state["network"]["ties"]


def test_a_run_from_an_edge_list_is_gone_on_with_forked_repeated_and_exported_without_the_file() -> None:
    for name in ("whole", "cut"):
        run(f"run -n 6 --network edges:ties.csv --steps {3 if name == 'whole' else 1} --sim-name {name}")
    begun = [
        [one, other, ["player"]] for one in NAMES for other in NAMES if (one, other) in EDGES or (other, one) in EDGES
    ]
    assert ties("cut", 0) == begun
    assert load_run("cut").graph(0).number_of_edges() == 2 * len(EDGES)
    manifest = StepReader.open(STORED / "cut").manifest
    assert manifest.network["file"] == "ties.csv"
    assert manifest.network["ties"] == 2 * len(EDGES)
    Path("ties.csv").unlink()
    run("resume cut --steps 2")
    assert contents(STORED / "cut") == contents(STORED / "whole")
    run("fork cut/step_1 --set gossip=n --sim-name fork")
    run("resume fork --steps 1")
    assert StepReader.open(STORED / "fork").manifest.network == manifest.network
    run("run --backend replay:cut --sim-name again")
    assert contents(STORED / "again") == contents(STORED / "whole")
    with RepuNetModel.load(STORED / "cut") as model:
        assert model.manifest().network == manifest.network
    run("export cut/step_0 begun.graphml --layout graphml")
    assert set(nx.read_graphml("begun.graphml").edges) == {(one, other) for one, other, _ in begun}
    run("export cut tables --layout csv")
    run("run -n 6 --network graphml:begun.graphml --steps 1 --sim-name other")
    assert ties("other", 0) == begun
    assert ties("other", 1) == ties("cut", 1)
    run("export cut published --layout published")
    run("import published/step_3 --sim-name back")
    assert StepReader.open(STORED / "back").manifest.network == manifest.network


def test_seeds_keep_a_network_for_every_run_from_them() -> None:
    run("seed -n 6 --network edges:ties.csv --sim-name seed")
    Path("ties.csv").unlink()
    run("run --from seed --gossip n --steps 1 --sim-name quiet")
    assert ties("quiet", 0) == ties("seed", 0)
    run("run --from seed --network none --steps 1 --sim-name none")
    assert ties("none", 0) == []
    run("seed -n 6 --network erdos_renyi:p=0.5 --sim-name drawn")
    run("run --from drawn --seed 2 --steps 1 --sim-name second")
    run("run -n 6 --network erdos_renyi:p=0.5 --seed 2 --steps 1 --sim-name same")
    assert ties("second", 0) == ties("same", 0) != ties("drawn", 0)


@pytest.mark.parametrize("game", ["prisoners_dilemma", "investment", "sign_up"])
def test_ties_are_there_before_the_first_step_in_every_game(game: str) -> None:
    model = RepuNetModel(game=game, n_agents=6, rng=1, network="complete")
    assert model.graph.number_of_edges() == 30
    assert model.datacollector.get_model_vars_dataframe()["density"].iloc[0] == 1
    model.step()
    assert model.measures["ties"]


def test_a_network_of_one_role_is_one_of_trust_alone() -> None:
    model = RepuNetModel(game="investment", n_agents=6, rng=1, network="ring:role=trustee")
    assert [roles for *_, roles in model.state["network"]["ties"]] == [["trustee"]] * 12


def test_networks_are_swept_told_apart_and_in_the_table() -> None:
    Path("it.toml").write_text(
        'steps = 1\n[grid]\nscenario = "pd"\nn_agents = 6\n'
        'network = ["none", "watts_strogatz:k=2,p=0.1", "watts_strogatz:k=4,p=0.1", "edges:ties.csv"]\n'
    )
    run("sweep it.toml")
    run("sweep it.toml")
    results = pd.read_parquet("sim_storage/it/results.parquet")
    assert results["network"].tolist() == ["none", "watts_strogatz", "watts_strogatz", "edges"]
    assert results["network.k"].fillna(0).tolist() == [0, 2, 4, 0]
    assert results["network.sha256"].str.len().tolist()[3] == 12
    runs = [StepReader.open(path) for path in (STORED / "it" / "runs").iterdir()]
    assert len(read(runs).panels) == 4
    Path("same.csv").write_bytes(Path("ties.csv").read_bytes())
    run("run -n 6 --network edges:same.csv --steps 1 --sim-name same")
    same = StepReader.open(STORED / "same")
    (swept,) = [each for each in runs if each.manifest.network["kind"] == "edges"]
    assert identity(same, same.manifest) == identity(swept, swept.manifest)
    rows = mesa.batch_run(
        RepuNetModel, {"n_agents": 4, "network": ["none", "ring"]}, rng=[1], max_steps=1, display_progress=False
    )
    assert len(rows) == 8


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("run --network lattice", "network 'lattice': choose none, complete, ring"),
        ("run -n 4 --network edges:ties.csv", f"ties.csv: line 5: no agent is called '{NAMES[4]}'"),
        (
            "run --from it --network ring",
            "--network: sim_storage/it has steps and its own agents; leave the option out",
        ),
        ("fork it --set network=ring", "network=ring: set reputation"),
        (
            "run --backend replay:it --network ring",
            "was made with network=none, a replay with network=ring:k=2 would be another one",
        ),
        ("sweep --network ring:k=3", "network ring:k=3: k is 3: must be even and less than the 20 agents"),
        ("run --from seed --scenario investment", "no role 'player'; the game has investor, trustee"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(words: str, problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    if "it" in words.split() or "replay" in words:
        run("run -n 6 --steps 1 --sim-name it")
    if "seed" in words:
        run("seed -n 6 --network edges:ties.csv --sim-name seed")
    capsys.readouterr()
    assert problem in complaint(words.split(), capsys)
