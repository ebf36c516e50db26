"""Import time of the core, beside that of Mesa.

    uv run benchmarks/imports.py

Each import runs in a new interpreter, in turns, after one round that is not counted. Printed are medians of the seconds
of wall clock that the import takes.
"""

from __future__ import annotations

import subprocess
import sys
from statistics import median

ROUNDS = 9

STATEMENTS = {
    "import mesa": "import mesa",
    "core": "from repunet_model import RepuNetModel, RepuNetAgent, Rules",
    "import repunet_model": "import repunet_model",
}


def seconds(statement: str) -> float:
    """Return the seconds that a statement takes in a new interpreter."""
    program = f"import time; started = time.perf_counter()\n{statement}\nprint(time.perf_counter() - started)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    """Print the figures."""
    rounds = [{name: seconds(statement) for name, statement in STATEMENTS.items()} for _ in range(ROUNDS + 1)][1:]
    medians = {name: median(each[name] for each in rounds) for name in STATEMENTS}
    for name, statement in STATEMENTS.items():
        print(f"{statement}: {medians[name]:.3f} s")
    mesa, core = medians["import mesa"], medians["core"]
    beyond = median(each["core"] - each["import mesa"] for each in rounds)
    print(f"the core takes {core / mesa:.2f} times Mesa's own, {beyond:.3f} s beyond it (promised: under 1 s)")


if __name__ == "__main__":
    main()
