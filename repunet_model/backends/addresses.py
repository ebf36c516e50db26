"""The addresses of one endpoint, over which its requests are shared out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import monotonic

from repunet_model.backends.sender.transport import Destination, LostError, RefusedError

REST = 10.0
"""Seconds for which an address that failed is used only if all others failed too."""


class Addresses:
    """The addresses of an endpoint, each with its requests under way."""

    def __init__(self, destinations: Sequence[Destination]) -> None:
        """Share out requests over one or more destinations."""
        self._destinations = destinations
        self._under_way = [0] * len(destinations)
        self._sent = [0] * len(destinations)
        self._rests_until = [0.0] * len(destinations)

    @contextmanager
    def one(self) -> Iterator[Destination]:
        """Yield the least busy destination; an error of its server or of the network inside the block lets it rest."""
        now = monotonic()
        place = min(
            range(len(self._destinations)),
            key=lambda each: (max(self._rests_until[each] - now, 0.0), self._under_way[each], self._sent[each]),
        )
        self._under_way[place] += 1
        self._sent[place] += 1
        try:
            yield self._destinations[place]
        except (LostError, RefusedError) as error:
            if isinstance(error, LostError) or error.status == 429 or error.status >= 500:
                self._rests_until[place] = monotonic() + REST
            raise
        finally:
            self._under_way[place] -= 1
