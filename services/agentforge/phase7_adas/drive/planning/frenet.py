"""The ego's state beside the road's line, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agentforge.phase7_adas.drive.planning.line import Line
from agentforge.phase7_adas.drive.truth import ACCEL, HEADING, SPEED, YAW_RATE, Floats, X, Y

STEEPEST_RAD = 1.0
"""Between ego and road; beyond that places beside the line mean little."""


@dataclass(frozen=True)
class Beside:
    """`along_3` is s and its time derivatives; `across_3` is d and its derivatives by s."""

    along_3: Floats
    across_3: Floats


def beside(line: Line, ego_6: Floats, near_s: float) -> Beside:
    s_1, d_1 = line.to_road(ego_6[None, [X, Y]], np.array([near_s]))
    bend = float(line.curvature(s_1)[0])
    turn = turned(float(ego_6[HEADING] - line.heading(s_1)[0]))
    turn = min(max(turn, -STEEPEST_RAD), STEEPEST_RAD)
    squeeze = max(1.0 - bend * float(d_1[0]), 0.2)
    slope = squeeze * np.tan(turn)
    speed = max(float(ego_6[SPEED]), 0.0)
    curvature = float(ego_6[YAW_RATE]) / speed if speed > 2.0 else bend / squeeze * np.cos(turn)
    slope_change = squeeze / np.cos(turn) ** 2 * (
        curvature * squeeze / np.cos(turn) - bend
    ) - bend * slope * np.tan(turn)
    part = np.cos(turn) / squeeze
    along = np.array([s_1[0], speed * part, float(ego_6[ACCEL]) * part])
    return Beside(along, np.array([d_1[0], slope, slope_change]))


def turned(angle: float) -> float:
    return float(np.arctan2(np.sin(angle), np.cos(angle)))


@dataclass(frozen=True)
class Driven:
    """What C motions mean for the body, at J instants."""

    turn_CJ: Floats
    """Heading less the road's."""
    speed_CJ: Floats
    accel_CJ: Floats
    curvature_CJ: Floats


def driven(bend_CJ: Floats, sv_CJ: Floats, sa_CJ: Floats, d_CJ: Floats, d1_CJ: Floats, d2_CJ: Floats) -> Driven:
    """From s', s'' and d and its derivatives by s; the change of the line's own curvature is left out."""
    squeeze = np.maximum(1.0 - bend_CJ * d_CJ, 0.2)
    tan = d1_CJ / squeeze
    long = np.sqrt(1.0 + tan**2)  # 1 / cos of the turn
    speed = sv_CJ * squeeze * long
    curvature = ((d2_CJ + bend_CJ * d1_CJ * tan) / (long**2 * squeeze) + bend_CJ) / (long * squeeze)
    change = long * (squeeze * tan * (curvature * squeeze * long - bend_CJ) - bend_CJ * d1_CJ)
    accel = sa_CJ * squeeze * long + sv_CJ**2 * change
    return Driven(np.arctan(tan), speed, accel, curvature)
