"""A new parameter is one field and one keyword, and the file that uses it: nothing else of the core is touched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.environments import copy_checkout

FIELD = """    patience: Annotated[int, Ge(0), Le(9), BeforeValidator(_whole), Parameter("Rounds of patience.")] = 3
    label: Annotated["""

CHANGES = {
    "repunet_model/config.py": [("    label: Annotated[", FIELD)],
    "repunet_model/model.py": [
        ('        label: str = "",\n', '        patience: int = 3,\n        label: str = "",\n'),
        (
            '                "label": label,\n',
            '                "patience": patience,\n                "label": label,\n',
        ),
        ("            label: A label", "            patience: Rounds of patience.\n            label: A label"),
        (
            "            dialogue_turns=self",
            "            patience=self.config.patience,\n            dialogue_turns=self",
        ),
    ],
    "repunet_model/stages/world.py": [
        ("    dialogue_turns: int\n", "    patience: int\n    dialogue_turns: int\n"),
    ],
}
"""What the commit that adds the parameter changes: by file, a text and what takes its place."""


def test_a_parameter_is_added_in_three_files(tmp_path: Path) -> None:
    copy_checkout(tmp_path / "copy")
    for file, changes in CHANGES.items():
        path = tmp_path / "copy" / file
        text = path.read_text(encoding="utf-8")
        for old, new in changes:
            assert text.count(old) == 1, (file, old)
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8", newline="\n")
    commands = [
        "run --steps 1 -n 4 --patience 5 --sim-name it",
        "fork it --set patience=7 --sim-name fork",
        "resume fork --steps 1",
        "sweep --patience 1,2 -n 4 --steps 1",
        "show fork",
        "report fork it sweep --out report",
    ]
    program = (
        "import pandas as pd\n"
        "from repunet_model.cli import main\n"
        f"assert [main(words.split()) for words in {commands}] == {[0] * len(commands)}\n"
        "from repunet_model import load_run\n"
        "assert load_run('fork').manifest.config.patience == 7\n"
        "assert set(pd.read_parquet('sim_storage/sweep/results.parquet')['patience']) == {1, 2}\n"
        "page = open('report/index.html', encoding='utf-8').read()\n"
        "assert 'patience 1' in page and 'patience 5' in page\n"
        "from visualization.app import _parameters\n"
        "from visualization.society import Society\n"
        "assert _parameters(Society())['patience']['type'] == 'SliderInt'\n"
        "assert main(['run', '--patience', '10']) == 2\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "copy")}
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True)
