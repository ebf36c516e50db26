"""The opening stages of a step: public rounds, and the reactions of agents to public news.

In a game with rounds, all agents declare a choice in public in steps 1, 6, 11, ... (the period is a switch of the
mechanism); each agent that keeps records of others then updates those of known agents and reconsiders its ties to them.
In a game with public evaluations, with such records and gossip, agents do the same in steps 6, 11, ... from all
evaluations since the last time.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from itertools import batched
from typing import TYPE_CHECKING, ClassVar

from repunet_model.games.base import Declaration
from repunet_model.questions.compound import QuestionFlow, Reading
from repunet_model.questions.encounter import News
from repunet_model.reputation import Cause, Level
from repunet_model.stages.asking import at_once, one_by_one
from repunet_model.stages.base import PopulationStage
from repunet_model.stages.draft import Draft
from repunet_model.stages.reputation import update_from_news
from repunet_model.stages.rewiring import rewire_after_news
from repunet_model.storage.schema import DECLARATIONS, Notice
from repunet_model.util.causality import together

if TYPE_CHECKING:
    from repunet_model.stages.world import StepContext

MOST_AT_ONCE = 10
"""Maximum number of subjects in one call, which keeps replies within the limits of models."""

Subject = tuple[str, str]
"""A name and a role."""

NewsSource = Callable[[str, Subject], News | None]
"""Returns the news for a reader, by name, about a subject; None without news."""


def _citizens(world: StepContext) -> list[Draft]:
    """Return a draft of each agent for the opening of a step."""
    return [Draft(world, name, "opening", world.game.roles[0]) for name in world.agents]


def _opens(world: StepContext) -> bool:
    """Whether a step opens with public news."""
    return (world.step - 1) % world.mechanism.public_period == 0


class PublicRound(PopulationStage):
    """The stage in which agents declare a choice, in games with public rounds: all agents, or those that enter."""

    name: ClassVar[str] = "opening"

    def __init__(self, world: StepContext) -> None:
        super().__init__(world)
        citizens = _citizens(world)
        self._citizens = citizens if _opens(world) else [each for each in citizens if each.declared is None]
        self._declarations: list[Declaration] = []

    @classmethod
    def takes_part(cls, world: StepContext) -> bool:
        """Whether the game has a round in this step, or agents enter between two rounds."""
        return world.game.has_rounds and (_opens(world) or any(row["persona"] is not None for row in world.turnover))

    async def decide(self) -> None:
        """Ask the agents."""
        self._declarations = await together(*(self.world.game.declare(citizen) for citizen in self._citizens))

    def apply(self) -> None:
        """Publish and log the choices."""
        for citizen, declaration in zip(self._citizens, self._declarations, strict=True):
            citizen.agent.declared = declaration.cooperated
            citizen.log_errors()
            self.world.public.observe([(citizen.name, declaration.cooperated)])
            self.world.log.add(
                DECLARATIONS,
                {
                    "step": self.world.step,
                    "agent": citizen.name,
                    "cooperated": declaration.cooperated,
                    "reason": declaration.reason,
                },
            )


class TakeIn(PopulationStage):
    """Base class of stages in which agents react to public news about known agents with records and ties."""

    name: ClassVar[str] = "opening"
    cause: ClassVar[Cause]
    """The cause of the new records."""

    def __init__(self, world: StepContext) -> None:
        super().__init__(world)
        self._citizens = _citizens(world)

    @abstractmethod
    def _news_source(self) -> NewsSource:
        """Return the source of the news."""

    async def decide(self) -> None:
        """Let all agents react concurrently."""
        source = self._news_source()
        await together(*(self._read(citizen, source) for citizen in self._citizens))

    async def _read(self, citizen: Draft, source: NewsSource) -> None:
        others = (r for r in citizen.agent.ledger.present() if r.subject != citizen.name)
        known = [(r.subject, r.role) for r in others if r.subject in citizen.world.agents]
        news = [(subject, item) for subject in known if (item := source(citizen.name, subject)) is not None]
        if citizen.world.fused:
            for number, some in enumerate(batched(news, MOST_AT_ONCE), 1):
                await at_once(citizen, Reading, partial(self._conclude_all, some), about="", source=f"#{number}")
        else:
            await together(*(one_by_one(citizen, self._conclude(citizen, *item)) for item in news))

    def _conclude_all(self, news: Sequence[tuple[Subject, News]], citizen: Draft) -> QuestionFlow[None]:
        for number, (subject, item) in enumerate(news, 1):
            yield from self._conclude(citizen, subject, item, suffix=f"_{number}")

    def _conclude(self, citizen: Draft, subject: Subject, news: News, suffix: str = "") -> QuestionFlow[None]:
        yield from update_from_news(citizen, f"record{suffix}", *subject, news, self.cause)
        if citizen.world.mechanism.tie_after_news:
            yield from rewire_after_news(citizen, f"tie{suffix}", *subject, news)

    def apply(self) -> None:
        """Apply records and ties."""
        for citizen in self._citizens:
            citizen.commit()


class ReadChoices(TakeIn):
    """The stage in which agents react to the choices of a public round."""

    cause: ClassVar[Cause] = Cause.SIGN_UP

    @classmethod
    def takes_part(cls, world: StepContext) -> bool:
        """Whether this step has a round and agents keep records of others."""
        return world.game.has_rounds and _opens(world) and world.mechanism.peer_records

    def _news_source(self) -> NewsSource:
        """Return the choice of a subject beside the choice of the reader."""
        world = self.world
        reasons = {row["agent"]: row["reason"] for row in world.log.rows(DECLARATIONS)}

        def read(reader: str, subject: Subject) -> News:
            own, other = (world.agents[name].declared for name in (reader, subject[0]))
            text = world.desk.prompts.text(
                "news_choice.j2", subject=subject[0], own=own, other=other, reason=reasons[subject[0]]
            )
            return News(text=text, cooperated=other)

        return read


class ReadEvaluations(TakeIn):
    """The stage in which agents react to public evaluations; they are then cleared."""

    cause: ClassVar[Cause] = Cause.OBSERVATION

    @classmethod
    def takes_part(cls, world: StepContext) -> bool:
        """Whether the game publishes evaluations and this step opens with public news."""
        return world.game.publishes_evaluations and _opens(world)

    def _news_source(self) -> NewsSource:
        """Return the evaluations of a subject by agents other than the reader."""
        by_subject: dict[Subject, list[Notice]] = {}
        for row in self.world.public.evaluations:
            by_subject.setdefault((row["subject"], row["role"]), []).append(row)

        def read(reader: str, subject: Subject) -> News | None:
            rows = [row for row in by_subject.get(subject, ()) if row["by"] != reader]
            if not rows:
                return None
            notices = [{**row, "level": Level(row["level"])} for row in rows]
            text = self.world.desk.prompts.text(
                "news_evaluations.j2", subject=subject[0], role=subject[1], notices=notices
            )
            return News(text=text, conduct=tuple(Level(row["level"]) for row in rows))

        return read

    async def decide(self) -> None:
        """Let all agents react, if they keep records of others and gossip."""
        if self.world.mechanism.peer_records and self.world.mechanism.first_order:
            await super().decide()

    def apply(self) -> None:
        """Apply records and ties, and clear the evaluations."""
        super().apply()
        self.world.public.evaluations.clear()
