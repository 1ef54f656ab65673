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
from agentforge.phase7_adas.search.space import DENSE, TWO_OF_FOUR, bits_of, sparsity_of
from agentforge.shrink.anatomy import EMBEDDINGS, anatomy, matrices
from agentforge.shrink.asking import Genes
from agentforge.shrink.masks import Zeros, all_but, two_of_four
from agentforge.train.state import own_tensors


def zeros(model: Any, genes: Genes) -> Zeros:
    share = sparsity_of(genes)
    names = [] if share == DENSE else _projections(model)
    return Zeros(model, {name: kept(model.get_parameter(name).detach(), share) for name in names})


def kept(w_OI: Tensor, share: str) -> Tensor:
    """Where the largest weights are: two of four in a row, or all but this share of the matrix."""
    return two_of_four(w_OI.abs()) if share == TWO_OF_FOUR else all_but(w_OI.abs(), float(share))


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
