"""Matrices, items and models that are small and known."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from agentforge.data.codec import Codec
from agentforge.data.generate import items_by_family
from agentforge.data.items import Item
from agentforge.data.splits import Split
from agentforge.kit.rng import Rng
from tests import pico

Floats = npt.NDArray[np.floating[Any]]


@functools.cache
def codec() -> Codec:
    return Codec(pico.tokenizer())


@functools.cache
def items(count: int = 6) -> tuple[Item, ...]:
    """Of two lengths, so that batches are padded."""
    found = items_by_family({"recall": [2], "arithmetic": [1]}, Split.TRAIN, count, 7, field="families")
    return tuple(item for each in found.values() for item in each)


def correlated(columns: int, tokens: int = 4096) -> npt.NDArray[np.float64]:
    """The gram of inputs that are mostly mixtures of a few directions, as hidden states are."""
    dice = Rng(0, "inputs", columns).numpy()
    mixed = dice.standard_normal((tokens, columns // 8)) @ dice.standard_normal((columns // 8, columns))
    x_NC = mixed + 0.3 * np.sqrt(columns / 8) * dice.standard_normal((tokens, columns))
    found: npt.NDArray[np.float64] = x_NC.T @ x_NC / tokens
    return found


def gauss(rows: int, columns: int) -> npt.NDArray[np.float32]:
    return Rng(0, "weights", rows, columns).numpy().standard_normal((rows, columns)).astype(np.float32)


def output_lost(found: Floats, wanted: Floats, gram_CC: Floats) -> float:
    """Share of the outputs' energy."""

    def energy(w_RC: Floats) -> float:
        return float(((w_RC @ gram_CC) * w_RC).sum())

    return energy(found.astype(np.float64) - wanted) / energy(wanted.astype(np.float64))


def train(model: Any, steps: int, **told: Any) -> Any:
    """A few long steps of the training loop on items; the training is returned."""
    from agentforge.data.generate import ItemStream
    from agentforge.data.loader import even_loader
    from agentforge.data.rows import ItemRows
    from agentforge.kit.audience import Quiet
    from agentforge.shrink.config import HealingConfig
    from agentforge.train.loop import Training

    rows = [ItemRows(ItemStream("recall", Split.TRAIN, 1, [2]), codec(), 48)]
    loader = even_loader(rows, batch=4, pad=codec().pad, seed=1)
    config = HealingConfig(steps=steps, batch=4, warmup=0, threads=1, lr=0.02, muon_lr=0.2)
    training = Training(model, loader, config, **told)
    training.run(Quiet())
    return training
