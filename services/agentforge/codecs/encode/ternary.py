"""Ternary weights: those of a ternary layer as they are, or plain ones rounded to the nearest."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from agentforge.codecs.encode.settings import finite, known, whole, word
from agentforge.codecs.payload import Payload, Stream
from agentforge.codecs.spec import Spec
from agentforge.kit.errors import InvalidInput
from agentforge.kit.rng import Rng
from agentforge.models.ternary.quantise import SCALES, Scale, survivors


def encode_ternary(
    w_OI: np.ndarray, spec: Spec, *, gram: np.ndarray | None = None, rng: Rng | None = None
) -> Payload:
    """Of plain weights, each scale the least squares of the weights that it has. No ternary layer comes of it."""
    known(spec, "scale", "group")
    scale: Any = word(spec, "scale", "channel", SCALES)
    kind: Scale = scale
    group = whole(spec, "group", 0, range(1 << 16))
    if w_OI.ndim != 2 or (kind == "group") != (group > 0) or (group and w_OI.shape[1] % group):
        message = f"groups of {group} and a scale for each {kind} do not go with a tensor of shape {w_OI.shape}"
        raise InvalidInput(message, reason="GROUP_MISFIT", field="ternary.group")
    finite(w_OI, "a tensor")
    code_OI, scale_AG = survivors(torch.from_numpy(np.array(w_OI, np.float32)), kind, group)
    return of_codes(code_OI.numpy(), scale_AG.numpy(), {})


def of_codes(code_OI: np.ndarray, scale_AG: np.ndarray, mode: dict[str, Any]) -> Payload:
    """int8 codes and float32 scales as models/ternary has them. `mode`: of the layer; {} for plain weights.

    Scales are float16 where that is exact, as it is for those that the quantiser finds.
    """
    finite(scale_AG, "a scale")
    with np.errstate(over="ignore"):
        half_AG = scale_AG.astype("<f2")
    exact = bool((half_AG.astype(np.float32) == scale_AG).all())
    streams = {
        "codes": Stream((code_OI + 1).astype(np.uint8), 3),
        "scales": Stream(half_AG if exact else scale_AG.astype("<f4")),
    }
    return Payload("ternary", tuple(code_OI.shape), {"mode": mode} if mode else {}, streams)
