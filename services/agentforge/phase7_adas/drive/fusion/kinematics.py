"""The tracks' filter over all tracks at once: constant velocity, positions, and the radar's range rate."""

from __future__ import annotations

from typing import Final

import numpy as np

from agentforge.phase7_adas.drive.truth import Floats, Ints, Kind

PUSH_BY_KIND: Final[Floats] = np.array([1.7, 1.0, 0.6, 0.2])
"""By Kind: white acceleration, m/s2 per square root of hertz: how fast a constant velocity ceases to be one."""
ACROSS_PART_BY_KIND: Final[Floats] = np.array([0.3, 0.5, 1.0, 1.0])
"""By Kind: part of it across a body's way. What rolls on wheels does not jump aside."""
ROLLS_MPS: Final = 2.0
"""Slower, a velocity says nothing of which way a body points."""
SLOW_PART: Final = 0.4
"""Of a vehicle's push while it is that slow: most of them stand."""
RATE_SIGMA_MPS: Final = 0.3
"""Of a range rate: the radar's own, and that a body's parts move differently when it turns."""
VEHICLE: Final = int(Kind.VEHICLE)
EYE_22: Final[Floats] = np.eye(2)
EYE_44: Final[Floats] = np.eye(4)


def ahead(
    mean_N4: Floats, cov_N44: Floats, kind_N: Ints, dt_s: float, across_part: Floats = ACROSS_PART_BY_KIND
) -> tuple[Floats, Floats]:
    if dt_s == 0:
        return mean_N4, cov_N44
    move = EYE_44.copy()
    move[0, 2] = move[1, 3] = dt_s
    density_N22 = pushes(mean_N4, kind_N, across_part)
    shape_22 = np.array([[dt_s**3 / 3, dt_s**2 / 2], [dt_s**2 / 2, dt_s]])
    noise_N44: Floats = (shape_22[:, None, :, None] * density_N22[:, None, :, None]).reshape(-1, 4, 4)
    return mean_N4 @ move.T, move @ cov_N44 @ move.T + noise_N44


def pushes(mean_N4: Floats, kind_N: Ints, across_part: Floats) -> Floats:
    """Spectral density of acceleration, (N, 2, 2): along a body's way as it is pushed, less across it."""
    speed_N = length(mean_N4[:, 2:])
    unit_N2 = mean_N4[:, 2:] / np.maximum(speed_N, ROLLS_MPS)[:, None]
    rolls_N = speed_N > ROLLS_MPS
    part_N = np.where(rolls_N, across_part.take(kind_N) ** 2, 1.0)[:, None, None]
    slow_N = np.where(rolls_N | (kind_N != VEHICLE), 1.0, SLOW_PART)
    along_N22 = unit_N2[:, :, None] * unit_N2[:, None, :]
    density_N22: Floats = ((PUSH_BY_KIND.take(kind_N) * slow_N) ** 2)[:, None, None] * (
        part_N * EYE_22 + (1.0 - part_N) * along_N22
    )
    return density_N22


def length(off: Floats) -> Floats:
    """Of vectors (..., 2)."""
    squared = off * off
    root: Floats = np.sqrt(squared[..., 0] + squared[..., 1])
    return root


def inverse_22(many: Floats) -> tuple[Floats, Floats]:
    """Inverses and determinants of (..., 2, 2), by the formula."""
    a, b, c, d = many[..., 0, 0], many[..., 0, 1], many[..., 1, 0], many[..., 1, 1]
    determinant = a * d - b * c
    turned = np.empty(many.shape)
    turned[..., 0, 0], turned[..., 0, 1], turned[..., 1, 0], turned[..., 1, 1] = d, -b, -c, a
    turned /= determinant[..., None, None]
    return turned, determinant


def with_position(
    mean_N4: Floats, cov_N44: Floats, xy_N2: Floats, noise_N22: Floats
) -> tuple[Floats, Floats, Floats]:
    """Updated mean and covariance, and the innovation squared over its variance (2 degrees of freedom)."""
    inverse_N22, _ = inverse_22(cov_N44[:, :2, :2] + noise_N22)
    gain_N42 = cov_N44[:, :, :2] @ inverse_N22
    off_N2 = xy_N2 - mean_N4[:, :2]
    nis_N = np.einsum("ni,nij,nj->n", off_N2, inverse_N22, off_N2)
    mean_N4 = mean_N4 + np.einsum("nij,nj->ni", gain_N42, off_N2)
    keep_N44 = np.empty(cov_N44.shape)
    keep_N44[:] = EYE_44
    keep_N44[:, :, :2] -= gain_N42
    # Joseph's form: stays positive however small the noise
    cov_N44 = keep_N44 @ cov_N44 @ keep_N44.transpose(0, 2, 1)
    return mean_N4, cov_N44 + gain_N42 @ noise_N22 @ gain_N42.transpose(0, 2, 1), nis_N


def range_rate(mean_N4: Floats, beam_N2: Floats) -> tuple[Floats, Floats]:
    """The speed over ground along a radar's beam, which of a rigid body is alike wherever it is hit, and its
    derivative by the track's state."""
    slope_N4 = np.zeros(mean_N4.shape)
    slope_N4[:, 2:] = beam_N2
    return (beam_N2 * mean_N4[:, 2:]).sum(axis=1), slope_N4


def with_range_rate(
    mean_N4: Floats, cov_N44: Floats, rate_N: Floats, beam_N2: Floats
) -> tuple[Floats, Floats, Floats]:
    """As `with_position`, of one degree of freedom; where the rate is NaN nothing changes and the last is NaN."""
    told_N, slope_N4 = range_rate(mean_N4, beam_N2)
    along_N4 = np.einsum("nij,nj->ni", cov_N44, slope_N4)
    variance_N = (along_N4 * slope_N4).sum(1) + RATE_SIGMA_MPS**2
    silent_N = np.isnan(rate_N)
    off_N = np.where(silent_N, 0.0, rate_N - told_N)
    gain_N4 = along_N4 / variance_N[:, None] * ~silent_N[:, None]
    cov_N44 = cov_N44 - gain_N4[:, :, None] * along_N4[:, None, :]
    nis_N = np.where(silent_N, np.nan, off_N**2 / variance_N)
    return mean_N4 + gain_N4 * off_N[:, None], (cov_N44 + cov_N44.transpose(0, 2, 1)) / 2, nis_N
