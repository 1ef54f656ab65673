"""Distances and courses: RSS against every track, and the plan's way against where tracks go; with graded brakes.

RSS says when a distance is unsafe. What is done then is graded, unlike in the paper, which brakes with at least
`brake_min` at once: who cut in close and draws away needs no hard brake, and hard brakes are a hazard behind.

- the acceleration that would be needed if the other goes on as it does now is above HARD: COLLISION_NEAR;
- else it is bounded by what is needed, or by what restores the distance within seconds: RSS_DISTANCE.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentforge.phase7_adas.drive.messages import PLAN_SPEED, PLAN_STEP_S, PLAN_X, PLAN_Y, Fault, Plan, Tracks
from agentforge.phase7_adas.drive.safety.around import HALF_LONG, WAY_STEPS, Around
from agentforge.phase7_adas.drive.safety.rss import RSS, RssParameters, aside, behind, towards
from agentforge.phase7_adas.drive.truth import LENGTH, WIDTH
from agentforge.phase7_adas.drive.world.limits import MIN_ACCEL_MPS2

HARD_MPS2: Final = 5.0
RESTORE_MPS2: Final = 3.0
LEFT_M: Final = 0.8
"""Wanted between the boxes in the end."""
BRAKES_MPS2: Final = -1.0
"""Others that slow down more than this are taken to go on doing so."""
CREEPS_MPS: Final = (0.02, 0.5)
HOLD_MPS2: Final = 2.0
SLOW_MPS: Final = 2.5
"""Who is this slow gains nothing by the hardest brake against one who comes towards it."""
FAR_M: Final = 60.0
ASIDE_M: Final = 6.0
CIRCLE_M: Final = 0.97
"""Three circles along the ego's box, narrower than its corners need: a touch counts, a near miss does not."""
PASSES_S: Final = 0.5
"""Who comes, beside us, and is past within this time is too near for brakes, and seen askew."""
DRIFTS_S: Final = 1.0
"""A vehicle's motion across the road is taken to end within this time."""
AT_ONCE_TICKS: Final = 2
_WAY_S: Final = np.arange(WAY_STEPS.start, WAY_STEPS.stop, WAY_STEPS.step) * PLAN_STEP_S
_CIRCLES: Final = np.array([[-1.0], [0.0], [1.0]]) * (HALF_LONG - CIRCLE_M)


@dataclass(frozen=True)
class Bound:
    """The most that the command may accelerate, and why."""

    accel_mps2: float
    faults: tuple[Fault, ...]


def rss(around: Around, now: int, sure_N: NDArray[np.bool_], by: RssParameters = RSS) -> Bound:
    """Against who is ahead. Who comes from behind has to keep its own distance.

    `sure_N`: tracks that are not of this moment or this sensor alone; for others no harder than RESTORE_MPS2.
    """
    ego, along = np.full(len(around.id_N), around.ego_along), around.along_N
    same = along > -0.5
    need = np.where(same, behind(ego, np.maximum(along, 0.0), by), towards(ego, np.maximum(-along, 0.0), by))
    left, closing = around.d_N > around.ego_d, ego - along
    ego_across = np.full(len(ego), around.ego_across)
    side = np.where(left, aside(ego_across, around.across_N, by), aside(around.across_N, ego_across, by))
    in_front = around.ahead_N > -HALF_LONG  # who is level with the ego's middle is not escaped from by braking
    unsafe = in_front & (around.ahead_N < need) & (around.aside_N < side) & (around.ego_along >= CREEPS_MPS[1])
    faults, most = [], np.inf
    creeps = (around.ego_along > CREEPS_MPS[0]) & (around.ego_along < CREEPS_MPS[1])
    for n in np.flatnonzero(
        creeps & in_front & (around.ahead_N > 0) & (around.ahead_N < LEFT_M) & (around.aside_N < 0)
    ):
        most = -HOLD_MPS2
        fact = f"creeping, {around.ahead_N[n]:.1f} m to track {around.id_N[n]}"
        faults.append(Fault("RSS_DISTANCE", now, f"track {around.id_N[n]}", fact))
    for n in np.flatnonzero(unsafe):
        level = around.ahead_N[n] < 0 and around.aside_N[n] > 0
        needed = 0.0 if level else _needed(around, int(n), by)
        if around.aside_N[n] > 0 and not _meets(around, int(n)):
            needed = 0.0
        if around.along_N[n] < -SLOW_MPS and around.aside_N[n] > 0 and around.ahead_N[n] < PASSES_S * closing[n]:
            continue
        gap = f"{around.ahead_N[n]:.1f} m to track {around.id_N[n]}, {need[n]:.1f} m are safe"
        if not sure_N[n]:
            needed = min(needed, RESTORE_MPS2 / 1.2)
        if around.ego_along < SLOW_MPS and around.along_N[n] < -SLOW_MPS:
            needed = min(needed, HARD_MPS2)
        if needed > HARD_MPS2:
            most = MIN_ACCEL_MPS2
            faults.append(
                Fault("COLLISION_NEAR", now, f"track {around.id_N[n]}", f"{gap}; {needed:.1f} m/s2 needed")
            )
            continue
        short = 1.0 - max(around.ahead_N[n], 0.0) / max(need[n], 0.1)
        opens = around.along_N[n] - around.ego_along > 0.5
        restore = 0.0 if opens or level else min(2 * RESTORE_MPS2 * short, RESTORE_MPS2)
        most = min(most, -max(1.2 * needed, restore))
        faults.append(Fault("RSS_DISTANCE", now, f"track {around.id_N[n]}", gap))
    return Bound(float(most), tuple(faults))


