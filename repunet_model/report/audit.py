"""The factors on which final cooperation and the contrasts between modes depend, among the runs of a scenario.

Reports keep runs with different parameters apart; an audit is over all runs of a scenario, within seeds. An outcome is
"sensitive to" a factor if a difference between two of its levels is shown (for a claim: between two levels that answer
it differently), "stable" if all levels of all factors that varied agree, and "not audited for" what did not vary. It is
also sensitive to two factors together, written A × B, if the effect of one is shown to change with the other (for a
claim: between combinations of levels that answer it differently).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from repunet_model.report.blocks import LEAST_SEEDS, RESAMPLES, Share
from repunet_model.report.contrasts import CONTRASTS, MEASURE
from repunet_model.report.dimensions import factors, names_of, not_varied
from repunet_model.report.evidence import Evidence, Panel, Run, label_of, phase_in_words
from repunet_model.report.interactions import MOST_COLUMNS, Change, Interaction, Interactions, interactions
from repunet_model.report.sections import Section, Table
from repunet_model.report.statistics import METHOD, Estimate, paired, verdict
from repunet_model.report.variance import Audit, Difference, Effects, Factor, audit, factors_of
from repunet_model.results.stored_game import title_of
from repunet_model.util.text import visible

FINAL = "final cooperation"


@dataclass(frozen=True, slots=True)
class Audited:
    """The dependence of an outcome on the factors of a scenario.

    Attributes:
        scenario: The title of the scenario.
        outcome: The outcome in words.
        found: What it hangs on; None if nothing can be compared within seeds.
        together: The interactions of every two factors; None for fewer than two.
        runs: The runs.
        is_claim: Whether the outcome answers a question by its sign.
    """

    scenario: str
    outcome: str
    found: Audit | None
    together: Interactions | None
    runs: Sequence[Run]
    is_claim: bool

    @property
    def verdict(self) -> str:
        """The verdict in words, with the dimensions that were not varied."""
        missing = not_varied(self.runs)
        return "; ".join([self._judged(), *([f"not audited for {', '.join(missing)}"] if missing else [])])

    def _judged(self) -> str:
        if self.found is None:
            return "not decided: no factor varies within seeds"
        sensitive, together = self.sensitive_to(), self.sensitive_together()
        known = [*(each.factor for each in sensitive), *(factor for each in together for factor in each.factors)]
        unclear = [each for each in self._unclear(self.found) if each.factor not in known]
        parts = [
            f"{words} {', '.join(own)}"
            for words, own in (
                ("sensitive to", [*map(label, sensitive), *map(label_together, together)]),
                ("not decided for", list(map(label, unclear))),
            )
            if own
        ]
        return "; ".join(parts) or "stable"

    def sensitive_to(self) -> list[Effects]:
        """Return the factors that the outcome is sensitive to."""
        if self.found is None:
            return []
        if not self.is_claim:
            return self.found.sensitive_to()
        return [
            each
            for each in self.found.effects
            if any(pair.is_shown and _answers(each, pair) > 1 for pair in each.differences)
        ]

    def sensitive_together(self) -> list[Interaction]:
        """Return the interactions that the outcome is sensitive to."""
        every = [] if self.together is None else self.together.found
        if not self.is_claim:
            return [each for each in every if each.is_shown]
        return [
            each
            for each in every
            if any(
                change.is_shown and len({verdict(each.cells[cell]) for cell in change.cells if cell in each.cells}) > 1
                for change in each.changes
            )
        ]

    def _unclear(self, found: Audit) -> list[Effects]:
        """Return the factors for which the data do not decide."""
        if not self.is_claim:
            return found.undecided()
        answers = {each.factor.name: {verdict(mean) for mean in each.means.values()} for each in found.effects}
        return [each for each in found.effects if answers[each.factor.name] not in ({"yes"}, {"no"}, {"no difference"})]

    def described(self) -> dict[str, Any]:
        """Return the audit as plain data."""
        found = self.found
        named = {} if found is None else {"runs": found.runs, "seeds": found.n_seeds, "rest": found.rest}
        return {
            "scenario": self.scenario,
            "outcome": self.outcome,
            "steps": phase_in_words(self.runs),
            "verdict": self.verdict,
            "sensitive_to": [each.factor.name for each in self.sensitive_to()],
            "not_varied": not_varied(self.runs),
            **named,
            "share_of_seeds": None if found is None else asdict(found.seeds),
            "factors": [] if found is None else [_described(each) for each in found.effects],
            "interactions": []
            if self.together is None
            else [_described_together(each) for each in self.together.found],
        }


def _answers(effects: Effects, pair: Difference) -> int:
    return len({verdict(effects.means[level]) for level in pair.levels if level in effects.means})


def _described(effects: Effects) -> dict[str, Any]:
    return {
        "factor": effects.factor.name,
        "confounded_with": list(effects.factor.others),
        **asdict(effects.share),
        "means": [{"level": level_in_words(level), **asdict(mean)} for level, mean in effects.means.items()],
        "differences": [
            {
                "from": level_in_words(each.levels[0]),
                "to": level_in_words(each.levels[1]),
                **asdict(each.contrast.difference),
                "p": each.contrast.p,
                "p_adjusted": each.adjusted,
            }
            for each in effects.differences
        ],
    }


def _described_together(found: Interaction) -> dict[str, Any]:
    largest = found.largest
    return {
        "factors": [each.name for each in found.factors],
        "confounded_with": [[each.name for each in pair] for pair in found.others],
        **asdict(found.share),
        "is_shown": found.is_shown,
        "tests": len(found.changes),
        "largest": largest
        and {
            "first": [level_in_words(level) for level in largest.first],
            "second": [level_in_words(level) for level in largest.second],
            **asdict(largest.contrast.difference),
            "p": largest.contrast.p,
            "p_adjusted": largest.adjusted,
        },
    }


def label(effects: Effects) -> str:
    """Return the name of a factor, with those that cannot be told apart from it."""
    return _named(effects.factor)


def _named(factor: Factor) -> str:
    first, *others = (visible(label_of(name)) for name in (factor.name, *factor.others))
    return f"{first} (with {', '.join(others)})" if others else first


def label_together(found: Interaction) -> str:
    """Return the names of the factors of an interaction, with those that cannot be told apart from it."""
    first, *others = (" × ".join(_named(each) for each in pair) for pair in (found.factors, *found.others))
    return f"{first} (or {', '.join(others)})" if others else first


def level_in_words(level: Hashable) -> str:
    """Return a level of a factor in words."""
    if level is None:
        return "none"
    return visible(f"{level:g}" if isinstance(level, float) else str(level))


def audits(evidence: Evidence) -> list[Audited]:
    """Return the audits of final cooperation in each scenario, and of each contrast between modes."""
    found = []
    for game, panels in evidence.scenarios():
        runs = [run for panel in panels for run in panel.all_runs]
        names = names_of(runs)
        if not names:
            continue
        title = title_of(game)
        rows = [row(run, names, rate) for run in runs if (rate := run.mean_of(MEASURE)) is not None]
        found.append(of_rows(title, FINAL, rows, names, runs, is_claim=False))
        found += claims_of_modes(title, panels, [name for name in names if name != "mode"])
    return found


def claims_of_modes(title: str, panels: Sequence[Panel], names: Sequence[str]) -> Iterator[Audited]:
    """Yield what each contrast between modes hangs on, if any other factor varies."""
    for first, second in CONTRASTS if names else ():
        rows, runs = [], []
        for panel in panels:
            differences = paired(panel.by_seed(first, MEASURE), panel.by_seed(second, MEASURE))
            by_key = {run.apart: run for run in panel.runs.get(first, ())}
            rows += [row(by_key[key], names, value) for key, value in differences.items()]
            runs += [run for run in panel.all_runs if run.mode in (first, second)] if differences else []
        if rows:
            yield of_rows(title, f"{first} − {second}", rows, names, runs, is_claim=True)


def row(run: Run, names: Sequence[str], value: float) -> dict[str, Any]:
    """Return a row of an audit's table: an outcome with the seed and the factors of a run."""
    own = factors(run)
    return {"seed": run.label, "outcome": value, **{f"factor {name}": own.get(name) for name in names}}


