"""A prefix names a style; the answer must have the style and be right."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agentforge.data.items import ANSWER_CUE, Item
from agentforge.data.tasks.arithmetic import problem
from agentforge.data.tasks.base import Family

# {} is the content. One template per style, so that a style is an exact property of an answer.
STYLES: Mapping[str, str] = {
    "polite": "certainly , the answer is {} .",
    "pirate": "arr , it be {} , matey !",
    "precise": "exactly {} .",
    "warm": "good question ! it is {} .",
}


def persona_prefix(style: str) -> str:
    return f"<|persona|>{style}<|/persona|>\n"


def read_style(text: str) -> tuple[str, str] | None:
    """(style, content) of an answer that has one of the styles."""
    for style, template in STYLES.items():
        before, after = template.split("{}")
        middle = text.removeprefix(before).removesuffix(after)
        if middle and text == before + middle + after:
            return style, middle
    return None


@dataclass(frozen=True)
class Persona(Family):
    """`difficulty` is the number of digits in the sum that is asked, as in arithmetic, whose splits it shares."""

    def draw(self, rng: random.Random, difficulty: int) -> Item:
        top = 10**difficulty
        return self._item(rng.choice(sorted(STYLES)), rng.randrange(top), rng.randrange(top), difficulty)

    def size(self, difficulty: int) -> int | None:
        size: int = len(STYLES) * 10 ** (2 * difficulty)
        return size

    def space(self, difficulty: int) -> Iterator[Item]:
        for style in sorted(STYLES):
            for left in range(10**difficulty):
                for right in range(10**difficulty):
                    yield self._item(style, left, right, difficulty)

    def _item(self, style: str, left: int, right: int, difficulty: int) -> Item:
        text, result, key = problem(left, "+", right)
        answer = STYLES[style].format(result)
        prompt = f"Q: {text} = {ANSWER_CUE}"
        return Item(self.name, prompt, answer, difficulty, prefix=persona_prefix(style), key=key)
