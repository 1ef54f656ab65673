"""Checks a plan by itself: numbers, time, beginning, what the body can do; and a command against limits."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from agentforge.phase7_adas.drive.messages import (
    PLAN_ACCEL,
    PLAN_HEADING,
    PLAN_SPEED,
    PLAN_STEP_S,
    PLAN_STEPS,
    PLAN_X,
    PLAN_Y,
    Command,
    Fault,
    Plan,
)
from agentforge.phase7_adas.drive.safety.numbers import numbers
from agentforge.phase7_adas.drive.truth import HEADING, SPEED, Floats, X, Y
from agentforge.phase7_adas.drive.world import limits

OLDEST_US: Final = 60_000
ELSEWHERE_M, ELSEWHERE_RAD, ELSEWHERE_MPS = 2.0, 0.3, 2.5
HARD_ACCEL_MPS2, HARD_SIDE_MPS2 = 9.5, 7.0
LEAP_M: Final = 0.6
"""Between a row and where the row before leads."""
UNUSABLE: Final = frozenset({"PLAN_NOT_NUMBER", "PLAN_STALE", "PLAN_ELSEWHERE", "PLAN_TOO_HARD"})
"""Such a plan is not driven."""


def check_plan(plan: Plan, now: int, ego_6: Floats | None) -> list[Fault]:
    """`ego_6`: the monitor's belief, moved on to now; None: there is none."""

    def fault(code: str, fact: str) -> list[Fault]:
        return [Fault(code, now, "plan", fact)]

    states = plan.states_T5
    if states.shape != (PLAN_STEPS, 5) or not numbers(states):
        return fault("PLAN_NOT_NUMBER", "its states are not all numbers")
    if not (math.isfinite(plan.command.accel_mps2) and math.isfinite(plan.command.curvature_per_m)):
        return fault("PLAN_NOT_NUMBER", "its command is not a number")
    if abs(now - plan.t_us) > OLDEST_US:
        return fault("PLAN_STALE", f"of {(now - plan.t_us) / 1e3:.0f} ms ago")
    if ego_6 is not None:
        first, ego = states[0].tolist(), ego_6.tolist()
        off = float(np.hypot(first[PLAN_X] - ego[X], first[PLAN_Y] - ego[Y]))
        turn = abs((first[PLAN_HEADING] - ego[HEADING] + math.pi) % (2 * math.pi) - math.pi)
        faster = abs(first[PLAN_SPEED] - ego[SPEED])
        if off > ELSEWHERE_M or turn > ELSEWHERE_RAD or faster > ELSEWHERE_MPS:
            return fault("PLAN_ELSEWHERE", f"{off:.1f} m, {turn:.2f} rad, {faster:.1f} m/s from the ego")
    if fact := _too_hard(states):
        return fault("PLAN_TOO_HARD", fact)
    return [] if plan.feasible else fault("PLAN_INFEASIBLE", f"{plan.candidates} candidates, none free")


def _too_hard(states_T5: Floats) -> str:
    accel, speed = states_T5[:, PLAN_ACCEL], states_T5[:, PLAN_SPEED]
    if np.abs(accel).max() > HARD_ACCEL_MPS2:
        return f"acceleration of {accel[np.abs(accel).argmax()]:.1f} m/s2"
    least, most = speed.min(), speed.max()
    if least < -0.3 or most > limits.MAX_SPEED_MPS:
        return f"speed from {least:.1f} to {most:.1f} m/s"
    twice = speed[1:] + speed[:-1]
    moved = states_T5[1:] - states_T5[:-1]
    step = np.hypot(moved[:, PLAN_X], moved[:, PLAN_Y])
    leap = np.abs(step - twice / 2 * PLAN_STEP_S).max()
    if leap > LEAP_M:
        return f"a leap of {leap:.1f} m"
    turn = np.remainder(moved[:, PLAN_HEADING] + np.pi, 2 * np.pi) - np.pi
    side = float(np.abs(turn / PLAN_STEP_S * twice / 2).max())
    return f"lateral acceleration of {side:.1f} m/s2" if side > HARD_SIDE_MPS2 else ""


def within_limits(command: Command, now: int) -> tuple[Command, list[Fault]]:
    """The command as the body can take it; a fault where it could not. Curvature's tolerance is rounding."""
    accel = min(max(command.accel_mps2, limits.MIN_ACCEL_MPS2), limits.MAX_ACCEL_MPS2)
    most = limits.MAX_CURVATURE_PER_M
    curvature = min(max(command.curvature_per_m, -most), most)
    if abs(accel - command.accel_mps2) < 1e-6 and abs(curvature - command.curvature_per_m) < 1e-6:
        return command, []
    fact = f"{command.accel_mps2:.1f} m/s2, {command.curvature_per_m:.3f}/m"
    return Command(accel, curvature), [Fault("COMMAND_LIMIT", now, "plan", fact)]
