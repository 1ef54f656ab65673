"""Every codec's bits and error on one Gaussian weight; and VPTQ's loss of outputs with and without a gram."""

from __future__ import annotations

from time import process_time
from typing import Any

import numpy as np
import numpy.typing as npt

from agentforge.codecs.decode import decode
from agentforge.codecs.decode.seedlm import TAPS, cycle
from agentforge.codecs.encode import encode
from agentforge.codecs.payload import Payload
from agentforge.codecs.spec import Spec
from agentforge.codecs.write import smallest
from agentforge.kit.rng import Rng

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

SIDE = 512
INPUTS = 256

SPECS = {
    **{f"seedlm/k{width}": Spec("seedlm", {"width": width}) for width in (8, 12, 16)},
    "vptq/v2": Spec("vptq", {"vector": 2}),
    "vptq/v4": Spec("vptq", {"vector": 4}),
    "vptq/v8": Spec("vptq", {"vector": 8}),
    "vptq/v4r": Spec("vptq", {"vector": 4, "residual": 256}),
    "vptq/v8r": Spec("vptq", {"vector": 8, "residual": 256}),
    "hyper/lattice": Spec("hyper", {"group": 2, "bits": 12}),
    "hyper/slanted": Spec("hyper", {"group": 2, "bits": 12, "path": "slanted"}),
    "hyper/wide": Spec("hyper", {"group": 2, "bits": 8}),
    "hyper/line": Spec("hyper", {"group": 1, "bits": 4, "outer": 0}),
    **{
        f"grid/b{bits}g{group}{fit}": Spec("grid", {"bits": bits, "group": group, "fit": fit})
        for bits in (2, 3, 4, 5, 6) for group in (64, 128) for fit in ("max", "mse")
    },
}  # fmt: skip


def measured(seed: int) -> dict[str, Any]:
    w_OI = Rng(seed, "codecs/weights").numpy().standard_normal((SIDE, SIDE)).astype(np.float32)
    points = {name: _point(w_OI, spec, seed) for name, spec in SPECS.items()}
    points |= {f"nearest/b{bits}g128": {"error": _nearest(w_OI, bits)} for bits in (3, 4)}
    return {
        "weights": w_OI.size, "points": points, "periods": {str(width): len(cycle(width)) for width in TAPS},
        "line_is_grid": _is_grid(w_OI), "second_order": _second_order(seed),
    }  # fmt: skip


def _point(w_OI: Floats, spec: Spec, seed: int) -> dict[str, float]:
    began = process_time()
    payload = encode(w_OI, spec, rng=Rng(seed, "codecs/dice"))
    seconds = process_time() - began
    error = _relative(decode(payload), w_OI)
    return {
        "bits": bits(payload), "coded_bits": bits(payload, entropy=True), "error": error,
        "seconds": round(seconds, 3),
    }  # fmt: skip


def bits(payload: Payload, entropy: bool = False) -> float:
    """A weight, of all streams as a file has them."""
    size = sum(len(smallest(stream, entropy)[1]) for stream in payload.streams.values())
    return 8 * size / float(np.prod(payload.shape))


def _relative(found: Floats, wanted: Floats) -> float:
    off = found.astype(np.float64) - wanted
    return float(np.square(off).sum() / np.square(wanted.astype(np.float64)).sum())


def _nearest(w_OI: Floats, count: int) -> float:
    """The largest of 128 is met by the largest code, on both sides; scales are not rounded."""
    w = w_OI.reshape(-1, 128).astype(np.float64)
    step = np.abs(w).max(1, keepdims=True) / (2 ** (count - 1) - 1)
    return _relative((np.rint(w / step) * step).reshape(w_OI.shape), w_OI)


def _is_grid(w_OI: Floats) -> bool:
    """Of hyper-compression in one dimension: values equally spaced, and each weight at the nearest."""
    found = decode(encode(w_OI, SPECS["hyper/line"]))
    values = np.unique(found).astype(np.float64)
    gaps = np.diff(values)
    lost = np.abs(w_OI.astype(np.float64) - found).max()
    return len(values) == 16 and bool(np.allclose(gaps, gaps[0], rtol=1e-5)) and bool(lost <= 0.50001 * gaps.max())


def _second_order(seed: int) -> dict[str, float]:
    """What outputs lose with a gram and with its diagonal alone, to what they lose without: inputs of some strong
    and many weak directions, whose scales differ."""
    dice = Rng(seed, "codecs/inputs").numpy()
    turned = np.linalg.qr(dice.standard_normal((INPUTS, INPUTS)))[0]
    scale = np.exp(0.7 * dice.standard_normal(INPUTS))
    gram = (turned * (np.linspace(0, 1, INPUTS) ** 3 + 0.02)) @ turned.T * np.outer(scale, scale)
    w_OI = dice.standard_normal((INPUTS, INPUTS)).astype(np.float32)

    def lost(known: Doubles | None) -> float:
        found = decode(encode(w_OI, SPECS["vptq/v4"], gram=known, rng=Rng(seed, "codecs/dice")))
        off = found.astype(np.float64) - w_OI
        return float(((off @ gram) * off).sum())

    plain = lost(None)
    return {"gram": lost(gram) / plain, "diagonal": lost(np.diag(np.diagonal(gram))) / plain}
