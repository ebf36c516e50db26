"""Whether runs and questions followed the plan, and what is exploratory since it came later."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from repunet_model.report.evidence import Evidence
from repunet_model.report.sections import Section, Table
from repunet_model.results.sentiment import classifier
from repunet_model.storage.manifest import SHOWN_DIGITS, made_by
from repunet_model.study import claims
from repunet_model.study.claims import Claim, Finding
from repunet_model.study.plan import Plan, cost_in_words
from repunet_model.util.text import counted

NO_PLAN = "No plan was written before these runs (study --plan), so that every answer is exploratory."

SHOWN_RUNS = 3
"""The number of runs that a sentence names."""


@dataclass(frozen=True, slots=True)
class Answers:
    """The findings of a study.

    Attributes:
        asked: The claims, in their order.
        texts: Whether and how a plan was followed, in sentences.
        planned: The findings of planned claims on planned runs; without a plan, all findings.
        later: The findings of claims that were added or changed after the plan.
        with_more_seeds: All findings with the seeds that were added after the plan; none without such seeds.
        plan: The hash of the plan; None without one.
    """

    asked: Sequence[Claim]
    texts: Sequence[str]
    planned: Sequence[Finding]
    later: Sequence[Finding] = ()
    with_more_seeds: Sequence[Finding] = ()
    plan: str | None = None

    def tables(self) -> list[Table]:
        """Return the findings as tables, the planned ones first."""
        parts = [
            ("", self.planned),
            ("Exploratory, added or changed after the plan. ", self.later),
            ("Exploratory, with the seeds that were added after the plan. ", self.with_more_seeds),
        ]
        return [claims.table(found, title) for title, found in parts if found]

    def section(self) -> Section:
        """Return the findings as a section of a report."""
        texts = [*self.texts, *claims.measured(self.asked)]
        return Section("questions", "The paper's claims as questions", texts, tables=self.tables())


def answers(evidence: Evidence, asked: Sequence[Claim], plan: Plan | None, before: Sequence[str] = ()) -> Answers:
    """Answer the claims, apart by what was planned and what was not.

    Args:
        evidence: The complete runs of the study.
        asked: The claims.
        plan: The plan; None without one.
        before: The runs that were there before the plan.
    """
    if plan is None:
        return Answers(asked, [NO_PLAN], claims.findings(evidence, asked))
    known: Mapping[str, Any] = plan.content["claims"]
    planned = [claim for claim in asked if known.get(claim.key) == claim.described()]
    later = [claim for claim in asked if claim not in planned]
    seeds = set(plan.content["study"]["seeds"])
    own = Evidence([run for run in evidence.runs if run.seed in seeds])
    more = sorted({run.seed for run in evidence.runs if run.seed is not None} - seeds)
    texts = [_followed(own, plan, before, planned), *_changed(plan, asked, later)]
    if more:
        texts.append(f"Seeds added after the plan, whose runs are exploratory: {', '.join(map(str, more))}.")
    return Answers(
        asked,
        [*texts, _cost(own, plan), *_versions(plan)],
        claims.findings(own, planned),
        claims.findings(own, later),
        claims.findings(evidence, asked) if more else (),
        str(plan.content["sha256"]),
    )


def _followed(own: Evidence, plan: Plan, before: Sequence[str], planned: Sequence[Claim]) -> str:
    """Say whether the runs are those of the plan."""
    runs = {str(run.parameters["run"]): run for run in own.runs}
    problems = []
    if missing := [name for name in plan.content["runs"] if name not in runs]:
        problems.append(f"{_some(missing)} not there")
    different: dict[str, list[str]] = {}
    for name in plan.content["runs"]:
        if name in runs:
            wanted = plan.parameters_of(name)
            found = json.loads(json.dumps(dict(runs[name].parameters)))
            for column in dict.fromkeys([*wanted, *found]):
                if column != "run" and wanted.get(column) != found.get(column):
                    what = f"{column} {json.dumps(found.get(column))} and not {json.dumps(wanted.get(column))}"
                    different.setdefault(what, []).append(name)
    problems += [f"{_some(names)} made with {what}" for what, names in different.items()]
    if begun := [name for name in before if name in plan.content["runs"]]:
        problems.append(f"{_some(begun)} begun before the plan was followed")
    if plan.content["decision"] != claims.DECISION:
        problems.append(f"the plan's rule of decision was another: {plan.content['decision']}")
    judge = classifier()
    if plan.content["classifier"] != (judge and judge.name):
        problems.append(f"the classifier is {judge and judge.name}, and not {plan.content['classifier']}")
    named = f"the plan {plan.digits}... (SHA-256), written before the runs"
    if problems:
        return f"The runs did not follow {named}, in all: {'; '.join(problems)}."
    return (
        f"The runs followed {named}: all {len(runs)} are there with the parameters, seeds and steps of the plan, and "
        f"{len(planned)} of its {len(plan.content['claims'])} questions are answered as it says."
    )


def _some(names: Sequence[str]) -> str:
    """Name some runs, with the right verb."""
    shown = ", ".join(names[:SHOWN_RUNS]) + (f" and {len(names) - SHOWN_RUNS} more" if len(names) > SHOWN_RUNS else "")
    return f"{counted(len(names), 'run')} ({shown}) {'were' if len(names) > 1 else 'was'}"


def _changed(plan: Plan, asked: Sequence[Claim], later: Sequence[Claim]) -> list[str]:
    """Say which questions differ from the plan."""
    known = plan.content["claims"]
    texts = [f"Exploratory, added after the plan: {claim.text}" for claim in later if claim.key not in known]
    for claim in later:
        if claim.key in known:
            was = known[claim.key]
            ways = "; ".join(f"{way['measure']} ({way['by']})" for way in was["measures"])
            texts.append(f"Exploratory, changed after the plan: {claim.text} Planned was: {was['question']} {ways}.")
    dropped = [each["question"] for key, each in known.items() if key not in {claim.key for claim in asked}]
    return [*texts, *(f"Planned, but not asked: {question}" for question in dropped)]


def _cost(own: Evidence, plan: Plan) -> str:
    """Compare the cost of the planned runs with the estimate."""
    requests, tokens, usd = (math.fsum(run.total(name) for run in own.runs) for name in ("attempts", "tokens", "usd"))
    return f"Cost, estimated: {plan.estimate()}. Known: {cost_in_words(requests, tokens, usd)}."


def _versions(plan: Plan) -> list[str]:
    """Say whether the plan was written by other versions than this report."""
    now = made_by()
    differing = [
        f"{name} {str(plan.content[name])[:SHOWN_DIGITS]} and now {str(now[name])[:SHOWN_DIGITS]}"
        for name in ("repunet", "commit")
        if plan.content[name] != now[name]
    ]
    return [f"The plan was written by another version: {', '.join(differing)}."] if differing else []
