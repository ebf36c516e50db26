"""Random streams by key: every draw has a key of its own, so that the order of events cannot change it.

A key is a path such as (step, stage, question, agent). Its hash with the seed of the run (BLAKE2b, RFC 7693) seeds a
separate generator, so that replies may arrive in any order, and a resumed run continues with the same draws.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from hashlib import blake2b

KeyPart = str | int


@dataclass(frozen=True, slots=True)
class Streams:
    """The random streams of one run, by its seed."""

    seed: int

    def digest(self, *key: KeyPart) -> bytes:
        """Return the 16 bytes of a key; equal for equal seeds and keys on every machine."""
        path = "\x1f".join([str(self.seed), *map(str, key)])
        return blake2b(path.encode(), digest_size=16).digest()

    def at(self, *key: KeyPart) -> random.Random:
        """Return a new generator for a key."""
        return random.Random(int.from_bytes(self.digest(*key)))