def of_rows(
    scenario: str,
    outcome: str,
    rows: Sequence[dict[str, Any]],
    names: Sequence[str],
    runs: Sequence[Run],
    *,
    is_claim: bool,
) -> Audited:
    """Return the audit of an outcome from rows of a table (see `row`), whose factors have these names."""
    table = pd.DataFrame(rows).rename(columns={f"factor {name}": name for name in names})
    found = audit(table, factors_of(table, names), "outcome") if rows else None
    together = None if found is None else interactions(table, [each.factor for each in found.effects], "outcome")
    return Audited(scenario, outcome, found, together, runs, is_claim)


def section(evidence: Evidence) -> Section | None:
    """Return the section of a report; None if no parameter varies."""
    found = audits(evidence)
    if not found:
        return None
    finals = [each for each in found if not each.is_claim]
    tables = [shares_table(finals), effects_table(finals), together_table(finals), claims_table(found)]
    return Section(
        "audit", "What cooperation hangs on", sentences(finals), tables=[each for each in tables if each.rows]
    )


def sentences(finals: Sequence[Audited]) -> list[str]:
    """Say for each scenario what final cooperation hangs on."""
    return [f"{each.scenario}: {FINAL} is {each.verdict}.{_largest_in_words(each)}" for each in finals]


def _largest_in_words(audited: Audited) -> str:
    """Give the largest differences of what the outcome is sensitive to, or the largest that the runs leave possible."""
    if audited.found is None:
        return ""
    sensitive, together = audited.sensitive_to(), audited.sensitive_together()
    if sensitive or together:
        parts = [
            f"{label(each)}: {_difference_in_words(largest)}"
            for each in sensitive
            if (largest := each.largest) is not None
        ]
        parts += [
            f"{label_together(each)}: {_change_in_words(change)}"
            for each in together
            if (change := each.largest) is not None
        ]
        return f" Largest differences: {'; '.join(parts)}."
    ends = [
        max(abs(end) for end in (each.contrast.difference.low, each.contrast.difference.high) if end is not None)
        for effects in audited.found.effects
        for each in effects.differences
        if each.contrast.difference.low is not None
    ]
    return f" Differences between levels of up to {max(ends):.3f} are within their intervals." if ends else ""


