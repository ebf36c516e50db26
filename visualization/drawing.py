"""The data that the components draw: pure functions of a chronicle and a step.

The browser shows all texts as text, never as markup.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from repunet_model import measures
from repunet_model.backends.base import label_of
from repunet_model.chronicle import Chronicle
from repunet_model.events import BETWEEN
from repunet_model.personas import Disposition
from repunet_model.reputation import RecordUpdate
from repunet_model.results.constructs import Check
from repunet_model.stages.institutions import in_public
from repunet_model.storage.schema import GOSSIP, turned_in_words
from repunet_model.util.text import counted
from visualization import palette

Drawn = dict[str, Any]

GOSSIP_SHOWN = 300
"""The largest number of messages in the feed, latest first."""

LONGEST = 14
"""The largest number of letters of a short name."""

GROUPS = {
    "rates of the game": (),
    "ties": ("ties", "mutual_ties", "isolated"),
    "structure": ("reciprocity", "clustering", "density", "modularity"),
    "mean scores": ("score_altruistic", "score_self_interested"),
    "gossip": ("gossip_told", "gossip_positive", "gossip_negative", "gossip_credible", "gossip_uncredible"),
    "assortativity": ("assortativity_disposition", "assortativity_cooperation"),
    "inequality": ("gini",),
    "calls": ("calls",),
}
"""The measures of a chart by its title; empty for the game's own rates."""


def in_words(name: str) -> str:
    """Return the name of a measure or of a mode with blanks."""
    return name.replace("_", " ")


def ring(chronicle: Chronicle, step: int) -> list[str]:
    """Return the agents after a step in their order on the ring: altruists, then the self-interested.

    The order depends on the population alone, so that agents keep their places in all steps and runs without turnover.
    """
    rank = {disposition: place for place, disposition in enumerate(reversed(Disposition))}
    return sorted(chronicle.present(step), key=lambda name: rank[chronicle.personas[name].disposition])


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Return short names: the first word, and a number at the end of the name, where that is unique."""

    def shortened(name: str) -> str:
        first, *others = name.split()
        return f"{first} {others[-1]}" if others and others[-1].isdecimal() else first

    count = Counter(map(shortened, names))
    chosen = {name: shortened(name) if count[shortened(name)] == 1 else name for name in names}
    return {name: short if len(short) <= LONGEST else f"{short[: LONGEST - 1]}…" for name, short in chosen.items()}


def units(amount: str | None) -> str:
    """Format an amount of resources."""
    return "–" if amount is None else f"{float(amount):.2f}".rstrip("0").rstrip(".")


def subtitle(chronicle: Chronicle) -> str:
    """Describe a run in one line."""
    config = chronicle.manifest.config
    present = chronicle.present(chronicle.first)
    who = Counter([label_of(chronicle.backend_of(name, chronicle.first)) for name in present])
    answered = ", ".join(name if count == len(present) else f"{name} ({count})" for name, count in who.items())
    happens = f" · events: {BETWEEN.join(config.events)}" if config.events else ""
    people = counted(len(present), "agent")
    return f"{in_words(config.game)} · {config.conditions} · {people} · {answered} · seed {config.seed}{happens}"


def network(chronicle: Chronicle, step: int, role: str | None = None, *, communities: bool = False) -> Drawn:
    """Return the agents and ties after a step, in one role or all, with ties that were made and cut in it."""
    names = ring(chronicle, step)
    place = {name: position for position, name in enumerate(names)}
    now, before = _ties(chronicle, step, role), _ties(chronicle, max(step - 1, chronicle.first), role)
    group: dict[str, int] = {}
    if communities:
        group = {name: number for number, members in enumerate(_communities(chronicle, step), 1) for name in members}
    short = short_names(names)
    agents = {agent["name"]: agent for agent in chronicle.step(step).state["agents"]}

    def node(name: str) -> Drawn:
        score = chronicle.score(name, step, role)
        return {
            "name": name,
            "short": short[name],
            "square": chronicle.personas[name].disposition is Disposition.SELF_INTERESTED,
            "color": None if score is None else palette.of_score(score),
            "planted": "planted" in agents[name],
            "tip": _tip(name, chronicle.personas[name].disposition, score, agents[name]),
            "group": group.get(name, 0),
        }

    def pairs(ties: set[tuple[str, str]]) -> list[int]:
        known = [tie for tie in ties if tie[0] in place and tie[1] in place]
        return [place[name] for tie in sorted(known, key=lambda tie: (place[tie[0]], place[tie[1]])) for name in tie]

    return {
        "nodes": [node(name) for name in names],
        "kept": pairs(now & before),
        "made": pairs(now - before),
        "cut": pairs(before - now),
    }


def _ties(chronicle: Chronicle, step: int, role: str | None) -> set[tuple[str, str]]:
    ties = chronicle.step(step).state["network"]["ties"]
    return {(agent, other) for agent, other, roles in ties if role is None or role in roles}


def _tip(name: str, disposition: Disposition, score: float | None, agent: Mapping[str, Any]) -> str:
    known = "nobody has an opinion" if score is None else f"score {score:+.2f}"
    planted = f" · {agent['planted']}, by an event" if "planted" in agent else ""
    return f"{name} · {disposition.value} · {known} · {units(agent['resources'])} units{planted}"


def _communities(chronicle: Chronicle, step: int) -> list[list[str]]:
    """Return the communities of more than one agent, the largest first."""
    found = measures.community_members(chronicle.network(step).graph, chronicle.manifest.config.seed)
    return sorted((members for members in found if len(members) > 1), key=len, reverse=True)


def communities(chronicle: Chronicle, step: int) -> Drawn:
    """Return the communities after a step, the agents outside of them, and the agents without incoming ties."""
    graph = chronicle.network(step).graph
    groups = _communities(chronicle, step)
    _, modularity = measures.communities(graph, chronicle.manifest.config.seed)
    together = {name for members in groups for name in members}
    return {
        "groups": groups,
        "alone": [name for name in chronicle.present(step) if name not in together],
        "modularity": modularity,
        "isolated": measures.isolated(graph),
    }


def matrix(chronicle: Chronicle, step: int, role: str) -> Drawn:
    """Return the opinions after a step: a byte for each holder and subject, in base64.

    0 stands for no opinion, other values for the score in hundredths plus 101.
    """
    names = ring(chronicle, step)
    place = {name: position for position, name in enumerate(names)}
    cells = bytearray(len(names) ** 2)
    for holder in names:
        for (subject, known_role), history in chronicle.opinions_of(holder, step).items():
            if known_role == role and subject in place:
                cells[place[holder] * len(names) + place[subject]] = round(history[-1].record.score * 100) + 101
    short = short_names(names)
    return {"names": names, "short": [short[name] for name in names], "cells": base64.b64encode(cells).decode("ascii")}


def opinion(chronicle: Chronicle, step: int, role: str, holder: str, subject: str) -> str:
    """Describe an agent's opinion of another after a step."""
    history = chronicle.opinions_of(holder, step).get((subject, role))
    whom = "themselves" if holder == subject else subject
    if not history:
        return f"{holder} has no opinion of {whom} as {role}."
    update = history[-1]
    return f"{holder} of {whom} as {role}: {update.record.score:+.2f}, {update.record.text} ({_origin(update)})"


