"""The learner of `forgetting` and `controller`: a fresh tiny model that is taught a little, in a minute or less."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from agentforge.data.codec import Codec
from agentforge.data.drills import drill
from agentforge.data.generate import ItemStream
from agentforge.data.items import Item
from agentforge.data.loader import Loader
from agentforge.data.rows import ItemRows, RowSource
from agentforge.data.scoring import score_items
from agentforge.data.splits import Split
from agentforge.data.tokenizer import train_tokenizer
from agentforge.kit.audience import Quiet
from agentforge.models.ternary.convert import convert
from agentforge.models.ternary.linear import frozen
from agentforge.phase5_training.configs.pace import PaceConfig
from agentforge.phase5_training.pace import Pace
from agentforge.train.config import TrainConfig
from agentforge.train.evaluate import answers
from agentforge.train.loop import Training, model_loss

Levels = Mapping[str, Sequence[int]]
"""Difficulties of families."""

_TEXTS = 1_500  # of each family, for the tokenizer
_SHAPE: dict[str, Any] = {  # a step of 64 short rows takes some 30 ms of one thread
    "hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 128, "num_hidden_layers": 2,
    "max_position_embeddings": 128, "tie_word_embeddings": True,
    "rope_parameters": {"rope_type": "default", "rope_theta": 50.0},  # positions of a row or less
}  # fmt: skip
_EMBEDDING_STD = 0.1  # as in phase 1's preset: at 0.02 tied embeddings collapse


class Watching(Quiet):
    """A context that is called after every step."""

    def __init__(self, watch: Callable[[int], object]) -> None:
        super().__init__()
        self._watch = watch

    def progress(self, done: int, total: int = 0, unit: str = "steps", message: str = "") -> None:
        self._watch(done)


def codec_for(families: Levels, vocabulary: int) -> Codec:
    """Its tokenizer has seen the families' easy items alone, as they are trained on."""
    streams = [ItemStream(name, Split.TRAIN, 0, levels) for name, levels in families.items()]
    return Codec(train_tokenizer((item.text for each in streams for item in islice(each, _TEXTS)), vocabulary))


def fresh(kind: str, codec: Codec, seed: int) -> Any:
    """`kind`: plain or ternary."""
    torch.manual_seed(seed)
    model: Any = LlamaForCausalLM(LlamaConfig(vocab_size=len(codec.tokenizer), **_SHAPE))
    with torch.no_grad():
        embeddings = model.get_input_embeddings().weight
        embeddings.mul_(_EMBEDDING_STD / embeddings.std())
    if kind == "ternary":
        convert(model)
    return model


def rows(codec: Codec, name: str, levels: Sequence[int], length: int, seed: int) -> RowSource:
    """Of a family, or of its drill."""
    if name.endswith("_drill"):
        return drill(name, codec, lambda _: tuple(levels), seed)
    return ItemRows(ItemStream(name, Split.TRAIN, seed, levels), codec, length)


def taught(model: Any, codec: Codec, sources: Sequence[RowSource], config: TrainConfig, seed: int) -> None:
    """From all sources alike, at the phase's pace."""
    loader = Loader([(each, 1.0) for each in sources], batch=config.batch, pad=codec.pad, seed=seed)
    Training(model, loader, config, loss_of=frozen_loss, pace=Pace(PaceConfig())).run(Quiet())


def frozen_loss(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    with frozen(model):
        return model_loss(model, batch)


def held_out(families: Levels, count: int, seed: int) -> dict[str, list[Item]]:
    """So many of each family and difficulty, or all where it has fewer; of the test split."""
    return {
        name: [
            item
            for level in levels
            for item in ItemStream(name, Split.TEST, seed, (level,)).distinct(count, all_if_fewer=True)
        ]
        for name, levels in families.items()
    }


def right(model: Any, codec: Codec, items: Sequence[Item]) -> float:
    """Share answered rightly, greedily; a training goes on as if nobody had asked."""
    training = model.training
    model.eval()
    with frozen(model):
        found = score_items(items, answers(model, codec, items))
    model.train(training)
    return sum(found) / len(found)
