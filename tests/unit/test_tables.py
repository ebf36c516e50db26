"""The tables of docs/odd.md and docs/reproducibility.md say what the code does."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from enum import StrEnum
from functools import partial
from importlib import import_module
from itertools import product
from math import exp, inf, isinf, nextafter
from pathlib import Path
from pkgutil import walk_packages
from random import Random
from typing import Any

import pytest

import repunet_model
from repunet_model import RepuNetModel
from repunet_model.backends.endpoint import Sampling
from repunet_model.backends.mind import Mind, Rules
from repunet_model.backends.planted import RATE, Settings
from repunet_model.backends.policies import FixedPolicy
from repunet_model.backends.rules import evaluate, update_record
from repunet_model.config import RATIONAL
from repunet_model.error_rates import MEASURE_OF, ErrorKind, ErrorRates
from repunet_model.errors import ConfigurationError
from repunet_model.games import GAMES, find
from repunet_model.games.parameters import limits
from repunet_model.games.prisoners_dilemma import ChooseMove, Move, PrisonersDilemmaParameters, choose_move
from repunet_model.initial_network import InitialNetwork
from repunet_model.measures import MEASURES
from repunet_model.mechanism import PAPER, PUBLISHED, Mechanism, described, in_words, values_of
from repunet_model.memory import Event
from repunet_model.personas import Disposition, Persona, built_in
from repunet_model.questions.base import Credibility, Opinion, Question
from repunet_model.questions.compound import Compound
from repunet_model.questions.encounter import Evaluate, Hearsay, UpdateRecord
from repunet_model.reputation import Level, ReputationRecord
from tests import ROOT

DOCS = ROOT / "docs"
PAGES = "\n".join((DOCS / page).read_text(encoding="utf-8") for page in ("odd.md", "reproducibility.md"))
OWN_GAMES = ("prisoners_dilemma", "investment", "sign_up", "donation")
ANN = Persona(name="Ann", disposition=Disposition.ALTRUISTIC)


def table(heading: str) -> list[list[str]]:
    """Return the rows of the one table of all pages whose first column has a heading, without the marks of code."""
    (found,) = re.findall(rf"^\| {heading} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", PAGES, re.MULTILINE)
    return [[cell.strip().replace("`", "") for cell in row.strip("|").split("|")] for row in found.splitlines()]


def column(heading: str, place: int = 1) -> dict[str, str]:
    return {row[0]: row[place] for row in table(heading)}


def mind(rules: Rules) -> Mind:
    return Mind(rules, ANN, lambda: Random(1))


def subclasses(kind: type[Question[Any]]) -> set[type[Question[Any]]]:
    below: set[type[Question[Any]]] = set(kind.__subclasses__())
    return below.union(*map(subclasses, below))


def test_agent_variables() -> None:
    model = RepuNetModel(n_agents=2, rng=1)
    agent = model.agents.to_list()[0]
    assert set(column("agent variable")) == {"persona", "ledger", "memory", *agent.state()} - {"name"}
    for name, first in column("agent variable", 2).items():
        value = getattr(agent, name)
        match first:
            case "empty":
                assert not list(value.present() if name == "ledger" else value.snapshot())
            case "none":
                assert value is None
            case "input" | "the words of its disposition, or input":
                assert value
            case _:
                assert str(value) == first, name


def test_model_parameters() -> None:
    signature = inspect.signature(RepuNetModel).parameters  # compared with RunConfig in tests/societies/test_config.py
    assert column("model parameter") == {name: str(parameter.default) for name, parameter in signature.items()}


def test_switches() -> None:
    assert table("mechanism switch") == [
        [
            switch,
            values_of(switch),
            in_words(getattr(PAPER, switch)),
            in_words(getattr(PUBLISHED, switch)),
            described(switch).meaning,
        ]
        for switch in Mechanism.model_fields
    ]
    page = (DOCS / "differences.md").read_text(encoding="utf-8")
    for switch in Mechanism.model_fields:
        told = described(switch)
        assert f"| `{switch}` | {told.paper} | {told.code} | {in_words(getattr(PAPER, switch))} |\n" in page


def test_policies() -> None:
    assert column("policy") == {policy: Settings.NAMES.get(policy, "") for policy in FixedPolicy}
    assert f"`rate` is {RATE} by default" in PAGES


def test_errors() -> None:
    games = {kind: [name for name in OWN_GAMES if kind in find(name).errors] for kind in ErrorKind}
    assert table("error") == [
        [kind, ErrorRates.model_fields[kind].description, ", ".join(games[kind]) or "all, with gossip"]
        for kind in ErrorKind
    ]


@pytest.mark.parametrize(("name", "value"), column("constant").items())
def test_constants(name: str, value: str) -> None:
    module, _, constant = name.rpartition(".")
    assert str(getattr(import_module(module), constant)) == value


def all_questions() -> dict[str, type[Question[Any]]]:
    for module in walk_packages(repunet_model.__path__, "repunet_model."):
        if module.name.startswith(("repunet_model.games", "repunet_model.questions")):
            import_module(module.name)
    return {
        kind.name: kind
        for kind in subclasses(Question)
        if kind.__module__.startswith(("repunet_model.games.", "repunet_model.questions."))
        and not issubclass(kind, Compound)
        and hasattr(kind, "name")
    }


def test_questions() -> None:
    assert column("question", 3) == {
        name: ", ".join(kind.answer.model_fields) for name, kind in all_questions().items()
    }


def test_closed_choices() -> None:
    assert column("closed choice") == {
        f"{name}.{field}": ", ".join(described.annotation)
        for name, kind in all_questions().items()
        for field, described in kind.answer.model_fields.items()
        if isinstance(described.annotation, type) and issubclass(described.annotation, StrEnum)
    }


def test_sampling() -> None:
    assert column("sampling parameter") == {field.name: str(field.default) for field in fields(Sampling)}


def test_payoffs() -> None:
    parameters = PrisonersDilemmaParameters.read({"temptation": 7, "reward": 5, "punishment": 2, "sucker": -1}, "it")
    rows = {(Move(own), Move(other)): (gain, theirs) for own, other, gain, theirs in table("own move")}
    assert set(rows) == set(product(Move, repeat=2))
    for (own, other), (gain, theirs) in rows.items():
        assert getattr(parameters, gain) == parameters.payoff(own, other)
        assert getattr(parameters, theirs) == parameters.payoff(other, own)


@pytest.mark.parametrize("name", OWN_GAMES)
def test_parameters_of_games(name: str) -> None:
    parameters = find(name).parameters
    assert {row[0]: row[1:5] for row in table("game parameter") if row[0].partition(".")[0] in (name, "game")} == {
        f"{name if field in vars(type(parameters))['__annotations__'] else 'game'}.{field}": [
            str(described.default),
            *map(str, limits(described)),
        ]
        for field, described in type(parameters).model_fields.items()
    }


class Drawn(Random):
    """A stream that always draws the same number."""

    def __init__(self, number: float) -> None:
        super().__init__(0)
        self.number = number

    def random(self) -> float:
        return self.number


def formulas() -> list[str]:
    """Return the three terms of the advantage of cooperation in docs/odd.md as Python."""
    found = re.search(
        r"cooperating is d = (.+?)\. An altruist adds (.+?); a\s+self-interested agent adds (.+?) where",
        PAGES,
        re.DOTALL,
    )
    assert found is not None
    return [
        re.sub(r"(?<=[h)]) \(", " * (", " ".join(term.translate({8722: "-", 183: "*"}).split()))
        for term in found.groups()
    ]


NOBODY, UNKNOWN = None, Opinion(None)
GOOD = Opinion(ReputationRecord.from_level("Bob", "player", "good", Level.GOOD, 0.6))


@pytest.mark.parametrize("temptation", [3, 4, 5, 6, 7, 8, 4.25])
@pytest.mark.parametrize("opinion", [NOBODY, UNKNOWN, GOOD])
@pytest.mark.parametrize("disposition", list(Disposition))
@pytest.mark.parametrize("moves", ["", "CD", "DDD"])
def test_choices_by_the_rules_are_those_of_the_formula(
    temptation: float, opinion: Opinion | None, disposition: Disposition, moves: str
) -> None:
    parameters = PrisonersDilemmaParameters.read({"temptation": temptation, "reward": 3.5, "sucker": -1}, "it")
    rules = Rules(precision=0.7, altruism=0.8, learning_rate=0.3, discount=0.9)
    is_altruist = disposition is Disposition.ALTRUISTIC
    expected = rules.altruist_expectation if is_altruist else rules.expectation
    h = (expected + moves.count("C")) / (1 + len(moves))
    if opinion is not None and opinion.record is not None:
        h = (1 + opinion.record.score) / 2
    given = {
        **{"T": temptation, "R": 3.5, "P": 1, "S": -1, "h": h, "altruism": rules.altruism},
        "V": lambda stake: 0.3 * stake * 0.9 / (1 - 0.9 * (1 - 0.3)),
    }
    base, altruistic, reputed = (eval(term, given) for term in formulas())
    advantage = base + (altruistic if is_altruist else reputed if opinion is not None else 0)
    probability = 1 / (1 + exp(-rules.precision * advantage))
    question = ChooseMove(
        partner="Bob",
        own_opinion=opinion,
        partner_opinion=opinion,
        events=tuple(Event(1, "Cy", "player", True, move == "C", 0.0, "") for move in moves),
        parameters=parameters,
    )
    persona = Persona(name="Ann", disposition=disposition)
    for number, move in ((probability - 1e-12, Move.COOPERATE), (probability + 1e-12, Move.DEFECT)):
        assert choose_move(question, Mind(rules, persona, partial(Drawn, number))).decision is move


def test_initial_networks() -> None:
    named = [name for row in table("initial network") for name in row[0].split(", ")]
    with pytest.raises(ConfigurationError) as failure:
        InitialNetwork.read("?")
    assert named == re.sub(r":FILE|or ", "", str(failure.value).partition("choose ")[2]).split(", ")


def test_games() -> None:
    def yes(value: bool) -> str:
        return "yes" if value else "no"

    assert {row[0]: row[1:] for row in table("game")} == {
        name: [
            ", ".join(find(name).roles),
            "random" if find(name).random_pairs else "by choice",
            yes(find(name).has_rounds),
            yes(find(name).publishes_evaluations),
        ]
        for name in OWN_GAMES
    }
    assert set(OWN_GAMES) <= set(GAMES)


def test_measures() -> None:
    told = [name for names in column("measure") for name in names.split(", ")]
    assert len(told) == len(set(told))
    assert set(told) == {*MEASURES, *MEASURE_OF.values(), *(rate for name in OWN_GAMES for rate in find(name).rates)}


def test_personas() -> None:
    assert table("persona") == [
        [each.name, str(each.age), each.gender, each.country, each.disposition.value] for each in built_in()
    ]
    assert {each.disposition for each in built_in(RATIONAL)} == {Disposition.SELF_INTERESTED}


def test_rule_parameters() -> None:
    assert column("rule parameter") == {field.name: str(field.default) for field in fields(Rules)}
    for name, _, low, high, _ in table("rule parameter"):
        least, most = float(low), float(high.replace("∞", "inf"))
        assert getattr(Rules(**{name: least}), name) == least
        with pytest.raises(ConfigurationError):
            Rules(**{name: nextafter(least, -inf)})
        if not isinf(most):
            assert getattr(Rules(**{name: most}), name) == most
            with pytest.raises(ConfigurationError):
                Rules(**{name: nextafter(most, inf)})


def test_conduct_by_the_rules() -> None:
    for act, towards, by_partner, by_oneself in table("own act"):
        own, other = act == "cooperated", towards == "cooperated"
        question = Evaluate(
            partner="Bob",
            account="",
            own_cooperated=own,
            partner_cooperated=other,
            own_opinion=None,
            partner_opinion=None,
        )
        assert evaluate(question, mind(Rules())).own.value == by_oneself
        mirrored = Evaluate(
            partner="Bob",
            account="",
            own_cooperated=other,
            partner_cooperated=own,
            own_opinion=None,
            partner_opinion=None,
        )
        assert evaluate(mirrored, mind(Rules())).partner.value == by_partner


def test_belief_by_the_rules() -> None:
    rules = Rules(learning_rate=1.0, hearsay=1.0)
    beliefs = column("credibility")
    assert list(beliefs) == [credibility.value for credibility in Credibility]
    for credibility, belief in beliefs.items():
        hearsay = Hearsay("Cy", "He is kind.", positive=True, credibility=Credibility(credibility))
        question = UpdateRecord(subject="Bob", role="player", is_self=False, previous=None, hearsay=hearsay)
        answer = update_record(question, mind(rules))
        expected = float(belief)
        assert answer.level.value == ("neutral" if not expected else "very good" if expected > 0.6 else "good")
        assert answer.certainty == (100 * expected or 50)


def test_manifest(tmp_path: Path) -> None:
    model = RepuNetModel(n_agents=2, rng=1, storage=str(tmp_path), run_name="run")
    assert model.folder is not None
    with model:
        model.step()
        fork = model.folder.fork(1, tmp_path, "fork", {"seed": 2})
    assert list(column("field")) == list(fork.manifest().data)
    assert list(column("field"))[:-1] == list(model.folder.manifest().data)
    assert "parent" in fork.manifest().data
    packages = re.split(r", | and ", column("field")["versions"].removeprefix("of "))
    assert [name.lower() for name in packages] == list(fork.manifest().data["versions"])
