"""Biographies and traits of personas, and populations drawn by the seed: what they change, and what they do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import networkx as nx
import pandas as pd
import pytest

from repunet_model import RepuNetError, RepuNetModel, load_run
from repunet_model.cli import main
from repunet_model.personas import Persona, built_in
from repunet_model.questions.prompt_sets import packaged_names
from repunet_model.report.evidence import read
from repunet_model.report.response import responses
from repunet_model.results.tables import identity, table_of
from repunet_model.storage import StepReader
from tests.backends import Overheard
from tests.conftest import complaint, contents

GAMES = ["prisoners_dilemma", "investment", "sign_up", "donation"]
STORED = Path("sim_storage")
BIOGRAPHY = "You keep bees.\nYour father did, too. «Never sell the queen», he said."
TRAITS: dict[str, Any] = {"village": "Lindau", "occupation": "beekeeper", "children": 2}
SHOWN = (
    "About you: village: Lindau; occupation: beekeeper; children: 2.\n"
    "Your biography, which stays as it is: «You keep bees. Your father did, too. ‹Never sell the queen›, he said.»\n"
)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(words: str) -> None:
    assert main(words.split()) == 0


def stored(name: str) -> StepReader:
    return StepReader.open(STORED / name)


def people(**more: Any) -> list[Persona]:
    return [Persona.model_validate(each.model_dump() | more) for each in built_in()[:4]]


def prompts(game: str, questions: str, personas: list[Persona], folder: str) -> list[str]:
    """Return all prompts of two steps, which are stored, in the order of the questions."""
    backend = Overheard()
    with RepuNetModel(
        game=game, questions=questions, personas=personas, backend=backend, rng=1, storage=folder, run_name="it"
    ) as model:
        for _ in range(2):
            model.step()
    return [request.prompt for request in sorted(backend.requests, key=lambda request: request.coordinates)]


# Biographies and traits


@pytest.mark.parametrize("questions", ["single", "fused"])
@pytest.mark.parametrize("game", GAMES)
def test_every_prompt_shows_biography_and_traits_which_change_nothing_else(game: str, questions: str) -> None:
    plain = prompts(game, questions, people(), "plain")
    told = prompts(game, questions, people(biography=BIOGRAPHY, traits=TRAITS), "told")
    assert all(prompt.count(SHOWN) == 1 for prompt in told)
    assert [prompt.replace(SHOWN, "") for prompt in told] == plain
    steps = [
        {name: text for name, text in contents(Path(folder)).items() if "manifest" not in name and "step_0" not in name}
        for folder in ("plain", "told")
    ]
    assert steps[0] == steps[1] != {}


@pytest.mark.parametrize("name", packaged_names())
def test_every_prompt_set_shows_them_but_the_layers_that_leave_them_out(name: str) -> None:
    backend = Overheard()
    model = RepuNetModel(personas=people(biography=BIOGRAPHY, traits=TRAITS), prompts=name, backend=backend, rng=1)
    model.step()
    for request in backend.requests:
        traits = [f"{trait}: {value}" in request.prompt.replace("\uff1a", ": ") for trait, value in TRAITS.items()]
        assert traits == [name not in ("minimal", "biography")] * len(TRAITS)
        assert ("«You keep bees. Your father did, too." in request.prompt) is (name != "minimal")
    plain = Overheard()
    RepuNetModel(personas=people(), prompts=name, backend=plain, rng=1).step()
    assert [each.learned for each in plain.requests] == [each.learned for each in backend.requests]


def test_a_biography_stays_where_the_learned_text_is_rewritten_and_takes_no_words_of_the_disposition() -> None:
    backend = Overheard()
    with RepuNetModel(personas=people(biography=BIOGRAPHY), backend=backend, rng=1) as model:
        model.step()
        model.step()
        fresh = RepuNetModel(personas=people(), rng=1)
        first = {agent.name: agent.learned["player"] for agent in fresh.agents}
        assert any(agent.learned["player"] != first[agent.name] for agent in model.agents)
    for request in backend.requests:
        assert "You keep bees." in request.prompt
        if request.coordinates.step == 1 and request.coordinates.question == "choose_action":
            assert first[request.persona.name] in request.prompt


def test_personas_without_them_are_stored_and_hashed_as_before() -> None:
    run("run -n 4 --steps 1 --sim-name it")
    rows = json.loads((STORED / "it/step_0/personas.json").read_text())
    assert [list(row) for row in rows] == [["name", "disposition", "age", "gender", "country", "learned"]] * 4
    assert stored("it").population["sha256"] == "f614d4b60a46"  # As in earlier versions.


def test_biographies_and_traits_identify_a_population() -> None:
    found = set()
    given: list[dict[str, Any]] = [{}, {"biography": BIOGRAPHY}, {"traits": TRAITS}, {"traits": {"children": 2}}]
    for number, more in enumerate(given):
        with RepuNetModel(personas=people(**more), rng=1, storage="s", run_name=f"r{number}") as model:
            found.add(model.manifest().data["population"]["sha256"])
        again = StepReader.open(Path(f"s/r{number}")).personas
        assert again == people(**more)
    assert len(found) == 4


def test_tables_exports_and_show_have_traits(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"name": "Ann", "disposition": "altruistic", "biography": BIOGRAPHY, "traits": TRAITS}]
    rows += [{"name": "Bob", "disposition": "altruistic", "traits": {"children": "none"}}]
    Path("people.json").write_text(json.dumps(rows))
    run("run --personas people.json --steps 1 --sim-name it")
    personas = load_run("it").personas
    assert personas["traits.children"].to_dict() == {"Ann": 2, "Bob": "none"}
    assert personas.loc["Ann", "biography"] == BIOGRAPHY
    run("export it tables --layout csv")
    assert pd.read_csv("tables/personas.csv")["traits.children"].tolist() == ["2", "none"]
    run("export it files --layout parquet")
    assert pd.read_parquet("files/personas.parquet")["traits.village"].dropna().tolist() == ["Lindau"]
    run("export it ties.graphml --layout graphml")
    assert nx.read_graphml("ties.graphml").nodes["Ann"]["traits.village"] == "Lindau"
    capsys.readouterr()
    run("show it --agent Ann")
    shown = capsys.readouterr().out
    assert "altruistic, village: Lindau, occupation: beekeeper, children: 2; owns" in shown
    assert "biography: You keep bees. Your father did, too." in shown
    run("export it published --layout published")
    run("import published/step_1 --sim-name back")
    assert stored("back").personas == stored("it").personas


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (
            {"village": "Lindau"},
            "persona 0: 'village': unknown; the fields are name, disposition, age, gender, country, learned, "
            'biography, traits; write others as traits: {"village": ...}',
        ),
        ({"biography": ""}, "persona 0.biography"),
        ({"biography": 3}, "persona 0.biography"),
        ({"traits": "Lindau"}, "persona 0.traits"),
        ({"traits": {"age": 3}}, "is a field of a persona itself"),
        ({"traits": {"home": None}}, "persona 0.traits.home: Value error, must be a text or a number"),
        ({"traits": {"home": True}}, "must be a text or a number"),
        ({"traits": {"home": ["Lindau"]}}, "must be a text or a number"),
        ({"traits": {"home": float("nan")}}, "must be a text or a number"),
        ({"traits": {"home": "Lin\ndau"}}, "persona 0.traits.home"),
        ({"traits": {"": "Lindau"}}, "persona 0.traits"),
        ({"traits": {"x" * 100: "Lindau"}}, "persona 0.traits"),
        ({"traits": {f"t{number}": 1 for number in range(21)}}, "persona 0.traits"),
    ],
)
def test_a_field_that_is_none_is_one_clear_line(
    more: dict[str, Any], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"name": "Ann", "disposition": "altruistic", **more}, {"name": "Bob", "disposition": "altruistic"}]
    Path("people.json").write_text(json.dumps(rows))
    assert problem in complaint(["run", "--personas", "people.json"], capsys)


# Drawn populations


def test_a_run_with_a_drawn_population_is_gone_on_with_forked_and_repeated() -> None:
    for name, steps in (("whole", 3), ("cut", 1)):
        run(f"run -n 6 --population altruistic=0.3 --seed 4 --steps {steps} --sim-name {name}")
    population = stored("cut").population
    assert population["name"] == "built-in"
    assert population["drawn"]["altruistic"] == 0.3
    assert [each.disposition.value for each in stored("cut").personas].count("altruistic") == 2
    run("resume cut --steps 2")
    assert contents(STORED / "cut") == contents(STORED / "whole")
    run("run --backend replay:cut --sim-name again")
    assert contents(STORED / "again") == contents(STORED / "whole")
    run("fork cut/step_1 --set gossip=n --sim-name fork")
    run("resume fork --steps 1")
    assert table_of(stored("fork"))["share_of_altruists"].tolist() == [0.3, 0.3]
    with RepuNetModel.load(STORED / "cut") as model:
        assert model.manifest().data["population"] == population


def test_placed_altruists_are_stored_gone_on_with_and_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    words = "run -n 8 --network barabasi_albert:m=2 --population altruistic=0.25"
    for name, steps in (("whole", 2), ("cut", 1)):
        run(f"{words},placed=hubs --steps {steps} --sim-name {name}")
    run(f"{words} --steps 1 --sim-name anywhere")
    cut, anywhere = stored("cut"), stored("anywhere")
    degree = load_run("cut").graph(0).to_undirected().degree
    altruists = [each.name for each in cut.personas if each.disposition == "altruistic"]
    assert sorted(degree[name] for name in altruists) == sorted(count for _, count in degree)[-2:]
    assert cut.step(0).state["network"] == anywhere.step(0).state["network"]
    assert [each.name for each in cut.personas] == [each.name for each in anywhere.personas]
    columns = identity(cut, cut.manifest)
    told = identity(anywhere, anywhere.manifest) | {"placement_of_altruists": "hubs"}
    assert columns == told
    run("resume cut --steps 1")
    assert contents(STORED / "cut") == contents(STORED / "whole")
    run("run --backend replay:cut --sim-name again")
    assert contents(STORED / "again") == contents(STORED / "whole")
    run("seed -n 8 --network barabasi_albert:m=2 --population altruistic=0.25,placed=hubs --sim-name seed")
    run("run --from seed --seed 9 --steps 1 --sim-name other")  # The agents keep their places.
    assert stored("other").step(0).state["network"] == stored("seed").step(0).state["network"]
    capsys.readouterr()
    problem = complaint(["run", "--population", "altruistic=0.5,placed=hubs"], capsys)
    assert "placed=hubs with the network none: the society has no ties at its start" in problem


def test_runs_of_one_seed_have_the_same_people_in_every_mode_and_game() -> None:
    for name, words in (("a", ""), ("b", "--gossip n"), ("c", "--scenario investment"), ("d", "--seed 2")):
        run(f"seed -n 8 --population altruistic=0.5 {words} --sim-name {name}")
    assert stored("a").personas == stored("b").personas == stored("c").personas != stored("d").personas


def test_without_a_draw_the_first_of_the_set_are_there() -> None:
    assert [agent.persona for agent in RepuNetModel(n_agents=3, rng=9).agents] == built_in()[:3]
    with pytest.raises(RepuNetError, match="population"):
        RepuNetModel(population=3)  # type: ignore[arg-type]


def test_a_sweep_over_shares_has_a_number_for_each_and_runs_with_other_seeds_are_repetitions() -> None:
    grid = "--population altruistic=0 --population altruistic=0.5 --population altruistic=1"
    run(f"sweep {grid} -n 4 --seeds 1-2 --steps 2 --name shares")
    table = pd.read_parquet(STORED / "shares" / "results.parquet")
    assert table.groupby("share_of_altruists")["seed"].nunique().to_dict() == {0.0: 2, 0.5: 2, 1.0: 2}
    assert table["population_hash"].nunique() == 1
    runs = sorted((STORED / "shares" / "runs").iterdir())
    (found,) = responses(read([StepReader.open(path) for path in runs]))
    assert found.parameter == "share_of_altruists"
    ((points),) = found.points.values()
    assert [value for value, _ in points] == [0.0, 0.5, 1.0]
    assert {each.n for _, each in points} == {2}


def test_a_job_is_no_other_than_its_run(capsys: pytest.CaptureFixture[str]) -> None:
    def jobs(share: float) -> str:
        text = f'[[jobs]]\nsim_name = "it"\nsteps = 1\nn_agents = 4\npopulation = "altruistic={share}"\n'
        Path("jobs.toml").write_text(text)
        return "batch jobs.toml"

    run(jobs(0.5))
    run(jobs(0.5))
    capsys.readouterr()
    assert main(jobs(0.51).split()) == 1
    assert "is another run: its draw of the population is" in capsys.readouterr().err


def test_a_seed_has_its_population_already(capsys: pytest.CaptureFixture[str]) -> None:
    run("seed -n 4 --population altruistic=0.5 --sim-name seed")
    run("run --from seed --seed 8 --steps 1 --sim-name it")
    assert [each.name for each in stored("it").personas] == [each.name for each in stored("seed").personas]
    capsys.readouterr()
    assert "--population" in complaint(["run", "--from", "seed", "--population", "drawn"], capsys)
    assert "altruistic is '2'" in complaint(["run", "--population", "altruistic=2"], capsys)
