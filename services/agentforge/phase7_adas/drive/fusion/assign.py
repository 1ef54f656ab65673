"""Which detection is of which track: gates, then the cheapest pairing of all."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.optimize import linear_sum_assignment

from agentforge.phase7_adas.drive.fusion.kinematics import RATE_SIGMA_MPS, inverse_22
from agentforge.phase7_adas.drive.fusion.measured import Measured
from agentforge.phase7_adas.drive.truth import Floats, Ints

GATE: Final = 13.8
"""Two degrees of freedom: one of 1,000 true detections falls outside."""
RATE_GATE: Final = 16.0
OTHER_KIND: Final = 2.0
"""What it costs to take a detection for a track of another kind."""
NEVER: Final = 1e9


def costs_NM(
    mean_N4: Floats, cov_N44: Floats, kind_N: Ints, depth_N: Floats, seen: Measured
) -> tuple[Floats, Floats]:
    """Twice the negative log likelihood of every pair, NEVER outside the gates; and the position's part in it."""
    other_NM = kind_N[:, None] != seen.kind_M[None]
    # a person's middle and a car's are not the same place behind one side: for other kinds the sides are compared
    deeper_NM = np.where(other_NM, depth_N[:, None] - seen.depth_M[None], 0.0)
    off_NM2 = seen.xy_M2[None] + deeper_NM[:, :, None] * seen.sight_M2[None] - mean_N4[:, None, :2]
    inverse_NM22, determinant_NM = inverse_22(cov_N44[:, None, :2, :2] + seen.cov_M22[None])
    squared_NM = np.einsum("nmi,nmij,nmj->nm", off_NM2, inverse_NM22, off_NM2)
    told_NM = mean_N4[:, 2:] @ seen.beam_M2.T
    variance_NM = np.einsum("mi,nij,mj->nm", seen.beam_M2, cov_N44[:, 2:, 2:], seen.beam_M2) + RATE_SIGMA_MPS**2
    rate_NM = (seen.rate_M[None] - told_NM) ** 2 / variance_NM
    rate_NM[np.isnan(rate_NM)] = 1.0
    cost_NM = squared_NM + np.log(determinant_NM) + rate_NM
    cost_NM += OTHER_KIND * other_NM
    allowed_NM = (squared_NM <= GATE) & (rate_NM <= RATE_GATE)
    return np.where(allowed_NM, cost_NM, NEVER), squared_NM


def pairs(cost_NM: Floats) -> tuple[Ints, Ints]:
    """Rows and columns that belong together; as many pairs as the gates allow, then the cheapest."""
    row, column = linear_sum_assignment(cost_NM)
    real = cost_NM[row, column] < NEVER
    return row[real].astype(np.int64, copy=False), column[real].astype(np.int64, copy=False)
