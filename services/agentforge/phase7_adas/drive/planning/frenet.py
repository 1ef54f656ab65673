"""The ego's state beside the road's line, and back."""

from __future__ import annotations

import math
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
    s, d, heading, bend = line.foot(float(ego_6[X]), float(ego_6[Y]), near_s)
    turn = turned(float(ego_6[HEADING]) - heading)
    turn = min(max(turn, -STEEPEST_RAD), STEEPEST_RAD)
    cos, tan = math.cos(turn), math.tan(turn)
    squeeze = max(1.0 - bend * d, 0.2)
    slope = squeeze * tan
    speed = max(float(ego_6[SPEED]), 0.0)
    curvature = float(ego_6[YAW_RATE]) / speed if speed > 2.0 else bend / squeeze * cos
    slope_change = squeeze / cos**2 * (curvature * squeeze / cos - bend) - bend * slope * tan
    along = np.array([s, speed * cos / squeeze, float(ego_6[ACCEL]) * cos / squeeze])
    return Beside(along, np.array([d, slope, slope_change]))


def turned(angle: float) -> float:
    return math.atan2(math.sin(angle), math.cos(angle))


@dataclass(frozen=True)
class Driven:
    """What motions mean for the body, at the instants that they were asked for."""

    turn: Floats
    """Heading less the road's."""
    speed: Floats
    accel: Floats
    curvature: Floats


def driven(bend: Floats, sv: Floats, sa: Floats, d: Floats, d1: Floats, d2: Floats) -> Driven:
    """From s', s'' and d and its derivatives by s; the change of the line's own curvature is left out.

    Arrays of any shapes that broadcast to that of `d`. The products are in place: this runs over all candidates.
    """
    squeeze = bend * d
    np.subtract(1.0, squeeze, out=squeeze)
    np.maximum(squeeze, 0.2, out=squeeze)
    tan = d1 / squeeze
    long = tan * tan
    long += 1.0
    np.sqrt(long, out=long)  # 1 / cos of the turn
    squared = long * long
    bent = bend * d1
    curvature = bent * tan
    curvature += d2
    squared *= squeeze
    curvature /= squared
    curvature += bend
    stretch = long * squeeze
    curvature /= stretch
    change = curvature * squeeze
    change *= long
    change -= bend
    change *= squeeze * tan
    change -= bent
    change *= long
    change *= sv * sv
    accel = sa * squeeze
    accel *= long
    accel += change
    speed = sv * squeeze
    speed *= long
    return Driven(np.arctan(tan), speed, accel, curvature)