def _difference_in_words(pair: Difference) -> str:
    low, high = (level_in_words(level) for level in pair.levels)
    return f"{high} − {low}, {_estimate(pair.contrast.difference)}"


def _change_in_words(change: Change) -> str:
    low, high, left, right = map(level_in_words, (*change.first, *change.second))
    return f"({high} − {low} at {right}) − ({high} − {low} at {left}), {_estimate(change.contrast.difference)}"


def _estimate(value: Estimate) -> str:
    interval = "too few seeds" if value.low is None else f"95 % interval {value.low:+.3f} to {value.high:+.3f}"
    return f"{value.mean:+.3f} ({interval})"


def shares_table(finals: Sequence[Audited]) -> Table:
    """Build the table of shares of the variance of final cooperation."""
    rows = []
    for each in finals:
        if each.found is not None:
            for effects in each.found.effects:
                rows.append([each.scenario, label(effects), *_share(effects.share), str(each.found.runs)])
            rows.append([each.scenario, "seeds", *_share(each.found.seeds), str(each.found.runs)])
            rest = "–" if each.found.rest is None else f"{each.found.rest:.1%}"
            rows.append([each.scenario, "interactions and noise", rest, "–", "–", str(each.found.runs)])
            if each.together is not None and each.together.rest is not None:
                rest = f"{each.together.rest:.1%}"
                rows.append([each.scenario, "noise and higher interactions", rest, "–", "–", str(each.found.runs)])
    steps = phase_in_words(run for each in finals for run in each.runs)
    caption = (
        f"Shares of the variance of the cooperation rate of {steps} between runs (η²: sums of squares of type II of an "
        f"analysis of variance of main effects, with seeds as blocks). Interval: 95 %, bootstrap of the seeds "
        f"({RESAMPLES:,} samples, from {LEAST_SEEDS} seeds on); with few seeds it is too narrow. By chance: the mean "
        "share of a factor without effect. Shares need not add up to 100 % where not every combination was run."
    )
    return Table(caption, ["scenario", "factor", "share", "95 % interval", "by chance", "runs"], rows, words=2)


def _share(share: Share) -> tuple[str, str, str]:
    if share.share is None:
        return "confounded", "–", "–"
    interval = "too few seeds" if share.low is None or share.high is None else f"{share.low:.1%} to {share.high:.1%}"
    return f"{share.share:.1%}", interval, "–" if share.chance is None else f"{share.chance:.1%}"


