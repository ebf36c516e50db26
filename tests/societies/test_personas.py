"""Who takes part: persona files, seeds, learned texts of runs used again, and populations drawn from a table."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from repunet_model import RepuNetError, RepuNetModel
from repunet_model.cli import main
from repunet_model.personas import Persona, built_in
from repunet_model.populations import generate
from tests.conftest import complaint, contents

EMMA = "Emma Dubois"
GAMES = ["prisoners_dilemma", "investment", "sign_up", "donation"]
ODD_NAMES = ["../x", "a/b", "", ".", "..", "x" * 300, "a\nb", "a\r\nb", " ", "/x", "~", "a\\b"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work two folders below the test's own, so that a path that leads out of the storage and beyond is seen."""
    folder = tmp_path / "outside" / "work"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)


def write(content: object, name: str = "people.json") -> str:
    Path(name).write_text(json.dumps(content))
    return name


def learned(run: str, step: int | None = None) -> dict[str, dict[str, str]]:
    """Return what each agent of a stored run has learned, by role."""
    return {agent.name: agent.learned for agent in RepuNetModel.load(f"sim_storage/{run}", step).agents}


def state(run: str, step: int) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(f"sim_storage/{run}/step_{step}/state.json").read_text())
    return content


def everything(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


# Seeds


@pytest.mark.parametrize("scenario", GAMES)
def test_a_seed_that_is_resumed_equals_a_run(scenario: str) -> None:
    words = ["--scenario", scenario, "--gossip", "n", "--seed", "7", "-n", "6", "--activation", "sequential"]
    words += ["--backend-for", f"{EMMA}=always_defect"]
    assert main(["seed", *words, "--sim-name", "seeded"]) == 0
    assert {path.name for path in Path("sim_storage/seeded").iterdir()} == {
        "manifest.json",
        "manifest.sha256",
        "step_0",
    }
    assert main(["check", "seeded"]) == 0
    assert main(["resume", "seeded", "--steps", "3"]) == 0
    assert main(["run", *words, "--steps", "3", "--sim-name", "straight"]) == 0
    seeded, straight = contents(Path("sim_storage/seeded")), contents(Path("sim_storage/straight"))
    assert len(seeded) > 20
    assert seeded == straight


def test_a_seed_says_where_it_is_and_how_to_run_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["seed", "--scenario", "investment", "--sim-name", "demo"]) == 0
    shown = capsys.readouterr().out
    assert "Seed: sim_storage/demo (20 agents)" in shown
    command = shown.splitlines()[-1].partition("repunet ")[2]
    assert command == "run --from sim_storage/demo"
    assert main([*command.split(), "--sim-name", "run"]) == 0
    assert RepuNetModel.load("sim_storage/run").steps == 5
    assert RepuNetModel.load("sim_storage/demo").steps == 0


def test_a_seed_from_a_run_takes_what_was_learned_and_nothing_else() -> None:
    main(["run", "--scenario", "i", "--steps", "3", "--sim-name", "old"])
    assert main(["seed", "--from-seed", "old/step_2", "--sim-name", "new", "--seed", "5"]) == 0
    assert learned("new") == learned("old", 2) != learned("old")
    model = RepuNetModel.load("sim_storage/new")
    assert model.config.game == "investment"
    assert model.config.seed == 5
    assert model.graph.number_of_edges() == 0
    for agent in model.agents:
        assert agent.resources == 10
        assert agent.memory.snapshot() == ()
        assert list(agent.ledger.present()) == []
        assert agent.encounters == 0
    fresh = RepuNetModel(game="investment", rng=5)
    for agent in fresh.agents:
        agent.learned = learned("new")[agent.name]
    assert state("new", 0)["network"] == fresh.network.to_dict()
    assert main(["seed", "--from-seed", "sim_storage/old", "--sim-name", "last"]) == 0
    assert learned("last") == learned("old")


