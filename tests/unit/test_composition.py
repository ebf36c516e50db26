"""Populations that are drawn from a persona set by the seed of a run."""

from __future__ import annotations

from itertools import pairwise

import pytest

from repunet_model.composition import Composition, part
from repunet_model.errors import ConfigurationError
from repunet_model.personas import Disposition, Persona, Population, built_in
from repunet_model.rng import Streams

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
        ("altruistic", "must read drawn or altruistic=SHARE"),
        ("altruistic=", "must read NAME=VALUE"),
        ("altruistic=most", "altruistic is 'most': must be a share from 0 to 1"),
        ("altruistic=nan", "must be a share from 0 to 1"),
        ("altruistic=1.01", "must be a share from 0 to 1"),
        ("altruistic=-0.1", "must be a share from 0 to 1"),
        ("altruistic=0.1,altruistic=0.2", "altruistic is there twice"),
        ("selfish=0.1", "'selfish': unknown; write drawn or altruistic=SHARE"),
        ("drawn,altruistic=0.1", "'drawn' must read NAME=VALUE"),
    ],
)
def test_another_text_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=f"population.*{problem}"):
        Composition.read(text)


def test_no_text_is_no_draw() -> None:
    assert Composition.read(" ") is None
