"""A weight as a matrix, refused where a codec cannot learn from it."""

from __future__ import annotations

import numpy as np

from agentforge.codecs.encode.settings import finite
from agentforge.kit.errors import InvalidInput


def as_matrix(w: np.ndarray, codec: str) -> np.ndarray:
    """float32 [R, C], all axes but the last taken together."""
    if not w.ndim or not w.size:
        message = f"{codec} was given a tensor of shape {w.shape}, which has no weights in rows"
        raise InvalidInput(message, reason="NO_MATRIX", field="w_OI", next_step="Store it with the codec float.")
    finite(w, f"a weight for {codec}")
    return w.astype(np.float32, copy=False).reshape(-1, w.shape[-1])
