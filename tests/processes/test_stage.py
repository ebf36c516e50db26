"""A stage with a table: one line of the core for a built-in one, none for a registered one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests import ROOT
from tests.environments import copy_checkout

TAX = '''"""A tax: after each step the richest agent pays 1 unit."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, TypedDict

from repunet_model.stages.base import PopulationStage
from repunet_model.storage.schema import Table


class TaxRow(TypedDict):
    """A payment."""

    agent: Annotated[str, "name of the agent that pays"]
    units: Annotated[float, "what it pays, in units of resources"]


TAXES = Table("taxes", TaxRow, "a payment", in_words=lambda row: f"{row['agent']} pays {row['units']:g}")


class Tax(PopulationStage):
    """The richest agent pays."""

    name = "tax"
    after = "gossip"

    async def decide(self) -> None:
        """Find the richest agent."""
        self.richest = max(self.world.agents.values(), key=lambda agent: agent.resources)

    def apply(self) -> None:
        """Let it pay."""
        self.richest.gain(Decimal(-1))
        self.world.log.add(TAXES, {"agent": self.richest.name, "units": 1.0})
'''

BUILT_IN = [
    ("    Gossip,\n)", "    Gossip,\n    Tax,\n)"),
    (
        "from repunet_model.util.causality import",
        "from repunet_model.stages.tax import Tax\nfrom repunet_model.util.causality import",
    ),
]
"""What the commit that adds the stage changes in `stages/step.py`: a text, and what takes its place."""


def changed(copy: Path) -> list[str]:
    """Return the files of the package that are in the checkout and differ in its copy."""
    files = (path.relative_to(ROOT) for path in (ROOT / "repunet_model").rglob("*") if "__pycache__" not in path.parts)
    return [
        str(file)
        for file in files
        if (ROOT / file).is_file() and (ROOT / file).read_bytes() != (copy / file).read_bytes()
    ]


@pytest.mark.parametrize(("kind", "touched"), [("built-in", ["repunet_model/stages/step.py"]), ("registered", [])])
def test_a_stage_with_a_table_touches_one_file_of_the_core_or_none(
    kind: str, touched: list[str], tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    copy_checkout(copy)
    extension = ""
    if kind == "built-in":
        (copy / "repunet_model" / "stages" / "tax.py").write_text(TAX, encoding="utf-8")
        path = copy / "repunet_model" / "stages" / "step.py"
        text = path.read_text(encoding="utf-8")
        for old, new in BUILT_IN:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8", newline="\n")
    else:
        (tmp_path / "levy.py").write_text(f"{TAX}\n\nfrom repunet_model.stages import register\n\nregister(Tax)\n")
        extension = "--extension levy.py "
    assert changed(copy) == touched

    def do(words: str) -> str:
        command = [sys.executable, str(copy / "run.py"), *(extension + words).split()]
        environment = {**os.environ, "PYTHONPATH": str(copy)}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    do("run --steps 2 -n 4 --sim-name it")
    do("resume it --steps 1")
    assert "\nTaxes\n  " in do("show it")
    do("export it out --layout parquet")
    taxes = pd.read_parquet(tmp_path / "out" / "taxes.parquet")
    assert list(taxes["step"]) == [1, 2, 3]
    assert list(taxes["units"]) == [1.0] * 3
