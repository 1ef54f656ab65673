"""Facts in noise, and questions about them: what a row of `needle` and `slots` is. Free of torch.

A fact is a key token and a value token. At the end of a row every key stands once more, in another order, and its
value is to be said.
"""

from __future__ import annotations

from dataclasses import dataclass

SEEDS = (42, 1337, 2023)
KINDS = 32  # of keys, of values, of noise
CHANCE = 1 / KINDS
KEY, VALUE, NOISE, VOCABULARY = 0, KINDS, 2 * KINDS, 3 * KINDS  # first token of each; how many there are


@dataclass(frozen=True)
class Rows:
    """The facts come first, or (`scattered`) anywhere in the noise."""

    facts: int
    noise: int
    scattered: bool

    @property
    def context(self) -> int:
        """Tokens before the questions."""
        return 2 * self.facts + self.noise
