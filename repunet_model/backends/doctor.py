"""Diagnosis of a backend: what its endpoint can do, found out by a few small calls of the kind that runs make.

A small question is asked twice, by the client and in the dialect of runs. A last call allows a reply far longer than
any model's context, so that endpoints that check the limit name their context. It stops after five requests; only an
endpoint that rejects further forms of a request is sent more, since a rejected request costs nothing.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from hashlib import sha256
from typing import Annotated, Any, ClassVar

from repunet_model.backends.base import Backend, Correction, Request, Usage
from repunet_model.backends.dialect import lost
from repunet_model.backends.endpoint import setting_of
from repunet_model.backends.limits import price_of
from repunet_model.backends.prices import Prices
from repunet_model.backends.sender.transport import LostError, RefusedError
from repunet_model.backends.wrappers import Meter
from repunet_model.errors import AdaptationError, BackendError, InvalidReplyError, TransientError
from repunet_model.mechanism import PAPER
from repunet_model.personas import Disposition, Persona, Words
from repunet_model.questions.base import REASON, Answer, Coordinates, Question, free_text
from repunet_model.questions.prompts import Prompts

REQUESTS = 5
"""Number of requests after which nothing else is tried."""

SECONDS = 28.0
"""Limit of the time that all calls take."""

PAUSE = 1.0
"""Seconds before another request after a failure that may pass."""

LONGEST_PAUSE = 5.0
"""Longest wait that the endpoint may ask for, in seconds."""

BEYOND_ANY_CONTEXT = 4_000_000
"""Tokens of a reply that no model gives."""


class ProbeChoice(StrEnum):
    """The choices of the small question."""

    KEEP = "keep"
    SHARE = "share"


class ProbeAnswer(Answer):
    """A text, a choice and a number, the fields of which answers in runs consist."""

    reason: Annotated[Words, free_text(REASON, "why, in one sentence")]
    decision: ProbeChoice
    certainty: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe(Question[ProbeAnswer]):
    """The small question, which does not depend on a game."""

    name: ClassVar[str] = "probe"
    template: ClassVar[str] = (
        "You are {{ persona.name }}. You found {{ found }} apples. Do you {{ options.decision | join(' or ') }} them, "
        "and how certain are you, in per cent (0 to 100)?"
    )
    answer: ClassVar[type[Answer]] = ProbeAnswer

    found: int

    def bounds(self) -> dict[str, tuple[float, float]]:
        """Return the range of the percentage."""
        return {"certainty": (0, 100)}


@dataclass(frozen=True, slots=True)
class Finding:
    """A property of the endpoint; one that `is_fault` makes runs impossible. `remedy` may be empty."""

    what: str
    found: str
    remedy: str = ""
    is_fault: bool = False


def is_usable(findings: list[Finding]) -> bool:
    """Whether runs can use the endpoint."""
    return not any(finding.is_fault for finding in findings)


async def examine(backend: Backend, prices: Prices) -> tuple[list[Finding], Usage]:
    """Find out what the endpoint of a backend that `asks_model` can do, and what that has cost; close the backend."""
    examination = _Examination(backend, prices)
    try:
        async with asyncio.timeout(SECONDS):
            await examination.make()
    except TimeoutError:
        examination.give_up()
    finally:
        await backend.close()
    return examination.findings, examination.usage


class _Examination:
    def __init__(self, backend: Backend, prices: Prices) -> None:
        self._backend = Meter(backend, prices)
        self._price = price_of(backend, prices)
        self._source = prices.source
        self._described = backend.description
        self._setting = partial(setting_of, str(backend.description.get("endpoint", "")))
        self._answered: Request[Any] | None = None
        self.findings: list[Finding] = []
        self.usage = Usage()

    async def make(self) -> None:
        """Ask, and add the findings."""
        for number in (1, 2):
            request = _request(self._described, number)
            try:
                await self._ask(request)
            except BackendError as error:
                self.findings += self._faults(error)
                return
            finally:
                self.usage.add(request.usage)
            self._answered = request
            if self.usage.attempts >= REQUESTS:
                break
        self.findings += self._abilities(request)
        if self.usage.attempts < REQUESTS:
            self.findings.append(await self._context())

    async def _ask(self, request: Request[Any]) -> None:
        """Ask until an answer fits; raise BackendError if none did."""
        while True:
            try:
                await self._backend.answer(request)
                return
            except AdaptationError:
                continue
            except InvalidReplyError as error:
                self._check_left(request, error)
                if error.room is None:
                    request.usage.reasks += 1
                    request = request.corrected(Correction.of(error, request.correction))
                else:
                    request = request.in_room(error.room)
            except TransientError as error:
                self._check_left(request, error)
                if (error.retry_after or 0.0) > LONGEST_PAUSE:
                    raise
                await asyncio.sleep(error.retry_after or PAUSE)

    def _check_left(self, request: Request[Any], error: BackendError) -> None:
        """Raise the error of a request if there may be no other."""
        if self.usage.attempts + request.usage.attempts >= REQUESTS:
            raise error

    def _faults(self, error: BackendError) -> list[Finding]:
        """Return the findings about an endpoint that did not answer."""
        reached, address = Finding("reached", "yes"), f"correct {self._setting('base_url')}"
        match error.__cause__:
            case LostError(is_insecure=is_insecure, is_timeout=is_timeout):
                is_told = is_insecure or is_timeout  # with the setting to change
                return [_fault("reached", error, "" if is_told else f"start the server, or {address}")]
            case RefusedError(status=401 | 403):
                key = self._setting("key")
                variable = f"the variable that {key} names" if "endpoint" in self._described else key
                return [reached, _fault("key", error, f"set {variable} to a key of this provider")]
            case RefusedError(status=404 | 405):
                remedy = f"set {self._setting('model')} to a model that it serves, or {address}"
                return [reached, _fault("model", error, remedy)]
            case RefusedError(status=402 | 429):
                return [reached, _fault("quota", error, "wait, or see to the account's limits")]
            case RefusedError(status=status) if status < 500:
                return [reached, _fault("request", error, "change the setting that it names")]
            case RefusedError():
                return [reached, _fault("server", error, "look at the server's log, or try again later")]
        if isinstance(error, InvalidReplyError):
            remedy = error.remedy or f"try {self._setting('reply_format')}=json_object, text or tool"
            return [reached, _fault("reply format", error, remedy)]
        return [reached, _fault("replies", error, address if "not a chat completion" in str(error) else "")]

    def give_up(self) -> None:
        """Add what is known after the time for all calls is over."""
        if self._answered is not None and not self.findings:
            self.findings += self._abilities(self._answered)
        remedy = f"a run waits for {self._setting('timeout')}; a server that loads a model answers later: try again"
        told = f"no reply to the last call within {SECONDS:g} s in all"
        self.findings.append(Finding("time", told, remedy, is_fault=self._answered is None))

    def _abilities(self, answered: Request[Any]) -> list[Finding]:
        """Return the findings about an endpoint that has answered, with the last question."""
        total, last = self.usage, answered.usage
        form = next((words for words in total.adaptations if words.startswith("replies as ")), "replies as json_schema")
        again = f"; did not fit at first: {total.reasks}" if total.reasks else ""
        omitted = sorted(total.adaptations - {form})
        changed = lost(total.adaptations, self._described)
        counts = f"{last.prompt_tokens} + {last.completion_tokens} tokens"
        return [
            Finding("reached", "yes"),
            Finding("key", "accepted, or none is needed"),
            Finding("model", str(self._described["model"])),
            Finding("reply format", f"{form.removeprefix('replies as ')}{again}"),
            Finding(
                "parameters",
                f"taken, but {', '.join(omitted)}" if omitted else "all are taken",
                f"runs are not asked with {changed}, and say so" if changed else "",
            ),
            Finding("usage", f"counted: {counts} for the last call")
            if last.counted
            else Finding(
                "usage", "not counted", f"budgets assume the longest reply: lower {self._setting('max_tokens')}"
            ),
            *_reasoning(answered),
            Finding("latency", f"{last.seconds / last.attempts:.1f} s for the last call"),
            self._cost(last, counts),
        ]

    def _cost(self, usage: Usage, counts: str) -> Finding:
        """Return the finding about the price of a call."""
        if self._price is None:
            return Finding("dollars a call", "unknown", f"its price is not in {self._source}: name a file by --prices")
        dollars = usage.usd + usage.assumed_usd
        how = f"for {counts}" if usage.counted else "at most"
        return Finding("dollars a call", f"${dollars:.6f} {how}; `estimate` says what a run costs")

    async def _context(self) -> Finding:
        """Ask for more tokens than any context has, and return what the endpoint says of its own."""
        request = _request(self._described, 3).in_room(BEYOND_ANY_CONTEXT)
        said = ""
        try:
            await self._backend.answer(request)
        except BackendError as error:
            if isinstance(error.__cause__, RefusedError):
                said = error.__cause__.text
        finally:
            self.usage.add(request.usage)
        told = _CONTEXT.search(said)
        longest = _LONGEST.search(said)
        if told is not None:
            return Finding("context", f"{int(told[1].replace(',', '')):,} tokens")
        if longest is not None:
            return Finding("context", f"not told; a reply may have {int(longest[1].replace(',', '')):,} tokens")
        return Finding(
            "context",
            "not told",
            f"a prompt may have 2,000 tokens: it has to hold those and {self._setting('max_tokens')}",
        )


_CONTEXT = re.compile(r"context (?:length|size|window)(?: is| of|:)?\D{0,20}?(\d[\d,]{2,})", re.IGNORECASE)
_LONGEST = re.compile(r"(?:at most|up to|maximum of|less than or equal to|range of max_tokens is \[1,) ?(\d[\d,]{2,})")


def _request(described: Mapping[str, Any], number: int) -> Request[ProbeAnswer]:
    """Return a small question; each number has another prompt."""
    where = Coordinates(number, "doctor", Probe.name, "Ann")
    persona = Persona(name="Ann", disposition=Disposition.ALTRUISTIC)
    prompts = Prompts("Answer briefly.", PAPER)
    digest = sha256(str(number).encode()).digest()
    return Request(where, Probe(found=10**number), persona, "", digest, prompts, described)


def _reasoning(answered: Request[Any]) -> list[Finding]:
    """Return the finding about a model that reasons before it answers."""
    count, length = answered.usage.reasoning_tokens, sum(map(len, answered.thoughts))
    counted = f"{count} of {answered.usage.completion_tokens} tokens of the reply" if count else "not counted apart"
    returned = f"{length:,} characters are returned" if length else "not returned"
    return [Finding("reasoning", f"{counted}; {returned}")] if count or length else []


def _fault(what: str, error: BackendError, remedy: str) -> Finding:
    return Finding(what, str(error), remedy, is_fault=True)
