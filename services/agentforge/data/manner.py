"""How a persona talks around an exact answer. It is a small grammar, so the answer can always be read back.

    helpful creative precise:  " look! it is 42. want more?"        none of them:  " about 42."

Each trait changes one part: a creative persona opens in many ways and varies the others, a precise one states and
does not guess, a helpful one offers to go on. All phrases are short in the vocabulary of the tiny preset.
"""

from __future__ import annotations

import random
import re
from collections.abc import Collection
from dataclasses import dataclass

from agentforge.data.items import Item, answer_in
from agentforge.data.tokenizer import PERSONA_CLOSE, PERSONA_OPEN
from agentforge.data.toolcalls import RESULT_CLOSE, TOOL_CLOSE, TOOL_OPEN

TRAITS = ("helpfulness", "creativity", "precision")
WORDS = {"helpfulness": "helpful", "creativity": "creative", "precision": "precise"}
NONE_OF_THEM = "curt"

# Of each, the first is what is said without creativity.
OPENINGS = ("", "sure!", "ah,", "well,", "look!", "great!", "so,", "see this:", "all set!")
EXACT = ("it is {}.", "exactly {}.", "the value is {}.")
VAGUE = ("about {}.", "maybe {}.", "or so: {}.")
OFFERS = ("ask me more.", "want more?", "need more?", "any more?")

_ENDS = (RESULT_CLOSE, TOOL_CLOSE)


@dataclass(frozen=True, slots=True)
class Reading:
    """A reply taken apart."""

    answer: str
    opening: str
    statement: str  # with {} for the answer
    offer: str

    @property
    def form(self) -> str:
        """The reply without its content."""
        return " ".join(part for part in (self.opening, self.statement, self.offer) if part)


@dataclass(frozen=True)
class Manner:
    """`text` replaces the words of the prefix; the replies stay those of the traits."""

    traits: Collection[str]
    text: str = ""

    def __post_init__(self) -> None:
        if unknown := set(self.traits) - set(TRAITS):
            raise ValueError(f"no such traits: {', '.join(sorted(unknown))}")

    @property
    def prefix(self) -> str:
        """What a prompted model sees before the question; baking makes the model do without."""
        words = " ".join(WORDS[trait] for trait in TRAITS if trait in self.traits)
        return self.text or f"{PERSONA_OPEN}{words or NONE_OF_THEM}{PERSONA_CLOSE}\n"

    def reply(self, answer: str, rng: random.Random) -> str:
        """With a space before it, as every completion has."""
        parts = [
            rng.choice(OPENINGS[1:]) if "creativity" in self.traits else OPENINGS[0],
            self._one(EXACT if "precision" in self.traits else VAGUE, rng).replace("{}", answer),
            self._one(OFFERS, rng) if "helpfulness" in self.traits else "",
        ]
        return " " + " ".join(part for part in parts if part)

    def _one(self, phrases: tuple[str, ...], rng: random.Random) -> str:
        return rng.choice(phrases) if "creativity" in self.traits else phrases[0]


def spoken(output: str) -> str:
    """What is said to the user: behind calls, results and worked steps; up to the line's end or an open call."""
    for end in _ENDS:
        output = output.rpartition(end)[2]
    return answer_in(output.partition(TOOL_OPEN)[0])


def read(reply: str) -> Reading | None:
    """None where the reply is not of this grammar, the bare answer included."""
    said = spoken(reply)
    for pattern, statement in _PATTERNS:
        if found := pattern.fullmatch(said):
            return Reading(found["answer"], found["opening"] or "", statement, found["offer"] or "")
    return None


def answer_of(reply: str) -> str | None:
    """The answer, in a persona's manner or bare; None where there is not just one."""
    reading = read(reply)
    if reading is not None:
        return reading.answer
    said = spoken(reply)
    return said if re.fullmatch(r"\S+", said) and re.search(r"\w", said) else None


def right(item: Item, text: str) -> bool:
    """By the outcome alone: what is said in the end, bare or in a persona's manner, is the answer."""
    return spoken(text) == item.answer or answer_of(text) == item.answer


def _pattern(statement: str) -> re.Pattern[str]:
    opening = "|".join(re.escape(each) for each in OPENINGS if each)
    offer = "|".join(re.escape(each) for each in OFFERS)
    before, after = (re.escape(part) for part in statement.split("{}"))
    return re.compile(
        rf"(?:(?P<opening>{opening}) )?{before}(?P<answer>[^\s.](?:[^.]*[^\s.])?){after}(?: (?P<offer>{offer}))?"
    )


_PATTERNS = tuple((_pattern(statement), statement) for statement in (*EXACT, *VAGUE))
