"""Weights to {-1, 0, 1} by their mean size, activations to 8 bits by their largest (BitNet b1.58, 2402.17764).

Shapes: O outputs, I inputs of a linear layer; A, G how many scales there are down its rows and along its columns.
All here is exact: the same weights give the same codes and scales, on any machine and number of threads.
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
    """[A, G], float32. Where all weights are zero the scale is 1."""
    mean_AG = spans(w_OI, scale, group).abs().mean(-1, dtype=torch.float64)  # float32 sums depend on threads
    return _never_zero(mean_AG.float())


def survivors_mean(w_OI: Tensor, scale: Scale, group: int = 0, threshold: float = ROUND_TO_NEAREST) -> Tensor:
    """[A, G], float32: the mean size of the weights that are not rounded to zero, so the least-squares scale.

    Unlike absmean it finds again the scale of weights that are ternary already, to the bit.
    """
    kept_AGS = spans(codes(w_OI, per_weight(absmean(w_OI, scale, group), w_OI.shape[1]), threshold), scale, group)
    total_AG = (spans(w_OI, scale, group) * kept_AGS).sum(-1, dtype=torch.float64)
    return _never_zero((total_AG / kept_AGS.abs().sum(-1).clamp_min(1)).float())


def codes(w_OI: Tensor, s: Tensor, threshold: float = ROUND_TO_NEAREST) -> Tensor:
    """int8 {-1, 0, 1}: the sign where |w| / s is above the threshold. `s` broadcasts over the weights."""
    ratio_OI = w_OI / s
    return (ratio_OI > threshold).to(torch.int8) - (ratio_OI < -threshold).to(torch.int8)


def absmax_int8(x: Tensor) -> tuple[Tensor, Tensor]:
    """Codes -127..127 and a float32 scale [..., 1] for each token: x is about codes * scale.

    What is not finite makes the token's scale not finite, so that it is not lost in the codes.
    """
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    scale = _never_zero(wide.abs().amax(-1, keepdim=True).float() / 127)
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
    for scale, width in kinds:
        size_AGS = spans(w_OI.detach(), scale, width).abs()
        one_size = (size_AGS == 0) | (size_AGS == size_AGS.amax(-1, keepdim=True))
        if bool(one_size.all()) and int(size_AGS.count_nonzero()) > size_AGS[..., 0].numel():
            return scale, width
    return None


def _never_zero(scale: Tensor) -> Tensor:
    return torch.where(scale == 0, 1, scale)
