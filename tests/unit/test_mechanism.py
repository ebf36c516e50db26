"""The switches of the mechanism: what they read, how they are named, and what acts in a mode."""

from __future__ import annotations

from typing import Any

import pytest

from repunet_model.errors import ConfigurationError
from repunet_model.mechanism import PAPER, PUBLISHED, GossipMemory, Institution, Mechanism, Partners


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("paper", "paper"),
        ("paper,second_order=off", "paper,second_order=off"),
        (" paper , memory_shown = 3 , second_order=off", "paper,second_order=off,memory_shown=3"),
        ("published,second_order=on", "published"),
        ({"second_order": "off"}, "paper,second_order=off"),
        ({"base": "published", "partner_probability": 1}, "published,partner_probability=1.0"),
        (Mechanism(gossip_memory=GossipMemory.ALWAYS), "paper,gossip_memory=always"),
        (PUBLISHED.model_dump(mode="json"), "published"),
    ],
)
def test_a_mechanism_is_read_from_text_tables_and_objects_and_named_by_its_text(value: Any, text: str) -> None:
    assert str(Mechanism.read(value)) == text
    assert Mechanism.read(text) == Mechanism.read(value)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("second_order=off", "begin with paper or published, as in 'paper,second_order=off'"),
        ("paper,third_order=on", "'third_order': unknown; the switches are self_records, peer_records, first_order,"),
        ("paper,second_order=maybe", "mechanism: second_order is 'maybe': choose on or off"),
        ("paper,partners=friends", "mechanism: partners is 'friends': choose one of reputation, ties, random"),
        ("paper,memory_shown=21", "mechanism: memory_shown is '21': must be a whole number, from 0 to 20"),
        ("paper,memory_shown=1,memory_shown=2", "memory_shown is there twice"),
        ({"memory_shown": 2.5}, "must be a whole number, from 0 to 20"),
        ({"partner_probability": "nan"}, "must be a number, from 0.0 to 1.0"),
        (7, "mechanism is 7: must be a text such as"),
    ],
)
def test_what_is_no_mechanism_is_one_line_that_names_what_there_is(value: Any, problem: str) -> None:
    with pytest.raises(ConfigurationError) as failure:
        Mechanism.read(value)
    assert problem in str(failure.value)
    assert "\n" not in str(failure.value)


def test_in_a_mode_switches_only_remove_what_it_has() -> None:
    full = PAPER.within(reputation=True, gossip=True)
    assert full.partners is Partners.REPUTATION
    assert full.gossip_memory == "never"  # What was heard is in the records.
    alone = PAPER.within(reputation=False, gossip=True)
    assert (alone.self_records, alone.peer_records, alone.tie_after_news) == (False, False, False)
    assert (alone.partners, alone.gossip_memory) == (Partners.TIES, "always")
    quiet = PAPER.within(reputation=True, gossip=False)
    assert (quiet.first_order, quiet.second_order, quiet.tie_after_gossip, quiet.gossip_memory) == (
        *(False, False, False),
        "never",
    )
    assert PUBLISHED.within(reputation=False, gossip=False).partners is Partners.RANDOM
    unknown = Mechanism(peer_records=False).within(reputation=True, gossip=True)
    assert (unknown.self_records, unknown.partners, unknown.gossip_memory) == (True, Partners.TIES, "always")
    assert not Mechanism(first_order=False).within(reputation=True, gossip=True).second_order


@pytest.mark.parametrize("institution", Institution)
def test_under_an_institution_records_are_kept_where_they_count_and_partners_are_picked_by_what_is_shown(
    institution: Institution,
) -> None:
    acting = Mechanism(institution=institution).within(reputation=True, gossip=True)
    keeps = institution in (Institution.PRIVATE, Institution.SCORE)
    assert (acting.self_records, acting.peer_records, acting.tie_after_news) == (keeps, keeps, keeps)
    assert acting.partners is (Partners.TIES if institution is Institution.NONE else Partners.REPUTATION)
    assert acting.gossip_memory == ("never" if keeps else "always")
    if institution is not Institution.PRIVATE:
        with pytest.raises(ConfigurationError, match=f"institution={institution} needs reputation, which this mode"):
            Mechanism(institution=institution).within(reputation=False, gossip=True)
