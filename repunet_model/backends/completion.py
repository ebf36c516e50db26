"""A chat completion as endpoints send it, read: they differ, and the SDK passes on what it gets without checking it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

MOST_TOKENS = 1_000_000_000
"""No reply has more; a larger count is none."""

_END_OF_THOUGHT = re.compile(
    r"</(?:think|thinking|thought|reasoning)>|\[/THINK\]|◁/think▷|<\|channel\|>final<\|message\|>", re.IGNORECASE
)
_THOUGHT = re.compile(r"<(?:think|thinking|thought|reasoning)>|\[THINK\]|◁think▷|<\|channel\|>analysis", re.IGNORECASE)
"""The marks between which models think aloud."""

_REASONS = {"max_tokens": "length", "model_length": "length", "safety": "content_filter"}
"""OpenAI's words for why a reply ended, where others have their own."""


@dataclass(frozen=True, slots=True)
class Counted:
    """The tokens of a reply as the endpoint counts them.

    Attributes:
        prompt: Those of the prompt, those from a cache included.
        completion: Those of the reply, those of thinking included.
        cached: Prompt tokens from a cache.
    """

    prompt: int
    completion: int
    cached: int


@dataclass(frozen=True, slots=True)
class Completion:
    """The content of a chat completion.

    Attributes:
        answer: The text, without what the model thought aloud before it.
        finish_reason: Why it ended, in OpenAI's words; empty if it does not say.
        refusal: Why the model refused, in its words; empty if it did not.
        reasoning: Characters of what it thought, as far as that was sent.
        failure: The error in place of a reply, as it was sent; None if there is none.
        counted: Its tokens; None if the endpoint did not count them.
        model: The model that replied; empty if it does not say.
    """

    answer: str
    finish_reason: str
    refusal: str
    reasoning: int
    failure: Any
    counted: Counted | None
    model: str

    @classmethod
    def of(cls, reply: object) -> Self:
        """Read the JSON of a reply.

        Raises:
            ValueError: If it is no chat completion.
        """
        data = reply if isinstance(reply, dict) else {}
        counted, model = _counted(data.get("usage")), data.get("model")
        try:
            choice = data["choices"][0]
            given = choice.get("finish_reason")
            reason = given.lower() if isinstance(given, str) else ""
            failure = choice.get("error") or ("no reason given" if reason == "error" else None)
            message = {} if failure is not None else choice["message"]
            text, refusal = _text_of(message.get("content")), message.get("refusal")
            if not text and message.get("tool_calls"):
                text = _text_of(message["tool_calls"][0]["function"]["arguments"])
            elsewhere = _thought_apart(message)
        except (KeyError, IndexError, TypeError, AttributeError):
            raise ValueError("not a chat completion") from None
        text = text.encode("utf-8", "replace").decode()
        answer, thought = without_thoughts(text)
        return cls(
            answer=answer,
            finish_reason=_REASONS.get(reason, reason),
            refusal=str(refusal) if refusal and not text else "",
            reasoning=elsewhere + thought,
            failure=failure,
            counted=None if counted is not None and text and not counted.completion else counted,
            model=model if isinstance(model, str) else "",
        )


def _counted(counts: object) -> Counted | None:
    """Return the tokens of a reply. A prompt has some: an endpoint that says 0 does not count them."""
    prompt, completion, total = (_count(counts, f"{kind}_tokens") for kind in ("prompt", "completion", "total"))
    if not prompt or completion is None:
        return None
    details = counts.get("prompt_tokens_details") if isinstance(counts, dict) else None
    # Some count what a model thinks in the total alone.
    return Counted(prompt, max(completion, (total or 0) - prompt), min(_count(details, "cached_tokens") or 0, prompt))


def _count(counts: object, name: str) -> int | None:
    """Return a number of tokens; None where an endpoint does not count them, or not in numbers."""
    count = counts.get(name) if isinstance(counts, dict) else None
    if not isinstance(count, int | float) or isinstance(count, bool) or not 0 <= count < MOST_TOKENS:
        return None
    return int(count) if int(count) == count else None


def _text_of(content: object) -> str:
    """Return the text of a message, which some send in parts, and some as the object it stands for."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))
    return json.dumps(content) if isinstance(content, dict) else ""


def _thought_apart(message: dict[str, Any]) -> int:
    """Return the characters of thinking that a message holds beside its text."""
    fields = (message.get(name) for name in ("reasoning_content", "reasoning"))
    apart = max((len(field) for field in fields if isinstance(field, str)), default=0)
    content = message.get("content")
    parts = [part.get("thinking") for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    return apart + sum(len(part if isinstance(part, str) else _text_of(part)) for part in parts)


def without_thoughts(text: str) -> tuple[str, int]:
    """Return what of a text follows its thoughts, and how many characters of thoughts precede it.

    An answer may quote a mark, so what is JSON as a whole is an answer. Else only what follows the last closing mark
    counts, and nothing does after an opening mark that is never closed: a draft in a thought is no decision.
    """
    starts = [0, *(mark.end() for mark in _END_OF_THOUGHT.finditer(text))]
    for start in starts:
        if _is_json(text[start:]):
            return text[start:], start
    rest = text[starts[-1] :]
    opening = _THOUGHT.search(rest)
    return ("", len(text)) if opening else (rest, starts[-1])


def json_in(text: str) -> str:
    """Return the JSON object of an answer, without what was written around it."""
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else text


def _is_json(text: str) -> bool:
    try:
        json.loads(text.strip("\ufeff \n\t\r"))
    except (ValueError, RecursionError):
        return False
    return True


def complaint_of(body: Any) -> str:
    """Return what an error says is wrong, in whatever form it says it, without what it quotes of the request.

    Args:
        body: The error: JSON as text, or what it stands for.
    """
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except (ValueError, RecursionError):
            return str(body).strip()
    return " ".join(dict.fromkeys(_words(body)))


def _words(body: object) -> Iterator[str]:
    """Yield the texts of an error's body, those of the provider behind a router included."""
    if isinstance(body, str):
        yield body
    elif isinstance(body, list):
        for each in body:
            yield from _words(each)
    elif isinstance(body, dict):
        for name in ("error", "message", "detail", "msg", "loc"):
            yield from _words(body.get(name))
        metadata = body.get("metadata")
        raw = metadata.get("raw") if isinstance(metadata, dict) else None
        if raw:
            yield complaint_of(raw)
