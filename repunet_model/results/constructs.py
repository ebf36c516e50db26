"""Construct checks: whether the parts of a run mean what their names say.

A judgement of conduct should follow the conduct, praise a judgement, the text of a record its level, gossip what
happened, and a reputation what its subject does next. Each check compares two parts of a stored run, made here or
imported, without asking anybody. Where the two are not there, the check is absent and says why.

An act is a choice that counts as cooperative or not (`first_cooperated`, `second_cooperated` of an encounter). Where an
act is compared with what was thought of it, roles in which all acts of the run are alike are left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import pandas as pd

from repunet_model.questions.gossip import Tone
from repunet_model.reputation import LEVELS, Cause, score_of
from repunet_model.results.clustered import METHOD, Auc, Clustered, RankCorrelation, Share
from repunet_model.results.sentiment import POSITIVE_FROM, Classifier, classifier
from repunet_model.results.stored_game import game_of
from repunet_model.storage import StepReader, understood
from repunet_model.storage.schema import GOSSIP, INTERACTIONS, RECORDS, GossipRow, InteractionRow, RecordRow
from repunet_model.util.text import counted, to_install

AHEAD = 5
"""The number of steps in which a score may foretell acts."""

MOST_TEXTS = 500
"""The largest number of texts of records that a classifier reads; of more, so many are drawn."""

PREFIX = "check_"
"""The start of the columns of checks in tables of runs."""

GET_CLASSIFIER = to_install("sentiment")
"""How to get the classifier of texts."""

_TONES = tuple(Tone)
_NO_GOSSIP = "there is no gossip"
_NO_RECORDS = "agents keep no records"


@dataclass(frozen=True)
class Check:
    """A construct check of a run.

    Attributes:
        name: Its name in tables.
        title: What is compared with what.
        measure: What the value is, with its scale.
        found: The statistic; None if the check is absent.
        note: Counts and details; of an absent check, why it is absent.
        by_text: Whether a classifier of texts, an extra, takes part.
    """

    name: str
    title: str
    measure: str
    found: Clustered | None
    note: str
    by_text: bool = False

    @property
    def value(self) -> float | None:
        """The value; None if the check is absent."""
        return None if self.found is None else self.found.value

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval; None if the check is absent, or for too few agents."""
        return None if self.found is None else self.found.interval

    @property
    def n(self) -> int:
        """The number of observations."""
        return 0 if self.found is None else self.found.n

    @property
    def agents(self) -> int:
        """The number of agents whose observations they are."""
        return 0 if self.found is None else self.found.agents

    @property
    def shown(self) -> tuple[str, str]:
        """The value with its kind, and the interval, as text."""
        if self.found is None or self.value is None:
            return "–", "–"
        interval = "–" if self.interval is None else "{:.2f} to {:.2f}".format(*self.interval)
        return f"{self.found.kind} {self.value:.2f}", interval

    @property
    def meaning(self) -> str:
        """What the value and its interval say, in words; of an absent check, why it is absent."""
        if self.found is None or self.value is None:
            return f"absent: {self.note}"
        return f"{_verdict(self.value, self.interval, self.found.chance)}{self.note}"

    def described(self) -> dict[str, Any]:
        """Return the check as plain data."""
        return {
            "check": self.name,
            "title": self.title,
            "measure": self.measure,
            "value": self.value,
            "interval": None if self.interval is None else list(self.interval),
            "method": METHOD,
            "chance": None if self.found is None else self.found.chance,
            "n": self.n,
            "agents": self.agents,
            "meaning": self.meaning,
        }


def _verdict(value: float, interval: tuple[float, float] | None, chance: float | None) -> str:
    """Say what a value says against chance."""
    if chance is None:
        return ""
    if interval is None:
        return "too few agents for an interval; "
    if interval[0] > chance:
        return "agree; "
    return "run against each other; " if interval[1] < chance else f"no relation is shown ({chance:g} is chance); "


