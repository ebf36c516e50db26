from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repunet_model.network import SocialNetwork

NAMES = list("abcdefgh")


def test_a_tie_binds_one_side_only() -> None:
    network = SocialNetwork(NAMES)
    network.bind("a", "b", "player")
    assert network.is_bound("a", "b", "player")
    assert not network.is_bound("b", "a", "player")
    assert network.mutually_bound("a", "player") == []
    network.bind("b", "a", "player")
    assert network.mutually_bound("a", "player") == ["b"]


def test_ties_are_kept_per_role() -> None:
    network = SocialNetwork(NAMES)
    network.bind("a", "b", "investor")
    network.bind("a", "b", "trustee")
    network.unbind("a", "b", "trustee")
    assert network.bound_to("a", "investor") == ["b"]
    assert network.bound_to("a", "trustee") == []
    assert network.blacklist("a") == (("b", "trustee"),)


def test_nobody_is_bound_to_itself() -> None:
    with pytest.raises(ValueError, match="itself"):
        SocialNetwork(NAMES).bind("a", "a", "player")


def test_the_blacklist_holds_the_last_five_and_connecting_again_takes_off_it() -> None:
    network = SocialNetwork(NAMES, blacklist_length=5)
    for other in "bcdefg":
        network.bind("a", other, "player")
        network.unbind("a", other, "player")
    assert [name for name, _ in network.blacklist("a")] == list("cdefg")
    network.bind("a", "e", "player")
    assert not network.is_blacklisted("a", "e", "player")
    assert network.is_blacklisted("a", "c", "player")


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES), st.sampled_from(["investor", "trustee"]))))
def test_whatever_is_bound_and_cut_the_invariants_hold_and_the_state_survives(
    moves: list[tuple[str, str, str]],
) -> None:
    network = SocialNetwork(NAMES)
    for agent, other, role in moves:
        if agent == other:
            continue
        if network.is_bound(agent, other, role):
            network.unbind(agent, other, role)
        else:
            network.bind(agent, other, role)
    for name in NAMES:
        assert len(network.blacklist(name)) <= 5
        assert not any(network.is_bound(name, other, role) for other, role in network.blacklist(name))
    assert not any(a == b for a, b in network.graph.edges)
    for role in ("investor", "trustee"):
        assert 2 * network.mutual_pairs(role) == sum(len(network.mutually_bound(name, role)) for name in NAMES)
    again = SocialNetwork.from_dict(network.to_dict())
    assert again.mutual_pairs("trustee") == network.mutual_pairs("trustee")
    assert again.to_dict() == network.to_dict()
    assert [again.bound_to(name, "trustee") for name in NAMES] == [network.bound_to(name, "trustee") for name in NAMES]