def test_a_seed_from_a_run_of_another_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    main(["run", "--steps", "1", "--sim-name", "game"])
    assert main(["seed", "--scenario", "sign", "--from-seed", "game", "--sim-name", "town", "-n", "4"]) == 0
    texts = {name: roles["player"] for name, roles in learned("game").items()}
    assert learned("town") == {name: {"resident": text} for name, text in list(texts.items())[:4]}
    main(["run", "--scenario", "i", "--steps", "1", "--sim-name", "money"])
    capsys.readouterr()
    line = complaint(["seed", "--scenario", "pd", "--from-seed", "money", "--sim-name", "other"], capsys)
    assert "Ahmed Hassan has learned something as 'investor', but the roles of prisoners_dilemma are player" in line


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([], "--sim-name"),
        (["--sim-name", "new", "--from-seed", "dream"], "no run at sim_storage/dream"),
        (["--sim-name", "new", "--from-seed", "old/step_9"], "step 9 of sim_storage/old is not there; the last is 0"),
        (["--sim-name", "new", "--from-seed", "old", "--personas", "x.json"], "--from-seed takes the personas"),
        (["--sim-name", "new", "--from-seed", "old", "-n", "7"], "6 personas, but n_agents is 7"),
        (["--sim-name", "old"], "run 'old' is already in sim_storage"),
        (["--sim-name", "new", "--backend", "openai"], "OPENAI_API_KEY is not set"),
        (["--sim-name", "new", "--backend-for", "Nobody=rules"], "no agent is called 'Nobody'"),
    ],
)
def test_a_seed_that_cannot_be_made_is_one_clear_line(
    words: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["seed", "--sim-name", "old", "-n", "6"])
    capsys.readouterr()
    assert problem in complaint(["seed", *words], capsys)


def test_a_damaged_run_is_no_seed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["run", "--steps", "1", "--sim-name", "old", "-n", "4"])
    file = Path("sim_storage/old/step_1/state.json")
    file.write_text(file.read_text().replace("You", "We"))
    capsys.readouterr()
    assert "is not what was written" in complaint(["seed", "--sim-name", "new", "--from-seed", "old"], capsys)
    assert "is not what was written" in complaint(["profiles", "--seeds", "old", "--out", "p.json"], capsys)


# Persona files


def started(content: object, *words: str) -> dict[str, dict[str, str]]:
    """Return what the agents of a seed with a persona file start from."""
    assert main(["seed", "--persona-file", write(content), "--sim-name", "demo", *words]) == 0
    return learned("demo")


def test_full_personas_start_from_a_text_or_from_texts_by_role() -> None:
    people: list[dict[str, Any]] = [
        {"name": "Ann", "disposition": "altruistic", "learned": "You trust."},
        {"name": "Bob", "disposition": "altruistic", "learned": {"investor": "You are wary.", "trustee": "You keep."}},
        {"name": "Cem", "disposition": "altruistic", "learned": {"trustee": "You share."}},
        {"name": "Dan", "disposition": "altruistic"},
    ]
    texts = started(people, "--scenario", "i")
    words = texts["Dan"]["investor"]
    assert texts == {
        "Ann": {"investor": "You trust.", "trustee": "You trust."},
        "Bob": {"investor": "You are wary.", "trustee": "You keep."},
        "Cem": {"investor": words, "trustee": "You share."},
        "Dan": {"investor": words, "trustee": words},
    }
    stored = json.loads(Path("sim_storage/demo/step_0/personas.json").read_text())
    assert [row["learned"] for row in stored] == [row.get("learned") for row in people]


def test_a_mapping_of_names_teaches_the_built_in_personas_that_it_names() -> None:
    texts = started({EMMA: "You are cautious."})
    usual = {name: roles for name, roles in texts.items() if name != EMMA}
    assert texts[EMMA] == {"player": "You are cautious."}
    assert list(texts) == [persona.name for persona in built_in()]
    assert usual == {a.name: a.learned for a in RepuNetModel(rng=1).agents if a.name != EMMA}


