"""Equal societies in several processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from repunet_model import RepuNetModel
from tests import ROOT
from tests.conftest import MODES, contents


def run(steps: int = 5, **parameters: object) -> RepuNetModel:
    model = RepuNetModel(**{"rng": 1, **parameters})  # type: ignore[arg-type]
    for _ in range(steps):
        model.step()
    return model


@pytest.mark.parametrize("game", ["prisoners_dilemma", "investment", "sign_up"])
def test_equal_runs_are_equal_in_every_process(game: str, tmp_path: Path) -> None:
    for hash_seed in ("1", "2"):
        words = ["--scenario", game, "--steps", "6", "--storage", str(tmp_path), "--sim-name", hash_seed]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        subprocess.run(
            [sys.executable, ROOT / "run.py", "run", *words], check=True, env=environment, capture_output=True
        )
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


BATCH = """
import mesa

from repunet_model import RepuNetModel

if __name__ == "__main__":
    rows = mesa.batch_run(
        RepuNetModel,
        {"game": "prisoners_dilemma", "reputation": [True, False], "gossip": [True, False]},
        rng=[1, 2],
        max_steps=5,
        number_processes=2,
        display_progress=False,
    )
    runs = {row["RunId"]: row for row in rows}
    print(len(rows), len(runs), {row["Step"] for row in rows})
    print(sorted((row["reputation"], row["gossip"], row["rng"], row["cooperation_rate"]) for row in runs.values()))
"""


def test_batch_run_works_from_a_plain_script(tmp_path: Path) -> None:
    script = tmp_path / "batch.py"
    script.write_text(BATCH)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, cwd=tmp_path)
    first, second = done.stdout.splitlines()
    assert first == "160 8 {5.0}"
    expected = sorted(
        (reputation, gossip, seed, run(5, reputation=reputation, gossip=gossip, rng=seed).measures["cooperation_rate"])
        for reputation, gossip in MODES
        for seed in (1, 2)
    )
    assert second == str(expected)
