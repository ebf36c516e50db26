"""What a redesign of the code may not change: the files of stored runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from repunet_model.mechanism import SETS
from tests import golden


@pytest.mark.parametrize("mechanism", SETS)
@pytest.mark.parametrize(("game", "mode", "questions"), golden.CELLS)
@pytest.mark.cover
def test_a_run_has_the_bytes_that_were_recorded(
    game: str, mode: str, questions: str, mechanism: str, tmp_path: Path
) -> None:
    folder = golden.run(tmp_path, game, mode, questions, mechanism)
    assert golden.step_hashes(folder) == golden.recorded(mechanism)[folder.name]
