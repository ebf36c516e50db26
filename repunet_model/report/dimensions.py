"""The dimensions on which a result may hang, and which of them a set of runs varied.

Every column that identifies a run belongs to a dimension. A prompt set counts for several: what its layers change.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from repunet_model.config import OF_GAME
from repunet_model.mechanism import Mechanism
from repunet_model.questions.prompt_sets import packaged_names
from repunet_model.report.evidence import Evidence, Run, label_of, varying
from repunet_model.report.sections import Section, Table
from repunet_model.util.text import counted, visible

LAYERS = {
    "wording": ("neutral", "guided", "plain", "formal"),
    "persona format": ("bullets", "minimal", "biography"),
    "framing": ("game", "neighbours", "market"),
    "language": ("zh", "es"),
}
"""The packaged prompt sets by what they change."""

OWN = "own templates"

_MEMORY = ("self_records", "peer_records", "gossip_memory", "gossip_shown", "rewrite_learned", "blacklist_length")
_CONTEXT = ("wish_sees_record", "judgement_sees_record", "gossip_shown", "memory_shown")

DIMENSIONS = {
    "model": "backends, their models and parameters",
    "agent specification": "persona sets and the words of dispositions",
    "memory": "records, memory of gossip and of cut ties, the learned text",
    "protocol": "modes, activation, turns of dialogues, errors, and the other switches of the mechanism",
    "environment": "scenario, payoffs, initial network",
    "population": "number of agents, persona sets, share and placement of dispositions",
    "format": "persona format in prompts, and fused or single questions",
    "hierarchy": "no parameter: rules stand in the system message, or first in the user's if a model has none",
    "framing": "wording, framing and language of prompts",
    "context": "how much of the past and of records a prompt shows",
    "order": "no parameter: the order of options is drawn for each question",
}
"""The dimensions, each with what belongs to it."""


def factors(run: Run) -> dict[str, Any]:
    """Return the parameters of a run with its prompt set split into what its layers change."""
    own = {name: value for name, value in run.parameters.items() if name != "prompts_hash"}
    return own if own.get("prompts") is None else own | prompt_factors(str(own["prompts"]))


def prompt_factors(prompts: str) -> dict[str, str]:
    """Return what a prompt set is in each of `LAYERS`, and the names of its other layers."""
    layers = prompts.split("+")
    found = {
        kind: "+".join(layer for layer in layers if layer in names) or ("neutral" if kind == "wording" else "default")
        for kind, names in LAYERS.items()
    }
    return {**found, OWN: "+".join(layer for layer in layers if layer not in packaged_names()) or "none"}


def names_of(runs: Sequence[Run]) -> list[str]:
    """Return the columns of `factors` that vary among the runs of a scenario, without the seed."""
    rows = [factors(run) for run in runs]

    def count(names: Sequence[str]) -> int:
        return len({tuple(_plain(row.get(name)) for name in names) for row in rows})

    found = [name for name in varying(runs) if name != "prompts_hash"]
    if "prompts" in found:
        split = [name for name in (*LAYERS, OWN) if count([name]) > 1]
        if count(split) == count(["prompts"]):  # Else sets differ in the order of their layers.
            place = found.index("prompts")
            found[place : place + 1] = split
    return [*(["mode"] if count(["mode"]) > 1 else []), *found]


def _plain(value: object) -> Hashable:
    return value if isinstance(value, Hashable) else str(value)


def varied(runs: Sequence[Run]) -> dict[str, dict[str, list[str]]]:
    """Return for each dimension the columns that vary among runs of all scenarios, with their values in words."""
    found: dict[str, dict[str, list[str]]] = {name: {} for name in DIMENSIONS}
    rows = [_by_column(run) for run in runs]
    for name in dict.fromkeys(name for row in rows for name in row):
        values = list(dict.fromkeys(_in_words(row[name]) for row in rows if name in row))
        for dimension in _dimensions_of(name) if len(values) > 1 else ():
            found[dimension][label_of(name)] = values
    return found


def _by_column(run: Run) -> dict[str, Any]:
    """Return the factors of a run that belong to a dimension, switches of the mechanism one by one."""
    own = factors(run)
    switches: Mapping[str, Any] = Mechanism.read(own.pop("mechanism")).model_dump(mode="json")
    for name in ("run", "seed", "parent", "parent_step", "before_fork", "label", "version", "reputation", "gossip"):
        own.pop(name, None)
    own.pop("prompts", None)
    return own | {f"mechanism {name}": value for name, value in switches.items()}


def _dimensions_of(name: str) -> list[str]:
    """Return the dimensions of a column."""
    switch = name.removeprefix("mechanism ")
    if switch != name:
        return [
            *(["memory"] if switch in _MEMORY else []),
            *(["context"] if switch in _CONTEXT else []),
        ] or ["protocol"]
    if name in ("population", "population_hash", "share_of_altruists", "placement_of_altruists"):
        return ["agent specification", "population"]
    if name in ("persona format", "questions"):
        return ["format"]
    if name in ("wording", "framing", "language", OWN):
        return ["framing"]
    if name == "n_agents":
        return ["population"]
    if name == "game" or name.startswith((OF_GAME, "network")):
        return ["environment"]
    return ["model"] if name.startswith(("backend", "not_taken")) else ["protocol"]


def _in_words(value: object) -> str:
    return "none" if value in (None, "") else str(value)


def not_varied(runs: Sequence[Run]) -> list[str]:
    """Return the dimensions in which the runs do not differ."""
    return [name for name, own in varied(runs).items() if not own]


SHOWN_VALUES = 6
"""The number of values that a cell of the table names."""


def section(evidence: Evidence) -> Section:
    """Return the last section of a report: what was varied, and what was not."""
    rows = []
    for name, own in varied(evidence.runs).items():
        words = [
            f"{column}: {', '.join(values[:SHOWN_VALUES])}"
            f"{f' and {len(values) - SHOWN_VALUES} more' if len(values) > SHOWN_VALUES else ''}"
            for column, values in own.items()
        ]
        rows.append([name, "varied" if own else "not varied", visible("; ".join(words) or "–"), DIMENSIONS[name]])
    seeds = len({run.apart for run in evidence.runs})
    caption = (
        f"Dimensions on which a result may hang, with {counted(seeds, 'seed')}. What is not varied was "
        "not audited: the result may hang on it."
    )
    headings = ["dimension", "in these runs", "values", "what belongs to it"]
    return Section("dimensions", "What was varied and what was not", tables=[Table(caption, headings, rows, words=4)])
