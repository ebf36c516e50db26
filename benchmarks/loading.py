"""Time to load a long run, and growth of the bytes of a step with its number.

    uv run benchmarks/loading.py

Runs of 20 agents with the rules backend: one of 1,000 steps, loaded at its last step, median of five; and the bytes of
step 100 over those of step 10 in the three games, in total and for each question asked, means over ten seeds.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from statistics import mean, median

from repunet_model import RepuNetModel
from repunet_model.games import GAMES

STEPS = 1000
SEEDS = range(1, 11)


def stored(storage: str, name: str, steps: int, game: str, seed: int) -> Path:
    """Run and store a society; return its folder."""
    with RepuNetModel(game=game, rng=seed, storage=storage, run_name=name) as model:
        for _ in range(steps):
            model.step()
    return Path(storage) / name


def size(folder: Path, step: int) -> tuple[int, int]:
    """Return the bytes of a step and the number of its questions."""
    place = folder / f"step_{step}"
    calls = json.loads((place / "metrics.json").read_text())["calls"]
    return sum(path.stat().st_size for path in place.iterdir()), calls


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as storage:
        folder = stored(storage, "long", STEPS, "prisoners_dilemma", 1)
        seconds = []
        for _ in range(5):
            started = time.perf_counter()
            RepuNetModel.load(folder).close()
            seconds.append(time.perf_counter() - started)
        print(f"loading {STEPS:,} steps of 20 agents: {median(seconds):.2f} s (promised: under 2 s)")
        for game in GAMES:
            runs = [stored(storage, f"{game}_{seed}", 100, game, seed) for seed in SEEDS]
            early, late = ([size(run, step) for run in runs] for step in (10, 100))
            in_all = mean(each for each, _ in late) / mean(each for each, _ in early)
            asked = mean(calls for _, calls in late) / mean(calls for _, calls in early)
            print(
                f"{game}: bytes of step 100 / step 10 = {in_all:.2f} (promised: at most 1.2); questions {asked:.2f}, "
                f"bytes a question {in_all / asked:.2f}"
            )


if __name__ == "__main__":
    main()
