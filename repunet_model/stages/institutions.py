"""The public institutions: a board of reports, a score of all records, and an image score that the environment keeps.

What an institution shows of an agent is the same for everybody, the agent included. It changes when a stage is
applied, never while agents decide. Private records are no public matter: under `private` there is nothing to show.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from repunet_model.mechanism import Institution
from repunet_model.questions.base import PublicOpinion, Report, said
from repunet_model.reputation import LEVELS, Level, Standings
from repunet_model.stages.assessments import Assessments

if TYPE_CHECKING:
    from repunet_model.storage.schema import Notice, PublicState

IMAGE_BOUND = 5
"""Image scores are whole numbers from -5 to 5, and begin at 0 (Nowak & Sigmund 1998, Nature 393, 573-577)."""

REPORTS_SHOWN = 5
"""The latest reports on an agent that the board shows."""

Assessment = Callable[[bool, int, int | None], int]
"""Returns the new image score of an agent from its act (whether it cooperated), its score before, and the score that
its partner had before the encounter; the latter is None for a public choice, which has no partner."""


def image_scoring(cooperated: bool, own: int, partner: int | None) -> int:
    """Assess an act by image scoring: one up for cooperation and one down for defection, whoever the partner is."""
    return max(-IMAGE_BOUND, min(IMAGE_BOUND, own + (1 if cooperated else -1)))


def in_public(state: PublicState, name: str) -> list[str]:
    """Return what an image or the board says of an agent, a line each; nothing under other institutions."""
    if "images" in state:
        return [f"image score {state['images'].get(name, 0)}"]
    reports = [row for row in state.get("reports", ()) if row["subject"] == name]
    return [
        f"{row['by']} reported in step {row['step']} (as {row['role']}, {row['level']}): {said(row['text'])}"
        for row in reports
    ]


class PublicRecords:
    """What is known of agents beside ledgers: what an institution shows of them, evaluations, and standings by norms.

    Attributes:
        institution: The institution.
        standings: The mean scores over all records, to which ledgers contribute.
        evaluations: The public evaluations to which agents have not reacted yet, whatever the institution.
        images: Image scores, by name of agents that have acted; empty under other institutions.
        assessments: The standings of agents in the eyes of those that follow a norm, whatever the institution.
    """

    def __init__(self, institution: Institution, assess: Assessment = image_scoring) -> None:
        """Begin without any past."""
        self.institution = institution
        self.standings = Standings()
        self.evaluations: list[Notice] = []
        self.images: dict[str, int] = {}
        self.assessments = Assessments()
        self._assess = assess
        self._reports: dict[str, deque[Notice]] = {}

    def observe(self, acts: Sequence[tuple[str, bool | None]]) -> None:
        """Assess the acts of an encounter or of a public choice; one that is None is none.

        Args:
            acts: Name and act of both sides, or of one agent that chooses in public.
        """
        if self.institution is not Institution.IMAGE:
            return
        before = {name: self.images.get(name, 0) for name, _ in acts}
        for name, cooperated in acts:
            if cooperated is not None:
                partner = next((score for other, score in before.items() if other != name), None)
                self.images[name] = self._assess(cooperated, before[name], partner)

    def post(self, report: Notice) -> None:
        """Put a report on the board."""
        self._reports.setdefault(report["subject"], deque(maxlen=REPORTS_SHOWN)).append(report)

    def opinion(self, subject: str, role: str) -> PublicOpinion:
        """Return what everybody sees of an agent; the role counts for the score alone."""
        if self.institution is Institution.SCORE:
            score, count = self.standings.score(subject, role), self.standings.count(subject, role)
            return PublicOpinion(None, subject, role, self.institution, score, count, standing=score or 0.0)
        if self.institution is Institution.IMAGE:
            image = self.images.get(subject)
            return PublicOpinion(None, subject, "", self.institution, image, standing=(image or 0) / IMAGE_BOUND)
        reports = tuple(
            Report(row["step"], row["by"], row["role"], Level(row["level"]), row["text"])
            for row in self._reports.get(subject, ())
        )
        standing = fmean((LEVELS.index(report.level) - 2) / 2 for report in reports) if reports else 0.0
        return PublicOpinion(None, subject, "", self.institution, reports=reports, standing=standing)

    def score(self, subject: str, role: str) -> float | None:
        """Return an agent's score in a role, in [-1, 1]: what is shown, or the mean of private records; None without.

        It orders choosers, and is that of the stored state.
        """
        if self.institution in (Institution.IMAGE, Institution.BOARD):
            shown = self.opinion(subject, role)
            return shown.score if shown.is_known else None
        return self.standings.score(subject, role)

    def over_roles(self, roles: Iterable[str], names: Iterable[str]) -> dict[str, float]:
        """Return the score of each named agent, a mean over the roles in which it has one; others are left out."""
        if self.institution in (Institution.IMAGE, Institution.BOARD):
            return {name: score for name in names if (score := self.score(name, "")) is not None}
        return self.standings.over_roles(roles, names)

    def state(self) -> PublicState:
        """Return what is public, but for records, as plain data."""
        state: PublicState = {"board": list(self.evaluations)}
        if self.institution is Institution.IMAGE:
            state["images"] = dict(sorted(self.images.items()))
        if self.institution is Institution.BOARD:
            state["reports"] = [row for _, rows in sorted(self._reports.items()) for row in rows]
        if assessed := self.assessments.stored():
            state["assessments"] = assessed
        return state

    def restore(self, state: PublicState) -> None:
        """Set what is public; the state of a run with another institution has nothing of this one."""
        self.evaluations = list(state["board"])
        self.images = dict(state.get("images", {}))
        self.assessments.restore(state.get("assessments", {}))
        self._reports = {}
        for row in state.get("reports", ()):
            self.post(row)
