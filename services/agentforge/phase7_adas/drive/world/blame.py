"""Collisions, and whether the ego caused them.

The rule, in this order. A collision is

1. caused by the ego if the ego moved into the other's way (not the other into the ego's) less than HOLD_S
   before, so near that the other could not have braked with OTHERS_BRAKE_MPS2 after OTHERS_REACT_S;
2. not caused by it if the ego stands (slower than STANDS_MPS);
3. not caused by it if it is hit from behind: the other's centre is in the rear quarter of the ego's box or
   behind it, and the other is the faster of the two along the ego's heading;
4. not caused by it if the other came into its way by its own movement, so near that nobody could have braked
   in time: with all the grip that the road has, REACT_S after it entered; swerving is not asked for;
5. caused by the ego in every other case: who was in the way from the beginning, or came in with room enough,
   should have been braked for.

The ego's way is the strip of the road that its box covers, ASIDE_M wider on each side. Who of the two moved into
the other's way is told by their speeds across the road.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from agentforge.phase7_adas.drive.truth import HEADING, LENGTH, SPEED, Floats, to_ego
from agentforge.phase7_adas.drive.world.following import Along
from agentforge.phase7_adas.drive.world.limits import ACCEL_LAG_S, EGO_SIZE
from agentforge.phase7_adas.drive.world.users import Users

STANDS_MPS: Final = 0.3
ASIDE_M: Final = 0.2
REACT_S: Final = 0.2 + ACCEL_LAG_S
"""The slowest sensor's latency and period and two ticks, and the brakes' own lag."""
OTHERS_REACT_S: Final = 1.0
OTHERS_BRAKE_MPS2: Final = 4.0
HOLD_S: Final = 4.0


class Why(StrEnum):
    EGO_CUT_IN = "the ego moved into its way"
    STOOD = "the ego stood"
    FROM_BEHIND = "hit from behind"
    NO_ROOM = "it came into the way too near to brake for"
    NOT_BRAKED = "the ego could have braked for it"


@dataclass(frozen=True)
class Collision:
    t_us: int
    other: int
    """The other body's id."""
    relative_speed_mps: float
    """Length of the difference of the two velocities."""
    ego_speed_mps: float
    ego_caused: bool
    why: Why


def braking_room_m(speed_mps: float, onward_mps: float, brake_mps2: float, react_s: float) -> float:
    """What is needed between a body that brakes and one that keeps its speed `onward_mps` along the same line.

    Until both are equally fast; or, if the other comes towards it, until the braking one stands.
    """
    aim = max(onward_mps, 0.0)
    if speed_mps <= aim:
        return 0.0
    lasts_s = react_s + (speed_mps - aim) / brake_mps2
    own = speed_mps * react_s + (speed_mps**2 - aim**2) / (2 * brake_mps2)
    return own - onward_mps * lasts_s


class Blame:
    """Watches who enters whose way, so that it can be said of a collision."""

    def __init__(self, count: int, grip_mps2: float) -> None:
        self._grip = grip_mps2
        self._inside = np.zeros(count, dtype=np.bool_)
        self._no_room = np.zeros(count, dtype=np.bool_)
        self._cut_in_s = np.full(count, -np.inf)
        self._first = True

    def watch(self, users: Users, ego: Along, now_s: float) -> None:
        half_across = users.reach_N2()[:, 1]
        inside = np.abs(users.d_N - ego.d_m) < half_across + ego.half_across_m + ASIDE_M
        entered = np.flatnonzero(inside & ~self._inside)
        for n in entered:
            if self._first:
                continue
            self._enter(int(n), users, ego, now_s)
        self._no_room &= inside
        self._inside, self._first = inside, False

    def _enter(self, n: int, users: Users, ego: Along, now_s: float) -> None:
        aside = float(users.along_N[n] * users.speed_N[n] * np.sin(users.lean_N[n]))
        towards = np.sign(ego.d_m - float(users.d_N[n]))
        by_ego = -towards * ego.aside_mps > towards * aside
        away = float(users.s_N[n]) - ego.s_m
        gap = abs(away) - float(users.reach_N2()[n, 0]) - ego.half_along_m
        onward = float(users.onward_N()[n])
        if not by_ego:
            room = braking_room_m(ego.onward_mps, onward, self._grip, REACT_S)
            self._no_room[n] = gap < room
            return
        # seen from the other: the ego is ahead of it on its own way, or not
        along = float(users.along_N[n])
        if -along * away > 0:
            room = braking_room_m(along * onward, along * ego.onward_mps, OTHERS_BRAKE_MPS2, OTHERS_REACT_S)
            if gap < room:
                self._cut_in_s[n] = now_s

    def collided(self, n: int, t_us: int, ego_6: Floats, other_6: Floats, other_id: int) -> Collision:
        heading, other_heading = float(ego_6[HEADING]), float(other_6[HEADING])
        speed, other_speed = float(ego_6[SPEED]), float(other_6[SPEED])
        ahead = other_speed * np.cos(other_heading - heading) - speed
        aside = other_speed * np.sin(other_heading - heading)
        x = float(to_ego(other_6[None, :2], ego_6)[0, 0])
        if t_us / 1e6 - self._cut_in_s[n] < HOLD_S:
            why = Why.EGO_CUT_IN
        elif speed < STANDS_MPS:
            why = Why.STOOD
        elif x < -EGO_SIZE[LENGTH] / 4 and ahead > 0:
            why = Why.FROM_BEHIND
        elif self._no_room[n]:
            why = Why.NO_ROOM
        else:
            why = Why.NOT_BRAKED
        caused = why in (Why.EGO_CUT_IN, Why.NOT_BRAKED)
        return Collision(t_us, other_id, float(np.hypot(ahead, aside)), speed, caused, why)