def test_a_mapping_of_names_fits_smaller_and_larger_populations() -> None:
    content = {EMMA: "You are cautious.", "Sofia Hernandez": "You are brave."}
    few = started(content, "-n", "6", "--sim-name", "demo")
    assert len(few) == 6
    assert few[EMMA] == {"player": "You are cautious."}
    main(["seed", "--personas", write({f"{EMMA} 2": "You are new."}), "-n", "30", "--sim-name", "many"])
    assert learned("many")[f"{EMMA} 2"] == {"player": "You are new."}


@pytest.mark.parametrize("key", ["pd", "pd_game", "prisoners_dilemma"])
def test_a_mapping_by_scenario_gives_each_its_own(key: str) -> None:
    content = {key: {EMMA: "You play."}, "investment": {EMMA: {"trustee": "You keep."}}, "sign_up": {EMMA: "You live."}}
    assert started(content)[EMMA] == {"player": "You play."}
    main(["seed", "--scenario", "i", "--personas", "people.json", "--sim-name", "money"])
    assert learned("money")[EMMA]["trustee"] == "You keep."
    assert main(["run", "--scenario", "s", "--personas", "people.json", "--sim-name", "town", "--steps", "1"]) == 0
    assert learned("town", 0)[EMMA] == {"resident": "You live."}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"Emma": "You."}, "nobody of the 20 built-in personas is called 'Emma'"),
        ({f"{EMMA} 2": "You."}, "nobody of the 20 built-in personas is called 'Emma Dubois 2'"),
        ({EMMA: ""}, f"persona {EMMA}.text: String should have at least 1 character"),
        ({EMMA: " \n"}, f"persona {EMMA}.text: String should have at least 1 character"),
        ({EMMA: 3}, f"persona {EMMA}.text: Input should be a valid string"),
        ({EMMA: None}, f"persona {EMMA}.text: Input should be a valid string"),
        ({EMMA: "You. " * 1000}, f"persona {EMMA}.text: String should have at most 4000 characters"),
        ({EMMA: {}}, f"persona {EMMA}.role"),
        ({EMMA: {"player": 3}}, f"persona {EMMA}.role.player: Input should be a valid string"),
        ({EMMA: {"trustee": "You."}}, f"{EMMA} has learned something as 'trustee', but the roles of prisoners_dilemma"),
        ({"investment": {EMMA: "You."}}, "has nothing for prisoners_dilemma, but for 'investment'"),
        ({"pd": {EMMA: "You."}, "p": {EMMA: "You."}}, "'pd' and 'p' are both prisoners_dilemma"),
        ({"pd": {EMMA: "You."}, EMMA: "You."}, f"'{EMMA}' has a text, where other entries are scenarios"),
        ({"pd": {"Emma": "You."}}, "people.json, pd: nobody of the 20 built-in personas is called 'Emma'"),
        ({"pd": None}, "people.json, pd: must be a list of personas, or a mapping"),
        ({"pd": {}}, "people.json, pd: names nobody"),
        ("You.", "must be a list of personas, or a mapping"),
        ({"x" * 300: "You."}, "is called 'xxx"),
        ({"a\nb": "You."}, "is called 'a\\nb'"),
        ([{"name": "Ann", "disposition": "altruistic", "learned": {"player": ""}}], "persona 0.learned.role.player"),
        ([{"name": "Ann", "disposition": "altruistic", "learned": 3}], "persona 0.learned.text"),
    ],
)
def test_a_persona_file_that_cannot_be_used_is_one_clear_line(
    content: object, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(content)
    for command in ("run", "seed"):
        line = complaint([command, "--personas", "people.json", "--sim-name", "demo"], capsys)
        assert "persona file people.json" in line
        assert problem in line


def test_a_name_that_is_twice_in_a_mapping_is_not_lost_silently(capsys: pytest.CaptureFixture[str]) -> None:
    Path("people.json").write_text(f'{{"{EMMA}": "You.", "{EMMA}": "They."}}')
    assert f"'{EMMA}' is there twice" in complaint(["run", "--personas", "people.json"], capsys)


def test_personas_can_be_handed_over_in_python(tmp_path: Path) -> None:
    people = generate(10, seed=1)
    model = RepuNetModel(personas=people, rng=1, storage=str(tmp_path))
    model.step()
    assert [agent.persona for agent in model.agents] == people
    assert model.folder is not None
    assert [agent.persona for agent in RepuNetModel.load(model.folder.path).agents] == people
    for odd in (3, None, [people[0]], [people[0], people[0]], [people[0], "Ann"]):
        with pytest.raises(RepuNetError, match="personas"):
            RepuNetModel(personas=odd)  # type: ignore[arg-type]


# Profiles


@pytest.mark.parametrize("scenario", GAMES)
def test_what_a_run_has_learned_is_where_another_starts(scenario: str) -> None:
    main(["run", "--scenario", scenario, "--steps", "3", "--sim-name", "old"])
    assert main(["profiles", "--seeds", "old/step_2", "--out", "profiles.json"]) == 0
    assert list(json.loads(Path("profiles.json").read_text())) == [scenario]
    words = ["run", "--scenario", scenario, "--steps", "1", "--personas", "profiles.json", "--sim-name", "new"]
    assert main(words) == 0
    assert learned("new", 0) == learned("old", 2) != learned("old", 0)


def test_profiles_keep_the_roles_of_an_investor_and_a_trustee_apart() -> None:
    main(["run", "--scenario", "i", "--steps", "4", "--sim-name", "old"])
    main(["profiles", "--seeds", "old", "--out", "profiles.json"])
    texts = json.loads(Path("profiles.json").read_text())["investment"]
    assert texts == learned("old")
    assert any(roles["investor"] != roles["trustee"] for roles in texts.values())


@pytest.mark.parametrize("words", [["--seeds", "one", "--seeds", "two"], ["--seeds", "one", "two"]])
def test_of_two_runs_the_later_one_wins_and_it_is_said(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main(["run", "--steps", "2", "--sim-name", "one"])
    main(["run", "--steps", "1", "--sim-name", "two", "-n", "4", "--seed", "2"])
    main(["run", "--scenario", "s", "--steps", "1", "--sim-name", "town"])
    capsys.readouterr()
    words = [*words, "town"] if len(words) == 3 else [*words, "--seeds", "town"]
    assert main(["profiles", *words, "--out", "profiles.json"]) == 0
    shown = capsys.readouterr()
    assert "Profiles: profiles.json (20 of prisoners_dilemma, 20 of sign_up)" in shown.out
    assert shown.err.count("\n") == 1
    assert "4 names of sim_storage/two/step_1 are in a run before it too" in shown.err
    texts = json.loads(Path("profiles.json").read_text())
    later = learned("two")
    assert texts["prisoners_dilemma"] == {
        name: later.get(name, roles)["player"] for name, roles in learned("one").items()
    }
    assert texts["sign_up"] == {name: roles["resident"] for name, roles in learned("town").items()}


def test_profiles_that_cannot_be_written_are_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    main(["seed", "--sim-name", "one"])
    write("mine", "taken.json")
    capsys.readouterr()
    for words, problem in (
        (["--seeds", "one", "--out", "taken.json"], "taken.json is already there"),
        (["--seeds", "one", "--out", "."], ". is already there"),
        (["--seeds", "one", "--out", "taken.json/x.json"], "taken.json/x.json cannot be written"),
        (["--seeds", "one", "--out", "x" * 300], "cannot be written: File name too long"),
        (["--seeds", "one", "dream", "--out", "p.json"], "no run at sim_storage/dream"),
        (["--seeds", "one/step_3", "--out", "p.json"], "step 3 of sim_storage/one is not there"),
        (["--seeds", "one", "--seeds", "one", "one", "--out", "p.json"], "behind one --seeds"),
        (["--seeds", "one"], "--out"),
        (["--out", "p.json"], "--seeds"),
    ):
        assert problem in complaint(["profiles", *words], capsys)
    assert json.loads(Path("taken.json").read_text()) == "mine"


# Generated personas


def test_generated_personas_are_the_same_for_the_same_seed_and_others_for_another() -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "-1")):
        assert main(["generate-personas", "-n", "100", "--seed", seed, "--out", name]) == 0
    assert Path("a").read_bytes() == Path("b").read_bytes() != Path("c").read_bytes()


