"""A checker of stored runs, written from docs/odd.md: it reads the files and computes what the page defines.

It uses nothing of the package but to make the runs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

from repunet_model import RepuNetModel
from repunet_model.backends.mind import Rules
from tests.backends import Overheard, RandomReplies

Row = dict[str, Any]

STEPS = 7
SEED = 3
TALKATIVE = Rules(gossip_threshold=0.0, social_precision=1.0)
LISTS = ("interactions", "events", "records", "gossip", "ties", "calls")


@dataclass
class Stored:
    """A step of a stored run."""

    number: int
    state: Row
    metrics: Row
    rows: dict[str, list[Row]]


def read(run: Path) -> Iterator[Stored]:
    """Yield the steps of a run, from step 1."""
    for number in range(1, STEPS + 1):
        folder = run / f"step_{number}"
        rows = {name: list(map(json.loads, (folder / f"{name}.jsonl").read_text().splitlines())) for name in LISTS}
        state, metrics = (json.loads((folder / f"{name}.json").read_text()) for name in ("state", "metrics"))
        yield Stored(number, state, metrics, rows)


def answers(calls: list[Row]) -> Iterator[tuple[str, Row]]:
    """Yield question and answer of every call, and of every answered part of a fused one."""
    for call in calls:
        for part, (question, _, _) in call.get("parts", {"": [call["question"], "", ""]}).items():
            answer = call["answer"][part] if part else call["answer"]
            if answer is not None:
                yield question, answer


def stored(tmp_path: Path, game: str, questions: str = "single", **parameters: Any) -> Path:
    given = {"n_agents": 12, "backend": Overheard(TALKATIVE), "dialogue_turns": 5, **parameters}
    with RepuNetModel(game=game, questions=questions, rng=SEED, storage=str(tmp_path), run_name="it", **given) as model:
        for _ in range(STEPS):
            model.step()
    return tmp_path / "it"


@pytest.mark.parametrize("questions", ["single", "fused"])
@pytest.mark.parametrize("game", ["prisoners_dilemma", "investment", "sign_up"])
def test_the_measures_of_a_stored_run_are_those_of_the_page(game: str, questions: str, tmp_path: Path) -> None:
    run = stored(tmp_path, game, questions)
    people = json.loads((run / "step_0" / "personas.json").read_text())
    names = [person["name"] for person in people]
    disposition = {person["name"]: person["disposition"] for person in people}
    memory: dict[str, list[Row]] = {name: [] for name in names}
    scores: dict[tuple[str, str], dict[str, float]] = {}
    lapsed = 0
    for step in read(run):
        rows, metrics = step.rows, step.metrics
        assert metrics["calls"] == len(rows["calls"])
        assert any("parts" in call for call in rows["calls"]) is (questions == "fused")

        wanted = sum(
            answer["decision"] in {"gossip", "pass it on"}
            for question, answer in answers(rows["calls"])
            if question in {"wish_to_gossip", "hear"}
        )
        assert metrics["gossip_lapsed"] == wanted - len(rows["gossip"])
        lapsed += metrics["gossip_lapsed"]

        if game == "investment":
            deals = [row for row in rows["interactions"] if row["accepted"]]
            kept = [1 - row["actual_share"] / row["promised_share"] if row["promised_share"] else 0 for row in deals]
            expected = math.fsum(max(0, each) for each in kept) / len(deals) if deals else None
            assert metrics["cheating"] == (expected if expected is None else pytest.approx(expected))

        for event in rows["events"]:
            memory[event["agent"]] = [*memory[event["agent"]], event][-20:]
        shares = {}
        for name, events in memory.items():
            acts = [event["own_cooperated"] for event in events if event["own_cooperated"] is not None]
            if acts:
                shares[name] = sum(acts) / len(acts)
        ties = {(one, other) for one, other, _ in step.state["network"]["ties"]}
        assert metrics["ties"] == len(ties)
        both = [(shares[one], shares[other]) for one, other in sorted(ties) if one in shares and other in shares]
        check_correlation(metrics["assortativity_cooperation"], both)
        altruism = {name: float(disposition[name] == "altruistic") for name in names}
        check_correlation(metrics["assortativity_disposition"], [(altruism[a], altruism[b]) for a, b in sorted(ties)])

        if step.number % 5:
            assert metrics["communities"] is metrics["modularity"] is None
        else:
            graph: nx.DiGraph[int] = nx.DiGraph()
            graph.add_nodes_from(range(len(names)))
            graph.add_edges_from(sorted((names.index(one), names.index(other)) for one, other in ties))
            found = nx.community.louvain_communities(graph, seed=SEED)
            assert metrics["communities"] == len(found)
            assert metrics["modularity"] == pytest.approx(nx.community.modularity(graph, found))

        for row in rows["records"]:
            very_bad, bad, _, good, very_good = row["distribution"]
            score = min(1.0, max(-1.0, very_good + good - bad - very_bad))
            scores.setdefault((row["subject"], row["role"]), {})[row["holder"]] = score
        by_role: dict[str, list[float]] = {}
        for (subject, _), held in scores.items():
            by_role.setdefault(subject, []).append(math.fsum(held.values()) / len(held))
        own = {name: sum(means) / len(means) for name, means in by_role.items()}
        assert step.state["scores"] == pytest.approx(own)
        for kind in ("altruistic", "self-interested"):
            of_kind = [own.get(name, 0.0) for name in names if disposition[name] == kind]
            mean = sum(of_kind) / len(of_kind) if of_kind else None
            assert metrics[f"score_{kind.replace('-', '_')}"] == (mean if mean is None else pytest.approx(mean))
    assert lapsed > 0


def check_correlation(measured: float | None, pairs: list[tuple[float, float]]) -> None:
    """Compare a measure with Pearson's correlation of pairs."""
    if len({one for one, _ in pairs}) < 2 or len({other for _, other in pairs}) < 2:
        assert measured is None
        return
    mean_one, mean_other = (math.fsum(side) / len(pairs) for side in zip(*pairs, strict=True))
    product = math.fsum((one - mean_one) * (other - mean_other) for one, other in pairs)
    squares = [math.fsum((one - mean_one) ** 2 for one, _ in pairs)]
    squares.append(math.fsum((other - mean_other) ** 2 for _, other in pairs))
    assert measured == pytest.approx(product / math.sqrt(squares[0] * squares[1]))


