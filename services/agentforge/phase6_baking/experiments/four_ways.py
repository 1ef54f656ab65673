"""The bakings of `prices`: one style into one ternary learner, and what merging an adapter leaves of it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from agentforge.data.splits import Split
from agentforge.kit.audience import Quiet
from agentforge.models.ternary.linear import BitLinear, Mode, ternary_layers
from agentforge.models.ternary.quantise import codes, per_weight
from agentforge.phase6_baking.adapters import lora
from agentforge.phase6_baking.bake.baking import baking, mixed
from agentforge.phase6_baking.bake.measuring import prompted_kl, said_nats
from agentforge.phase6_baking.bake.pairs import Pair, PairRows
from agentforge.phase6_baking.bake.samples import drawn
from agentforge.phase6_baking.configs.adapters import LoraConfig
from agentforge.phase6_baking.configs.bake import BakeConfig
from agentforge.phase6_baking.experiments.learner import Learner, followed, in_style, learner
from agentforge.train.config import TrainConfig

STYLE, TASK, OFF_TASK = "pirate", "arithmetic", ("copy", "recall")
SHOWN, HELD, ROOM = 600, 200, 32  # questions to bake from and held-out ones, of each family; tokens of an answer
_CONFIG = BakeConfig()

Merged = Callable[[BitLinear, Tensor], tuple[Tensor, Mode]]
"""Weights and mode of a layer, of the layer without its adapter and of what the adapter adds to its matrix."""


@dataclass(frozen=True)
class Scene:
    learned: Learner
    start: Any
    task: Sequence[Pair]  # to bake from
    anchors: Sequence[Pair]
    held: Sequence[Pair]
    off: Sequence[Pair]

    def numbers(self, model: Any) -> dict[str, float]:
        """Nats of a learned token, without the prefix; and the share of greedy answers in the style."""
        pad = self.learned.codec.pad
        items = [replace(in_style(each, STYLE), prefix="") for each in self.learned.items(TASK, Split.TEST, HELD)]
        return {
            "kl": prompted_kl(self.start, model, self.held, pad=pad),
            "nats": said_nats(model, self.held, pad=pad),
            "off_task": said_nats(model, self.off, pad=pad),
            "in_style": followed(model, self.learned.codec, items),
        }

    def baked(self, student: Any, lr: float, steps: int) -> Any:
        learned, codec = self.learned, self.learned.codec
        train = TrainConfig(
            steps=steps,
            batch=32,
            optimiser="adamw",
            lr=lr,
            embedding_lr=lr,
            warmup=5,
            threads=1,
            checkpoint_every=0,
        )
        length = learned.model.config.sliding_window
        task, off = (
            [(PairRows(pairs, codec, length, learned.seed, name), 1.0)]
            for name, pairs in (("task", self.task), ("off", self.anchors))
        )
        teacher = copy.deepcopy(self.start)
        training = baking(
            student,
            teacher,
            mixed(task, off, _CONFIG),
            train,
            _CONFIG,
            pad=codec.pad,
            seed=learned.seed,
            name="way",
        )
        training.run(Quiet())
        return training.model.eval()


def scene(seed: int, learning: int) -> Scene:
    torch.set_num_threads(1)
    learned = learner("ternary", seed, learning)
    start = learned.copy()
    task, held = (
        drawn(
            start, start, learned.codec, learned.questions(TASK, split, count, STYLE), _CONFIG, room=ROOM, seed=seed
        )
        for split, count in ((Split.TRAIN, SHOWN), (Split.TEST, HELD))
    )
    anchors, off = (
        [pair for name in OFF_TASK for pair in learned.pairs(name, split, count)]
        for split, count in ((Split.TRAIN, SHOWN), (Split.TEST, HELD))
    )
    return Scene(learned, start, task, anchors, held, off)


def on_latents(start: Any) -> Any:
    """Of the ternary layers alone: of what an adapter stands beside, and no more."""
    student = copy.deepcopy(start).requires_grad_(False)
    for layer in ternary_layers(student).values():
        layer.weight.requires_grad_(True)
    return student


def all_weights(start: Any) -> Any:
    return copy.deepcopy(start).requires_grad_(True)


def beside(start: Any, config: LoraConfig, seed: int) -> Any:
    return lora.attach(copy.deepcopy(start), config, seed)


@torch.no_grad()
def merged(student: Any, way: Merged, share: float = 1.0) -> Any:
    """Without adapters. `share`: of what they add."""
    model = copy.deepcopy(student)
    for name, wrapped in lora.wrapped_layers(model).items():
        layer = wrapped.get_base_layer()
        weight_OI, layer.mode = way(layer, share * wrapped.get_delta_weight("default"))
        layer.weight = nn.Parameter(weight_OI)
        model.set_submodule(name, layer)
    return model.eval()


def rounded_anew(layer: BitLinear, delta_OI: Tensor) -> tuple[Tensor, Mode]:
    """Into the weights it computes with, whose mean size is then taken a second time."""
    return _computed(layer) + delta_OI, layer.mode


def old_scales(layer: BitLinear, delta_OI: Tensor) -> tuple[Tensor, Mode]:
    """Into the same, rounded by the scales that are there."""
    scale_OI = per_weight(layer.scales(), layer.in_features)
    code_OI = codes(_computed(layer) + delta_OI, scale_OI, layer.mode.threshold)
    return code_OI * scale_OI, replace(layer.mode, fit="survivors", threshold=Mode.threshold)


def into_latents(layer: BitLinear, delta_OI: Tensor) -> tuple[Tensor, Mode]:
    """Into what the ternary weights were rounded from, and rounded as ever."""
    return layer.weight + delta_OI, layer.mode


def scale_left(start: Any, model: Any) -> float:
    """Mean over layers of a scale, over that of the start."""
    before, after = ternary_layers(start), ternary_layers(model)
    ratios = [float((after[name].scales() / layer.scales()).mean()) for name, layer in before.items()]
    return sum(ratios) / len(ratios)


def _computed(layer: BitLinear) -> Tensor:
    code_OI, scale_AG = layer.quantised()
    return code_OI * per_weight(scale_AG, layer.in_features)


MERGES: Mapping[str, Merged] = {
    "rounded anew": rounded_anew, "old scales": old_scales, "into latents": into_latents,
}  # fmt: skip
