"""Ask an agent a sequence of dependent questions, with one call per question or in one call for all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repunet_model.questions.base import Coordinates
from repunet_model.questions.compound import Compound, FlowQuestion, QuestionFlow, asks_of, follow, follow_async

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from repunet_model.stages.draft import Draft


async def one_by_one[T](draft: Draft, thought: QuestionFlow[T]) -> T:
    """Ask the questions of a sequence with one call each and return its result."""
    return await follow_async(thought, lambda ask: draft.put(ask.question, ask.about, ask.source))


async def at_once[D: Draft, T](
    draft: D, kind: type[Compound], begin: Callable[[D], QuestionFlow[T]], about: str, source: str = ""
) -> T:
    """Ask the questions of a sequence in one call and return its result; `begin` starts the sequence on a draft."""
    asks = asks_of(begin(draft.scratch()))
    if len(asks) < 2:
        return await one_by_one(draft, begin(draft))
    world = draft.world

    def digest_of(ask: FlowQuestion[Any]) -> bytes:
        stage = ask.stage or draft.stage
        where = Coordinates(world.step, stage, ask.question.name, draft.name, ask.about, ask.source)
        return world.streams.digest(*where)

    compound = kind(think=lambda: begin(draft.scratch()), digest_of=digest_of, asks=asks)
    parts = (await draft.put(compound, about, source)).parts
    return follow(begin(draft), lambda ask: parts[ask.part])
