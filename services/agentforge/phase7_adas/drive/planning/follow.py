"""From a plan to a command: feed-forward with the actuators' lag in mind, feedback on what is off, limited jerk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agentforge.phase7_adas.drive.messages import (
    PLAN_ACCEL,
    PLAN_HEADING,
    PLAN_SPEED,
    PLAN_STEP_S,
    PLAN_X,
    PLAN_Y,
    Command,
)
from agentforge.phase7_adas.drive.planning.frenet import turned
from agentforge.phase7_adas.drive.truth import HEADING, SPEED, Floats, X, Y
from agentforge.phase7_adas.drive.world import limits

TICK_S = 0.05


@dataclass(frozen=True)
class Gains:
    ahead_accel_s: float = limits.ACCEL_LAG_S + TICK_S / 2
    ahead_steer_s: float = limits.STEER_LAG_S + TICK_S / 2
    speed: float = 0.7
    place: float = 0.25
    reach_s: float = 0.9
    """Feedback turns the ego to the plan within the way of this time."""
    least_reach_m: float = 5.0
    damping: float = 0.9
    most_rise_mps3: float = 8.0
    most_fall_mps3: float = 30.0


GAINS = Gains()
HOLD_MPS2 = -1.0
"""At standstill, so that it stays."""


def at(states_T5: Floats, curvature_T: Floats, t_s: float) -> tuple[Floats, float]:
    """The plan's state and curvature at this time since its beginning; on its last row behind its end."""
    step = min(max(t_s / PLAN_STEP_S, 0.0), len(states_T5) - 1.001)
    low, part = int(step), step - int(step)
    state = states_T5[low] * (1 - part) + states_T5[low + 1] * part
    heading = states_T5[low, PLAN_HEADING]
    state[PLAN_HEADING] = heading + part * turned(states_T5[low + 1, PLAN_HEADING] - heading)
    return state, float(curvature_T[low] * (1 - part) + curvature_T[low + 1] * part)


def command(
    states_T5: Floats,
    curvature_T: Floats,
    ego_6: Floats,
    since_s: float,
    last: Command | None,
    gains: Gains = GAINS,
) -> Command:
    """`since_s`: from the plan's beginning to now."""
    here, _ = at(states_T5, curvature_T, since_s)
    soon, _ = at(states_T5, curvature_T, since_s + gains.ahead_accel_s)
    _, bend = at(states_T5, curvature_T, since_s + gains.ahead_steer_s)
    dx, dy = ego_6[X] - here[PLAN_X], ego_6[Y] - here[PLAN_Y]
    cos, sin = np.cos(here[PLAN_HEADING]), np.sin(here[PLAN_HEADING])
    along, left = dx * cos + dy * sin, dy * cos - dx * sin
    speed = float(ego_6[SPEED])
    accel = soon[PLAN_ACCEL] + gains.speed * (here[PLAN_SPEED] - speed) - gains.place * along
    if last is not None:
        rise, fall = gains.most_rise_mps3 * TICK_S, gains.most_fall_mps3 * TICK_S
        accel = min(max(accel, last.accel_mps2 - fall), last.accel_mps2 + rise)
    if soon[PLAN_SPEED] < 0.05 and speed < 0.3:
        accel = min(accel, HOLD_MPS2)
    reach = max(gains.reach_s * speed, gains.least_reach_m)
    off = turned(float(ego_6[HEADING] - here[PLAN_HEADING]))
    curvature = bend - left / reach**2 - 2 * gains.damping * off / reach
    most = limits.MAX_CURVATURE_PER_M
    return Command(
        float(min(max(accel, limits.MIN_ACCEL_MPS2), limits.MAX_ACCEL_MPS2)),
        float(min(max(curvature, -most), most)),
    )
