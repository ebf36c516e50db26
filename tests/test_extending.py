"""The example of docs/extending.md is a game like the others, in one file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from decimal import Decimal
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from repunet_model import RepuNetModel
from repunet_model.games import GAMES
from tests.contract import GameContract

EXAMPLE = Path(__file__).parents[1] / "docs" / "examples" / "public_goods.py"


@pytest.fixture(scope="module", autouse=True)
def _example() -> Iterator[None]:
    """Load the file of the example, and forget its game afterwards."""
    spec = spec_from_file_location("public_goods", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["public_goods"] = module
    spec.loader.exec_module(module)
    yield
    del GAMES["public_goods"]
    del sys.modules["public_goods"]


class TestPublicGoods(GameContract):
    game = "public_goods"

    def check_payoffs(self, model: RepuNetModel) -> None:
        for row in model.datacollector.get_table_dataframe("interactions").itertuples():
            pot = row.first_units + row.second_units
            both = Decimal(repr(row.first_payoff)) + Decimal(repr(row.second_payoff))
            assert both == Decimal("0.5") * pot


def test_the_page_shows_the_file_as_it_is() -> None:
    page = (EXAMPLE.parents[1] / "extending.md").read_text()
    assert EXAMPLE.read_text() in page
