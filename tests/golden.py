"""Golden run folders, whose bytes must not change.

    uv run python -m tests.golden paper > tests/golden_paper.json

The paper's games, all modes, single and fused questions, the rules backend, 6 steps of 20 agents, with the mechanism
`paper` and with `published`, there with the rational investors of the published seed. Recorded is a hash of each step's
files, by run; manifests are left out, since they name versions and may gain entries.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from itertools import product
from pathlib import Path

from repunet_model import RepuNetModel
from repunet_model.config import BUILT_IN, MODES, RATIONAL

STEPS = 6
CELLS = list(product(("prisoners_dilemma", "investment", "sign_up"), MODES, ("single", "fused")))


def step_hashes(folder: Path) -> list[str]:
    """Return a hash of the files of each step of a run."""
    return [_hash_of_step(folder / f"step_{number}") for number in range(STEPS + 1)]


def _hash_of_step(step: Path) -> str:
    files = sorted(path for path in step.iterdir() if "manifest" not in path.name)
    return sha256(b"".join(f"{path.name}\n".encode() + path.read_bytes() for path in files)).hexdigest()


def run(storage: Path, game: str, mode: str, questions: str, mechanism: str) -> Path:
    """Make a run, and return its folder."""
    reputation, gossip = MODES[mode]
    is_rational = (mechanism, game) == ("published", "investment")
    name = f"{game}_{questions}_{mode.replace(' ', '_')}"
    with RepuNetModel(
        game=game,
        reputation=reputation,
        gossip=gossip,
        questions=questions,
        mechanism=mechanism,
        personas=RATIONAL if is_rational else BUILT_IN,
        rng=7,
        storage=str(storage),
        run_name=name,
    ) as model:
        for _ in range(STEPS):
            model.step()
    return storage / name


def recorded(mechanism: str) -> dict[str, list[str]]:
    """Return the recorded hashes, by run."""
    file = Path(__file__).with_name(f"golden_{mechanism}.json")
    hashes: dict[str, list[str]] = json.loads(file.read_text(encoding="utf-8"))
    return hashes


def made(mechanism: str) -> Iterator[tuple[str, list[str]]]:
    """Make all runs, and yield their hashes by name."""
    with tempfile.TemporaryDirectory() as storage:
        for cell in CELLS:
            folder = run(Path(storage), *cell, mechanism)
            yield folder.name, step_hashes(folder)


if __name__ == "__main__":
    print(json.dumps(dict(made(sys.argv[1])), indent=1))
