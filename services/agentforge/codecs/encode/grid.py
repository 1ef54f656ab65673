"""Weights on a grid of equal steps, by groups (see decode/grid). Steps are rounded first; codes are fitted to them.

fit     max  the largest weight of a group is met
        mse  the steps of least squared error, searched
        hqq  the zero by half-quadratic splitting (Badri and Shaji 2023), for an error that large ones weigh less in
        gptq steps as by mse, and codes that make up for each other's errors (see gptq)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from agentforge.codecs.decode.grid import scales as wide_scales
from agentforge.codecs.decode.grid import zeros as wide_zeros
from agentforge.codecs.encode.settings import finite, known, whole, word
from agentforge.codecs.encode.steps import FITS
from agentforge.codecs.payload import Payload, Stream
from agentforge.codecs.spec import Spec
from agentforge.kit.errors import InvalidInput
from agentforge.kit.rng import Rng

_SPAN = 1 << 20  # weights at once


class Steps(NamedTuple):
    """`scale_RG` and `zero_RG`: float32, as a decoder will have them. `streams`: those two as they are stored."""

    bits: int
    group: int
    scale_RG: np.ndarray
    zero_RG: np.ndarray
    streams: dict[str, Stream]


class Settings(NamedTuple):
    bits: int
    group: int
    fit: str
    zero: int
    scale_bits: int


def settings(spec: Spec) -> Settings:
    known(spec, "bits", "group", "fit", "zero", "scale_bits")
    fit = word(spec, "fit", "mse", (*FITS, "gptq"))
    found = Settings(
        bits=whole(spec, "bits", 4, range(2, 9)),
        group=whole(spec, "group", 64, range(1, (1 << 31) + 1)),
        fit=fit,
        zero=whole(spec, "zero", int(fit == "hqq"), (0, 1)),
        scale_bits=whole(spec, "scale_bits", 16, (16, 8)),
    )
    if fit == "hqq" and not found.zero:
        raise InvalidInput("hqq finds a zero, so it needs zero 1", reason="OUT_OF_RANGE", field="grid.zero")
    return found


def encode_grid(w_OI: np.ndarray, spec: Spec, *, gram: np.ndarray | None = None, rng: Rng | None = None) -> Payload:
    own = settings(spec)
    if not w_OI.ndim:
        raise InvalidInput("a single number has no rows", reason="OUT_OF_RANGE", field="grid")
    w_RC = np.ascontiguousarray(w_OI, np.float32).reshape(-1, w_OI.shape[-1])
    made = steps(w_RC, own)
    return payload(w_OI.shape, made, codes(w_RC, made))


def steps(w_RC: np.ndarray, own: Settings) -> Steps:
    """By groups of each row, for every fit but gptq, which takes those of mse."""
    finite(w_RC, "a tensor")
    w_RGN, mask_GN = grouped(w_RC, own.group)
    rows = max(1, _SPAN // max(1, w_RC.shape[1]))
    fit = FITS[own.fit]
    parts = [fit(w_RGN[at : at + rows], mask_GN, own.bits, own.zero) for at in range(0, len(w_RGN), rows)]
    scale_RG, zero_RG = (np.concatenate([part[place] for part in parts]) for place in (0, 1))
    return rounded(own, scale_RG, zero_RG)


def rounded(own: Settings, scale_RG: np.ndarray, zero_RG: np.ndarray) -> Steps:
    """To what a file will hold."""
    streams = _half(scale_RG) if own.scale_bits == 16 else _eight(scale_RG)
    held = streams["scales"].values
    scale_RG = wide_scales(held, streams["units"].values) if "units" in streams else held.astype(np.float32)
    finite(scale_RG, "a scale")
    if own.zero:
        stored_RG = np.clip(np.rint(zero_RG * 2.0 ** (8 - own.bits)), 0, 255).astype(np.uint8)
        streams["zeros"] = Stream(stored_RG, 256)
        zero_RG = wide_zeros(stored_RG, own.bits)
    return Steps(own.bits, own.group, scale_RG, zero_RG.astype(np.float32), streams)


def codes(w_RC: np.ndarray, made: Steps) -> np.ndarray:
    """uint8 [R, C]: the nearest that these steps allow. A scale of 0 says that all are 0."""
    scale_RC, zero_RC = per_weight(made, w_RC.shape[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        code_RC = np.where(scale_RC == 0, zero_RC, w_RC / scale_RC + zero_RC)
    return np.clip(np.rint(code_RC), 0, (1 << made.bits) - 1).astype(np.uint8)


def per_weight(made: Steps, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Scales and zeros [R, C]."""
    group = min(made.group, columns)
    scale_RC, zero_RC = (np.repeat(each, group, axis=1)[:, :columns] for each in (made.scale_RG, made.zero_RG))
    return scale_RC, zero_RC


def payload(shape: tuple[int, ...], made: Steps, code_RC: np.ndarray) -> Payload:
    streams = {"codes": Stream(code_RC, 1 << made.bits), **made.streams}
    return Payload("grid", tuple(shape), {"bits": made.bits, "group": made.group}, streams)


def grouped(w_RC: np.ndarray, group: int) -> tuple[np.ndarray, np.ndarray]:
    """[R, G, N] with zeros behind the last, and [G, N] with 1 where there is a weight."""
    rows, columns = w_RC.shape
    group = max(1, min(group, columns))
    missing = -columns % group
    mask_GN = np.pad(np.ones(columns, np.float32), (0, missing)).reshape(-1, group)
    return np.pad(w_RC, ((0, 0), (0, missing))).reshape(rows, -1, group), mask_GN


def _half(scale_RG: np.ndarray) -> dict[str, Stream]:
    with np.errstate(over="ignore"):  # refused as not finite
        return {"scales": Stream(scale_RG.astype("<f2"))}


def _eight(scale_RG: np.ndarray) -> dict[str, Stream]:
    """A unit for the row where it has enough scales to share it, else one for the tensor."""
    size = np.abs(scale_RG).max(axis=1 if scale_RG.shape[1] >= 8 else None, keepdims=True, initial=0)
    with np.errstate(over="ignore"):
        unit = (size / np.float32(127)).astype("<f2")
    wide = np.where(unit == 0, 1, unit).astype(np.float32)
    stored_RG = np.clip(np.rint(scale_RG / wide), -127, 127) + 128
    return {"scales": Stream(stored_RG.astype(np.uint8), 256), "units": Stream(unit)}
