"""Rows that teach the inner steps of a task, which answers alone teach slowly or not at all.

No other split is shown: an answer is only learned where the item that asks for it is in train.
Measured on the tiny model (docs/cognate.md): without its drill, recall stays at chance.
"""

from __future__ import annotations

import random
import string
from typing import cast

import numpy as np

from agentforge.data.codec import Codec
from agentforge.data.rows import IGNORED, Numbered, Row, RowSource
from agentforge.data.splits import Split, split_of
from agentforge.data.tasks import FAMILIES
from agentforge.data.tasks.nested import Nested
from agentforge.kit.rng import Rng
from agentforge.phase1_cognate.config import DataConfig

_NESTED = cast(Nested, FAMILIES["nested"])

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
    """Nested expressions in which every number has the value so far as label: in ((3+4)*2) mod 5 "3 2 4".

    A label stands at the place of the next token, which is another one; the loss does not mind.
    """

    name = "nested_drill"

    def __init__(self, codec: Codec, depths: tuple[int, ...], seed: int) -> None:
        self.codec, self.depths, self.seed = codec, depths, seed
        self._digits = {codec.ids(digit)[0] for digit in string.digits}

    def row(self, number: int) -> Row:
        rng = Rng(self.seed, f"data/{self.name}", number).python()
        start, operations = _NESTED.problem(rng, rng.choice(self.depths))
        items = [_NESTED.item(start, operations[: depth + 1]) for depth in range(len(operations))]
        values = [(str(start), True)] + [(item.answer, item.split is Split.TRAIN) for item in items]
        ids = self.codec.ids(items[-1].prompt)
        answer = [*self.codec.ids(items[-1].completion), self.codec.eos]
        labels = [IGNORED] * len(ids) + (answer if values[-1][1] else [IGNORED] * len(answer))
        numbers = [place for place, token in enumerate(ids) if token in self._digits]
        for place, (value, learned) in zip(numbers, values, strict=False):  # the last number is the modulus
            if learned:
                labels[place + 1] = self.codec.ids(value)[0]
        return Row(np.array(ids + answer, np.int64), np.array(labels, np.int64))


def recall_key(asked: str, facts: dict[str, str]) -> str:
    """What the recall family's split hashes."""
    return f"recall {asked} in " + " ".join(sorted(name + value for name, value in facts.items()))


def _facts(rng: random.Random, count: int) -> dict[str, str]:
    return {name: str(rng.randrange(10)) for name in rng.sample(string.ascii_lowercase, count)}