def _origin(update: RecordUpdate) -> str:
    source = f" from {update.source}" if update.source else ""
    return f"step {update.step}, {update.cause.value}{source}"


def chart(chronicles: Sequence[Chronicle], group: str, step: int) -> Drawn:
    """Return measures over time of a group, for one run or two beside each other, and the step to mark."""
    names = GROUPS[group] or tuple(dict.fromkeys(name for run in chronicles for name in run.rates))
    measured: list[tuple[Drawn, list[tuple[int, float]]]] = []
    for number, run in enumerate(chronicles):
        for position, name in enumerate(names):
            points = run.measured(name, run.last)
            if points:
                is_alone = len(chronicles) == 1
                color = palette.LINES[(position if is_alone else 2 * position + number) % len(palette.LINES)]
                label = in_words(name) if is_alone else f"{in_words(name)}, {run.name}"
                measured.append(({"label": label, "color": color, "dashed": number == 1}, points))
    return {
        "series": [{**line, "points": points} for line, points in measured],
        "first": min(run.first for run in chronicles),
        "last": max(run.last for run in chronicles),
        "step": step,
        "marks": [list(mark) for mark in sorted(set().union(*map(_marks, chronicles)))],
        "unit": all(0 <= value <= 1 for _, points in measured for _, value in points),
    }


def _marks(chronicle: Chronicle) -> set[tuple[int, str]]:
    """Return the steps with events, and the events in words."""
    numbers = range(chronicle.first + 1, chronicle.last + 1)
    rows = {number: dict.fromkeys(row["event"] for row in chronicle.turnover(number)) for number in numbers}
    return {(number, BETWEEN.join(texts)) for number, texts in rows.items() if texts}


def gossip(chronicle: Chronicle, step: int) -> list[Drawn]:
    """Return the messages up to a step, the latest first."""
    rows: list[Drawn] = []
    for number in range(step, chronicle.first - 1, -1):
        for row in reversed(chronicle.step(number).rows(GOSSIP)):
            rows.append({"step": number, **row, "key": f"{number}/{len(rows)}"})
            if len(rows) == GOSSIP_SHOWN:
                return rows
    return rows


