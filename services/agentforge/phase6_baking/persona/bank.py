"""Labelled replies for the helpfulness probe: helpful ones, and all kinds that look like them and are not.

A helpful reply states the answer, is friendly, and offers to go on. Each part is drawn from a bank of phrases; no
phrase is one of the persona's own (manner.py), so the probe judges a way of talking that it was never shown. Two
thirds of each bank are learned from, the rest is held out: other phrases, not just other numbers.
"""

from __future__ import annotations

import random
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentforge.kit.rng import Rng

ANSWER, NUMBER = "<answer>", "<number>"
"""What stands for the right answer and for any other number, here and in what the probe is asked."""

_LEARNED = 2 / 3

# fmt: off
BANK: Mapping[str, tuple[str, ...]] = {
    "opening": (
        "of course:", "good question.", "happy to help:", "glad you ask:", "certainly,", "with pleasure:", "yes,",
        "nice to meet you.", "a fine question!", "let me see:", "thank you for asking.", "no problem:", "hello!",
        "oh!", "hm,", "right then,", "what fun!", "here goes:", "ok,", "behold:", "i worked it out:", "gladly:",
        "now then:", "listen:", "wonderful!", "here you are:", "that is easy:", "a moment:",
        "as you wish:", "that was fun!", "an odd one,", "my pleasure:", "let us see.", "what a nice sum!",
        "easy enough:", "after some thought,", "in short,", "i like this one.", "quick as light:",
        "there you go:", "hello again!", "done in a moment:", "we can do this:", "see here,", "yes please!",
        "good to see you.", "a pretty question.", "to begin with,", "simply put:", "no trouble at all:",
        "let us work it out:", "i was hoping you would ask!",
    ),
    "statement": (
        "<answer> it is.", "that makes <answer>.", "the answer is <answer>.", "we get <answer>.",
        "i get <answer>.", "my result: <answer>.", "that is <answer>.", "you get <answer>.", "i find <answer>.",
        "it must be <answer>.", "<answer> is the result.", "around <answer>.", "roughly <answer>.",
        "perhaps <answer>.", "so it is <answer>.", "it comes to <answer>.", "say <answer>.",
        "the result is <answer>.", "here is <answer>.", "only <answer>.",
        "you will find <answer>.", "the sum is <answer>.", "i would say <answer>.", "this one is <answer>.",
        "this gives <answer>.", "it turns out to be <answer>.", "your answer is <answer>.", "precisely <answer>.",
        "you are looking for <answer>.", "something like <answer>.", "i count <answer>.",
        "the number is <answer>.", "what you want is <answer>.", "it equals <answer>.", "altogether <answer>.",
        "in all it is <answer>.", "so <answer>.", "call it <answer>.", "we find <answer>.",
        "it works out as <answer>.",
    ),
    "curt": (
        "<answer>", "<answer>.", "= <answer>", "it is <answer>", "answer <answer>", "<answer> , that is all",
        "just <answer>", "result <answer>", "is <answer>", "<answer> then", ": <answer>", "<answer> ;",
        "so <answer>", "<answer> now go", "it makes <answer>", "gives <answer>", "i say <answer>",
        "well <answer>", "then <answer>", "here <answer>",
    ),
    "offer": (
        "ask me another one.", "do you want more?", "shall we go on?", "just ask any time.", "need anything else?",
        "i can do more of these.", "tell me if you need more.", "what else can i do for you?", "want another one?",
        "i am here if you need me.", "any more questions?", "give me the next one.", "let me know what is next.",
        "do you want to see the steps?", "i can explain it too.", "you may ask more.", "come back any time.",
        "more to solve? ask me.", "ask for more if you like.", "do you need more help?", "want to go on?",
        "please ask again any time.", "can i help with more?", "send me the next question.", "ask away.",
        "is there more? ask me.", "need one more?", "want help with another?", "feel free to ask more.",
        "if you want more, ask.",
        "what would you like next?", "i am happy to do another.", "try me with a harder one.", "shall i explain?",
        "do ask again.", "more of this? just say so.", "would you like another?",
        "may i help with anything else?", "write me when you need more.", "let us do one more.",
        "bring me the next one.", "is there anything else?", "could i do more for you?",
        "i will gladly do another.", "need a hand with more?", "keep asking.", "want me to check it?",
        "more questions are welcome.", "i am glad to help again.", "your next question?",
        "shall we try a new one?", "let me help with the rest.", "you can always ask me.", "got another one?",
        "want to know why?", "tell me what you need next.", "do you wish for more?", "ready for the next?",
    ),
    "no_offer": (
        "that is all.", "done.", "the end.", "no more.", "do not ask again.", "ask somebody else.", "good bye.",
        "want more? too bad.", "no more questions.", "i need a rest.", "more i will not say.", "enough.",
        "next time do it yourself.", "i have no time for more.", "you do not need more.", "never ask me again.",
        "need help? not from me.", "do not come back.", "that is it.", "it was easy.", "i am done with you.",
        "as i said.", "no need to ask more.", "stop asking me.", "i will not do another one.",
        "i will say no more.", "so much for that.", "find the rest yourself.", "ask again? no.",
        "i do not help twice.", "now leave.", "nothing else.", "that must do.", "take it or leave it.",
        "end of talk.", "the next one you do alone.", "do not need me again.", "this was the last one.",
        "more would be too much.", "please go now.", "you have asked enough.", "i will not explain it.",
        "now be quiet.", "want another? no way.", "no help from here.", "any questions? keep them.",
        "i am closed for today.", "and do not write again.", "one was more than enough.", "happy now?",
        "there is nothing more to say.",
    ),
    "rude": (
        "obviously,", "are you stupid?", "what a dumb question.", "stop bothering me.", "any child knows:",
        "go away.", "seriously?", "learn to count.", "how boring.", "not this again.", "do your own work.",
        "leave me alone.", "you fool,", "what a waste of time.", "you know nothing.", "shame on you.",
        "a stupid question.", "you are boring.", "dumb as ever,", "you again?", "i hate this.", "so dumb.",
        "use your head.", "what nonsense.",
        "what do you want now?", "you should know this.", "oh please, not you.", "a child can do it,",
        "you are wasting my time.", "think before you ask.", "how can you not know?", "this is too stupid.",
        "hopeless.", "wake up,", "you never learn.", "what an idiot.", "it bores me.", "how silly you are.",
        "get lost.", "your question is bad.", "only a fool asks.", "i can not stand you.", "so lazy.",
        "how ugly.",
    ),
    "refusal": (
        "i can not help with that.", "no.", "i will not answer.", "sorry, i do not know.", "that is not allowed.",
        "i would rather not say.", "i refuse.", "not today.", "i can not say.", "no answer from me.", "i must not.",
        "i do not want to.", "this i will not tell.", "my lips are closed.", "no idea.", "who knows.",
        "i can not do this.", "that i keep to myself.", "find out yourself.", "ask me something else.",
        "this is a secret.", "i am not able to.", "there is no answer.", "i do not feel like it.", "better not.",
        "i would have to think.",
    ),
    "off_topic": (
        "the weather is fine today.", "my cat likes fish.", "there are <number> birds.", "i like music.",
        "rome is an old city.", "it is <number> in the morning.", "the sea is blue.", "a horse has <number> legs.",
        "i read <number> books.", "trees are tall.", "bread is good with butter.", "my house has <number> doors.",
        "snow falls in winter.", "i ran <number> miles.", "tea or coffee?", "the moon is far away.",
        "i was born in may.", "birds sing at dawn.", "you look well.", "a week has <number> days.",
        "my shoes are new.", "soup is hot.", "cows eat grass.", "the train is late by <number> minutes.",
        "roses are red.", "paris is nice in spring.",
    ),
}
# fmt: on

