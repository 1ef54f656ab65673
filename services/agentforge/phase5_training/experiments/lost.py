"""The trainings of `forgetting`: one family after the other, each time with dreams of another kind."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agentforge.data.codec import Codec
from agentforge.data.items import Item
from agentforge.data.loader import Batch, Loader
from agentforge.data.rows import RowSource
from agentforge.phase5_training.configs.dreams import DreamsConfig
from agentforge.phase5_training.configs.pace import PaceConfig
from agentforge.phase5_training.configs.quantised import QuantisedConfig
from agentforge.phase5_training.configs.selfmodel import SelfModelConfig
from agentforge.phase5_training.dreams import Dreams
from agentforge.phase5_training.experiments.learner import (
    Watching,
    codec_for,
    fresh,
    held_out,
    right,
    rows,
    taught,
)
from agentforge.phase5_training.pace import Pace
from agentforge.phase5_training.quantised import Quantised
from agentforge.phase5_training.selfmodel import SelfModel
from agentforge.phase5_training.training import ForgeLoss
from agentforge.train.config import TrainConfig
from agentforge.train.loop import Training

Fields = Mapping[str, Any]

_LENGTH = 32
_ROWS = 32
_VOCABULARY = 312
_ITEMS = 40  # of each difficulty


def _config(steps: int) -> TrainConfig:
    """Beside the phase's pace."""
    return TrainConfig(
        steps=steps, batch=_ROWS, embedding_lr=1e-3, schedule="constant", warmup=0, threads=1, checkpoint_every=0
    )


class InTurns:
    """Batches of one source after the other: of `place`, until somebody sets it to the next.

    A Loader of its own counts each source's rows from 0 without a gap, as a Memory counts them.
    """

    def __init__(self, sources: Sequence[RowSource], *, rows: int, pad: int, seed: int) -> None:
        self.loaders = [Loader([(source, 1.0)], batch=rows, pad=pad, seed=seed) for source in sources]
        self.place = 0

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        batch = next(self.loaders[self.place])
        return replace(batch, source=batch.source + self.place)

    def state_dict(self) -> dict[str, Any]:
        return {"place": self.place, "loaders": [each.state_dict() for each in self.loaders]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.place = state["place"]
        for loader, inner in zip(self.loaders, state["loaders"], strict=True):
            loader.load_state_dict(inner)


def sequence(
    kind: str, families: Mapping[str, Fields], ways: Mapping[str, Fields], *, seed: int, every: int
) -> dict[str, Any]:
    """`families`: in their order, with levels and steps. `ways`: fields of DreamsConfig, by name. `every`: steps
    between measurements."""
    levels = {name: each["levels"] for name, each in families.items()}
    codec = codec_for(levels, _VOCABULARY)
    sources = [rows(codec, name, each, _LENGTH, seed) for name, each in levels.items()]
    items = held_out(levels, _ITEMS, seed)
    model = fresh(kind, codec, seed)
    first, *_ = (each["steps"] for each in families.values())
    taught(model, codec, sources[:1], _config(first), seed)
    return {
        "before": {name: right(model, codec, each) for name, each in items.items()},
        "ways": {
            name: _after(copy.deepcopy(model), codec, sources, families, items, DreamsConfig(**way), seed, every)
            for name, way in ways.items()
        },
    }


def _after(
    model: Any, codec: Codec, sources: Sequence[RowSource], families: Mapping[str, Fields],
    items: Mapping[str, Sequence[Item]], config: DreamsConfig, seed: int, every: int,
) -> dict[str, Any]:  # fmt: skip
    """All families but the first, which the model comes with."""
    first, *rest = (each["steps"] for each in families.values())
    train = _config(sum(rest))
    turns = InTurns(sources, rows=train.batch, pad=codec.pad, seed=seed)
    kept: list[float] = []
    dreams = Dreams(
        turns, sources, model, codec, config, seed=seed, rows=train.batch,
        measure=lambda one: kept.append(one.value) if one.name.endswith("kept_share") else None,
    )  # fmt: skip
    for _ in range(first):  # what was taught is remembered
        batch = next(turns)
        if config.every:
            dreams.memory.see(batch.source)
    turns.place = 1
    switches = [sum(rest[: place + 1]) for place in range(len(rest) - 1)]
    curve: list[dict[str, Any]] = []

    def watch(step: int) -> None:
        if step % every == 0:
            curve.append({"step": step, **{name: right(model, codec, each) for name, each in items.items()}})
        turns.place += step in switches

    selfmodel = SelfModel(model, SelfModelConfig(weight=0), train)
    loss = ForgeLoss(dreams, selfmodel, Quantised(model, QuantisedConfig(scaling="none")))
    Training(model, dreams, train, loss_of=loss, pace=Pace(PaceConfig())).run(Watching(watch))
    return {"curve": curve, "kept": kept}
