"""A teacher that answers, what a student learns from, and trainings of a moment."""

from __future__ import annotations

import functools
from typing import Any

from agentforge.data.codec import Codec
from agentforge.data.generate import ItemStream, items_by_family
from agentforge.data.loader import even_loader
from agentforge.data.rows import ItemRows
from agentforge.data.splits import Split
from agentforge.shrink.config import HealingConfig
from tests import pico

FAMILIES = {"recall": [2]}


def config(**told: Any) -> HealingConfig:
    return HealingConfig.model_validate({"steps": 3, "batch": 4, "warmup": 0, "threads": 1, **told})


class Start:
    def __init__(self, model: Any, tokenizer: Any = None) -> None:
        self.model, self.codec = model.eval(), Codec(tokenizer or pico.tokenizer())

    def rows(self, number: int) -> Any:
        streams = [ItemStream(name, Split.TRAIN, number, FAMILIES[name]) for name in sorted(FAMILIES)]
        rows = [ItemRows(stream, self.codec, 48) for stream in streams]
        return even_loader(rows, batch=4, pad=self.codec.pad, seed=number)

    def items(self, split: Any, count: int) -> Any:
        found = items_by_family(FAMILIES, split, count, 7, field="families")
        return [item for each in found.values() for item in each]


@functools.cache
def teacher() -> Any:
    """Of two layers; never to be changed."""
    return pico.titan(num_hidden_layers=2).eval()


def batch(start: Start, number: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = next(start.rows(number)).torch()
    return found
