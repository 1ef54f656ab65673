"""Which detection is of which true body, for scoring and for fitting of confidence."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from agentforge.phase7_adas.drive.truth import Floats, Ints

NOBODY = -1
ALONG_M, ALONG_PART = 2.0, 0.1
"""A detection is of a body if its middle is this near along the line of sight: metres and part of the distance."""
ACROSS_M, ACROSS_PART = 1.0, 0.02

SURE_WEIGHT = 8.0
"""A doubtful double beside a sure detection does not take its body."""


def offsets(told_N2: Floats, true_M2: Floats) -> tuple[Floats, Floats]:
    """(N, M) metres along and across the line of sight to the true place."""
    far = np.maximum(np.hypot(true_M2[:, 0], true_M2[:, 1]), 1e-3)
    los = true_M2 / far[:, None]
    off = told_N2[:, None] - true_M2[None]
    along = (off * los).sum(axis=2)
    across = off[..., 1] * los[:, 0] - off[..., 0] * los[:, 1]
    return along, across


def match(told_N2: Floats, true_M2: Floats, reach_M: Floats, sure_N: Floats) -> Ints:
    """By detection: its body, or NOBODY. One to one: as many as can be, of these the surest, of these the nearest.

    `reach` is half of each body's diagonal less a car's width: long bodies may be told by their near end.
    """
    found = np.full(len(told_N2), NOBODY, dtype=np.int64)
    if len(told_N2) == 0 or len(true_M2) == 0:
        return found
    along, across = offsets(told_N2, true_M2)
    far = np.hypot(true_M2[:, 0], true_M2[:, 1])
    wide = np.maximum(reach_M, 0.0)
    one = np.abs(along) / (ALONG_M + ALONG_PART * far + wide)
    two = np.abs(across) / (ACROSS_M + ACROSS_PART * far + wide)
    allowed: NDArray[np.bool_] = (one < 1.0) & (two < 1.0)
    rows, columns = linear_sum_assignment(
        np.where(allowed, one**2 + two**2 + SURE_WEIGHT * (1.0 - sure_N[:, None]), 1e3)
    )
    good = allowed[rows, columns]
    found[rows[good]] = columns[good]
    return found
