"""Questions of a stored run as they were asked: the run is replayed in memory, and its requests are kept.

A stored question is a text; what can be changed and asked of any backend is its typed view. The society is loaded as it
was before a step and lives through it again by the recorded replies, which are compared with what was asked.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from repunet_model.backends.base import Request
from repunet_model.backends.replay import Recording, ReplayBackend
from repunet_model.backends.setup import replaying
from repunet_model.errors import ConfigurationError
from repunet_model.model import RepuNetModel
from repunet_model.questions.base import Answer, Coordinates
from repunet_model.rng import Streams
from repunet_model.storage import StepReader
from repunet_model.storage.schema import CALLS
from repunet_model.util.text import counted, ranges


@dataclass(frozen=True, slots=True)
class Recorded:
    """A question of a run with everything that the agent saw, and the recorded answer."""

    request: Request[Any]
    answer: Answer


class _Witness(ReplayBackend):
    """A replay that keeps some of the requests that it answers."""

    def __init__(
        self,
        recording: Recording,
        description: Mapping[str, Any],
        *,
        reads_prompts: bool,
        wanted: frozenset[Coordinates],
        kept: dict[Coordinates, Recorded],
    ) -> None:
        super().__init__(recording, description, reads_prompts=reads_prompts)
        self._wanted, self._kept = wanted, kept

    def check(self, own: Mapping[str, Any], game_parameters: Mapping[str, Any]) -> None:
        """Do nothing: the society is that of the recorded run."""

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Return the recorded answer, and keep the request if it is wanted."""
        answer = await super().answer(request)
        if request.coordinates in self._wanted:
            self._kept[request.coordinates] = Recorded(request, answer)
        return answer


def chosen(run: StepReader, question: str, steps: Iterable[int], n: int | None, seed: int) -> list[Coordinates]:
    """Return the places of the questions with a name in some steps, at most `n` of each agent in each step.

    Args:
        run: The run.
        question: The name of the question.
        steps: The steps.
        n: The largest number for an agent in a step; None for all.
        seed: The seed of the draw, where there are more.

    Raises:
        ConfigurationError: If no question of this name has a call of its own in these steps; the message names those
            that have.
    """
    found: dict[tuple[int, str], list[Coordinates]] = defaultdict(list)
    names: Counter[str] = Counter()
    within: dict[str, str] = {}
    asked_in = list(steps)
    for step in asked_in:
        for row in run.step(step).rows(CALLS):
            names[row["question"]] += 1
            within |= {name: row["question"] for name, *_ in row.get("parts", {}).values()}
            if row["question"] == question:
                place = Coordinates(step, row["stage"], question, row["agent"], row["about"], row["source"])
                found[step, row["agent"]].append(place)
    alone = sorted(set(names) - set(within.values()))
    where = f"in {run.folder.path}, steps {ranges(asked_in)}"
    if not names:
        raise ConfigurationError(f"no question is recorded {where}: the steps of an imported run have none")
    if question in within and question not in names:
        raise ConfigurationError(
            f"--ask {question}: it is a part of {within[question]} {where}; what has a call of its own: "
            f"{', '.join(alone) or 'nothing'}"
        )
    if question not in alone:
        raise ConfigurationError(f"--ask {question}: is not asked {where}; asked are {', '.join(alone)}")
    streams = Streams(seed)
    picked: list[Coordinates] = []
    for (step, agent), places in sorted(found.items()):
        few = n is None or len(places) <= n
        picked += places if few else sorted(streams.at("what-if", step, agent).sample(places, n or 0))
    return picked


def recorded_at(run: StepReader, places: Sequence[Coordinates]) -> list[Recorded]:
    """Return the questions at some places of a run; nothing is written into the run.

    Raises:
        RepuNetError: If the steps cannot be lived through again, as with another version's prompts.
    """
    steps = sorted({place.step for place in places})
    kept: dict[Coordinates, Recorded] = {}
    recording = Recording(run.folder.path)

    def witness(description: Mapping[str, Any], *, reads_prompts: bool) -> _Witness:
        return _Witness(recording, description, reads_prompts=reads_prompts, wanted=frozenset(places), kept=kept)

    who = replaying(recording, witness)
    with RepuNetModel.load(run.folder.path, steps[0] - 1, backend=who, is_kept=False) as model:
        while model.steps < steps[-1]:
            model.step()
    if len(kept) < len(places):
        missing = counted(len(places) - len(kept), "question")
        raise ConfigurationError(f"{missing} of {run.folder.path} did not come up again")
    return [kept[place] for place in places]