def test_generated_personas_are_the_same_on_every_machine() -> None:
    people = [(p.name, p.disposition.value, p.age, p.gender, p.country) for p in generate(2, seed=1)]
    assert people == [
        ("Kojo Antwi", "self-interested", 38, "male", "Ghana"),
        ("Rahul Reddy", "altruistic", 53, "male", "India"),
    ]


@pytest.mark.parametrize(
    ("n", "share", "altruists"), [(100, 0.5, 50), (5, 0.5, 3), (7, 0.29, 2), (100, 0.29, 29), (4, 0, 0), (4, 1, 4)]
)
def test_dispositions_are_drawn_exactly_by_share(n: int, share: float, altruists: int) -> None:
    counts = Counter(persona.disposition.value for persona in generate(n, seed=1, altruistic=share))
    assert counts == Counter({"altruistic": altruists, "self-interested": n - altruists})


def test_generated_personas_are_filtered_and_have_shares_and_further_traits() -> None:
    table = {
        "traits": {"village": {"Lindau": 0.25, "Au": 0.75}, "craft": ["baker", "smith"], "sons": {"from": 1, "to": 3}}
    }
    words = ["--set", "share of women=0.6", "--set", "ages=30-33", "--set", "countries=Japan,Ghana,Italy"]
    words += ["--set", "share of Japan=0.5", "--traits", write(table, "traits.json")]
    assert main(["generate-personas", "-n", "40", *words, "--out", "some.json"]) == 0
    people = [Persona.model_validate(row) for row in json.loads(Path("some.json").read_text())]
    assert Counter(each.gender for each in people) == {"female": 24, "male": 16}
    assert {each.age for each in people} == {30, 31, 32, 33}
    countries = Counter(each.country for each in people)
    assert countries["Japan"] == 20
    assert set(countries) == {"Japan", "Ghana", "Italy"}
    assert Counter(each.traits["village"] for each in people) == {"Lindau": 10, "Au": 30}
    assert {each.traits["craft"] for each in people} == {"baker", "smith"}
    assert {each.traits["sons"] for each in people} == {1, 2, 3}
    assert len({each.name for each in people}) == 40


