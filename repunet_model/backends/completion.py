"""Parser of chat completions and error bodies, which differ between endpoints and arrive unvalidated."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

MOST_TOKENS = 1_000_000_000
"""Limit of a valid token count."""

_END_OF_THOUGHT = re.compile(
    r"</(?:think|thinking|thought|reasoning)>|\[/THINK\]|◁/think▷|<\|channel\|>final<\|message\|>", re.IGNORECASE
)
_THOUGHT = re.compile(r"<(?:think|thinking|thought|reasoning)>|\[THINK\]|◁think▷|<\|channel\|>analysis", re.IGNORECASE)
"""Marks around a model's reasoning."""

_REASONS = {"max_tokens": "length", "model_length": "length", "safety": "content_filter"}
"""OpenAI's finish reasons for those of other endpoints."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Token counts of the endpoint: `prompt` includes `cached` tokens, `completion` those of `reasoning`."""

    prompt: int
    completion: int
    cached: int
    reasoning: int


@dataclass(frozen=True, slots=True)
class Completion:
    """Content of a chat completion; unknown texts, and a refusal that was not made, are empty.

    `answer` is the text without the reasoning before it; `thought` is that reasoning. `finish_reason` is OpenAI's.
    `failure` is the error that was sent in place of a reply.
    """

    answer: str
    finish_reason: str
    refusal: str
    thought: str
    failure: Any
    counted: Counted | None
    model: str

    @classmethod
    def of(cls, reply: object) -> Self:
        """Read a reply's decoded JSON; raise ValueError if it is no chat completion."""
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
            apart = _thought_apart(message)
        except (KeyError, IndexError, TypeError, AttributeError):
            raise ValueError("not a chat completion") from None
        text, apart = (each.encode("utf-8", "replace").decode() for each in (text, apart))
        answer, within = without_thoughts(text)
        return cls(
            answer=answer,
            finish_reason=_REASONS.get(reason, reason),
            refusal=str(refusal) if refusal and not text else "",
            thought="\n".join(filter(None, (apart, within))),
            failure=failure,
            counted=None if counted is not None and text and not counted.completion else counted,
            model=model if isinstance(model, str) else "",
        )


def _counted(counts: object) -> Counted | None:
    """Return the numbers of tokens; None if incomplete, or if the endpoint reports 0 for the prompt."""
    prompt, completion, total = (_count(counts, f"{kind}_tokens") for kind in ("prompt", "completion", "total"))
    if not prompt or completion is None:
        return None
    cached, reasoning = (
        _count(counts.get(f"{kind}_tokens_details") if isinstance(counts, dict) else None, f"{name}_tokens") or 0
        for kind, name in (("prompt", "cached"), ("completion", "reasoning"))
    )
    # Some endpoints count reasoning in the total only, or beside the completion.
    beside = (total or 0) - prompt - completion
    if total is None and reasoning > completion:
        beside = reasoning
    completion, reasoning = completion + max(beside, 0), max(reasoning, beside)
    return Counted(prompt, completion, min(cached, prompt), min(reasoning, completion))


def _count(counts: object, name: str) -> int | None:
    """Return a number of tokens, or None if it is absent or invalid."""
    count = counts.get(name) if isinstance(counts, dict) else None
    if not isinstance(count, int | float) or isinstance(count, bool) or not 0 <= count < MOST_TOKENS:
        return None
    return int(count) if int(count) == count else None


def _text_of(content: object) -> str:
    """Return the text of a message, which may come as a string, in parts, or as a decoded object."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))
    return json.dumps(content) if isinstance(content, dict) else ""


def _thought_apart(message: dict[str, Any]) -> str:
    """Return the reasoning that a message holds outside its text."""
    fields = (message.get(name) for name in ("reasoning_content", "reasoning"))
    apart = max((field for field in fields if isinstance(field, str)), key=len, default="")
    content = message.get("content")
    parts = [part.get("thinking") for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    return apart + "".join(part if isinstance(part, str) else _text_of(part) for part in parts)


def without_thoughts(text: str) -> tuple[str, str]:
    """Split off reasoning: return the answer and the reasoning before it, without the marks around it.

    A part that is JSON as a whole is the answer, since answers may quote marks. Otherwise the answer follows the last
    closing mark, and is empty if reasoning is still open there: a draft is no decision.
    """
    starts = [0, *(mark.end() for mark in _END_OF_THOUGHT.finditer(text))]
    for start in starts:
        if _is_json(text[start:]):
            return text[start:], _without_marks(text[:start])
    rest = text[starts[-1] :]
    return ("", _without_marks(text)) if _THOUGHT.search(rest) else (rest, _without_marks(text[: starts[-1]]))


def _without_marks(thought: str) -> str:
    return _THOUGHT.sub("", _END_OF_THOUGHT.sub("", thought)).strip()


def json_in(text: str) -> str:
    """Return the JSON object of an answer, without the text around it."""
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else text


def _is_json(text: str) -> bool:
    try:
        json.loads(text.strip("\ufeff \n\t\r"))
    except (ValueError, RecursionError):
        return False
    return True


def complaint_of(body: Any) -> str:
    """Return the messages of an error, given as JSON text or decoded, without quotations of the request."""
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except (ValueError, RecursionError):
            return str(body).strip()
    return " ".join(dict.fromkeys(_words(body)))


def _words(body: object) -> Iterator[str]:
    """Yield the messages in an error's body, including those of the provider behind a router."""
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
