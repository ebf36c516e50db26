"""Tests, by what they need: see CONTRIBUTING.md."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The checkout."""

EXAMPLES = ROOT / "docs" / "examples"
"""The examples of docs/extending.md."""