@dataclass(slots=True)
class _Cases:
    """Observations: their agents, a number of each, and a fact to compare it with."""

    agents: list[str] = field(default_factory=list)
    numbers: list[float] = field(default_factory=list)
    true: list[bool] = field(default_factory=list)

    def add(self, agent: str, number: float, is_true: bool) -> None:
        """Add an observation."""
        self.agents.append(agent)
        self.numbers.append(number)
        self.true.append(is_true)

    def __len__(self) -> int:
        return len(self.agents)


@dataclass(frozen=True, slots=True)
class _Act:
    """What an agent did to a partner in a step; `judged` is the level of that in the partner's eyes."""

    step: int
    agent: str
    role: str
    partner: str
    cooperated: bool
    judged: str | None

    @property
    def key(self) -> tuple[int, str, str, str]:
        """Its step, agent, role and partner."""
        return self.step, self.agent, self.role, self.partner


_RANK = {level.value: rank for rank, level in enumerate(LEVELS)}


class _History:
    """The parts of a run that checks compare, read once.

    Attributes:
        acts: The acts that count, by `_Act.key`.
        telling: Those in roles whose acts are not all alike.
        records: The records that count, with their steps and the scores of the records that they replace.
        gossip: The messages that count.
        before: The score that the partner gave the agent of an act before it, by `_Act.key`.
        scores: The mean score of agents in their roles, after each step from 0.
        has_records: Whether agents keep records.
    """

    def __init__(self, run: StepReader, first: int, last: int) -> None:
        """Read the steps up to `last`; those from `first` on count."""
        self.acts: dict[tuple[int, str, str, str], _Act] = {}
        self.records: list[tuple[int, RecordRow, float | None]] = []
        self.gossip: list[GossipRow] = []
        self.before: dict[tuple[int, str, str, str], float] = {}
        self.scores: list[dict[tuple[str, str], float]] = [{}]
        roles = game_of(run).roles
        held: dict[tuple[str, str], dict[str, float]] = {}
        for step in run.steps(1, last):
            for act in _acts_of(step.rows(INTERACTIONS), roles) if step.number >= first else ():
                self.acts[act.key] = act
                known = held.get((act.agent, act.role), {}).get(act.partner)
                if known is not None:
                    self.before[act.key] = known
            for record in step.rows(RECORDS):
                own = held.setdefault((record["subject"], record["role"]), {})
                if step.number >= first:
                    self.records.append((step.number, record, own.get(record["holder"])))
                own[record["holder"]] = score_of(record["distribution"])
            if step.number >= first:
                self.gossip += step.rows(GOSSIP)
            self.scores.append({key: math.fsum(own.values()) / len(own) for key, own in held.items()})
        self.has_records = bool(held)
        kinds: dict[str, set[bool]] = {}
        for act in self.acts.values():
            kinds.setdefault(act.role, set()).add(act.cooperated)
        self.telling = [act for act in self.acts.values() if len(kinds[act.role]) > 1]


def _acts_of(interactions: list[InteractionRow], roles: tuple[str, str]) -> Iterator[_Act]:
    """Yield the acts of encounters; `roles` are those of the first and of the second side."""
    for row in interactions:
        facts: Mapping[str, Any] = row
        for side, other, role in (("first", "second", roles[0]), ("second", "first", roles[1])):
            done = facts[f"{side}_cooperated"]
            if done is not None:
                judged = facts[f"{other}_judges_{side}"]
                yield _Act(facts["step"], facts[side], role, facts[other], done, judged)


def checks(run: StepReader, first: int = 1, last: int | None = None, by: Classifier | None = None) -> list[Check]:
    """Return the construct checks of a stored run, in a fixed order; nothing is asked and nothing written.

    Args:
        run: The run.
        first: The first step whose acts, records and messages count; those before are known to agents all the same.
        last: The last step; None for that of the run.
        by: The classifier of texts (`sentiment.classifier`); None leaves out what needs one.

    Raises:
        StorageError: If the run cannot be read.
    """
    last = run.last if last is None else last
    with understood(run.folder):
        history = _History(run, first, last)
    return [check(history, by) for check in _CHECKS]


