"""Norms of indirect reciprocity as tables: how an act is assessed, and how to act.

Everybody is good or bad in somebody's eyes. A norm has two rules (Ohtsuki & Iwasa 2004). The assessment rule says what
an actor becomes by its act, given its own standing and that of its partner; the action rule says whether to cooperate,
given the same two standings. Standings are written G and B, the actor's first; acts C and D; verdicts g and b. A rule
lists its entries for GG, GB, BG, BB; an assessment rule does so for C and then for D, as in the table of Hilbe et al.
(2018).

The leading eight, L1 to L8, are the norms under which cooperation is stable if everybody knows everybody's standing
(Ohtsuki & Iwasa 2004, 2006, doi 10.1016/j.jtbi.2004.06.005 and 10.1016/j.jtbi.2005.08.008); L3 is simple standing and
L6 stern judging. Image scoring looks at the act alone (Nowak & Sigmund 1998, doi 10.1038/31225). Under shunning all
that is done to the bad is bad (Takahashi & Mashima 2006, doi 10.1016/j.jtbi.2006.05.014).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from repunet_model.errors import ConfigurationError

PAIRS = ((True, True), (True, False), (False, True), (False, False))
"""The standings of actor and partner in the order of the tables; True is good."""


@dataclass(frozen=True, slots=True)
class Norm:
    """An assessment rule and an action rule.

    Attributes:
        name: Its name in the names of backends.
        assessment: The verdicts, such as "gbgb bgbg".
        action: The acts, such as "CDCD".
        alias: Another name, or empty.
    """

    name: str
    assessment: str
    action: str
    alias: str = ""
    _good: frozenset[tuple[bool, bool, bool]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read the tables."""
        after = zip(self.assessment.split(), (True, False), strict=True)
        good = frozenset(
            (*pair, cooperated)
            for verdicts, cooperated in after
            for pair, verdict in zip(PAIRS, verdicts, strict=True)
            if verdict == "g"
        )
        object.__setattr__(self, "_good", good)

    def makes_good(self, actor: bool, partner: bool, *, cooperated: bool) -> bool:
        """Return whether an act makes its actor good, by the standings of both before it; True is good."""
        return (actor, partner, cooperated) in self._good

    def cooperates(self, actor: bool, partner: bool) -> bool:
        """Return whether an actor cooperates, by the standings of both in its eyes; True is good."""
        return self.action[PAIRS.index((actor, partner))] == "C"


NORMS = {
    norm.name: norm
    for norm in (
        Norm("image_scoring", "gggg bbbb", "CDCD"),
        Norm("simple_standing", "gggg bgbg", "CDCD", "L3"),
        Norm("stern_judging", "gbgb bgbg", "CDCD", "L6"),
        Norm("shunning", "gbgb bbbb", "CDCD"),
        Norm("L1", "gggg bgbb", "CDCC"),
        Norm("L2", "gbgg bgbb", "CDCC"),
        Norm("L4", "gggb bgbg", "CDCD"),
        Norm("L5", "gbgg bgbg", "CDCD"),
        Norm("L7", "gggb bgbb", "CDCD"),
        Norm("L8", "gbgb bgbb", "CDCD"),
    )
}
"""The norms by name."""


def find(name: str) -> Norm:
    """Return the norm with a name or an alias; raise ConfigurationError if it is unknown."""
    for norm in NORMS.values():
        if name in (norm.name, norm.alias) and name:
            return norm
    known = ", ".join(f"{norm.name} ({norm.alias})" if norm.alias else norm.name for norm in NORMS.values())
    raise ConfigurationError(f"norm {name!r}: unknown; choose one of {known}")
