"""The section "under attack" of a report, over a sweep of doses."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from repunet_model.cli import main


def test_a_sweep_of_doses_is_reported_by_mode_and_institution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    doses = [word for dose in (0, 2, 4) for word in ("--event", f"step=3 agents={dose} becomes=always_defect")]
    sizes = ["-n", "8", "--seeds", "1-2", "--steps", "6", "--name", "doses", "--report", "out"]
    mechanisms = ["--mechanism", "paper", "--mechanism", "paper,institution=image"]
    assert main(["sweep", "--scenario", "pd", "--gossip", "n", *mechanisms, *doses, *sizes]) == 0
    attacks = json.loads(Path("out/report.json").read_text())["attacks"]
    assert len(attacks) == 2
    for attack in attacks:
        assert attack["mode"] == "reputation only"
        assert list(attack["doses"]) == ["0", "2", "4"]
        assert attack["breaking_point"] is not None
        assert len(attack["doses"]["4"]["rent"]) == 2
        assert attack["doses"]["0"]["rent"] == []
    assert {attack["condition"] for attack in attacks} == {"mechanism paper", "mechanism paper,institution=image"}
    page = Path("out/index.html").read_text()
    assert "Under attack" in page
    assert Path("out/attack.png").exists()
    table = pd.read_csv("sim_storage/doses/results.csv")
    assert set(table["attack_dose"]) == {0, 2, 4}
    assert set(table["attack_start"]) == {3}