def own_checks(run: StepReader) -> list[Check]:
    """Return the checks of a run's own steps, without those that a fork shares with its parent."""
    return checks(run, run.manifest.shared_steps + 1, by=classifier())


def columns_of(run: StepReader, first: int, last: int) -> dict[str, float | None]:
    """Return the values of the checks that need no classifier, by column of a table of runs: check_NAME."""
    return {f"{PREFIX}{each.name}": each.value for each in checks(run, first, last) if not each.by_text}


def frame_of(found: list[Check]) -> pd.DataFrame:
    """Return checks as a table: value, ends of the interval, number of observations and agents, and the meaning."""
    rows = [
        {
            "check": each.name,
            "value": each.value,
            "low": None if each.interval is None else each.interval[0],
            "high": None if each.interval is None else each.interval[1],
            "n": each.n,
            "agents": each.agents,
            "measure": each.measure,
            "meaning": each.meaning,
        }
        for each in found
    ]
    return pd.DataFrame(rows).set_index("check").astype({"value": float, "low": float, "high": float})


def _auc(name: str, title: str, measure: str, cases: _Cases, note: str, lacking: str) -> Check:
    """Return a check by an AUC; it is absent without cases of both kinds, for the reason `lacking` without any."""
    if not len(cases):
        return Check(name, title, measure, None, lacking)
    found = Auc(cases.agents, cases.numbers, cases.true)
    if found.value is None:
        return Check(name, title, measure, None, f"all {found.n} cases are alike, so that nothing can be told apart")
    return Check(name, title, measure, found, note)


def _no_act(history: _History) -> str:
    """Say why there is no act to compare with."""
    if not history.acts:
        return "no choice is logged"
    return f"all {len(history.acts)} acts are alike in their role, so that nothing can be told apart"


def _judgement(history: _History, by: Classifier | None) -> Check:
    """Compare the level of a partner's conduct with what the partner did."""
    acts, cases = history.telling, _Cases()
    for act in acts:
        if act.judged is not None:
            cases.add(act.partner, _RANK[act.judged], act.cooperated)
    return _auc(
        "judgement",
        "conduct as judged, and the act",
        "AUC: share of pairs in which the cooperative act is judged better",
        cases,
        f"{counted(len(cases), 'judgement')} of acts",
        "no judgement of conduct is stored" if acts else _no_act(history),
    )


def _record_change(history: _History, by: Classifier | None) -> Check:
    """Compare the change of a record by own experience with what its subject did."""
    acts, cases = {act.key: act for act in history.telling}, _Cases()
    for step, record, before in history.records:
        act = acts.get((step, record["subject"], record["role"], record["holder"]))
        if act is not None and record["cause"] == Cause.EXPERIENCE:
            cases.add(record["holder"], score_of(record["distribution"]) - (before or 0.0), act.cooperated)
    return _auc(
        "record_change",
        "change of a record by experience, and the act",
        "AUC: share of pairs in which the score rises more after the cooperative act",
        cases,
        f"{counted(len(cases), 'change')} of records; a first record counts from 0",
        _no_records(history) if acts else _no_act(history),
    )


def _no_records(history: _History) -> str:
    return "no record goes with an act that is logged" if history.has_records else _NO_RECORDS


def _act_behind(history: _History, row: GossipRow) -> _Act | None:
    """Return the act that a message goes back to: its subject's towards the agent that told it at first hand."""
    return history.acts.get((row["step"], row["subject"], row["subject_role"], row["origin"] or row["gossiper"]))


def _tone(history: _History, by: Classifier | None) -> Check:
    """Compare the tone of first-hand gossip with how the gossiper judged the conduct that it is about."""
    cases = _Cases()
    for row in history.gossip:
        act = _act_behind(history, row)
        if row["order"] == 1 and row["tone"] in _TONES and act is not None and act.judged is not None:
            cases.add(row["gossiper"], _RANK[act.judged], row["tone"] == Tone.POSITIVE)
    return _auc(
        "tone",
        "tone of gossip, and the judgement",
        "AUC: share of pairs in which the praised conduct was judged better than the one complained of",
        cases,
        f"{counted(len(cases), 'message')} at first hand",
        "no message has both a tone and a judgement of what it is about" if history.gossip else _NO_GOSSIP,
    )


