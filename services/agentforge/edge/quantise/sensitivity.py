"""What each layer costs when it alone is quantised, and which to leave float for that."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import onnx

from agentforge.edge.quantise.products import products

Quantise = Callable[[onnx.ModelProto, Collection[str]], onnx.ModelProto]  # all but these units
Judge = Callable[[onnx.ModelProto], float]  # the loss; smaller is better


@dataclass(frozen=True)
class Layer:
    unit: str
    weights: int
    rise: float  # of the loss, when it alone is quantised


def sensitivity(model: onnx.ModelProto, quantise: Quantise, judge: Judge) -> list[Layer]:
    """The products of the graph, the costliest first."""
    weights = {each.unit: each.w_NK.size for each in products(model.graph)}
    plain = judge(model)
    rises = {unit: judge(quantise(model, weights.keys() - {unit})) - plain for unit in weights}
    found = [Layer(unit, size, rises[unit]) for unit, size in weights.items()]
    return sorted(found, key=lambda each: -each.rise)


def choose_keep(layers: Sequence[Layer], bound: float) -> list[str]:
    """The fewest units to leave float so that the rises of the others sum to at most `bound`.

    That the rises add up is an estimate: measure what comes of it.
    """
    kept: list[str] = []
    left = sum(each.rise for each in layers)
    for layer in sorted(layers, key=lambda each: -each.rise):
        if left <= bound or layer.rise <= 0:
            break
        kept.append(layer.unit)
        left -= layer.rise
    return kept
