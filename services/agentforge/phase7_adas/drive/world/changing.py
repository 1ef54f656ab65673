"""Lane changes: MOBIL (Kesting, Treiber, Helbing 2007): worth it for oneself, safe for who comes from behind."""

from __future__ import annotations

from typing import Final

import numpy as np

from agentforge.phase7_adas.drive.scenarios.script import Actor
from agentforge.phase7_adas.drive.truth import Floats
from agentforge.phase7_adas.drive.world.following import Along, idm
from agentforge.phase7_adas.drive.world.users import Users

GAIN_MPS2: Final = 0.3
"""What a change must be worth."""
POLITENESS: Final = 0.3
SAFE_BRAKE_MPS2: Final = 3.0
"""Nobody behind may have to brake harder."""
AGAIN_S: Final = 6.0
CHANGE_S: Final = 4.0


class Changing:
    def __init__(self, actors: tuple[Actor, ...]) -> None:
        self._who = [n for n, actor in enumerate(actors) if actor.changes_lanes]
        self._last_s = dict.fromkeys(self._who, -AGAIN_S)

    def step(self, users: Users, ego: Along, now_s: float) -> None:
        for n in self._who:
            if not users.drives_N[n] or now_s - self._last_s[n] < AGAIN_S:
                continue
            gains = {lane: _gain(users, n, ego, lane) for lane in _beside(users, n)}
            best = max(gains, key=lambda lane: gains[lane], default=-1)
            if best >= 0 and gains[best] > GAIN_MPS2:
                users.want_d_N[n] = users.road.lane_centre_d(best)
                users.side_s_N[n] = CHANGE_S / 4
                self._last_s[n] = now_s


def _lane(users: Users, d_m: float) -> int:
    return int(np.clip(d_m // users.road.lane_width_m, 0, users.road.lanes - 1))


def _beside(users: Users, n: int) -> list[int]:
    """Lanes of the same way beside the one that it wants to be in."""
    road, lane = users.road, _lane(users, float(users.want_d_N[n]))
    first_oncoming = road.lanes - road.oncoming
    mine = range(first_oncoming) if users.along_N[n] > 0 else range(first_oncoming, road.lanes)
    return [other for other in (lane - 1, lane + 1) if other in mine]


def _gain(users: Users, n: int, ego: Along, lane: int) -> float:
    """In m/s2; minus infinity where it is not safe."""
    there = users.road.lane_centre_d(lane)
    ahead_gap, ahead_mps, _ = _neighbour(users, n, ego, there, 1.0)
    behind_gap, behind_mps, behind = _neighbour(users, n, ego, there, -1.0)
    if min(ahead_gap, behind_gap) < 2.0:
        return -np.inf
    now_gap, now_mps, _ = _neighbour(users, n, ego, float(users.d_N[n]), 1.0)
    own = users.driver_N4[n]
    speed, wish = float(users.speed_N[n]), float(users.wish_mps_N[n])
    follower = users.driver_N4[behind] if 0 <= behind < users.count else own
    loss = 0.0
    if np.isfinite(behind_gap):
        forced = _accel(behind_mps, behind_mps, behind_gap, behind_mps - speed, follower)
        if forced < -SAFE_BRAKE_MPS2:
            return -np.inf
        loss = max(0.0, -forced)
    new = _accel(speed, wish, ahead_gap, speed - ahead_mps, own)
    if new < -SAFE_BRAKE_MPS2:
        return -np.inf
    return new - _accel(speed, wish, now_gap, speed - now_mps, own) - POLITENESS * loss


def _neighbour(users: Users, n: int, ego: Along, d_m: float, side: float) -> tuple[float, float, int]:
    """Gap to the nearest before (side 1) or behind (-1) at this place across the road, its speed along, its row.

    The ego's row is N; with nobody there the gap is infinite.
    """
    half_width = float(users.size_N3[n, 1]) / 2
    reach = users.reach_N2()
    s, d = np.append(users.s_N, ego.s_m), np.append(users.d_N, ego.d_m)
    along = users.along_N[n]
    onward = np.append(users.onward_N(), ego.onward_mps) * along
    half_along, half_across = np.append(reach[:, 0], ego.half_along_m), np.append(reach[:, 1], ego.half_across_m)
    ahead = side * along * (s - users.s_N[n])
    inside = (np.abs(d - d_m) < half_across + half_width + 0.3) & (ahead >= 0)
    inside[n] = False
    gap = np.where(inside, ahead - half_along - half_along[n], np.inf)
    nearest = int(np.argmin(gap))
    return float(gap[nearest]), float(onward[nearest]) if np.isfinite(gap[nearest]) else 0.0, nearest


def _accel(speed: float, wish: float, gap: float, closing: float, driver_4: Floats) -> float:
    def one(value: float) -> Floats:
        return np.array([value])

    return float(idm(one(speed), one(wish), one(gap), one(closing), driver_4[None])[0])
