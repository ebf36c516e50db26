"""What identifies a run: everything its outcome depends on keeps it apart in tables, and in the panels of a report."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from repunet_model import RepuNetModel, extensions, load_run
from repunet_model.cli import main
from repunet_model.config import FULL, REPUTATION_ONLY
from repunet_model.mechanism import Mechanism
from repunet_model.report.evidence import read
from repunet_model.report.page import lead, runs_section
from repunet_model.results.tables import joined, table_of
from repunet_model.storage import StepReader
from tests.conftest import contents

STORED = Path("sim_storage")
NAMES = ("Ann", "Bob", "Cleo", "Dara")
ALTRUISM = "Akiko Sato=rules:altruism="


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def people(file: str, disposition: str) -> str:
    Path(file).write_text(json.dumps([{"name": name, "disposition": disposition} for name in NAMES]), encoding="utf-8")
    return file


def run(*words: str) -> None:
    assert main(list(words)) == 0


def panels(*runs: str) -> list[str]:
    return [panel.title for panel in read([StepReader.open(STORED / run) for run in runs]).panels]


def test_a_sweep_over_two_populations_tells_them_apart() -> None:
    files = ["--personas", people("a.json", "altruistic"), "--personas", people("b.json", "self-interested")]
    run("sweep", *files, "-n", "4", "--seeds", "1-2", "--steps", "2")
    table = pd.read_parquet(STORED / "sweep" / "results.parquet")
    assert table.groupby("population")["seed"].nunique().to_dict() == {"a": 2, "b": 2}
    assert table["population_hash"].nunique() == 2
    runs = [path.name for path in (STORED / "sweep" / "runs").iterdir()]
    assert panels(*(f"sweep/runs/{name}" for name in sorted(runs))) == [
        "Prisoner's dilemma, population a",
        "Prisoner's dilemma, population b",
    ]


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        (["--personas", "a.json"], ["--personas", "b.json"], ["population a", "population b"]),
        (["--from", "seed_a"], ["--from", "seed_b"], ["population seed_a", "population seed_b"]),
        (
            ["--backend-for", f"{ALTRUISM}0"],
            ["--backend-for", f"{ALTRUISM}2"],
            ["backend for.Akiko Sato.altruism 0.0", "backend for.Akiko Sato.altruism 2.0"],
        ),
        (["--label", "first"], [], ["label first", "no label"]),
        (["--dialogue-turns", "3"], [], ["dialogue turns 3", "dialogue turns 2"]),
    ],
)
def test_runs_that_differ_in_more_than_the_seed_are_never_averaged(
    one: list[str], other: list[str], apart: list[str]
) -> None:
    for name, disposition in (("a", "altruistic"), ("b", "self-interested")):
        people(f"{name}.json", disposition)
        run("seed", "--personas", f"{name}.json", "--sim-name", f"seed_{name}")
    for number, words in enumerate((one, other), 1):
        run("run", *words, "--seed", str(number), "--steps", "1", "--sim-name", f"run_{number}")
    assert panels("run_1", "run_2") == [f"Prisoner's dilemma, {words}" for words in apart]
    columns = [{*load_run(name).manifest.described(StepReader.open(STORED / name).population)} for name in ("run_1",)]
    assert {"population", "population_hash", "label", "version", "parent", "extensions"} <= columns[0]


def test_a_fork_of_another_mode_keeps_the_mode_of_the_steps_it_shares() -> None:
    run("run", "--steps", "3", "-n", "4", "--sim-name", "base")
    run("fork", "base/step_2", "--set", "gossip=n", "--sim-name", "quiet")
    run("resume", "quiet", "--steps", "1")
    run("run", "--steps", "3", "-n", "4", "--seed", "2", "--gossip", "n", "--sim-name", "other")
    table = table_of(StepReader.open(STORED / "quiet"))
    assert table["mode"].tolist() == [FULL, FULL, REPUTATION_ONLY]
    assert table["step"].tolist() == [1, 2, 3]
    assert table["parent_step"].fillna(0).tolist() == [0, 0, 2]
    assert len(joined([table, table_of(StepReader.open(STORED / "other"))])) == 6
    evidence = read([StepReader.open(STORED / name) for name in ("quiet", "other")])
    assert len(evidence.panels) == 2
    assert all(len(runs) == 1 for _, _, runs in evidence.cells())
    assert runs_section(evidence).texts == [
        "quiet is a fork: steps 1 to 2, which it shares with its parent base, are left out."
    ]
    assert "1 to 3 steps" not in lead(evidence)


def test_forks_of_forks_remember_what_each_has_changed() -> None:
    run("run", "--steps", "1", "-n", "4", "--sim-name", "base")
    run("fork", "base", "--set", "gossip=n", "--sim-name", "quiet")
    run("resume", "quiet", "--steps", "1")
    run("fork", "quiet", "--set", "questions=fused", "--sim-name", "fused")
    run("resume", "fused", "--steps", "1")
    table = table_of(StepReader.open(STORED / "fused"))
    assert table["gossip"].tolist() == [True, False, False]
    assert table["questions"].tolist() == ["single", "single", "fused"]


EXTENSION = "VALUE = {number}"


def test_the_content_of_an_extension_is_part_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        for number in (1, 2):
            Path(f"tempting_{number}").mkdir()
            file = Path(f"tempting_{number}/tempting.py")
            file.write_text(EXTENSION.format(number=number), encoding="utf-8")
            run("--extension", str(file), "run", "-n", "4", "--steps", "1", "--sim-name", f"run_{number}")
            forget(file)
        assert len(panels("run_1", "run_2")) == 2
        run_1 = StepReader.open(STORED / "run_1").manifest.data["extensions"]
        assert run_1 == {"tempting.py": sha256(Path("tempting_1/tempting.py").read_bytes()).hexdigest()[:12]}
        assert main(["--extension", "tempting_2/tempting.py", "resume", "run_1", "--steps", "1"]) == 2
        assert "made with another tempting.py" in capsys.readouterr().err
    finally:
        forget(Path("tempting_2/tempting.py"))


def forget(file: Path) -> None:
    """Let an extension be loaded anew, as in another process."""
    import sys  # noqa: PLC0415

    extensions._LOADED.pop(str(file.resolve()), None)
    sys.modules.pop(file.stem, None)


def test_a_seed_has_no_mode_and_runs_in_all_four(capsys: pytest.CaptureFixture[str]) -> None:
    run("run", "-n", "4", "--steps", "6", "--sim-name", "past")
    run("seed", "--from-seed", "past/step_6", "--sim-name", "village")
    before = contents(STORED / "village")
    run("show", "village")
    assert "reputation" not in capsys.readouterr().out.splitlines()[0]
    for number, (reputation, gossip) in enumerate([("y", "y"), ("y", "n"), ("n", "y"), ("n", "n")]):
        words = ["--reputation", reputation, "--gossip", gossip, "--steps", "1", "--sim-name", f"run_{number}"]
        run("run", "--sim" if number else "--from", "village/step_0" if number % 2 else "village", *words)
    runs = [StepReader.open(STORED / f"run_{number}") for number in range(4)]
    assert len({each.manifest.mode for each in runs}) == 4
    assert len({each.population["sha256"] for each in runs}) == 1
    assert {each.population["name"] for each in runs} == {"village"}
    learned = {agent["name"]: agent["learned"] for agent in StepReader.open(STORED / "past").step(6).state["agents"]}
    for each in runs:
        assert {agent["name"]: agent["learned"] for agent in each.step(0).state["agents"]} == learned
    assert contents(STORED / "village") == before


def test_from_a_later_step_it_is_the_run_itself_and_another_mode_is_a_fork() -> None:
    run("run", "-n", "4", "--steps", "2", "--sim-name", "base")
    run("run", "--from", "base", "--steps", "1")
    assert StepReader.open(STORED / "base").last == 3
    run("run", "--from", "base/step_2", "--gossip", "n", "--steps", "1", "--sim-name", "quiet")
    quiet = StepReader.open(STORED / "quiet")
    assert (quiet.last, quiet.manifest.config.gossip, quiet.manifest.shared_steps) == (3, False, 2)
    assert main(["run", "--from", "base", "-n", "5"]) == 2


# Runs of format 3


LATER = ("population", "label", "extensions", "stages", "system_prompt", "mechanism", "game_parameters")
"""Entries of manifests that format 3 did not have."""


def as_format_3(folder: Path) -> None:
    """Rewrite a run as the version before wrote it."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    old: dict[str, Any] = {name: value for name, value in manifest.items() if name not in LATER} | {"format": 3}
    if "parent" in old:
        old["parent"] = {name: old["parent"][name] for name in ("run", "step", "manifest")}
    rewrite(folder, old)


