"""Describe a step or an agent of a stored run as lines of text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from repunet_model import measures, stages
from repunet_model.backends.asked import not_taken
from repunet_model.backends.base import Usage, usage_by_backend
from repunet_model.errors import ConfigurationError
from repunet_model.questions.base import said
from repunet_model.reputation import score_of
from repunet_model.results.stored_game import game_of
from repunet_model.stages.institutions import in_public
from repunet_model.storage import to_json
from repunet_model.storage.roster import LEAVES
from repunet_model.storage.schema import (
    CALLS,
    DECLARATIONS,
    GOSSIP,
    INTERACTIONS,
    RECORDS,
    TIES,
    TURNOVER,
    turned_in_words,
)
from repunet_model.util.text import counted, one_line

if TYPE_CHECKING:
    from repunet_model.memory import Event
    from repunet_model.storage import Row, Step, StepReader
    from repunet_model.storage.schema import CallRow, GossipRow, RecordRow, TieRow


def of_step(run: StepReader, number: int, *, thoughts: bool = False) -> Iterator[str]:
    """Yield the choices, encounters with judgements, gossip, records and ties of a step; for step 0, the personas.

    With `thoughts`, the models' reasoning follows.
    """
    yield _heading(run, f"step {number}", number)
    if caveat := game_of(run).caveat:
        yield f"  {caveat}"
    if number == 0:
        for persona in run.personas:
            yield f"  {persona.name} ({persona.disposition})"
        return
    step = run.step(number)
    if lacking := not_taken(run, run.manifest, number, number):
        yield f"  the endpoint did not take: {lacking['not_taken']}"
    measured = {name: value for name, value in step.measures.items() if value is not None}
    yield "  " + ", ".join(f"{name} {value:.3g}" for name, value in measured.items())
    if turned := step.rows(TURNOVER):
        yield from ("", "Events", *(f"  {turned_in_words(row)}" for row in turned))
    if declarations := step.rows(DECLARATIONS):
        yield from ("", "Public choices")
    for row in declarations:
        yield f"  {row['agent']}: {'yes' if row['cooperated'] else 'no'}. {said(row['reason'])}"
    calls = list(step.asked())
    opening = [row for row in calls if row["stage"] == "opening" and "decision" in row["answer"] and row["about"]]
    if opening:
        yield from ("", "After reading what is public")
    yield from (f"  {row['agent']} about {row['about']}: {_decision(row)}" for row in opening)
    yield from ("", "Encounters")
    events: dict[str, Event] = {}
    for name, event in step.events():
        events.setdefault(name, event)  # further ones are of registered stages, which follow the encounter
    about_it: dict[str, list[CallRow]] = {}
    for call in sorted(calls, key=lambda call: "parts" in call):  # fused questions follow the choice
        if call["stage"] == "encounter":
            about_it.setdefault(call["agent"], []).append(call)
    for met in step.rows(INTERACTIONS):
        yield f"  {met['first']} and {met['second']}: {met['course']}"
        for name, other in ((met["first"], met["second"]), (met["second"], met["first"])):
            if name in events:
                yield f"    {name}: {one_line(events[name].text)}"
            for call in about_it.get(name, ()):
                yield from _conclusions(call, other)
        for speaker, text in cast("Row", met).get("conversation") or ():
            yield f"    {speaker}: {said(text)}"
    if gossip := step.rows(GOSSIP):
        yield from ("", "Gossip")
    for message in gossip:
        yield from _gossip(message)
    yield from _registered_tables(step)
    yield from ("", "Reputations, with scores from -1 (very bad) to +1 (very good)")
    yield from (f"  {row['holder']} of {_record(row)}" for row in step.rows(RECORDS))
    yield from ("", "Ties")
    yield from (f"  {_tie(row)}" for row in step.rows(TIES))
    if step.measures.get("ties", 0) is None:
        yield "  which ties there are after the step is not known"
    else:
        yield f"  nobody is tied to: {', '.join(measures.isolated(step.network.graph)) or '-'}"
    yield from _costs(step)
    if thoughts:
        yield from ("", "Reasoning before replies", *(_reasoning(step) or [NO_REASONING]))


def _costs(step: Step) -> Iterator[str]:
    """Yield the cost of a step by question and by backend, unless there is none."""
    by_question = {name: Usage.from_dict(row) for name, row in step.usage.items()}
    for by, usages in (("question", by_question), ("backend", usage_by_backend(step.usage))):
        if any(usage.attempts for usage in usages.values()):
            yield from ("", f"Cost by {by}")
        for name, usage in usages.items():
            if usage.attempts:
                price = "price unknown" if usage.unpriced_tokens else f"${usage.usd:,.4f}"
                yield f"  {name}: {counted(usage.attempts, 'request')}, {counted(usage.tokens, 'token')}, {price}"


def of_agent(run: StepReader, name: str, last: int, *, thoughts: bool = False) -> Iterator[str]:
    """Yield an agent's state after step `last`, opinions by and about it, and history; or raise ConfigurationError.

    With `thoughts`, its model's reasoning follows.
    """
    roster = run.roster(last)
    if name not in roster.personas:
        there = ", ".join(roster.personas)
        raise ConfigurationError(f"no agent is called {name!r} in {run.folder.path}: there are {there}")
    if name not in roster.present:
        left = next(step.number for step in run.steps(1, last) if _leaves(step, name))
        raise ConfigurationError(f"{name} left {run.folder.path} in step {left}: name an earlier step")
    persona, state = roster.personas[name], run.step(last).state
    agent = next(row for row in state["agents"] if row["name"] == name)
    yield _heading(run, f"{name} after step {last}", last)
    yield f"  {', '.join(persona.details)}; owns {agent['resources']} units"
    if "planted" in agent:
        yield f"  answered for by {agent['planted']}, since an event"
    if name in roster.first_names:
        yield f"  first in the run as {roster.person(name)}"
    if persona.biography is not None:
        yield f"  biography: {one_line(persona.biography)}"
    for role, learned in agent["learned"].items():
        yield f"  as {role}: {one_line(learned)}"
    ties = [(other, roles) for a, other, roles in state["network"]["ties"] if a == name]
    yield "  tied to: " + (", ".join(f"{other} ({', '.join(roles)})" for other, roles in ties) or "nobody")
    avoided = state["network"]["blacklists"][name]
    yield from (f"  in public: {line}" for line in in_public(state, name))
    yield "  avoids: " + (", ".join(f"{other} ({role})" for other, role in avoided) or "nobody")
    own: dict[tuple[str, str], RecordRow] = {}
    of_it: dict[tuple[str, str], RecordRow] = {}
    past: list[str] = []
    for step in run.steps(1, last):
        for record in step.rows(RECORDS):
            if record["holder"] == name:
                own[record["subject"], record["role"]] = record
            elif record["subject"] == name:
                of_it[record["holder"], record["role"]] = record
        past += [f"  {one_line(event.text)}" for who, event in step.events() if who == name]
        past += [
            f"  Round {step.number}: {turned_in_words(row)}" for row in step.rows(TURNOVER) if row["agent"] == name
        ]
        for message in step.rows(GOSSIP):
            if name in (message["gossiper"], message["listener"]):
                lines = _gossip(message)
                past += (f"  Round {message['step']}: {line.strip()}" if line[2] != " " else line for line in lines)
        past += [f"  Round {step.number}: {_tie(tie)}" for tie in step.rows(TIES) if tie["agent"] == name]
    yield from ("", "What it thinks")
    yield from (f"  of {_record(record)}" for record in own.values())
    yield from ("", "What others think of it")
    yield from (f"  {holder}: {_record(record)}" for (holder, _), record in of_it.items())
    yield from ("", "What it went through")
    yield from past
    yield from _prompts(run, name, last)
    if thoughts:
        found = [line for step in run.steps(1, last) for line in _reasoning(step, name)]
        yield from ("", "Reasoning before its replies", *(found or [NO_REASONING]))


def _leaves(step: Step, name: str) -> bool:
    return any(row["agent"] == name and row["kind"] == LEAVES for row in step.rows(TURNOVER))


def _prompts(run: StepReader, name: str, step: int) -> Iterator[str]:
    """Yield the prompts that were read for an agent in a step, in full, with the replies; nothing without any."""
    calls = [call for call in run.step(step).rows(CALLS) if call["agent"] == name and "prompt" in call]
    if not calls:
        return
    made = run.manifest.at(step)
    system = None if made is None else made.system_prompt
    yield from ("", f"What every prompt of step {step} began with")
    yield from (f"  {line}" for line in (system or "It was not stored by the version that made the step.").split("\n"))
    yield from ("", f"What it was asked in step {step}, and what it replied")
    for call in calls:
        yield f"  {call['question'].replace('_', ' ')}{' about ' if call['about'] else ''}{call['about']}"
        yield from (f"    {line}" for line in call["prompt"].split("\n"))
        yield f"    {to_json(call['answer'])}"


NO_REASONING = "  the endpoint returned none"


def _reasoning(step: Step, name: str = "") -> list[str]:
    """Return the reasoning that models returned in a step, of one agent or of all."""
    return [
        f"  Round {step.number}: {call['agent']}, {call['question'].replace('_', ' ')}"
        f"{' about ' + call['about'] if call['about'] else ''}: {said(call['thought'])}"
        for call in step.rows(CALLS)
        if "thought" in call and name in {"", call["agent"]}
    ]


def _registered_tables(step: Step) -> Iterator[str]:
    """Yield the rows of the tables that bring their own words."""
    for table in stages.tables():
        rows = [] if table.in_words is None else step.rows(table)
        if rows:
            yield from ("", table.name.replace("_", " ").capitalize())
        yield from (f"  {table.in_words(row)}" for row in rows if table.in_words is not None)


def _conclusions(call: CallRow, other: str) -> Iterator[str]:
    """Yield the decisions and judgements in an answer, with reasons."""
    answer = call["answer"]
    if call["question"] == "evaluate":
        yield f"      found {other}'s conduct {answer['partner']}: {said(answer['partner_reason'])}"
        yield f"      and its own {answer['own']}: {said(answer['own_reason'])}"
    elif "reason" in answer:
        yield f"      {_decision(call)}"


def _decision(call: CallRow) -> str:
    """Format a decision and its reason."""
    answer = call["answer"]
    decided = [str(value) for name, value in answer.items() if name not in {"reason", "tone"}]
    return f"{call['question'].replace('_', ' ')}: {', '.join(decided)}. {said(answer['reason'])}"


def _heading(run: StepReader, what: str, step: int) -> str:
    """Format a heading; a run without steps has no mode, and a fork's copied steps have that of the parent."""
    config = run.manifest.config
    parts = ""
    if run.last:
        made = run.manifest.at(step)
        config = config if made is None else made.config
        parts = f", {config.conditions}"
    return f"{run.folder.path.name}, {what} ({config.game}{parts})"


def _record(row: RecordRow) -> str:
    source = f" from {row['source']}" if row["source"] else ""
    score = score_of(row["distribution"])
    return f"{row['subject']} as {row['role']}: {score:+.2f} {said(row['text'])} ({row['cause']}{source})"


def _tie(row: TieRow) -> str:
    return f"{row['agent']} {'ties itself to' if row['bound'] else 'breaks with'} {row['other']} as {row['role']}"


def _gossip(row: GossipRow) -> Iterator[str]:
    origin = f", who had it from {row['origin']}," if row["origin"] else ""
    what = f"something {row['tone']}" if row["tone"] else "something"
    yield f"  {row['gossiper']}{origin} told {row['listener']} {what} about {row['subject']}"
    for speaker, text in row["dialogue"]:
        yield f"    {speaker}: {said(text)}"
    passed = f", and told {row['passed_on_to']}" if row["passed_on_to"] else ""
    yield f"    {row['listener']} found it {row['credibility']}{passed}: {said(row['summary'])}"
