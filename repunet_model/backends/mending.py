"""Correction of slightly malformed answers by their schema, without guesses.

A choice becomes the only option that differs just in case, blanks, quotation marks, a final dot or Unicode form, and a
percentage becomes the number before its sign.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

_AROUND = " \t\r\n\"'`*.«»“”„\u2018\u2019"
"""Characters ignored around a choice."""

_PERCENTAGE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*")


def mended(text: str, schema: Mapping[str, Any]) -> tuple[str, int]:
    """Correct the values of a JSON reply by its schema; return the reply and the number of corrections."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return text, 0
    found, count = _value(data, schema)
    return (json.dumps(found, ensure_ascii=False), count) if count else (text, 0)


def _value(value: Any, schema: Mapping[str, Any]) -> tuple[Any, int]:
    schema = next((one for one in schema.get("anyOf", ()) if one.get("type") != "null"), schema)
    if isinstance(value, dict) and isinstance(fields := schema.get("properties"), Mapping):
        parts = {name: _value(each, fields.get(name, {})) for name, each in value.items()}
        return {name: part for name, (part, _) in parts.items()}, sum(count for _, count in parts.values())
    if isinstance(value, str):
        if "enum" in schema and value not in schema["enum"]:
            same = [option for option in schema["enum"] if _bare(option) == _bare(value)]
            return (same[0], 1) if len(same) == 1 else (value, 0)
        percentage = _PERCENTAGE.fullmatch(value) if schema.get("type") in {"integer", "number"} else None
        if percentage:
            number = float(percentage[1])
            return int(number) if number.is_integer() else number, 1
    return value, 0


def _bare(text: str) -> str:
    """Normalize a choice for comparison."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().strip(_AROUND).split())
