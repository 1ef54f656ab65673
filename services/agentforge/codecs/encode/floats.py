"""Numbers as they are, in 32 or 16 bits."""

from __future__ import annotations

import numpy as np

from agentforge.codecs.encode.settings import finite, known, whole
from agentforge.codecs.payload import Payload, Stream
from agentforge.codecs.spec import Spec
from agentforge.kit.rng import Rng


def encode_float(
    w_OI: np.ndarray, spec: Spec, *, gram: np.ndarray | None = None, rng: Rng | None = None
) -> Payload:
    """Of any shape. What is no float32 or float16 (a buffer of whole numbers, say) keeps its type."""
    known(spec, "bits")
    bits = whole(spec, "bits", 32, (32, 16))
    values = w_OI
    if w_OI.dtype in (np.float32, np.float16):
        with np.errstate(over="ignore"):  # what is beyond float16 is refused here
            values = w_OI.astype(f"<f{bits // 8}")
        finite(values, "a tensor")
    return Payload(
        "float", tuple(w_OI.shape), {}, {"values": Stream(np.ascontiguousarray(values).reshape(w_OI.shape))}
    )
