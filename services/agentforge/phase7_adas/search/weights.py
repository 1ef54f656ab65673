"""Plain matrices in fewer bits and with zeros: what a candidate's weights become, and what a file of them takes.

8 and 4 bits are those of packed files (models/ternary/tables): spans of 64 share a scale of 16 bits. Zeros are
counted in the formats that exist: two of four with 2 bits for each place that is kept; others with a bit map.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from agentforge.models.ternary.linear import BitLinear, ternary_layers
from agentforge.models.ternary.tables import SPAN, quantise_table, table
from agentforge.phase7_adas.search.anatomy import EMBEDDINGS, anatomy, matrices
from agentforge.phase7_adas.search.space import DENSE, TWO_OF_FOUR, Genes, bits_of, sparsity_of
from agentforge.train.parts import Part
from agentforge.train.state import own_tensors


class Zeros(Part):
    """Weights that were made zero stay so through a training."""

    def __init__(self, model: Any, genes: Genes) -> None:
        self._kept: list[tuple[Tensor, Tensor]] = []
        share = sparsity_of(genes)
        for name in [] if share == DENSE else _projections(model):
            weight = model.get_parameter(name)
            self._kept.append((weight, kept(weight.detach(), share)))
        self.after_step(0, 0.0)

    @torch.no_grad()
    def after_step(self, step: int, share: float) -> None:
        for weight, kept_OI in self._kept:
            weight *= kept_OI


def kept(w_OI: Tensor, share: str) -> Tensor:
    """Where the largest weights are: two of four in a row, or all but this share of the matrix."""
    size_OI = w_OI.abs()
    if share == TWO_OF_FOUR:
        fours = size_OI.view(len(w_OI), -1, 4)
        best = fours.argsort(dim=-1, descending=True, stable=True)[..., :2]
        return torch.zeros_like(fours, dtype=torch.bool).scatter(-1, best, True).view_as(w_OI)
    most = round((1 - float(share)) * w_OI.numel())
    best = size_OI.flatten().argsort(descending=True, stable=True)[:most]
    return torch.zeros(w_OI.numel(), dtype=torch.bool, device=w_OI.device).scatter(0, best, True).view_as(w_OI)


@torch.no_grad()
def round_weights(model: Any, genes: Genes) -> dict[str, int]:
    """In place, to the values that a file of fewer bits gives back. The bits of each such matrix, by its name."""
    rounded: dict[str, int] = {}
    for group, names in matrices(model, anatomy(model)).items():
        for name in names if bits_of(genes, group) else []:
            rounded[name] = bits_of(genes, group)
            weight = model.get_parameter(name)
            weight.copy_(_read_back(weight, rounded[name]))
    return rounded


def stored_bytes(model: Any, genes: Genes) -> dict[str, int]:
    """By tensor, from shapes and genes alone: ternary layers at 2 bits, what has no gene as it came."""
    parts, ternary = anatomy(model), ternary_layers(model)
    plain = {name: group for group, names in matrices(model, parts).items() for name in names}
    found = {}
    for name, tensor in own_tensors(model).items():
        layer = ternary.get(name.removesuffix(".weight")) if name.endswith(".weight") else None
        if layer is not None:
            found[name] = _ternary(layer)
        elif name in plain:
            zeros = DENSE if plain[name] == EMBEDDINGS else sparsity_of(genes)
            found[name] = _matrix(tensor, bits_of(genes, plain[name]), zeros)
        else:
            found[name] = tensor.numel() * tensor.element_size()
    return found


def _projections(model: Any) -> list[str]:
    groups: Mapping[str, list[str]] = matrices(model, anatomy(model))
    return [name for group, names in groups.items() if group != EMBEDDINGS for name in names]


def _read_back(weight: Tensor, bits: int) -> Tensor:
    if bits == 16:
        return weight.half().to(weight.dtype)
    codes, scales = quantise_table(weight, bits)
    return table(codes, scales, (weight.shape[0], weight.shape[1]), bits).to(weight.dtype)


def _ternary(layer: BitLinear) -> int:
    scales = {"tensor": 1, "channel": layer.out_features}
    groups = layer.out_features * layer.in_features // layer.mode.group if layer.mode.group else 0
    return math.ceil(layer.weight.numel() / 4) + 2 * scales.get(layer.mode.scale, groups)


def _matrix(tensor: Tensor, bits: int, zeros: str) -> int:
    count, places = tensor.numel(), 0
    if zeros == TWO_OF_FOUR:
        count, places = count // 2, count  # half of them, 2 bits each
    elif zeros != DENSE:
        count, places = round((1 - float(zeros)) * count), count  # a bit map
    scales = len(tensor) * math.ceil(tensor.shape[1] / SPAN) if bits in (8, 4) else 0
    return math.ceil((count * (bits or 8 * tensor.element_size()) + places) / 8) + 2 * scales
