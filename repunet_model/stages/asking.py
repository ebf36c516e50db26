"""Two ways to put a line of thought to an agent: one question a call, or as a whole (`questions.compound`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repunet_model.questions.base import Coordinates
from repunet_model.questions.compound import Answers, Ask, Compound, Thought, asks_of, conclusion

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from repunet_model.stages.draft import Draft


async def one_by_one[T](draft: Draft, thought: Thought[T]) -> T:
    """Ask an agent the questions of a line of thought, one call each, and return what it comes to."""
    try:
        ask = next(thought)
        while True:
            ask = thought.send(await draft.put(ask.question, ask.about, ask.source))
    except StopIteration as end:
        value: T = end.value
        return value


async def at_once[D: Draft, T](
    draft: D, kind: type[Compound], begin: Callable[[D], Thought[T]], about: str, source: str = ""
) -> T:
    """Ask an agent a line of thought in one call, and return what it comes to.

    Args:
        draft: The agent.
        kind: What the line is about.
        begin: Begins it on a draft of the agent.
        about: Whom it is about.
        source: Through whom the matter came.
    """
    asks = asks_of(begin(draft.scratch()))
    if len(asks) == 1:
        return await one_by_one(draft, begin(draft))
    if not asks:
        return conclusion(begin(draft), Answers(parts={}))
    world = draft.world

    def digest_of(ask: Ask[Any]) -> bytes:
        stage = ask.stage or draft.stage
        where = Coordinates(world.step, stage, ask.question.name, draft.name, ask.about, ask.source)
        return world.streams.digest(*where)

    compound = kind(think=lambda: begin(draft.scratch()), digest_of=digest_of, asks=asks)
    return conclusion(begin(draft), await draft.put(compound, about, source))
