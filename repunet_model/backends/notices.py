"""Warnings about replies that are valid but suspicious, each logged once."""

from __future__ import annotations

import logging

_LOG = logging.getLogger(__name__)

REPLIES = 8
"""The number of replies whose prompt tokens are compared."""

LEAST_TOKENS = 256
"""Fewest tokens that count as a truncated prompt."""


class Notices:
    """The warnings about one endpoint."""

    def __init__(self, place: str, model: str) -> None:
        self._place = place
        self._model = model
        self._is_other_told = False
        self._prompts: list[tuple[int, int]] = []

    def take(self, model: str, prompt_tokens: int | None, prompt_length: int) -> None:
        """Check a reply; warn if another model gave it, or if different prompts have equal numbers of tokens.

        The model is empty, and the number of tokens None, if the endpoint does not report them.
        """
        if not self._is_other_told and is_other(model, self._model):
            self._is_other_told = True
            _LOG.warning("%s: replies come from the model %r", self._place, model[:100])
        if prompt_tokens is None or len(self._prompts) >= REPLIES:
            return
        self._prompts.append((prompt_tokens, prompt_length))
        counts, lengths = map(set, zip(*self._prompts, strict=True))
        if len(self._prompts) == REPLIES and len(counts) == 1 < len(lengths) and prompt_tokens >= LEAST_TOKENS:
            _LOG.warning(
                "%s: counts %d tokens for every prompt, though they differ: it may cut them; give it a longer context",
                self._place,
                prompt_tokens,
            )


def is_other(replied: str, asked: str) -> bool:
    """Whether a reply names another model than the requested one; provider, date and ":latest" do not count."""
    one, two = (name.lower().rpartition("/")[2].removesuffix(":latest") for name in (replied, asked))
    return bool(one) and not (one.startswith(two) or two.startswith(one))