def _text(history: _History, by: Classifier | None) -> Check:
    """Compare the sentiment of a record's text with its score."""
    measure = "rank correlation (Spearman) of the sentiment of the text with the score"
    head = ("text", "text of a record, and its level", measure)
    if not history.records:
        return Check(*head, None, _NO_RECORDS, by_text=True)
    if by is None:
        return Check(*head, None, f"needs a classifier of texts: {GET_CLASSIFIER}", by_text=True)
    records = [record for _, record, _ in history.records]
    count = len(records)
    if count > MOST_TEXTS:
        records = [records[place] for place in sorted(Random(1).sample(range(count), MOST_TEXTS))]
    agents = [record["holder"] for record in records]
    scores = [score_of(record["distribution"]) for record in records]
    found = RankCorrelation(agents, [by.score(record["text"]) for record in records], scores)
    if found.value is None:
        return Check(*head, None, f"all {found.n} texts or scores are alike", by_text=True)
    drawn = counted(found.n, "record") if count == found.n else f"{found.n} records, drawn from {count:,}"
    return Check(*head, found, f"{drawn}; sentiment by {by.name}", by_text=True)


def _stored_tone(row: GossipRow) -> bool | None:
    """Return whether a message praises by its stored tone; None for another or no tone."""
    return row["tone"] == Tone.POSITIVE if row["tone"] in _TONES else None


def _claim(row: GossipRow, by: Classifier) -> bool | None:
    """Return whether what was claimed, in the listener's summary, is praise; None if it is neither or not there."""
    score = by.score(row["summary"] or "")
    return None if abs(score) < POSITIVE_FROM else score > 0


def _tone_of(row: GossipRow, by: Classifier | None) -> bool | None:
    """Return whether a message praises: by its tone, or without one by its claim; None where that is not known."""
    return _claim(row, by) if by is not None and not row["tone"] else _stored_tone(row)


def _truth(history: _History, by: Classifier | None) -> Check:
    """Compare the tone of gossip with the act that it goes back to."""
    told: list[tuple[str, bool, bool]] = []
    unsaid = no_act = by_claim = 0
    for row in history.gossip:
        act, praise = _act_behind(history, row), _tone_of(row, by)
        if act is None:
            no_act += 1
        elif praise is None:
            unsaid += 1
        else:
            by_claim += not row["tone"]
            told.append((row["gossiper"], praise, act.cooperated))
    measure = "share of messages whose tone fits the act of the subject that they go back to"
    head = ("truth", "gossip, and the act it is about", measure)
    lacks = f"{counted(no_act, 'message')} about an encounter without a logged act" if no_act else ""
    if unsaid:
        lacks += f"{', ' if lacks else ''}{counted(unsaid, 'message')} without a known tone"
        lacks += f" (a classifier reads their summaries: {GET_CLASSIFIER})" if by is None else ""
    if not told:
        return Check(*head, None, lacks if history.gossip else _NO_GOSSIP)
    praised, done = (sum(bool(each[place]) for each in told) / len(told) for place in (1, 2))
    found = Share(
        [gossiper for gossiper, _, _ in told],
        [is_praise == cooperated for _, is_praise, cooperated in told],
        chance=praised * done + (1 - praised) * (1 - done),
    )
    counts = [
        f"{sum(praised == act == kind for _, praised, act in told)} of {sum(praised == kind for _, praised, _ in told)}"
        for kind in (True, False)
    ]
    note = f"true are {counts[0]} praises and {counts[1]} complaints{'; ' if lacks else ''}{lacks}"
    if by_claim and by is not None:
        note += f"; {by_claim} tones are those of the summary, by {by.name}"
    return Check(*head, found, note, by_text=bool(by_claim))


