"""Named, counted randomness: the same name and counters give the same numbers, whatever ran before."""

from __future__ import annotations

import hashlib
import json
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy
    import torch


class Rng:
    """A seed derived from (root seed, name, counters); each call makes a fresh generator at its beginning."""

    def __init__(self, seed: int, name: str, *counters: int | str) -> None:
        key = json.dumps([seed, name, *counters], separators=(",", ":"))
        self._digest = hashlib.sha256(key.encode()).digest()

    @property
    def seed(self) -> int:
        """63 bits, for libraries that take an integer."""
        return int.from_bytes(self._digest[:8], "little") >> 1

    def python(self) -> random.Random:
        return random.Random(self._digest)  # noqa: S311 - reproducible, not secret

    def numpy(self) -> numpy.random.Generator:
        import numpy as np

        return np.random.Generator(np.random.Philox(key=int.from_bytes(self._digest[:16], "little")))

    def torch(self, device: str = "cpu") -> torch.Generator:
        import torch

        return torch.Generator(device=device).manual_seed(self.seed)
