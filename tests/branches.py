"""Report the share of the core's branches that the tests take, and fail if it is too low.

    uv run pytest -n 3 --dist worksteal --cov --cov-branch --cov-report=
    uv run pytest --rest -n 4 --dist loadfile --cov --cov-branch --cov-append --cov-report=json
    uv run python -m tests.branches 95

The limit is in per cent; below it the exit code is 1. coverage's own `fail_under` counts lines and branches together.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

REPORT = Path("coverage.json")

SHOWN = 15
"""The number of files to list, sorted by the number of branches not taken."""


def main(least: float) -> int:
    """Print the share of branches taken and the files with the others, and return the exit code."""
    report = json.loads(REPORT.read_text())
    share = report["totals"]["percent_branches_covered"]
    missed = {file: each["summary"]["missing_branches"] for file, each in report["files"].items()}
    for file, count in sorted(missed.items(), key=lambda item: -item[1])[:SHOWN]:
        print(f"{count:5} not taken in {file}")
    print(f"{share:.2f} % of the core's branches are taken (at least {least:g} %)")
    return 1 if share < least else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