def _tone_flips(history: _History, by: Classifier | None) -> Check:
    """Compare the tone of a message with that of the message that it passes on."""
    return _flips(
        "tone_flips",
        "tone that changes when a message is passed on",
        "share of messages passed on in the opposite tone",
        history,
        _stored_tone,
        "no tone is stored",
    )


def _claim_flips(history: _History, by: Classifier | None) -> Check:
    """Compare the summary of a message with that of the message that it passes on."""
    head = (
        "claim_flips",
        "claim that changes when a message is passed on",
        "share of messages passed on whose summary has the opposite sentiment",
    )
    if by is None:
        lacking = f"needs a classifier of texts: {GET_CLASSIFIER}" if history.gossip else _NO_GOSSIP
        return Check(*head, None, lacking, by_text=True)
    lacking = "no two summaries of a chain are praise or complaint"
    found = _flips(*head, history, lambda row: _claim(row, by), lacking)
    return replace(found, by_text=True)


def _pairs(history: _History) -> list[tuple[GossipRow, GossipRow]]:
    """Return each second-order message behind the message that it passes on."""
    told = {
        (row["step"], row["gossiper"], row["listener"], row["subject"]): row
        for row in history.gossip
        if row["order"] == 1
    }
    found = []
    for row in history.gossip:
        heard = told.get((row["step"], row["origin"], row["gossiper"], row["subject"]))
        if row["order"] > 1 and heard is not None:
            found.append((heard, row))
    return found


def _flips(
    name: str, title: str, measure: str, history: _History, said: Callable[[GossipRow], bool | None], lacking: str
) -> Check:
    """Return the share of second-order messages in which what is said turns into its opposite."""
    pairs = _pairs(history)
    told = [(after["gossiper"], said(before), said(after)) for before, after in pairs]
    known = [(agent, before != after) for agent, before, after in told if before is not None and after is not None]
    if not known:
        if not history.gossip:
            lacking = _NO_GOSSIP
        elif not pairs:
            lacking = "no message is passed on"
        return Check(name, title, measure, None, lacking)
    found = Share([agent for agent, _ in known], [flips for _, flips in known])
    unclear = f"; {len(pairs) - found.n} others are neither praise nor complaint" if len(pairs) > found.n else ""
    return Check(name, title, measure, found, f"{found.true} of {counted(found.n, 'message')} passed on{unclear}")


def _score_ahead(history: _History, by: Classifier | None) -> Check:
    """Compare an agent's score with its acts in the steps after."""
    acts, cases = history.telling, _Cases()
    for act in acts:
        for step in range(max(act.step - AHEAD, 0), act.step):
            score = history.scores[step].get((act.agent, act.role))
            if score is not None:
                cases.add(act.agent, score, act.cooperated)
    return _auc(
        "score_ahead",
        f"score of an agent, and its acts in the {AHEAD} steps after",
        "AUC: share of pairs in which the cooperative act is that of the higher score",
        cases,
        f"{counted(len(cases), 'later act')} behind a score",
        _no_records(history) if acts else _no_act(history),
    )


def _record_ahead(history: _History, by: Classifier | None) -> Check:
    """Compare the record that an agent holds of its partner before an encounter with what the partner then does."""
    acts, cases = history.telling, _Cases()
    for act in acts:
        score = history.before.get(act.key)
        if score is not None:
            cases.add(act.partner, score, act.cooperated)
    return _auc(
        "record_ahead",
        "record of a partner before an encounter, and the act",
        "AUC: share of pairs in which the cooperative act is that of the partner with the better record",
        cases,
        f"{counted(len(cases), 'act')} of partners of whom there was a record",
        ("nobody knew the partner before" if history.has_records else _NO_RECORDS) if acts else _no_act(history),
    )


_CHECKS = (_judgement, _record_change, _tone, _text, _truth, _tone_flips, _claim_flips, _score_ahead, _record_ahead)
