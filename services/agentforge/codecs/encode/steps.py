"""Scales and zeros of groups, by three ways to fit them: weight = (code - zero) * scale.

Shapes: R rows, G groups of a row, N weights of a group (as many in the last, with a mask of 0 where there is none).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Fit(Protocol):
    def __call__(
        self, w_RGN: np.ndarray, mask_GN: np.ndarray, bits: int, zero: int
    ) -> tuple[np.ndarray, np.ndarray]: ...


_SHRINKS = np.linspace(1.1, 0.3, 33, dtype=np.float32)  # of the step that meets the largest weight
_REFITS = 3
_NORM, _PULL, _GROWTH, _TURNS = 0.7, 10.0, 1.01, 20  # hqq's, as in the authors' text and program


def fit_max(w_RGN: np.ndarray, mask_GN: np.ndarray, bits: int, zero: int) -> tuple[np.ndarray, np.ndarray]:
    """Zero stays exactly zero."""
    if zero:
        scale_RG, low_RG = _range(w_RGN, bits)
        return scale_RG, np.rint(-low_RG / _never_zero(scale_RG))
    peak_RG = np.take_along_axis(w_RGN, np.abs(w_RGN).argmax(-1)[..., None], -1)[..., 0]
    half = np.float32(1 << (bits - 1))
    return -peak_RG / half, np.full_like(peak_RG, half)  # the side of the largest weight has one code more


def fit_mse(w_RGN: np.ndarray, mask_GN: np.ndarray, bits: int, zero: int) -> tuple[np.ndarray, np.ndarray]:
    """Searched among shrunk steps; then scale (and zero) and codes by turns of least squares, while that helps."""
    first_RG, start_RG = fit_max(w_RGN, mask_GN, bits, zero)
    best = (first_RG, start_RG, _error(w_RGN, mask_GN, bits, first_RG, start_RG))
    middle_RG = (w_RGN.max(-1) + w_RGN.min(-1)) / 2
    for shrink in _SHRINKS:
        for sign in (1,) if zero else (1, -1):
            scale_RG = first_RG * (shrink * sign)
            zero_RG = start_RG
            if zero:
                zero_RG = _snapped(((1 << bits) - 1) / 2 - middle_RG / _never_zero(scale_RG), bits)
            best = _better(best, w_RGN, mask_GN, bits, scale_RG, zero_RG)
    for _ in range(_REFITS):
        best = _better(best, w_RGN, mask_GN, bits, *_refitted(w_RGN, mask_GN, bits, zero, *best[:2]))
    return best[0], best[1]


def fit_hqq(w_RGN: np.ndarray, mask_GN: np.ndarray, bits: int, zero: int) -> tuple[np.ndarray, np.ndarray]:
    """The scale meets both ends. Errors are in steps, so that the fit does not depend on the weights' size."""
    scale_RG, low_RG = _range(w_RGN, bits)
    x_RGN = w_RGN / _never_zero(scale_RG)[..., None]
    zero_RG, pull = -low_RG / _never_zero(scale_RG), _PULL
    best_RG, least_RG = zero_RG, np.full_like(zero_RG, np.inf)
    count_G = mask_GN.sum(-1)
    for _ in range(_TURNS):
        code_RGN = _nearest(x_RGN, zero_RG, bits)
        error_RGN = x_RGN - (code_RGN - zero_RG[..., None])
        found_RG = (np.abs(error_RGN) ** np.float32(_NORM) * mask_GN).sum(-1)
        better = found_RG < least_RG
        best_RG, least_RG = np.where(better, zero_RG, best_RG), np.where(better, found_RG, least_RG)
        size_RGN = np.abs(error_RGN)
        kept_RGN = size_RGN - np.maximum(size_RGN, np.float32(1e-8)) ** np.float32(_NORM - 1) / np.float32(pull)
        outlier_RGN = np.sign(error_RGN) * np.maximum(kept_RGN, 0)
        zero_RG = ((code_RGN - (x_RGN - outlier_RGN)) * mask_GN).sum(-1) / count_G
        pull *= _GROWTH
    return scale_RG, best_RG


FITS: dict[str, Fit] = {"max": fit_max, "mse": fit_mse, "hqq": fit_hqq}


def _range(w_RGN: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """The step from the lowest to the highest, and the lowest; zero lies among them, as the codes of zeros must."""
    low_RG, high_RG = np.minimum(w_RGN.min(-1), 0), np.maximum(w_RGN.max(-1), 0)
    return (high_RG - low_RG) / np.float32((1 << bits) - 1), low_RG


def _nearest(x_RGN: np.ndarray, zero_RG: np.ndarray, bits: int) -> np.ndarray:
    found: np.ndarray = np.clip(np.rint(x_RGN + zero_RG[..., None]), 0, (1 << bits) - 1)
    return found


def _codes(w_RGN: np.ndarray, bits: int, scale_RG: np.ndarray, zero_RG: np.ndarray) -> np.ndarray:
    return _nearest(w_RGN / _never_zero(scale_RG)[..., None], zero_RG, bits)


def _error(
    w_RGN: np.ndarray, mask_GN: np.ndarray, bits: int, scale_RG: np.ndarray, zero_RG: np.ndarray
) -> np.ndarray:
    made_RGN = (_codes(w_RGN, bits, scale_RG, zero_RG) - zero_RG[..., None]) * scale_RG[..., None]
    found: np.ndarray = (np.square(w_RGN - made_RGN) * mask_GN).sum(-1)
    return found


def _better(
    best: tuple[np.ndarray, np.ndarray, np.ndarray],
    w_RGN: np.ndarray, mask_GN: np.ndarray, bits: int, scale_RG: np.ndarray, zero_RG: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    error_RG = _error(w_RGN, mask_GN, bits, scale_RG, zero_RG)
    less = error_RG < best[2]
    found = (scale_RG, zero_RG, error_RG)
    one, two, three = (np.where(less, new, old) for new, old in zip(found, best, strict=True))
    return one, two, three


def _refitted(
    w_RGN: np.ndarray, mask_GN: np.ndarray, bits: int, zero: int, scale_RG: np.ndarray, zero_RG: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    code_RGN = _codes(w_RGN, bits, scale_RG, zero_RG)
    if zero:
        mean_RG = ((code_RGN - w_RGN / _never_zero(scale_RG)[..., None]) * mask_GN).sum(-1) / mask_GN.sum(-1)
        zero_RG = _snapped(mean_RG, bits)
    step_RGN = (code_RGN - zero_RG[..., None]) * mask_GN
    return (w_RGN * step_RGN).sum(-1) / _never_zero(np.square(step_RGN).sum(-1)), zero_RG


def _snapped(zero_RG: np.ndarray, bits: int) -> np.ndarray:
    """As a file has it."""
    unit = 2.0 ** (bits - 8)
    return (np.clip(np.rint(zero_RG / unit), 0, 255) * unit).astype(np.float32)


def _never_zero(value: np.ndarray) -> np.ndarray:
    return np.where(value == 0, np.float32(1), value)