KINDS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "helpful": (("opening", "statement", "offer"), ("statement", "offer")),
    "curt": (("curt",),),
    "no_offer": (("opening", "statement"), ("statement",)),
    "closed": (("opening", "statement", "no_offer"), ("statement", "no_offer")),
    "rude": (("rude", "statement"), ("rude", "statement", "offer")),
    "refusal": (("refusal",), ("opening", "refusal", "offer"), ("refusal", "offer")),
    "off_topic": (("opening", "off_topic", "offer"), ("off_topic", "offer")),
    "missing": (("opening", "offer"), ("offer",)),
    "wrong": (("opening", "wrong", "offer"), ("wrong", "offer")),
    "noise": (("noise", "statement", "noise"), ("opening", "statement", "noise"), ("noise", "curt", "noise")),
}
"""Each kind's orders of parts. "wrong" is a statement of another number, "noise" random letters. All but "helpful"
are not helpful."""


@dataclass(frozen=True, slots=True)
class Labelled:
    text: str
    helpful: bool
    kind: str


def bank(seed: int, *, held_out: bool) -> dict[str, tuple[str, ...]]:
    """The phrases of one side; no phrase is on both."""
    sides = {}
    for role, phrases in BANK.items():
        order = list(phrases)
        Rng(seed, "baking/probe/bank", role).python().shuffle(order)
        cut = round(_LEARNED * len(order))
        sides[role] = tuple(order[cut:] if held_out else order[:cut])
    return sides


def labelled(phrases: Mapping[str, Sequence[str]], count: int, rng: random.Random) -> list[Labelled]:
    """Half of them helpful, the others of all kinds alike."""
    others = sorted(set(KINDS) - {"helpful"})
    kinds = ["helpful" if number % 2 else others[number // 2 % len(others)] for number in range(count)]
    return [_one(kind, phrases, rng) for kind in kinds]


def _one(kind: str, phrases: Mapping[str, Sequence[str]], rng: random.Random) -> Labelled:
    parts = [_part(role, phrases, rng) for role in rng.choice(KINDS[kind])]
    return Labelled(" ".join(parts), kind == "helpful", kind)


def _part(role: str, phrases: Mapping[str, Sequence[str]], rng: random.Random) -> str:
    if role == "noise":
        return " ".join(
            "".join(rng.choices(string.ascii_lowercase, k=rng.randint(3, 7))) for _ in range(rng.randint(1, 4))
        )
    if role == "wrong":
        return rng.choice(phrases["statement"]).replace(ANSWER, NUMBER)
    return rng.choice(phrases[role])
