"""What both models compute with. Shapes: B rows, T new tokens, S stored entries, H heads, K head size, D hidden.

The same steps as the graphs of edge/graph/functional.py, in numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

MASKED = np.float32(-1e4)  # no infinity: rows of padding would be softmaxes over nothing
EPS = float(np.finfo(np.float32).eps)


def rms(x: np.ndarray, eps: float = EPS, weight: np.ndarray | None = None) -> np.ndarray:
    mean = np.einsum("...d,...d->...", x, x)[..., None] / np.float32(x.shape[-1])
    normed: np.ndarray = x / np.sqrt(mean + np.float32(eps))
    return normed if weight is None else normed * weight


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Where exp overflows it gives infinity, and this 0, which is right: the callers switch the warning off."""
    found: np.ndarray = 1 / (1 + np.exp(-x))
    return found


def silu(x: np.ndarray) -> np.ndarray:
    found: np.ndarray = x / (1 + np.exp(-x))
    return found


def log_sigmoid(x: np.ndarray) -> np.ndarray:
    found: np.ndarray = -np.logaddexp(np.float32(0), -x)
    return found


def split_heads(x_BTD: np.ndarray, heads: int) -> np.ndarray:
    return x_BTD.reshape(*x_BTD.shape[:2], heads, -1).transpose(0, 2, 1, 3)


def merge_heads(x_BHTK: np.ndarray) -> np.ndarray:
    batch, heads, time, size = x_BHTK.shape
    return x_BHTK.transpose(0, 2, 1, 3).reshape(batch, time, heads * size)


def seen_bias(query_BT: np.ndarray, key_BS: np.ndarray, window: int | None) -> np.ndarray:
    """0 where a token at this position sees an entry of that one, else MASKED: [B, 1, T, S]."""
    age_BTS = query_BT[:, :, None] - key_BS[:, None]
    seen_BTS = (key_BS >= 0)[:, None] & (age_BTS >= 0)
    if window is not None:
        seen_BTS &= age_BTS < window
    return np.where(seen_BTS, np.float32(0), MASKED)[:, None]


class Part(NamedTuple):
    """One store of keys and values that attention reads."""

    key: np.ndarray  # [B, H, S, K]
    value: np.ndarray  # [B, H, S, K]
    bias: np.ndarray | None = None  # [B, 1, T, S]


def attend(query_BHTK: np.ndarray, parts: Sequence[Part]) -> np.ndarray:
    """Attention over several stores as if they were one: only their scores are put together."""
    query_BHTK = query_BHTK * np.float32(query_BHTK.shape[-1] ** -0.5)
    scores = []
    for part in parts:
        score_BHTS = query_BHTK @ part.key.swapaxes(2, 3)
        scores.append(score_BHTS if part.bias is None else score_BHTS + part.bias)
    weight_BHTS = np.concatenate(scores, -1)
    weight_BHTS -= weight_BHTS.max(-1, keepdims=True)
    np.exp(weight_BHTS, out=weight_BHTS)
    weight_BHTS /= weight_BHTS.sum(-1, keepdims=True)
    mixed, start = None, 0
    for part in parts:
        end = start + part.key.shape[2]
        own = weight_BHTS[..., start:end] @ part.value
        mixed = own if mixed is None else mixed + own
        start = end
    assert mixed is not None
    found: np.ndarray = mixed
    return found


def turns(position_BT: np.ndarray, frequency_K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and sines [B, 1, T, K] of rotary pairs."""
    angle_B1TK = np.maximum(position_BT, 0).astype(np.float32)[:, None, :, None] * frequency_K
    return np.cos(angle_B1TK), np.sin(angle_B1TK)


def rotate(x_BHTK: np.ndarray, cos_B1TK: np.ndarray, sin_B1TK: np.ndarray) -> np.ndarray:
    pairs = x_BHTK.shape[-1] // 2
    left, right = x_BHTK[..., :pairs], x_BHTK[..., pairs:]
    return np.concatenate((left * cos_B1TK - right * sin_B1TK, right * cos_B1TK + left * sin_B1TK), -1)
