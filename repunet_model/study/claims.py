"""The claims of Ren et al. (AAMAS 2026) as questions, and the answers that runs give.

Each question asks for the sign of a number. It is measured as in the paper, as far as the paper measures it, and in a
better way. The answer is "yes" if the 95 % interval lies above 0, "no" if it lies below, "not shown" if it contains 0,
and "no difference" if all numbers are 0. Answers hold for the backends of the runs.

A claim of one's own is registered, in a file that `study --claims` names::

    from repunet_model.study import claims, measuring

    claims.register(
        claims.Claim("rich", "Is everybody alike in resources?", ours=(measuring.fall(claims.FULL, "gini"),))
    )

A claim with the key of another replaces it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from repunet_model import extensions
from repunet_model.config import FULL, GOSSIP_ONLY, NEITHER, REPUTATION_ONLY
from repunet_model.report.evidence import EXPLOITS_BELOW, Evidence
from repunet_model.report.sections import Table, estimate_in_words
from repunet_model.report.statistics import METHOD, Estimate, verdict
from repunet_model.results.sentiment import classifier
from repunet_model.results.tables import PHASE
from repunet_model.study import measuring, reference
from repunet_model.study.measuring import Measure

MARGIN = 0.1
"""Cooperation that declines by less than this counts as persisting."""

COLLAPSED = 0.2
"""The paper's text says that cooperation falls below this without reputation."""

DECISION = (
    f"Yes: the 95 % interval of the mean over seeds ({METHOD}), or of the slope, lies above 0; no: below 0; not "
    "shown: it contains 0; no difference: all seeds give 0. Intervals are not adjusted for the number of questions."
)
"""The rule by which a number answers a question."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim as a question; the answer is yes if what is measured is above 0.

    Attributes:
        key: A short name that stays the same.
        text: The question.
        papers: The measure that is closest to the paper's; None if it reports none.
        ours: Better measures.
        modes: The modes whose cooperation rates the paper reports for it.
        games: The games the paper claims it of; empty for all.
    """

    key: str
    text: str
    papers: Measure | None = None
    ours: Sequence[Measure] = ()
    modes: Sequence[str] = ()
    games: Sequence[str] = ()

    def measures(self) -> Iterator[tuple[str, Measure]]:
        """Yield each measure, after "paper" or "ours"."""
        if self.papers is not None:
            yield "paper", self.papers
        yield from (("ours", each) for each in self.ours)

    def described(self) -> dict[str, Any]:
        """Return what a plan stores of the claim: its words, and the hash of the file if it was registered by one."""
        ways = [{"by": by, "measure": measure.words} for by, measure in self.measures()]
        return {"question": self.text, "games": list(self.games), "measures": ways, "file": _FILES.get(self.key)}


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict of a scenario's runs on a claim, by one measure; `measured` is None if no run has the number."""

    claim: Claim
    by: str
    measure: Measure
    scenario: str
    reported: str
    measured: Estimate | None

    @property
    def verdict(self) -> str:
        """The answer in words."""
        return "nothing to measure" if self.measured is None else verdict(self.measured)

    def described(self) -> dict[str, Any]:
        """Return the finding as plain data."""
        return {
            "claim": self.claim.key,
            "question": self.claim.text,
            "scenario": self.scenario,
            "by": self.by,
            "measure": self.measure.words,
            "answer": self.verdict,
            "paper_reports": self.reported,
            "estimate": None if self.measured is None else asdict(self.measured),
        }


LAST = reference.last_steps()

_WHO = f"(exploiters chose cooperatively in fewer than {EXPLOITS_BELOW:.0%} of their choices of the last {PHASE} steps)"


def _by_classifier() -> Measure:
    judge = classifier()
    by = "a classifier (the extra sentiment is missing)" if judge is None else judge.name
    words = f"positive messages / (positive and negative messages) by {by}, − one half"
    return measuring.of_runs(words, measuring.praise_by_classifier)


