from __future__ import annotations

import networkx as nx
import pytest

from repunet_model import RepuNetModel, measures
from repunet_model.network import SocialNetwork


def graph(*ties: str, names: str = "abcd") -> nx.DiGraph[str]:
    made: nx.DiGraph[str] = nx.DiGraph()
    made.add_nodes_from(names)
    made.add_edges_from((tie[0], tie[1]) for tie in ties)
    return made


def test_ties_mutual_ties_density_and_reciprocity() -> None:
    society = graph("ab", "ba", "ac", "cb")
    assert measures.ties(society) == 4
    assert measures.mutual_ties(society) == 1
    assert measures.density(society) == pytest.approx(4 / 12)
    assert measures.reciprocity(society) == pytest.approx(0.5)
    assert measures.reciprocity(graph()) is None


def test_isolated_agents_are_those_nobody_is_bound_to() -> None:
    assert measures.isolated(graph("ab", "ba", "ca")) == ["c", "d"]


def test_clustering_of_a_closed_and_of_an_open_triangle() -> None:
    closed = graph(*(a + b for a in "abc" for b in "abc" if a != b), names="abc")
    assert measures.clustering(closed) == pytest.approx(1)
    assert measures.clustering(graph("ab", "bc", names="abc")) == 0


def test_two_groups_are_two_communities() -> None:
    groups = [a + b for group in ("abc", "def") for a in group for b in group if a != b]
    count, modularity = measures.communities(graph(*groups, names="abcdef"), seed=1)
    assert count == 2
    assert modularity == pytest.approx(0.5)
    assert measures.communities(graph(), seed=1) == (4, None)


def test_assortativity_is_one_among_likes_and_minus_one_among_opposites() -> None:
    values = {"a": 1.0, "b": 1.0, "c": 0.0, "d": 0.0}
    assert measures.assortativity(graph("ab", "ba", "cd"), values) == pytest.approx(1)
    assert measures.assortativity(graph("ac", "ca", "bd", "db"), values) == pytest.approx(-1)
    assert measures.assortativity(graph("ab"), values) is None
    assert measures.assortativity(graph(), values) is None


@pytest.mark.parametrize(
    ("values", "expected"), [([1, 1, 1, 1], 0), ([0, 0, 0, 1], 0.75), ([1, 2, 3, 4], 0.25), ([0, 0], None), ([], None)]
)
def test_gini(values: list[float], expected: float | None) -> None:
    assert measures.gini(values) == (None if expected is None else pytest.approx(expected))


def test_gossip_is_counted_by_tone_order_and_belief() -> None:
    rows = [
        {"tone": "positive", "order": 1, "credibility": "very credible"},
        {"tone": "negative", "order": 1, "credibility": "uncredible"},
        {"tone": "negative", "order": 2, "credibility": "neutral"},
    ]
    assert measures.gossip_counts(rows) == {
        "gossip_told": 3,
        "gossip_positive": 1,
        "gossip_negative": 2,
        "gossip_first_order": 2,
        "gossip_second_order": 1,
        "gossip_credible": 1,
        "gossip_uncredible": 1,
    }


def test_communities_do_not_depend_on_the_order_in_which_ties_were_made() -> None:
    model = RepuNetModel(game="investment", rng=9)
    for _ in range(15):
        model.step()
        again = SocialNetwork.from_dict(model.network.to_dict())
        for seed in range(5):
            assert measures.communities(again.graph, seed) == measures.communities(model.graph, seed)


def test_without_reputation_there_are_no_scores() -> None:
    model = RepuNetModel(reputation=False, rng=1)
    model.step()
    assert model.measures["score_altruistic"] is None
    assert model.measures["score_self_interested"] is None
