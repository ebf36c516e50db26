"""Populations that are drawn from a persona set by the seed of a run."""

from __future__ import annotations

from itertools import pairwise

import networkx as nx
import pytest

from repunet_model.composition import Composition, placed
from repunet_model.errors import ConfigurationError
from repunet_model.personas import Disposition, Persona, Population, built_in
from repunet_model.rng import Streams
from repunet_model.util.shares import part

MANY = [
    Persona(name=f"P{number:02}", disposition=Disposition.ALTRUISTIC if number % 3 else Disposition.SELF_INTERESTED)
    for number in range(60)
]


def drawn(text: str, n: int | None = None, seed: int = 1, personas: str | list[Persona] = "built-in") -> Population:
    composition = Composition.read(text)
    assert composition is not None
    words = {"player": "You play."}
    return composition.drawn_from(personas, "prisoners_dilemma", ["player"], n, Streams(seed), lambda _: words)


def altruists(population: Population) -> set[str]:
    return {each.name for each in population.personas if each.disposition is Disposition.ALTRUISTIC}


def names(population: Population) -> list[str]:
    return [each.name for each in population.personas]


@pytest.mark.parametrize(
    ("n", "share", "number"),
    [(20, "0", 0), (20, "0.3", 6), (20, "1", 20), (5, "0.5", 3), (5, "0.3", 2), (5, "0.29", 1), (7, "1e-1", 1)],
)
def test_the_number_of_altruists_is_rounded_to_the_nearest_with_halves_up(n: int, share: str, number: int) -> None:
    assert len(altruists(drawn(f"altruistic={share}", n))) == number


def test_a_half_is_rounded_up_even_where_a_float_lies_below_it() -> None:
    assert 100 * 0.145 < 14.5
    assert part(100, 0.145) == 15


def test_a_share_changes_dispositions_and_nothing_else() -> None:
    population = drawn("altruistic=0.3")
    assert names(population) == [each.name for each in built_in()]
    same = {"disposition": Disposition.ALTRUISTIC}
    assert [each.model_copy(update=same) for each in population.personas] == [
        each.model_copy(update=same) for each in built_in()
    ]


def test_altruists_at_a_share_are_altruists_at_every_larger_one() -> None:
    found = [altruists(drawn(f"altruistic={step / 20}")) for step in range(21)]
    assert [len(each) for each in found] == list(range(21))
    assert all(small < large for small, large in pairwise(found))
    assert altruists(drawn("altruistic=0.5", seed=2)) != found[10]


def test_a_smaller_population_is_part_of_a_larger_one_in_the_order_of_the_set() -> None:
    large, small = drawn("altruistic=0.5", 40, personas=MANY), drawn("altruistic=0.5", 10, personas=MANY)
    assert set(names(small)) < set(names(large))
    assert names(large) == sorted(names(large))
    assert names(small) != [each.name for each in MANY[:10]]
    assert names(drawn("drawn", 10, personas=MANY)) == names(small)
    assert names(drawn("drawn", 10, seed=2, personas=MANY)) != names(small)


def test_a_draw_without_a_share_keeps_dispositions() -> None:
    by_name = {each.name: each for each in MANY}
    assert all(each == by_name[each.name] for each in drawn("drawn", 10, personas=MANY).personas)


def test_more_agents_than_the_set_has_repeat_the_built_in_set_alone() -> None:
    assert names(drawn("altruistic=0.5", 25))[20:] == [f"{each.name} 2" for each in built_in()[:5]]
    assert len(altruists(drawn("altruistic=0.2", 25))) == 5
    with pytest.raises(ConfigurationError, match="60 personas, but n_agents is 61"):
        drawn("drawn", 61, personas=MANY)


def test_populations_of_one_set_have_its_hash_and_hashes_of_their_own() -> None:
    learned = {each.name: {"player": "You play."} for each in MANY}
    found = [drawn("altruistic=0.5", 10, seed, MANY).described(learned) for seed in (1, 2)]
    whole = Population("given", MANY).described(learned)
    assert found[0]["sha256"] != found[1]["sha256"]
    assert [each["drawn"] for each in found] == [{"set": whole["sha256"], "altruistic": 0.5}] * 2
    assert "drawn" not in whole