SHOWN_LEVELS = 12
"""The number of levels of a factor in the table."""


def effects_table(finals: Sequence[Audited]) -> Table:
    """Build the table of main effects: the mean at each level, and its difference from the first."""
    rows = []
    for each in finals:
        for effects in each.found.effects if each.found is not None else ():
            first = effects.factor.levels[0]
            from_first = {pair.levels[1]: pair for pair in effects.differences if pair.levels[0] == first}
            for level, mean in list(effects.means.items())[:SHOWN_LEVELS]:
                pair = from_first.get(level)
                numbers = ("–", "–")
                if pair is not None:
                    p = pair.adjusted
                    numbers = (_estimate(pair.contrast.difference), "–" if p is None else f"{p:.3f}")
                rows.append(
                    [each.scenario, label(effects), level_in_words(level), f"{mean.mean:.3f}", *numbers, str(mean.n)]
                )
    caption = (
        f"Main effects on the final cooperation rate: means at each level, the other factors at their mean, and "
        f"differences from the first level, estimated within seeds ({METHOD} over seeds, not adjusted). p, Holm: "
        "adjusted for all pairs of levels of all factors of the scenario. Of a number that varies with others, as in a "
        "Latin hypercube, both ends of a straight line are shown."
    )
    headings = ["scenario", "factor", "level", "mean", "difference from the first", "p, Holm", "seeds"]
    return Table(caption, headings, rows, words=3)


SHOWN_INTERACTIONS = 20
"""The number of interactions of a scenario in the table, those with the largest shares."""


def together_table(finals: Sequence[Audited]) -> Table:
    """Build the table of interactions of two factors."""
    rows = []
    for each in finals:
        every = [] if each.together is None else each.together.found
        for found in sorted(every, key=lambda found: -(found.share.share or 0.0))[:SHOWN_INTERACTIONS]:
            largest, p = found.largest, None if found.largest is None else found.largest.adjusted
            change = "–" if largest is None else _change_in_words(largest)
            rows.append(
                [each.scenario, label_together(found), *_share(found.share), change, "–" if p is None else f"{p:.3f}"]
            )
        if each.together is not None and not every:
            rows.append([each.scenario, "too many levels", *["–"] * 5])
    caption = (
        "Interactions of two factors in final cooperation: how much the effect of one changes with the other. Shares "
        "as above, in a model of main effects and these interactions. Those that a design cannot tell apart are one "
        "row, joined by “or”, with their share together; “confounded” is what it cannot tell from main effects. "
        f"Largest change: of the difference between two levels ({METHOD} over seeds, not adjusted). p, Holm: adjusted "
        "for all changes of all interactions of the scenario. Of each scenario the largest shares, at most "
        f"{SHOWN_INTERACTIONS}; too many levels: more than {MOST_COLUMNS} columns, which are not estimated."
    )
    headings = ["scenario", "factors", "share", "95 % interval", "by chance", "largest change", "p, Holm"]
    return Table(caption, headings, rows, words=2)


def claims_table(found: Sequence[Audited]) -> Table:
    """Build the table of verdicts on claims."""
    rows = [[each.scenario, each.outcome, answers_in_words(each), each.verdict] for each in found if each.is_claim]
    caption = (
        "Whether a number is above 0, by level of each factor, and what the answer hangs on. Sensitive: two levels "
        "answer differently, and the difference between them is shown (p < 0.05, Holm); to A × B: the same of "
        "combinations of levels, and the change of the difference; stable: all levels "
        "answer alike, with yes, no or no difference, and no combinations are sensitive; not decided: anything else."
    )
    return Table(caption, ["scenario", "question or contrast", "above 0?", "verdict"], rows, words=4)


def answers_in_words(audited: Audited) -> str:
    """Return the answer at each level, or the one answer of all levels."""
    if audited.found is None:
        return "–"
    answers = {
        (label(effects), level_in_words(level)): verdict(mean)
        for effects in audited.found.effects
        for level, mean in effects.means.items()
    }
    if len(set(answers.values())) == 1:
        return f"{next(iter(answers.values()))} at every level"
    return "; ".join(f"{name} {level}: {answer}" for (name, level), answer in answers.items())
