"""The one protocol between an agent's question and whoever answers it.

A request carries everything an answer may depend on: the question with its typed view, the persona, the order of
options, a random stream of its own, and the prompts for those who need text. Wrappers (`backends.wrappers`) follow
the same protocol, so retries, limits and re-asking compose.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from random import Random
from typing import Any, Protocol, Self

from repunet_model.personas import Persona
from repunet_model.questions.base import Answer, Coordinates, Options, Question
from repunet_model.questions.prompts import Prompts


@dataclass(slots=True)
class Usage:
    """What answering cost. It may differ between equal runs and is never part of a result.

    Attributes:
        attempts: Requests sent to an endpoint.
        retries: Attempts after one that failed in transit.
        reasks: Attempts after a reply that did not fit.
        prompt_tokens: As the endpoint reports them.
        completion_tokens: As the endpoint reports them.
        seconds: Time spent waiting for the endpoint.
    """

    attempts: int = 0
    retries: int = 0
    reasks: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens

    def add(self, other: Usage) -> None:
        """Add another usage to this one."""
        self.attempts += other.attempts
        self.retries += other.retries
        self.reasks += other.reasks
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens
        self.seconds += other.seconds

    def to_dict(self) -> dict[str, Any]:
        """Return the usage as plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Correction:
    """A reply that did not fit, and what was wrong with it."""

    text: str
    problem: str


@dataclass(frozen=True, slots=True)
class Request[A: Answer]:
    """A question on its way to a backend.

    Attributes:
        coordinates: Where in the run it is asked.
        question: What is asked, with all the agent may see.
        persona: Who is asked.
        learned: What the agent acts on, in its role.
        digest: The digest of the coordinates, which keys every draw made for this question.
        prompts: The prompts of the run, for backends that need text.
        corrections: Earlier replies to this request that did not fit.
        usage: What it has cost so far; backends and wrappers add to it.
    """

    coordinates: Coordinates
    question: Question[A]
    persona: Persona
    learned: str
    digest: bytes
    prompts: Prompts
    corrections: tuple[Correction, ...] = ()
    usage: Usage = field(default_factory=Usage)

    def random(self) -> Random:
        """Return the random stream of this question, from its beginning."""
        return Random(int.from_bytes(self.digest))

    def options(self) -> Options:
        """Return the order in which options are named."""
        return self.question.options(self.digest)

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of the answer."""
        return self.question.schema(self.options())

    def prompt(self) -> str:
        """Return the agent's own part of the prompt."""
        return self.prompts.user(self.question, self.persona, self.learned, self.options())

    def messages(self) -> list[dict[str, str]]:
        """Return the whole prompt as chat messages, with every correction so far."""
        messages = [
            {"role": "system", "content": self.prompts.system},
            {"role": "user", "content": self.prompt()},
        ]
        for correction in self.corrections:
            messages.append({"role": "assistant", "content": correction.text})
            messages.append(
                {
                    "role": "user",
                    "content": f"That reply does not fit: {correction.problem}. Answer the question again.",
                }
            )
        return messages

    def corrected(self, correction: Correction) -> Self:
        """Return this request with one more correction."""
        return replace(self, corrections=(*self.corrections, correction))


class Backend(Protocol):
    """Whoever answers questions."""

    @property
    def description(self) -> dict[str, Any]:
        """What the outcome of a run depends on; plain data, no secret, nothing that only concerns speed."""

    @property
    def reads_prompts(self) -> bool:
        """Whether it answers from the prompt; if not, no prompt is rendered or recorded."""

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Answer a question.

        Raises:
            BackendError: If no answer that fits the question could be had.
        """

    async def close(self) -> None:
        """Give back connections; the backend is not used afterwards."""
