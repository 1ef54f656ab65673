"""GOSPA: one distance between two sets of points, that falls apart into where, what is missed and what is false.

Rahmathullah, Garcia-Fernandez and Svensson 2017, with alpha = 2: an unpaired point costs c^p / 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from agentforge.phase7_adas.drive.truth import Floats


@dataclass(frozen=True)
class Gospa:
    """total ** p = localisation + missed + false; the parts are p-th powers of metres."""

    total: float
    localisation: float
    missed: float
    false: float
    pairs: int


def gospa(truth_N2: Floats, told_M2: Floats, c: float = 4.0, p: float = 2.0) -> Gospa:
    if not (c > 0 and p >= 1):
        raise ValueError(f"GOSPA needs c > 0 and p >= 1, not {c} and {p}")
    away_NM = np.linalg.norm(truth_N2[:, None] - told_M2[None], axis=2)
    cost_NM = np.minimum(away_NM, c) ** p
    row, column = linear_sum_assignment(cost_NM)
    paired = away_NM[row, column] < c
    pairs = int(paired.sum())
    where = float(cost_NM[row, column][paired].sum())
    missed = c**p / 2 * (len(truth_N2) - pairs)
    false = c**p / 2 * (len(told_M2) - pairs)
    return Gospa((where + missed + false) ** (1 / p), where, missed, false, pairs)
