"""Pieces of a graph that TensorRT 8.5 and onnxruntime both read: plain operators, no infinities, no ranges.

Shapes: B batch, T new tokens, P stored window entries, S stored memory entries, H heads, K head size, D hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

MASKED = -1e4  # half precision has no -1e9, and rows of padding would be softmaxes over nothing


def rms(x: Tensor, eps: float, weight: Tensor | None = None) -> Tensor:
    """Both runtimes know this pattern, and neither a fused operator at opset 17."""
    normed = x / torch.sqrt(x.pow(2).mean(-1, keepdim=True) + eps)
    return normed if weight is None else normed * weight


def split_heads(x_BTD: Tensor, heads: int, head_size: int) -> Tensor:
    return x_BTD.reshape(x_BTD.shape[0], x_BTD.shape[1], heads, head_size).transpose(1, 2)


def merge_heads(x_BHTK: Tensor) -> Tensor:
    return x_BHTK.transpose(1, 2).flatten(2)


def seen_bias(query_BT: Tensor, key_BS: Tensor, window: int | None) -> Tensor:
    """0 where a token at this position sees an entry of that one, else MASKED: [B, 1, T, S]."""
    age_BTS = query_BT[:, :, None] - key_BS[:, None]
    seen_BTS = (key_BS >= 0)[:, None] & (age_BTS >= 0)
    if window is not None:
        seen_BTS = seen_BTS & (age_BTS < window)
    return torch.where(seen_BTS, 0.0, MASKED)[:, None]


class Part(NamedTuple):
    """One store of keys and values that attention reads. `size`: its entries, S."""

    key: Tensor  # [B, H, S, K]
    value: Tensor  # [B, H, S, K]
    size: Any  # an int, or what tracing takes for one: the same object for equal sizes leaves a smaller graph
    bias: Tensor | None = None  # [B, 1, T, S]


def attend(query_BHTK: Tensor, parts: Sequence[Part], head_size: int) -> Tensor:
    """Attention over several stores as if they were one: only their scores are put together."""
    query_BHTK = query_BHTK * head_size**-0.5
    scores = []
    for part in parts:
        score_BHTS = query_BHTK @ part.key.transpose(2, 3)
        scores.append(score_BHTS if part.bias is None else score_BHTS + part.bias)
    weight_BHTS = torch.cat(scores, -1).softmax(-1)
    mixed, start = None, 0
    for part in parts:
        own = weight_BHTS[..., start : start + part.size] @ part.value
        mixed = own if mixed is None else mixed + own
        start = start + part.size
    assert mixed is not None
    return mixed


def rotary(position_BT: Tensor, pairs: int, theta: float) -> tuple[Tensor, Tensor]:
    frequency_K = theta ** -(torch.arange(pairs) / pairs)
    angle_B1TK = position_BT.clamp_min(0).float()[:, None, :, None] * frequency_K
    return angle_B1TK.cos(), angle_B1TK.sin()


def rotate(x_BHTK: Tensor, pairs: int, cos_B1TK: Tensor, sin_B1TK: Tensor) -> Tensor:
    left, right = x_BHTK[..., :pairs], x_BHTK[..., pairs:]
    return torch.cat((left * cos_B1TK - right * sin_B1TK, right * cos_B1TK + left * sin_B1TK), -1)
