"""Distances and courses: RSS against every track, and the plan's way against where tracks go; with graded brakes.

RSS says when a distance is unsafe. What is done then is graded, unlike in the paper, which brakes with at least
`brake_min` at once: who cut in close and draws away needs no hard brake, and hard brakes are a hazard behind.

- the acceleration that would be needed if the other goes on as it does now is above HARD: COLLISION_NEAR;
- else it is bounded by what is needed, or by what restores the distance within seconds: RSS_DISTANCE.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentforge.phase7_adas.drive.messages import PLAN_SPEED, PLAN_STEP_S, PLAN_STEPS, PLAN_X, PLAN_Y, Fault, Plan
from agentforge.phase7_adas.drive.safety.around import HALF_LONG, WAY_STEPS, Around, Other
from agentforge.phase7_adas.drive.safety.rss import RSS, RssParameters, aside, behind, towards
from agentforge.phase7_adas.drive.truth import Floats, Kind
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
_WAY_S: Final[Floats] = np.array(range(PLAN_STEPS)[WAY_STEPS], dtype=np.float64) * PLAN_STEP_S
_LAST_S: Final = float(_WAY_S[-1])
_COMES_S: Final[Floats] = np.minimum(_WAY_S, DRIFTS_S / 2)
_VEHICLE_S: Final[Floats] = np.minimum(_WAY_S, DRIFTS_S)
_CIRCLES: Final = np.array([[-1.0], [0.0], [1.0]]) * (HALF_LONG - CIRCLE_M)


@dataclass(frozen=True)
class Bound:
    """The most that the command may accelerate, and why."""

    accel_mps2: float
    faults: tuple[Fault, ...]


def rss(around: Around, now: int, sure_N: Sequence[bool], by: RssParameters = RSS) -> Bound:
    """Against who is ahead. Who comes from behind has to keep its own distance.

    `sure_N`: tracks that are not of this moment or this sensor alone; for others no harder than RESTORE_MPS2.
    """
    bounds = []
    for one, sure in zip(around.others, sure_N, strict=True):
        if not one.ahead > -HALF_LONG:
            continue  # who is level with the ego's middle is not escaped from by braking
        if around.ego_along >= CREEPS_MPS[1]:
            bounds += _keeps_off(around, one, now, sure, by)
        elif around.ego_along > CREEPS_MPS[0] and 0 < one.ahead < LEFT_M and one.aside < 0:
            fact = f"creeping, {one.ahead:.1f} m to track {one.id}"
            bounds.append(Bound(-HOLD_MPS2, (Fault("RSS_DISTANCE", now, f"track {one.id}", fact),)))
    most = min((bound.accel_mps2 for bound in bounds), default=np.inf)
    return Bound(most, tuple(fault for bound in bounds for fault in bound.faults))


def _keeps_off(around: Around, one: Other, now: int, sure: bool, by: RssParameters) -> list[Bound]:
    """One bound, or none where the distance is safe."""
    need = _safe_m(around, one, by)
    if not (one.ahead < need and one.aside < _safe_aside_m(around, one, by)):
        return []
    level = one.ahead < 0 and one.aside > 0
    needed = 0.0 if level else _needed(around, one, by)
    if one.aside > 0 and not _meets(around, one):
        needed = 0.0
    comes = one.along < -SLOW_MPS
    if comes and one.aside > 0 and one.ahead < PASSES_S * (around.ego_along - one.along):
        return []
    gap = f"{one.ahead:.1f} m to track {one.id}, {need:.1f} m are safe"
    if not sure:
        needed = min(needed, RESTORE_MPS2 / 1.2)
    if around.ego_along < SLOW_MPS and comes:
        needed = min(needed, HARD_MPS2)
    if needed > HARD_MPS2:
        fact = f"{gap}; {needed:.1f} m/s2 needed"
        return [Bound(MIN_ACCEL_MPS2, (Fault("COLLISION_NEAR", now, f"track {one.id}", fact),))]
    short = 1.0 - max(one.ahead, 0.0) / max(need, 0.1)
    opens = one.along - around.ego_along > 0.5
    restore = 0.0 if opens or level else min(2 * RESTORE_MPS2 * short, RESTORE_MPS2)
    return [Bound(-max(1.2 * needed, restore), (Fault("RSS_DISTANCE", now, f"track {one.id}", gap),))]


def _safe_m(around: Around, one: Other, by: RssParameters) -> float:
    if one.along > -0.5:
        return behind(around.ego_along, max(one.along, 0.0), by)
    return towards(around.ego_along, max(-one.along, 0.0), by)


def _safe_aside_m(around: Around, one: Other, by: RssParameters) -> float:
    if one.d > around.ego_d:
        return aside(around.ego_across, one.across, by)
    return aside(one.across, around.ego_across, by)


def _needed(around: Around, one: Other, by: RssParameters) -> float:
    """Constant deceleration that ends LEFT_M short, if the other goes on as now: at its speed, or braking on."""
    ego, other, gap = around.ego_along, one.along, one.ahead - LEFT_M
    closing = ego - other
    room = gap - max(closing, 0.0) * by.response_s
    needed = 0.0
    if closing > 0:
        needed = closing**2 / (2 * room) if room > 0.1 else np.inf
    accel = one.accel
    if accel < BRAKES_MPS2 and other > 0:
        room = gap - ego * by.response_s + other**2 / (2 * -accel)
        needed = max(needed, ego**2 / (2 * room) if room > 0.1 else np.inf)
    return needed


def _meets(around: Around, one: Other) -> bool:
    """Will their sides overlap while they are level, at their present speeds?"""
    closing = around.ego_along - one.along
    if closing < 0.3:
        return False
    arrive = max(one.ahead, 0.0) / closing
    leave = (one.ahead + 4 * HALF_LONG) / closing
    towards_mps = (around.ego_across - one.across) * np.sign(one.d - around.ego_d)
    drifts = DRIFTS_S / 2 if one.along < -SLOW_MPS else arrive + 1.0
    return bool(one.aside - towards_mps * min(leave, drifts) < 0.1)


class PlanCourse:
    """The plan's way against tracks that go on as they do, on the road; told when it holds for two ticks."""

    def __init__(self) -> None:
        self._ticks = 0

    def step(self, plan: Plan, around: Around, sure_N: Sequence[bool], now: int) -> Bound:
        hit = _first_hit(around)
        self._ticks = self._ticks + 1 if hit is not None else 0
        if hit is None or self._ticks < AT_ONCE_TICKS:
            return Bound(np.inf, ())
        n, step = hit
        one, states = around.others[n], plan.states_T5
        way = float(np.hypot(*np.diff(states[: step + 1, [PLAN_X, PLAN_Y]], axis=0).T).sum())
        speed, other = float(states[0, PLAN_SPEED]), max(one.along, 0.0)
        room = max(way - other * step * PLAN_STEP_S - LEFT_M, 0.1)
        needed = max(speed - other, 0.0) ** 2 / (2 * room)
        fact = f"track {one.id} after {step * PLAN_STEP_S:.1f} s, {needed:.1f} m/s2 needed"
        if not sure_N[n]:
            needed = min(needed, RESTORE_MPS2 / 1.2)
        if needed > HARD_MPS2:
            return Bound(MIN_ACCEL_MPS2, (Fault("COLLISION_NEAR", now, "plan", fact),))
        return Bound(-max(1.2 * needed, 1.0), (Fault("PLAN_COLLIDES", now, "plan", fact),))


