"""Parser of the waits that endpoints ask for, and a register of the waits under way."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime

_LENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)\b")
_SECONDS = {"m": 60.0, "h": 3600.0, "d": 86400.0, "s": 1.0}
_TOLD = re.compile(
    r"(?:retrydelay\W+|(?:try again|retry|wait|reset)\w*(?: after| in| for| another)?\s+(?:about |at least )?)"
    r"((?:\d+(?:\.\d+)?\s*[a-z]+[\s,]*(?:and\s+)?)+)"
)
"""Matches a wait in an error's text: "retryDelay": "38s", "Please try again in 7m12.5s"."""


def stated(headers: Mapping[str, str], text: str) -> float | None:
    """Return the seconds that a reply's headers (names in lower case) or body ask to wait; None if they do not."""
    if (milliseconds := _number(headers.get("retry-after-ms", ""))) is not None:
        return milliseconds / 1000
    if after := headers.get("retry-after", ""):
        return _after(after, headers.get("date", ""))
    if told := _TOLD.search(text.lower()):
        return _length(told[1])
    return _reset(headers)


def _after(text: str, now: str) -> float | None:
    """Return the seconds of a Retry-After: a number, a length of time, or a date on the server's clock."""
    if (seconds := _number(text)) is not None:
        return seconds
    try:
        moment = parsedate_to_datetime(text).timestamp()
        return max(moment - (parsedate_to_datetime(now).timestamp() if now else time.time()), 0.0)
    except ValueError:
        return _length(text)


def _reset(headers: Mapping[str, str]) -> float | None:
    """Return the seconds until all exhausted limits reset; a limit without a stated rest counts as exhausted."""
    waits = []
    for name, value in headers.items():
        start, is_one, kind = name.partition("-reset")
        if is_one and headers.get(f"{start}-remaining{kind}", "0").strip() in {"", "0"}:
            waits.append(_length(value) if _number(value) is None else _seconds_until(float(value)))
    return max((wait for wait in waits if wait is not None), default=None)


def _seconds_until(number: float) -> float:
    """Convert a number of seconds, or a Unix time in seconds or milliseconds, to seconds from now."""
    if number > 1e11:
        number /= 1000
    return max(number - time.time(), 0.0) if number > 1e9 else number


def _length(text: str) -> float | None:
    """Convert a length of time such as 12.3s, 6m0s or "2 hours and 5 minutes" to seconds."""
    parts = _LENGTH.findall(re.sub(r"(?<=[a-z])(?=\d)", " ", text.lower()))
    if not parts:
        return None
    return sum(
        float(number) * (0.001 if unit.startswith(("ms", "milli")) else _SECONDS[unit[0]]) for number, unit in parts
    )


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < 1e15 else None


def in_words(seconds: float) -> str:
    """Format a length of time: 40 s, 9 min, 2 h 5 min."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{minutes} min" if not hours else f"{hours} h {minutes} min"


class Waits:
    """Register of the waits under way."""

    def __init__(self) -> None:
        self._under_way: list[tuple[float, str]] = []

    def last(self) -> tuple[float, str]:
        """Return the seconds until the last wait ends and its reason; 0 and an empty reason if there is none."""
        end, reason = max(list(self._under_way), default=(0.0, ""))
        return max(end - time.monotonic(), 0.0), reason

    @contextmanager
    def waiting(self, seconds: float, reason: str) -> Iterator[bool]:
        """Register a wait during the block; yield whether it ends over a second later than all others."""
        wait = (time.monotonic() + seconds, reason)
        is_news = seconds > self.last()[0] + 1.0
        self._under_way.append(wait)
        try:
            yield is_news
        finally:
            self._under_way.remove(wait)
