"""Which detection is of which track: gates, then the cheapest pairing of all."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.optimize import linear_sum_assignment

from agentforge.phase7_adas.drive.fusion.kinematics import RATE_SIGMA_MPS, inverse_22, range_rate
from agentforge.phase7_adas.drive.fusion.measured import Measured
from agentforge.phase7_adas.drive.truth import Floats, Ints

GATE: Final = 13.8
"""Two degrees of freedom: one of 1,000 true detections falls outside."""
RATE_GATE: Final = 16.0
OTHER_KIND: Final = 2.0
"""What it costs to take a detection for a track of another kind."""
NEVER: Final = 1e9


def costs_NM(mean_N4: Floats, cov_N44: Floats, kind_N: Ints, seen: Measured) -> tuple[Floats, Floats]:
    """Twice the negative log likelihood of every pair, NEVER outside the gates; and the position's part in it."""
    off_NM2 = seen.xy_M2[None] - mean_N4[:, None, :2]
    inverse_NM22, determinant_NM = inverse_22(cov_N44[:, None, :2, :2] + seen.cov_M22[None])
    squared_NM = np.einsum("nmi,nmij,nmj->nm", off_NM2, inverse_NM22, off_NM2)
    told_N, slope_N4 = range_rate(mean_N4, seen.radar_4)
    variance_N = np.einsum("ni,nij,nj->n", slope_N4, cov_N44, slope_N4) + RATE_SIGMA_MPS**2
    rate_NM = np.nan_to_num((seen.rate_M[None] - told_N[:, None]) ** 2 / variance_N[:, None], nan=1.0)
    cost_NM = squared_NM + np.log(determinant_NM) + rate_NM
    cost_NM += OTHER_KIND * (kind_N[:, None] != seen.kind_M[None])
    allowed_NM = (squared_NM <= GATE) & (rate_NM <= RATE_GATE)
    return np.where(allowed_NM, cost_NM, NEVER), squared_NM


def pairs(cost_NM: Floats) -> tuple[Ints, Ints]:
    """Rows and columns that belong together; as many pairs as the gates allow, then the cheapest."""
    row, column = linear_sum_assignment(cost_NM)
    real = cost_NM[row, column] < NEVER
    return row[real].astype(np.int64), column[real].astype(np.int64)