def rewrite(folder: Path, manifest: dict[str, Any]) -> None:
    """Give a stored run another manifest, and its steps the hashes that follow."""
    text = json.dumps(manifest, ensure_ascii=False, indent=2) + "\n"
    (folder / "manifest.json").write_text(text, encoding="utf-8", newline="\n")
    run_hash = sha256(text.encode()).hexdigest()
    (folder / "manifest.sha256").write_text(f"{run_hash}\n", encoding="utf-8", newline="\n")
    previous = None
    for number in range(len(list(folder.glob("step_*")))):
        place = folder / f"step_{number}" / "manifest.json"
        step = {**json.loads(place.read_text(encoding="utf-8")), "run": run_hash, "previous": previous}
        text = json.dumps(step, ensure_ascii=False, separators=(",", ":")) + "\n"
        place.write_text(text, encoding="utf-8", newline="\n")
        previous = sha256(text.encode()).hexdigest()


def test_a_run_of_format_3_is_read_resumed_and_in_a_table() -> None:
    run("run", "-n", "4", "--steps", "2", "--sim-name", "old")
    population = StepReader.open(STORED / "old").population["sha256"]
    as_format_3(STORED / "old")
    run("check", "old")
    run("resume", "old", "--steps", "1")
    table = table_of(StepReader.open(STORED / "old"))
    assert table["population_hash"].tolist() == [population] * 3
    assert table["label"].isna().all()
    assert panels("old") == ["Prisoner's dilemma"]