def _first_hit(around: Around) -> tuple[int, int] | None:
    """Number among the others and step of the plan."""
    s_T, d_T, turn_T = around.way
    least_s, most_s = float(s_T.min()), float(s_T.max())
    near = [n for n, one in enumerate(around.others) if _near(one) and _reaches(one, least_s, most_s)]
    if not near:
        return None
    rows = [around.others[n] for n in near]
    drift_NT = np.array([_drift(one) for one in rows])
    s, d, along, across, cos, sin, long, wide = np.array(
        [(one.s, one.d, one.along, one.across, one.cos, one.sin, one.long, one.wide) for one in rows]
    ).T[:, :, None]
    s, d = s + along * _WAY_S, d + across * drift_NT
    # (circle, track, time)
    ds, dd = (s_T + _CIRCLES * np.cos(turn_T))[:, None] - s, (d_T + _CIRCLES * np.sin(turn_T))[:, None] - d
    out_s = np.maximum(np.abs(ds * cos + dd * sin) - long, 0.0)
    out_d = np.maximum(np.abs(dd * cos - ds * sin) - wide, 0.0)
    touches: NDArray[np.bool_] = (np.hypot(out_s, out_d) < CIRCLE_M).any(axis=0)
    if not touches.any():
        return None
    step = int(np.argmax(touches.any(axis=0)))
    return near[int(np.argmax(touches[:, step]))], WAY_STEPS.start + step * WAY_STEPS.step


def _near(one: Other) -> bool:
    return -2 * HALF_LONG < one.ahead < FAR_M and one.aside < ASIDE_M


def _reaches(one: Other, least_s: float, most_s: float) -> bool:
    """Whether it comes to where the plan's way is along the road; with half the ego's length to spare."""
    first, last = one.s, one.s + one.along * _LAST_S
    spare = 2 * HALF_LONG + one.long + one.wide
    return not (min(first, last) - most_s > spare or least_s - max(first, last) > spare)


def _drift(one: Other) -> Floats:
    """For how long it moves across the road, at each time."""
    if one.along < -SLOW_MPS:
        return _COMES_S
    return _VEHICLE_S if one.kind == Kind.VEHICLE else _WAY_S
