"""Training plain matrices through a grid's rounding, so that few bits are what the model has learned with.

Between steps the model has the rounded weights: losses, gradients and answers are those of the file to come. The
optimiser moves latents, which are in the weights' place only while it does (a straight-through estimator: the
gradient at the rounded weight is taken as that at the latent). So names, ties and optimisers stay as they are, and
when the training ends the model holds what it was trained with.

Shapes: R rows, C columns, G groups of a row, N weights of a group.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from agentforge.codecs.encode.grid import settings
from agentforge.codecs.spec import Spec
from agentforge.kit.errors import InvalidInput
from agentforge.train.parts import Part


class Rounded(Part):
    """`specs`: by a weight's name, codecs "grid" of fit "max". `kept`: by name, where it is not zero (masks.Zeros
    beside this part would see the rounded weight only; latents that are cut must not set a group's scale).

    Of those grids rounding twice is rounding once: the largest of a group lands on the outermost code, and gives
    the same scale again. So the same codec stores the model without loss. Other fits, a zero of a group's own and
    scales in 8 bits do not come back, and are refused.
    """

    def __init__(self, model: Any, specs: Mapping[str, Spec], kept: Mapping[str, Tensor] | None = None) -> None:
        self._grids = {name: _grid(name, spec) for name, spec in sorted(specs.items())}
        self._weights = {name: _weight(model, name) for name in self._grids}
        self._kept = {name: mask for name, mask in (kept or {}).items() if name in self._grids}
        self._latents = {name: weight.detach().clone() for name, weight in self._weights.items()}
        self._round()

    @torch.no_grad()
    def before_step(self) -> None:
        for name, weight in self._weights.items():
            weight.copy_(self._latents[name])

    @torch.no_grad()
    def after_step(self, step: int, share: float) -> None:
        for name, weight in self._weights.items():
            self._latents[name].copy_(weight)
        self._round()

    def tensors(self) -> dict[str, Tensor]:
        return dict(self._latents)

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        for name, latent in self._latents.items():
            latent.copy_(tensors[name])
        self._round()

    @torch.no_grad()
    def _round(self) -> None:
        for name, weight in self._weights.items():
            latent = self._latents[name]
            if name in self._kept:
                latent *= self._kept[name]
            weight.copy_(rounded(latent, *self._grids[name]))


def rounded(w_RC: Tensor, bits: int, group: int) -> Tensor:
    """What the grid codec of fit "max" gives back, exactly and on any device, as there are no sums.

    Where a scale is so small that float16 has few digits for it (below 6e-5), its largest weight may not be met.
    Then it is rounded again until it stays, which ends: a scale that changes becomes smaller.
    """
    found_RC = _once(w_RC, bits, group)
    while not torch.equal(again_RC := _once(found_RC, bits, group), found_RC):
        found_RC = again_RC
    return found_RC


def _once(w_RC: Tensor, bits: int, group: int) -> Tensor:
    columns, half = w_RC.shape[1], 1 << (bits - 1)
    group = min(group, columns)
    w_RGN = F.pad(w_RC, (0, -columns % group)).view(len(w_RC), -1, group)
    peak_RG1 = w_RGN.gather(-1, w_RGN.abs().argmax(-1, keepdim=True))
    scale_RG1 = (-peak_RG1 / half).half().float()
    step_RGN = (w_RGN / torch.where(scale_RG1 == 0, 1, scale_RG1) + half).round().clamp(0, 2 * half - 1) - half
    found_RC: Tensor = (step_RGN * scale_RG1).flatten(1)[:, :columns]
    return found_RC


def _grid(name: str, spec: Spec) -> tuple[int, int]:
    own = settings(spec) if spec.codec == "grid" else None
    if own is None or own.fit != "max" or own.zero or own.scale_bits != 16:
        message = f"{name} cannot be trained through {spec}: what it gives back is not what it would store again"
        step = 'Take the codec "grid" with fit "max", zero 0 and scale_bits 16.'
        raise InvalidInput(message, reason="NOT_TRAINABLE", field=name, next_step=step)
    return own.bits, own.group


def _weight(model: Any, name: str) -> Tensor:
    weight: Tensor = model.get_parameter(name)
    if weight.dim() != 2 or weight.dtype != torch.float32:
        message = f"{name} is {weight.dtype} of shape {tuple(weight.shape)}; only float32 matrices are rounded"
        raise InvalidInput(message, reason="NOT_TRAINABLE", field=name, next_step="Load the model in float32.")
    return weight
