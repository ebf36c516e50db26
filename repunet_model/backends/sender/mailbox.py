"""The mailbox of a run: replies as the endpoint sent them, which arrived after the process that asked had ended.

The process that sends requests (`sender.process`) locks, writes and releases it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from repunet_model.util import json_lines
from repunet_model.util.files import replace


def unread(path: Path) -> dict[str, list[str]]:
    """Return the replies in a locked mailbox by request hash; raise StorageError if it is unreadable or damaged."""
    replies: dict[str, list[str]] = {}
    for number, row in json_lines.rows(path):
        try:
            if not isinstance(row["content"], str):
                raise TypeError("not a reply")
            replies.setdefault(row["digest"], []).append(row["content"])
        except (KeyError, TypeError) as error:
            raise json_lines.damaged(path, number, error) from error
    return replies


def discard(path: Path, digests: Iterable[str]) -> None:
    """Remove one unusable reply for each hash from a mailbox; raise StorageError if it cannot be read or written."""
    replies = unread(path)
    for digest in digests:
        if replies.get(digest):
            replies[digest].pop(0)
    rows = [{"digest": digest, "content": content} for digest, contents in replies.items() for content in contents]
    if rows:
        replace(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())
    else:
        json_lines.remove(path)
