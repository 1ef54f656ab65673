"""What a merge will read and write, by real counts and sizes from the files' headers: before anything is loaded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agentforge.phase6_baking.adapters.described import read_adapter
from agentforge.train.adapters import WEIGHTS
from agentforge.train.directory import model_directory, tensor_shapes


@dataclass(frozen=True)
class AdapterPlan:
    name: str
    layers: int
    ranks: list[int]
    parameters: int
    size: int  # bytes


@dataclass(frozen=True)
class MergePlan:
    """Nothing was measured yet, so there is no metric in it."""

    parameters: int  # of the base, as its files have them: what is tied counts once
    size: int  # bytes of the base's weights, and of what is written: dtypes stay
    changed: int  # parameters of the layers that adapters change
    adapters: list[AdapterPlan]


def plan(base: Path, adapters: Sequence[Path]) -> MergePlan:
    directory = model_directory(base)
    shapes = tensor_shapes(directory)
    read = [read_adapter(each) for each in adapters]
    changed = {layer: factors for each in read for layer, factors in each.layers.items()}
    return MergePlan(
        sum(map(math.prod, shapes.values())),
        sum(file.stat().st_size for file in directory.glob("*.safetensors")),
        sum(factors.b[0] * factors.a[1] for factors in changed.values()),
        [
            AdapterPlan(
                given.name,
                len(each.layers),
                sorted({factors.rank for factors in each.layers.values()}),
                sum(factors.parameters for factors in each.layers.values()),
                (each.directory / WEIGHTS).stat().st_size,
            )
            for given, each in zip(adapters, read, strict=True)
        ],
    )
