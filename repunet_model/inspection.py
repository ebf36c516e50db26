"""A stored run in words: one step, or one agent, as lines of text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from repunet_model import metrics, persistence
from repunet_model.errors import ConfigurationError
from repunet_model.modes import parts_in_words
from repunet_model.network import SocialNetwork
from repunet_model.questions.base import said
from repunet_model.reputation import ReputationRecord
from repunet_model.words import one_line

if TYPE_CHECKING:
    from repunet_model.storage import Row, RunFolder


def of_step(folder: RunFolder, step: int) -> Iterator[str]:
    """Yield what happened in a step: choices, encounters and what was thought of them, gossip, records, ties.

    Args:
        folder: The run.
        step: The step; step 0 is the seed.
    """
    yield _heading(folder, f"step {step}")
    if step == 0:
        for row in folder.document(0, "personas"):
            yield f"  {row['name']} ({row['disposition']})"
        return
    measured = {name: value for name, value in folder.document(step, "metrics").items() if value is not None}
    yield "  " + ", ".join(f"{name} {_number(value)}" for name, value in measured.items())
    declarations = folder.table(step, "declarations")
    if declarations:
        yield from ("", "Public choices")
    for row in declarations:
        yield f"  {row['agent']}: {'yes' if row['cooperated'] else 'no'}. {said(row['reason'])}"
    calls = list(persistence.asked(folder.table(step, "calls")))
    opening = [row for row in calls if row["stage"] == "opening" and "decision" in row["answer"] and row["about"]]
    if opening:
        yield from ("", "After reading what is public")
    yield from (f"  {row['agent']} about {row['about']}: {_decision(row)}" for row in opening)
    yield from ("", "Encounters")
    events = {row["agent"]: row for row in folder.table(step, "events")}
    thoughts: dict[str, list[Row]] = {}
    for row in calls:
        if row["stage"] == "encounter":
            thoughts.setdefault(row["agent"], []).append(row)
    for row in folder.table(step, "interactions"):
        yield f"  {row['first']} and {row['second']}: {row['course']}"
        for name, other in ((row["first"], row["second"]), (row["second"], row["first"])):
            yield f"    {name}: {one_line(events[name]['text'])}"
            for call in thoughts.get(name, ()):
                yield from _thoughts(call, other)
        for speaker, text in row.get("conversation") or ():
            yield f"    {speaker}: {said(text)}"
    gossip = folder.table(step, "gossip")
    if gossip:
        yield from ("", "Gossip")
    for row in gossip:
        yield from _gossip(row)
    yield from ("", "Reputations")
    yield from (f"  {row['holder']} of {_record(row)}" for row in folder.table(step, "records"))
    yield from ("", "Ties")
    yield from (f"  {_tie(row)}" for row in folder.table(step, "ties"))
    network = SocialNetwork.from_dict(folder.document(step, "state")["network"])
    yield f"  nobody is tied to: {', '.join(metrics.isolated(network.graph)) or '-'}"


def of_agent(folder: RunFolder, name: str, step: int) -> Iterator[str]:
    """Yield who an agent is after a step, what it went through until then, and what it and others think.

    Args:
        folder: The run.
        name: The agent.
        step: The last step to read.

    Raises:
        ConfigurationError: If nobody in the run has the name.
    """
    people = {row["name"]: row for row in folder.document(0, "personas")}
    if name not in people:
        raise ConfigurationError(f"no agent is called {name!r} in {folder.path}: there are {', '.join(people)}")
    state = folder.document(step, "state")
    agent = next(row for row in state["agents"] if row["name"] == name)
    yield _heading(folder, f"{name} after step {step}")
    traits = [people[name][trait] for trait in ("disposition", "age", "gender", "country")]
    yield f"  {', '.join(str(trait) for trait in traits if trait is not None)}; owns {agent['resources']} units"
    for role, learned in agent["learned"].items():
        yield f"  as {role}: {one_line(learned)}"
    ties = [(other, roles) for a, other, roles in state["network"]["ties"] if a == name]
    yield "  tied to: " + (", ".join(f"{other} ({', '.join(roles)})" for other, roles in ties) or "nobody")
    avoided = state["network"]["blacklists"][name]
    yield "  avoids: " + (", ".join(f"{other} ({role})" for other, role in avoided) or "nobody")
    own: dict[tuple[str, str], Row] = {}
    of_it: dict[tuple[str, str], Row] = {}
    past: list[str] = []
    first = 0 if "imported" in folder.manifest() else 1
    for number in range(first, step + 1):
        for row in folder.table(number, "records"):
            if row["holder"] == name:
                own[row["subject"], row["role"]] = row
            elif row["subject"] == name:
                of_it[row["holder"], row["role"]] = row
        past += [f"  {one_line(row['text'])}" for row in folder.table(number, "events") if row["agent"] == name]
        for row in folder.table(number, "gossip"):
            if name in (row["gossiper"], row["listener"]):
                at = row.get("step", number)
                past += (f"  Round {at}: {line.strip()}" if line[2] != " " else line for line in _gossip(row))
        past += [f"  Round {number}: {_tie(row)}" for row in folder.table(number, "ties") if row["agent"] == name]
    yield from ("", "What it thinks")
    yield from (f"  of {_record(row)}" for row in own.values())
    yield from ("", "What others think of it")
    yield from (f"  {holder}: {_record(row)}" for (holder, _), row in of_it.items())
    yield from ("", "What it went through")
    yield from past


def _thoughts(call: Row, other: str) -> Iterator[str]:
    """Yield the decisions and judgements of an answer, with their reasons."""
    answer = call["answer"]
    if call["question"] == "evaluate":
        yield f"      found {other}'s conduct {answer['partner']}: {said(answer['partner_reason'])}"
        yield f"      and its own {answer['own']}: {said(answer['own_reason'])}"
    elif "reason" in answer:
        yield f"      {_decision(call)}"


def _decision(call: Row) -> str:
    """Return what was decided, and why."""
    answer = call["answer"]
    decided = [str(value) for name, value in answer.items() if name not in {"reason", "tone"}]
    return f"{call['question'].replace('_', ' ')}: {', '.join(decided)}. {said(answer['reason'])}"


def _heading(folder: RunFolder, what: str) -> str:
    manifest = folder.manifest()
    parts = parts_in_words(manifest["reputation"], manifest["gossip"])
    return f"{folder.path.name}, {what} ({manifest['game']}, {parts})"


def _number(value: float) -> str:
    return f"{value:.3g}"


def _record(row: Row) -> str:
    source = f" from {row['source']}" if row["source"] else ""
    score = ReputationRecord.from_dict(row).score
    return f"{row['subject']} as {row['role']}: {score:+.2f} {said(row['text'])} ({row['cause']}{source})"


def _tie(row: Row) -> str:
    return f"{row['agent']} {'ties itself to' if row['bound'] else 'breaks with'} {row['other']} as {row['role']}"


def _gossip(row: dict[str, Any]) -> Iterator[str]:
    origin = f", who had it from {row['origin']}," if row["origin"] else ""
    yield f"  {row['gossiper']}{origin} told {row['listener']} something {row['tone']} about {row['subject']}"
    for speaker, text in row["dialogue"]:
        yield f"    {speaker}: {said(text)}"
    passed = f", and told {row['passed_on_to']}" if row["passed_on_to"] else ""
    yield f"    {row['listener']} found it {row['credibility']}{passed}: {said(row['summary'])}"
