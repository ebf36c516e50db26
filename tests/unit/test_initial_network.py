"""Initial networks: the graphs of NetworkX for the seed, files, and what is refused."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256
from itertools import product
from pathlib import Path

import networkx as nx
import pytest

from repunet_model.errors import ConfigurationError
from repunet_model.initial_network import InitialNetwork, at_home
from repunet_model.network import SocialNetwork
from repunet_model.personas import Disposition, built_in
from repunet_model.rng import Streams

PEOPLE = built_in("prisoners_dilemma")
NAMES = [persona.name for persona in PEOPLE]
N = len(PEOPLE)


def tied(text: str, roles: tuple[str, ...] = ("player", "player"), seed: int = 1) -> SocialNetwork:
    network = SocialNetwork(NAMES)
    InitialNetwork.read(text).tie(network, PEOPLE, roles, Streams(seed))
    return network


def blocks() -> nx.Graph[int]:
    first = PEOPLE[0].disposition
    sizes = [sum(each.disposition is first for each in PEOPLE), sum(each.disposition is not first for each in PEOPLE)]
    return nx.stochastic_block_model(sizes, [[0.6, 0.1], [0.1, 0.6]], seed=Streams(5).at("network"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none", nx.empty_graph(N)),
        ("complete", nx.complete_graph(N)),
        ("ring", nx.cycle_graph(N)),
        ("ring:k=4", nx.circulant_graph(N, [1, 2])),
        ("erdos_renyi:p=0.3", nx.gnp_random_graph(N, 0.3, seed=Streams(5).at("network"))),
        ("watts_strogatz:k=4,p=0.2", nx.watts_strogatz_graph(N, 4, 0.2, seed=Streams(5).at("network"))),
        ("barabasi_albert:m=2", nx.barabasi_albert_graph(N, 2, seed=Streams(5).at("network"))),
        ("block:within=0.6,between=0.1", blocks()),
    ],
)
def test_degrees_are_those_of_networkx_for_the_seed(text: str, expected: nx.Graph[int]) -> None:
    graph = tied(text, seed=5).graph
    degrees = sorted(degree for _, degree in expected.degree())
    assert sorted(degree for _, degree in graph.out_degree()) == degrees
    assert sorted(degree for _, degree in graph.in_degree()) == degrees
    assert nx.overall_reciprocity(graph) == 1 if graph.edges else True
    assert nx.transitivity(graph.to_undirected()) == pytest.approx(nx.transitivity(expected))


def test_the_seed_decides_and_places_are_drawn() -> None:
    for text in (
        "erdos_renyi:p=0.3",
        "watts_strogatz:k=4,p=0.2",
        "barabasi_albert:m=2",
        "block:within=0.6,between=0.1",
    ):
        assert tied(text).to_dict() == tied(text).to_dict()
        assert tied(text).to_dict() != tied(text, seed=2).to_dict()
    hubs = Counter(max(NAMES, key=tied("barabasi_albert:m=1", seed=seed).graph.degree) for seed in range(20))
    assert len(hubs) > 5
    assert not all(tied("ring", seed=seed).graph.has_edge(*NAMES[:2]) for seed in range(5))


def test_a_block_model_ties_within_dispositions() -> None:
    disposition = {persona.name: persona.disposition for persona in PEOPLE}
    network = tied("block:within=1,between=0")
    assert all(disposition[one] is disposition[other] for one, other in network.graph.edges)
    altruists = sum(each is Disposition.ALTRUISTIC for each in disposition.values())
    assert network.graph.number_of_edges() == altruists * (altruists - 1) + (N - altruists) * (N - altruists - 1)


def test_ties_are_in_all_roles_or_in_one() -> None:
    roles = ("investor", "trustee")
    for text, expected in (("complete", roles), ("ring:role=trustee", ("trustee",))):
        assert {tuple(each) for *_, each in tied(text, roles).to_dict()["ties"]} == {expected}


# Files


def rows(tmp_path: Path, kind: str, text: str) -> str:
    file = tmp_path / "it.csv"
    file.write_text(text, encoding="utf-8")
    return f"{kind}:{file}"


ONE, TWO, THREE = NAMES[:3]


def test_edges_are_ties_in_both_directions_and_ties_in_one(tmp_path: Path) -> None:
    text = f'# met before\nsource,target\n{ONE},{TWO}\n\n"{THREE}", {ONE}\n'
    both = {(ONE, TWO), (TWO, ONE), (THREE, ONE), (ONE, THREE)}
    assert set(tied(rows(tmp_path, "edges", text)).graph.edges) == both
    assert set(tied(rows(tmp_path, "ties", text)).graph.edges) == {(ONE, TWO), (THREE, ONE)}
    roles = ("investor", "trustee")
    text = f"{ONE}\t{TWO}\ttrustee\n{TWO}\t{THREE}\n"
    assert list(tied(rows(tmp_path, "ties", text), roles).graph.edges(data="roles")) == [
        (ONE, TWO, ("trustee",)),
        (TWO, THREE, roles),
    ]


@pytest.mark.parametrize("is_directed", [True, False])
def test_graphml_says_itself_whether_it_is_directed(is_directed: bool, tmp_path: Path) -> None:
    graph: nx.Graph[str] = nx.DiGraph() if is_directed else nx.Graph()
    graph.add_node("a", name=ONE)
    graph.add_edge("a", TWO, roles="investor, trustee")
    graph.add_edge(TWO, THREE, roles="trustee")
    nx.write_graphml(graph, tmp_path / "it.graphml")
    network = tied(f"graphml:{tmp_path / 'it.graphml'}", ("investor", "trustee"))
    one_way = {(ONE, TWO, ("investor", "trustee")), (TWO, THREE, ("trustee",))}
    other_way = {(other, one, roles) for one, other, roles in one_way}
    assert set(network.graph.edges(data="roles")) == one_way | (set() if is_directed else other_way)


def test_a_file_is_described_by_its_hash_and_size(tmp_path: Path) -> None:
    text = f"{ONE},{TWO}\n"
    described = InitialNetwork.read(rows(tmp_path, "edges", text)).described
    digest = sha256(text.encode()).hexdigest()
    assert described == {"kind": "edges", "file": "it.csv", "sha256": digest, "ties": 2}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "lattice",
            "network 'lattice': choose none, complete, ring, erdos_renyi, watts_strogatz, barabasi_albert, block,",
        ),
        ("erdos_renyi", "network 'erdos_renyi': p: is missing"),
        ("erdos_renyi:0.2", "network 'erdos_renyi:0.2': '0.2' must read NAME=VALUE"),
        ("erdos_renyi:p=1.5", "p is '1.5': must be a number from 0.0 to 1.0"),
        ("erdos_renyi:p=nan", "p is 'nan': must be a number from 0.0 to 1.0"),
        ("watts_strogatz:k=4,p=0.1,q=2", "q: unknown; watts_strogatz has k, p, role"),
        ("watts_strogatz:k=4,p=0.1,p=0.2", "p is there twice"),
        ("watts_strogatz:k=3,p=0.1", "k is 3: must be even and less than the 20 agents"),
        ("ring:k=20", "k is 20: must be even and less than the 20 agents"),
        ("ring:k=2.5", "k is '2.5': must be a whole number from 2 to 10000"),
        ("barabasi_albert:m=20", "m is 20: must be less than the 20 agents"),
        ("ring:role=boss", "network ring:k=2,role=boss: no role 'boss'; the game has player"),
        ("none:role=player", "role: unknown"),
        ("edges:", "network 'edges:': name a file, as in edges:FILE"),
        ("edges:nowhere.csv", "network edges:nowhere.csv: No such file or directory"),
    ],
)
def test_what_is_no_network_is_one_line(text: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as failure:
        tied(text)
    assert problem in str(failure.value)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (f"{ONE},Bob\n", "it.csv: line 1: no agent is called 'Bob'"),
        (f"{ONE},{TWO}\n{ONE},{ONE}\n", f"line 2: {ONE} cannot be tied to itself"),
        (f"{ONE},{TWO},boss\n", "line 1: no role 'boss'; the game has player"),
        (f"{ONE}\n", "line 1: must have two names, and may have a role"),
        (f"{ONE},{TWO},player,3\n", "line 1: must have two names"),
    ],
)
def test_what_cannot_be_in_an_edge_list_is_one_line(content: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as failure:
        tied(rows(tmp_path, "edges", content))
    assert problem in str(failure.value)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"no xml", "is no GraphML"), (b"<a/>", "is no GraphML"), (b"\xff\xfe\x00", "is no text in UTF-8")],
)
def test_what_is_no_graphml_is_one_line(content: bytes, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "it.graphml"
    file.write_bytes(content)
    for kind in ("graphml", *(["edges"] if content[0] == 0xFF else [])):
        with pytest.raises(ConfigurationError) as failure:
            tied(f"{kind}:{file}")
        assert problem in str(failure.value)
        assert "\n" not in str(failure.value)


def test_files_are_found_from_another_folder() -> None:
    assert at_home("edges:it.csv") == f"edges:{Path('it.csv').resolve()}"
    assert at_home("ring:k=2") == "ring:k=2"


def test_every_kind_ties_in_every_pair_of_roles_once() -> None:
    for kind, roles in product(["complete", "ring", "erdos_renyi:p=0.5"], [("a", "a"), ("a", "b")]):
        ties = tied(kind, roles).to_dict()["ties"]
        assert all(each == sorted(set(roles)) for *_, each in ties)