def test_several_ties_cut_at_an_opening_are_cut_in_the_order_of_names(tmp_path: Path) -> None:
    before, step = list(read(stored(tmp_path, "sign_up")))[4:6]
    blacklists = before.state["network"]["blacklists"]
    most = 0
    for name, after in step.state["network"]["blacklists"].items():
        cut = sorted(
            call["about"]
            for call in step.rows["calls"]
            if call["stage"] == "opening" and call["agent"] == name and call["answer"].get("decision") == "cut the tie"
        )
        decided = [(row["other"], row["bound"]) for row in step.rows["ties"] if row["agent"] == name]
        assert decided[: len(cut)] == [(other, False) for other in cut]
        most = max(most, len(cut))
        avoided = [other for other, _ in blacklists[name]]
        for other, bound in decided:
            avoided = [each for each in avoided if each != other] if bound else [*avoided, other][-5:]
        assert after == [[other, "resident"] for other in avoided]
    assert most > 1


@pytest.mark.parametrize(("allowed", "longest"), [(2, 2), (3, 2), (4, 4), (5, 4), (6, 6)])
def test_gossip_has_an_even_number_of_turns_and_what_enough_says_is_discarded(
    allowed: int, longest: int, tmp_path: Path
) -> None:
    run = stored(tmp_path, "prisoners_dilemma", backend=RandomReplies(), dialogue_turns=allowed)
    lengths, discarded = set(), 0
    for step in read(run):
        spoken = {text for row in step.rows["gossip"] for _, text in row["dialogue"]}
        for row in step.rows["gossip"]:
            lengths.add(len(row["dialogue"]))
            assert [speaker for speaker, _ in row["dialogue"]] == [row["gossiper"], row["listener"]] * (
                len(row["dialogue"]) // 2
            )
        for question, answer in answers(step.rows["calls"]):
            if question == "respond":
                assert (answer["message"] in spoken) is (answer["decision"] == "go on")
                discarded += answer["decision"] == "enough"
    assert max(lengths) == longest
    assert all(length % 2 == 0 for length in lengths)
    assert (discarded > 0) is (allowed >= 4)


@pytest.mark.parametrize("turns", [4, 5])
def test_a_talk_has_all_its_turns(turns: int, tmp_path: Path) -> None:
    run = stored(tmp_path, "sign_up", dialogue_turns=turns)
    talks = [row for step in read(run) for row in step.rows["interactions"] if row["talked"]]
    assert {len(row["conversation"]) for row in talks} == {turns}


@pytest.mark.parametrize("reputation", [True, False])
def test_reasons_of_public_choices_reach_those_alone_who_hold_a_record(reputation: bool, tmp_path: Path) -> None:
    backend = Overheard(TALKATIVE, frozenset({("sign_up", "reason")}))
    stored(tmp_path, "sign_up", backend=backend, reputation=reputation)
    shown = [request for request in backend.requests if "points to me." in request.prompt]
    assert bool(shown) is reputation
    for request in shown:
        assert request.coordinates.stage == "opening"
        assert request.coordinates.step == 6