CLAIMS = (
    Claim(
        "collapse",
        "Does cooperation collapse without reputation and gossip?",
        measuring.level(NEITHER, LAST, "the paper's text", below=COLLAPSED),
        [measuring.fall(NEITHER)],
        modes=[NEITHER],
    ),
    Claim(
        "collapse_without_reputation",
        "Does cooperation collapse without reputation, though there is gossip?",
        measuring.level(GOSSIP_ONLY, LAST, "the paper's text", below=COLLAPSED),
        [measuring.fall(GOSSIP_ONLY)],
        modes=[GOSSIP_ONLY],
    ),
    Claim(
        "persistence",
        "Does cooperation persist with reputation and gossip?",
        measuring.level(FULL, LAST, "our bound; the paper names none", above=0.5),
        [measuring.persistence(FULL, MARGIN)],
        modes=[FULL],
    ),
    Claim(
        "more",
        "Is there more cooperation in the end with both than with neither?",
        measuring.difference(FULL, NEITHER, LAST),
        [measuring.difference(FULL, NEITHER, PHASE)],
        modes=[FULL, NEITHER],
    ),
    Claim(
        "gossip",
        "Does gossip add to reputation?",
        measuring.difference(FULL, REPUTATION_ONLY, LAST),
        [measuring.difference(FULL, REPUTATION_ONLY, PHASE)],
        modes=[FULL, REPUTATION_ONLY],
    ),
    Claim(
        "behaviour",
        "Does reputation follow behaviour?",
        measuring.slope("reputation", "cooperation"),
        [measuring.rank_correlation("reputation", "cooperation")],
    ),
    Claim(
        "clusters",
        "Do cooperative clusters form?",
        measuring.of_runs("assortativity of mutual ties by reputation at the end", measuring.reputation_of_mutual_ties),
        [
            measuring.of_runs(
                f"assortativity of ties at the end by cooperation in the last {PHASE} steps − its mean over "
                f"{measuring.PERMUTATIONS} permutations of the agents",
                measuring.assortativity_above_null,
            ),
            measuring.difference(FULL, NEITHER, PHASE, "assortativity_cooperation"),
            measuring.of_runs(
                f"modularity of ties at the end − its mean over {measuring.NULLS} networks rewired with equal degrees",
                measuring.modularity_above_null,
            ),
        ],
    ),
    Claim(
        "isolation",
        "Are exploiters isolated?",
        measuring.of_runs(
            f"share with nobody tied to them at the end, exploiters − others {_WHO}",
            measuring.negated(measuring.others_less("isolated", EXPLOITS_BELOW)),
        ),
        [
            measuring.of_runs(
                f"ties to an agent at the end, others − exploiters {_WHO}",
                measuring.others_less("ties_to", EXPLOITS_BELOW),
            )
        ],
    ),
    Claim(
        "falls_apart",
        "Does the network fall apart without reputation and gossip?",
        measuring.fall(NEITHER, "ties"),
        [
            measuring.between_runs(
                "share of agents in the largest connected group at the end", measuring.largest_component, FULL, NEITHER
            )
        ],
        games=["investment"],
    ),
    Claim(
        "positive_gossip",
        "Is positive gossip more frequent than negative?",
        _by_classifier(),
        [
            measuring.of_runs(
                "positive messages / (positive and negative messages) by the tone they were told in, − one half",
                measuring.praise_by_tone,
            )
        ],
    ),
    Claim(
        "gossiped_about",
        "Do agents who are gossiped about more have better reputations?",
        measuring.slope("reputation", "told_about"),
        [measuring.rank_correlation("reputation", "told_about")],
    ),
)
"""The claims of the paper, in the order of its text."""

_REGISTERED: dict[str, Claim] = {}

_FILES: dict[str, str] = {}
"""The hash of the file that registered a claim, by key."""


def load(paths: Sequence[Path]) -> None:
    """Import Python files that register claims; raise ConfigurationError if one cannot be imported.

    They are no extensions: runs do not depend on them.
    """
    for path in paths:
        before = dict(_REGISTERED)
        extensions.module_at(path)
        new = [key for key, claim in _REGISTERED.items() if before.get(key) is not claim]
        _FILES.update(dict.fromkeys(new, sha256(path.read_bytes()).hexdigest()))


def register(claim: Claim) -> Claim:
    """Register a claim of one's own, in place of one with the same key."""
    _REGISTERED[claim.key] = claim
    return claim


def asked() -> list[Claim]:
    """Return the claims of the paper and the registered ones."""
    return list(({claim.key: claim for claim in CLAIMS} | _REGISTERED).values())


def findings(evidence: Evidence, among: Sequence[Claim]) -> list[Finding]:
    """Return the findings of claims for every scenario they are about, by every measure."""
    reported = reference.reported
    return [
        Finding(claim, by, measure, panel.title, reported(claim.key, claim.modes, panel.game), measure.of(panel))
        for claim in among
        for panel in evidence.panels
        if panel.game in (claim.games or [panel.game])
        for by, measure in claim.measures()
    ]


def table(found: Sequence[Finding], title: str = "") -> Table:
    """Return findings as a table."""
    rows = []
    for finding in found:
        measured = finding.measured
        numbers = ("–", "–", "0") if measured is None else (*estimate_in_words(measured), str(measured.n))
        number = [by_measure for _, by_measure in finding.claim.measures()].index(finding.measure) + 1
        measure = f"{number} ({finding.by})"
        rows.append([finding.claim.text, finding.scenario, measure, finding.verdict, finding.reported, *numbers])
    caption = (
        f"{title}{DECISION} Measures are numbered as in the text: the paper's, as far as it has one, and ours. What "
        "the paper reports: rates of its Table 1 in these modes, or its words. Seeds: runs that have the number."
    )
    headings = ["question", "scenario", "measure", "answer", "paper reports", "mean", "95 % interval", "seeds"]
    return Table(caption, headings, rows, words=5)


def lines(found: Sequence[Finding]) -> list[str]:
    """Return findings as lines of text, by claim."""
    text = []
    for claim in dict.fromkeys(finding.claim.key for finding in found):
        own = [finding for finding in found if finding.claim.key == claim]
        text.append(own[0].claim.text)
        for finding in own:
            mean = "" if finding.measured is None else f": {finding.measured}"
            text.append(f"  {finding.scenario}, {finding.by}: {finding.verdict}{mean}")
    return text


def measured(among: Sequence[Claim]) -> list[str]:
    """Describe how each claim is measured."""
    texts = []
    for claim in among:
        ways = (f"{number} ({by}): {measure.words}" for number, (by, measure) in enumerate(claim.measures(), start=1))
        texts.append(f"{claim.text} {'; '.join(ways)}.")
    return texts
