"""Tensors to payloads: one file for each codec. For the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from agentforge.codecs.encode.floats import encode_float
from agentforge.codecs.encode.gptq import encode_gptq
from agentforge.codecs.encode.grid import encode_grid
from agentforge.codecs.encode.hyper import encode_hyper
from agentforge.codecs.encode.seedlm import encode_seedlm
from agentforge.codecs.encode.ternary import encode_ternary
from agentforge.codecs.encode.vptq import encode_vptq
from agentforge.codecs.payload import Payload
from agentforge.codecs.spec import Spec
from agentforge.kit.errors import InvalidInput

if TYPE_CHECKING:
    from agentforge.kit.rng import Rng


class Encoder(Protocol):
    def __call__(self, w_OI: np.ndarray, spec: Spec, *, gram: np.ndarray | None, rng: Rng | None) -> Payload: ...


ENCODERS: dict[str, Encoder] = {
    "float": encode_float,
    "grid": encode_grid,
    "ternary": encode_ternary,
    "seedlm": encode_seedlm,
    "vptq": encode_vptq,
    "hyper": encode_hyper,
}
_GPTQ = ("grid", "gptq")  # a way to find a grid's codes, in a file of its own


def encode(w_OI: np.ndarray, spec: Spec, *, gram: np.ndarray | None = None, rng: Rng | None = None) -> Payload:
    """`gram` [I, I]: the mean of x xᵀ over the layer's inputs x, for codecs that weigh errors by it."""
    encoder = encode_gptq if (spec.codec, spec.settings.get("fit")) == _GPTQ else ENCODERS.get(spec.codec)
    if encoder is None:
        message = f"there is no codec {spec.codec!r}"
        step = f"Take one of {', '.join(ENCODERS)}."
        raise InvalidInput(message, reason="UNKNOWN_CODEC", field="codec", next_step=step)
    return encoder(w_OI, spec, gram=gram, rng=rng)