def test_a_file_of_traits_leaves_all_else_as_it_is() -> None:
    write({"traits": {"craft": ["baker", "smith"]}}, "traits.json")
    people = generate(30, 1, traits=Path("traits.json"))
    assert [each.model_copy(update={"traits": {}}) for each in people] == generate(30, 1)


def test_ten_thousand_personas_differ() -> None:
    assert main(["generate-personas", "-n", "10000"]) == 0
    people = [Persona.model_validate(row) for row in json.loads(Path("personas_10000.json").read_text())]
    assert len({persona.name for persona in people}) == 10_000
    ages = [persona.age for persona in people if persona.age is not None]
    assert {min(ages), max(ages)} == {18, 80}
    assert 0.45 < sum(persona.gender == "female" for persona in people) / 10_000 < 0.55
    assert len({persona.country for persona in people}) >= 20


def test_a_hundred_generated_personas_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate-personas"]) == 0
    command = capsys.readouterr().out.splitlines()[-1].partition("repunet ")[2].split()
    assert main([*command, "--steps", "1", "--sim-name", "demo"]) == 0
    assert len(RepuNetModel.load("sim_storage/demo").agents) == 100


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["-n", "1"], "-n"),
        (["-n", "1000000"], "1000000 personas: the table of traits has names for 2 to 13200"),
        (["--altruistic", "1.5"], "share of altruists is 1.5"),
        (["--altruistic", "nan"], "share of altruists is nan"),
        (["--seed", "soon"], "--seed"),
        (["--out", ""], "is already there"),
        (["--set", "women=0.6"], "women=0.6: set ages, countries, 'share of women' or the share of a country"),
        (["--set", "share of Mars=0.6"], "share of Mars=0.6: set ages, countries"),
        (["--set", "share of women=2"], "share of women is '2': must be a share from 0 to 1"),
        (["--set", "share of women"], "must read NAME=VALUE"),
        (["--set", "ages=40"], "ages=40: write a range up to 150"),
        (["--set", "countries=Mars"], "no country 'Mars': there are Argentina"),
        (["--set", "countries=Japan", "--set", "share of Italy=0.1"], "share of Italy: is not among the countries"),
        (["--set", "share of Japan=0.6", "--set", "share of Italy=0.6"], "shares must be from 0 to 1 and sum to at"),
        (["-n", "700", "--set", "countries=Japan"], "has names for 2 to "),
        (["-n", "500", "--set", "share of Japan=1", "--set", "share of women=1"], "500 personas (female from Japan)"),
        (["--traits", "none.json"], "file of traits none.json: no such file"),
    ],
)
def test_personas_that_cannot_be_generated_are_one_clear_line(
    words: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert problem in complaint(["generate-personas", *words], capsys)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([], "must be an object with ages, countries, traits"),
        ({"villages": []}, "villages"),
        ({"ages": [1]}, "ages"),
        ({"traits": {"home": []}}, "traits.home"),
        ({"traits": {"home": 3}}, "traits.home"),
        ({"traits": {"home": {"Au": 0.5}}}, "trait 'home': {'Au': 0.5}: shares must be from 0 to 1 and sum to 1"),
        ({"traits": {"sons": {"from": 3, "to": 1}}}, "trait 'sons': from 3 to 1 is no range"),
        ({"traits": {"age": ["old"]}}, "traits.age: is a field of every persona and cannot be drawn"),
        ({"biography": ["..."]}, "biography: unknown; known are ages, countries, traits"),
    ],
)
def test_a_file_of_traits_that_cannot_be_used_is_one_clear_line(
    content: object, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["generate-personas", "-n", "4", "--traits", write(content, "traits.json")]
    assert problem in complaint(words, capsys)


# Odd names


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_of_runs_touch_nothing(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["seed", "--sim-name", "demo", "-n", "2"])
    capsys.readouterr()
    before = everything(tmp_path)
    for words in (
        ["run", "--sim-name", name],
        ["seed", "--sim-name", name],
        ["seed", "--sim-name", "new", "--from-seed", name],
        ["profiles", "--seeds", name, "--out", "p.json"],
        ["resume", name],
        ["resume", "demo/step_0", "--sim-name", name, "--backend", "always_defect"],
        ["fork", "demo", "--sim-name", name],
        ["fork", name],
        ["show", name],
        ["check", name],
        ["run", "--backend", f"replay:{name}"],
    ):
        complaint(words, capsys)
        assert everything(tmp_path) == before


@pytest.mark.parametrize("name", ["../x", "a/b", ".", "..", "/x", "~", "a\\b"])
def test_odd_names_of_personas_are_only_names(name: str, tmp_path: Path) -> None:
    people = [{"name": name, "disposition": "altruistic"}, {"name": "Bob", "disposition": "self-interested"}]
    file = write(people)
    assert main(["run", "--personas", file, "--steps", "2", "--sim-name", "demo"]) == 0
    assert main(["show", "demo", "--agent", name]) == 0
    assert name in learned("demo")
    written = everything(tmp_path) - {Path.cwd() / file, Path.cwd(), Path.cwd().parent, Path.cwd() / "sim_storage"}
    assert all(path.is_relative_to(Path.cwd() / "sim_storage" / "demo") for path in written)


@pytest.mark.parametrize("name", ["", " ", "x" * 300, "a\nb", "a\r\nb", "\x00", "\u202eb"])
def test_personas_without_a_plain_name_are_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write([{"name": name, "disposition": "altruistic"}, {"name": "Bob", "disposition": "self-interested"}])
    before = everything(tmp_path)
    assert "persona 0.name" in complaint(["run", "--personas", "people.json"], capsys)
    assert everything(tmp_path) == before
