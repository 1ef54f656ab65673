"""Linear layers: plain ones, and ternary ones, which sum whole numbers. Shapes: O outputs, I inputs.

Ternary codes are held in float32: BLAS sums them exactly, below 2**24, which takes 132,104 inputs; numpy's products
of int8 go without BLAS, and took 14 to 144 times as long (96 to 1,024 inputs, 1 and 16 tokens, one thread).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .maths import rms

_LEAST = np.finfo(np.float32).tiny


class Linear:
    def __init__(self, w_OI: np.ndarray, bias_O: np.ndarray | None = None) -> None:
        self.w_OI, self.bias_O = np.ascontiguousarray(w_OI, np.float32), bias_O

    def __call__(self, x: np.ndarray) -> np.ndarray:
        y: np.ndarray = x @ self.w_OI.T
        return y if self.bias_O is None else y + self.bias_O


class TernaryLinear(Linear):
    """`scale_O`: None where the weights have their scales already, by groups. `norm`: RMS before quantisation."""

    def __init__(self, w_OI: np.ndarray, scale_O: np.ndarray | None, bias_O: np.ndarray | None, norm: bool) -> None:
        super().__init__(w_OI, bias_O)
        self.scale_O, self.norm = scale_O, norm

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Every product, sum and rounding in the order that models/ternary has them in."""
        if self.norm:
            x = rms(x)
        scale_x = np.maximum(np.abs(x).max(-1, keepdims=True) / np.float32(127), _LEAST)
        y: np.ndarray = np.rint(x / scale_x) @ self.w_OI.T
        if self.scale_O is not None:
            y *= self.scale_O
        y *= scale_x
        return y if self.bias_O is None else y + self.bias_O


def joined(*layers: Linear) -> Callable[[np.ndarray], np.ndarray]:
    """Several layers of one input, their outputs side by side: one product where they are of one kind."""
    first = layers[0]
    if len({_kind(each) for each in layers}) > 1:
        return lambda x: np.concatenate([layer(x) for layer in layers], -1)
    w_OI = np.concatenate([each.w_OI for each in layers])
    bias_O = _together([each.bias_O for each in layers])
    if not isinstance(first, TernaryLinear):
        return Linear(w_OI, bias_O)
    scale_O = _together([each.scale_O for each in layers if isinstance(each, TernaryLinear)])
    return TernaryLinear(w_OI, scale_O, bias_O, first.norm)


def _kind(layer: Linear) -> tuple[bool, ...]:
    kind = (layer.bias_O is None, isinstance(layer, TernaryLinear))
    return (*kind, layer.scale_O is None, layer.norm) if isinstance(layer, TernaryLinear) else kind


def _together(parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    held = [each for each in parts if each is not None]
    return np.concatenate(held) if held else None
