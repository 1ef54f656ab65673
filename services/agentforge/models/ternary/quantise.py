"""Weights to {-1, 0, 1} by their mean size, activations to 8 bits by their largest (BitNet b1.58, 2402.17764).

Shapes: O outputs, I inputs of a linear layer; A, G how many scales there are down its rows and along its columns.
All here is exact: the same weights give the same codes and scales, on any machine and number of threads.
Scales are float32 with values that float16 has too, so that 16 bits of a file hold them. Codes come from the
rounded scale: so they are the nearest that it allows, also where float16 has none as small as the weights.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor

Scale = Literal["tensor", "channel", "group"]
"""Who shares one: the whole matrix, an output channel, or `group` neighbouring inputs of an output channel."""
SCALES: tuple[Scale, ...] = get_args(Scale)

ROUND_TO_NEAREST = 0.5  # the paper's threshold


def spans(w_OI: Tensor, scale: Scale, group: int = 0) -> Tensor:
    """[A, G, weights that share a scale]; a group must divide the width."""
    if scale == "tensor":
        return w_OI.reshape(1, 1, -1)
    return w_OI.reshape(len(w_OI), -1, group if scale == "group" else w_OI.shape[1])


def per_weight(s_AG: Tensor, width: int) -> Tensor:
    """Scales as they broadcast over [O, I]."""
    return s_AG if s_AG.shape[1] == 1 else s_AG.repeat_interleave(width // s_AG.shape[1], 1)


def absmean(w_OI: Tensor, scale: Scale, group: int = 0) -> Tensor:
    """[A, G]. Where all weights are zero the scale is 1."""
    mean_AG = spans(w_OI, scale, group).abs().mean(-1, dtype=torch.float64)  # float32 sums depend on threads
    return _as_half(mean_AG.float())


def survivors(
    w_OI: Tensor, scale: Scale, group: int = 0, threshold: float = ROUND_TO_NEAREST
) -> tuple[Tensor, Tensor]:
    """Codes, and as scales [A, G] the mean size of the weights that are not rounded to zero: the least squares.

    Weights that are ternary as they stand keep their values to the bit: the scale is their size, whatever it is.
    """
    if _one_size(w_OI, scale, group):
        return w_OI.sign().to(torch.int8), _never_zero(spans(w_OI, scale, group).abs().amax(-1).float())
    code_OI = codes(w_OI, per_weight(absmean(w_OI, scale, group), w_OI.shape[1]), threshold)
    kept_AGS = spans(code_OI, scale, group)
    total_AG = (spans(w_OI, scale, group) * kept_AGS).sum(-1, dtype=torch.float64)
    return code_OI, _as_half((total_AG / kept_AGS.abs().sum(-1).clamp_min(1)).float())


def codes(w_OI: Tensor, s: Tensor, threshold: float = ROUND_TO_NEAREST) -> Tensor:
    """int8 {-1, 0, 1}: the sign where |w| / s is above the threshold. `s` broadcasts over the weights."""
    ratio_OI = w_OI / s
    return (ratio_OI > threshold).to(torch.int8) - (ratio_OI < -threshold).to(torch.int8)


def absmax_int8(x: Tensor) -> tuple[Tensor, Tensor]:
    """Codes -127..127 and a float32 scale [..., 1] for each token: x is about codes * scale.

    What is not finite makes the token's scale not finite, so that it is not lost in the codes.
    """
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    largest = wide.abs().amax(-1, keepdim=True).float()
    scale = _never_zero(largest / largest.new_tensor(127))  # by a number, CUDA would multiply with 1/127, rounded
    return (wide / scale).round().nan_to_num(0).clamp(-127, 127).to(torch.int8), scale


def straight_through(latent: Tensor, value: Tensor, unit: Tensor | float = 1.0) -> Tensor:
    """`value`, with the gradient going to `latent` as if value * unit were latent (Bengio 2013; no clipping)."""
    return _StraightThrough.apply(latent, value, unit)  # type: ignore[no-any-return,no-untyped-call]


class _StraightThrough(torch.autograd.Function):
    """latent + (value - latent).detach() would lose the last bits of the value."""

    @staticmethod
    def forward(ctx: Any, latent: Tensor, value: Tensor, unit: Tensor | float) -> Tensor:
        ctx.unit, ctx.dtype = unit, latent.dtype
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return (gradients[0] / ctx.unit).to(ctx.dtype), None, None


def ternary_already(w_OI: Tensor, group: int = 0) -> tuple[Scale, int] | None:
    """By which scale, the coarsest first, these weights are ternary as they stand; None: they are not.

    Wherever a scale is shared, all that is not zero must have one size; and there must be more of it than scales.
    """
    kinds: list[tuple[Scale, int]] = [("tensor", 0), ("channel", 0)]
    if group and w_OI.shape[1] % group == 0:
        kinds.append(("group", group))
    return next((kind for kind in kinds if _one_size(w_OI.detach(), *kind)), None)


def _one_size(w_OI: Tensor, scale: Scale, group: int) -> bool:
    size_AGS = spans(w_OI, scale, group).abs()
    alike = (size_AGS == 0) | (size_AGS == size_AGS.amax(-1, keepdim=True))
    return bool(alike.all()) and int(size_AGS.count_nonzero()) > size_AGS[..., 0].numel()


def _as_half(scale: Tensor) -> Tensor:
    """The nearest normal float16, and 1 for 0. Above 65,504 it stays: the largest would hide it, and infinity."""
    half = scale.clamp_min(torch.finfo(torch.float16).smallest_normal).half().to(scale)
    return torch.where(scale == 0, 1, torch.where(half.isinf(), scale, half))


def _never_zero(scale: Tensor) -> Tensor:
    return torch.where(scale == 0, 1, scale)
