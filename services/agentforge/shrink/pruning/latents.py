"""Zeros in a ternary layer: the chosen codes become 0, all others stay, and so does what they are scaled by.

Setting latents to zero and nothing else would change the whole layer. The scale is the mean size of all latents,
those at zero among them: of Gaussian latents whose smaller half is cut, it falls to 0.80 of what it was, and of any
with the share cut to nothing. The threshold falls with it, so that codes that were 0 may become 1 or -1. So:

- where the scale is the mean of all (`absmean`), latents with a code other than 0 grow by what the mean has lost:
  then scale and codes are what they were, to the bit;
- where it is the mean of those that are not 0 (`survivors`), latents with code 0 shrink by as much: then codes are
  what they were, and the scale is the mean size of those that are left, the least squares.

Shapes: O outputs, I inputs; A, G scales, S latents that share one (models.ternary.quantise).
"""

from __future__ import annotations

import torch
from torch import Tensor

from agentforge.models.ternary.linear import BitLinear
from agentforge.models.ternary.quantise import absmean, spans

_MARGIN = 1 - 2**-10  # scales are rounded to 11 bits: what was at the threshold must not pass it


@torch.no_grad()
def zero_latents(layer: BitLinear, kept_OI: Tensor) -> None:
    """In place."""
    mode = layer.mode
    latent_OI, code_OI = layer.weight.detach() * kept_OI, layer.codes() * kept_OI
    wanted_AG = absmean(layer.weight.detach(), mode.scale, mode.group).double()
    live_AGS = spans(code_OI, mode.scale, mode.group) != 0
    latent_AGS = spans(latent_OI, mode.scale, mode.group)
    size_AGS = latent_AGS.abs().double()
    live_AG, rest_AG = (size_AGS * live_AGS).sum(-1), (size_AGS * ~live_AGS).sum(-1)
    factor_AG = ((wanted_AG * size_AGS.shape[-1] - rest_AG) / live_AG.clamp_min(1e-300)).clamp_min(1)
    factor_AG1 = torch.where(live_AG > 0, factor_AG, torch.inf)[..., None]  # without codes nothing may come alive
    if mode.fit == "absmean":
        changed_AGS = torch.where(live_AGS, size_AGS * factor_AG1, size_AGS * (live_AG > 0)[..., None])
    else:
        changed_AGS = torch.where(live_AGS, size_AGS, size_AGS / factor_AG1 * _MARGIN)
    layer.weight.copy_((changed_AGS * latent_AGS.sign()).view_as(latent_OI))