def _needed(around: Around, n: int, by: RssParameters) -> float:
    """Constant deceleration that ends LEFT_M short, if the other goes on as now: at its speed, or braking on."""
    ego, other, gap = around.ego_along, float(around.along_N[n]), float(around.ahead_N[n]) - LEFT_M
    closing = ego - other
    room = gap - max(closing, 0.0) * by.response_s
    needed = 0.0
    if closing > 0:
        needed = closing**2 / (2 * room) if room > 0.1 else np.inf
    accel = float(around.accel_N[n])
    if accel < BRAKES_MPS2 and other > 0:
        room = gap - ego * by.response_s + other**2 / (2 * -accel)
        needed = max(needed, ego**2 / (2 * room) if room > 0.1 else np.inf)
    return needed


def _meets(around: Around, n: int) -> bool:
    """Will their sides overlap while they are level, at their present speeds?"""
    closing = around.ego_along - float(around.along_N[n])
    if closing < 0.3:
        return False
    arrive = max(float(around.ahead_N[n]), 0.0) / closing
    leave = (float(around.ahead_N[n]) + 4 * HALF_LONG) / closing
    towards_mps = (around.ego_across - float(around.across_N[n])) * np.sign(float(around.d_N[n]) - around.ego_d)
    drifts = DRIFTS_S / 2 if around.along_N[n] < -SLOW_MPS else arrive + 1.0
    return bool(around.aside_N[n] - towards_mps * min(leave, drifts) < 0.1)


class PlanCourse:
    """The plan's way against tracks that go on as they do, on the road; told when it holds for two ticks."""

    def __init__(self) -> None:
        self._ticks = 0

    def step(self, plan: Plan, tracks: Tracks, around: Around, sure_N: NDArray[np.bool_], now: int) -> Bound:
        hit = _first_hit(tracks, around)
        self._ticks = self._ticks + 1 if hit is not None else 0
        if hit is None or self._ticks < AT_ONCE_TICKS:
            return Bound(np.inf, ())
        n, step = hit
        states = plan.states_T5
        way = float(np.hypot(*np.diff(states[: step + 1, [PLAN_X, PLAN_Y]], axis=0).T).sum())
        speed, other = float(states[0, PLAN_SPEED]), max(float(around.along_N[n]), 0.0)
        room = max(way - other * step * PLAN_STEP_S - LEFT_M, 0.1)
        needed = max(speed - other, 0.0) ** 2 / (2 * room)
        fact = f"track {around.id_N[n]} after {step * PLAN_STEP_S:.1f} s, {needed:.1f} m/s2 needed"
        if not sure_N[n]:
            needed = min(needed, RESTORE_MPS2 / 1.2)
        if needed > HARD_MPS2:
            return Bound(MIN_ACCEL_MPS2, (Fault("COLLISION_NEAR", now, "plan", fact),))
        return Bound(-max(1.2 * needed, 1.0), (Fault("PLAN_COLLIDES", now, "plan", fact),))


def _first_hit(tracks: Tracks, around: Around) -> tuple[int, int] | None:
    """Row of `around` and step of the plan."""
    near = (around.ahead_N > -2 * HALF_LONG) & (around.ahead_N < FAR_M) & (around.aside_N < ASIDE_M)
    ahead = np.flatnonzero(near)
    if len(ahead) == 0:
        return None
    s_T, d_T, lean_T = around.way_T3.T
    times = _WAY_S
    size = tracks.size_N3[around.row_N[ahead]]
    vehicle = tracks.kind_N[around.row_N[ahead]] == 0
    along, across = around.along_N[ahead], around.across_N[ahead]
    s = around.s_N[ahead][:, None] + along[:, None] * times
    comes = (along < -SLOW_MPS)[:, None]
    drift = np.where(vehicle[:, None] | comes, np.minimum(times, np.where(comes, DRIFTS_S / 2, DRIFTS_S)), times)
    d = around.d_N[ahead][:, None] + across[:, None] * drift
    turn = np.where(np.hypot(along, across) > 0.7, np.arctan2(across, along), 0.0)[:, None]
    # (circle, track, time)
    ds, dd = (s_T + _CIRCLES * np.cos(lean_T))[:, None] - s, (d_T + _CIRCLES * np.sin(lean_T))[:, None] - d
    cos, sin = np.cos(turn), np.sin(turn)
    out_s = np.maximum(np.abs(ds * cos + dd * sin) - size[:, LENGTH, None] / 2, 0.0)
    out_d = np.maximum(np.abs(dd * cos - ds * sin) - size[:, WIDTH, None] / 2, 0.0)
    touches: NDArray[np.bool_] = (np.hypot(out_s, out_d) < CIRCLE_M).any(axis=0)
    if not touches.any():
        return None
    step = int(np.argmax(touches.any(axis=0)))
    return int(ahead[np.argmax(touches[:, step])]), WAY_STEPS.start + step * WAY_STEPS.step
