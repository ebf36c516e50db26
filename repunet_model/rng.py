"""Keyed random streams: every draw is named by what it is for, so that the order of events cannot change it.

A draw's key is a path such as (step, stage, question, agent). The key is hashed together with the seed of the
run (BLAKE2b, RFC 7693); the digest seeds a generator of its own. Nothing here is shared between two draws, so
replies may arrive in any order, at any concurrency, and a resumed run continues exactly where it stopped.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from hashlib import blake2b

KeyPart = str | int


@dataclass(frozen=True, slots=True)
class Streams:
    """The random streams of one run.

    Attributes:
        seed: The seed of the run, any integer.
    """

    seed: int

    def digest(self, *key: KeyPart) -> bytes:
        """Return the 16 bytes that belong to a key; the same for the same seed and key, on every machine."""
        path = "\x1f".join([str(self.seed), *map(str, key)])
        return blake2b(path.encode(), digest_size=16).digest()

    def at(self, *key: KeyPart) -> random.Random:
        """Return a new generator for a key."""
        return random.Random(int.from_bytes(self.digest(*key)))
