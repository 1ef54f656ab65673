"""When nothing is left that is free and within limits: a stop, by the way across that hits latest."""

from __future__ import annotations

import numpy as np

from agentforge.phase7_adas.drive.messages import PREDICTION_STEP_S
from agentforge.phase7_adas.drive.planning.collision import contacts
from agentforge.phase7_adas.drive.planning.frenet import Beside
from agentforge.phase7_adas.drive.planning.lattice import lattice, sideways
from agentforge.phase7_adas.drive.planning.line import Line
from agentforge.phase7_adas.drive.planning.obstacles import Obstacles
from agentforge.phase7_adas.drive.planning.polynomials import Batch
from agentforge.phase7_adas.drive.planning.settings import Settings

BRAKES_MPS2 = (3.0, 5.0, 8.5)
"""Mildest first; the last is the hardest."""
LATE_S = 2.0
EVADE_M = (0.0, -0.35, 0.35, -0.7, 0.7)
"""About the middle of the lane; first what is wanted most."""


def braking(start: Beside, brakes_mps2: tuple[float, ...]) -> Batch:
    """Constant decelerations to standstill."""
    s, speed, _ = (float(one) for one in start.along_3)
    coef = np.zeros((len(brakes_mps2), 6))
    coef[:, 0], coef[:, 1], coef[:, 2] = s, speed, -np.array(brakes_mps2) / 2
    return Batch(coef, max(speed, 0.0) / np.array(brakes_mps2), np.zeros(len(brakes_mps2)))


def stop(line: Line, start: Beside, around: Obstacles, by: Settings, hardest: bool) -> tuple[Batch, Batch, bool]:
    """The way along, the way across, and whether it hits nothing.

    Unless the hardest is asked for, it is the mildest that hits nothing; or, if all hit something, the mildest that
    does not hit it earlier than the hardest does, and that not soon: what is far may turn out otherwise.
    """
    road = line.road
    lane = np.clip(np.floor(start.across_3[0] / road.lane_width_m), 0, road.lanes - 1)
    middle = (lane + 0.5) * road.lane_width_m
    along = braking(start, BRAKES_MPS2[-1:] if hardest else BRAKES_MPS2)
    across = sideways(start, middle + np.array(EVADE_M), float(start.along_3[1]))
    found = contacts(lattice(line, along, across), float(start.along_3[0]), float(start.across_3[0]), around, by)
    aside = found.hit_at_AB.argmax(axis=1)
    hit_s = found.hit_at_AB.max(axis=1)
    hit_s = np.where(np.isfinite(hit_s), (hit_s + 1) * PREDICTION_STEP_S, np.inf)
    good = (hit_s >= hit_s[-1]) & (hit_s > LATE_S)
    best = int(np.argmax(good)) if good.any() else len(good) - 1
    return along.row(best), across.row(int(aside[best])), bool(np.isinf(hit_s[best]))
