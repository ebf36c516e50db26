"""The methods paragraph of a stored run."""

from pathlib import Path

import pytest

from repunet_model import RepuNetModel
from repunet_model.cli import main


def test_paragraph_says_what_the_manifest_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RepuNetModel(
        gossip=False,
        game_parameters="temptation=4",
        network="ring:k=2",
        mechanism="paper,second_order=off",
        n_agents=4,
        rng=7,
        storage=tmp_path,
        run_name="it",
    ) as model:
        model.step()
    assert (
        main(["fork", "it/step_1", "--set", "activation=sequential", "--sim-name", "other", "--storage", str(tmp_path)])
        == 0
    )
    capsys.readouterr()
    assert main(["methods", "it", "--storage", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    for part in (
        "4 agents (",
        "Prisoner's dilemma for 1 step, with reputation and random seed 7.",
        "temptation 4",
        "ties at the start were ring (k 2)",
        "'paper,second_order=off', activation simultaneous",
        "came from offline rules",
        "Mesa 3.5.1 and Python",
        "arXiv:2505.05029",
    ):
        assert part in told, part
    assert "request" not in told  # The rules send none.
    assert main(["methods", "other", "--storage", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "a fork of it after step 1 (SHA-256" in told
    assert "parameters given here are those of the later steps, those before had activation simultaneous." in told
