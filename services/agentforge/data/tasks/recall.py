"""Key-value recall: k pairs, perhaps spread through noise, and a question about one of them."""

from __future__ import annotations

import random
import string
from dataclasses import dataclass

from agentforge.data.items import Item
from agentforge.data.tasks.base import Family

_LETTERS = tuple(string.ascii_lowercase)
_SYLLABLES = tuple(c + v for c in "bcdfghjklmnpqrstvwxz" for v in "aeiou")
_FILLERS = (
    "the", "and", "of", "that", "this", "with", "from", "they", "have", "been",
    "were", "some", "more", "time", "then", "over", "such", "into", "only", "very",
)  # fmt: skip


@dataclass(frozen=True)
class Recall(Family):
    """`difficulty` is the number of pairs; `noise` the number of filler words, none of which is a key.

    Half of the noise lies between the pairs, half between the last pair and the question, so a question is always
    at least noise/2 words away from every fact: choose it beyond the attention's window to test memory.
    """

    noise: int = 0

    def draw(self, rng: random.Random, difficulty: int) -> Item:
        names = rng.sample(_LETTERS if difficulty <= len(_LETTERS) // 2 else _SYLLABLES, difficulty)
        pairs = [(name, str(rng.randrange(10))) for name in names]
        asked, value = rng.choice(pairs)
        key = f"recall {asked} in " + " ".join(name + value for name, value in sorted(pairs))
        prompt = f"Q: {self._facts(rng, pairs)} ; {asked} A:"
        return Item(self.name, prompt, value, difficulty, key=key)

    def _facts(self, rng: random.Random, pairs: list[tuple[str, str]]) -> str:
        facts = [f"{name}{value}" for name, value in pairs]
        if not self.noise:
            return " ".join(facts)
        gaps = [0] * len(facts)
        for _ in range(self.noise // 2):
            gaps[rng.randrange(len(facts))] += 1
        words = [word for gap, fact in zip(gaps, facts, strict=True) for word in (*_noise(rng, gap), fact)]
        return " ".join([*words, *_noise(rng, self.noise - self.noise // 2)])


def _noise(rng: random.Random, count: int) -> list[str]:
    return rng.choices(_FILLERS, k=count)
