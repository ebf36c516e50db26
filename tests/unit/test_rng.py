from __future__ import annotations

from repunet_model.rng import Streams


def test_a_stream_depends_on_its_seed_and_key_alone() -> None:
    one, other = Streams(1), Streams(1)
    other.at("something", "else").random()
    assert one.at(3, "pairing", "Ann").random() == other.at(3, "pairing", "Ann").random()
    assert one.at(3, "pairing", "Ann").random() != one.at(4, "pairing", "Ann").random()
    assert one.at(3, "pairing", "Ann").random() != Streams(2).at(3, "pairing", "Ann").random()


def test_keys_are_not_confused_when_their_parts_run_together() -> None:
    assert Streams(1).digest("ab", "c") != Streams(1).digest("a", "bc")


def test_streams_are_the_same_on_every_machine() -> None:
    assert (
        Streams(1).digest(1, "encounter", "choose_move", "Ann", "Bob", "").hex() == "e38482560a876ffb9a37e1fc434b3034"
    )