def test_a_disposition_is_not_drawn_for_somebody_whose_text_says_another() -> None:
    people = [*MANY[:3], Persona(name="Ann", disposition=Disposition.ALTRUISTIC, learned="You give.")]
    with pytest.raises(ConfigurationError, match="Ann has a 'learned' text, which takes the place of the words"):
        drawn("altruistic=0.5", personas=people)
    assert len(drawn("drawn", personas=people).personas) == 4


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("altruistic", "must read drawn, altruistic=SHARE, or altr"),
        ("altruistic=", "must read NAME=VALUE"),
        ("altruistic=most", "altruistic is 'most': must be a share from 0 to 1"),
        ("altruistic=nan", "must be a share from 0 to 1"),
        ("altruistic=1.01", "must be a share from 0 to 1"),
        ("altruistic=-0.1", "must be a share from 0 to 1"),
        ("altruistic=0.1,altruistic=0.2", "altruistic is there twice"),
        ("selfish=0.1", "'selfish': unknown; write drawn, altruistic=SHARE, or altruistic=SHARE,placed=PLACE"),
        ("altruistic=0.1,placed=centre", "placed is 'centre': choose random, hubs, periphery, clustered"),
        ("placed=hubs", "give altruistic=SHARE, too"),
        ("drawn,altruistic=0.1", "'drawn' must read NAME=VALUE"),
    ],
)
def test_another_text_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=f"population.*{problem}"):
        Composition.read(text)


def test_no_text_is_no_draw() -> None:
    assert Composition.read(" ") is None


# Placement in a network


STAR = [("P00", f"P{number:02}") for number in range(1, 5)] + [("P05", "P04"), ("P06", "P07"), ("P07", "P08")]
"""A star around P00 with a tail at P04, a path of three agents, and the last of ten without ties."""


def in_star(text: str, seed: int = 1) -> set[str]:
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(f"P{number:02}" for number in range(10))
    graph.add_edges_from(STAR)
    found = placed(text, MANY[:10], graph, "edges", Streams(seed))
    assert [each.name for each in found] == [each.name for each in MANY[:10]]
    return altruists(Population("it", found))


def test_altruists_are_hubs_or_at_the_periphery_and_the_seed_decides_between_equals() -> None:
    assert in_star("altruistic=0.1,placed=hubs") == {"P00"}
    assert in_star("altruistic=0.3,placed=hubs") == {"P00", "P04", "P07"}
    assert in_star("altruistic=0.1,placed=periphery") == {"P09"}
    assert "P00" not in in_star("altruistic=0.9,placed=periphery")
    assert len({frozenset(in_star("altruistic=0.4,placed=hubs", seed)) for seed in range(10)}) > 2


def test_a_cluster_is_connected_as_far_as_the_network_is() -> None:
    together = nx.Graph(STAR)
    for seed in range(20):
        three = in_star("altruistic=0.3,placed=clustered", seed)
        first = {name for name in three if name in together}
        assert len(three) == 3
        assert "P09" in three or nx.is_connected(together.subgraph(first))
    assert len({frozenset(in_star("altruistic=0.3,placed=clustered", seed)) for seed in range(20)}) > 4


@pytest.mark.parametrize("place", ["hubs", "periphery", "clustered"])
def test_those_placed_at_a_share_are_placed_so_at_every_larger_one(place: str) -> None:
    found = [in_star(f"altruistic={tenths / 10},placed={place}") for tenths in range(11)]
    assert [len(each) for each in found] == list(range(11))
    assert all(small < large for small, large in pairwise(found))


def test_a_random_place_is_no_place() -> None:
    assert Composition.read("altruistic=0.3,placed=random") == Composition.read("altruistic=0.3")
    assert in_star("altruistic=1") == altruists(Population("it", MANY[:10]))


@pytest.mark.parametrize(
    ("place", "kind", "reason"),
    [
        ("hubs", "none", "the society has no ties at its start"),
        ("clustered", "edges", "the society has no ties at its start"),
        ("clustered", "block", "its ties are drawn by the dispositions"),
        ("clustered", "complete", "everybody is tied to everybody"),
        ("periphery", "ring", "everybody has equally many ties"),
    ],
)
def test_nobody_is_placed_where_places_are_alike(place: str, kind: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=f"placed={place} with the network {kind}: {reason}"):
        placed(f"altruistic=0.5,placed={place}", MANY[:4], nx.DiGraph(), kind, Streams(1))
