"""Rows that teach the inner steps of a task, which answers alone teach slowly or not at all.

No other split is shown: an answer is only learned where the item that asks for it is in train.
Measured on the tiny model (docs/cognate.md): without its drill, recall stays at chance.
"""

from __future__ import annotations

import random
import re
import string

import numpy as np

from agentforge.data.codec import Codec
from agentforge.data.generate import ItemStream
from agentforge.data.items import Item
from agentforge.data.rows import IGNORED, Numbered, Row, RowSource
from agentforge.data.splits import Split, split_of
from agentforge.kit.rng import Rng
from agentforge.phase1_cognate.config import DataConfig

_DRAWS = 10  # pairs in a row of the recall drill


def drill(name: str, codec: Codec, data: DataConfig, seed: int) -> RowSource:
    if name == RecallDrill.name:
        return RecallDrill(codec, data.difficulty("recall"), seed)
    return NestedDrill(codec, data.difficulty("nested"), seed)


class RecallDrill(Numbered):
    """A few pairs, drawn again and again: "Q: l0l j8j l0l j8j"; every second row without the key's echo.

    The echo teaches a value to know the key before it; the repetition, to look a key up. Recall needs both, and
    dense labels teach both within a hundred steps.
    """

    name = "recall_drill"

    def __init__(self, codec: Codec, pairs: tuple[int, ...], seed: int) -> None:
        self.codec, self.pairs, self.seed = codec, tuple(min(count, 26) for count in pairs), seed

    def row(self, number: int) -> Row:
        rng = Rng(self.seed, f"data/{self.name}", number).python()
        facts = _facts(rng, rng.choice(self.pairs))
        ids = self.codec.ids("Q:")
        labels = [IGNORED] * len(ids)
        seen: dict[str, str] = {}
        for _ in range(_DRAWS):
            name = rng.choice(sorted(facts))
            learned = name in seen and split_of(recall_key(name, seen)) is Split.TRAIN
            seen[name] = facts[name]
            key_ids, value_ids = self.codec.ids(f" {name}"), self.codec.ids(facts[name])
            ids += key_ids + value_ids
            labels += [IGNORED] * len(key_ids) + (value_ids if learned else [IGNORED] * len(value_ids))
            if number % 2 == 0:
                ids += key_ids
                labels += key_ids
        return Row(np.array(ids, np.int64), np.array(labels, np.int64))


class NestedDrill(Numbered):
    """Items of nested whose every number has the value so far as its label: ((3+4)*2) has 3, 2 and 4.

    A label stands at the place of the next token, which is another one; the loss does not mind.
    """

    name = "nested_drill"

    def __init__(self, codec: Codec, depths: tuple[int, ...], seed: int) -> None:
        self.codec = codec
        self.items = ItemStream("nested", Split.TRAIN, Rng(seed, f"data/{self.name}").seed, depths)
        self._digits = {codec.ids(digit)[0] for digit in string.digits}

    def row(self, number: int) -> Row:
        item = self.items.item(number)
        ids, learned = self.codec.item_ids(item)
        labels = np.where(learned, ids, IGNORED)
        numbers = [place for place, token in enumerate(ids) if token in self._digits]
        labels[numbers[0] + 1] = ids[numbers[0]]
        for place, (value, prompt) in zip(numbers[1:], inner_values(item), strict=False):
            if split_of(prompt) is Split.TRAIN:
                labels[place + 1] = self.codec.ids(str(value))[0]
        return Row(np.array(ids, np.int64), labels.astype(np.int64))


def recall_key(asked: str, facts: dict[str, str]) -> str:
    """What the recall family's split hashes."""
    return f"recall {asked} in " + " ".join(sorted(name + value for name, value in facts.items()))


def inner_values(item: Item) -> list[tuple[int, str]]:
    """(value, prompt that asks for it) of each operation of an item of nested, innermost first."""
    before, expression, after = re.split(r"(?<=^Q: )(\S+)(?= mod )", item.prompt)
    modulus = int(re.search(r"mod (\d+)", after)[1])  # type: ignore[index]
    value = int(re.search(r"\d+", expression)[0])  # type: ignore[index]
    found = []
    for depth, closing in enumerate(re.finditer(r"([+*-])(\d+)\)", expression), start=1):
        sign, number = closing[1], int(closing[2])
        value = {"+": value + number, "-": value - number, "*": value * number}[sign] % modulus
        found.append((value, before + expression[item.difficulty - depth : closing.end()] + after))
    return found


def _facts(rng: random.Random, count: int) -> dict[str, str]:
    return {name: str(rng.randrange(10)) for name in rng.sample(string.ascii_lowercase, count)}