# Other doors


def test_names_are_the_same_by_every_door(monkeypatch: pytest.MonkeyPatch) -> None:
    with RepuNetModel(game="pd", n_agents=4, rng=1, storage="elsewhere", run_name="it") as model:
        model.step()
    assert model.config.game == "prisoners_dilemma"
    assert load_run("it", "elsewhere").last_step == 1
    monkeypatch.setenv("REPUNET_STORAGE", "elsewhere")
    assert load_run("it").last_step == 1
    assert load_run(Path("elsewhere/it")).last_step == 1


# The mechanism


def test_a_run_from_before_a_switch_is_resumed_forked_and_in_a_table_with_its_default() -> None:
    run("run", "-n", "4", "--steps", "1", "--seed", "1", "--sim-name", "before")
    run("run", "-n", "4", "--steps", "1", "--seed", "2", "--sim-name", "now")
    manifest = json.loads((STORED / "before" / "manifest.json").read_text(encoding="utf-8"))
    del manifest["mechanism"]["institution"]
    rewrite(STORED / "before", manifest)
    run("check", "before")
    run("resume", "before", "--steps", "1")
    assert StepReader.open(STORED / "before").last == 2
    run("fork", "before", "--set", "mechanism=paper,institution=image", "--sim-name", "after")
    run("resume", "after", "--steps", "1")
    assert table_of(StepReader.open(STORED / "after"))["mechanism"].tolist() == [
        *["paper"] * 2,
        "paper,institution=image",
    ]
    assert panels("before", "now") == ["Prisoner's dilemma"]


def test_runs_are_told_apart_by_every_switch_and_old_ones_have_the_published_mechanism() -> None:
    for name, mechanism in (("old", "published"), ("new", "paper"), ("other", "paper,second_order=off")):
        run("run", "-n", "4", "--steps", "1", "--seed", "1", "--mechanism", mechanism, "--sim-name", name)
    stored = json.loads((STORED / "other" / "manifest.json").read_text(encoding="utf-8"))["mechanism"]
    assert stored == Mechanism(second_order=False).model_dump(mode="json")
    as_format_3(STORED / "old")
    columns = [
        table_of(StepReader.open(STORED / name))["mechanism"].unique().tolist() for name in ("old", "new", "other")
    ]
    assert columns == [["published"], ["paper"], ["paper,second_order=off"]]
    assert len(panels("old", "new", "other")) == 3
    run("resume", "old", "--steps", "1")
    run("fork", "old", "--set", "mechanism=paper,memory_shown=3", "--sim-name", "fork")
    fork = StepReader.open(STORED / "fork")
    assert str(fork.manifest.config.mechanism) == "paper,memory_shown=3"
    assert fork.manifest.described(fork.population)["before_fork"] == 'mechanism="published"'
    assert [str(era.config.mechanism) for *_, era in fork.manifest.eras(3) if era] == [
        "published",
        "paper,memory_shown=3",
    ]
    assert main(["run", "--mechanism", "paper,third_order=on"]) == 2
    assert main(["fork", "old", "--set", "mechanism=second_order=off"]) == 2