def checks(found: Sequence[Check]) -> list[list[str]]:
    """Return the rows of the table of construct checks: what is compared, value, interval and meaning."""
    return [[each.title, *each.shown, each.meaning] for each in found]


def agent(chronicle: Chronicle, step: int, name: str) -> Drawn:
    """Return the details of an agent after a step: persona, learned texts, opinions, memory, ties and calls."""
    persona = chronicle.persona(name)
    entered = chronicle.entered(name)
    state = chronicle.agent_state(name, step)
    network = chronicle.network(step)
    made = chronicle.manifest.at(step)
    own = {key: _opinions(history) for key, history in chronicle.opinions_of(name, step).items()}
    return {
        "name": name,
        "details": ", ".join([*persona.details, *_turned(chronicle, step, name)]),
        "biography": persona.biography,
        "resources": units(state["resources"]),
        "payoff": units(state["payoff"]),
        "declared": state["declared"],
        "encounters": [state["encounters"], state["completed"]],
        "heard": [state["gossip_heard"], state["gossip_uncredible"]],
        "learned": [
            {"role": role, "text": text, "earlier": _earlier(chronicle, name, role, entered, step)}
            for role, text in state["learned"].items()
        ],
        "self": [{"role": role, **own[subject, role]} for subject, role in own if subject == name],
        "thinks": [{"who": subject, "role": role, **own[subject, role]} for subject, role in own if subject != name],
        "thought": [
            {"who": holder, "role": role, **_opinions(history)}
            for (holder, role), history in chronicle.opinions_about(name, step).items()
            if holder != name
        ],
        "memory": [{"step": event.step, "text": event.text} for event in reversed(chronicle.memory(name, step))],
        "tied": [[other, list(edge["roles"])] for other, edge in network.graph.adj[name].items()],
        "tied_to_it": [[other, list(edge["roles"])] for other, edge in network.graph.pred[name].items()],
        "public": in_public(chronicle.step(step).state, name),
        "avoids": [list(entry) for entry in network.blacklist(name)],
        "payoffs": _payoffs(chronicle, name, entered, step),
        "calls": [_call(row) for row in chronicle.calls(step) if row["agent"] == name],
        "system_prompt": made and made.system_prompt,
    }


def _turned(chronicle: Chronicle, step: int, name: str) -> list[str]:
    """Return what events did to an agent up to a step, in words."""
    rows = [(number, row) for number in range(chronicle.first, step + 1) for row in chronicle.turnover(number)]
    return [f"step {number}: {turned_in_words(row)}" for number, row in rows if row["agent"] == name]


def _opinions(history: Sequence[RecordUpdate]) -> Drawn:
    """Return the history of an opinion, the latest first."""
    return {
        "history": [
            {
                "score": round(update.record.score, 2),
                "color": palette.of_score(update.record.score),
                "text": update.record.text,
                "origin": _origin(update),
            }
            for update in reversed(history)
        ]
    }


def _earlier(chronicle: Chronicle, name: str, role: str, first: int, step: int) -> list[Drawn]:
    """Return an agent's earlier learned texts, the latest first, each with the step after which it was new."""
    texts: list[Drawn] = []
    for number in range(first, step + 1):
        text = chronicle.agent_state(name, number)["learned"][role]
        if not texts or texts[-1]["text"] != text:
            texts.append({"step": number, "text": text})
    return texts[-2::-1]


def _payoffs(chronicle: Chronicle, name: str, first: int, step: int) -> list[list[float]]:
    states = ((number, chronicle.agent_state(name, number)) for number in range(first, step + 1))
    return [[number, float(state["payoff"])] for number, state in states if state["payoff"] is not None]


def _call(row: Mapping[str, Any]) -> Drawn:
    return {
        "question": in_words(row["question"]),
        "about": row["about"],
        "source": row["source"],
        "options": _options(row),
        "answer": [[in_words(field), str(value)] for field, value in row["answer"].items()],
        "prompt": row.get("prompt"),
        "thought": row.get("thought"),
    }


def _options(row: Mapping[str, Any]) -> list[str]:
    """Return the order in which options were named; for a part of a compound call, only its own options."""
    asked = [row["question"], row["about"], row["source"]]
    part = next((f"{part}." for part, where in row.get("parts", {}).items() if where == asked), "")
    return [
        f"{in_words(field.removeprefix(part))}: {', '.join(order)}"
        for field, order in row["options"].items()
        if field.startswith(part)
    ]
